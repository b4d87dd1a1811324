"""LeNet5 within a budget of parameters: accuracy against size, several seeds, beside the table of the DLRT paper.

Every low-rank setting is one recipe: the weights start at a larger rank, a cap lowers it geometrically to the ranks of
the setting, and the rest of the training is at these ranks; heavy-ball momentum throughout, the learning rate following
a cosine to zero, all bases and dense blocks moving. The net is the paper's, so is the count of parameters: r (m + n)
per low-rank weight, all entries of a dense one, biases left out.

A long run may be interrupted: it goes on at the pair of setting and seed where it was.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import parts, tables
from experiments.progress import Progress
from matode import AugmentedBUG, FullRank, Integrator, PerBlock, Rank, euler
from matode._array import Backend, get_backend
from nn import Epoch, HeavyBall, Phases, WeightDecay, count_parameters, data, lenet5, schedules, train

__all__ = ["FULL", "QUICK", "RECIPES", "Recipe", "Settings", "caps", "method", "run"]


@dataclass(frozen=True)
class Recipe:
    """How one point of the trade-off is trained.

    Attributes
    ----------
    ranks, start : tuple of int or None
        Final and initial ranks of the four weights, the head last; None for the dense net.
    shrinking : float
        Share of the training over which the cap falls from ``start`` to ``ranks``.
    lr, momentum, decay : float
        Learning rate, rate of the heavy ball, and rate of the weight decay.
    published : tuple of (parameters, test accuracy in %)
        The row of the paper's Table 1 that it is to be compared with, competitors included.
    """

    ranks: tuple[int, ...] | None
    start: tuple[int, ...] | None
    shrinking: float = 0.5
    lr: float = 0.1
    momentum: float = 0.9
    decay: float = 0.01
    published: tuple[int, float] = (0, 0.0)


RECIPES: dict[str, Recipe] = {
    "dense": Recipe(None, None, published=(430_500, 99.2)),
    "47975": Recipe((15, 17, 22, 9), (20, 40, 60, 10), published=(47_975, 98.9)),
    "30000": Recipe((12, 13, 13, 9), (20, 40, 60, 10), published=(30_000, 98.97)),
    "25650": Recipe((10, 12, 11, 8), (20, 40, 60, 10), published=(25_650, 98.7)),
    "18075": Recipe((8, 10, 7, 6), (20, 30, 40, 10), published=(18_075, 98.67)),
    "15520": Recipe((8, 8, 6, 5), (20, 30, 40, 10), published=(15_520, 98.0)),
}
"""By the number of parameters that a row of the published table has, and that the setting does not exceed."""


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment.

    Attributes
    ----------
    recipes : tuple of str
        Names in :data:`RECIPES`.
    seeds : tuple of int
        Of weights and batches.
    epochs, batch_size : int
    train_examples, test_examples : int
        The first so many of MNIST.
    warmup : float
        Epochs over which the learning rate grows from a tenth.
    dtype : str
    """

    recipes: tuple[str, ...] = ("30000", "18075", "15520", "47975", "25650", "dense")
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    epochs: int = 20
    batch_size: int = 128
    train_examples: int = 60_000
    test_examples: int = 10_000
    warmup: float = 0.25
    dtype: str = "float32"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.recipes) - set(RECIPES))
        if unknown:
            raise ValueError(f"recipes: there is no {unknown[0]!r}, expected some of {', '.join(RECIPES)}")
        if not self.seeds or min(self.epochs, self.batch_size, self.train_examples, self.test_examples) < 1:
            raise ValueError("there must be a seed, and epochs, batch_size and the numbers of examples at least 1")


