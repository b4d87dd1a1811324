"""The published defects that no other experiment shows, each by a number, in some seconds and without any download.

``truncation.csv`` (defect 2)
    Spectra, tolerances, and the error of the published rank and of the right one.
``compression.csv`` (defect 3)
    LeNet5 with the published ranks: parameters as counted in the stored tables, without V, and all of them.
``factors.csv`` (defect 4)
    LeNet5 as ``W = A B^T`` with the factors of its convolutions frozen, as published, with all trained, and by DLRT.
``pruning.csv`` (defect 5)
    A dense net cut to every rank: with V built from rows of U, as published, and with V.
``scale.csv`` (defect 6)
    Five layers of width 500 and rank 20 from a start whose norm ignores the width, and from one of He's norm.
``memory.csv`` (defect 7)
    Numbers that a training step of LeNet5 holds at its peak, its weights included, against the rank.
``passes.csv`` (defect 8)
    Forward and backward passes of one step, and how far the results are apart.
``integrators.csv``
    Mistakes in public codes of integrators, see :mod:`experiments.integrator_mistakes`.

Training is on scikit-learn's digits, enlarged to 16 x 16 for LeNet5.
"""

from __future__ import annotations

import dataclasses
import math
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import tables
from experiments.integrator_mistakes import integrator_mistakes
from experiments.progress import Progress
from matode import Absolute, AugmentedBUG, FullRank, Integrator, LowRank, Rank, Relative, euler
from matode._array import Backend, default_rng, get_backend, host, to_host
from matode.linalg import qr
from matode.protocols import State, Step
from nn import FrozenRank, GradientFlow, Module, data, lenet5, mlp, train
from nn.baselines import prune, split, two_factors
from nn.baselines_published import published_pruned
from nn.parameters import count_parameters
from nn.train import accuracy

__all__ = ["FULL", "QUICK", "Settings", "run"]

LENET5_RANKS = {0.09: (10, 23, 62), 0.11: (10, 20, 48), 0.13: (9, 16, 37), 0.15: (9, 16, 28), 0.2: (8, 8, 15)}
"""Published ranks of LeNet5 by tau, of the repository's later run."""

LENET5_TRUE = {0.09: 77.1, 0.11: 81.7, 0.13: 85.5, 0.15: 88.2, 0.2: 93.2}
"""Their compression in %, with V and the head of 5000 numbers counted, without biases."""


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment.

    Attributes
    ----------
    epochs : int
        Of every training.
    lr, scale_lr : float
        Learning rates, of LeNet5 and the dense net, and of the deep net.
    batch_size, width, rank, seed : int
        ``width`` and ``rank`` are those of the deep net; LeNet5 has the same rank, where its layers allow it.
    """

    epochs: int = 4
    lr: float = 0.05
    scale_lr: float = 0.05
    batch_size: int = 32
    width: int = 500
    rank: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size, self.width, self.rank) < 1:
            raise ValueError("epochs, batch_size, width and rank: expected at least 1")


FULL = QUICK = Settings()


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Write all tables."""
    where = get_backend(backend) if isinstance(backend, str) else backend
    parts = {
        "truncation": _truncation,
        "compression": _compression,
        "integrators": lambda settings, where: integrator_mistakes(settings.seed),
        "passes": _passes,
        "memory": _memory,
        "pruning": _pruning,
        "scale": _scale,
        "factors": _factors,
    }
    for k, (name, part) in enumerate(parts.items()):
        progress(k / len(parts), name)
        tables.write(folder / f"{name}.csv", list(part(settings, where)))
    progress(1.0, "")


def published_rank(s: host.ndarray, tau: float) -> int:
    """Return the rank that the public code keeps of a core of 2r singular values: wrong on purpose.

    No tail has the last value, and where none is below the tolerance the answer is r.
    """
    half = len(s) // 2
    tails = (host.linalg.norm(s[j : 2 * half - 1]) for j in range(2 * half - 1))
    below = (j for j, tail in enumerate(tails) if tail < tau * host.linalg.norm(s))
    return max(next(below, half), 2)


