"""Fully connected nets in training, as calls to be timed: ours, low-rank and dense, and those of PyTorch."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from matode import BUG, AugmentedBUG, FullRank, Integrator, Rank, State, euler
from matode._array import Backend, namespace
from nn import GradientFlow, mlp_of

__all__ = [
    "DEPTH",
    "FEATURES",
    "NEGLIGIBLE",
    "Batches",
    "Training",
    "classifier",
    "on_backend",
    "sizes",
    "torch_step",
    "training",
]

DEPTH = 5
"""Layers, the head included."""

FEATURES = 784

NEGLIGIBLE = 0.08
"""What the option leaves out: a share of the norm of the new directions."""

Batches = Sequence[tuple[Any, Any]]
"""Rows and their labels."""

_H = 0.03  # the loss falls to a third in 30 steps of the wide net at rank 320


class Training:
    """A net in training: each call makes one step with the next batch.

    After the last batch all starts anew, the net too: Euler's steps of this size need not be stable for as long as
    steps are timed.
    """

    def __init__(self, integrator: Any, model: Any, Y: State, data: Batches) -> None:
        self.integrator, self.model, self.Y = integrator, model, Y
        self.memory: Any = None
        self.losses: list[float] = []
        self._start, self._data = Y, data

    def __call__(self) -> None:
        """Make one step."""
        done = len(self.losses) % len(self._data)
        if done == 0:
            self.Y = self._start
        x, labels = self._data[done]
        flow = GradientFlow(self.model, x, labels)
        step = self.integrator.step(flow, 0.0, _H, self.Y, self.memory)
        self.Y, self.memory = step.Y, step.memory
        self.losses.append(flow.losses[0])


def training(what: str, width: int, rank: int, data: Batches, backend: Backend) -> Training:
    """Return a net of five layers in training by plain gradient flow with Euler substeps.

    Parameters
    ----------
    what : {"augmented BUG", "without the negligible", "BUG", "dense"}
        The second leaves out new directions that make up at most :data:`NEGLIGIBLE` of the norm of what is new.
    width : int
        Of all layers but the head.
    rank : int
        Of all weights but the head; without meaning for a dense net.
    data : sequence of batches
    backend : Backend
    """
    integrators: dict[str, Callable[[], Integrator]] = {
        "augmented BUG": lambda: AugmentedBUG(euler, Rank(rank)),
        "without the negligible": lambda: AugmentedBUG(euler, Rank(rank), NEGLIGIBLE),
        "BUG": lambda: BUG(euler),
        "dense": lambda: FullRank(euler),
    }
    model = mlp_of(width, DEPTH, rank=None if what == "dense" else rank)
    return Training(integrators[what](), model, model.init(np.random.default_rng(0), backend), data)


def classifier(width: int, rank: int | None, x: Any, size: int, backend: Backend) -> Callable[[], int]:
    """Return a call that classifies all rows of x, ``size`` at a time."""
    model = mlp_of(width, DEPTH, rank=rank)
    return _classifying(model, model.init(np.random.default_rng(0), backend), x, size)


def _classifying(model: Any, Y: State, x: Any, size: int) -> Callable[[], int]:
    xp = namespace(x)

    def classify() -> int:
        parts = range(0, x.shape[0], size)
        return sum(int(xp.sum(xp.argmax(model.forward(Y, x[i : i + size]), axis=1))) for i in parts)

    return classify


def torch_step(what: str, width: int, rank: int, data: Batches) -> Callable[[], float]:
    """Return PyTorch's step, ``what`` being "dense" or "low-rank"; the library is imported here, not before."""
    torch_mlp = importlib.import_module("experiments.bench.torch_mlp")
    if what == "dense":
        return torch_mlp.dense_step(sizes(width), data)  # type: ignore[no-any-return]
    return torch_mlp.low_rank_step(sizes(width), rank, data)  # type: ignore[no-any-return]


def sizes(width: int) -> tuple[int, ...]:
    """Return the numbers of features, the input's first."""
    return (FEATURES, *[width] * (DEPTH - 1), 10)


def on_backend(data: Batches, backend: Backend) -> Batches:
    """Return the batches as arrays of the backend."""
    if backend.name == "numpy":
        return data
    return [tuple(backend.xp.asarray(a, device=backend.device) for a in batch) for batch in data]  # type: ignore[misc]
