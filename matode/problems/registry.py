"""All problems by name, at sizes that take about a second to solve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from matode.problems.allen_cahn import allen_cahn
from matode.problems.bounded import bounded
from matode.problems.burgers import burgers
from matode.problems.completion import completion
from matode.problems.convection_diffusion import convection_diffusion
from matode.problems.given import given_matrix
from matode.problems.lyapunov import lyapunov
from matode.problems.nonlinear_schroedinger import nonlinear_schroedinger
from matode.problems.problem import Problem
from matode.problems.radiative_transfer import plane_source
from matode.problems.riccati import riccati
from matode.problems.rotation import lubich_oseledets, rotation
from matode.problems.schroedinger import schroedinger
from matode.problems.sylvester import sylvester
from matode.problems.vlasov_poisson import landau_damping, two_stream

__all__ = ["PROBLEMS", "make_problem"]

PROBLEMS: Mapping[str, Callable[..., Problem]] = MappingProxyType(
    {
        "allen-cahn": allen_cahn,
        "bounded": partial(bounded, (24, 18), 3, kappa=1.0, g1=0.5, g2=0.5),
        "burgers": burgers,
        "completion": completion,
        "convection-diffusion": convection_diffusion,
        "given-matrix": given_matrix,
        "landau-damping": landau_damping,
        "lubich-oseledets": partial(lubich_oseledets, 60),
        "lyapunov": partial(lyapunov, 64, 6),
        "nonlinear-schroedinger": partial(nonlinear_schroedinger, 50),
        "plane-source": plane_source,
        "riccati": riccati,
        "rotation": partial(rotation, 60),
        "schroedinger": partial(schroedinger, 32, 6, T=0.25),
        "sylvester": partial(sylvester, (24, 18), 3, T=1.0),
        "two-stream": two_stream,
    }
)
"""Problems by name; calling an entry gives the problem, with its keyword arguments as changes (``seed=``, ``T=``)."""


def make_problem(name: str, **changes: object) -> Problem:
    """Return the problem called ``name``; keyword arguments are those of its function.

    Raises
    ------
    ValueError
        If no problem has this name; the message lists those that exist.
    """
    if name not in PROBLEMS:
        raise ValueError(f"unknown problem {name!r}: expected one of {', '.join(PROBLEMS)}")
    return PROBLEMS[name](**changes)
