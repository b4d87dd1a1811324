"""Pruning by singular values: a trained dense net truncated to several ranks, and the same nets after retraining.

The dense net is trained with Adam. Its weights, the head aside, are replaced by their best approximations of each rank:
the accuracy right away is that of SVD pruning. From there the net is trained on at fixed rank, as the DLRT paper does.
Beside the correct truncation stands the published one, which takes rows of the left basis for the right one.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import parts, tables
from experiments.progress import Progress, part
from matode import AugmentedBUG, FullRank, LowRank, Rank, State, euler
from matode._array import Backend, get_backend
from nn import Adam, FrozenRank, Module, accuracy, count_parameters, data, mlp_of, schedules, train
from nn.baselines import prune
from nn.baselines_published import published_pruned

__all__ = ["FULL", "QUICK", "Settings", "run"]


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment.

    Attributes
    ----------
    width, depth : int
        Features of a hidden layer, which are as many as an image has pixels; number of layers.
    ranks : tuple of int
        Of all weights but the head.
    seeds : tuple of int
    epochs, retraining : int
        Of the dense net, and of each pruned one.
    lr, retraining_lr : float
        Of Adam; either follows a cosine to zero.
    batch_size, train_examples, test_examples : int
    dtype : str
    """

    width: int = 784
    depth: int = 5
    ranks: tuple[int, ...] = (10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 4
    retraining: int = 2
    lr: float = 1e-3
    retraining_lr: float = 1e-3
    batch_size: int = 256
    train_examples: int = 60_000
    test_examples: int = 10_000
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if not self.seeds or not self.ranks or min(self.ranks) < 1 or max(self.ranks) > self.width:
            raise ValueError(f"there must be a seed, and ranks between 1 and the width, got {self.ranks}")
        if min(self.epochs, self.retraining, self.batch_size, self.train_examples, self.test_examples) < 1:
            raise ValueError("epochs, retraining, batch_size and the numbers of examples must be at least 1")


FULL = Settings()
QUICK = Settings(ranks=(10, 50), seeds=(0,), epochs=1, retraining=1, train_examples=4_000, test_examples=2_000)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Train, prune and retrain with every seed; write ``epochs.csv``, one row a rank, and ``summary.csv``."""
    where = get_backend(backend) if isinstance(backend, str) else backend
    examples = data.load("mnist").head(settings.train_examples, settings.test_examples)

    def compute(name: str, seed: int, progress: Progress) -> list[dict[str, Any]]:
        return _pruned(seed, settings, examples, where, progress)

    found = parts.collect(("ranks",), settings.seeds, folder, compute, progress)
    rows = [row for rows in found.values() for row in rows]
    tables.write(folder / "summary.csv", [_summary([row for row in rows if row["rank"] == r]) for r in _all(settings)])
    progress(1.0, "")


def _all(settings: Settings) -> tuple[int | None, ...]:
    """Return the ranks, and None for the dense net."""
    return (None, *settings.ranks)


def _pruned(
    seed: int, settings: Settings, examples: data.Dataset, backend: Backend, progress: Progress
) -> list[dict[str, Any]]:
    """Return one row for the dense net and one for each rank."""
    model = mlp_of(settings.width, settings.depth, inputs=examples.features, outputs=examples.classes)

    def trained(integrator: Any, epochs: int, lr: float, report: Progress, start: State | None = None) -> Any:
        return train(
            model,
            examples,
            Adam(integrator),
            epochs=epochs,
            lr=lr,
            batch_size=settings.batch_size,
            seed=seed,
            schedule=schedules.cosine(epochs),
            dtype=settings.dtype,
            backend=backend,
            start=start,
            callback=lambda epoch, Y: report(epoch.epoch / epochs, f"{100 * epoch.test_accuracy:.2f} %"),
        )

    share = settings.epochs / (settings.epochs + settings.retraining * len(settings.ranks))
    dense = trained(FullRank(euler), settings.epochs, settings.lr, part(progress, 0.0, share))
    rows = [_row(None, dense.Y, dense.history[-1].test_accuracy, None, None)]
    largest = max(settings.ranks)
    correct, published = prune(dense.Y, Rank(largest)), published_pruned(dense.Y, largest)
    for k, rank in enumerate(settings.ranks):
        begin = share + (1 - share) * k / len(settings.ranks)
        report = part(progress, begin, begin + (1 - share) / len(settings.ranks))
        start = _leading(correct, rank)
        result = trained(FrozenRank(AugmentedBUG(euler)), settings.retraining, settings.retraining_lr, report, start)
        rows.append(
            _row(
                rank,
                result.Y,
                _accuracy(model, start, examples, backend, settings.dtype),
                _accuracy(model, _leading(published, rank), examples, backend, settings.dtype),
                result.history[-1].test_accuracy,
            )
        )
    return rows


def _row(rank: int | None, Y: State, pruned: float, published: float | None, retrained: float | None) -> dict[str, Any]:
    return {
        "rank": rank,
        "parameters": count_parameters(Y, biases=False).evaluation,
        "pruned": pruned,
        "published": published,
        "retrained": retrained,
    }


def _leading(Y: State, rank: int) -> State:
    """Return the first columns of factors whose cores are diagonal: what pruning to this rank gives."""
    return State(LowRank(y.U[:, :rank], y.S[:rank, :rank], y.V[:, :rank]) if isinstance(y, LowRank) else y for y in Y)


def _accuracy(model: Module, Y: State, examples: data.Dataset, backend: Backend, dtype: str) -> float:
    xp = backend.xp
    x = xp.asarray(examples.x_test, dtype=getattr(xp, dtype), device=backend.device)
    return accuracy(model, Y, x, xp.asarray(examples.y_test, device=backend.device))


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return mean and spread over the seeds."""
    result: dict[str, Any] = {"rank": rows[0]["rank"], "seeds": len(rows), "parameters": rows[0]["parameters"]}
    for key in ("pruned", "published", "retrained"):
        values = [100 * row[key] for row in rows if row[key] is not None]
        result[f"{key}_percent"] = statistics.fmean(values) if values else None
        result[f"{key}_deviation"] = statistics.stdev(values) if len(values) > 1 else None
    return result
