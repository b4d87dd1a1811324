"""Error against step size, with the explicit bound of every run beside it.

For every problem, rank, method and step size, the error at the end of the interval is compared with a bound that is
computed from the problem's constants L and B, from the *measured* normal component, and from what was truncated:

* KSL, Strang and fixed-rank BUG need a uniform normal component: eps is the largest one over all matrices at which the
  method evaluated F, the stages of the substeps included, and the bound is
  ``global_bound(LOCAL_BOUNDS[method]["exact"])``;
* augmented BUG needs it at the iterates only: the bound is ``a_posteriori`` with eps_n and the discarded norm of
  each step.

Each comes twice. ``bound`` lets the errors of earlier steps grow with the Lipschitz constant, ``e^(L T)``, as the
theorem says. ``bound_one_sided`` uses the one-sided Lipschitz constant of F for that growth, which is what the
exact flow really does to a difference; the local bounds are the same. Both are theorems, so an error above one of
them is a bug, and the experiment fails. The small print: eps is a maximum over the points where F was evaluated, not
over the whole flow, and the local bounds are for exact flows; what RK4 may add to them is stored as
``substep_share``.
"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import tables
from experiments.certificate import Case, check_constants
from experiments.progress import Progress
from experiments.recording import Recorded
from matode import Absolute, Repeated, problems, rk4, solve
from matode._array import Backend, get_backend, host, to_host
from matode.bounds import LOCAL_BOUNDS
from matode.integrators import INTEGRATORS, make_integrator

__all__ = ["FULL", "QUICK", "BoundViolatedError", "Settings", "run"]

MAKERS = {"lyapunov": problems.lyapunov, "schroedinger": problems.schroedinger}
METHODS = [name for name in INTEGRATORS if "exact" in LOCAL_BOUNDS.get(name, {})]


class BoundViolatedError(AssertionError):
    """An error above its bound, or a constant that does not hold: the method or the theory is wrong."""


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment.

    Attributes
    ----------
    problems, methods : tuple of str
        Out of "lyapunov", "schroedinger", and out of the catalogue.
    lyapunov_ranks, schroedinger_ranks : tuple of int
        Ranks of the start, kept by the fixed-rank methods.
    steps : tuple of float
        Step sizes.
    n : int
        The matrices are n x n.
    T : float
        Length of the interval.
    theta, max_rank : float, int
        What augmented BUG may discard in a step (Frobenius norm), and its largest rank.
    substeps : int
        Steps of RK4 in each flow of a step.
    seed : int
        Of the start.
    """

    problems: tuple[str, ...] = ("lyapunov", "schroedinger")
    methods: tuple[str, ...] = ("ksl", "bug", "augmented-bug")
    lyapunov_ranks: tuple[int, ...] = (4,)
    schroedinger_ranks: tuple[int, ...] = (4, 8)
    steps: tuple[float, ...] = (1e-1, 5e-2, 2e-2, 1e-2, 5e-3, 2e-3, 1e-3)
    n: int = 100
    T: float = 1.0
    theta: float = 1e-6
    max_rank: int = 30
    substeps: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("problems", MAKERS), ("methods", METHODS)):
            unknown = [value for value in getattr(self, name) if value not in known]
            if unknown:
                raise ValueError(f"{name}: expected some of {', '.join(known)}, got {', '.join(unknown)}")
        if not all(h > 0 for h in self.steps):
            raise ValueError(f"steps: expected positive numbers, got {self.steps}")


FULL = Settings(schroedinger_ranks=(4, 8, 12))
QUICK = Settings(steps=(1e-1, 5e-2, 2e-2, 1e-2))


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Solve every case and write ``PROBLEM.csv``, one row per solve, and ``constants.csv``, per problem and rank.

    Raises
    ------
    BoundViolatedError
        If an error is above its bound; the tables are written nevertheless.
    """
    where = get_backend(backend) if isinstance(backend, str) else backend
    ranks = {name: getattr(settings, f"{name}_ranks") for name in settings.problems}
    cases = sum(map(len, ranks.values())) * len(settings.methods)
    total = cases * math.fsum(1.0 / h for h in settings.steps)
    done = 0.0
    checked, wrong = [], []
    for name in settings.problems:
        rows = []
        for rank in ranks[name]:
            case = Case.of(MAKERS[name](settings.n, rank, T=settings.T, seed=settings.seed, backend=where))
            checked.append({"problem": name, "rank": rank, **check_constants(case, where, settings.seed)})
            for method in settings.methods:
                for h in settings.steps:
                    progress(done / total, f"{name}, rank {rank}, {method}, h = {h:g}")
                    rows.append({"method": method, "rank": rank, "h": h, **_solved(case, method, h, settings)})
                    done += 1.0 / h
        tables.write(folder / f"{name}.csv", rows)
        wrong += [f"{name}, {row['method']}, rank {row['rank']}, h = {row['h']:g}" for row in rows if row["violated"]]
    tables.write(folder / "constants.csv", checked)
    progress(1.0, "")
    wrong += [f"the constants of {row['problem']}, rank {row['rank']}" for row in checked if row["violated"]]
    if wrong:
        raise BoundViolatedError(f"{len(wrong)} violated: {'; '.join(wrong)}")


def _solved(case: Case, method: str, h: float, settings: Settings) -> dict[str, Any]:
    """Solve once and return the error, the bounds, and all that went into them."""
    began = time.perf_counter()
    problem, recorded = case.problem, Recorded(case.problem.F)
    substep = rk4 if settings.substeps == 1 else Repeated(rk4, settings.substeps)
    integrator = make_integrator(method)
    adaptive = hasattr(integrator, "truncation")
    solution = solve(
        recorded,
        problem.t_span,
        problem.Y0,
        dataclasses.replace(integrator, substep=substep),
        h=h,
        truncation=Absolute(settings.theta, max_rank=settings.max_rank) if adaptive else None,
    )
    if not solution.success:
        raise RuntimeError(f"{problem.name}, {method}, h = {h:g}: {solution.message}")
    error = float(host.linalg.norm(to_host(solution.Y[-1].to_dense()) - case.end))
    if adaptive:
        eps, bounds = case.bounds_of_iterates(solution, method)
    else:
        eps, bounds = recorded.eps, case.bounds_of_stages(recorded.eps, method, h)
    return {
        "error": error,
        "bound": bounds[0],
        "bound_one_sided": bounds[1],
        "violated": error > min(bounds) or recorded.size > case.B,
        "eps": eps,
        "theta": max(solution.truncation_error),
        "start_error": problem.start_error,
        "final_rank": solution.ranks[-1],
        "largest_field": recorded.size,
        "substep_share": case.substep_share(method, eps, h, settings.substeps),
        "nfev": solution.nfev,
        "seconds": round(time.perf_counter() - began, 3),
    }
