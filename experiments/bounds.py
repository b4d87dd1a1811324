"""The explicit error bounds over each of their variables: normal component, step size, tolerance, singular values.

A field with known Lipschitz constant L, bound B and normal component eps; Euler substeps, for which the bounds hold
without any share of the substeps. ``sweeps.csv`` has a row per solve: ``sweep`` says what varies ("eps", "h",
"theta", "sigma"), ``x`` its value, ``error`` the error at the end, ``bound`` what it must not exceed. In the sweeps of
eps, h and sigma, every method is held at the rank of the start; in that of theta it may discard theta in every step,
and ``measured_bound`` has what was really discarded in place of theta.

Over the smallest singular value sigma of the start, "factors" is a method without such a bound: classical Runge-Kutta
for the equations of Koch and Lubich (2007) for U, S and V, which hold the inverse of S.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import tables
from experiments.convergence import BoundViolatedError
from experiments.progress import Progress
from matode import Absolute, LowRank, euler, problems, solve
from matode import bounds as theory
from matode._array import Backend, get_backend, host, to_host
from matode.integrators import make_integrator
from matode.problems import Problem

__all__ = ["FULL", "QUICK", "Settings", "run"]

FIXED: dict[str, Callable[..., float]] = {
    "ksl": theory.ksl_euler,
    "bug": theory.bug_euler,
    "augmented-bug": theory.projected_euler,
    "parallel-bug": theory.projected_euler,
}
"""Local bounds at a fixed rank. A method that is cut back to it errs by at most twice its own bound and ``q eps h``."""

CUT = {"augmented-bug": theory.augmented_bug_euler, "parallel-bug": theory.parallel_bug_euler}
"""Local bounds before a truncation."""

_BEYOND = 1e6
"""Norm of a factor at which a solution of norm 1 is given up."""


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment.

    Attributes
    ----------
    eps, h, theta, sigma : tuple of float
        What the sweeps go through.
    at_h, fine_h, at_eps : float
        Step size of the sweeps of theta and sigma, step size of that of eps, and eps of all others.
    tiny_eps : float
        Normal component of the sweep of h.
    shape : (int, int)
        Of the matrices.
    rank, seed : int
        Of the start.
    T : float
        Length of the interval.
    """

    eps: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    h: tuple[float, ...] = (1e-1, 5e-2, 2e-2, 1e-2, 5e-3, 2e-3, 1e-3)
    theta: tuple[float, ...] = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
    sigma: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
    at_h: float = 1e-2
    fine_h: float = 1e-3
    at_eps: float = 1e-3
    tiny_eps: float = 1e-6
    shape: tuple[int, ...] = (40, 30)
    rank: int = 4
    T: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("eps", "h", "theta", "sigma"):
            if not getattr(self, name) or min(getattr(self, name)) <= 0:
                raise ValueError(f"{name}: expected positive numbers, got {getattr(self, name)}")
        if len(self.shape) != 2 or not 1 <= self.rank <= min(self.shape):
            raise ValueError(f"rank: a matrix of shape {self.shape} has no rank {self.rank}")


