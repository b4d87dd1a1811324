"""Layers with a weight matrix, dense or low-rank: frozen descriptions of a map, that hold no weights.

A layer declares how many blocks of a state it owns, draws them in ``init`` and reads them in ``forward``. The weights
of a network are therefore one :class:`~matode.protocols.State`, which any integrator of ``matode`` moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from matode._array import Backend, host
from matode.protocols import State
from nn import ops
from nn.autodiff import value_of
from nn.conv import conv2d
from nn.factored import linear
from nn.initial import he, he_low_rank
from nn.module import Module, Stateless
from nn.passes import Pass

__all__ = ["Conv2d", "Flatten", "Linear", "Module", "Rank"]

Rank: TypeAlias = "int | str | None"
"""Rank of an initial weight: a number, "full" for the largest that there is, None for a dense weight."""


class _Weighted:
    """A layer with one weight, dense or low-rank, and perhaps a bias."""

    inputs: int
    outputs: int
    rank: Rank
    bias: bool

    def _check(self) -> None:
        m, n = self._shape
        if min(self.inputs, self.outputs) < 1:
            raise ValueError(f"{self._name}: the numbers of {self._what} must be positive")
        if isinstance(self.rank, str) and self.rank != "full":
            raise ValueError(f"{self._name}: the rank must be a number, None or 'full', got {self.rank!r}")
        if isinstance(self.rank, int) and not 1 <= self.rank <= min(m, n):
            raise ValueError(f"{self._name}: the rank must be between 1 and {min(m, n)}, got {self.rank}")

    @property
    def _shape(self) -> tuple[int, int]:
        """The shape of the weight."""
        return self.outputs, self.inputs

    @property
    def _what(self) -> str:
        return "features"

    @property
    def _name(self) -> str:
        return f"{type(self).__name__}({self.inputs}, {self.outputs})"

    @property
    def n_blocks(self) -> int:
        """One weight, and the bias where there is one."""
        return 1 + self.bias

    def init(self, rng: host.random.Generator, backend: Backend, dtype: str = "float32") -> State:
        """Draw a weight of He's norm, and a zero bias."""
        m, n = self._shape
        if self.rank is None:
            W: Any = he(m, n, rng=rng, backend=backend, dtype=dtype)
        else:
            rank = min(m, n) if isinstance(self.rank, str) else self.rank
            W = he_low_rank(m, n, rank, rng=rng, backend=backend, dtype=dtype)
        if not self.bias:
            return State((W,))
        return State((W, backend.xp.zeros((m,), dtype=W.dtype, device=backend.device)))

    def _check_weight(self, W: Any) -> None:
        shape = tuple(value_of(W).shape)
        if shape != self._shape:
            raise ValueError(f"{self._name}: expected a weight of shape {self._shape}, got {shape}")


@dataclass(frozen=True)
class Linear(_Weighted):
    """The layer ``y = x W* + b``, with W of shape (outputs, inputs).

    Parameters
    ----------
    inputs, outputs : int
        Numbers of features.
    rank : int, "full" or None
        Rank of the initial weight, a :class:`~matode.LowRank` block; "full" is min(inputs, outputs), None makes W a
        dense block. A rank-adaptive integrator changes the rank later on.
    bias : bool
        Whether there is a bias b: a dense block of shape (outputs,), zero at the start.

    Raises
    ------
    ValueError
        If a size is not positive, or the rank is not between 1 and min(inputs, outputs).
    """

    inputs: int
    outputs: int
    rank: Rank = None
    bias: bool = True

    def __post_init__(self) -> None:
        self._check()

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return ``x W* + b``, (batch, outputs), for ``x`` of shape (batch, inputs).

        Raises
        ------
        ValueError
            If x or W has another shape.
        """
        shape = tuple(value_of(x).shape)
        if len(shape) != 2 or shape[1] != self.inputs:
            raise ValueError(f"{self._name}: expected an input of shape (batch, {self.inputs}), got {shape}")
        self._check_weight(blocks[0])
        return linear(x, blocks[0], blocks[1] if self.bias else None)


@dataclass(frozen=True)
class Conv2d(_Weighted):
    """The convolution of images with a filter bank, a bias per output, and optionally the maximum of each pool.

    The weight is a matrix of shape (outputs, inputs kernel kernel): a row is a filter, in the order (input, row,
    column). It is a dense block or a :class:`~matode.LowRank` one.

    Parameters
    ----------
    inputs, outputs : int
        Numbers of channels.
    kernel : int
        Height and width of a filter.
    rank : int, "full" or None
        Rank of the initial weight; None makes it dense.
    bias : bool
        Whether there is a bias: a dense block of shape (outputs,), zero at the start.
    stride, padding : int
        Steps between patches, and zeros around the image.
    pool : int
        Side of the squares of which the largest value is kept; 1 keeps all. Fused, it costs less than a
        :class:`MaxPool2d` behind, and does the same.

    Raises
    ------
    ValueError
        If a size makes no sense, or the rank is not between 1 and the smaller side of the weight.
    """

    inputs: int
    outputs: int
    kernel: int
    rank: Rank = None
    bias: bool = True
    stride: int = 1
    padding: int = 0
    pool: int = 1

    def __post_init__(self) -> None:
        if min(self.kernel, self.stride, self.pool) < 1 or self.padding < 0:
            raise ValueError(
                f"{self._name}: kernel, stride and pool must be positive and padding not negative, got {self.kernel}, "
                f"{self.stride}, {self.pool} and {self.padding}"
            )
        self._check()

    @property
    def _shape(self) -> tuple[int, int]:
        return self.outputs, self.inputs * self.kernel**2

    @property
    def _what(self) -> str:
        return "channels"

    @property
    def _name(self) -> str:
        return f"Conv2d({self.inputs}, {self.outputs}, {self.kernel})"

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return (batch, outputs, height', width') for ``x`` of shape (batch, inputs, height, width).

        Raises
        ------
        ValueError
            If x or W has another shape, or the images are too small.
        """
        shape = tuple(value_of(x).shape)
        if len(shape) != 4 or shape[1] != self.inputs:
            raise ValueError(
                f"{self._name}: expected an input of shape (batch, {self.inputs}, height, width), got {shape}"
            )
        self._check_weight(blocks[0])
        needed = self.kernel + (self.pool - 1) * self.stride - 2 * self.padding
        if min(shape[2:]) < needed:
            raise ValueError(f"{self._name}: expected images of at least {needed} x {needed}, got {shape}")
        y = conv2d(x, blocks[0], self.kernel, stride=self.stride, padding=self.padding, pool=self.pool)
        return ops.add(y, ops.reshape(blocks[1], (self.outputs, 1, 1))) if self.bias else y


@dataclass(frozen=True)
class Flatten(Stateless):
    """All dimensions but the batch put in one."""

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return ``x`` as (batch, features)."""
        shape = value_of(x).shape
        return x if len(shape) == 2 else ops.reshape(x, (shape[0], -1))
