"""What a solve returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import Any, Literal

from matode._array import Backend
from matode.certificate import Certificate
from matode.field import UserField
from matode.protocols import State
from matode.storage import load, save
from matode.trajectory import Trajectory

__all__ = ["Resume", "Solution", "Statistics"]


@dataclass
class Statistics:
    """What a solve took.

    Attributes
    ----------
    evaluations : tuple of int
        Evaluations of the field, one entry per block of the state; all blocks are evaluated together.
    accepted, rejected, widened : int
        Steps that were kept, that were tried again, and rejected steps that were answered by wider bases.
    h : list of float
        The length of each accepted step.
    ranks : list of tuple
        The ranks at the start and after each accepted step, one entry per block; None for a dense block.
    truncation_error : list of float
        The Frobenius norm that each step discarded (all blocks together); zeros for fixed-rank methods.
    error_estimate : list of float
        The estimated local error of each step; empty where h is fixed.
    """

    evaluations: tuple[int, ...] = ()
    accepted: int = 0
    rejected: int = 0
    widened: int = 0
    h: list[float] = field(default_factory=list)
    ranks: list[tuple[int | None, ...]] = field(default_factory=list)
    truncation_error: list[float] = field(default_factory=list)
    error_estimate: list[float] = field(default_factory=list)


@dataclass
class Resume:
    """Where a solve stopped, and what its integrator and its stepping remember: enough to go on as if it had not.

    Attributes
    ----------
    t : float
        The last time that was reached.
    Y : State
        The state there.
    memory : object
        The integrator's.
    stepping : dict
        The position in the grid of equal steps, or the controller's proposal.
    """

    t: float
    Y: State
    memory: Any = None
    stepping: dict[str, float] = field(default_factory=dict)


@dataclass
class Solution:
    """The result of :func:`matode.solve`.

    Attributes
    ----------
    t : list of float
        Times, from the start of the interval to its end, or to where the solve stopped.
    Y : list
        The value at each time: a :class:`~matode.LowRank` for a single matrix, a tuple of blocks for a system; with
        ``save=``, what that function returned.
    ranks : list
        The rank at each time: an int, or a tuple with one entry per block (None for a dense block).
    nfev : int
        Evaluations of the field.
    nsteps : int
        Steps made.
    truncation_error : list of float
        The Frobenius norm that each step discarded (all blocks together); zeros for fixed-rank methods.
    status : {"finished", "limited", "stopped", "failed"}
        ``limited`` means that the end was reached, but the rank was held at its maximum, so that the tolerance is not
        kept; ``stopped`` means by the callback or an event; what was computed before a failure is kept.
    message : str
        One sentence that says how it ended, and what held it back.
    t_events : list of list of float
        For each event, when it happened.
    Y_events : list of list
        For each event, the values then.
    statistics : Statistics
        Evaluations, accepted and rejected steps, step sizes, the history of ranks.
    resume : Resume or None
        What a restart needs: pass the solution to ``solve`` in place of Y0.
    """

    t: list[float] = field(default_factory=list)
    Y: list[Any] = field(default_factory=list)
    ranks: list[Any] = field(default_factory=list)
    status: Literal["finished", "limited", "stopped", "failed"] = "finished"
    message: str = ""
    t_events: list[list[float]] = field(default_factory=list)
    Y_events: list[list[Any]] = field(default_factory=list)
    statistics: Statistics = field(default_factory=Statistics)
    resume: Resume | None = None
    single: bool = field(default=True, repr=False)
    trajectory: Trajectory | None = field(default=None, repr=False, compare=False)
    lipschitz: float | None = field(default=None, repr=False)
    start_error: float = field(default=0.0, repr=False)

    @property
    def success(self) -> bool:
        """Whether the end of the interval was reached, as accurately as was asked for."""
        return self.status == "finished"

    @property
    def nfev(self) -> int:
        """Evaluations of the field."""
        return max(self.statistics.evaluations, default=0)

    @property
    def nsteps(self) -> int:
        """Accepted steps."""
        return self.statistics.accepted

    @property
    def truncation_error(self) -> list[float]:
        """The Frobenius norm that each step discarded."""
        return self.statistics.truncation_error

    def __call__(self, t: float) -> Any:
        """Return the value at any time of the interval, by cubic Hermite interpolation between the steps.

        The slopes are evaluations of the field, made when they are first needed. The value is a
        :class:`~matode.LowRank` of up to twice the rank of the solution and of its slope together; ``truncate`` it as
        you like.

        Raises
        ------
        ValueError
            If t is outside the solution, or the steps were not kept.
        """
        return self._unwrapped(self._kept()(float(t)))

    def error_bound(self, t: float, lipschitz: float | None = None) -> float:
        """Return a computable bound on ``||Y(t) - A(t)||``, the distance to the exact solution A.

        The Frobenius norm of all blocks together is meant. The bound contains the discretisation in time, the normal
        components and the truncations; see :mod:`matode.certificate`. It costs a few evaluations of the field for every
        step up to t, made once; a field with dense or entrywise terms costs its m x n entries then.

        Parameters
        ----------
        t : float
            Any time of the interval.
        lipschitz : float, optional
            A constant l with ``Re <F(Y) - F(Z), Y - Z> <= l ||Y - Z||^2`` at the matrices that matter, in the direction
            of integration; any Lipschitz constant will do. Where not given, that of ``solve(..., lipschitz=)``.

        Raises
        ------
        ValueError
            If no constant was given, or the steps were not kept.
        """
        constant = self.lipschitz if lipschitz is None else lipschitz
        if constant is None:
            raise ValueError("an error bound needs a (one-sided) Lipschitz constant: error_bound(t, lipschitz=...)")
        if constant not in self._certificates:
            self._certificates[constant] = Certificate(self._kept(), constant, self.start_error)
        return self._certificates[constant](float(t))

    @cached_property
    def _certificates(self) -> dict[float, Certificate]:
        return {}

    def _kept(self) -> Trajectory:
        if self.trajectory is None:
            raise ValueError("the steps were not kept: with t_eval or save, ask for them by dense_output=True")
        return self.trajectory

    def _unwrapped(self, Y: State) -> Any:
        return Y[0] if self.single else Y

    def save(self, path: str | PathLike[str]) -> None:
        """Write the solution to one ``.npz`` file, without pickle; :meth:`load` reads it.

        The field is not stored. Slopes are, where they were computed (``dense_output=True``): then the continuous
        output of the file needs no field.
        """
        statistics = {name: getattr(self.statistics, name) for name in Statistics.__dataclass_fields__}
        trajectory = None
        if self.trajectory is not None:
            trajectory = {"t": list(self.trajectory.t), "Y": list(self.trajectory.Y), "slopes": self.trajectory.slopes}
        values: list[Any] | None = self.Y
        if self.trajectory is not None and len(self.trajectory.Y) == len(self.Y):
            steps = zip(self.Y, self.trajectory.Y, strict=True)
            if all(value is self._unwrapped(Y) for value, Y in steps):
                values = None  # the steps themselves are written once
        resume = None
        if self.resume is not None:
            resume = {name: getattr(self.resume, name) for name in Resume.__dataclass_fields__}
        plain = ("t", "ranks", "status", "message", "t_events", "Y_events", "single", "lipschitz", "start_error")
        save(
            path,
            {
                "format": "matode.Solution 1",
                "Y": values,
                **{name: getattr(self, name) for name in plain},
                "statistics": statistics,
                "trajectory": trajectory,
                "resume": resume,
            },
        )

    @classmethod
    def load(cls, path: str | PathLike[str], F: Any = None, backend: Backend | None = None) -> Solution:
        """Read a solution that :meth:`save` wrote.

        Parameters
        ----------
        path : str or Path
        F : callable, optional
            The right-hand side, for values between the steps and error bounds.
        backend : Backend, optional
            Where to put the arrays; NumPy where not given.

        Raises
        ------
        ValueError
            If the file holds something else.
        """
        content = load(path, backend)
        if not isinstance(content, dict) or content.get("format") != "matode.Solution 1":
            raise ValueError(f"{path} holds no solution that this version reads")
        del content["format"]
        statistics, trajectory, resume = (content.pop(name) for name in ("statistics", "trajectory", "resume"))
        values = content.pop("Y")
        solution = cls(**content)
        solution.statistics = Statistics(**statistics)
        solution.resume = None if resume is None else Resume(**resume)
        if trajectory is not None:
            field = None if F is None else UserField(F, solution.single)
            solution.trajectory = Trajectory(trajectory["t"], trajectory["Y"], field, trajectory["slopes"])
        solution.Y = list(map(solution._unwrapped, trajectory["Y"])) if values is None else values
        return solution

    def __repr__(self) -> str:
        last = f"t = {self.t[-1]:g}, {self.Y[-1]!r}" if self.t else "empty"
        return f"Solution({self.status}: {last}; {self.nsteps} steps, {self.nfev} evaluations)"
