"""Times of a wide net against the rank: a training step, and the inference of many images, as in Fig. 1 of the paper.

Ours at every rank, our dense net, and PyTorch's dense and low-rank nets where it is installed. All times of a table are
measured in turn in one process. ``training.csv`` and ``inference.csv`` have mean, deviation and median of the
repetitions, ``memory.csv`` the peak of training at rank 20 in processes of their own.
"""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import tables
from experiments.bench import batches, memory, nets
from experiments.bench.timing import device_clock, samples, settle, threads
from experiments.progress import Progress, part
from matode._array import Backend, get_backend

__all__ = ["FULL", "QUICK", "Settings", "run"]

Calls = dict[tuple[str, int | None], Callable[[], Any]]


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment.

    Attributes
    ----------
    width : int
        Of the five layers but the head.
    batch : int
        Images of a training step.
    training_ranks, inference_ranks : tuple of int
        Of all weights but the head; a weight with a smaller side has as much as it can.
    images, at_once : int
        Images that are classified, and how many at a time.
    repetitions : int
        Of the training steps; inference has a third of them, at least two.
    torch : bool
        Whether PyTorch is compared with, where it is installed.
    memory : bool
        Whether the peak memory is measured, where Linux keeps it.
    """

    width: int = 5120
    batch: int = 500
    training_ranks: tuple[int, ...] = (5, 10, 20, 40, 80, 160, 320)
    inference_ranks: tuple[int, ...] = (5, 20, 80, 160, 320, 640, 1280, 2560)
    images: int = 10_000
    at_once: int = 250
    repetitions: int = 9
    torch: bool = True
    memory: bool = True

    def __post_init__(self) -> None:
        ranks = (*self.training_ranks, *self.inference_ranks)
        if not self.training_ranks or not self.inference_ranks or min(ranks) < 1 or max(ranks) > self.width:
            raise ValueError(f"the ranks must be from 1 to the width {self.width}, got {ranks}")
        if min(self.batch, self.images, self.at_once) < 1 or self.repetitions < 2:
            raise ValueError("batch, images and at_once must be at least 1, repetitions at least 2")


FULL = Settings()
QUICK = Settings(1024, 256, (5, 20, 80, 256), (5, 20, 80, 256, 512), 1000, 250, 3, memory=False)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Measure, and write the tables."""
    settle()
    where = get_backend(backend) if isinstance(backend, str) else backend
    torch = settings.torch and importlib.util.find_spec("torch") is not None
    if torch:
        importlib.import_module("torch").set_num_threads(threads()[0] or 1)
    tables.write(folder / "training.csv", _training(settings, torch, where, part(progress, 0.0, 0.4)))
    tables.write(folder / "inference.csv", _inference(settings, torch, where, part(progress, 0.4, 0.9)))
    if settings.memory:
        tables.write(folder / "memory.csv", _memory(settings, torch, part(progress, 0.9, 1.0)))
    progress(1.0, "done")


def _training(settings: Settings, torch: bool, backend: Backend, progress: Progress) -> list[dict[str, Any]]:
    data = batches.of_images(4, settings.batch, lambda line: progress(0.0, line))
    sent = nets.on_backend(data, backend)
    width = settings.width
    calls: Calls = {("dense", None): nets.training("dense", width, 0, sent, backend)}
    if torch:
        calls["PyTorch, dense", None] = nets.torch_step("dense", width, 0, data)
    for rank in settings.training_ranks:
        calls["augmented BUG", rank] = nets.training("augmented BUG", width, rank, sent, backend)
        if torch:
            calls["PyTorch, low-rank", rank] = nets.torch_step("low-rank", width, rank, data)
    return _timed(calls, settings.repetitions, 2, backend, progress, "training")


def _inference(settings: Settings, torch: bool, backend: Backend, progress: Progress) -> list[dict[str, Any]]:
    x, _ = batches.images(settings.images, lambda line: progress(0.0, line))
    sent = backend.xp.asarray(x, device=backend.device)
    width, size = settings.width, settings.at_once
    calls: Calls = {("dense", None): nets.classifier(width, None, sent, size, backend)}
    sizes = nets.sizes(width)
    if torch:
        torch_mlp = importlib.import_module("experiments.bench.torch_mlp")
        calls["PyTorch, dense", None] = torch_mlp.dense_inference(sizes, x, size)
    for rank in settings.inference_ranks:
        calls["low-rank", rank] = nets.classifier(width, rank, sent, size, backend)
        if torch:
            calls["PyTorch, low-rank", rank] = torch_mlp.low_rank_inference(sizes, rank, x, size)
    return _timed(calls, max(2, settings.repetitions // 3), 1, backend, progress, "inference")


def _timed(
    calls: Calls, repetitions: int, warm_up: int, backend: Backend, progress: Progress, what: str
) -> list[dict[str, Any]]:
    """Time all calls in turn and return a row each."""
    progress(0.1, f"{what}, {len(calls)} nets, {repetitions} times each")
    named = {repr(key): call for key, call in calls.items()}
    times = samples(named, repetitions, warm_up=warm_up, batch=0.0, pause=0.03, clock=device_clock(backend))
    return [
        {
            "what": name,
            "rank": rank,
            "mean": statistics.fmean(times[repr((name, rank))]),
            "deviation": statistics.stdev(times[repr((name, rank))]),
            "median": statistics.median(times[repr((name, rank))]),
            "repetitions": repetitions,
        }
        for name, rank in calls
    ]


def _memory(settings: Settings, torch: bool, progress: Progress) -> list[dict[str, Any]]:
    rows = []
    whats = ("augmented BUG", "dense", *(("PyTorch, dense", "PyTorch, low-rank") if torch else ()))
    for k, what in enumerate(whats):
        progress(k / len(whats), f"memory of training, {what}")
        rows.append({"what": what, "megabytes": memory.peak(what, settings.width, 20, settings.batch)})
    return rows
