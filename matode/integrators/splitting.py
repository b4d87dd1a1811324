"""Projector splitting: KSL (Lie), its adjoint LSK, and their symmetric composition (Strang).

Source: Ch. Lubich and I. Oseledets, A projector-splitting integrator for dynamical low-rank approximation, BIT 54
(2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from matode.flows import from_k, from_l, k_flow, l_flow, released, reusing, s_flow, with_cores
from matode.protocols import Block, Field, State, Step, Substep
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
    order: ClassVar[float] = 1.0

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""
        return Step(released(self.moved(field, t, h, reusing(Y, field))))

    def moved(self, field: Field, t: float, h: float, Y: State) -> State:
        """Return the state at t + h, which still remembers products with its bases as Y does."""
        Y = from_k(Y, k_flow(field, t, h, Y, self.substep))
        Y = with_cores(Y, s_flow(field, t, h, Y, self.substep, sign=-1.0))
        return from_l(Y, l_flow(field, t, h, Y, self.substep))


@dataclass(frozen=True)
class LSK:
    """The adjoint of :class:`KSL`: L-step, S-step against the field, K-step; ``LSK_{-h} KSL_h`` is the identity.

    Parameters
    ----------
    substep : Substep
        Solver of the three small ODEs.
    """

    substep: Substep = rk4
    order: ClassVar[float] = 1.0

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""
        return Step(released(self.moved(field, t, h, reusing(Y, field))))

    def moved(self, field: Field, t: float, h: float, Y: State) -> State:
        """Return the state at t + h, which still remembers products with its bases as Y does."""
        Y = from_l(Y, l_flow(field, t, h, Y, self.substep))
        Y = with_cores(Y, s_flow(field, t, h, Y, self.substep, sign=-1.0))
        return from_k(Y, k_flow(field, t, h, Y, self.substep))


@dataclass(frozen=True)
class KSLStrang:
    """Symmetric projector splitting: KSL over the first half step, LSK over the second. The rank stays fixed.

    With ``first="l"`` it is the other composition, LSK then KSL, which is what this one is for the transposed matrix.

    Time-reversible; second order is observed, first order is proven independently of small singular values.

    Parameters
    ----------
    substep : Substep
        Solver of the six small ODEs.
    first : {"k", "l"}
        Which factor moves first.
    """

    substep: Substep = rk4
    first: Literal["k", "l"] = "k"
    order: ClassVar[float] = 2.0

    def __post_init__(self) -> None:
        if self.first not in ("k", "l"):
            raise ValueError(f"first must be 'k' or 'l', got {self.first!r}")

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""
        halves: tuple[KSL | LSK, KSL | LSK] = KSL(self.substep), LSK(self.substep)
        one, two = halves if self.first == "k" else halves[::-1]
        middle = one.moved(field, t, h / 2, reusing(Y, field))
        return Step(released(two.moved(field, t + h / 2, h / 2, middle)))
