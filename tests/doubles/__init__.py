"""Stand-ins for libraries whose hardware a test machine may not have."""
