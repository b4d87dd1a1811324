"""Networks of the low-rank training literature."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from nn.activations import Dropout, ReLU
from nn.containers import Residual, Sequential
from nn.image_layers import BatchNorm, GlobalAveragePool, MaxPool2d, Subsample
from nn.layers import Conv2d, Flatten, Linear, Rank
from nn.module import Module

__all__ = ["alexnet", "lenet5", "mlp", "mlp_of", "resnet20", "vgg16"]


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
        Initial rank of the weights. A single one is for all layers but the last (the head), which stays dense, and is
        cut to what a layer can have; a sequence names the rank of each layer, None for a dense one; None makes all of
        them dense.
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
    ranks = _per_layer("mlp", rank, [min(pair) for pair in pairwise(sizes)])
    between = ReLU() if activation is None else activation
    modules: list[Module] = [Flatten()]
    for k in range(layers):
        modules.append(Linear(sizes[k], sizes[k + 1], ranks[k], bias))
        if k < layers - 1:
            modules.append(between)
    return Sequential(*modules)


def mlp_of(
    width: int,
    depth: int,
    *,
    inputs: int = 784,
    outputs: int = 10,
    rank: Rank | Sequence[Rank] = None,
    activation: Module | None = None,
    bias: bool = True,
) -> Sequential:
    """Return a fully connected network of ``depth`` layers, all but the last with ``width`` outputs; see :func:`mlp`.

    Raises
    ------
    ValueError
        If there is no layer, or the ranks do not fit.
    """
    sizes = (inputs, *[width] * (depth - 1), outputs)
    if depth < 1:
        raise ValueError(f"mlp_of: expected at least one layer, got a depth of {depth}")
    return mlp(sizes, rank=rank, activation=activation, bias=bias)


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
    features = 50 * small_h * small_w
    ranks = _per_layer("lenet5", rank, (20, 50, min(features, 500), min(500, classes)))
    return Sequential(
        Conv2d(channels, 20, 5, ranks[0], bias, pool=2),
        ReLU(),
        Conv2d(20, 50, 5, ranks[1], bias, pool=2),
        ReLU(),
        Flatten(),
        Linear(features, 500, ranks[2], bias),
        ReLU(),
        Linear(500, classes, ranks[3], bias),
    )


def alexnet(
    rank: Rank | Sequence[Rank] = None, *, classes: int = 10, dropout: float = 0.5, bias: bool = True
) -> Sequential:
    """Return AlexNet for images of 3 x 32 x 32: five convolutions and layers of 4096, 4096 and ``classes`` features.

    Parameters
    ----------
    rank : int, "full", sequence or None
        Initial rank of the weights: one for all layers but the head, or one for each of the eight.
    classes : int
    dropout : float
        Rate before each of the two wide layers.
    bias : bool

    Raises
    ------
    ValueError
        If there are not as many ranks as layers, or a rank does not fit its layer.

    References
    ----------
    Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012.
    """
    r = _per_layer("alexnet", rank, (27, 192, 384, 256, 256, 1024, 4096, classes))
    return Sequential(
        Conv2d(3, 64, 3, r[0], bias, stride=2, padding=1, pool=2),
        ReLU(),
        Conv2d(64, 192, 3, r[1], bias, padding=1, pool=2),
        ReLU(),
        Conv2d(192, 384, 3, r[2], bias, padding=1),
        ReLU(),
        Conv2d(384, 256, 3, r[3], bias, padding=1),
        ReLU(),
        Conv2d(256, 256, 3, r[4], bias, padding=1, pool=2),
        ReLU(),
        Flatten(),
        *_classifier(256 * 2 * 2, classes, r[5:], dropout, bias),
    )


def vgg16(
    rank: Rank | Sequence[Rank] = None, *, classes: int = 10, dropout: float = 0.5, bias: bool = True
) -> Sequential:
    """Return VGG16 for images of 3 x 32 x 32, with batch normalisation after each of its thirteen convolutions.

    Parameters
    ----------
    rank : int, "full", sequence or None
        Initial rank of the weights: one for all layers but the head, or one for each of the sixteen.
    classes : int
    dropout : float
        Rate before each of the two layers of 4096 features.
    bias : bool
        Of the last three layers; normalised ones have a shift instead.

    Raises
    ------
    ValueError
        If there are not as many ranks as layers, or a rank does not fit its layer.

    References
    ----------
    Simonyan and Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015.
    """
    stages = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    widths = [outputs for outputs, repeats in stages for _ in range(repeats)]
    r = _per_layer("vgg16", rank, (27, *widths[1:], 512, 4096, classes))
    layers: list[Module] = []
    inputs, k = 3, 0
    for outputs, repeats in stages:
        for _ in range(repeats):
            layers += [Conv2d(inputs, outputs, 3, r[k], bias=False, padding=1), BatchNorm(outputs), ReLU()]
            inputs, k = outputs, k + 1
        layers.append(MaxPool2d(2))
    return Sequential(*layers, Flatten(), *_classifier(512, classes, r[13:], dropout, bias))


def resnet20(rank: Rank | Sequence[Rank] = None, *, classes: int = 10, bias: bool = True) -> Sequential:
    """Return ResNet20 for images of 3 channels: nine residual blocks of 16, 32 and 64 channels.

    Where the number of channels grows, the shortcut takes every second pixel and adds zero channels.

    Parameters
    ----------
    rank : int, "full", sequence or None
        Initial rank of the weights: one for all layers but the head, or one for each of the twenty.
    classes : int
    bias : bool
        Of the head; normalised layers have a shift instead.

    Raises
    ------
    ValueError
        If there are not as many ranks as layers, or a rank does not fit its layer.

    References
    ----------
    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2.
    """
    r = iter(_per_layer("resnet20", rank, (*[16] * 7, *[32] * 6, *[64] * 6, min(64, classes))))

    def convolution(inputs: int, outputs: int, stride: int = 1) -> tuple[Module, Module]:
        conv = Conv2d(inputs, outputs, 3, next(r), bias=False, stride=stride, padding=1)
        return conv, BatchNorm(outputs)

    layers: list[Module] = [*convolution(3, 16), ReLU()]
    inputs = 16
    for outputs in (16, 32, 64):
        for _ in range(3):
            stride = outputs // inputs
            body = Sequential(*convolution(inputs, outputs, stride), ReLU(), *convolution(outputs, outputs))
            layers += [Residual(body, None if stride == 1 else Subsample(stride, outputs)), ReLU()]
            inputs = outputs
    return Sequential(*layers, GlobalAveragePool(), Linear(64, classes, next(r), bias))


def _classifier(inputs: int, classes: int, r: Sequence[Rank], dropout: float, bias: bool) -> tuple[Module, ...]:
    """Return the three fully connected layers that AlexNet and VGG16 end with."""
    return (
        Dropout(dropout),
        Linear(inputs, 4096, r[0], bias),
        ReLU(),
        Dropout(dropout),
        Linear(4096, 4096, r[1], bias),
        ReLU(),
        Linear(4096, classes, r[2], bias),
    )


def _per_layer(model: str, rank: Rank | Sequence[Rank], limits: Sequence[int]) -> Sequence[Rank]:
    """Return one rank per layer; a single one is for all but the head, cut to each layer's limit."""
    if isinstance(rank, int):
        return [*(min(rank, limit) for limit in limits[:-1]), None]
    if rank is None or isinstance(rank, str):
        return [*[rank] * (len(limits) - 1), None]
    if len(rank) != len(limits):
        raise ValueError(f"{model}: expected {len(limits)} ranks, one per layer, got {len(rank)}")
    return rank
