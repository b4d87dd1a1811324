"""Convolutions, with max pooling fused, whose weights are matrices of outputs x (inputs k k), dense or low-rank.

A convolution is the product of its weight with the matrix of all patches of its input. :class:`Patches` is that matrix,
known by three products: ``B* P`` for thin B (forward), ``P Z*`` (the gradient for the weight) and ``B Z`` put back in
place (the gradient for the input). The gradient for a low-rank weight is an :class:`~nn.factored.Outer` of the output's
cotangent and the patches, which serves the K-, L- and S-step alike.

Images are (batch, channels, height, width), but lie in memory with the batch last: every copy and every sum then runs
along it. The first convolution brings them there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import add
from typing import Any

from matode._array import Array, device_of, is_gpu, namespace, zeros_like_shape
from matode.evaluations import DenseEvaluation
from matode.lowrank import LowRank
from nn.autodiff import Var, apply, define, masked
from nn.factored import Outer

__all__ = ["Patches", "batch_first", "batch_last", "conv2d"]

_BAND = 2**19  # numbers in the largest array of a band: 2 MB in single precision
_NARROWEST = 256  # patches in a band: below, products of matrices lose their speed


def conv2d(x: Any, W: Any, kernel: int, *, stride: int = 1, padding: int = 0, pool: int = 1) -> Any:
    """Return the cross-correlation of images with the filters in the rows of W, and the maximum of each pool.

    Parameters
    ----------
    x : Var or array, (batch, inputs, height, width)
    W : Var, array or LowRank, (outputs, inputs kernel kernel)
        A row is a filter, in the order (input, row, column). The cotangent of a low-rank weight is an
        :class:`~nn.factored.Outer`; that of a dense one is an array.
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


def batch_last(x: Array) -> Array:
    """Return images as (channels, height, width, batch): a view."""
    return namespace(x).permute_dims(x, (1, 2, 3, 0))


def batch_first(x: Array) -> Array:
    """Return (channels, height, width, batch) as images (batch, channels, height, width): a view."""
    return namespace(x).permute_dims(x, (3, 0, 1, 2))


