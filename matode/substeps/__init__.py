"""Solvers for the small ODEs of a step.

Explicit Runge-Kutta tableaux; embedded pairs with error control; exponential methods that treat a linear part of the
field exactly; and a tight reference on the host.
"""

from matode.substeps.adaptive import Adaptive, bogacki_shampine, dormand_prince
from matode.substeps.explicit import Repeated, RungeKutta, euler, heun, heun3, midpoint, rk4
from matode.substeps.exponential import Exponential
from matode.substeps.reference import Reference

__all__ = [
    "Adaptive",
    "Exponential",
    "Reference",
    "Repeated",
    "RungeKutta",
    "bogacki_shampine",
    "dormand_prince",
    "euler",
    "heun",
    "heun3",
    "midpoint",
    "rk4",
]
