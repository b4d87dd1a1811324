"""Networks of the low-rank training literature."""

from __future__ import annotations

from collections.abc import Sequence

from nn.layers import Conv2d, Flatten, Linear, Module, Rank, ReLU, Sequential

__all__ = ["lenet5", "mlp"]


def mlp(
    sizes: Sequence[int],
    *,
    rank: Rank | Sequence[Rank] = None,
    activation: Module | None = None,
    bias: bool = True,
) -> Sequential:
    """Return a fully connected network.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of features, the input's first: (784, 500, 500, 500, 500, 10) has five layers.
    rank : int, "full", sequence or None
        Initial rank of the weights. A single one is for all layers but the last (the head), which stays dense; a
        sequence names the rank of each layer, None for a dense one; None makes all of them dense.
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
    ranks = _per_layer("mlp", rank, layers)
    between = ReLU() if activation is None else activation
    modules: list[Module] = [Flatten()]
    for k in range(layers):
        modules.append(Linear(sizes[k], sizes[k + 1], ranks[k], bias))
        if k < layers - 1:
            modules.append(between)
    return Sequential(*modules)


def lenet5(
    rank: Rank | Sequence[Rank] = None,
    *,
    image: tuple[int, int, int] = (1, 28, 28),
    classes: int = 10,
    bias: bool = True,
) -> Sequential:
    """Return LeNet5 as the low-rank training literature has it: 430,500 weights on images of 28 x 28.

    Two convolutions of 5 x 5 with 20 and 50 outputs, each with 2 x 2 maxima, then 500 features and the classes. The
    positive part follows each layer but the last.

    Parameters
    ----------
    rank : int, "full", sequence or None
        Initial rank of the weights, as in :func:`mlp`: one for all layers but the head, or one for each of the four.
    image : (channels, height, width)
    classes : int
    bias : bool
        Whether the layers have biases.

    Raises
    ------
    ValueError
        If the images are too small, or not as many ranks as layers.
    """
    channels, height, width = image
    small_h, small_w = (((n - 4) // 2 - 4) // 2 for n in (height, width))
    if min(small_h, small_w) < 1:
        raise ValueError(f"lenet5: the images must be at least 16 x 16, got {height} x {width}")
    ranks = _per_layer("lenet5", rank, 4)
    return Sequential(
        Conv2d(channels, 20, 5, ranks[0], bias, pool=2),
        ReLU(),
        Conv2d(20, 50, 5, ranks[1], bias, pool=2),
        ReLU(),
        Flatten(),
        Linear(50 * small_h * small_w, 500, ranks[2], bias),
        ReLU(),
        Linear(500, classes, ranks[3], bias),
    )


def _per_layer(model: str, rank: Rank | Sequence[Rank], layers: int) -> Sequence[Rank]:
    """Return one rank per layer; a single one is for all but the head, which stays dense."""
    if rank is None or isinstance(rank, int | str):
        return [*[rank] * (layers - 1), None]
    if len(rank) != layers:
        raise ValueError(f"{model}: expected {layers} ranks, one per layer, got {len(rank)}")
    return rank
