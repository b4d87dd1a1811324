"""Events: zeros of functions of the solution, found between the steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from matode.trajectory import Piece

__all__ = ["Event", "EventLog", "Occurrence"]

Event = Callable[[float, Any], float]
"""``event(t, Y) -> float``, zero where it happens; seen where its signs before and after a step differ. Two attributes
may be set on it: ``terminal`` (True stops the solve, a number k at the k-th occurrence) and ``direction`` (positive:
only from negative to positive values in the direction of integration; negative: only downwards)."""


class Occurrence(NamedTuple):
    """An event that happened: which one, when, and whether it stops the solve."""

    number: int
    t: float
    terminal: bool


@dataclass
class EventLog:
    """The events of one solve, with their values at the last step.

    Parameters
    ----------
    events : sequence of callable
        See :data:`Event`.
    unwrap : callable
        From a state to what the events are given.
    """

    events: Sequence[Event]
    unwrap: Callable[[Any], Any]
    _last: list[float] = field(default_factory=list, init=False)
    _seen: list[int] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        for k, event in enumerate(self.events):
            if not callable(event):
                raise TypeError(f"event {k} must be a function (t, Y) -> number, got {type(event).__name__}")

    def start(self, t: float, Y: Any) -> None:
        """Note the values at the start."""
        self._last = [self._value(k, t, Y) for k in range(len(self.events))]
        self._seen = [0] * len(self.events)

    def between(self, piece: Callable[[], Piece], t: float, Y: Any) -> list[Occurrence]:
        """Return what happened up to the step that ended at t, in order, up to the first that stops the solve.

        Parameters
        ----------
        piece : callable
            Gives the continuous output of the step; asked for only where a sign has changed.
        t, Y
            The end of the step.
        """
        values = [self._value(k, t, Y) for k in range(len(self.events))]
        found = []
        for k, (before, after) in enumerate(zip(self._last, values, strict=True)):
            direction = getattr(self.events[k], "direction", 0.0)
            up, down = before < 0.0 <= after, before > 0.0 >= after
            if (up and direction >= 0) or (down and direction <= 0):
                root = t if after == 0.0 else self._root(k, piece())
                self._seen[k] += 1
                stops = int(getattr(self.events[k], "terminal", False) or 0)
                found.append(Occurrence(k, root, 0 < stops <= self._seen[k]))
        self._last = values
        if not found:
            return found
        step = piece()
        found.sort(key=lambda occurrence: abs(occurrence.t - step.t0))
        last = next((i for i, occurrence in enumerate(found) if occurrence.terminal), len(found) - 1)
        return found[: last + 1]

    def _value(self, k: int, t: float, Y: Any) -> float:
        value = self.events[k](t, self.unwrap(Y))
        try:
            return float(value)
        except (TypeError, ValueError):
            raise TypeError(f"event {k} must return a number, got {type(value).__name__} at t = {t:g}") from None

    def _root(self, k: int, piece: Piece) -> float:
        from scipy.optimize import brentq

        def value(t: float) -> float:
            at_end = piece.Y0 if t == piece.t0 else piece.Y1 if t == piece.t1 else None
            return self._value(k, t, piece(t) if at_end is None else at_end)

        return float(brentq(value, piece.t0, piece.t1, xtol=4e-16 * max(abs(piece.t0), abs(piece.t1)), rtol=8.9e-16))
