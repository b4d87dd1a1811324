"""Convolutions, with max pooling fused, whose weights are matrices of outputs x (inputs k k), dense or low-rank.

A convolution is the product of its weight with the matrix P of all patches of its input, (inputs k k, patches), that
is never formed whole (:class:`~nn.patches.Patches`). A low-rank weight first multiplies by V*, and the rest of the work
is for r numbers a patch. Its gradient is ``delta P*``, with delta the cotangent of the output: known by its actions
(:class:`FilterGradient`), which serve the K-, L- and S-step alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import add
from typing import Any

from matode._array import Array, device_of, namespace
from matode.evaluations import Chain, DenseEvaluation, Lazy, as_evaluation
from matode.lowrank import LowRank
from nn.autodiff import Var, apply, define, masked
from nn.compiled import kernels
from nn.patches import Patches, batch_first, batch_last

__all__ = ["FilterGradient", "conv2d"]


def conv2d(x: Any, W: Any, kernel: int, *, stride: int = 1, padding: int = 0, pool: int = 1) -> Any:
    """Return the cross-correlation of images with the filters in the rows of W, and the maximum of each pool.

    Parameters
    ----------
    x : Var or array, (batch, inputs, height, width)
    W : Var, array or LowRank, (outputs, inputs kernel kernel)
        A row is a filter, in the order (input, row, column). The cotangent of a low-rank weight is a
        :class:`FilterGradient`; that of a dense one is an array.
    kernel : int
        Height and width of a filter.
    stride, padding : int
        Steps between patches, and zeros around the image.
    pool : int
        Side of the squares, side by side, of which the largest value is kept; 1 keeps all. Rows and columns that do
        not fill a square are left out.

    Returns
    -------
    Var or array, (batch, outputs, height', width')

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    differentiated = isinstance(x, Var) or isinstance(W, Var)
    return apply("conv2d", x, W, kernel=kernel, stride=stride, padding=padding, pool=pool, keep=differentiated)


class FilterGradient(Lazy):
    """The m x n gradient ``delta P*`` for a low-rank weight U S V*, known by its actions.

    What belongs to patches is (places, k, windows) for each band, as in :class:`~nn.patches.Patches`.

    Parameters
    ----------
    patches : Patches
    delta : sequence of arrays
        The cotangent of the output.
    W : LowRank
        The weight: products with its bases, recognised by identity, are known.
    delta_U, x_V : sequences of arrays
        ``U* delta`` and ``V* P``, from the passes.
    """

    __slots__ = ("_U1", "_W", "_delta", "_delta_U", "_left_U1", "_patches", "_x_V", "shape")

    def __init__(
        self, patches: Patches, delta: list[Array], W: LowRank, delta_U: list[Array], x_V: list[Array]
    ) -> None:
        self._patches, self._delta, self._W, self._delta_U, self._x_V = patches, delta, W, delta_U, x_V
        self.shape = W.shape
        self._U1: Array | None = None
        self._left_U1: Array | None = None

    def right(self, V: Array) -> Array:
        """Return ``delta (V* P)*``, (m, k)."""
        return _inner(self._delta, self._products(V))

    def left(self, U: Array) -> Array:
        """Return ``P (U* delta)*``, (n, k)."""
        if self._U1 is None:
            return self._patches.weighted(self._projected(U)).mT
        xp, r = namespace(U), U.shape[1]
        both = zip(self._projected(U), self._projected(self._U1), strict=True)
        rows = self._patches.weighted(xp.concat(parts, axis=1) for parts in both)
        self._left_U1 = rows[r:, :].mT
        return rows[:r, :].mT

    def galerkin(self, U: Array, V: Array) -> Array:
        """Return ``(U* delta) (V* P)*``, (k, l)."""
        if U is self._U1 and self._left_U1 is not None:
            return self._left_U1.mT @ V
        return _inner(self._projected(U), self._products(V))

    def foreseeing(self, U1: Array) -> FilterGradient:
        """Return the same matrix, of which the next :meth:`left` also gives ``P (U1* delta)*`` for :meth:`galerkin`."""
        told = FilterGradient(self._patches, self._delta, self._W, self._delta_U, self._x_V)
        told._U1 = U1
        return told

    def full(self) -> Array:
        """Return the m x n array: for tests and dense blocks only."""
        return self._patches.weighted(self._delta)

    def _projected(self, U: Array) -> Iterable[Array]:
        return self._delta_U if U is self._W.U else (U.mT @ part for part in self._delta)

    def _products(self, V: Array) -> Iterable[Array]:
        if V is self._W.V:
            return self._x_V
        filters = self._patches.shifted(V.mT)
        return (self._patches.product(filters, band) for band in self._patches.bands)

    def _scaled(self, c: Any) -> FilterGradient:
        delta, delta_U = ([c * part for part in parts] for parts in (self._delta, self._delta_U))
        return FilterGradient(self._patches, delta, self._W, delta_U, self._x_V)

    def _multiplied_left(self, A: Any) -> Chain:
        return Chain(as_evaluation(A, None), self)

    def _multiplied_right(self, B: Any) -> Chain:
        return Chain(self, as_evaluation(B, None))


