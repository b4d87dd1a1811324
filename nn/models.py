"""Networks of the low-rank training literature."""

from __future__ import annotations

from collections.abc import Sequence

from nn.layers import Flatten, Linear, Module, ReLU, Sequential

__all__ = ["mlp"]


def mlp(
    sizes: Sequence[int],
    *,
    rank: int | Sequence[int | None] | None = None,
    activation: Module | None = None,
    bias: bool = True,
) -> Sequential:
    """Return a fully connected network.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of features, the input's first: (784, 500, 500, 500, 500, 10) has five layers.
    rank : int, sequence or None
        Initial rank of the weights. An int is for all layers but the last (the head), which stays dense; a sequence
        names the rank of each layer, None for a dense one; None makes all of them dense.
    activation : Module, optional
        What stands between the layers; :class:`ReLU` where not given.
    bias : bool
        Whether the layers have biases.

    Raises
    ------
    ValueError
        If there are fewer than two sizes, or not as many ranks as layers, or a rank does not fit its layer.

    Examples
    --------
    >>> len(mlp((784, 500, 500, 10), rank=40).layers)
    6
    """
    layers = len(sizes) - 1
    if layers < 1:
        raise ValueError(f"mlp: expected the sizes of the input and of at least one layer, got {tuple(sizes)}")
    if rank is None or isinstance(rank, int):
        ranks: Sequence[int | None] = [*[rank] * (layers - 1), None]
    else:
        ranks = rank
    if len(ranks) != layers:
        raise ValueError(f"mlp: expected {layers} ranks, one per layer, got {len(ranks)}")
    between = ReLU() if activation is None else activation
    modules: list[Module] = [Flatten()]
    for k in range(layers):
        modules.append(Linear(sizes[k], sizes[k + 1], ranks[k], bias))
        if k < layers - 1:
            modules.append(between)
    return Sequential(*modules)
