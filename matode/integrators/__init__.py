"""The catalogue of integrators, which tests, command line and documentation iterate over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from matode.integrators.bug import BUG, AugmentedBUG
from matode.integrators.corrected import ABCPSI
from matode.integrators.full import FullRank
from matode.integrators.midpoint import MidpointBUG
from matode.integrators.parallel import ParallelBUG, ParallelBUG2
from matode.integrators.projected import ProjectedRungeKutta, RungeKuttaBUG
from matode.integrators.randomized import DGN, DRSVD
from matode.integrators.splitting import KSL, LSK, KSLStrang
from matode.integrators.step_truncation import StepTruncation
from matode.substeps import euler, heun, heun3

__all__ = [
    "ABCPSI",
    "ALIASES",
    "BUG",
    "DGN",
    "DRSVD",
    "INTEGRATORS",
    "KSL",
    "LSK",
    "AugmentedBUG",
    "FullRank",
    "KSLStrang",
    "MidpointBUG",
    "ParallelBUG",
    "ParallelBUG2",
    "ProjectedRungeKutta",
    "RungeKuttaBUG",
    "StepTruncation",
    "make_integrator",
]

INTEGRATORS: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {
        "ksl": KSL,
        "ksl-strang": KSLStrang,
        "lsk": LSK,
        "bug": BUG,
        "augmented-bug": AugmentedBUG,
        "parallel-bug": ParallelBUG,
        "parallel-bug-2": ParallelBUG2,
        "midpoint-bug": MidpointBUG,
        "prk1": partial(ProjectedRungeKutta, euler),
        "prk2": partial(ProjectedRungeKutta, heun),
        "prk3": partial(ProjectedRungeKutta, heun3),
        "rk-bug-2": partial(RungeKuttaBUG, heun),
        "rk-bug-3": partial(RungeKuttaBUG, heun3),
        "abc-psi": ABCPSI,
        "step-truncation": StepTruncation,
        "drsvd": DRSVD,
        "dgn": DGN,
        "full-rank": FullRank,
    }
)
"""Integrators by name; calling an entry gives the method with its defaults."""

ALIASES: Mapping[str, str] = MappingProxyType({"kls": "bug"})
"""Other names that the literature uses."""


def make_integrator(name: str) -> Any:
    """Return the integrator called ``name``, with its defaults.

    Raises
    ------
    ValueError
        If no integrator has this name; the message lists those that exist.
    """
    factory = INTEGRATORS.get(ALIASES.get(name, name))
    if factory is None:
        known = ", ".join(sorted([*INTEGRATORS, *ALIASES]))
        raise ValueError(f"unknown integrator {name!r}: expected one of {known}, or an object with a step method")
    return factory()
