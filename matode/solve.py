"""The loop: from a field, an interval and a start to a solution."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from matode.field import Counted, UserField
from matode.integrators import make_integrator
from matode.lowrank import LowRank
from matode.progress import Progress, reporter
from matode.protocols import NonFiniteError, State
from matode.solution import Solution
from matode.state import initial_state
from matode.truncation import Truncation

__all__ = ["solve"]


def solve(
    F: Callable[[float, Any], Any],
    t_span: tuple[float, float],
    Y0: Any,
    integrator: Any = "augmented-bug",
    *,
    h: float | None = None,
    truncation: Truncation | None = None,
    t_eval: Sequence[float] | None = None,
    progress: bool | Progress | None = None,
    callback: Callable[[float, Any], Any] | None = None,
) -> Solution:
    """Integrate the matrix ODE ``Y' = F(t, Y)`` with the solution kept in low-rank form.

    Parameters
    ----------
    F : callable
        The right-hand side ``F(t, Y)``, written with ``@ + - *`` on the :class:`~matode.LowRank` value Y; it may
        return a LowRank, a sum of low-rank, dense and sparse matrices, or a dense m x n array. For a system, Y is the
        tuple of blocks and the value a sequence of matrices, one per block.
    t_span : (float, float)
        Start and end; an end before the start integrates backward.
    Y0 : LowRank, (U, S, V), array, or tuple of blocks
        The start, ``Y0 = U S V*``. Factors are not truncated; a dense array is. Dense blocks of a system stay dense.
    integrator : str or Integrator
        A name out of :data:`matode.INTEGRATORS` (or "kls", that is "bug"), or any object with the ``step`` of
        :class:`~matode.protocols.Integrator`.
    h : float
        The step, positive in either direction. The last one before the end, and before each ``t_eval``, is shortened.
    truncation : Truncation, optional
        What rank-adaptive methods keep, and how a dense Y0 is truncated: ``Rank(r)``, ``Absolute(theta)`` or
        ``Relative(tau)``. Where not given, the integrator's own, or 1e-10 relative. Fixed-rank methods keep the rank
        of Y0.
    t_eval : sequence of float, optional
        Times to keep, in the direction of integration; every step where not given.
    progress : bool or callable, optional
        True for a progress bar; a callable receives the finished fraction.
    callback : callable, optional
        ``callback(t, Y)`` after each step; a true return value stops the solve.

    Returns
    -------
    Solution
        With ``t, Y, ranks, nfev, status, message``. A solve that meets NaN or inf, or an unstable step, ends with
        status "failed", a sentence, and everything computed until then.

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
    step_size = _step_size(h)
    targets = _targets(t0, t1, t_eval)
    method = _method(integrator, truncation)
    Y, single = initial_state(Y0, truncation)
    if not callable(F):
        raise TypeError(f"F must be a function F(t, Y), got {type(F).__name__}")
    field = Counted(UserField(F, single))
    report = reporter(progress, f"{type(method).__name__} from t = {t0:g} to {t1:g}")

    solution = Solution()
    capped = 0
    memory = None
    if t_eval is None or t0 in targets:
        _keep(solution, t0, Y, single)
    t = t0
    for t, t_next, wanted in _grid(t0, t1, step_size, targets):
        try:
            step = method.step(field, t, t_next - t, Y, memory)
        except NonFiniteError as error:
            solution.status, solution.message = "failed", f"stopped at t = {t:g} after {solution.nsteps} steps: {error}"
            break
        Y, memory = State(step.Y), step.memory
        solution.nsteps += 1
        solution.truncation_error.append(math.hypot(*step.info.get("truncation_error", (0.0,))))
        capped += bool(step.info.get("capped", False))
        t = t_next
        if t_eval is None or wanted:
            _keep(solution, t, Y, single)
        report((t - t0) / (t1 - t0))
        if callback is not None and callback(t, Y[0] if single else Y):
            solution.status, solution.message = "stopped", f"the callback stopped the solve at t = {t:g}"
            break
    if solution.status != "finished" and (not solution.t or solution.t[-1] != t):
        _keep(solution, t, Y, single)
    solution.nfev = field.nfev
    if not solution.message:
        solution.message = f"reached t = {t1:g} in {solution.nsteps} steps"
    if capped:
        solution.message += (
            f"; in {capped} of {solution.nsteps} steps the rank was held at its maximum and more than the tolerance "
            f"was discarded, up to {max(solution.truncation_error):.1e}"
        )
    return solution


def _interval(t_span: tuple[float, float]) -> tuple[float, float]:
    try:
        t0, t1 = (float(t) for t in t_span)
    except (TypeError, ValueError):
        raise ValueError(f"t_span must be two numbers (start, end), got {t_span!r}") from None
    if not (math.isfinite(t0) and math.isfinite(t1)):
        raise ValueError(f"t_span must be finite, got {t_span!r}")
    return t0, t1


def _step_size(h: float | None) -> float:
    if h is None:
        raise ValueError("give the step size h")
    if not (h > 0 and math.isfinite(h)):
        raise ValueError(f"the step size h must be a positive number, got {h!r} (the direction comes from t_span)")
    return float(h)


def _targets(t0: float, t1: float, t_eval: Sequence[float] | None) -> list[float]:
    """Return the times that steps must end on: t_eval, checked, and the end."""
    targets = [] if t_eval is None else [float(t) for t in t_eval]
    sign = 1.0 if t1 >= t0 else -1.0
    if any(sign * (b - a) <= 0 for a, b in pairwise(targets)):
        raise ValueError("t_eval must run strictly from the start of t_span towards its end")
    if targets and (sign * (targets[0] - t0) < 0 or sign * (t1 - targets[-1]) < 0):
        raise ValueError(f"t_eval must lie inside t_span = ({t0:g}, {t1:g}), got {targets[0]:g} ... {targets[-1]:g}")
    return targets


def _grid(t0: float, t1: float, h: float, targets: list[float]) -> Iterator[tuple[float, float, bool]]:
    """Yield ``(start, end, whether the end is a target)`` of each step."""
    start = t0
    for stop in dict.fromkeys([*targets, t1]):
        length = abs(stop - start)
        count = math.ceil(length / h * (1 - 1e-12))
        signed = math.copysign(h, stop - start)
        for k in range(count):
            last = k == count - 1
            yield start + k * signed, stop if last else start + (k + 1) * signed, last and stop in targets
        start = stop


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


def _keep(solution: Solution, t: float, Y: State, single: bool) -> None:
    ranks = tuple(B.rank if isinstance(B, LowRank) else None for B in Y)
    solution.t.append(t)
    solution.Y.append(Y[0] if single else Y)
    solution.ranks.append(ranks[0] if single else ranks)
