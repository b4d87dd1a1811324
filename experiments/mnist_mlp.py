"""A fully connected net of five layers, trained by rank-adaptive DLRT and, for comparison, densely.

The first four layers are low-rank, the head is dense. DLRT is augmented BUG with Euler substeps on the gradient
flow of the batch loss, with the relative truncation tolerance tau: one gradient evaluation per step. The dense net
is trained by the same loop with the same settings, which is plain stochastic gradient descent.

The data is MNIST where it can be had, else scikit-learn's 8 x 8 digits with batches and epochs that suit 1437 examples.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments import tables
from experiments.progress import Progress, part
from matode import AugmentedBUG, FullRank, Integrator, LowRank, Relative, State, Step, euler
from matode._array import Backend, default_rng, get_backend
from nn import Epoch, Module, data, mlp, schedules, train

__all__ = ["FULL", "QUICK", "Reported", "Settings", "Task", "Watch", "Watched", "fitted", "row", "run", "start"]

SMALL = 10_000
"""Data sets with fewer training examples are small."""


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment.

    Attributes
    ----------
    data : str
        "auto" (MNIST, else the digits), "mnist" or "digits".
    width, hidden : int
        Width and number of the hidden layers; there is one low-rank weight per hidden layer.
    rank : int
        Initial rank of these weights, where their shape allows it.
    gain : float
        Norm of the hidden weights at the start, of either net, relative to that of a dense weight after He.
    tau : float
        A step discards at most tau ||W|| of every weight.
    lr : float
        Learning rate, that is the step size in the time of the gradient flow.
    final : float
        The learning rate follows half a cosine down to this share of ``lr`` at the end; 1 keeps it constant.
    batch_size, epochs, dense_epochs : int
        Of a data set that is not small.
    small_batch_size, small_epochs : int
        The same for a small data set, for both nets.
    every : int
        Steps between two rows of ``steps.csv``.
    seed : int
        Of weights and batches.
    dtype : str
        Of weights and inputs.
    """

    data: str = "auto"
    width: int = 500
    hidden: int = 4
    rank: int = 100
    gain: float = 0.3
    tau: float = 0.1
    lr: float = 0.8
    final: float = 0.0
    batch_size: int = 256
    epochs: int = 10
    dense_epochs: int = 10
    small_batch_size: int = 32
    small_epochs: int = 10
    every: int = 20
    seed: int = 0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.data not in ("auto", "mnist", "digits"):
            raise ValueError(f"data: expected auto, mnist or digits, got {self.data!r}")
        if min(self.epochs, self.dense_epochs, self.small_epochs, self.every, self.hidden, self.width) < 1:
            raise ValueError("epochs, dense_epochs, small_epochs, every, hidden and width must be at least 1")


