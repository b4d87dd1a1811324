"""Operations that make images smaller, and their rules.

Images are (batch, channels, height, width) and lie in memory with the batch last, as :mod:`nn.patches` has them.
"""

from __future__ import annotations

from functools import reduce
from operator import add
from typing import Any

from matode._array import Array, namespace, zeros_like_shape
from nn.autodiff import apply, define, masked
from nn.patches import batch_first, batch_last

__all__ = ["average_pool", "global_average_pool", "max_pool", "subsample"]


def max_pool(x: Any, size: int, stride: int | None = None) -> Any:
    """Return the largest value of each square of ``size`` x ``size``; ``stride`` is ``size`` where not given.

    Squares that do not fit are left out. Of equal values the first one gets the cotangent.

    Raises
    ------
    ValueError
        If ``x`` is no batch of images, or they are smaller than a square.
    """
    return apply("max_pool", x, size=size, stride=size if stride is None else stride)


def average_pool(x: Any, size: int, stride: int | None = None) -> Any:
    """Return the mean of each square of ``size`` x ``size``; ``stride`` is ``size`` where not given.

    Raises
    ------
    ValueError
        If ``x`` is no batch of images, or they are smaller than a square.
    """
    return apply("average_pool", x, size=size, stride=size if stride is None else stride)


def global_average_pool(x: Any) -> Any:
    """Return the mean over each image, (batch, channels)."""
    return apply("global_average_pool", x)


def subsample(x: Any, stride: int, channels: int) -> Any:
    """Return every ``stride``-th pixel, with zero channels after the others up to ``channels``.

    This is the shortcut without parameters of He, Zhang, Ren and Sun, CVPR 2016 (option A).
    """
    return apply("subsample", x, stride=stride, channels=channels)


def _squares(op: str, x: Array, size: int, stride: int) -> list[tuple[Any, ...]]:
    """Return the index of the k-th pixels of all squares, in images with the batch last, for each k."""
    if x.ndim != 4 or min(x.shape[2:]) < size:
        raise ValueError(f"{op}: expected images of at least {size} x {size}, got {tuple(x.shape)}")
    rows, columns = ((n - size) // stride + 1 for n in x.shape[2:])

    def every(start: int, count: int) -> slice:
        return slice(start, start + stride * (count - 1) + 1, stride)

    everything = slice(None)
    return [(everything, every(i, rows), every(j, columns), everything) for i in range(size) for j in range(size)]


def _max_pool(x: Array, size: int, stride: int) -> tuple[Array, Any]:
    pixels = _squares("max_pool", x, size, stride)
    xp = namespace(x)
    image = batch_last(x)
    y = image[pixels[0]]
    masks = []
    for pixel in pixels[1:]:
        masks.append(image[pixel] > y)
        y = xp.maximum(y, image[pixel])
    return batch_first(y), (image.shape, pixels, masks)


def _max_pool_vjp(d: Array, saved: Any, wanted: tuple[bool, ...]) -> tuple[Array]:
    shape, pixels, masks = saved
    d = batch_last(d)
    image = zeros_like_shape(shape, d)
    for pixel, mask in zip(pixels[:0:-1], masks[::-1], strict=True):
        part = masked(d, mask)
        image[pixel] += part
        d = d - part
    image[pixels[0]] += d
    return (batch_first(image),)


def _average_pool(x: Array, size: int, stride: int) -> tuple[Array, Any]:
    pixels = _squares("average_pool", x, size, stride)
    image = batch_last(x)
    total = reduce(add, (image[pixel] for pixel in pixels))
    return batch_first(total * (1.0 / size**2)), (image.shape, pixels)


def _average_pool_vjp(d: Array, saved: Any, wanted: tuple[bool, ...]) -> tuple[Array]:
    shape, pixels = saved
    part = batch_last(d) * (1.0 / len(pixels))
    image = zeros_like_shape(shape, d)
    for pixel in pixels:
        image[pixel] += part
    return (batch_first(image),)


def _global_average_pool(x: Array) -> tuple[Array, Any]:
    if x.ndim != 4:
        raise ValueError(f"global_average_pool: expected images (batch, channels, height, width), got {tuple(x.shape)}")
    return namespace(x).mean(x, axis=(2, 3)), tuple(x.shape)


def _global_average_pool_vjp(d: Array, shape: tuple[int, ...], wanted: tuple[bool, ...]) -> tuple[Array]:
    xp = namespace(d)
    return (xp.broadcast_to((d * (1.0 / (shape[2] * shape[3])))[:, :, None, None], shape),)


def _subsample(x: Array, stride: int, channels: int) -> tuple[Array, Any]:
    if x.ndim != 4 or x.shape[1] > channels:
        raise ValueError(f"subsample: expected images of at most {channels} channels, got {tuple(x.shape)}")
    image = batch_last(x)
    every = image[:, ::stride, ::stride, :]
    y = zeros_like_shape((channels, *every.shape[1:]), x)
    y[: x.shape[1], ...] = every
    return batch_first(y), (image.shape, stride)


def _subsample_vjp(d: Array, saved: Any, wanted: tuple[bool, ...]) -> tuple[Array]:
    shape, stride = saved
    image = zeros_like_shape(shape, d)
    image[:, ::stride, ::stride, :] = batch_last(d)[: shape[0], ...]
    return (batch_first(image),)


define("max_pool", _max_pool, _max_pool_vjp)
define("average_pool", _average_pool, _average_pool_vjp)
define("global_average_pool", _global_average_pool, _global_average_pool_vjp)
define("subsample", _subsample, _subsample_vjp)
