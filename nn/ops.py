"""The operations on arrays that networks are made of, and their rules.

Each takes arrays or ``Var`` and returns the like. Batches come first: x is (batch, features). In memory they come last,
as those of images do (:mod:`nn.patches`): products are computed transposed, so that no later pass meets both orders.
Everything is real.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matode._array import Array, as_dtype, device_of, namespace, positive, positive_part
from nn.autodiff import apply, define
from nn.deferred import Deferred

__all__ = [
    "add",
    "gelu",
    "linear",
    "log_softmax",
    "matmul",
    "mean_square",
    "multiply",
    "relu",
    "reshape",
    "sigmoid",
    "softmax_cross_entropy",
    "tanh",
]

Value = Any
"""An array, or a ``Var`` that holds one."""


def matmul(a: Value, b: Value) -> Value:
    """Return the product ``a @ b`` of two matrices, (m, k) and (k, n)."""
    return apply("matmul", a, b)


def linear(x: Value, W: Value) -> Value:
    """Return ``x @ W.T``, (batch, out), for ``x`` (batch, in) and a dense weight ``W`` (out, in)."""
    return apply("linear", x, W)


def add(x: Value, b: Value) -> Value:
    """Return ``x + b``, where ``b`` has the trailing dimensions of ``x`` (a bias), or 1 in their place."""
    return apply("add", x, b)


def relu(x: Value) -> Value:
    """Return the positive part of ``x``."""
    return apply("relu", x)


def tanh(x: Value) -> Value:
    """Return the hyperbolic tangent of ``x``."""
    return apply("tanh", x)


def sigmoid(x: Value) -> Value:
    """Return ``1 / (1 + exp(-x))``."""
    return apply("sigmoid", x)


def gelu(x: Value) -> Value:
    """Return ``x`` times the normal distribution function at ``x``, in the form with a hyperbolic tangent.

    References
    ----------
    Hendrycks and Gimpel, "Gaussian error linear units", arXiv 1606.08415.
    """
    return apply("gelu", x)


def multiply(x: Value, factor: Array) -> Value:
    """Return ``x * factor``, entry by entry, for a constant factor of the same shape, such as a dropout mask."""
    return apply("multiply", x, factor=factor)


def log_softmax(logits: Value) -> Value:
    """Return ``logits - log(sum(exp(logits)))`` of each row."""
    return apply("log_softmax", logits)


def reshape(x: Value, shape: Sequence[int]) -> Value:
    """Return ``x`` in another shape of the same size; one entry may be -1."""
    return apply("reshape", x, shape=tuple(shape))


def softmax_cross_entropy(logits: Value, labels: Array) -> Value:
    """Return the mean over the batch of ``-log softmax(logits)[label]``, a scalar.

    Parameters
    ----------
    logits : Var or array, (batch, classes)
    labels : array of integers, (batch,)
        The true classes, from 0 to classes - 1.
    """
    return apply("softmax_cross_entropy", logits, labels)


def mean_square(y: Value, target: Value) -> Value:
    """Return the mean of ``(y - target)**2`` over all entries, a scalar."""
    return apply("mean_square", y, target)


def _fits(op: str, condition: bool, a: Array, b: Array) -> None:
    if not condition:
        raise ValueError(f"{op}: the shapes {tuple(a.shape)} and {tuple(b.shape)} do not fit")


def _matmul(a: Array, b: Array) -> tuple[Array, Any]:
    _fits("matmul", a.ndim == 2 and b.ndim == 2 and a.shape[1] == b.shape[0], a, b)
    return a @ b, (a, b)


def _matmul_vjp(d: Array, saved: Any, wanted: tuple[bool, ...]) -> tuple[Array | None, ...]:
    a, b = saved
    return d @ b.mT if wanted[0] else None, a.mT @ d if wanted[1] else None


def _linear(x: Array, W: Array) -> tuple[Array, Any]:
    _fits("linear (x W*)", x.ndim == 2 and W.ndim == 2 and x.shape[1] == W.shape[1], x, W)
    return (W @ x.mT).mT, (x, W)


def _linear_vjp(d: Array, saved: Any, wanted: tuple[bool, ...]) -> tuple[Any, ...]:
    x, W = saved
    dW = Deferred(lambda: d.mT @ x, tuple(W.shape)) if wanted[1] else None
    return (W.mT @ d.mT).mT if wanted[0] else None, dW


def _add(x: Array, b: Array) -> tuple[Array, Any]:
    trailing = tuple(x.shape[x.ndim - b.ndim :]) if b.ndim <= x.ndim else None
    fits = trailing is not None and all(k in (1, n) for k, n in zip(b.shape, trailing, strict=True))
    _fits("add", fits, x, b)
    return x + b, (tuple(x.shape), tuple(b.shape))


def _add_vjp(d: Array, shapes: Any, wanted: tuple[bool, ...]) -> tuple[Any, ...]:
    return d, Deferred(lambda: _summed_to(d, *shapes), shapes[1]) if wanted[1] else None


def _summed_to(d: Array, shape: tuple[int, ...], smaller: tuple[int, ...]) -> Array:
    """Return the sums of ``d`` over the axes along which a smaller operand was repeated."""
    xp = namespace(d)
    leading = len(shape) - len(smaller)
    axes = tuple(i for i, n in enumerate(shape) if i < leading or (smaller[i - leading] == 1 and n != 1))
    return xp.reshape(xp.sum(d, axis=axes), smaller) if axes else d


def _relu(x: Array) -> tuple[Array, Any]:
    y = positive_part(x)
    return y, y


def _relu_vjp(d: Array, y: Array, wanted: tuple[bool, ...]) -> tuple[Array]:
    made = positive(y, d.dtype)
    made *= d
    return (made,)


def _tanh(x: Array) -> tuple[Array, Any]:
    y = namespace(x).tanh(x)
    return y, y


def _tanh_vjp(d: Array, y: Array, wanted: tuple[bool, ...]) -> tuple[Array]:
    return (d * (1.0 - y * y),)


def _sigmoid(x: Array) -> tuple[Array, Any]:
    y = 0.5 * namespace(x).tanh(0.5 * x) + 0.5  # exp would overflow for large -x
    return y, y


def _sigmoid_vjp(d: Array, y: Array, wanted: tuple[bool, ...]) -> tuple[Array]:
    return (d * (y * (1.0 - y)),)


_GELU = math.sqrt(2.0 / math.pi)


def _gelu(x: Array) -> tuple[Array, Any]:
    t = namespace(x).tanh(_GELU * (x + 0.044715 * (x * x * x)))
    return 0.5 * x * (1.0 + t), (x, t)


def _gelu_vjp(d: Array, saved: Any, wanted: tuple[bool, ...]) -> tuple[Array]:
    x, t = saved
    slope = (1.0 - t * t) * (_GELU * (1.0 + 3 * 0.044715 * (x * x)))
    return (d * (0.5 * (1.0 + t + x * slope)),)


def _multiply(x: Array, factor: Array) -> tuple[Array, Any]:
    _fits("multiply", tuple(x.shape) == tuple(factor.shape), x, factor)
    return x * factor, factor


def _multiply_vjp(d: Array, factor: Array, wanted: tuple[bool, ...]) -> tuple[Array]:
    return (d * factor,)


def _log_softmax(logits: Array) -> tuple[Array, Any]:
    xp = namespace(logits)
    shifted = logits - xp.max(logits, axis=-1, keepdims=True)
    y = shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))
    return y, y


def _log_softmax_vjp(d: Array, y: Array, wanted: tuple[bool, ...]) -> tuple[Array]:
    xp = namespace(d)
    return (d - xp.exp(y) * xp.sum(d, axis=-1, keepdims=True),)


def _reshape(x: Array, shape: tuple[int, ...]) -> tuple[Array, Any]:
    xp = namespace(x)
    try:
        return xp.reshape(x, shape), tuple(x.shape)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"reshape: the shapes {tuple(x.shape)} and {shape} do not fit") from error


def _reshape_vjp(d: Array, shape: tuple[int, ...], wanted: tuple[bool, ...]) -> tuple[Array]:
    return (namespace(d).reshape(d, shape),)


def _softmax_cross_entropy(logits: Array, labels: Array) -> tuple[Array, Any]:
    fits = logits.ndim == 2 and labels.ndim == 1 and logits.shape[0] == labels.shape[0]
    _fits("softmax_cross_entropy", fits, logits, labels)
    xp = namespace(logits, labels)
    classes = xp.arange(logits.shape[1], dtype=labels.dtype, device=device_of(labels))
    target = as_dtype(labels[:, None] == classes[None, :], logits.dtype)
    shifted = logits - xp.max(logits, axis=1, keepdims=True)
    weights = xp.exp(shifted)
    total = xp.sum(weights, axis=1, keepdims=True)
    loss = xp.mean(xp.log(total)[:, 0] - xp.sum(shifted * target, axis=1))
    return loss, (weights, total, target)


def _softmax_cross_entropy_vjp(d: Array, saved: Any, wanted: tuple[bool, ...]) -> tuple[Array | None, None]:
    weights, total, target = saved
    return (weights / total - target) * (d / float(total.shape[0])) if wanted[0] else None, None


def _mean_square(y: Array, target: Array) -> tuple[Array, Any]:
    _fits("mean_square", tuple(y.shape) == tuple(target.shape), y, target)
    difference = y - target
    return namespace(difference).mean(difference * difference), difference


def _mean_square_vjp(d: Array, difference: Array, wanted: tuple[bool, ...]) -> tuple[Array | None, ...]:
    size = 1
    for n in difference.shape:
        size *= n
    part = difference * (d * (2.0 / size))
    return part if wanted[0] else None, -part if wanted[1] else None


define("matmul", _matmul, _matmul_vjp)
define("linear", _linear, _linear_vjp)
define("add", _add, _add_vjp)
define("relu", _relu, _relu_vjp)
define("tanh", _tanh, _tanh_vjp)
define("sigmoid", _sigmoid, _sigmoid_vjp)
define("gelu", _gelu, _gelu_vjp)
define("multiply", _multiply, _multiply_vjp)
define("log_softmax", _log_softmax, _log_softmax_vjp)
define("reshape", _reshape, _reshape_vjp)
define("softmax_cross_entropy", _softmax_cross_entropy, _softmax_cross_entropy_vjp)
define("mean_square", _mean_square, _mean_square_vjp)
