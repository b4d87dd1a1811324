"""Continuous output: cubic Hermite pieces between the steps, low-rank at every time, and how far they miss the ODE.

A piece needs the values at two steps and slopes there. Any slope gives a continuous curve; these are the field's own,
compressed to the accuracy that matters, so that the curve is of fourth order and its residual small.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matode._array import as_dtype, eps, namespace
from matode.integrators.augmenting import Augmented
from matode.linalg import complement
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, Field, State
from matode.state import combined
from matode.truncation import Relative

__all__ = ["Piece", "Trajectory", "slope"]


def slope(F: Sequence[Evaluation], Y: Sequence[Block], then: Sequence[Block] | None = None) -> State:
    """Return the field at Y as a state: compressed low-rank values, and arrays for dense blocks.

    A field with low-rank factors is cut at rounding level; one that is known by its products alone is projected on the
    bases [U, F V] and [V, F* U], and on those of ``then``, the next step, which knows where the field was going.
    """
    following: Sequence[Any] = [None] * len(Y) if then is None else then
    return State(
        _slope(f, y, z) if isinstance(y, LowRank) else as_dtype(f.full(), y.dtype)
        for f, y, z in zip(F, Y, following, strict=True)
    )


def _slope(f: Evaluation, y: LowRank, then: LowRank | None) -> LowRank:
    factors = f.factors()
    if factors is not None:
        return factors.astype(y.dtype).truncate(Relative(100 * eps(y.S)))
    FV, FU = as_dtype(f.right(y.V), y.dtype), as_dtype(f.left(y.U), y.dtype)
    left, right = [FV], [FU]
    if then is not None:
        left.append(then.U)
        right.append(then.V)
    concat = namespace(y.S).concat
    basis = Augmented(complement(y.U, concat(left, axis=1)), complement(y.V, concat(right, axis=1)))
    wide = basis.value(y)
    return LowRank(wide.U, basis.galerkin(f, y, FV, FU), wide.V)


@dataclass(frozen=True)
class Piece:
    """The cubic between two steps: values Y0, Y1 and slopes D0, D1 at t0, t1."""

    t0: float
    t1: float
    Y0: State
    Y1: State
    D0: State
    D1: State

    def __call__(self, t: float) -> State:
        """Return the value at t."""
        h = self.t1 - self.t0
        s = (t - self.t0) / h
        rest = 1.0 - s
        return combined(
            (rest * rest * (1 + 2 * s), self.Y0),
            (s * s * (3 - 2 * s), self.Y1),
            (h * s * rest * rest, self.D0),
            (-h * s * s * rest, self.D1),
        )

    def derivative(self, t: float) -> State:
        """Return the derivative at t."""
        h = self.t1 - self.t0
        s = (t - self.t0) / h
        bulge = 6 * s * (1 - s) / h
        return combined(
            (bulge, self.Y1),
            (-bulge, self.Y0),
            ((1 - s) * (1 - 3 * s), self.D0),
            (s * (3 * s - 2), self.D1),
        )


class Trajectory:
    """A solution between its steps.

    Parameters
    ----------
    t : list of float
        Times of the steps, in the order of integration.
    Y : list of State
        Values there, with orthonormal bases.
    field : Field or None
        What gives the slopes; None where all ``slopes`` are given.
    slopes : sequence of State, optional
        Known slopes, one per step.
    """

    def __init__(
        self,
        t: list[float],
        Y: list[State],
        field: Field | None,
        slopes: Sequence[State] | None = None,
    ) -> None:
        self.t, self.Y, self.field = t, Y, field
        self._slopes: dict[int, State] = {} if slopes is None else dict(enumerate(slopes))

    def __len__(self) -> int:
        """Return the number of pieces."""
        return max(len(self.t) - 1, 0)

    def __call__(self, t: float) -> State:
        """Return the value at t; the stored one where t is a step.

        Raises
        ------
        ValueError
            If t is outside the solution.
        """
        k = self.find(t)
        if t == self.t[k]:
            return self.Y[k]
        if t == self.t[k + 1]:
            return self.Y[k + 1]
        return self.piece(k)(t)

    def append(self, t: float, Y: State) -> None:
        """Add a step."""
        self.t.append(t)
        self.Y.append(Y)

    def find(self, t: float) -> int:
        """Return the number of the piece in which t lies; 0 for the only step of a solution without pieces."""
        times = self.t
        low, high = sorted((times[0], times[-1]))
        if not low <= t <= high:
            raise ValueError(f"the solution reaches from t = {times[0]:g} to {times[-1]:g}, got t = {t:g}")
        sign = 1.0 if times[-1] >= times[0] else -1.0
        return min(max(bisect_left(times, sign * t, key=lambda x: sign * x) - 1, 0), max(len(self) - 1, 0))

    def piece(self, k: int) -> Piece:
        """Return the piece between steps k and k + 1."""
        return Piece(self.t[k], self.t[k + 1], self.Y[k], self.Y[k + 1], self.slope(k), self.slope(k + 1))

    @property
    def slopes(self) -> list[State] | None:
        """The slopes at all steps, or None where one was not computed."""
        known = [self._slopes.get(k) for k in range(len(self.t))]
        return None if any(D is None for D in known) else known  # type: ignore[return-value]

    def slope(self, k: int) -> State:
        """Return the slope at step k, evaluating the field where it is not known yet.

        Raises
        ------
        ValueError
            If it is not known and there is no field to ask.
        """
        if k not in self._slopes:
            if self.field is None:
                raise ValueError(
                    "values between the steps need the field, or slopes that were stored with the solution: load it "
                    "with F=..., or solve with dense_output=True"
                )
            then = self.Y[k + 1] if k + 1 < len(self.Y) else None
            self._slopes[k] = slope(self.field(self.t[k], self.Y[k]), self.Y[k], then)
        return self._slopes[k]
