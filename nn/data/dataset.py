"""Labelled images on the host, in a training, a validation and a test part."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from matode._array import default_rng, host

__all__ = ["DataError", "Dataset", "normalised"]


class DataError(ValueError):
    """A data file that is there but is not what it should be."""


def _nothing() -> host.ndarray:
    return host.zeros((0,))


@dataclass(frozen=True)
class Dataset:
    """Labelled images on the host.

    Attributes
    ----------
    name : str
        ``"mnist"``, ``"digits"``, ...
    x_train, x_test : (N, channels, height, width) float32 arrays
        Grey values between 0 (background) and 1, with the mean image of the training part taken out.
    y_train, y_test : (N,) int64 arrays
        Classes, from 0.
    reason : str
        One sentence: where the data came from, and why where it is not what was asked for first.
    classes : int
        Number of classes.
    x_validation, y_validation : arrays
        Empty, unless :meth:`split` took them from the training part.
    """

    name: str
    x_train: host.ndarray
    y_train: host.ndarray
    x_test: host.ndarray
    y_test: host.ndarray
    reason: str
    classes: int = 10
    x_validation: host.ndarray = field(default_factory=_nothing)
    y_validation: host.ndarray = field(default_factory=_nothing)

    @property
    def features(self) -> int:
        """Number of values of an image."""
        return math.prod(self.x_train.shape[1:])

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.x_train.shape[1:]
        return channels, height, width

    def head(self, train: int, test: int) -> Dataset:
        """Return the first examples of each part, as views."""
        return replace(
            self,
            x_train=self.x_train[:train],
            y_train=self.y_train[:train],
            x_test=self.x_test[:test],
            y_test=self.y_test[:test],
        )

    def split(self, validation: int, *, seed: int = 0) -> Dataset:
        """Take ``validation`` examples, drawn with ``seed``, out of the training part.

        Raises
        ------
        ValueError
            Unless at least one example is left for training.
        """
        examples = len(self.x_train)
        if not 0 <= validation < examples:
            raise ValueError(
                f"{self.name} has {examples} training examples: cannot put {validation} of them aside for validation"
            )
        order = default_rng((seed, 2)).permutation(examples)
        held, kept = order[:validation], host.sort(order[validation:])
        return replace(
            self,
            x_train=self.x_train[kept],
            y_train=self.y_train[kept],
            x_validation=self.x_train[held],
            y_validation=self.y_train[held],
        )


def normalised(
    name: str,
    train: tuple[host.ndarray, host.ndarray],
    test: tuple[host.ndarray, host.ndarray],
    reason: str,
    classes: int = 10,
) -> Dataset:
    """Return a data set with grey values scaled to [0, 1], less the mean image of the training part.

    The mean image is by far the largest principal component of the raw values: without it gradient descent is stable
    for larger steps.

    Parameters
    ----------
    train, test : (images, labels)
        Images (N, height, width) or (N, channels, height, width) from 0, and integers.
    """
    white = host.float32(max(train[0].max(), 1))
    parts = []
    for images, _ in (train, test):
        values = images.astype(host.float32)
        values /= white
        parts.append(values if values.ndim == 4 else values[:, None, :, :])
    mean = parts[0].mean(axis=0, dtype=host.float64).astype(host.float32)
    for values in parts:
        values -= mean
    y_train, y_test = (labels.astype(host.int64) for _, labels in (train, test))
    return Dataset(name, parts[0], y_train, parts[1], y_test, reason, classes)
