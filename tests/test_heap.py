"""What a solve makes glibc do with freed memory: page faults in a process of its own, and what is asked when."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from matode import LowRank, State, heap
from matode.heap import memory_kept

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about what glibc does with freed memory")

_SCRIPT = """
import resource, sys
import numpy as np, matode
from matode import LowRank, Rank

m, n, r = (int(x) for x in sys.argv[1:])
rng = np.random.default_rng(0)
G, Y0 = (LowRank(rng.random((m, r)), np.eye(r), rng.random((n, r))) for _ in range(2))

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def pages():
    return int(open("/proc/self/statm").read().split()[1])

seen = []
matode.solve(lambda t, Y: -1.0 * Y + G, (0, 1), Y0, "augmented-bug", h=1 / 16, truncation=Rank(r), t_eval=[1],
             callback=lambda t, Y: seen.append((faults(), pages())))
print((seen[-2][0] - seen[7][0]) / 7, seen[-1][1] - pages())
"""
_PAGE = 4096


def _found(m, n, r, **settings):
    """Return the page faults of a step, and the pages that the end of the solve returns."""
    plain = {name: value for name, value in os.environ.items() if name not in heap._CHOSEN}
    command = [sys.executable, "-c", _SCRIPT, *map(str, (m, n, r))]
    out = subprocess.run(command, capture_output=True, text=True, check=True, env=plain | settings)
    return [float(x) for x in out.stdout.split()]


@glibc
def test_a_solve_reuses_the_memory_that_its_steps_free():
    assert _found(700, 700, 30)[0] < 700 * 30 * 8 / _PAGE / 2


@glibc
def test_so_it_does_with_arrays_that_glibc_would_return_and_returns_them_at_its_end():
    array = 10**6 * 5 * 8 / _PAGE
    huge = 2**21 / _PAGE  # pages of an array may come so many at a time
    a_step, returned = _found(10**6, 8, 5)
    assert a_step < array / huge / 2
    assert returned > 3 * array


@glibc
def test_settings_of_the_user_stay():
    array = 10**6 * 5 * 8 / _PAGE
    assert _found(10**6, 8, 5, MALLOC_MMAP_THRESHOLD_=str(2**20))[0] > array / 512


class _Libc:
    def __init__(self):
        self.asked = []

    def mallopt(self, name, value):
        self.asked.append((name, value))

    def malloc_trim(self, pad):
        self.asked.append("trim")


KEEP, RETURN = [(-4, 0), (-1, -1)], [(-4, 65536), (-1, 62 * 2**20), "trim"]


@pytest.fixture
def asked(monkeypatch):
    libc = _Libc()
    monkeypatch.setattr(heap, "_glibc", lambda: libc)
    return libc.asked


def _state(rows, rank, dtype="float64"):
    return State((LowRank(np.empty((rows, rank), dtype), np.eye(rank, dtype=dtype), np.empty((rank, rank), dtype)),))


def test_the_first_asks_and_the_last_puts_back(asked):
    large = _state(2**18, 1)
    with memory_kept(large):
        assert asked == KEEP
        with memory_kept(large):
            pass
        assert asked == KEEP
    assert asked == KEEP + RETURN


def test_it_is_put_back_after_an_error(asked):
    with pytest.raises(ZeroDivisionError), memory_kept(_state(2**18, 1)):
        1 / 0  # noqa: B018
    assert asked == KEEP + RETURN


@pytest.mark.parametrize(
    ("Y", "large"),
    [
        (_state(101_000, 1), False),  # 8 columns are 6.46 MB, and ten times that is below 62 MiB
        (_state(102_000, 1), True),
        (_state(102_000, 1, "float32"), False),
        (_state(20_000, 40), False),
        (_state(20_400, 40), True),
        (State((np.empty((900, 900)),)), False),
        (State((np.empty((900, 900)), np.empty(3000))), True),
        (State(()), False),
    ],
)
def test_only_where_arrays_are_to_come_that_glibc_would_return(asked, Y, large):
    with memory_kept(Y):
        assert asked == (KEEP if large else [])
    assert asked == (KEEP + RETURN if large else [])


def test_arrays_of_another_library_are_none_of_its_business(asked):
    xp = pytest.importorskip("array_api_strict")
    U = xp.zeros((2**18, 1), dtype=xp.float64)
    with memory_kept(State((LowRank(U, xp.eye(1, dtype=xp.float64), U),))):
        assert asked == []


def test_another_c_library_is_left_alone(monkeypatch):
    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown)
    heap._glibc.cache_clear()
    try:
        assert heap._glibc() is None
    finally:
        heap._glibc.cache_clear()
