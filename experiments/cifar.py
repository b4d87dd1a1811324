"""CIFAR: AlexNet, VGG16 and others with low-rank weights, the adaptive phase and then the cores alone.

The settings of the DLRT paper. ``alexnet`` and ``vgg16`` have low-rank weights in their two wide fully connected
layers; a name that ends in ``-all`` has them in all layers but the head. A run of these sizes is for a GPU and needs
the data set; ``data="synthetic"`` takes made-up images of the same shape instead, to see that everything runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import parts, tables
from experiments.progress import Progress
from matode import AugmentedBUG, Integrator, Relative, euler
from matode._array import Backend, default_rng, get_backend
from nn import CoreOnly, Epoch, HeavyBall, Module, Phases, alexnet, data, lenet5, resnet20, train, vgg16
from nn.train import steps_per_epoch

__all__ = ["FULL", "MODELS", "QUICK", "Settings", "method", "network", "run", "synthetic"]

_WIDE: Mapping[str, tuple[int, int]] = {"alexnet": (5, 8), "vgg16": (13, 16)}
"""Which is the first of the two wide layers, and how many layers there are."""

_ALL: Mapping[str, Callable[..., Module]] = {
    "vgg16-all": vgg16,
    "alexnet-all": alexnet,
    "lenet5-all": lambda rank, classes: lenet5(rank, image=(3, 32, 32), classes=classes),
    "resnet20-all": resnet20,
}

MODELS = (*_WIDE, *_ALL)
"""The networks by name."""


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment, by default those of the paper.

    Attributes
    ----------
    data : str
        "cifar-10", "cifar-100" or "synthetic".
    models : tuple of str
        Some of :data:`MODELS`.
    rank : int
        At the start, where the shape of a weight allows it.
    tau, lr, momentum : float
        Relative truncation tolerance; learning rate, which is constant; rate of the heavy ball.
    seeds : tuple of int
    epochs, tuning : int
        Of the adaptive phase, and of the phase in which only cores and dense blocks move, for the wide layers.
    all_epochs, all_tuning : int
        The same for the networks of which all layers have a low rank.
    batch_size, train_examples, test_examples : int
    dtype : str
    """

    data: str = "cifar-10"
    models: tuple[str, ...] = MODELS
    rank: int = 200
    tau: float = 0.1
    lr: float = 0.05
    momentum: float = 0.1
    seeds: tuple[int, ...] = (0,)
    epochs: int = 100
    tuning: int = 100
    all_epochs: int = 20
    all_tuning: int = 20
    batch_size: int = 16
    train_examples: int = 50_000
    test_examples: int = 10_000
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.data not in ("cifar-10", "cifar-100", "synthetic"):
            raise ValueError(f"data: expected cifar-10, cifar-100 or synthetic, got {self.data!r}")
        unknown = sorted(set(self.models) - set(MODELS))
        if unknown:
            raise ValueError(f"models: there is no {unknown[0]!r}, expected some of {', '.join(MODELS)}")
        if not self.seeds or min(self.epochs, self.tuning, self.all_epochs, self.all_tuning, self.rank) < 1:
            raise ValueError("there must be a seed, and the numbers of epochs and the rank must be at least 1")

    def lengths(self, name: str) -> tuple[int, int]:
        """Return the epochs of both phases."""
        return (self.all_epochs, self.all_tuning) if name in _ALL else (self.epochs, self.tuning)


FULL = Settings()
QUICK = Settings(
    data="synthetic",
    models=("alexnet", "resnet20-all"),
    rank=8,
    lr=0.002,
    epochs=1,
    tuning=1,
    all_epochs=1,
    all_tuning=1,
    batch_size=4,
    train_examples=8,
    test_examples=8,
)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Train every network with every seed; write ``epochs.csv``, and ``summary.csv`` with both phases."""
    where = get_backend(backend) if isinstance(backend, str) else backend
    given = synthetic() if settings.data == "synthetic" else data.load(settings.data)
    examples = given.head(settings.train_examples, settings.test_examples)

    def compute(name: str, seed: int, progress: Progress) -> list[dict[str, Any]]:
        epochs, tuning = settings.lengths(name)
        rows: list[dict[str, Any]] = []

        def record(epoch: Epoch, Y: Any) -> None:
            rows.append(
                {
                    "phase": "adaptive" if epoch.epoch <= epochs else "tuning",
                    "epoch": epoch.epoch,
                    "loss": epoch.loss,
                    "test_accuracy": epoch.test_accuracy,
                    "ranks": "-".join(map(str, epoch.ranks)),
                    "parameters": epoch.parameters.evaluation,
                    "compression": epoch.compression,
                    "seconds": round(epoch.seconds, 2),
                }
            )
            note = f"{name}, seed {seed}, epoch {epoch.epoch}: {100 * epoch.test_accuracy:.2f} %"
            progress(epoch.epoch / (epochs + tuning), note)

        train(
            network(name, settings.rank, examples.classes),
            examples,
            method(name, settings, steps_per_epoch(examples, settings.batch_size)),
            epochs=epochs + tuning,
            lr=settings.lr,
            batch_size=settings.batch_size,
            seed=seed,
            dtype=settings.dtype,
            backend=where,
            callback=record,
        )
        return rows

    found = parts.collect(settings.models, settings.seeds, folder, compute, progress)
    tables.write(folder / "summary.csv", [_summary(pair, rows, settings) for pair, rows in found.items()])
    progress(1.0, "")


def network(name: str, rank: int, classes: int) -> Module:
    """Return a network by its name, its low-rank weights at this rank or what they allow."""
    if name in _ALL:
        return _ALL[name](rank, classes=classes)
    first, layers = _WIDE[name]
    ranks = [rank if first <= k < first + 2 else None for k in range(layers)]
    return (alexnet if name == "alexnet" else vgg16)(ranks, classes=classes)


def method(name: str, settings: Settings, per_epoch: int) -> Integrator:
    """Return the adaptive phase and the one in fixed bases as one integrator."""
    phases = {0: AugmentedBUG(euler, Relative(settings.tau)), settings.lengths(name)[0]: CoreOnly(euler)}
    return HeavyBall(Phases.by_epoch(per_epoch, phases), settings.momentum)


def synthetic(examples: int = 64) -> data.Dataset:
    """Return made-up images of the shape of CIFAR's, bright in a stripe that says their class."""
    rng = default_rng(0)
    y = rng.integers(0, 10, examples)
    x = (0.1 * rng.standard_normal((examples, 3, 32, 32))).astype("float32")
    for image, label in zip(x, y, strict=True):
        image[:, 3 * label + 1 : 3 * label + 3] += 1.0
    half = examples // 2
    return data.Dataset("synthetic", x[:half], y[:half], x[half:], y[half:], "made up")


def _summary(pair: tuple[str, int], rows: list[dict[str, Any]], settings: Settings) -> dict[str, Any]:
    """Return the ends of both phases."""
    name, seed = pair
    before, last = rows[settings.lengths(name)[0] - 1], rows[-1]
    return {
        "model": name,
        "seed": seed,
        "adaptive_percent": 100 * before["test_accuracy"],
        "test_percent": 100 * last["test_accuracy"],
        "ranks": last["ranks"],
        "parameters": last["parameters"],
        "compression": last["compression"],
        "seconds": sum(row["seconds"] for row in rows),
    }
