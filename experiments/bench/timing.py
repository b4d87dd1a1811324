"""Medians of interleaved repetitions: what is compared runs in turn, in one process, after a warm-up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

__all__ = ["interleaved"]


def interleaved(
    calls: Mapping[str, Callable[[], Any]], repetitions: int, *, warm_up: int = 3, batch: float = 2e-4
) -> dict[str, float]:
    """Return the median time of each call in seconds.

    Calls shorter than ``batch`` seconds are repeated within one measurement, so that the clock does not count.
    """
    counts = {}
    for name, call in calls.items():
        for _ in range(warm_up):
            call()
        counts[name] = max(1, int(batch / max(_timed(call, 1), 1e-9)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repetitions):
        for name, call in calls.items():
            times[name].append(_timed(call, counts[name]))
    return {name: median(values) for name, values in times.items()}


def _timed(call: Callable[[], Any], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count
