"""Layers that are made of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matode._array import Array, Backend, host
from matode.protocols import State
from nn import ops
from nn.autodiff import value_of
from nn.module import Module, initial_buffers
from nn.passes import Pass

__all__ = ["Residual", "Sequential"]


class _Container:
    """Layers whose blocks and running statistics stand one after the other."""

    def __iter__(self) -> Iterator[Module]:
        raise NotImplementedError

    @property
    def n_blocks(self) -> int:
        """The sum over the layers."""
        return sum(layer.n_blocks for layer in self)

    def init(self, rng: host.random.Generator, backend: Backend, dtype: str = "float32") -> State:
        """Draw the blocks of all layers, in order."""
        return State(block for layer in self for block in layer.init(rng, backend, dtype))

    def buffers(self, backend: Backend, dtype: str = "float32") -> tuple[Array, ...]:
        """Return the running statistics with which the layers start, in order."""
        return tuple(array for layer in self for array in initial_buffers(layer, backend, dtype))

    def _owned(self, blocks: Sequence[Any]) -> Iterator[tuple[Module, Sequence[Any]]]:
        """Pair each layer with its blocks."""
        if len(blocks) != self.n_blocks:
            raise ValueError(f"{type(self).__name__}: the layers own {self.n_blocks} blocks, got {len(blocks)}")
        start = 0
        for layer in self:
            stop = start + layer.n_blocks
            yield layer, blocks[start:stop]
            start = stop


@dataclass(frozen=True, init=False)
class Sequential(_Container):
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

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Apply the layers in order.

        Raises
        ------
        ValueError
            If the number of blocks is not that of the network.
        """
        for layer, own in self._owned(blocks):
            x = _applied(layer, own, x, context)
        return x


@dataclass(frozen=True)
class Residual(_Container):
    """The sum ``body(x) + shortcut(x)``.

    Parameters
    ----------
    body : Module
    shortcut : Module or None
        None is the identity. It has to give the shape that the body gives.

    References
    ----------
    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016.
    """

    body: Module
    shortcut: Module | None = None

    def __iter__(self) -> Iterator[Module]:
        return iter((self.body,) if self.shortcut is None else (self.body, self.shortcut))

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return the sum.

        Raises
        ------
        ValueError
            If the shapes of the two differ.
        """
        parts = [_applied(layer, own, x, context) for layer, own in self._owned(blocks)]
        a, b = parts if len(parts) == 2 else (*parts, x)
        shapes = tuple(value_of(a).shape), tuple(value_of(b).shape)
        if shapes[0] != shapes[1]:
            raise ValueError(f"Residual: the body gives the shape {shapes[0]} and the shortcut {shapes[1]}")
        return ops.add(a, b)


def _applied(layer: Module, blocks: Sequence[Any], x: Any, context: Pass | None) -> Any:
    return layer.forward(blocks, x) if context is None else layer.forward(blocks, x, context)