def _inner(A: Iterable[Array], B: Iterable[Array]) -> Array:
    """Return the sum of ``A B*`` over all bands and places."""
    stack = reduce(add, (a @ b.mT for a, b in zip(A, B, strict=True)))
    return namespace(stack).sum(stack, axis=0)


def _conv2d(x: Array, W: Any, kernel: int, stride: int, padding: int, pool: int, keep: bool) -> tuple[Array, Any]:
    if x.ndim != 4 or x.shape[1] * kernel * kernel != W.shape[1]:
        raise ValueError(f"conv2d: the shapes {tuple(x.shape)} and {tuple(W.shape)} do not fit")
    if min(x.shape[2:]) + 2 * padding < kernel + (pool - 1) * stride:
        raise ValueError(
            f"conv2d: images of {x.shape[2]} x {x.shape[3]} are too small for a {kernel} x {kernel} kernel with stride "
            f"{stride}, padding {padding} and pool {pool}"
        )
    xp = namespace(x)
    patches = Patches(x, kernel, stride, padding, pool, W.shape[0])
    US = W.U @ W.S if isinstance(W, LowRank) else None
    filters = patches.shifted(W.V.mT if isinstance(W, LowRank) else W)
    y = xp.empty((W.shape[0], *patches.grid), dtype=x.dtype, device=device_of(x))
    x_V: list[Array] = []
    masks: list[Array | None] = []
    for band in patches.bands:
        z = patches.product(filters, band)
        if US is not None:
            if keep and not _is_small(W):
                x_V.append(z)
            z = US @ z
        masks.append(_largest(z, keep, y, band))
    shape = (y.shape[0], patches.grid[0], patches.columns, x.shape[0])
    return batch_first(xp.reshape(y, shape)), (patches, W, x_V, masks)


def _conv2d_vjp(d: Array, saved: Any, wanted: tuple[bool, ...]) -> tuple[Any, ...]:
    patches, W, x_V, masks = saved
    xp = namespace(d)
    d = xp.reshape(batch_last(d), (W.shape[0], *patches.grid))
    low, factored = isinstance(W, LowRank), wanted[1] and bool(x_V)
    filters = patches.shifted((W.S @ W.V.mT) if low else W) if wanted[0] else None
    images = patches.zeros(d) if wanted[0] else None
    delta, delta_U, G = [], [], 0.0
    for band, where in zip(patches.bands, masks, strict=True):
        part = _spread(d, band, where, patches.pool**2)
        part_U = W.U.mT @ part if low and (factored or wanted[0]) else part
        if images is not None:
            patches.scatter(images, filters, part_U, band)
        if factored:
            delta.append(part)
            delta_U.append(part_U)
        elif wanted[1]:
            G = patches.summed(part, band) + G
    dx = None if images is None else patches.joined(images)
    if not wanted[1]:
        return dx, None
    if factored:
        return dx, FilterGradient(patches, delta, W, delta_U, x_V)
    G = patches.folded(G)
    return dx, DenseEvaluation(G) if low else G


def _is_small(W: LowRank) -> bool:
    """Whether a dense gradient is no larger than the factors of an augmented step, 2 r (m + n) numbers."""
    return W.shape[0] * W.shape[1] <= 2 * W.rank * (W.shape[0] + W.shape[1])


def _largest(parts: Array, keep: bool, y: Array, band: slice) -> Array | None:
    """Write the largest of ``parts[k, ...]`` into a band of y; return where that is, if asked.

    Of equal values it is the first. A mask per part says so, or, where compiled, an array of the k.
    """
    xp, count = namespace(parts), parts.shape[0]
    keep = keep and count > 1
    fast = kernels(parts, y) if 1 < count <= 256 else None
    if fast is not None:
        index = xp.empty(parts.shape[1:], dtype=xp.uint8) if keep else None
        fast.largest(parts, y, index, band.start)
        return index
    where = xp.empty(parts.shape, dtype=xp.bool, device=device_of(parts)) if keep else None
    largest = parts[0, ...]
    for k in range(1, count):
        if where is not None:
            where[k, ...] = parts[k, ...] > largest
        largest = xp.maximum(largest, parts[k, ...])
    if where is not None:
        free = ~where[-1, ...]  # the last that exceeds all before it is the largest
        for k in range(count - 2, 0, -1):
            where[k, ...] &= free
            free = free ^ where[k, ...]
        where[0, ...] = free
    y[:, band, :] = xp.reshape(largest, (y.shape[0], -1, y.shape[2]))
    return where


def _spread(d: Array, band: slice, where: Array | None, places: int) -> Array:
    """Return a band of d, (outputs, rows, columns), in the places of :func:`_largest`: (places, outputs, windows)."""
    xp = namespace(d)
    if where is not None and where.ndim == 2:
        fast = kernels(d)
        if fast is not None:
            parts = xp.empty((places, *where.shape), dtype=d.dtype)
            fast.spread(d if d.flags.c_contiguous else d.copy(), where, parts, band.start)
            return parts
        where = where == xp.arange(places)[:, None, None]
    part = xp.reshape(d[:, band, :], (1, d.shape[0], -1))
    return part if where is None else masked(part, where)


define("conv2d", _conv2d, _conv2d_vjp)
