"""Where the figures find their runs: full ones first, then quick ones; what is missing is named with how to get it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import experiments
from experiments import registry, runs
from experiments.runs import Run
from paper_figures.figure import Figure

__all__ = ["COMMITTED", "find", "missing", "plan"]

COMMITTED = Path(experiments.__file__).parent / "results"
"""The full runs that come with the checkout."""


def find(name: str, folders: Sequence[Path], *, quick: bool) -> Run | None:
    """Return the full run from the first folder that has one, else the quick one where ``quick`` allows it."""
    experiment = registry.get(name)
    for small in (False, True) if quick else (False,):
        for folder in folders:
            run = runs.find(experiment, small, folder)
            if run is not None:
                return run
    return None


def missing(figures: Iterable[Figure], found: Iterable[str]) -> list[str]:
    """Return the experiments that figures need and nobody has run, each once."""
    there = set(found)
    needed = dict.fromkeys(name for figure in figures for name in figure.experiments)
    return [name for name in needed if name not in there]


def plan(name: str, *, quick: bool = False) -> str:
    """Return the command that runs an experiment, with how long it takes."""
    duration = registry.get(name).duration(quick)
    return f"python -m experiments run {name}{' --quick' if quick else ''}  ({duration})"
