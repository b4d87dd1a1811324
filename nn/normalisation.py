"""Batch normalisation: the operation and its rule."""

from __future__ import annotations

import math
from typing import Any

from matode._array import Array, namespace
from nn.autodiff import apply, define

__all__ = ["batch_norm", "moments"]


def batch_norm(
    x: Any, scale: Any, shift: Any, mean: Array, variance: Array, *, of_batch: bool, eps: float = 1e-5
) -> Any:
    """Return ``scale (x - mean) / sqrt(variance + eps) + shift``, channel by channel.

    Parameters
    ----------
    x : Var or array, (batch, channels, ...)
    scale, shift : Var or array, (channels,)
    mean, variance : arrays, (channels,)
    of_batch : bool
        Whether mean and variance are the :func:`moments` of ``x``, and move with it, or constants.
    eps : float

    References
    ----------
    Ioffe and Szegedy, "Batch normalization", ICML 2015.
    """
    return apply("batch_norm", x, scale, shift, mean=mean, variance=variance, of_batch=of_batch, eps=eps)


def moments(x: Array) -> tuple[Array, Array]:
    """Return mean and (biased) variance of each channel of ``x``, (batch, channels, ...)."""
    xp = namespace(x)
    mean = xp.mean(x, axis=_others(x))
    centred = x - _along(mean, x)
    return mean, xp.mean(centred * centred, axis=_others(x))


def _others(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _along(c: Array, x: Array) -> Array:
    """Return one number per channel in a shape that multiplies ``x``."""
    return namespace(c).reshape(c, (-1, *(1,) * (x.ndim - 2)))


def _batch_norm(
    x: Array, scale: Array, shift: Array, mean: Array, variance: Array, of_batch: bool, eps: float
) -> tuple[Array, Any]:
    if x.ndim < 2 or any(tuple(c.shape) != (x.shape[1],) for c in (scale, shift, mean, variance)):
        raise ValueError(f"batch_norm: the shapes {tuple(x.shape)} and {tuple(scale.shape)} do not fit")
    factor = 1.0 / namespace(x).sqrt(variance + eps)
    normal = (x - _along(mean, x)) * _along(factor, x)
    return normal * _along(scale, x) + _along(shift, x), (normal, scale * factor, of_batch)


def _batch_norm_vjp(d: Array, saved: Any, wanted: tuple[bool, ...]) -> tuple[Array, ...]:
    normal, slope, of_batch = saved
    xp = namespace(d)
    axes = _others(d)
    for_scale, for_shift = xp.sum(d * normal, axis=axes), xp.sum(d, axis=axes)
    if of_batch:
        share = d.shape[1] / math.prod(d.shape)
        d = d - _along(for_shift * share, d) - normal * _along(for_scale * share, d)
    return d * _along(slope, d), for_scale, for_shift


define("batch_norm", _batch_norm, _batch_norm_vjp)
