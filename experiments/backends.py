"""Which array library to compute with, as the command line asks for it."""

from __future__ import annotations

from matode._array import gpu_available

__all__ = ["NAMES", "choose"]

NAMES = ("numpy", "cupy")


def choose(name: str) -> tuple[str, str]:
    """Return the backend to use, and one sentence where it is not the one that was asked for.

    CuPy is chosen where it can compute; otherwise NumPy, and the sentence says why.
    """
    if name == "cupy":
        available, reason = gpu_available()
        if not available:
            return "numpy", f"NumPy is used instead of CuPy: {reason}."
    return name, ""