def _truncation(settings: Settings, where: Backend) -> Iterator[dict[str, Any]]:
    spectra = {
        "40 equal values": (host.ones(40), 0.1),
        "2 large and 6 small": (host.asarray([1.0, 1.0, *[0.09] * 6]), 0.145),
    }
    for name, (s, tau) in spectra.items():
        size = float(host.linalg.norm(s))
        for rule, rank in (("published", published_rank(s, tau)), ("correct", Relative(tau).rank(s))):
            error = float(host.linalg.norm(s[rank:])) / size
            yield {"spectrum": name, "tau": tau, "rule": rule, "rank": rank, "error": error}


def _compression(settings: Settings, where: Backend) -> Iterator[dict[str, Any]]:
    for tau, ranks in LENET5_RANKS.items():
        blocks = lenet5([*ranks, None]).init(default_rng(0), where)
        counted = count_parameters(blocks, biases=False)
        stored = sum(r * (n + 1) for r, n in zip(ranks, (20, 50, 500), strict=True)) + 5000
        yield {
            "tau": tau,
            "ranks": " ".join(map(str, ranks)),
            "parameters": counted.evaluation,
            "percent": 100 * counted.compression,
            "as_stored": stored,
            "percent_as_stored": 100 * (1 - stored / counted.dense),
            "true_percent": LENET5_TRUE[tau],
        }


def _factors(settings: Settings, where: Backend) -> Iterator[dict[str, Any]]:
    digits = _enlarged()
    ranks = [min(settings.rank, side) for side in (20, 50, 50)]
    model = lenet5([*ranks, None], image=digits.shape)
    start = model.init(default_rng(settings.seed), where)
    vanilla, factors = two_factors(model), split(start)
    frozen = (0, 1, 3, 4)  # two factors and a bias of each convolution
    nets: dict[str, tuple[Module, State, Integrator]] = {
        "published": (vanilla, factors, _Frozen(FullRank(euler), frozen)),
        "correct": (vanilla, factors, FullRank(euler)),
        "dlrt": (model, start, FrozenRank(AugmentedBUG(euler))),
    }
    for name, (net, Y, integrator) in nets.items():
        yield from _epochs(name, net, digits, integrator, Y, settings.lr, settings, where)


def _pruning(settings: Settings, where: Backend) -> Iterator[dict[str, Any]]:
    digits, model = data.load("digits"), mlp((64, 64, 64, 10))
    result = train(
        model,
        digits,
        FullRank(euler),
        epochs=4 * settings.epochs,
        lr=settings.lr,
        batch_size=settings.batch_size,
        seed=settings.seed,
        backend=where,
    )
    whole = accuracy(model, result.Y, digits.x_test, digits.y_test)
    for rank in (4, 8, 16, 32, 64):
        cut, wrong = prune(result.Y, Rank(rank)), published_pruned(result.Y, rank)
        yield {
            "rank": rank,
            "published": accuracy(model, wrong, digits.x_test, digits.y_test),
            "correct": accuracy(model, cut, digits.x_test, digits.y_test),
            "dense": whole,
        }


def _scale(settings: Settings, where: Backend) -> Iterator[dict[str, Any]]:
    digits = data.load("digits")
    model = mlp((64, *[settings.width] * 4, 10), rank=settings.rank)
    he = model.init(default_rng(settings.seed), where)
    starts = {"published": State(_ignoring_width(y) for y in he), "correct": he}
    for name, start in starts.items():
        yield from _epochs(
            name, model, digits, FrozenRank(AugmentedBUG(euler)), start, settings.scale_lr, settings, where
        )


def _ignoring_width(y: Any) -> Any:
    """Return the weight with the norm of standard normal singular values, whatever its width."""
    if not isinstance(y, LowRank):
        return y
    return LowRank(y.U, y.S * (math.sqrt(y.rank) / y.norm()), y.V)