FULL = Settings()
QUICK = Settings(recipes=("18075", "dense"), seeds=(0,), epochs=2, train_examples=6_000, test_examples=2_000)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Train every recipe with every seed; write ``epochs.csv``, one row an epoch, ``summary.csv``, and the weights."""
    where = get_backend(backend) if isinstance(backend, str) else backend
    examples = data.load("mnist").head(settings.train_examples, settings.test_examples)

    def compute(name: str, seed: int, progress: Progress) -> tuple[list[dict[str, Any]], Any]:
        return _trained(name, seed, settings, examples, where, progress)

    found = parts.collect(settings.recipes, settings.seeds, folder, compute, progress)
    tables.write(folder / "summary.csv", [_summary(name, found) for name in settings.recipes])
    progress(1.0, "")


def _trained(
    name: str,
    seed: int,
    settings: Settings,
    examples: data.Dataset,
    backend: Backend,
    progress: Progress,
) -> tuple[list[dict[str, Any]], Any]:
    """Train one recipe with one seed and return its rows, and the weights."""
    recipe = RECIPES[name]
    rows: list[dict[str, Any]] = []

    def record(epoch: Epoch, Y: Any) -> None:
        ranks = epoch.ranks or (None,) * 4
        rows.append(
            {
                "epoch": epoch.epoch,
                "loss": epoch.loss,
                "test_accuracy": epoch.test_accuracy,
                **{f"rank_{i}": rank for i, rank in enumerate(ranks, start=1)},
                "parameters": count_parameters(Y, biases=False).evaluation,
                "seconds": round(epoch.seconds, 2),
            }
        )
        note = f"{name}, seed {seed}, epoch {epoch.epoch}: {100 * epoch.test_accuracy:.2f} %"
        progress(epoch.epoch / settings.epochs, note)

    per_epoch = math.ceil(len(examples.y_train) / settings.batch_size)
    result = train(
        lenet5(recipe.start),
        examples,
        method(recipe, per_epoch * settings.epochs),
        epochs=settings.epochs,
        lr=recipe.lr,
        batch_size=settings.batch_size,
        seed=seed,
        schedule=schedules.cosine(settings.epochs, warmup=min(settings.warmup, settings.epochs / 4), initial=0.1),
        dtype=settings.dtype,
        backend=backend,
        callback=record,
    )
    return rows, result.Y


def method(recipe: Recipe, steps: int) -> Integrator:
    """Return the integrator of a recipe for a training of so many steps."""
    base: Integrator = FullRank(euler)
    if recipe.ranks is not None and recipe.start is not None:
        falling = caps(recipe.start, recipe.ranks, max(1, round(recipe.shrinking * steps)))
        base = Phases(
            tuple((step, AugmentedBUG(euler, PerBlock(*(Rank(r) for r in ranks)))) for step, ranks in falling.items())
        )
    moving = HeavyBall(base, recipe.momentum)
    return WeightDecay(moving, recipe.decay) if recipe.decay else moving


def caps(start: Sequence[int], ranks: Sequence[int], steps: int) -> dict[int, tuple[int, ...]]:
    """Return the steps at which the caps change, and the caps: ``start`` at step 0, ``ranks`` at step ``steps``."""
    falling: dict[int, tuple[int, ...]] = {}
    for step in range(steps + 1):
        now = tuple(max(b, round(a * (b / a) ** (step / steps))) for a, b in zip(start, ranks, strict=True))
        if not falling or now != falling[max(falling)]:
            falling[step] = now
    return falling


def _summary(name: str, found: dict[tuple[str, int], list[dict[str, Any]]]) -> dict[str, Any]:
    """Return mean and spread of the last epoch over the seeds, beside the published row."""
    last = [rows[-1] for (setting, _), rows in found.items() if setting == name]
    accuracies = [100 * row["test_accuracy"] for row in last]
    parameters, published = RECIPES[name].published
    return {
        "setting": name,
        "seeds": len(last),
        "parameters": max(row["parameters"] for row in last),
        "test_percent": statistics.fmean(accuracies),
        "deviation": statistics.stdev(accuracies) if len(last) > 1 else None,
        "worst": min(accuracies),
        "published_parameters": parameters,
        "published_percent": published,
        "seconds": sum(row["seconds"] for setting, rows in found.items() if setting[0] == name for row in rows),
    }
