"""The published truncation (V* for V) against the correct one over several seeds: which loss is lower after each epoch.

Net, data, start, batches and learning rates of ``published-defect``; only the seeds are more, and nothing is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import mnist_mlp, parts, published_defect, tables
from experiments.progress import Progress
from matode import Relative, euler
from matode._array import Backend, get_backend
from nn import Epoch, data, mlp, schedules, train

__all__ = ["FULL", "QUICK", "Settings", "run"]


@dataclass(frozen=True)
class Settings(mnist_mlp.Settings):
    """Settings of the experiment: those of ``published-defect``, with seeds in place of the one seed.

    Attributes
    ----------
    seeds : tuple of int
        Of weights and batches.
    """

    tau: float = 0.05
    epochs: int = 5
    small_epochs: int = 5
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.seeds:
            raise ValueError("seeds: expected at least one")


FULL = Settings()
QUICK = Settings(data="digits", width=200, rank=40, hidden=3, small_epochs=2, seeds=(0, 1, 2))


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Train with both truncations and every seed; write ``epochs.csv``, and ``seeds.csv`` with one row a seed."""
    where = get_backend(backend) if isinstance(backend, str) else backend
    examples = data.load(settings.data)
    used = mnist_mlp.fitted(settings, examples)
    model = mlp(used.sizes, rank=[*used.ranks, None])
    kinds = published_defect.TRUNCATIONS

    def compute(name: str, seed: int, progress: Progress) -> list[dict[str, Any]]:
        def record(epoch: Epoch, Y: Any) -> None:
            note = f"{name}, seed {seed}, epoch {epoch.epoch}: loss {epoch.loss:.4f}"
            progress(epoch.epoch / used.epochs, note)

        result = train(
            model,
            examples,
            kinds[name](euler, Relative(settings.tau)),
            epochs=used.epochs,
            lr=settings.lr,
            batch_size=used.batch_size,
            seed=seed,
            schedule=schedules.cosine(used.epochs, settings.final),
            dtype=settings.dtype,
            backend=where,
            start=mnist_mlp.start(model, settings, where, seed),
            callback=record,
        )
        return [
            {"epoch": e.epoch, "loss": e.loss, "test_accuracy": e.test_accuracy, "seconds": round(e.seconds, 2)}
            for e in result.history
        ]

    found = parts.collect(list(kinds), settings.seeds, folder, compute, progress)
    rows = [_compared(seed, found["correct", seed], found["published", seed]) for seed in settings.seeds]
    tables.write(folder / "seeds.csv", rows)
    progress(1.0, "")


def _compared(seed: int, correct: list[dict[str, Any]], published: list[dict[str, Any]]) -> dict[str, Any]:
    """Return whether the correct loss is the lower one after every epoch, and how far the ends are apart."""
    return {
        "seed": seed,
        "lower_in_every_epoch": all(a["loss"] < b["loss"] for a, b in zip(correct, published, strict=True)),
        "loss_correct": correct[-1]["loss"],
        "loss_published": published[-1]["loss"],
        "percent_correct": 100 * correct[-1]["test_accuracy"],
        "percent_published": 100 * published[-1]["test_accuracy"],
    }