def _memory(settings: Settings, where: Backend) -> Iterator[dict[str, Any]]:
    x, labels = _batch(28, where)
    for rank in (0, 5, 10, 20, 40):  # 0 for dense
        model = lenet5([*(min(rank, side) for side in (20, 50, 500)), None] if rank else None)
        flow = GradientFlow(model, x, labels)
        method: Integrator = AugmentedBUG(euler, Absolute(1e-3)) if rank else FullRank(euler)
        tracemalloc.start()
        Y = model.init(default_rng(0), where)
        tracemalloc.reset_peak()
        method.step(flow, 0.0, 0.05, Y)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        yield {"rank": rank or None, "numbers": peak / 4}


def _passes(settings: Settings, where: Backend) -> Iterator[dict[str, Any]]:
    digits = data.load("digits")
    model = mlp((64, 30, 10), rank=5)
    Y = model.init(default_rng(0), where, "float64")
    x = where.xp.asarray(digits.x_train[:64].reshape(64, -1).astype("float64"), device=where.device)
    flow = GradientFlow(model, x, where.xp.asarray(digits.y_train[:64], device=where.device))
    h = 0.05
    once = AugmentedBUG(euler, Absolute(0.0)).step(flow, 0.0, h, Y).Y[0]
    yield {"form": "one evaluation", "passes": len(flow.losses), "difference": 0.0}
    flow = GradientFlow(model, x, where.xp.asarray(digits.y_train[:64], device=where.device))
    y = Y[0]
    K = y.U @ y.S + h * flow(0.0, Y)[0].right(y.V)
    L = y.V @ y.S.mT + h * flow(0.0, Y)[0].left(y.U)
    U, V = (qr(where.xp.concat(pair, axis=1))[0] for pair in ((y.U, K), (y.V, L)))
    S = (U.mT @ y.U) @ y.S @ (y.V.mT @ V) + h * flow(0.0, Y)[0].galerkin(U, V)
    apart = to_host(once.to_dense() - U @ S @ V.mT)
    difference = float(host.linalg.norm(apart))
    yield {"form": "one for each of K, L and S", "passes": len(flow.losses), "difference": difference}


@dataclass(frozen=True)
class _Frozen:
    """An integrator some blocks of which stay as they are."""

    integrator: Integrator
    blocks: tuple[int, ...]

    def step(self, field: Any, t: float, h: float, Y: tuple[Any, ...], memory: Any = None) -> Step:
        """Make the step, and put the frozen blocks back."""
        step = self.integrator.step(field, t, h, Y, memory)
        kept = State(old if i in self.blocks else new for i, (old, new) in enumerate(zip(Y, step.Y, strict=True)))
        return dataclasses.replace(step, Y=kept)


def _epochs(
    name: str,
    model: Module,
    examples: data.Dataset,
    integrator: Integrator,
    start: State,
    lr: float,
    settings: Settings,
    where: Backend,
) -> list[dict[str, Any]]:
    result = train(
        model,
        examples,
        integrator,
        epochs=settings.epochs,
        lr=lr,
        batch_size=settings.batch_size,
        seed=settings.seed,
        backend=where,
        start=start,
    )
    return [{"net": name, "epoch": e.epoch, "loss": e.loss, "test_accuracy": e.test_accuracy} for e in result.history]


def _enlarged() -> data.Dataset:
    """Return the digits with every pixel as 2 x 2."""
    digits = data.load("digits")
    larger = {name: _doubled(getattr(digits, name)) for name in ("x_train", "x_test")}
    return dataclasses.replace(digits, **larger)


def _doubled(x: host.ndarray) -> host.ndarray:
    return host.repeat(host.repeat(x, 2, axis=2), 2, axis=3)


def _batch(side: int, where: Backend) -> tuple[Any, Any]:
    """Return a batch of one image, so that the weights and their gradients are most of what is held."""
    x = default_rng(0).standard_normal((1, 1, side, side)).astype("float32")
    return where.xp.asarray(x, device=where.device), where.xp.asarray([3], device=where.device)
