"""Layers of networks for images, besides the convolution: pooling, shortcuts, batch normalisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matode._array import Array, Backend, host
from matode.protocols import State
from nn import pooling
from nn.autodiff import value_of
from nn.module import Stateless
from nn.normalisation import batch_norm, moments
from nn.passes import Pass

__all__ = ["AveragePool2d", "BatchNorm", "GlobalAveragePool", "MaxPool2d", "Subsample"]


@dataclass(frozen=True)
class _Pool(Stateless):
    size: int
    stride: int | None = None

    def __post_init__(self) -> None:
        if self.size < 1 or (self.stride is not None and self.stride < 1):
            raise ValueError(f"{self._name}: size and stride must be positive, got {self.size} and {self.stride}")

    @property
    def _name(self) -> str:
        return f"{type(self).__name__}({self.size})"

    def _check(self, x: Any) -> None:
        shape = tuple(value_of(x).shape)
        if len(shape) != 4 or min(shape[2:]) < self.size:
            raise ValueError(f"{self._name}: expected images of at least {self.size} x {self.size}, got {shape}")


@dataclass(frozen=True)
class MaxPool2d(_Pool):
    """The largest value of each square.

    Parameters
    ----------
    size : int
        Side of a square.
    stride : int, optional
        From one square to the next; ``size`` where not given.
    """

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return the largest values, (batch, channels, height', width')."""
        self._check(x)
        return pooling.max_pool(x, self.size, self.stride)


@dataclass(frozen=True)
class AveragePool2d(_Pool):
    """The mean of each square.

    Parameters
    ----------
    size : int
        Side of a square.
    stride : int, optional
        From one square to the next; ``size`` where not given.
    """

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return the means, (batch, channels, height', width')."""
        self._check(x)
        return pooling.average_pool(x, self.size, self.stride)


@dataclass(frozen=True)
class GlobalAveragePool(Stateless):
    """The mean of each channel of an image."""

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return the means, (batch, channels)."""
        return pooling.global_average_pool(x)


@dataclass(frozen=True)
class Subsample(Stateless):
    """Every ``stride``-th pixel, with zero channels added up to ``channels``: a shortcut without parameters."""

    stride: int
    channels: int

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return the smaller images, (batch, channels, height', width')."""
        return pooling.subsample(x, self.stride, self.channels)


@dataclass(frozen=True)
class BatchNorm:
    """Normalisation of each channel, by the batch's statistics in training and by running ones else.

    Its blocks are scale and shift, (channels,) each; its running statistics are mean and variance, that travel with
    the :class:`~nn.passes.Pass`.

    Parameters
    ----------
    channels : int
        Second dimension of the input, (batch, channels) or (batch, channels, height, width).
    momentum : float
        Weight of a batch in the running statistics.
    eps : float
        Added to the variance.

    Raises
    ------
    ValueError
        If there is no channel.
    """

    channels: int
    momentum: float = 0.1
    eps: float = 1e-5

    n_blocks = 2

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise ValueError(f"{self._name}: the number of channels must be positive")

    @property
    def _name(self) -> str:
        return f"BatchNorm({self.channels})"

    def init(self, rng: host.random.Generator, backend: Backend, dtype: str = "float32") -> State:
        """Return scale one and shift zero."""
        return State((self._filled(1.0, backend, dtype), self._filled(0.0, backend, dtype)))

    def buffers(self, backend: Backend, dtype: str = "float32") -> tuple[Array, Array]:
        """Return running mean zero and variance one."""
        return self._filled(0.0, backend, dtype), self._filled(1.0, backend, dtype)

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return the normalised batch.

        Raises
        ------
        ValueError
            If the channels do not fit, there is no pass to take the statistics from, or a batch in training has one
            value per channel.
        """
        value = value_of(x)
        shape = tuple(value.shape)
        if len(shape) < 2 or shape[1] != self.channels:
            raise ValueError(f"{self._name}: expected an input of shape (batch, {self.channels}, ...), got {shape}")
        if context is None:
            raise ValueError(
                f"{self._name}: there are no running statistics; pass them as Pass(buffers) to forward, or as buffers "
                "to GradientFlow, starting with model.buffers(backend, dtype)"
            )
        scale, shift = blocks
        mean, variance = context.take(2, self._name)
        if not context.train:
            context.updated += [mean, variance]
            return batch_norm(x, scale, shift, mean, variance, of_batch=False, eps=self.eps)
        count = math.prod(shape) // self.channels
        if count < 2:
            raise ValueError(f"{self._name}: a batch in training needs two values per channel, got the shape {shape}")
        now, spread = moments(value)
        unbiased = spread * (count / (count - 1))
        context.updated += [mean + self.momentum * (now - mean), variance + self.momentum * (unbiased - variance)]
        return batch_norm(x, scale, shift, now, spread, of_batch=True, eps=self.eps)

    def _filled(self, value: float, backend: Backend, dtype: str) -> Array:
        return backend.xp.full((self.channels,), value, dtype=getattr(backend.xp, dtype), device=backend.device)
