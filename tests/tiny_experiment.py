"""An experiment of no weight, in a file that the processes of a sweep can import quickly."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from experiments import parts, tables
from experiments.registry import Experiment


@dataclass(frozen=True)
class Settings:
    """Settings.

    Attributes
    ----------
    names : tuple of str
    factor : float
    seeds : tuple of int
    pause : float
        Seconds that each part takes.
    trouble : str
        What happens at seed 1: ``"raise"``, or ``"die"``, or a file; where that is not there, it is made and the
        process dies.
    """

    names: tuple[str, ...] = ("a",)
    factor: float = 1.0
    seeds: tuple[int, ...] = (0, 1, 2)
    pause: float = 0.0
    trouble: str = ""


def run(settings, folder, progress, backend):
    found = parts.collect(settings.names, settings.seeds, folder, partial(_part, settings), progress)
    total = sum(row["x"] for rows in found.values() for row in rows)
    tables.write(folder / "total.csv", [{"total": total, "backend": backend}])


def _part(settings, name, seed, progress):
    progress(0.5, f"{name} with seed {seed}")
    time.sleep(settings.pause)
    if seed == 1:
        _trouble(settings.trouble)
    threads = os.environ["OPENBLAS_NUM_THREADS"]  # which the library reads when the process begins
    return [{"x": settings.factor * seed + k / 3, "threads": threads} for k in range(2)]


def _trouble(kind):
    if kind == "raise":
        raise ArithmeticError("no seed 1 today")
    if kind and not Path(kind).exists():
        if kind != "die":
            Path(kind).touch()
        os.kill(os.getpid(), signal.SIGKILL)


TINY = Experiment("tiny", "adds", run, Settings(seeds=(0,)), Settings(), seconds=(1, 1), resumable=True)
