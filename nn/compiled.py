"""The memory passes of convolutions, compiled by Numba where it is installed: what NumPy gives, bit for bit.

NumPy goes through memory once for every operation on an array; here all that is done with a number is done while it is
at hand, and the batch is the innermost loop too. One thread does it: Numba's own would keep the cores busy while they
wait for work, as those of BLAS do. Numba keeps what it compiled beside this file, or where ``NUMBA_CACHE_DIR`` says;
``NUMBA_DISABLE_JIT=1`` leaves all of this to NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

from matode._array import Array, host

__all__ = ["Kernels", "kernels"]

Kernel = Callable[..., None]
_PRECISIONS = frozenset(map(host.dtype, ("float32", "float64")))


class Kernels(NamedTuple):
    """Functions that write into some of their arguments: C-contiguous arrays of one dtype."""

    copy_windows: Kernel
    add_windows: Kernel
    largest: Kernel
    spread: Kernel


def kernels(*arrays: Array) -> Kernels | None:
    """Return the compiled passes for arrays of NumPy in single or in double precision, else None.

    Also None without Numba. The first call of each compiles it, all of them in about a second for each dtype.
    """
    dtype = arrays[0].dtype
    if all(type(x) is host.ndarray and x.dtype == dtype for x in arrays) and dtype in _PRECISIONS:
        return _compiled()
    return None


@cache
def _compiled() -> Kernels | None:
    try:
        import numba
    except ImportError:
        return None
    if numba.config.DISABLE_JIT:
        return None

    def compiled(function: Kernel) -> Kernel:
        try:
            return numba.njit(nogil=True, cache=True)(function)
        except RuntimeError:  # no folder that it could write to
            return numba.njit(nogil=True)(function)

    return Kernels(*map(compiled, (_copy_windows, _add_windows, _largest, _spread)))


def _copy_windows(image: Array, windows: Array, first: int, jump: int) -> None:
    """Copy the windows of some rows.

    Parameters
    ----------
    image : (channels, height, width, batch)
    windows : (channels, side, side, rows, columns, batch)
    first : int
        The first of the rows.
    jump : int
        Pixels from one window to the next, down and across.
    """
    channels, side, _, rows, columns, batch = windows.shape
    for c in range(channels):
        for i in range(side):
            for j in range(side):
                for row in range(rows):
                    for column in range(columns):
                        pixel = image[c, (first + row) * jump + i, column * jump + j]
                        part = windows[c, i, j, row, column]
                        for n in range(batch):
                            part[n] = pixel[n]


def _add_windows(image: Array, windows: Array, first: int, jump: int) -> None:
    """Add windows to the pixels that :func:`_copy_windows` takes them from, in the order of their rows and columns."""
    channels, side, _, rows, columns, batch = windows.shape
    for c in range(channels):
        for i in range(side):
            for j in range(side):
                for row in range(rows):
                    for column in range(columns):
                        pixel = image[c, (first + row) * jump + i, column * jump + j]
                        part = windows[c, i, j, row, column]
                        for n in range(batch):
                            pixel[n] += part[n]


def _largest(parts: Array, y: Array, where: Array | None, first: int) -> None:
    """Write the largest of ``parts[k, ...]``, and the k of it, the first where some are equal.

    Parameters
    ----------
    parts : (places, m, windows)
    y : (m, rows, columns batch)
        Gets the windows from the row ``first`` on.
    where : (m, windows), optional
        Gets the k, small integers.
    """
    places, m, windows = parts.shape
    rows = windows // y.shape[2]
    for i in range(m):
        top, start = y[i, first : first + rows].ravel(), parts[0, i]
        for n in range(windows):
            top[n] = start[n]
        if where is not None:
            where[i] = 0
        for k in range(1, places):
            part = parts[k, i]
            if where is None:
                for n in range(windows):
                    a, b = part[n], top[n]
                    top[n] = a if a > b or a != a else b  # NaN stays
            else:
                place, index = where[i], where.dtype.type(k)
                for n in range(windows):
                    a, b = part[n], top[n]
                    place[n] = index if a > b else place[n]
                    top[n] = a if a > b or a != a else b


def _spread(y: Array, where: Array, parts: Array, first: int) -> None:
    """Write ``y`` into ``parts[k, ...]`` where :func:`_largest` found k, else zero: the product with a mask."""
    places, m, windows = parts.shape
    rows, zero, one = windows // y.shape[2], y.dtype.type(0), y.dtype.type(1)
    for i in range(m):
        d, place = y[i, first : first + rows].ravel(), where[i]
        for k in range(places):
            part, index = parts[k, i], where.dtype.type(k)
            for n in range(windows):
                part[n] = d[n] * (one if place[n] == index else zero)
