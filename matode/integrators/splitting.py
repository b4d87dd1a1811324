"""Projector splitting: KSL (Lie), its adjoint LSK, and their symmetric composition (Strang).

Source: Ch. Lubich and I. Oseledets, A projector-splitting integrator for dynamical low-rank approximation, BIT 54
(2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matode.flows import from_k, from_l, k_flow, l_flow, s_flow, with_cores
from matode.protocols import Block, Field, Step, Substep
from matode.substeps import rk4

__all__ = ["KSL", "LSK", "KSLStrang"]


@dataclass(frozen=True)
class KSL:
    """First-order projector splitting: K-step, S-step against the field, L-step. The rank stays fixed.

    Exact for given A(t) of the rank, robust to small singular values, preserves norm and energy. The S-step runs
    backward, so the method suits fields that are not stiff and dissipative.

    Parameters
    ----------
    substep : Substep
        Solver of the three small ODEs.
    """

    substep: Substep = rk4

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""
        Y = from_k(Y, k_flow(field, t, h, Y, self.substep))
        Y = with_cores(Y, s_flow(field, t, h, Y, self.substep, sign=-1.0))
        Y = from_l(Y, l_flow(field, t, h, Y, self.substep))
        return Step(Y)


@dataclass(frozen=True)
class LSK:
    """The adjoint of :class:`KSL`: L-step, S-step against the field, K-step; ``LSK_{-h} KSL_h`` is the identity.

    Parameters
    ----------
    substep : Substep
        Solver of the three small ODEs.
    """

    substep: Substep = rk4

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""
        Y = from_l(Y, l_flow(field, t, h, Y, self.substep))
        Y = with_cores(Y, s_flow(field, t, h, Y, self.substep, sign=-1.0))
        Y = from_k(Y, k_flow(field, t, h, Y, self.substep))
        return Step(Y)


@dataclass(frozen=True)
class KSLStrang:
    """Symmetric projector splitting: KSL over the first half step, LSK over the second. The rank stays fixed.

    Time-reversible; second order is observed, first order is proven independently of small singular values.

    Parameters
    ----------
    substep : Substep
        Solver of the six small ODEs.
    """

    substep: Substep = rk4

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""
        half = KSL(self.substep).step(field, t, h / 2, Y)
        return LSK(self.substep).step(field, t + h / 2, h / 2, half.Y)
