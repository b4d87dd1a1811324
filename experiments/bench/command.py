"""``python -m experiments bench [integrators|scaling|training]``: measure, print, and write CSV files."""

from __future__ import annotations

from pathlib import Path

from experiments import tables
from experiments.bench import integrators, scaling, training
from experiments.bench.timing import threads

__all__ = ["BENCHES", "run"]

BENCHES = {"integrators": integrators.run, "scaling": scaling.run, "training": training.run}


def run(names: list[str], quick: bool, out: Path) -> None:
    """Run the benches and write NAME.csv to a folder; ``python -m paper_figures scaling`` draws the second."""
    out.mkdir(parents=True, exist_ok=True)
    print(threads()[1])
    for name in names:
        rows = BENCHES[name](quick, print)
        tables.write(out / f"{name}.csv", rows)
        print(f"{out / name}.csv")
