"""The data that nets are timed on: MNIST where its files are, else ten clouds of points."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from nn.data import downloads, load

__all__ = ["clouds", "images", "of_images"]

_LENGTH = 7.2  # the root of the mean square of an image of MNIST as nets get it, 784 numbers


def of_images(count: int, size: int, say: Callable[[str], None]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return ``count`` batches of rows of 784 numbers and their labels; nothing is downloaded."""
    x, labels = images(count * size, say)
    return [(x[i : i + size], labels[i : i + size]) for i in range(0, count * size, size)]


def images(count: int, say: Callable[[str], None]) -> tuple[np.ndarray, np.ndarray]:
    """Return ``count`` training images of MNIST as rows, or as many points of :func:`clouds` where it is not there."""
    if any(folder.is_dir() for folder in downloads.folders("mnist")):
        data = load("mnist")
        return data.x_train[:count].reshape(count, -1), data.y_train[:count]
    say("MNIST is not on this machine: clouds of points instead (MATODE_DATA_DIR names its folder)")
    return clouds(count)


def clouds(count: int, n: int = 784) -> tuple[np.ndarray, np.ndarray]:
    """Return points around ten centres, and which centre each belongs to; vectors as long as images of MNIST.

    With longer ones, the steps that are right for images overflow.
    """
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((10, n), dtype=np.float32)
    labels = rng.integers(0, 10, count)
    points = centres[labels] + rng.standard_normal((count, n), dtype=np.float32)
    return (_LENGTH / math.sqrt(2 * n)) * points, labels
