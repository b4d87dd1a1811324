"""One short training of each model, on made-up images: small enough for a test, with figures worth keeping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matode._array import Backend
from nn import train
from nn.config import MODELS, Config
from nn.data import Dataset

__all__ = ["NAMES", "Trained", "made_up", "train_once"]

NAMES = tuple(MODELS)
IMAGES = {"mlp": (1, 28, 28), "lenet5": (1, 28, 28)}


@dataclass(frozen=True)
class Trained:
    """What a training gave: the loss of every epoch, the last ranks, and the speed of the last epoch."""

    model: str
    losses: tuple[float, ...]
    ranks: tuple[int, ...]
    images_per_second: float


def made_up(image: tuple[int, int, int], train: int, test: int) -> Dataset:
    """Return ten patterns under noise."""
    rng = np.random.default_rng(0)
    patterns = rng.standard_normal((10, *image))
    parts = []
    for count in (train, test):
        labels = rng.integers(0, 10, count)
        noisy = patterns[labels] + 0.5 * rng.standard_normal((count, *image))
        parts.append((noisy.astype("float32"), labels.astype("int64")))
    return Dataset("made up", *parts[0], *parts[1], "patterns under noise")


def train_once(
    name: str, backend: Backend, *, examples: int, batch_size: int, epochs: int, rank: int = 16, width: int = 500
) -> Trained:
    """Train the model called ``name`` with rank-adaptive DLRT and momentum, on ``backend``."""
    config = Config(model=name, rank=rank, width=width, lr=0.01, momentum=0.5, epochs=epochs, batch_size=batch_size)
    data = made_up(IMAGES.get(name, (3, 32, 32)), examples, max(examples // 4, 2))
    result = train(
        config.make_model(data.shape, data.classes),
        data,
        config.make_integrator(-(-examples // batch_size)),
        epochs=epochs,
        lr=config.lr,
        batch_size=batch_size,
        backend=backend,
    )
    last = result.history[-1]
    return Trained(name, tuple(epoch.loss for epoch in result.history), last.ranks, examples / last.seconds)
