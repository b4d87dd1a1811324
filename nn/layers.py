"""Layers: frozen descriptions of a map, that hold no weights.

A layer declares how many blocks of a state it owns, draws them in ``init`` and reads them in ``forward``. The weights
of a network are therefore one :class:`~matode.protocols.State`, which any integrator of ``matode`` moves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from matode._array import Backend, host
from matode.protocols import State
from nn import ops
from nn.autodiff import value_of
from nn.factored import linear
from nn.initial import he, he_low_rank

__all__ = ["Flatten", "Linear", "Module", "ReLU", "Sequential", "Tanh"]


@runtime_checkable
class Module(Protocol):
    """A map with weights."""

    @property
    def n_blocks(self) -> int:
        """How many blocks of the state it owns."""
        ...

    def init(self, rng: host.random.Generator, backend: Backend, dtype: str = "float32") -> State:
        """Draw the initial blocks; the same generator state gives the same blocks on every backend."""
        ...

    def forward(self, blocks: Sequence[Any], x: Any) -> Any:
        """Return the output for a batch ``x``; blocks and x may be values or ``Var``."""
        ...


class _Stateless:
    """A layer without weights."""

    n_blocks = 0

    def init(self, rng: host.random.Generator, backend: Backend, dtype: str = "float32") -> State:
        """Return no blocks."""
        return State()


@dataclass(frozen=True)
class Linear:
    """The layer ``y = x W* + b``, with W of shape (outputs, inputs).

    Parameters
    ----------
    inputs, outputs : int
        Numbers of features.
    rank : int or None
        Rank of the initial weight, a :class:`~matode.LowRank` block; None makes W a dense block. A rank-adaptive
        integrator changes the rank later on.
    bias : bool
        Whether there is a bias b: a dense block of shape (outputs,), zero at the start.

    Raises
    ------
    ValueError
        If a size is not positive, or the rank is not between 1 and min(inputs, outputs).
    """

    inputs: int
    outputs: int
    rank: int | None = None
    bias: bool = True

    def __post_init__(self) -> None:
        if min(self.inputs, self.outputs) < 1:
            raise ValueError(f"{self._name}: the numbers of features must be positive")
        if self.rank is not None and not 1 <= self.rank <= min(self.inputs, self.outputs):
            raise ValueError(
                f"{self._name}: the rank must be between 1 and {min(self.inputs, self.outputs)}, got {self.rank}"
            )

    @property
    def _name(self) -> str:
        return f"Linear({self.inputs}, {self.outputs})"

    @property
    def n_blocks(self) -> int:
        """One weight, and the bias where there is one."""
        return 1 + self.bias

    def init(self, rng: host.random.Generator, backend: Backend, dtype: str = "float32") -> State:
        """Draw a weight of He's norm, and a zero bias."""
        if self.rank is None:
            W: Any = he(self.outputs, self.inputs, rng=rng, backend=backend, dtype=dtype)
        else:
            W = he_low_rank(self.outputs, self.inputs, self.rank, rng=rng, backend=backend, dtype=dtype)
        if not self.bias:
            return State((W,))
        return State((W, backend.xp.zeros((self.outputs,), dtype=W.dtype, device=backend.device)))

    def forward(self, blocks: Sequence[Any], x: Any) -> Any:
        """Return ``x W* + b``, (batch, outputs), for ``x`` of shape (batch, inputs).

        Raises
        ------
        ValueError
            If x or W has another shape.
        """
        shape, weight = tuple(value_of(x).shape), tuple(value_of(blocks[0]).shape)
        if len(shape) != 2 or shape[1] != self.inputs:
            raise ValueError(f"{self._name}: expected an input of shape (batch, {self.inputs}), got {shape}")
        if weight != (self.outputs, self.inputs):
            raise ValueError(f"{self._name}: expected a weight of shape {(self.outputs, self.inputs)}, got {weight}")
        y = linear(x, blocks[0])
        return ops.add(y, blocks[1]) if self.bias else y


@dataclass(frozen=True)
class ReLU(_Stateless):
    """The positive part."""

    def forward(self, blocks: Sequence[Any], x: Any) -> Any:
        """Return max(x, 0)."""
        return ops.relu(x)


@dataclass(frozen=True)
class Tanh(_Stateless):
    """The hyperbolic tangent."""

    def forward(self, blocks: Sequence[Any], x: Any) -> Any:
        """Return tanh(x)."""
        return ops.tanh(x)


@dataclass(frozen=True)
class Flatten(_Stateless):
    """All dimensions but the batch put in one."""

    def forward(self, blocks: Sequence[Any], x: Any) -> Any:
        """Return ``x`` as (batch, features)."""
        shape = value_of(x).shape
        return x if len(shape) == 2 else ops.reshape(x, (shape[0], -1))


@dataclass(frozen=True, init=False)
class Sequential:
    """Layers one after the other.

    Parameters
    ----------
    *layers : Module
    """

    layers: tuple[Module, ...]

    def __init__(self, *layers: Module) -> None:
        object.__setattr__(self, "layers", layers)

    def __iter__(self) -> Iterator[Module]:
        return iter(self.layers)

    @property
    def n_blocks(self) -> int:
        """The sum over the layers."""
        return sum(layer.n_blocks for layer in self.layers)

    def init(self, rng: host.random.Generator, backend: Backend, dtype: str = "float32") -> State:
        """Draw the blocks of all layers, in order."""
        return State(block for layer in self.layers for block in layer.init(rng, backend, dtype))

    def forward(self, blocks: Sequence[Any], x: Any) -> Any:
        """Apply the layers in order.

        Raises
        ------
        ValueError
            If the number of blocks is not that of the network.
        """
        if len(blocks) != self.n_blocks:
            raise ValueError(f"Sequential: the layers own {self.n_blocks} blocks, got {len(blocks)}")
        start = 0
        for layer in self.layers:
            stop = start + layer.n_blocks
            x = layer.forward(blocks[start:stop], x)
            start = stop
        return x
