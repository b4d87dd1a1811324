"""Losses: what a network is trained to make small, as the mean over a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from matode._array import Array, as_dtype, namespace
from nn import ops

__all__ = ["Loss", "correct", "cross_entropy", "mse"]

Loss: TypeAlias = Callable[[Any, Array], Any]
"""``loss(outputs, targets) -> scalar``, made of operations of :mod:`nn.ops`."""


def cross_entropy(logits: Any, labels: Array) -> Any:
    """Return the mean over the batch of ``-log softmax(logits)[label]``.

    Parameters
    ----------
    logits : Var or array, (batch, classes)
    labels : array of integers, (batch,)
        The true classes, from 0 to classes - 1.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    return ops.softmax_cross_entropy(logits, labels)


def mse(outputs: Any, targets: Array) -> Any:
    """Return the mean of ``(outputs - targets)**2`` over all entries of the batch.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    return ops.mean_square(outputs, targets)


def correct(logits: Array, labels: Array) -> int:
    """Return how many rows of ``logits`` are largest at their label. One number crosses to the host."""
    xp = namespace(logits, labels)
    hits = as_dtype(xp.argmax(logits, axis=1), labels.dtype) == labels
    return int(xp.sum(as_dtype(hits, labels.dtype)))
