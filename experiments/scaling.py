"""Time per step and peak memory against n and r, stored for the figure: the bench of the same name as an experiment.

``steps.csv``: per size and substep the median seconds of a step, and the numbers held at its peak per entry of the
factors; ``ranks.csv``: the same per rank. ``exponents.csv``: the slope of log(seconds) over log(n) per substep.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from experiments import tables
from experiments.bench import scaling
from experiments.progress import Progress
from matode._array import Backend

__all__ = ["FULL", "QUICK", "Settings", "run"]


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment.

    Attributes
    ----------
    sizes : tuple of int
        Values of n, at least two; the rank is 10. Above a million only Euler substeps are measured, and only where
        there is memory for them.
    ranks : tuple of int
        Ranks at which steps of size ``n`` are measured.
    n : int
    """

    sizes: tuple[int, ...] = (*scaling.SIZES, scaling.LARGEST)
    ranks: tuple[int, ...] = (5, 10, 20, 40, 80, 160)
    n: int = 10**5

    def __post_init__(self) -> None:
        if len({n for n in self.sizes if n <= 10**6}) < 2:
            raise ValueError(f"sizes: an exponent needs at least two up to a million, got {self.sizes}")
        if not self.ranks or min(self.ranks) < 1 or 2 * max(self.ranks) > self.n:
            raise ValueError(f"ranks: expected some from 1 to half of n = {self.n}, got {self.ranks}")


FULL = Settings()
QUICK = Settings(scaling.QUICK_SIZES, (5, 10, 20), 10**4)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Measure on the host, whatever the backend is."""
    fits = [n for n in settings.sizes if n <= max(10**6, scaling.room())]
    rows = scaling.measured(fits, lambda line: progress(0.0, line.strip()))
    ranks = scaling.measured((settings.n,), lambda line: progress(0.8, line.strip()), settings.ranks)
    tables.write(folder / "ranks.csv", ranks)
    tables.write(folder / "steps.csv", rows)
    names = dict.fromkeys(row["substep"] for row in rows)
    tables.write(
        folder / "exponents.csv", [{"substep": name, "exponent": scaling.exponent(rows, name)} for name in names]
    )
    progress(1.0, "done")
