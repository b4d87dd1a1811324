"""The patches of a batch of images that a convolution multiplies its filters with.

Images are (batch, channels, height, width), but lie in memory with the batch last: every copy and every sum then runs
along it. The first convolution brings them there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from operator import add
from typing import Any

from matode._array import Array, device_of, is_gpu, namespace, zeros_like_shape
from nn.compiled import Kernels, kernels

__all__ = ["Patches", "batch_first", "batch_last"]

_BAND = 2**19  # numbers in the largest array of a band: 2 MB in single precision
_NARROWEST = 256  # windows in a band: below, products of matrices lose their speed
_SHORTEST = 16  # images in a batch: below, NumPy copies rows of windows faster than a loop goes from pixel to pixel


def batch_last(x: Array) -> Array:
    """Return images as (channels, height, width, batch): a view."""
    return namespace(x).permute_dims(x, (1, 2, 3, 0))


def batch_first(x: Array) -> Array:
    """Return (channels, height, width, batch) as images (batch, channels, height, width): a view."""
    return namespace(x).permute_dims(x, (3, 0, 1, 2))


class Patches:
    """All patches of a batch of images, known by their products with filters.

    The patches of one pool overlap: together they are one window, of side ``w = k + (pool - 1) stride``. A product with
    filters is one with the windows, for as many shifted copies of the filters, padded with zeros, as a pool has places:
    for k = 5, pool = 2 that is 1.4 times the work on a third of the memory. What belongs to the patches is therefore an
    array (places, m, windows), with place (i, j) of a pool at ``i pool + j`` and m numbers a patch.

    Windows are copied from the image when they are needed, a band of rows at a time, so that they stay in the cache and
    no memory is asked of the system: on a CPU both cost more than the copy. On a GPU there is one band. The image is
    kept with its padding, split in ``jump x jump`` interleaved ones where windows begin every ``jump`` pixels and their
    side is a multiple of it: a window is then made of few pieces that lie together. Compiled copies
    (:mod:`nn.compiled`) have no need of that.

    Parameters
    ----------
    x : (batch, inputs, height, width) array
    kernel, stride, padding, pool : int
        As in :func:`~nn.conv.conv2d`.
    outputs : int
        Number of filters that the bands are made for.

    Attributes
    ----------
    grid : (rows, columns batch)
        Of the windows.
    bands : list of slice
        Of the rows.
    compiled : bool
        Whether :mod:`nn.compiled` moves the windows; single pixels side by side need not move.
    """

    def __init__(
        self, x: Array, kernel: int, stride: int = 1, padding: int = 0, pool: int = 1, outputs: int = 1
    ) -> None:
        xp = namespace(x)
        batch, channels, height, width = x.shape
        image = batch_last(x)
        self.kernel, self.stride, self.padding, self.pool = kernel, stride, padding, pool
        self.side = kernel + (pool - 1) * stride
        self.jump = pool * stride
        self.compiled = batch >= _SHORTEST and self.side * self.jump > 1 and kernels(x) is not None
        if padding:
            padded = zeros_like_shape((channels, height + 2 * padding, width + 2 * padding, batch), x)
            padded[:, padding : padding + height, padding : padding + width, :] = image
            image = padded
        elif self.compiled and not image.flags.c_contiguous:
            image = image.copy()
        self.split = self.jump if self.side % self.jump == 0 and not self.compiled else 1
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
        tallest = max(channels * self.side**2, outputs * pool**2)
        step = rows if is_gpu(x) else max(_BAND // tallest, _NARROWEST) // (columns * batch) or 1
        self.bands = [slice(i, min(i + step, rows)) for i in range(0, rows, step)]

    def product(self, filters: Array, band: slice) -> Array:
        """Return the products of a band with filters that :meth:`shifted` made: (places, m, windows)."""
        z = filters @ self.windows(band)
        return namespace(z).reshape(z, (self.pool**2, -1, z.shape[1]))

    def weighted(self, Z: Iterable[Array]) -> Array:
        """Return the sums of all patches with weights, (places, m, windows) for each band: (m, inputs k k)."""
        return self.folded(reduce(add, map(self.summed, Z, self.bands)))

    def summed(self, Z: Array, band: slice) -> Array:
        """Return the sums of the windows of a band with weights (places, m, windows): (places m, inputs w w)."""
        windows = self.windows(band)
        Z = namespace(Z).reshape(Z, (-1, windows.shape[1]))
        # the larger factor first: the other order takes a tenth to a third longer
        return Z @ windows.mT if Z.shape[0] > windows.shape[0] else (windows @ Z.mT).mT

    def windows(self, band: slice) -> Array:
        """Return the windows of some rows, (inputs w w, rows columns batch)."""
        xp = namespace(self.images)
        channels, _, _, batch = self.size
        rows = band.stop - band.start
        if self.side == 1 and self.jump == 1:
            return xp.reshape(self.images[:, 0, 0, band, :, :], (channels, rows * self.grid[1]))
        shape = (channels, self.side, self.side, rows, self.columns, batch)
        windows = xp.empty(shape, dtype=self.images.dtype, device=device_of(self.images))
        fast = self._passes(self.images, windows)
        if fast is not None:
            fast.copy_windows(self.images[:, 0, 0], windows, band.start, self.jump)
        else:
            for places, pixels in self._pieces(band):
                windows[places] = self.images[pixels]
        return xp.reshape(windows, (channels * self.side**2, rows * self.grid[1]))

    def scatter(self, images: Array, filters: Array, Z: Array, band: slice) -> None:
        """Add to ``images``, made by :meth:`zeros`, the cotangent of a band for that of its products with filters."""
        xp = namespace(Z)
        channels, _, _, batch = self.size
        rows = band.stop - band.start
        T = filters.mT @ xp.reshape(Z, (filters.shape[0], -1))
        T = xp.reshape(T, (channels, self.side, self.side, rows, self.columns, batch))
        fast = self._passes(images, T)
        if fast is not None:
            fast.add_windows(images[:, 0, 0], T, band.start, self.jump)
        else:
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
        """Return the rows of B as filters at each place of a pool, padded to windows: (places m, inputs w w)."""
        xp = namespace(B)
        if self.pool == 1:
            return B
        m, channels = B.shape[0], self.size[0]
        filters = xp.reshape(B, (m, channels, self.kernel, self.kernel))
        shifted = zeros_like_shape((self.pool**2, m, channels, self.side, self.side), B)
        for place, y, x in self._places():
            shifted[place, :, :, y, x] = filters
        return xp.reshape(shifted, (self.pool**2 * m, channels * self.side**2))

    def folded(self, T: Array) -> Array:
        """Return the sum over the places of a pool of what :meth:`shifted` would spread: (m, inputs k k)."""
        xp = namespace(T)
        if self.pool == 1:
            return T
        m, channels = T.shape[0] // self.pool**2, self.size[0]
        T = xp.reshape(T, (self.pool**2, m, channels, self.side, self.side))
        parts = (T[place, :, :, y, x] for place, y, x in self._places())
        return xp.reshape(reduce(add, parts), (m, channels * self.kernel**2))

    def _passes(self, *arrays: Array) -> Kernels | None:
        return kernels(*arrays) if self.compiled else None

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

    def _places(self) -> Iterator[tuple[int, slice, slice]]:
        """Give each place in a pool, and where its filter lies in the window."""
        for place in range(self.pool**2):
            y, x = (self.stride * i for i in divmod(place, self.pool))
            yield place, slice(y, y + self.kernel), slice(x, x + self.kernel)


def _every(start: int, step: int, count: int) -> slice:
    return slice(start, start + step * (count - 1) + 1, step)