FULL = Settings()
QUICK = Settings(eps=(1e-4, 1e-3, 1e-2, 1e-1), h=(1e-1, 5e-2, 2e-2, 1e-2), sigma=(1e-1, 1e-4, 1e-8, 1e-12), fine_h=5e-3)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Solve everything; write ``sweeps.csv`` and ``constants.csv``.

    Raises
    ------
    BoundViolatedError
        If an error is above its bound; the tables are written nevertheless.
    """
    s, where = settings, get_backend(backend) if isinstance(backend, str) else backend

    def problem(eps: float, sigma: float = 1e-3) -> Problem:
        size = {"g1": 0.5, "g2": 0.5, "T": s.T, "seed": s.seed}
        return problems.bounded(s.shape, s.rank, eps=eps, smallest=sigma, backend=where, **size)

    cases = [
        *(("eps", x, problem(x), s.fine_h, None) for x in s.eps),
        *(("h", x, problem(s.tiny_eps), x, None) for x in s.h),
        *(("theta", x, problem(s.at_eps), s.at_h, x) for x in s.theta),
        *(("sigma", x, problem(s.at_eps, x), s.at_h, None) for x in s.sigma),
    ]
    rows = []
    for k, (sweep, x, case, h, theta) in enumerate(cases):
        progress(k / len(cases), f"{sweep} = {x:g}")
        for method in FIXED if theta is None else CUT:
            rows.append({"sweep": sweep, "x": x, "method": method, **_solved(case, method, h, theta, s.rank)})
        if sweep == "sigma":
            rows.append({"sweep": sweep, "x": x, "method": "factors", **_factor_equations(case, h)})
    tables.write(folder / "sweeps.csv", rows)
    case = problem(s.at_eps)
    tables.write(folder / "constants.csv", [{"L": case.L, "B": case.B, "eps": case.eps}])
    progress(1.0, "")
    wrong = [r for r in rows if any(r[key] is not None and r["error"] > r[key] for key in ("bound", "measured_bound"))]
    if wrong:
        raise BoundViolatedError("; ".join(f"{r['method']}, {r['sweep']} = {r['x']:g}" for r in wrong))


def _solved(problem: Problem, method: str, h: float, theta: float | None, rank: int) -> dict[str, Any]:
    """Return the error and its bound, at a fixed rank or with a truncation of theta in each step."""
    integrator = dataclasses.replace(make_integrator(method), substep=euler)
    rule = Absolute(0.0, max_rank=rank) if theta is None else Absolute(theta)
    cut = rule if hasattr(integrator, "truncation") else None
    solution = solve(problem.F, problem.t_span, problem.Y0, integrator, h=h, truncation=cut)
    if not solution.success:
        raise RuntimeError(f"{problem.name}, {method}, h = {h:g}: {solution.message}")
    L, T = problem.L, problem.t_span[1] - problem.t_span[0]
    assert L is not None
    local = (FIXED if theta is None else CUT)[method](L=L, B=problem.B, eps=problem.eps, h=h)
    measured = None
    if theta is not None:
        discarded = solution.truncation_error
        measured = theory.a_posteriori([local] * len(discarded), discarded, L=L, h=h)[-1]
    return {
        "error": _error(problem, to_host(solution.Y[-1].to_dense())),
        "bound": theory.global_bound(local, L=L, h=h, T=T, theta=theta or 0.0),
        "measured_bound": measured,
        "final_rank": solution.ranks[-1],
    }


def _error(problem: Problem, end: host.ndarray) -> float:
    assert problem.reference is not None
    return float(host.linalg.norm(end - problem.reference(problem.t_span[1])))


def _factor_equations(problem: Problem, h: float) -> dict[str, Any]:
    """Solve the equations of U, S and V by classical Runge-Kutta, with U and V made orthonormal after each step.

    The error is None where the solution grew beyond all bounds.
    """
    begin, end = problem.t_span
    X = tuple(to_host(x) for x in (problem.Y0.U, problem.Y0.S, problem.Y0.V))
    result = {"error": None, "bound": None, "measured_bound": None, "final_rank": X[1].shape[0]}

    def slopes(U: host.ndarray, S: host.ndarray, V: host.ndarray) -> tuple[host.ndarray, ...]:
        F = to_host(problem.F(begin, LowRank(U, S, V)).to_dense())
        FV = host.linalg.solve(S.conj().T, (F @ V).conj().T).conj().T
        FU = host.linalg.solve(S, (F.conj().T @ U).conj().T).conj().T
        return FV - U @ (U.conj().T @ FV), U.conj().T @ F @ V, FU - V @ (V.conj().T @ FU)

    def after(X: tuple[host.ndarray, ...], step: float, K: tuple[host.ndarray, ...]) -> tuple[host.ndarray, ...]:
        return tuple(x + step * k for x, k in zip(X, K, strict=True))

    for _ in range(round((end - begin) / h)):
        K1 = slopes(*X)
        K2 = slopes(*after(X, h / 2, K1))
        K3 = slopes(*after(X, h / 2, K2))
        K4 = slopes(*after(X, h, K3))
        for weight, K in ((1, K1), (2, K2), (2, K3), (1, K4)):
            X = after(X, weight * h / 6, K)
        if not max(host.linalg.norm(x) for x in X) < _BEYOND:
            return result
        (U, R), (V, T) = host.linalg.qr(X[0]), host.linalg.qr(X[2])
        X = (U, R @ X[1] @ T.conj().T, V)
    return result | {"error": _error(problem, X[0] @ X[1] @ X[2].conj().T)}
