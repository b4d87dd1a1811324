"""Time per step and peak memory against n, stored for the figure: the bench of the same name as an experiment.

``steps.csv``: per size and substep the median seconds of a step, and the numbers held at its peak per entry of the
factors. ``exponents.csv``: the slope of log(seconds) over log(n) per substep.
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
        Values of n, at least two.
    """

    sizes: tuple[int, ...] = scaling.SIZES

    def __post_init__(self) -> None:
        if len(set(self.sizes)) < 2:
            raise ValueError(f"sizes: an exponent needs at least two, got {self.sizes}")


FULL = Settings()
QUICK = Settings(sizes=scaling.QUICK_SIZES)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Measure on the host, whatever the backend is."""
    rows = scaling.measured(settings.sizes, lambda line: progress(0.0, line.strip()))
    tables.write(folder / "steps.csv", rows)
    names = dict.fromkeys(row["substep"] for row in rows)
    tables.write(
        folder / "exponents.csv", [{"substep": name, "exponent": scaling.exponent(rows, name)} for name in names]
    )
    progress(1.0, "done")
