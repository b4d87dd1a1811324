"""Time of a training step and peak memory of training against rank, width and batch, of fully connected nets.

Ours, our dense net, and PyTorch's low-rank and dense nets where it is installed. At each point the times are measured
in turn in one process, and each peak in a process of its own. ``points.csv`` has all of it. A long run may be
interrupted: it goes on at the point where it was.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from experiments import tables
from experiments.bench import batches, memory, nets
from experiments.bench.timing import device_clock, interleaved, settle, threads
from experiments.progress import Progress
from matode._array import Backend, get_backend

__all__ = ["FULL", "QUICK", "Settings", "points", "run"]


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment.

    Attributes
    ----------
    width, rank, batch : int
        What stays fixed while another one varies; five layers.
    ranks, widths, batches : tuple of int
        What varies.
    dense_width : int
        The largest width at which dense nets are measured.
    repetitions : int
        Of each step.
    torch : bool
        Whether PyTorch is measured, where it is installed.
    memory : bool
        Whether peaks are measured; Linux only.
    """

    width: int = 5120
    rank: int = 20
    batch: int = 256
    ranks: tuple[int, ...] = (5, 10, 20, 40, 80, 160, 320)
    widths: tuple[int, ...] = (512, 1024, 2048, 4096, 8192, 16384)
    batches: tuple[int, ...] = (16, 64, 256, 1024)
    dense_width: int = 8192
    repetitions: int = 5
    torch: bool = True
    memory: bool = True

    def __post_init__(self) -> None:
        values = (self.width, self.rank, self.batch, *self.ranks, *self.widths, *self.batches, self.repetitions)
        if min(values) < 1:
            raise ValueError("ranks, widths, batches and repetitions must be at least 1")
        if max(*self.ranks, self.rank) > min(self.width, *self.widths):
            raise ValueError("no rank may be above the smallest width")


FULL = Settings()
QUICK = Settings(512, 10, 64, (5, 20, 80), (256, 512, 1024), (16, 64, 256), 1024, 2, memory=False)


def points(settings: Settings) -> list[tuple[str, int, int, int, int]]:
    """Return (what varies, its value, width, rank, batch) for each point."""
    w, r, b = settings.width, settings.rank, settings.batch
    return [
        *(("rank", rank, w, rank, b) for rank in settings.ranks),
        *(("width", width, width, r, b) for width in settings.widths),
        *(("batch", batch, w, r, batch) for batch in settings.batches),
    ]


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Measure what is not there yet, and write ``points.csv``."""
    settle()
    where = get_backend(backend) if isinstance(backend, str) else backend
    torch = settings.torch and importlib.util.find_spec("torch") is not None
    if torch:
        importlib.import_module("torch").set_num_threads(threads()[0] or 1)
    rows: list[dict[str, Any]] = []
    peak = cache(memory.peak)
    todo = points(settings)
    for k, point in enumerate(todo):
        file = folder / f"{point[0]}-{point[1]}.part"
        progress(k / len(todo), f"{point[0]} {point[1]}")
        if not file.exists():
            draft = folder / "draft"
            tables.write(draft, _measured(point, settings, torch, where, peak))
            draft.rename(file)  # a part that is there is complete
        rows += tables.read(file)
    tables.write(folder / "points.csv", rows)
    for file in folder.glob("*.part"):
        file.unlink()
    progress(1.0, "done")


def _measured(
    point: tuple[str, int, int, int, int],
    settings: Settings,
    torch: bool,
    backend: Backend,
    peak: Callable[..., float],
) -> list[dict[str, Any]]:
    varies, value, width, rank, batch = point
    data = batches.of_images(2, batch, lambda line: None)
    sent = nets.on_backend(data, backend)
    dense = width <= settings.dense_width
    calls: dict[str, Callable[[], Any]] = {"augmented BUG": nets.training("augmented BUG", width, rank, sent, backend)}
    if dense:
        calls["dense"] = nets.training("dense", width, rank, sent, backend)
    for kind in ("low-rank", *(("dense",) if dense else ())) if torch else ():
        calls[f"PyTorch, {kind}"] = nets.torch_step(kind, width, rank, data)
    seconds = interleaved(calls, settings.repetitions, warm_up=1, batch=0.0, pause=0.03, clock=device_clock(backend))
    calls.clear()  # before other processes need the memory
    return [
        {
            "varies": varies,
            "value": value,
            "what": what,
            "seconds": t,
            "megabytes": peak(what, width, 1 if "dense" in what else rank, batch, 3) if settings.memory else None,
        }
        for what, t in seconds.items()
    ]
