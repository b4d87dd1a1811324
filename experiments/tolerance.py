"""Does rtol mean error? The problem library solved with error control, and a certificate for every solve.

For every problem, integrator and tolerance: the largest relative error on the way, in units of rtol,
and the certified bound at the end beside the error there. Methods of order 2 and more are asked for everything;
first-order methods down to ``first_order_rtol``. A solve that runs out of steps has said so and counts as ``failed``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments import parts, tables
from experiments.progress import Progress
from matode._array import Backend, host
from matode.comparison import measure
from matode.integrators import make_integrator
from matode.problems import PROBLEMS, make_problem

__all__ = ["FULL", "QUICK", "Settings", "run", "summary"]


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment.

    Attributes
    ----------
    problems, methods : tuple of str
        Out of the problem library and the catalogue.
    rtols : tuple of float
        Tolerances.
    first_order_rtol : float
        The smallest tolerance that a method of first order is asked for.
    certify_rtol : float
        The smallest tolerance at which a certified bound is computed.
    max_steps : int
        Budget of each solve.
    """

    problems: tuple[str, ...] = tuple(PROBLEMS)
    methods: tuple[str, ...] = (
        "midpoint-bug",
        "parallel-bug-2",
        "rk-bug-2",
        "rk-bug-3",
        "augmented-bug",
        "parallel-bug",
        "abc-psi",
    )
    rtols: tuple[float, ...] = (1e-2, 1e-4, 1e-6, 1e-8)
    first_order_rtol: float = 1e-4
    certify_rtol: float = 1e-4
    max_steps: int = 3000

    def __post_init__(self) -> None:
        for name in self.problems:
            if name not in PROBLEMS:
                raise ValueError(f"unknown problem {name!r}: expected names out of {', '.join(PROBLEMS)}")
        for name in self.methods:
            make_integrator(name)


FULL = Settings()
QUICK = Settings(
    problems=("bounded", "lyapunov", "schroedinger", "sylvester"),
    methods=("midpoint-bug", "parallel-bug-2", "augmented-bug"),
    rtols=(1e-2, 1e-4, 1e-6),
)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Write ``solves.csv``, one row per solve, and ``summary.csv``, one row per method."""

    def compute(name: str, seed: int, progress: Progress) -> list[dict[str, Any]]:
        return _solved(name, settings, progress)

    found = parts.collect(settings.problems, (0,), folder, compute, progress)
    rows = [
        {"problem": name, **{key: value for key, value in row.items() if key not in ("setting", "seed")}}
        for (name, _), solved in found.items()
        for row in solved
    ]
    (folder / "epochs.csv").unlink()
    tables.write(folder / "solves.csv", rows)
    tables.write(folder / "summary.csv", summary(rows))
    progress(1.0, "done")


def _solved(name: str, settings: Settings, progress: Progress) -> list[dict[str, Any]]:
    """Solve one problem by every method at every tolerance that it is asked for."""
    problem = make_problem(name)
    jobs = [
        (method, rtol)
        for method in settings.methods
        for rtol in sorted(settings.rtols, reverse=True)
        if make_integrator(method).order >= 2 or rtol >= settings.first_order_rtol * (1 - 1e-9)
    ]
    rows: list[dict[str, Any]] = []
    for k, (method, rtol) in enumerate(jobs):
        progress(k / len(jobs), f"{name}, {method}, rtol {rtol:g}")
        certify = rtol >= settings.certify_rtol * (1 - 1e-9)
        result = measure(problem, method, rtol, certify=certify, max_steps=settings.max_steps)
        rows.append({"order": float(make_integrator(method).order), **asdict(result)})
    return rows


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return how often each method kept its tolerance, and how loose its certified bounds are."""
    result = []
    for method in dict.fromkeys(row["integrator"] for row in rows):
        own = [row for row in rows if row["integrator"] == method]
        reached = [row for row in own if row["error"] is not None]
        ratios = [row["error"] / row["rtol"] for row in reached]
        loose = [row["bound"] / row["end_error"] for row in reached if row["bound"] is not None and row["end_error"]]
        result.append(
            {
                "integrator": method,
                "order": own[0]["order"],
                "solves": len(own),
                "reached": len(reached),
                "within_10_rtol": sum(ratio <= 10 for ratio in ratios),
                "within_rtol": sum(ratio <= 1 for ratio in ratios),
                "largest_ratio": max(ratios, default=None),
                "certified": len(loose),
                "violations": sum(x < 1 for x in loose),
                "median_looseness": float(host.median(loose)) if loose else None,
                "seconds": round(sum(row["seconds"] for row in own), 1),
            }
        )
    return result
