"""How fast the integrators are, against the time of the kernels that a step cannot do without."""
