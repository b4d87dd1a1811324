"""Work against precision: what a solve to a tolerance costs, by integrator, on four kinds of problems.

``solves.csv`` has one row per problem, integrator and tolerance: the largest relative error on the way, evaluations of
the field, and the median of the seconds that the solve took. The problems are a Lyapunov equation (dissipative), a
Schroedinger equation (oscillatory), an Allen-Cahn equation (nonlinear) and Landau damping (transport). A curve ends
where the budget of steps does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from experiments import tables
from experiments.progress import Progress
from matode import problems
from matode._array import Backend
from matode.comparison import work_precision
from matode.integrators import make_integrator
from matode.problems import Problem

__all__ = ["FULL", "PROBLEMS", "QUICK", "Settings", "run"]

PROBLEMS: Mapping[str, Callable[[int], Problem]] = {
    "lyapunov": lambda n: problems.lyapunov(n, 6),
    "schroedinger": lambda n: problems.schroedinger(n, 6, T=0.25),
    "allen-cahn": lambda n: problems.allen_cahn(n),
    "landau-damping": lambda n: problems.landau_damping((n // 8, n // 2)),
}
"""The problems by name, at size n; Landau damping, whose matrix is positions times velocities, at n/8 x n/2."""


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment.

    Attributes
    ----------
    problems : tuple of str
        Out of :data:`PROBLEMS`.
    methods : tuple of str
        Catalogue names.
    n : int
        Size.
    rtols : tuple of float
        Tolerances.
    repetitions : int
        Solves whose median time is taken.
    max_steps : int
        Budget of each solve.
    """

    problems: tuple[str, ...] = tuple(PROBLEMS)
    methods: tuple[str, ...] = (
        "augmented-bug",
        "parallel-bug",
        "parallel-bug-2",
        "midpoint-bug",
        "rk-bug-2",
        "rk-bug-3",
        "ksl-strang",
        "full-rank",
    )
    n: int = 256
    rtols: tuple[float, ...] = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    repetitions: int = 1
    max_steps: int = 500

    def __post_init__(self) -> None:
        unknown = [name for name in self.problems if name not in PROBLEMS]
        if unknown:
            raise ValueError(f"problems: expected some of {', '.join(PROBLEMS)}, got {', '.join(unknown)}")
        for name in self.methods:
            make_integrator(name)
        if self.repetitions < 1:
            raise ValueError(f"repetitions: expected at least 1, got {self.repetitions}")


FULL = Settings()
QUICK = Settings(n=64, rtols=(1e-2, 1e-3), methods=("augmented-bug", "midpoint-bug", "full-rank"), max_steps=200)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Write ``solves.csv``, on the host whatever the backend is: times of different devices do not compare."""
    rows: list[dict[str, Any]] = []
    pairs = [(problem, method) for problem in settings.problems for method in settings.methods]
    made = {name: PROBLEMS[name](settings.n) for name in settings.problems}
    for k, (name, method) in enumerate(pairs):
        progress(k / len(pairs), f"{name}, {method}")
        curves = [
            work_precision(made[name], [method], settings.rtols, max_steps=settings.max_steps)[method]
            for _ in range(settings.repetitions)
        ]
        for same in zip(*curves, strict=True):
            result = replace(same[0], seconds=median(m.seconds for m in same))
            rows.append({"problem": name, "title": made[name].name, **asdict(result)})
    tables.write(folder / "solves.csv", rows)
    progress(1.0, "done")
