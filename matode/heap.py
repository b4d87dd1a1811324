"""Freed memory that stays with the process while a solve lasts, for the arrays of its next step.

glibc returns large arrays to the system when they are freed, and the pages of each new one are then mapped and cleared
anew: that can take as long as the arithmetic of a step, and several times as long on a virtual machine that has to get
them back from its host.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from matode._array import host
from matode.lowrank import LowRank
from matode.protocols import State

__all__ = ["memory_kept", "settle"]

_ADAPTED = 31 * 2**20  # bytes: glibc keeps arrays up to this size of its own accord, once one of them was freed
_RETURNED = 2 * _ADAPTED  # and returns what is free at the end of its memory, where that is more
_OF_A_STEP = 10  # times the size of the state: what a step makes and frees
_RANK = 8  # that a block may grow to, for all that is known when a solve begins

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # names of mallopt's parameters
_MAPPINGS = 65536  # glibc's own number
_CHOSEN = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")

_lock = threading.Lock()
_running = 0  # how many want memory kept: what they change belongs to the process


def settle() -> None:
    """Let glibc keep freed arrays of up to 31 MB for good, by freeing one of that size, whose pages nobody touches."""
    host.empty(_ADAPTED, dtype=host.uint8)


@contextmanager
def memory_kept(Y: State) -> Iterator[None]:
    """Let the C library keep the memory of freed arrays, for a solve that begins at Y.

    Where a step frees up to 62 MB, in arrays of up to 31, it then keeps all for good. Where it frees more, the library
    is told to keep all while the block runs, and to return what is free at its end. A user who has chosen glibc's
    settings by environment variables has those.
    """
    settle()
    libc = _glibc() if _OF_A_STEP * _size(Y) > _RETURNED else None
    if libc is None:
        yield
        return
    _count(libc, 1)
    try:
        yield
    finally:
        _count(libc, -1)


def _size(Y: State) -> int:
    """Return the bytes of the factors and arrays of a state that are on the host."""
    size = 0
    for y in Y:
        X, numbers = (y.U, sum(y.shape) * max(y.rank, _RANK)) if isinstance(y, LowRank) else (y, math.prod(y.shape))
        if type(X) is host.ndarray:
            size += numbers * X.itemsize
    return size


def _count(libc: Any, change: int) -> None:
    """Count those that begin and end: the first one changes glibc's settings, and the last one puts them back."""
    global _running
    with _lock:
        first, _running = _running == 0, _running + change
        if first:
            libc.mallopt(_MMAP_MAX, 0)
            libc.mallopt(_TRIM_THRESHOLD, -1)  # never
        elif _running == 0:
            libc.mallopt(_MMAP_MAX, _MAPPINGS)
            libc.mallopt(_TRIM_THRESHOLD, _RETURNED)
            libc.malloc_trim(0)


@cache
def _glibc() -> Any:
    """Return the C library where it is glibc and nobody has chosen its settings, else None."""
    try:
        glibc = os.confstr("CS_GNU_LIBC_VERSION") is not None
    except (AttributeError, OSError, ValueError):  # no POSIX system, or another library
        return None
    return ctypes.CDLL(None) if glibc and not any(name in os.environ for name in _CHOSEN) else None
