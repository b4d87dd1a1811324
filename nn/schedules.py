"""Learning-rate schedules: functions from the epoch, a real number that starts at 0, to a factor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

__all__ = ["Schedule", "constant", "cosine", "steps"]

Schedule: TypeAlias = Callable[[float], float]
"""``schedule(epoch) -> factor`` of the learning rate; epoch 2.5 is halfway through the third pass."""


def constant(epoch: float) -> float:
    """Return 1."""
    return 1.0


def cosine(epochs: float, final: float = 0.0, *, warmup: float = 0.0, initial: float = 0.0) -> Schedule:
    """Return a line from ``initial`` to 1 over ``warmup`` epochs, then half a cosine to ``final`` at ``epochs``.

    Raises
    ------
    ValueError
        Unless ``0 <= warmup < epochs``.

    References
    ----------
    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017, equation (5).
    """
    if not 0 <= warmup < epochs:
        raise ValueError(f"cosine: expected 0 <= warmup < epochs, got warmup {warmup} and {epochs} epochs")

    def factor(epoch: float) -> float:
        if epoch < warmup:
            return initial + (1.0 - initial) * epoch / warmup
        phase = min((epoch - warmup) / (epochs - warmup), 1.0)
        return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * phase))

    return factor


def steps(factors: Mapping[float, float]) -> Schedule:
    """Return a piecewise constant schedule: ``steps({12: 0.2, 16: 0.2})`` divides by 5 after 12 and 16 epochs."""
    return lambda epoch: math.prod(factor for start, factor in factors.items() if epoch >= start)
