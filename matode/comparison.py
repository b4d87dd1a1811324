"""What an integrator gives for its money: errors, certified bounds and costs at a tolerance, against a reference."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matode._array import host, to_host
from matode.problems.problem import Problem
from matode.solve import solve

__all__ = ["Measurement", "measure", "work_precision"]

_CHECKS = 4  # times at which errors are taken


@dataclass(frozen=True)
class Measurement:
    """One solve with error control.

    Attributes
    ----------
    integrator : str
    rtol : float
    error : float or None
        The largest of ``||Y(t) - A(t)|| / ||A(t)||`` over a few times up to the end, start error taken out; None where
        the end was not reached or there is no reference.
    bound : float or None
        The certified bound at the end, in the same units; None where no (one-sided) Lipschitz constant is known or it
        was not asked for.
    end_error : float or None
        The error at the end, which the bound is to be compared with; start error included.
    seconds : float
        Wall time of the solve alone.
    nfev, nsteps, rejected, rank : int
        Evaluations, accepted and rejected steps, and the largest rank of the last state.
    status, message : str
        Of the solution.
    """

    integrator: str
    rtol: float
    error: float | None
    bound: float | None
    end_error: float | None
    seconds: float
    nfev: int
    nsteps: int
    rejected: int
    rank: int
    status: str
    message: str

    @property
    def ratio(self) -> float | None:
        """The error in units of the tolerance."""
        return None if self.error is None else self.error / self.rtol


def measure(
    problem: Problem, name: str, rtol: float, *, integrator: Any = None, certify: bool = False, max_steps: int = 10_000
) -> Measurement:
    """Solve a problem with error control and compare with its reference.

    Parameters
    ----------
    problem : Problem
    name : str
        Catalogue name of the integrator, or a label for ``integrator``.
    rtol : float
    integrator : Integrator, optional
        Where it is not the catalogue's with its defaults.
    certify : bool
        Compute the certified bound too, where the problem knows a constant.
    max_steps : int
        Budget of the solve.
    """
    t0, t1 = problem.t_span
    times = [t0 + (t1 - t0) * k / _CHECKS for k in range(1, _CHECKS + 1)]
    constant = problem.one_sided if problem.one_sided is not None else problem.L
    method = name if integrator is None else integrator
    began = time.perf_counter()
    sol = solve(
        problem.F, problem.t_span, problem.Y0, method, rtol=rtol, max_steps=max_steps, t_eval=times, lipschitz=constant
    )
    seconds = time.perf_counter() - began
    errors: list[tuple[float, float]] = []
    reached = sol.t[-1] == t1
    if reached and problem.reference is not None:
        for t, Y in zip(sol.t, sol.Y, strict=True):
            exact = problem.reference(t)
            errors.append((float(host.linalg.norm(to_host(Y.to_dense()) - exact)), float(host.linalg.norm(exact))))
    bound = None
    if certify and reached and constant is not None and errors:
        kept = solve(problem.F, problem.t_span, problem.Y0, method, rtol=rtol, max_steps=max_steps, lipschitz=constant)
        kept.start_error = max(kept.start_error, problem.start_error)
        bound = kept.error_bound(kept.t[-1]) / errors[-1][1]
    return Measurement(
        integrator=name,
        rtol=rtol,
        error=max(max(error - problem.start_error, 0.0) / size for error, size in errors) if errors else None,
        bound=bound,
        end_error=errors[-1][0] / errors[-1][1] if errors else None,
        seconds=seconds,
        nfev=sol.nfev,
        nsteps=sol.nsteps,
        rejected=sol.statistics.rejected,
        rank=max(rank or 0 for rank in sol.statistics.ranks[-1]),
        status=sol.status,
        message=sol.message,
    )


def work_precision(
    problem: Problem, integrators: Sequence[str], rtols: Sequence[float], *, max_steps: int = 2000
) -> dict[str, list[Measurement]]:
    """Measure several integrators over falling tolerances; one that fails is not asked for less.

    Parameters
    ----------
    problem : Problem
    integrators : sequence of str
        Catalogue names.
    rtols : sequence of float
        Run from the largest to the smallest.
    max_steps : int
        Budget of each solve.
    """
    curves: dict[str, list[Measurement]] = {}
    for name in integrators:
        curve: list[Measurement] = []
        for rtol in sorted(rtols, reverse=True):
            curve.append(measure(problem, name, rtol, max_steps=max_steps))
            if curve[-1].error is None:
                break
        curves[name] = curve
    return curves
