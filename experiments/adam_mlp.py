"""Adam in the rank-adaptive phase on a net of five layers: the consistent form, the factor-wise one, the published one.

Same net, start, data, batches, learning rates and truncation tolerance. ``adam`` is :class:`nn.optim.Adam` around
augmented BUG. ``factor-wise`` is Adam on K, L and S with moments that outlive their bases; ``published`` is the same
with the published truncation on top, that is what the public codes do.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import parts, tables
from experiments.progress import Progress
from matode import AugmentedBUG, Integrator, Relative, euler
from matode._array import Backend, get_backend
from nn import Adam, Epoch, data, mlp_of, schedules, train
from nn.baselines_published import FactorAdam

__all__ = ["FULL", "QUICK", "Settings", "methods", "run"]


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment.

    Attributes
    ----------
    methods : tuple of str
        Some of ``adam``, ``factor-wise`` and ``published``.
    width, depth, rank : int
        Features of a hidden layer, number of layers, initial rank of all weights but the head.
    tau, lr : float
        Relative truncation tolerance; learning rate, which follows a cosine to zero.
    seeds : tuple of int
    epochs, batch_size, train_examples, test_examples : int
    dtype : str
    """

    methods: tuple[str, ...] = ("adam", "factor-wise", "published")
    width: int = 500
    depth: int = 5
    rank: int = 100
    tau: float = 0.05
    lr: float = 1e-3
    seeds: tuple[int, ...] = (0, 1, 2)
    epochs: int = 5
    batch_size: int = 256
    train_examples: int = 60_000
    test_examples: int = 10_000
    dtype: str = "float32"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.methods) - set(methods(self.tau)))
        if unknown:
            raise ValueError(f"methods: there is no {unknown[0]!r}, expected some of {', '.join(methods(self.tau))}")
        if not self.seeds or min(self.epochs, self.batch_size, self.rank, self.train_examples, self.test_examples) < 1:
            raise ValueError("there must be a seed, and epochs, batch_size, rank and numbers of examples at least 1")


def methods(tau: float) -> dict[str, Integrator]:
    """Return the methods by name, at a truncation tolerance."""
    rule = Relative(tau)
    return {
        "adam": Adam(AugmentedBUG(euler, rule)),
        "factor-wise": FactorAdam(rule),
        "published": FactorAdam(rule, published=True),
    }


FULL = Settings()
QUICK = Settings(seeds=(0,), epochs=2, train_examples=10_000, test_examples=2_000)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Train with every method; write ``epochs.csv``, and ``summary.csv`` with the last epoch beside the best."""
    where = get_backend(backend) if isinstance(backend, str) else backend
    examples = data.load("mnist").head(settings.train_examples, settings.test_examples)
    known = methods(settings.tau)
    model = mlp_of(settings.width, settings.depth, inputs=examples.features, outputs=10, rank=settings.rank)

    def compute(name: str, seed: int, progress: Progress) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []

        def record(epoch: Epoch, Y: Any) -> None:
            rows.append(
                {
                    "epoch": epoch.epoch,
                    "loss": epoch.loss,
                    "test_accuracy": epoch.test_accuracy,
                    **{f"rank_{i}": rank for i, rank in enumerate(epoch.ranks, start=1)},
                    "parameters": epoch.parameters.evaluation,
                    "seconds": round(epoch.seconds, 2),
                }
            )
            progress(epoch.epoch / settings.epochs, f"{name}, seed {seed}: {100 * epoch.test_accuracy:.2f} %")

        train(
            model,
            examples,
            known[name],
            epochs=settings.epochs,
            lr=settings.lr,
            batch_size=settings.batch_size,
            seed=seed,
            schedule=schedules.cosine(settings.epochs),
            dtype=settings.dtype,
            backend=where,
            callback=record,
        )
        return rows

    found = parts.collect(settings.methods, settings.seeds, folder, compute, progress)
    tables.write(folder / "summary.csv", [_summary(name, settings, found) for name in settings.methods])
    progress(1.0, "")


def _summary(name: str, settings: Settings, found: dict[tuple[str, int], list[dict[str, Any]]]) -> dict[str, Any]:
    curves = [[100 * row["test_accuracy"] for row in found[name, seed]] for seed in settings.seeds]
    return {
        "method": name,
        "seeds": len(curves),
        "last_percent": statistics.fmean(curve[-1] for curve in curves),
        "worst_last_percent": min(curve[-1] for curve in curves),
        "largest_drop_from_best": max(max(curve) - curve[-1] for curve in curves),
    }
