"""Training in phases: weight decay, frozen ranks, frozen bases, and switching from one integrator to another."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matode.flows import s_flow, with_cores
from matode.lowrank import LowRank
from matode.protocols import Block, Field, Integrator, State, Step, Substep
from matode.substeps import euler
from matode.truncation import PerBlock, Rank

__all__ = ["CoreOnly", "FrozenRank", "Phases", "WeightDecay"]


@dataclass(frozen=True)
class WeightDecay:
    """Decoupled weight decay: after the step every weight shrinks by the exact flow of ``W' = -rate W``.

    Biases, that is blocks of one dimension, do not shrink. Put it outside of an optimiser, so that decay enters neither
    momentum nor scales.

    Parameters
    ----------
    integrator : Integrator
    rate : float
        In the time of the gradient flow: a step of size h multiplies by ``exp(-rate h)``.

    References
    ----------
    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """

    integrator: Integrator
    rate: float

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Make the integrator's step, then shrink the weights."""
        step = self.integrator.step(field, t, h, Y, memory)
        factor = math.exp(-self.rate * h)
        shrunk = State(factor * y if len(y.shape) > 1 else y for y in step.Y)
        return dataclasses.replace(step, Y=shrunk)


@dataclass(frozen=True)
class CoreOnly:
    """Galerkin step in fixed bases: only the cores and the dense blocks move.

    The fine-tuning of the DLRT literature: bases and ranks stay, a step costs one evaluation, and its error is that of
    the substep in a space of dimension r^2 per weight.

    Parameters
    ----------
    substep : Substep
        Solver of the small ODEs; Euler is gradient descent in the cores.
    """

    substep: Substep = euler

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the cores from t to t + h."""
        return Step(with_cores(Y, s_flow(field, t, h, Y, self.substep)))


@dataclass(frozen=True)
class FrozenRank:
    """A rank-adaptive method that keeps the rank of every weight: the bases move on, truncated to as many columns.

    Parameters
    ----------
    integrator : Integrator
        A dataclass with a ``truncation``, such as :class:`~matode.AugmentedBUG`; its rule is replaced.

    Raises
    ------
    TypeError
        If the integrator has no truncation; a method of fixed rank needs no freezing.
    """

    integrator: Any

    def __post_init__(self) -> None:
        if not hasattr(self.integrator, "truncation"):
            raise TypeError(
                f"{type(self.integrator).__name__} has no truncation to replace: it keeps the rank by itself"
            )

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Make the integrator's step, truncated to the ranks of Y."""
        rules = PerBlock(*(Rank(y.rank) for y in Y if isinstance(y, LowRank)))
        return dataclasses.replace(self.integrator, truncation=rules).step(field, t, h, Y, memory)


@dataclass(frozen=True)
class Phases:
    """One integrator after the other: each takes over at a given step and begins without memory.

    Wrap it in an optimiser to keep the momentum over a change, or put optimisers inside to begin anew.

    Parameters
    ----------
    phases : sequence of (step, integrator)
        By increasing step, the first from step 0 on. :meth:`by_epoch` counts in epochs.

    Raises
    ------
    ValueError
        If there is no phase, the first does not begin at 0, or the steps do not increase.
    """

    phases: tuple[tuple[int, Integrator], ...]

    def __post_init__(self) -> None:
        starts = [start for start, _ in self.phases]
        if not starts or starts[0] != 0 or any(b <= a for a, b in itertools.pairwise(starts)):
            raise ValueError(f"phases must begin at step 0 and follow one another, got the starts {starts}")

    @classmethod
    def by_epoch(cls, steps_per_epoch: int, phases: Mapping[int, Integrator]) -> Phases:
        """Return phases that begin after whole epochs: ``{0: AugmentedBUG(...), 12: FrozenRank(...)}``."""
        return cls(tuple((epoch * steps_per_epoch, integrator) for epoch, integrator in sorted(phases.items())))

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Make a step of the present phase; ``memory`` is the number of steps made and that of the phase."""
        steps, inner = (0, None) if memory is None else memory
        start, integrator = max((phase for phase in self.phases if phase[0] <= steps), key=lambda phase: phase[0])
        step = integrator.step(field, t, h, Y, None if steps == start else inner)
        return dataclasses.replace(step, memory=(steps + 1, step.memory))