class Patches:
    """The matrix of all patches of a batch of images, (patches, inputs k k), known by its products.

    The patches are ordered as (row and column within a pool, row and column of the pool, image). Those of one pool
    overlap: together they are one window, of side ``w = k + (pool - 1) stride``. A product with B is one with the
    windows, for as many shifted copies of B, padded with zeros, as a pool has places: for k = 5, pool = 2 that is 1.4
    times the work on a third of the memory.

    Windows are copied from the image when they are needed, a band of rows at a time, so that they stay in the cache and
    no memory is asked of the system: on a CPU both cost more than the copy. On a GPU there is one band. The image is
    kept with its padding, split in ``jump x jump`` interleaved ones where windows begin every ``jump`` pixels and their
    side is a multiple of it: a window is then made of few pieces that lie together.

    Parameters
    ----------
    x : (batch, inputs, height, width) array
    kernel, stride, padding, pool : int
        As in :func:`conv2d`.
    outputs : int
        Number of filters that the bands are made for.

    Attributes
    ----------
    shape : (patches, inputs k k)
    grid : (rows, columns batch)
        Of the windows.
    bands : list of slice
        Of the rows.
    """

    ndim = 2

    def __init__(
        self, x: Array, kernel: int, stride: int = 1, padding: int = 0, pool: int = 1, outputs: int = 1
    ) -> None:
        xp = namespace(x)
        batch, channels, height, width = x.shape
        image = batch_last(x)
        if padding:
            padded = zeros_like_shape((channels, height + 2 * padding, width + 2 * padding, batch), x)
            padded[:, padding : padding + height, padding : padding + width, :] = image
            image = padded
        self.kernel, self.stride, self.padding, self.pool = kernel, stride, padding, pool
        self.side = kernel + (pool - 1) * stride
        self.jump = pool * stride
        self.split = self.jump if self.side % self.jump == 0 else 1
        self.size = (channels, image.shape[1], image.shape[2], batch)
        rows, columns = ((n - self.side) // self.jump + 1 for n in self.size[1:3])
        self.images = xp.reshape(image, (channels, 1, 1, *self.size[1:]))
        if self.split > 1:
            self.images = self.zeros(x)
            for i in range(self.split):
                for j in range(self.split):
                    part = image[:, i :: self.split, j :: self.split, :]
                    self.images[:, i, j, : part.shape[1], : part.shape[2], :] = part
        self.columns = columns
        self.grid = (rows, columns * batch)
        self.shape = (pool * pool * rows * columns * batch, channels * kernel * kernel)
        tallest = max(channels * self.side**2, outputs * pool**2)
        step = rows if is_gpu(x) else max(_BAND // tallest, _NARROWEST) // (columns * batch) or 1
        self.bands = [slice(i, min(i + step, rows)) for i in range(0, rows, step)]

    @property
    def mT(self) -> _Transposed:
        """The transpose."""
        return _Transposed(self)

    def __matmul__(self, B: Array) -> Array:
        """Return the products of all patches with the columns of B (inputs k k, m): (patches, m)."""
        return self.times(B.mT).mT

    def times(self, B: Array) -> Array:
        """Return the products of all patches with the filters in the rows of B: (m, patches)."""
        xp = namespace(B)
        product = self.empty(B.shape[0], B)
        shifted = self.shifted(B)
        for band in self.bands:
            part = shifted @ self.windows(band)
            product[:, band, :] = xp.reshape(part, (part.shape[0], band.stop - band.start, self.grid[1]))
        return xp.reshape(product, (B.shape[0], self.shape[0]))

    def weighted(self, Z: Array) -> Array:
        """Return the sums of all patches with the weights in the rows of Z (m, patches): (m, inputs k k)."""
        xp = namespace(Z)
        Z = xp.reshape(Z, (Z.shape[0] * self.pool**2, *self.grid))

        def of_band(band: slice) -> Array:
            part = xp.reshape(Z[:, band, :], (Z.shape[0], (band.stop - band.start) * self.grid[1]))
            return self.windows(band) @ part.mT  # in this order: the other one is a tenth slower

        return self.folded(reduce(add, map(of_band, self.bands)).mT)

    def windows(self, band: slice) -> Array:
        """Return the windows of some rows, (inputs w w, rows columns batch)."""
        xp = namespace(self.images)
        channels, _, _, batch = self.size
        rows = band.stop - band.start
        if self.side == 1 and self.jump == 1:
            return xp.reshape(self.images[:, 0, 0, band, :, :], (channels, rows * self.grid[1]))
        shape = (channels, self.side, self.side, rows, self.columns, batch)
        windows = xp.empty(shape, dtype=self.images.dtype, device=device_of(self.images))
        for places, pixels in self._pieces(band):
            windows[places] = self.images[pixels]
        return xp.reshape(windows, (channels * self.side**2, rows * self.grid[1]))

    def scatter(self, images: Array, shifted: Array, Z: Array, band: slice) -> None:
        """Add to ``images``, made by :meth:`zeros`, the windows ``shifted* Z`` of a band, in their place."""
        xp = namespace(Z)
        channels, _, _, batch = self.size
        rows = band.stop - band.start
        T = shifted.mT @ xp.reshape(Z, (shifted.shape[0], rows * self.grid[1]))
        T = xp.reshape(T, (channels, self.side, self.side, rows, self.columns, batch))
        for places, pixels in self._pieces(band):
            images[pixels] += T[places]

    def joined(self, images: Array) -> Array:
        """Return what :meth:`scatter` summed up, as (batch, inputs, height, width)."""
        xp = namespace(images)
        channels, height, width, batch = self.size
        p, (_, split, _, h, w, _) = self.padding, images.shape
        image = xp.reshape(xp.permute_dims(images, (0, 3, 1, 4, 2, 5)), (channels, h * split, w * split, batch))
        return batch_first(image[:, p : height - p, p : width - p, :])

    def zeros(self, like: Array) -> Array:
        """Return zeros for the padded image, split: (inputs, split, split, height / split, width / split, batch)."""
        channels, height, width, batch = self.size
        shape = (channels, self.split, self.split, -(-height // self.split), -(-width // self.split), batch)
        return zeros_like_shape(shape, like)

    def shifted(self, B: Array) -> Array:
        """Return the rows of B as filters at each place of a pool, padded to windows: (m pool pool, inputs w w)."""
        xp = namespace(B)
        if self.pool == 1:
            return B
        m, channels = B.shape[0], self.size[0]
        filters = xp.reshape(B, (m, channels, self.kernel, self.kernel))
        shifted = zeros_like_shape((m, self.pool, self.pool, channels, self.side, self.side), B)
        for i, j, y, x in self._places():
            shifted[:, i, j, :, y, x] = filters
        return xp.reshape(shifted, (m * self.pool**2, channels * self.side**2))

    def folded(self, T: Array) -> Array:
        """Return the sum over the places of a pool of what :meth:`shifted` would spread: (m, inputs k k)."""
        xp = namespace(T)
        if self.pool == 1:
            return T
        m = T.shape[0] // self.pool**2
        T = xp.reshape(T, (m, self.pool, self.pool, self.size[0], self.side, self.side))
        parts = (T[:, i, j, :, y, x] for i, j, y, x in self._places())
        return xp.reshape(reduce(add, parts), (m, self.shape[1]))

    def empty(self, m: int, like: Array) -> Array:
        """Return an array for m numbers per patch, (m pool pool, rows, columns batch)."""
        return namespace(like).empty((m * self.pool**2, *self.grid), dtype=like.dtype, device=device_of(like))

    def _pieces(self, band: slice) -> Iterator[tuple[Any, Any]]:
        """Give the pieces of windows that lie together: their index in the windows of a band, and in the images."""
        rows, step = band.stop - band.start, self.jump // self.split
        starts = range(0, self.side, self.split)
        for i in starts:
            y = _every(band.start * step + i // self.split, step, rows)
            for j in starts:
                x = _every(j // self.split, step, self.columns)
                yield (
                    (slice(None), slice(i, i + self.split), slice(j, j + self.split), ...),
                    (..., y, x, slice(None)),
                )

    def _places(self) -> Iterator[tuple[int, int, slice, slice]]:
        """Give each place in a pool, and where its filter lies in the window."""
        for i in range(self.pool):
            for j in range(self.pool):
                y, x = i * self.stride, j * self.stride
                yield i, j, slice(y, y + self.kernel), slice(x, x + self.kernel)


class _Transposed:
    """The transpose of :class:`Patches`, (inputs k k, patches)."""

    def __init__(self, patches: Patches) -> None:
        self.patches = patches
        self.shape = patches.shape[::-1]

    def __matmul__(self, Z: Array) -> Array:
        """Return the sums of all patches with the weights in the columns of Z (patches, m): (inputs k k, m)."""
        return self.patches.weighted(Z.mT).mT


def _every(start: int, step: int, count: int) -> slice:
    return slice(start, start + step * (count - 1) + 1, step)


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
    x_V = patches.empty(W.rank, x) if keep and isinstance(W, LowRank) and not _is_small(W) else None
    y = xp.empty((W.shape[0], *patches.grid), dtype=x.dtype, device=device_of(x))
    masks: list[list[Array]] = []
    for band in patches.bands:
        z = filters @ patches.windows(band)
        if x_V is not None:
            x_V[:, band, :] = xp.reshape(z, (z.shape[0], -1, patches.grid[1]))
        if US is not None:
            z = US @ xp.reshape(z, (US.shape[1], -1))
        largest, where = _largest(xp.reshape(z, (y.shape[0], pool * pool, -1)), keep)
        masks.append(where)
        y[:, band, :] = xp.reshape(largest, (y.shape[0], -1, patches.grid[1]))
    shape = (y.shape[0], patches.grid[0], patches.columns, x.shape[0])
    return batch_first(xp.reshape(y, shape)), (patches, W, x_V, masks)


def _conv2d_vjp(d: Array, saved: Any, wanted: tuple[bool, ...]) -> tuple[Any, ...]:
    patches, W, x_V, masks = saved
    xp = namespace(d)
    low = isinstance(W, LowRank)
    factored = wanted[1] and x_V is not None
    m, count = W.shape[0], patches.shape[0]
    d = xp.reshape(batch_last(d), (m, *patches.grid))
    delta = patches.empty(m, d) if factored else None
    delta_U = patches.empty(W.rank, d) if factored else None
    images = patches.zeros(d) if wanted[0] else None
    filters = patches.shifted((W.S @ W.V.mT) if low else W) if wanted[0] else None
    G: Any = 0.0
    for band, where in zip(patches.bands, masks, strict=True):
        part = _put_back(xp.reshape(d[:, band, :], (m, -1)), where)
        if wanted[1] and not factored:
            G = xp.reshape(part, (m * patches.pool**2, -1)) @ patches.windows(band).mT + G
        if low and (factored or wanted[0]):
            part_U = W.U.mT @ xp.reshape(part, (m, -1))
        if delta is not None and delta_U is not None:
            delta[:, band, :] = xp.reshape(part, (delta.shape[0], -1, patches.grid[1]))
            delta_U[:, band, :] = xp.reshape(part_U, (delta_U.shape[0], -1, patches.grid[1]))
        if images is not None:
            patches.scatter(images, filters, part_U if low else part, band)
    dx = None if images is None else patches.joined(images)
    if not wanted[1]:
        return dx, None
    if delta is None or delta_U is None:
        return dx, DenseEvaluation(patches.folded(G)) if low else patches.folded(G)
    delta, delta_U, x_V = (xp.reshape(z, (-1, count)).mT for z in (delta, delta_U, x_V))
    return dx, Outer(delta, patches, U=W.U, V=W.V, delta_U=delta_U, x_V=x_V)


def _is_small(W: LowRank) -> bool:
    """Whether a dense gradient is no larger than the factors of an augmented step, 2 r (m + n) numbers."""
    return W.shape[0] * W.shape[1] <= 2 * W.rank * (W.shape[0] + W.shape[1])


def _largest(parts: Array, keep: bool) -> tuple[Array, list[Array]]:
    """Return the largest of ``parts[:, k, :]``, and if asked for each k > 0 where it exceeds all before it."""
    y, where = parts[:, 0, :], []
    for k in range(1, parts.shape[1]):
        if keep:
            where.append(parts[:, k, :] > y)
        y = namespace(y).maximum(y, parts[:, k, :])
    return y, where


def _put_back(d: Array, where: list[Array]) -> Array:
    """Return the cotangent of :func:`_largest`: that of the largest value, in its place."""
    if not where:
        return d
    parts = namespace(d).empty((d.shape[0], len(where) + 1, d.shape[1]), dtype=d.dtype, device=device_of(d))
    for k in range(len(where), 0, -1):
        part = masked(d, where[k - 1])
        parts[:, k, :] = part
        d = d - part
    parts[:, 0, :] = d
    return parts


define("conv2d", _conv2d, _conv2d_vjp)
