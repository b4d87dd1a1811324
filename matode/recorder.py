"""What a solve keeps on its way: values, statistics, events."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from matode.control import Advance
from matode.events import Event, EventLog
from matode.field import Counted
from matode.lowrank import LowRank
from matode.protocols import Block, State
from matode.solution import Resume, Solution
from matode.state import Start
from matode.trajectory import Piece, Trajectory
from matode.truncation import Relative

__all__ = ["Recorder", "StopSolve"]


class StopSolve(Exception):  # noqa: N818 - not an error: the callback or an event asked for it
    """The solve is to stop here; the message says why."""


class Recorder:
    """The solution in the making.

    Parameters
    ----------
    field : Counted
        Gives slopes, and the count of evaluations.
    start : Start
        The initial state.
    save, events
        As :func:`matode.solve` takes them.
    every : bool
        Keep every step, not only those that are wanted.
    dense : bool
        Keep the steps and their slopes for continuous output.
    lipschitz : float or None
        For the solution.
    """

    def __init__(
        self,
        field: Counted,
        start: Start,
        save: Callable[[float, Any], Any] | None,
        events: Event | Sequence[Event] | None,
        *,
        every: bool,
        dense: bool,
        lipschitz: float | None,
    ) -> None:
        listed = () if events is None else (events,) if callable(events) else events
        if not isinstance(listed, tuple | list):
            raise TypeError(f"events must be functions event(t, Y), got {type(events).__name__}")
        self._field, self._start, self._save, self._every, self._dense = field, start, save, every, dense
        self._events = EventLog(listed, self._unwrapped)
        self._t, self._Y = math.nan, start.Y
        self._kept = math.nan
        self._capped = 0
        trajectory = Trajectory([], [], field) if dense or (every and save is None) else None
        self.solution = Solution(
            t_events=[[] for _ in listed],
            Y_events=[[] for _ in listed],
            single=start.single,
            trajectory=trajectory,
            lipschitz=lipschitz,
            start_error=start.error,
        )

    @property
    def steps(self) -> int:
        """Steps accepted so far."""
        return self.solution.statistics.accepted

    def begin(self, t: float, *, wanted: bool) -> None:
        """Record the start."""
        self._t = t
        self._node(t, self._Y)
        self.solution.statistics.ranks.append(_ranks(self._Y))
        if self._every or wanted:
            self._keep(t, self._Y)
        self._events.start(t, self._Y)

    def step(self, advance: Advance, *, wanted: bool) -> None:
        """Record an accepted step.

        Raises
        ------
        StopSolve
            If a terminal event happened in it; the solution then ends there.
        """
        before, Y = (self._t, self._Y), State(advance.step.Y)
        self._t, self._Y = advance.t, Y
        statistics, info = self.solution.statistics, advance.step.info
        statistics.accepted += 1
        statistics.rejected += advance.rejected
        statistics.widened += advance.widened
        statistics.h.append(advance.t - before[0])
        statistics.ranks.append(_ranks(Y))
        statistics.truncation_error.append(math.hypot(*info.get("truncation_error", (0.0,))))
        if advance.step.error is not None:
            statistics.error_estimate.append(advance.step.error)
        self._capped += bool(info.get("capped", False))
        stop = self._happened(before)
        self._node(self._t, self._Y)
        if stop or self._every or wanted:
            self._keep(self._t, self._Y)
        if stop:
            raise StopSolve(stop)

    def end(self, status: Literal["finished", "stopped", "failed"], message: str) -> None:
        """Record how the solve ended; the last state is kept also where it was not asked for."""
        self.solution.status, self.solution.message = status, message
        if status != "finished" and self._kept != self._t:
            self._keep(self._t, self._Y)

    def finished(self, memory: Any, stepping: dict[str, float], *, controlled: bool) -> Solution:
        """Return the solution, with what a restart needs."""
        solution, statistics = self.solution, self.solution.statistics
        if self._dense and solution.trajectory is not None:
            solution.trajectory.slope(len(solution.trajectory))
        statistics.evaluations = (self._field.nfev,) * len(self._Y)
        if solution.trajectory is not None:
            solution.trajectory.field = self._field.field  # what is asked for later is not the solve's
        solution.resume = Resume(self._t, self._Y, memory, stepping)
        if statistics.rejected:
            solution.message += f" ({statistics.rejected} rejected)"
        if self._capped:
            solution.message += (
                f"; in {self._capped} of {self.steps} steps the rank was held at its maximum and more than the "
                f"tolerance was discarded, up to {max(statistics.truncation_error):.1e}"
            )
            if controlled and solution.status == "finished":
                solution.status = "limited"
        return solution

    def _happened(self, before: tuple[float, State]) -> str:
        """Find the events of the last step; return the sentence of a terminal one, after moving the end there."""
        if not self._events.events:
            return ""
        pieces: list[Piece] = []

        def piece() -> Piece:
            if not pieces:
                pieces.append(Trajectory([before[0], self._t], [before[1], self._Y], self._field).piece(0))
            return pieces[0]

        for number, t, terminal in self._events.between(piece, self._t, self._Y):
            Y = self._Y if t == self._t else State(map(_compressed, piece()(t)))
            self.solution.t_events[number].append(t)
            self.solution.Y_events[number].append(self._unwrapped(Y))
            if terminal:
                self._t, self._Y = t, Y
                self.solution.statistics.h[-1] = t - before[0]
                return f"event {number} stopped the solve at t = {t:g}"
        return ""

    def _node(self, t: float, Y: State) -> None:
        trajectory = self.solution.trajectory
        if trajectory is not None:
            trajectory.append(t, Y)
            if self._dense and len(trajectory):  # the next step tells where the field was going
                trajectory.slope(len(trajectory) - 1)

    def _keep(self, t: float, Y: State) -> None:
        value, ranks = self._unwrapped(Y), _ranks(Y)
        self.solution.t.append(t)
        self.solution.Y.append(value if self._save is None else self._save(t, value))
        self.solution.ranks.append(ranks[0] if self._start.single else ranks)
        self._kept = t

    def _unwrapped(self, Y: State) -> Any:
        return Y[0] if self._start.single else Y


def _ranks(Y: State) -> tuple[int | None, ...]:
    """Return the rank of each block; None for a dense one."""
    return tuple(block.rank if isinstance(block, LowRank) else None for block in Y)


def _compressed(block: Block) -> Block:
    return block.truncate(Relative(1e-12)) if isinstance(block, LowRank) else block
