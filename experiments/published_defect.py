"""The published truncation that multiplies by V* where V belongs: which checks reject it, and what it costs.

After the Galerkin step the core is decomposed as ``S = P diag(s) Q*``, and the new right basis is ``V Q``. Library
functions return ``Q*``; the public codes of the DLRT paper take its columns as if they were those of Q. The result is
right only where S is nearly diagonal. Everything else here is the same: net, data, start, order of the batches,
learning rates.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import mnist_mlp, tables
from experiments.progress import Progress, part
from matode import AugmentedBUG, LowRank, Relative, euler
from matode._array import Backend, get_backend, host, to_host
from matode.testing import check_integrator
from nn import data, mlp, schedules, train
from nn.baselines_published import PublishedTruncation

__all__ = ["FULL", "QUICK", "Settings", "run"]


TRUNCATIONS = {"correct": AugmentedBUG, "published": PublishedTruncation}


@dataclass(frozen=True)
class Settings(mnist_mlp.Settings):
    """Settings of the experiment: those of ``mnist-mlp``, with both truncations in place of the dense net.

    Attributes
    ----------
    check_seed : int
        Seed of the conformance checks.
    """

    tau: float = 0.05
    epochs: int = 5
    small_epochs: int = 5
    check_seed: int = 0


FULL = Settings()
QUICK = Settings(epochs=2, small_epochs=3)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Check and train both; write ``checks.csv``, ``errors.csv``, ``epochs.csv``, ``steps.csv`` and ``data.csv``."""
    where = get_backend(backend) if isinstance(backend, str) else backend
    methods = {name: kind(euler, Relative(settings.tau)) for name, kind in TRUNCATIONS.items()}
    progress(0.0, "checking both truncations")
    tables.write(folder / "checks.csv", _checks(settings.check_seed))
    tables.write(folder / "errors.csv", _errors(settings.seed))

    examples = data.load(settings.data)
    progress(0.1, examples.reason)
    used = mnist_mlp.fitted(settings, examples)
    history: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for (name, method), share in zip(methods.items(), (0.1, 0.55), strict=True):
        model = mlp(used.sizes, rank=[*used.ranks, None])
        watch = mnist_mlp.Watch(settings.every)
        report = mnist_mlp.Reported(part(progress, share, share + 0.45), name, used.per_epoch * used.epochs)
        result = train(
            model,
            examples,
            mnist_mlp.Watched(method, (watch, report)),
            epochs=used.epochs,
            lr=settings.lr,
            batch_size=used.batch_size,
            seed=settings.seed,
            schedule=schedules.cosine(used.epochs, settings.final),
            dtype=settings.dtype,
            backend=where,
            start=mnist_mlp.start(model, settings, where),
            callback=report.epoch,
        )
        history += [mnist_mlp.row(name, epoch, settings.hidden) for epoch in result.history]
        curves += [
            {"net": name, "step": step, "epoch": step / used.per_epoch, "loss": loss} for step, loss, _ in watch.rows
        ]
    tables.write(folder / "epochs.csv", history)
    tables.write(folder / "steps.csv", curves)
    tables.write(folder / "data.csv", [used.row])
    progress(1.0, "")


def _checks(seed: int) -> list[dict[str, Any]]:
    """Return the outcome of every check that ran, for either truncation."""
    rows = []
    for name, kind in TRUNCATIONS.items():
        results = check_integrator(kind(euler), claims="augmented-bug", on_fail="report", seed=seed)
        rows += [
            {"net": name, "check": r.name, "status": r.status, "measured": r.measured, "bound": r.bound}
            for r in results
            if r.status != "skipped"
        ]
    return rows


def _errors(seed: int) -> list[dict[str, Any]]:
    """Return the relative error of one truncation of a random core at the tolerances of the paper."""
    rows = []
    for tau in (0.05, 0.11, 0.2):
        Y = LowRank.random((60, 40), 20, singular_values=[0.7**k for k in range(20)], rng=seed)
        exact = to_host(Y.to_dense())
        for name, kind in TRUNCATIONS.items():
            end = kind(euler, Relative(tau)).step(_still, 0.0, 1.0, (Y,)).Y[0]
            error = float(host.linalg.norm(to_host(end.to_dense()) - exact) / host.linalg.norm(exact))
            rows.append({"net": name, "tau": tau, "error": error})
    return rows


def _still(t: float, Y: Any) -> tuple[Any, ...]:
    """Return the field that is zero."""
    return tuple(0.0 * y for y in Y)
