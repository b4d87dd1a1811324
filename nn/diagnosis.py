"""Where NaN or inf came from: the layer that owns a block, and the first layer whose output is not finite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from matode._array import finite
from matode.lowrank import LowRank
from nn.containers import Sequential
from nn.module import Module
from nn.passes import Pass

__all__ = ["first_non_finite", "layer_of"]


def layer_of(model: Module, block: int | None) -> str | None:
    """Return the layer that owns a block of the state, as people count and name it; None for no block."""
    return next((name for name, _, owned in _layers(model) if block is not None and block in owned), None)


def first_non_finite(model: Module, Y: Sequence[Any], x: Any, context: Pass | None = None) -> str:
    """Run the network once more and say what is not finite first.

    Parameters
    ----------
    model : Module
    Y : sequence of blocks
    x : array
        The batch.
    context : Pass, optional
        As for the forward pass.
    """
    if not finite(x):
        return "the input is not finite"
    for name, layer, owned in _layers(model):
        for i in owned:
            factors = (Y[i].U, Y[i].S, Y[i].V) if isinstance(Y[i], LowRank) else (Y[i],)
            if not all(finite(factor) for factor in factors):
                return f"a weight of {name} is not finite"
        x = layer.forward([Y[i] for i in owned], x, *([] if context is None else [context]))
        if not finite(x):
            return f"the output of {name} is not finite"
    return "the outputs of all layers are finite, but too large for the loss"


def _layers(model: Module) -> Iterator[tuple[str, Module, range]]:
    """Yield name, layer and the blocks that it owns, one for each layer of a sequence, or the model as a whole."""
    start = 0
    layers = model.layers if isinstance(model, Sequential) else (model,)
    for k, layer in enumerate(layers, 1):
        yield f"layer {k} ({type(layer).__name__})", layer, range(start, start + layer.n_blocks)
        start += layer.n_blocks
