"""Accuracy against size: nets of five layers trained at several truncation tolerances, then tuned at fixed rank.

The study of the DLRT paper: rank-adaptive training with the tolerance tau, then the ranks are frozen and training goes
on. Every tolerance gets the same recipe: all low-rank weights start at rank ``rank``, heavy-ball momentum, and a weight
decay that lets fade what is not learned, so that the tolerance cuts it off; the learning rate follows one cosine over
both phases. The dense net has the same settings.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import parts, tables
from experiments.progress import Progress
from matode import AugmentedBUG, FullRank, Integrator, Relative, euler
from matode._array import Backend, default_rng, get_backend
from nn import (
    Epoch,
    FrozenRank,
    HeavyBall,
    Phases,
    WeightDecay,
    count_parameters,
    data,
    mlp_of,
    schedules,
    train,
)
from nn.parameters import ranks
from nn.train import steps_per_epoch

__all__ = ["FULL", "QUICK", "Settings", "run"]


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment.

    Attributes
    ----------
    widths : tuple of int
        Features of a hidden layer.
    taus : tuple of float
        Relative truncation tolerances of the adaptive phase.
    dense : bool
        Whether the dense net of each width is trained as well.
    depth, rank : int
        Number of layers; initial rank of all weights but the head, which is dense.
    seeds : tuple of int
        Of weights and batches.
    adaptive, fixed : int
        Epochs of the two phases.
    lr, warmup, momentum, decay : float
        Learning rate, the epochs over which it grows from a tenth, rate of the heavy ball, rate of the weight decay.
    batch_size, train_examples, test_examples : int
    dtype : str
    """

    widths: tuple[int, ...] = (500, 784)
    taus: tuple[float, ...] = (0.03, 0.05, 0.07, 0.09, 0.11, 0.13, 0.15, 0.17)
    dense: bool = True
    depth: int = 5
    rank: int = 60
    seeds: tuple[int, ...] = (0, 1, 2)
    adaptive: int = 3
    fixed: int = 6
    lr: float = 0.3
    warmup: float = 0.25
    momentum: float = 0.9
    decay: float = 0.015
    batch_size: int = 256
    train_examples: int = 60_000
    test_examples: int = 10_000
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if not (self.seeds and self.widths and self.taus):
            raise ValueError("there must be a seed, a width and a tolerance")
        if min(self.adaptive, self.fixed, self.batch_size, self.train_examples, self.test_examples) < 1:
            raise ValueError("adaptive, fixed, batch_size and the numbers of examples must be at least 1")

    @property
    def epochs(self) -> int:
        """Epochs of both phases together."""
        return self.adaptive + self.fixed


FULL = Settings()
QUICK = Settings(
    widths=(500,),
    taus=(0.05, 0.15),
    rank=40,
    seeds=(0,),
    adaptive=1,
    fixed=1,
    train_examples=6_000,
    test_examples=2_000,
)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Train at every width and tolerance; write ``epochs.csv``, from epoch 0, and ``summary.csv``."""
    where = get_backend(backend) if isinstance(backend, str) else backend
    examples = data.load("mnist").head(settings.train_examples, settings.test_examples)
    taus = (*settings.taus, *((None,) if settings.dense else ()))
    names = {_name(width, tau): (width, tau) for width in settings.widths for tau in taus}

    def compute(name: str, seed: int, progress: Progress) -> tuple[list[dict[str, Any]], Any]:
        return _trained(*names[name], seed, settings, examples, where, progress)

    found = parts.collect(list(names), settings.seeds, folder, compute, progress)
    tables.write(
        folder / "summary.csv", [_summary([found[name, seed] for seed in settings.seeds], settings) for name in names]
    )
    progress(1.0, "")


def _trained(
    width: int,
    tau: float | None,
    seed: int,
    settings: Settings,
    examples: data.Dataset,
    backend: Backend,
    progress: Progress,
) -> tuple[list[dict[str, Any]], Any]:
    """Train one net and return its rows, one an epoch from epoch 0, the start, on; and the weights."""
    rank = None if tau is None else min(settings.rank, width)
    model = mlp_of(width, settings.depth, inputs=examples.features, outputs=examples.classes, rank=rank)
    start = model.init(default_rng((seed, 0)), backend, settings.dtype)
    rows: list[dict[str, Any]] = []

    def record(Y: Any, epoch: Epoch | None = None) -> None:
        count = count_parameters(Y, biases=False)
        now = ranks(Y) or (None,) * (settings.depth - 1)
        rows.append(
            {
                "width": width,
                "tau": tau,
                "epoch": epoch.epoch if epoch else 0,
                "loss": epoch and epoch.loss,
                "test_accuracy": epoch and epoch.test_accuracy,
                **{f"rank_{i}": r for i, r in enumerate(now, start=1)},
                "parameters": count.evaluation,
                "training_parameters": count.training,
                "seconds": epoch and round(epoch.seconds, 2),
            }
        )
        if epoch:
            note = f"{_name(width, tau)}, seed {seed}, epoch {epoch.epoch}: {100 * epoch.test_accuracy:.2f} %"
            progress(epoch.epoch / settings.epochs, note)

    record(start)
    result = train(
        model,
        examples,
        _method(tau, settings, steps_per_epoch(examples, settings.batch_size)),
        epochs=settings.epochs,
        lr=settings.lr,
        batch_size=settings.batch_size,
        seed=seed,
        schedule=schedules.cosine(settings.epochs, warmup=settings.warmup, initial=0.1),
        dtype=settings.dtype,
        backend=backend,
        start=start,
        callback=lambda epoch, Y: record(Y, epoch),
    )
    return rows, result.Y


def _method(tau: float | None, settings: Settings, per_epoch: int) -> Integrator:
    """Return the adaptive phase and the one at fixed rank as one integrator; or dense training."""
    base: Integrator = FullRank(euler)
    if tau is not None:
        adaptive = AugmentedBUG(euler, Relative(tau))
        base = Phases.by_epoch(per_epoch, {0: adaptive, settings.adaptive: FrozenRank(adaptive)})
    return WeightDecay(HeavyBall(base, settings.momentum), settings.decay)


def _name(width: int, tau: float | None) -> str:
    return f"{width}-{'dense' if tau is None else f'{tau:g}'}"


def _summary(runs: list[list[dict[str, Any]]], settings: Settings) -> dict[str, Any]:
    """Return means over the seeds: both phases, ranks, and the numbers of parameters."""
    last = [rows[-1] for rows in runs]
    accuracies = [100 * row["test_accuracy"] for row in last]
    keys = [key for key in last[0] if key.startswith("rank_")]
    low_rank = last[0]["tau"] is not None
    return {
        "width": last[0]["width"],
        "tau": last[0]["tau"],
        "seeds": len(last),
        "test_percent": statistics.fmean(accuracies),
        "deviation": statistics.stdev(accuracies) if len(last) > 1 else None,
        "worst": min(accuracies),
        "adaptive_percent": statistics.fmean(100 * rows[settings.adaptive]["test_accuracy"] for rows in runs),
        **{key: statistics.fmean(row[key] for row in last) if low_rank else None for key in keys},
        "parameters": statistics.fmean(row["parameters"] for row in last),
        "most_parameters": max(row["parameters"] for row in last),
        "training_parameters": statistics.fmean(row["training_parameters"] for row in last),
        "seconds": sum(row["seconds"] for rows in runs for row in rows[1:]),
    }
