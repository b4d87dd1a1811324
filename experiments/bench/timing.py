"""Medians of interleaved repetitions: what is compared runs in turn, in one process, after a warm-up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np

__all__ = ["interleaved", "settle", "threads"]


def settle() -> None:
    """Let the C library keep freed memory: without, each array of 128 kB and more costs page faults."""
    del_me = np.ones(3_900_000)  # 31 MB, below the largest threshold that glibc adapts itself to
    del del_me


def threads() -> tuple[int | None, str]:
    """Return the number of BLAS threads and one line about the BLAS libraries; None without threadpoolctl."""
    try:
        import threadpoolctl  # type: ignore[import-untyped]
    except ImportError:
        return None, "BLAS: unknown (pip install threadpoolctl)"
    pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    named = [
        f"{p['internal_api']} {p['version']} ({p.get('architecture', '?')}, {p['num_threads']} threads)" for p in pools
    ]
    return max((p["num_threads"] for p in pools), default=None), "BLAS: " + ", ".join(named)


def interleaved(
    calls: Mapping[str, Callable[[], Any]], repetitions: int, *, warm_up: int = 3, batch: float = 5e-3
) -> dict[str, float]:
    """Return the median time of each call in seconds.

    With one BLAS thread it is the processor time of this thread, so that other processes count less; else it is time
    on the wall. Calls shorter than ``batch`` seconds are repeated within one measurement, so that each finds its own
    data in the cache.
    """
    one = threads()[0] == 1 or os.environ.get("OPENBLAS_NUM_THREADS") == "1"
    clock = time.thread_time if one else time.perf_counter
    counts = {}
    for name, call in calls.items():
        for _ in range(warm_up):
            call()
        counts[name] = max(1, int(batch / max(_timed(call, 1, clock), 1e-9)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repetitions):
        for name, call in calls.items():
            times[name].append(_timed(call, counts[name], clock))
    return {name: median(values) for name, values in times.items()}


def _timed(call: Callable[[], Any], count: int, clock: Callable[[], float]) -> float:
    start = clock()
    for _ in range(count):
        call()
    return (clock() - start) / count
