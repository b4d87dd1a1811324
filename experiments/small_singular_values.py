"""LeNet5 of fixed rank from starts whose singular values decay: DLRT against vanilla W = A B^T, from the same matrices.

The singular values of every weight at the start are replaced by ``base**-k``, k = 0, 1, ..., its bases and norm kept.
The low-rank manifold is strongly curved there, by the inverse of the smallest singular value: gradient descent on two
factors feels that, and an integrator that is robust to small singular values does not. All factors of the vanilla net
are trained, its first two convolutions included, and its factors share the singular values evenly.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import parts, tables
from experiments.progress import Progress
from matode import AugmentedBUG, FullRank, Integrator, euler
from matode._array import Backend, default_rng, get_backend
from nn import Epoch, FrozenRank, Module, data, lenet5, train
from nn.baselines import decayed, split, two_factors

__all__ = ["FULL", "QUICK", "Settings", "run"]

METHODS = ("dlrt", "factors")


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment, by default those of the paper's comparison.

    Attributes
    ----------
    bases : tuple of float
        Decay of the singular values; 1 makes them all equal, and is what the others are compared with.
    rank : int
        Of the two convolutions and the first linear weight, where their shape allows it; the head is dense.
    lr : float
        Constant, plain stochastic gradient descent.
    seeds : tuple of int
    epochs, batch_size, train_examples, test_examples : int
    dtype : str
    """

    bases: tuple[float, ...] = (1.0, 2.0, 10.0)
    rank: int = 20
    lr: float = 0.01
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
    epochs: int = 10
    batch_size: int = 128
    train_examples: int = 60_000
    test_examples: int = 10_000
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if 1.0 not in self.bases or min(self.bases) < 1.0:
            raise ValueError(f"bases: expected 1 and numbers above it, got {self.bases}")
        if not self.seeds or min(self.epochs, self.batch_size, self.rank, self.train_examples, self.test_examples) < 1:
            raise ValueError(
                "there must be a seed, and epochs, batch_size, rank and the numbers of examples at least 1"
            )


FULL = Settings()
QUICK = Settings(bases=(1.0, 10.0), seeds=(0, 1), epochs=2, train_examples=2_000, test_examples=1_000)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Train both forms from every start; write ``epochs.csv`` and ``summary.csv``."""
    where = get_backend(backend) if isinstance(backend, str) else backend
    examples = data.load("mnist").head(settings.train_examples, settings.test_examples)
    names = {f"{method}-{base:g}": (method, base) for base in settings.bases for method in METHODS}

    def compute(name: str, seed: int, progress: Progress) -> list[dict[str, Any]]:
        return _trained(*names[name], seed, settings, examples, where, progress)

    found = parts.collect(list(names), settings.seeds, folder, compute, progress)
    ends = {pair: 100 * rows[-1]["test_accuracy"] for pair, rows in found.items()}
    summary = [
        _summary(method, base, [(ends[name, s], ends[f"{method}-1", s]) for s in settings.seeds])
        for name, (method, base) in names.items()
    ]
    tables.write(folder / "summary.csv", summary)
    progress(1.0, "")


def _trained(
    method: str,
    base: float,
    seed: int,
    settings: Settings,
    examples: data.Dataset,
    backend: Backend,
    progress: Progress,
) -> list[dict[str, Any]]:
    ranks = [min(settings.rank, side) for side in (20, 50, 500)]
    model: Module = lenet5([*ranks, None])
    Y = decayed(model.init(default_rng((seed, 0)), backend, settings.dtype), base)
    integrator: Integrator = FrozenRank(AugmentedBUG(euler))
    if method == "factors":
        model, Y, integrator = two_factors(model), split(Y), FullRank(euler)
    rows: list[dict[str, Any]] = []

    def record(epoch: Epoch, Y: Any) -> None:
        rows.append(
            {
                "method": method,
                "base": base,
                "epoch": epoch.epoch,
                "loss": epoch.loss,
                "test_accuracy": epoch.test_accuracy,
                "seconds": round(epoch.seconds, 2),
            }
        )
        note = f"{method}, decay {base:g}, seed {seed}, epoch {epoch.epoch}: {100 * epoch.test_accuracy:.2f} %"
        progress(epoch.epoch / settings.epochs, note)

    train(
        model,
        examples,
        integrator,
        epochs=settings.epochs,
        lr=settings.lr,
        batch_size=settings.batch_size,
        seed=seed,
        dtype=settings.dtype,
        backend=backend,
        start=Y,
        callback=record,
    )
    return rows


def _summary(method: str, base: float, ends: list[tuple[float, float]]) -> dict[str, Any]:
    """Return the mean over the seeds and how far it is below the undecayed start, each with a 95 % interval."""
    accuracies, gaps = [a for a, _ in ends], [b - a for a, b in ends]
    return {
        "method": method,
        "base": base,
        "seeds": len(ends),
        "test_percent": statistics.fmean(accuracies),
        "half_width": _half_width(accuracies),
        "gap": statistics.fmean(gaps),
        "gap_half_width": _half_width(gaps),
    }


def _half_width(values: list[float]) -> float | None:
    """Return half the width of Student's 95 % confidence interval of the mean."""
    from scipy.stats import t

    n = len(values)
    return float(t.ppf(0.975, n - 1)) * statistics.stdev(values) / math.sqrt(n) if n > 1 else None
