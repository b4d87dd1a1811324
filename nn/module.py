"""What a layer is: a frozen description of a map, that holds no weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from matode._array import Array, Backend, host
from matode.protocols import State
from nn.passes import Pass

__all__ = ["Module", "Stateless", "initial_buffers", "leaves"]


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

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return the output for a batch ``x``; blocks and x may be values or ``Var``.

        ``context`` is handed on by layers that contain others, and left out where the caller gave none.
        """
        ...


class Stateless:
    """A layer without weights."""

    n_blocks = 0

    def init(self, rng: host.random.Generator, backend: Backend, dtype: str = "float32") -> State:
        """Return no blocks."""
        return State()


def initial_buffers(model: Module, backend: Backend, dtype: str = "float32") -> tuple[Array, ...]:
    """Return the running statistics with which a network starts, in the order of its layers; often none."""
    buffers = getattr(model, "buffers", None)
    return () if buffers is None else tuple(buffers(backend, dtype))


def leaves(model: Module) -> Iterator[Module]:
    """Return the layers that contain no others, in the order of their blocks."""
    if isinstance(model, Sequence) or hasattr(model, "__iter__"):
        for layer in model:
            yield from leaves(layer)
    else:
        yield model
