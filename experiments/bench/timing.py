"""Interleaved repetitions: what is compared runs in turn, in one process, after a warm-up."""

from __future__ import annotations

import importlib
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np

from experiments.bench.setting import Setting
from matode._array import Backend
from matode.heap import settle
from nn.compiled import kernels

__all__ = [
    "compiled",
    "device_clock",
    "interleaved",
    "milliseconds",
    "one_thread",
    "samples",
    "settle",
    "speedup",
    "threads",
]

Clock = Callable[[Callable[[], Any]], float]
"""``clock(call)`` runs the call and returns the seconds that it took."""


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


def speedup() -> float | None:
    """Return how many times as fast a product and a pass over it are with all BLAS threads as with one.

    None where there is one only. The pass takes one thread: with two, 1.7 is what two cores bring. Virtual ones may do
    the work of one for a while, or be on chips of their own, between which the numbers of the product then move: what
    is timed says little about two cores.
    """
    if (threads()[0] or 1) == 1:
        return None
    import threadpoolctl

    U, V = np.ones((5120, 20), np.float32), np.ones((20, 256), np.float32)
    product, passed = np.empty((2, 5120, 256), np.float32)
    clock = host_clock()  # that of all threads, also for one

    def both() -> None:
        np.matmul(U, V, out=product)
        np.clip(product, 0.0, np.inf, out=passed)

    def seconds() -> float:
        return interleaved({"both": both}, 20, warm_up=1, batch=0.0, clock=clock)["both"]

    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        alone = seconds()
    return alone / seconds()


def compiled() -> str:
    """Return one line that says whether convolutions use compiled passes."""
    return f"compiled passes of convolutions: {'none' if kernels(np.ones(1)) is None else 'by Numba'}"


@contextmanager
def one_thread(say: Callable[[str], None]) -> Iterator[None]:
    """Let BLAS use one thread for a while, where threadpoolctl is there to tell it so."""
    try:
        import threadpoolctl
    except ImportError:
        yield
        return
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        say(f"\n{threads()[1]}")
        yield


def host_clock() -> Clock:
    """Return a clock for the host.

    With one BLAS thread it reads the processor time of this thread, so that other processes count less; else the time
    on the wall.
    """
    count = threads()[0]
    one = os.environ.get("OPENBLAS_NUM_THREADS") == "1" if count is None else count == 1
    read = time.thread_time if one else time.perf_counter

    def clock(call: Callable[[], Any]) -> float:
        start = read()
        call()
        return read() - start

    return clock


def device_clock(backend: Backend) -> Clock:
    """Return a clock for where the backend computes: events of the device for CuPy, else the one of the host."""
    if backend.name != "cupy":
        return host_clock()
    cuda = importlib.import_module("cupy.cuda")

    def clock(call: Callable[[], Any]) -> float:
        start, end = cuda.Event(), cuda.Event()
        start.record()
        call()
        end.record()
        end.synchronize()
        return 1e-3 * float(cuda.get_elapsed_time(start, end))

    return clock


def samples(
    calls: Mapping[str, Callable[[], Any]],
    repetitions: int,
    *,
    warm_up: int = 3,
    batch: float = 5e-3,
    pause: float = 0.0,
    lead: float = 0.0,
    clock: Clock | None = None,
) -> dict[str, list[float]]:
    """Return the times of each call in seconds, ``repetitions`` of them.

    Parameters
    ----------
    calls : mapping
        What to run, by name. All run in turn, so that the load of the machine is the same for all.
    repetitions : int
    warm_up : int
        Calls before the first measurement.
    batch : float
        Calls shorter than this are repeated within one measurement, after one that is not measured, so that each finds
        its own data in the cache, as the step after a step does; zero measures every call on its own.
    pause : float
        Seconds without work before each measurement: the threads of one library keep a core busy for a while after
        their work, to the cost of the next library.
    lead : float
        Seconds of calls that are not measured, before each measurement; one call at least, where it is not zero.
    clock : callable, optional
        That of the host where not given.
    """
    measure = clock or host_clock()
    counts, leads = {}, {}
    for name, call in calls.items():
        for _ in range(warm_up):
            call()
        seconds = max(measure(call), 1e-9)
        counts[name] = int(batch / seconds)
        leads[name] = max(math.ceil(lead / seconds), min(counts[name], 1))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repetitions):
        for name, call in calls.items():
            if pause:
                time.sleep(pause)
            for _ in range(leads[name]):
                call()
            count = max(1, counts[name])
            times[name].append(measure(_repeated(call, count)) / count)
    return times


def interleaved(
    calls: Mapping[str, Callable[[], Any]],
    repetitions: int,
    *,
    warm_up: int = 3,
    batch: float = 5e-3,
    pause: float = 0.0,
    lead: float = 0.0,
    clock: Clock | None = None,
) -> dict[str, float]:
    """Return the median of each call's :func:`samples` in seconds."""
    times = samples(calls, repetitions, warm_up=warm_up, batch=batch, pause=pause, lead=lead, clock=clock)
    return {name: median(values) for name, values in times.items()}


def milliseconds(
    setting: Setting, calls: Mapping[str, Callable[[], Any]], rounds: int, *, warm_up: int = 3, batch: float = 0.0
) -> dict[str, float]:
    """Return the median of each call's time, of two libraries in turn; with a quick setting, of calls one by one.

    The threads of one library keep a core busy for a while after their work: with a tenth of this pause they slow down
    the other by up to a half. After a pause short calls are slower too, for some 0.1 s; in training, steps follow
    steps.
    """
    pace: dict[str, Any] = {"warm_up": warm_up, "batch": batch, "pause": 0.3, "lead": 0.2}
    if setting.quick:
        pace = {"warm_up": 1, "batch": 0.0}
    seconds = interleaved(calls, rounds, clock=device_clock(setting.backend), **pace)
    return {name: 1e3 * t for name, t in seconds.items()}


def _repeated(call: Callable[[], Any], count: int) -> Callable[[], Any]:
    if count == 1:
        return call

    def calls() -> None:
        for _ in range(count):
            call()

    return calls