FULL = Settings()
QUICK = Settings(epochs=3, dense_epochs=2)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Train both nets and write ``epochs.csv``, ``steps.csv`` and ``data.csv`` (what was trained on)."""
    where = get_backend(backend) if isinstance(backend, str) else backend
    progress(0.0, "reading the data")
    examples = data.load(settings.data)
    progress(0.0, examples.reason)
    task = fitted(settings, examples)
    lengths = {"dlrt": task.epochs, "dense": settings.small_epochs if task.small else settings.dense_epochs}
    models = {"dlrt": mlp(task.sizes, rank=[*task.ranks, None]), "dense": mlp(task.sizes)}
    methods: dict[str, Integrator] = {
        "dlrt": AugmentedBUG(euler, Relative(settings.tau)),
        "dense": FullRank(euler),
    }
    per_epoch = task.per_epoch
    cost = {"dlrt": lengths["dlrt"], "dense": 2.5 * lengths["dense"]}  # an estimate, for the progress alone
    share = cost["dlrt"] / sum(cost.values())
    history: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    for net, begin, end in (("dlrt", 0.0, share), ("dense", share, 1.0)):
        watch = Watch(settings.every)
        report = Reported(part(progress, begin, end), net, per_epoch * lengths[net])
        result = train(
            models[net],
            examples,
            Watched(methods[net], (watch, report)),
            epochs=lengths[net],
            lr=settings.lr,
            batch_size=task.batch_size,
            seed=settings.seed,
            schedule=schedules.cosine(lengths[net], settings.final),
            dtype=settings.dtype,
            backend=where,
            start=start(models[net], settings, where),
            callback=report.epoch,
        )
        history += [row(net, epoch, settings.hidden) for epoch in result.history]
        curves += [
            {
                "net": net,
                "step": step,
                "epoch": step / per_epoch,
                "loss": loss,
                **_numbered("rank", ranks or [None] * settings.hidden),
            }
            for step, loss, ranks in watch.rows
        ]
    tables.write(folder / "epochs.csv", history)
    tables.write(folder / "steps.csv", curves)
    tables.write(
        folder / "data.csv",
        [task.row],
    )
    progress(1.0, "")


@dataclass(frozen=True)
class Task:
    """What the settings come to on a data set.

    Attributes
    ----------
    small : bool
        Whether the data set has its own batch size and number of epochs.
    batch_size, per_epoch, epochs : int
        Examples in a step, steps in an epoch, epochs of the low-rank net.
    sizes, ranks : tuple of int
        Features of every layer, the input's first, and the start ranks of the hidden layers.
    row : mapping
        The same for ``data.csv``.
    """

    small: bool
    batch_size: int
    per_epoch: int
    epochs: int
    sizes: tuple[int, ...]
    ranks: tuple[int, ...]
    row: dict[str, Any]


def fitted(settings: Settings, examples: data.Dataset) -> Task:
    """Return what the settings come to on a data set."""
    count = len(examples.y_train)
    small = count < SMALL
    batch = settings.small_batch_size if small else settings.batch_size
    sizes = (examples.features, *[settings.width] * settings.hidden, 10)
    return Task(
        small=small,
        batch_size=batch,
        per_epoch=math.ceil(count / batch),
        epochs=settings.small_epochs if small else settings.epochs,
        sizes=sizes,
        ranks=tuple(min(settings.rank, a, b) for a, b in itertools.pairwise(sizes[:-1])),
        row={
            "data": examples.name,
            "train_examples": count,
            "test_examples": len(examples.y_test),
            "layers": "-".join(map(str, sizes)),
            "batch_size": batch,
        },
    )


@dataclass(frozen=True)
class Watched:
    """An integrator whose steps are shown to some observers, ``observer(field, before, after)``."""

    integrator: Integrator
    observers: tuple[Callable[[Any, Any, Any], None], ...]

    def step(self, field: Any, t: float, h: float, Y: tuple[Any, ...], memory: Any = None) -> Step:
        """Make the step, then show it."""
        step = self.integrator.step(field, t, h, Y, memory)
        for observer in self.observers:
            observer(field, Y, step.Y)
        return step


@dataclass
class Watch:
    """Keeps the mean loss and the ranks of the start, of each of the first steps, and of every so many later ones.

    Attributes
    ----------
    every : int
        Steps between two rows.
    rows : list of (step, loss, ranks)
        Step 0 first. The loss is the mean over the batches since the last row, each taken before its step; at step 0 it
        is that of the first batch.
    """

    every: int
    rows: list[tuple[int, float, list[int]]] = field(default_factory=list)
    step: int = 0
    losses: list[float] = field(default_factory=list)

    def __call__(self, flow: Any, before: Any, after: Any) -> None:
        if self.step == 0:
            self._add(flow.losses[0], before)
        self.step += 1
        self.losses.append(flow.losses[0])
        if self.step < self.every or self.step % self.every == 0:
            self._add(math.fsum(self.losses) / len(self.losses), after)
            self.losses.clear()

    def _add(self, loss: float, Y: Any) -> None:
        self.rows.append((self.step, loss, [block.rank for block in Y if isinstance(block, LowRank)]))


class Reported:
    """Tells the progress how far the training is, after every step and every epoch."""

    def __init__(self, progress: Progress, net: str, steps: int) -> None:
        self.progress, self.net, self.steps = progress, net, steps
        self.done = 0
        self.note = net

    def __call__(self, flow: Any, before: Any, after: Any) -> None:
        self.done += 1
        self.progress(self.done / self.steps, self.note)

    def epoch(self, epoch: Epoch, Y: Any) -> None:
        """Put the results of the epoch in the note."""
        ranks = f", ranks {' '.join(map(str, epoch.ranks))}" if epoch.ranks else ""
        self.note = f"{self.net}, epoch {epoch.epoch}: {100 * epoch.test_accuracy:.2f} % on the test set{ranks}"
        self.progress(self.done / self.steps, self.note)


def start(model: Module, settings: Settings, backend: Backend, seed: int | None = None) -> State:
    """Draw the weights, those of the hidden layers with the norm that the settings ask for.

    All low-rank weights have nearly equal singular values at first, so that their largest one is above that of a dense
    weight of the same norm; a smaller norm allows larger steps.
    """
    seed = settings.seed if seed is None else seed
    blocks = model.init(default_rng((seed, 0)), backend, settings.dtype)
    last = 2 * settings.hidden  # of every layer there are a weight and a bias; the head is the last
    return State(settings.gain * b if len(b.shape) == 2 and i < last else b for i, b in enumerate(blocks))


def row(net: str, epoch: Epoch, layers: int) -> dict[str, Any]:
    return {
        "net": net,
        "epoch": epoch.epoch,
        "loss": epoch.loss,
        "test_accuracy": epoch.test_accuracy,
        **_numbered("rank", epoch.ranks or [None] * layers),
        "evaluation_parameters": epoch.parameters.evaluation,
        "training_parameters": epoch.parameters.training,
        "dense_parameters": epoch.parameters.dense,
        "compression": epoch.compression,
        "learning_rate": epoch.learning_rate,
        "seconds": round(epoch.seconds, 3),
    }


def _numbered(name: str, values: Any) -> dict[str, Any]:
    return {f"{name}_{i}": value for i, value in enumerate(values, start=1)}
