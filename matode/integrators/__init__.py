"""The catalogue of integrators, which tests, command line and documentation iterate over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from matode.integrators.bug import BUG, AugmentedBUG
from matode.integrators.corrected import ABCPSI
from matode.integrators.full import FullRank
from matode.integrators.midpoint import MidpointBUG
from matode.integrators.parallel import ParallelBUG, ParallelBUG2
from matode.integrators.splitting import KSL, LSK, KSLStrang

__all__ = [
    "ABCPSI",
    "ALIASES",
    "BUG",
    "INTEGRATORS",
    "KSL",
    "LSK",
    "AugmentedBUG",
    "FullRank",
    "KSLStrang",
    "MidpointBUG",
    "ParallelBUG",
    "ParallelBUG2",
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
        "abc-psi": ABCPSI,
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
