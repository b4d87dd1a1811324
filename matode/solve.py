"""The loop: from a field, an interval and a start to a solution."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from matode._array import eps
from matode.control import Control, ControlError, Tolerances
from matode.events import Event
from matode.field import Counted, UserField
from matode.heap import memory_kept
from matode.integrators import make_integrator
from matode.lowrank import LowRank
from matode.progress import Progress, reporter
from matode.protocols import NonFiniteError, State
from matode.recorder import Recorder, StopSolve
from matode.solution import Resume, Solution
from matode.state import Start, initial_state
from matode.stepping import EqualSteps, Stepping
from matode.truncation import Relative, Truncation

__all__ = ["solve"]


def solve(
    F: Callable[[float, Any], Any],
    t_span: tuple[float, float],
    Y0: Any,
    integrator: Any = "augmented-bug",
    *,
    h: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    truncation: Truncation | None = None,
    max_rank: int | None = None,
    min_step: float = 0.0,
    max_step: float = math.inf,
    max_steps: int = 10_000,
    t_eval: Sequence[float] | None = None,
    save: Callable[[float, Any], Any] | None = None,
    dense_output: bool = False,
    events: Event | Sequence[Event] | None = None,
    lipschitz: float | None = None,
    progress: bool | Progress | None = None,
    callback: Callable[[float, Any], Any] | None = None,
) -> Solution:
    """Integrate the matrix ODE ``Y' = F(t, Y)`` with the solution kept in low-rank form.

    Parameters
    ----------
    F : callable
        The right-hand side ``F(t, Y)``, written with ``@ + - *`` on the :class:`~matode.LowRank` value Y; it may
        return a LowRank, a sum, or a dense or sparse m x n matrix. For a system of several blocks it takes the tuple of
        blocks and the value is a sequence of matrices, one per block.
    t_span : (float, float)
        Start and end; an end before the start integrates backward.
    Y0 : LowRank, (U, S, V), array, tuple of blocks, or Solution
        The start, ``Y0 = U S V*``. Factors are not truncated; a dense array is. Dense blocks of a system stay dense. A
        :class:`~matode.Solution` is continued from where it stopped, as if it had not: ``t_span`` must start there.
    integrator : str or Integrator
        A name out of :data:`matode.INTEGRATORS` (or "kls", that is "bug"), or any object with the ``step`` of
        :class:`~matode.protocols.Integrator`.
    h : float, optional
        The step, positive in either direction. The last one before the end, and before each ``t_eval``, is shortened.
        With ``rtol`` or ``atol`` it is only the first step.
    rtol, atol : float, optional
        Error control: steps and ranks are chosen so that the error stays about ``rtol ||Y|| + atol``, in the Frobenius
        norm of all blocks together. With neither these nor h, ``rtol`` is 1e-3. A method of fixed rank controls the
        discretisation in time alone.
    truncation : Truncation, optional
        What rank-adaptive methods keep, and how a dense Y0 is truncated: ``Rank(r)``, ``Absolute(theta)`` or
        ``Relative(tau)``. Where not given, the integrator's own, or what rtol asks for, or 1e-10 relative. Fixed-rank
        methods keep the rank of Y0.
    max_rank : int, optional
        The cap of every rank of a rank-adaptive method, whatever its truncation. Where it binds, the message says so,
        and with rtol the status is "limited".
    min_step, max_step : float
        With rtol: bounds of the step. A solve that needs a smaller step fails, with a sentence.
    max_steps : int
        With rtol: attempts after which the solve gives up, with a sentence.
    t_eval : sequence of float, optional
        Times to keep, in the direction of integration; every step where not given.
    save : callable, optional
        ``save(t, Y)`` is kept in ``Solution.Y`` in place of Y.
    dense_output : bool
        Keep every step, and its slope, for values between the steps and error bounds. Without ``t_eval`` and ``save``
        the steps are kept anyway, and slopes are evaluated when they are asked for.
    events : callable or sequence of callables, optional
        Functions ``event(t, Y)`` whose zeros are found; attributes ``terminal`` and ``direction`` as in SciPy.
    lipschitz : float, optional
        A (one-sided) Lipschitz constant of F, for ``Solution.error_bound``.
    progress : bool or callable, optional
        True for a progress bar; a callable receives the finished fraction.
    callback : callable, optional
        ``callback(t, Y)`` after each step; a true return value stops the solve.

    Returns
    -------
    Solution
        With ``t, Y, ranks, nfev, status, message``, values at any time by ``sol(t)``, and ``sol.error_bound(t)``. A
        solve that meets NaN or inf, an unstable step, or one of its limits ends with status "failed", a sentence, and
        everything computed until then.

    Raises
    ------
    TypeError, ValueError
        If an argument, or the shape or dtype of what F returns, is not as described; the sentence says what was given
        and what was expected.

    Examples
    --------
    >>> import numpy as np, matode
    >>> A = np.diag([-1.0, -2.0, -3.0])
    >>> Y0 = matode.LowRank.random((3, 3), 1, rng=0)
    >>> sol = matode.solve(lambda t, Y: A @ Y + Y @ A.T, (0, 1), Y0, h=0.01)
    >>> sol.status, sol.Y[-1].rank
    ('finished', 1)
    """
    t0, t1 = _interval(t_span)
    targets = _targets(t0, t1, t_eval)
    limits = {"min_step": min_step, "max_step": max_step, "max_steps": max_steps}
    tolerances = _tolerances(h, rtol, atol, max_rank, **limits)
    start, resume = _start(Y0, truncation, tolerances, t0)
    method = _capped(_method(integrator, truncation), max_rank, start.Y, tolerances is not None)
    if not callable(F):
        raise TypeError(f"F must be a function F(t, Y), got {type(F).__name__}")
    own = getattr(method, "truncation", None) is not None
    stepping = _stepping(method, tolerances, h, (t0, t1), own, resume)
    field = Counted(UserField(F, start.single))
    record = Recorder(field, start, save, events, every=t_eval is None, dense=dense_output, lipschitz=lipschitz)
    report = reporter(progress, f"{type(method).__name__} from t = {t0:g} to {t1:g}")

    record.begin(t0, wanted=t0 in targets)
    t, Y, memory = t0, start.Y, resume.memory
    with memory_kept(start.Y):
        try:
            for target in dict.fromkeys([*targets, t1]):
                while t != target:
                    t, step, *_ = advance = stepping.advance(field, t, Y, memory, target)
                    Y, memory = State(step.Y), step.memory
                    record.step(advance, wanted=t == target and t in targets)
                    report((t - t0) / (t1 - t0))
                    if callback is not None and callback(t, Y[0] if start.single else Y):
                        raise StopSolve(f"the callback stopped the solve at t = {t:g}")
        except StopSolve as stop:
            record.end("stopped", str(stop))
        except (NonFiniteError, ControlError) as error:
            record.end("failed", f"stopped at t = {t:g} after {record.steps} steps: {error}")
        else:
            record.end("finished", f"reached t = {t1:g} in {record.steps} steps")
    return record.finished(memory, {**stepping.state(), "end": t1}, controlled=tolerances is not None)


def _interval(t_span: tuple[float, float]) -> tuple[float, float]:
    try:
        t0, t1 = (float(t) for t in t_span)
    except (TypeError, ValueError):
        raise ValueError(f"t_span must be two numbers (start, end), got {t_span!r}") from None
    if not (math.isfinite(t0) and math.isfinite(t1)):
        raise ValueError(f"t_span must be finite, got {t_span!r}")
    return t0, t1


def _tolerances(
    h: float | None, rtol: float | None, atol: float | None, max_rank: int | None, **limits: Any
) -> Tolerances | None:
    """Return what the error control is asked for, or None where the steps are equal."""
    if h is not None and not (h > 0 and math.isfinite(h)):
        raise ValueError(f"the step size h must be a positive number, got {h!r} (the direction comes from t_span)")
    if rtol is None and atol is None:
        if h is not None:
            unused = [name for name, value in limits.items() if value != getattr(Tolerances, name)]
            if unused:
                raise ValueError(f"{unused[0]} is for steps that are controlled: give rtol or atol, or leave it out")
            return None
        rtol = 1e-3
    return Tolerances(0.0 if rtol is None else rtol, 0.0 if atol is None else atol, max_rank=max_rank, **limits)


def _start(Y0: Any, truncation: Truncation | None, tolerances: Tolerances | None, t0: float) -> tuple[Start, Resume]:
    """Return the initial state, and what a restart brings along."""
    if not isinstance(Y0, Solution):
        if truncation is None and tolerances is not None and tolerances.rtol > 0:
            truncation = Relative(max(0.01 * tolerances.rtol, 1e-15))
        start = initial_state(Y0, truncation)
        return start, Resume(t0, start.Y)
    if Y0.resume is None or Y0.resume.t != t0:
        reached = "nowhere" if Y0.resume is None else f"t = {Y0.resume.t!r}"
        raise ValueError(f"the solution to go on from has reached {reached}, but t_span starts at {t0!r}")
    error = Y0.start_error
    if Y0.trajectory is not None and Y0.lipschitz is not None:
        error = Y0.error_bound(t0)
    return Start(Y0.resume.Y, Y0.single, error), Y0.resume


def _stepping(
    method: Any, tolerances: Tolerances | None, h: float | None, span: tuple[float, float], own: bool, resume: Resume
) -> Stepping:
    """Return equal or controlled steps, going on where a restart left off."""
    (t0, t1), memory = span, resume.stepping
    if tolerances is None:
        assert h is not None
        origin, k = memory.get("origin", t0), int(memory.get("k", 0))
        on_grid = memory.get("h") == h and origin + k * math.copysign(h, t1 - t0) == t0
        return EqualSteps(method, float(h), origin if on_grid else t0, k if on_grid else 0)
    smallest = max(eps(block.S if isinstance(block, LowRank) else block) for block in resume.Y)
    if 0 < tolerances.rtol < 100 * smallest and tolerances.atol == 0:
        raise ValueError(
            f"rtol = {tolerances.rtol:g} is below what the precision of Y0 can show: ask for at least "
            f"{100 * smallest:.1e}, or give Y0 in double precision"
        )
    proposed = memory.get("proposed") if h is None else float(h)
    length = memory["length"] if memory.get("end") == t1 else abs(t1 - t0)
    return Control(method, tolerances, length, own, proposed, memory.get("previous", 1.0))


def _targets(t0: float, t1: float, t_eval: Sequence[float] | None) -> list[float]:
    """Return the times that steps must end on: t_eval, checked, and the end."""
    try:
        targets = [] if t_eval is None else [float(t) for t in t_eval]
    except TypeError:
        raise TypeError(f"t_eval must be a sequence of times, got {t_eval!r}") from None
    sign = 1.0 if t1 >= t0 else -1.0
    if not all(sign * (b - a) > 0 for a, b in pairwise(targets)):
        raise ValueError("t_eval must run strictly from the start of t_span towards its end")
    if targets and not (sign * (targets[0] - t0) >= 0 and sign * (t1 - targets[-1]) >= 0):
        raise ValueError(f"t_eval must lie inside t_span = ({t0:g}, {t1:g}), got {targets[0]:g} ... {targets[-1]:g}")
    return targets


def _method(integrator: Any, truncation: Truncation | None) -> Any:
    """Return the integrator object, with ``truncation`` put in where it has one."""
    method = make_integrator(integrator) if isinstance(integrator, str) else integrator
    if isinstance(method, type) or not callable(getattr(method, "step", None)):
        raise TypeError(
            f"integrator must be a name or an object with a step method, got {integrator!r}"
            + (" (a class: call it first)" if isinstance(method, type) else "")
        )
    if truncation is not None and not isinstance(truncation, Truncation):
        raise TypeError(f"truncation must be Rank(r), Absolute(theta) or Relative(tau), got {truncation!r}")
    if truncation is not None and dataclasses.is_dataclass(method) and hasattr(method, "truncation"):
        return dataclasses.replace(method, truncation=truncation)  # type: ignore[type-var]
    return method


def _capped(method: Any, max_rank: int | None, Y: State, controlled: bool) -> Any:
    """Return the method with ``max_rank`` in its truncation; one that follows from the tolerance has it from there."""
    if max_rank is None:
        return method
    if dataclasses.is_dataclass(method) and hasattr(method, "truncation"):
        rule = method.truncation
        if rule is None and controlled:
            return method
        rule = (Relative(1e-10) if rule is None else rule).capped(max_rank)
        return dataclasses.replace(method, truncation=rule)  # type: ignore[type-var]
    rank = max((block.rank for block in Y if isinstance(block, LowRank)), default=0)
    if rank > max_rank:
        raise ValueError(
            f"{type(method).__name__} keeps the rank {rank} of Y0, which is above max_rank = {max_rank}: truncate Y0"
        )
    return method
