"""How a solve chooses its steps: the protocol, and equal steps on a grid; see :mod:`matode.control` for the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

from matode.control import Advance, ControlError
from matode.protocols import Field, State

__all__ = ["EqualSteps", "Stepping"]


class Stepping(Protocol):
    """One step at a time, never beyond a target; ``state`` is what a restart needs."""

    def advance(self, field: Field, t: float, Y: State, memory: Any, target: float) -> Advance:
        """Make one step from t towards ``target``."""

    def state(self) -> dict[str, float]:
        """Return what the stepping remembers."""


@dataclass
class EqualSteps:
    """Steps of length h on the grid ``origin + k h``, which starts anew at every target.

    Times are computed from the origin, so that they do not drift, and a restart meets the same ones.
    """

    method: Any
    h: float
    origin: float
    k: int = 0

    def advance(self, field: Field, t: float, Y: State, memory: Any, target: float) -> Advance:
        """Make one step of length h, or shorter where the target is nearer.

        Raises
        ------
        ControlError
            If h is lost in the rounding of t.
        """
        signed = math.copysign(self.h, target - self.origin)
        count = math.ceil(abs(target - self.origin) / self.h * (1 - 1e-12))
        last = self.k >= count - 1
        t_next = target if last else self.origin + (self.k + 1) * signed
        if t_next == t:
            raise ControlError(f"a step of h = {self.h:g} does not change the time t = {t:g}: choose a larger h")
        step = self.method.step(field, t, t_next - t, Y, memory)
        self.origin, self.k = (target, 0) if last else (self.origin, self.k + 1)
        return Advance(t_next, step, 0, 0)

    def state(self) -> dict[str, float]:
        """Return the position in the grid."""
        return {"h": self.h, "origin": self.origin, "k": self.k}
