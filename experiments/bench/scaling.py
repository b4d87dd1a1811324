"""Time per step and peak memory against n and r: an augmented-BUG step of a sparse Lyapunov equation."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.bench.cases import Case, lyapunov
from experiments.bench.ratios import Ratio
from experiments.bench.setting import Bench, Setting
from experiments.bench.timing import interleaved
from matode import AugmentedBUG, Rank, RungeKutta, State, euler, rk4
from matode.field import UserField
from matode.heap import memory_kept

__all__ = ["LARGEST", "QUICK_SIZES", "RANK", "SIZES", "exponent", "measured", "ratios", "room", "run", "step"]

RANK = 10

LARGEST = 10**7
"""Beyond a million rows only the Euler substep is timed: memory."""

SIZES = (10**3, 3162, 10**4, 31623, 10**5, 316228, 10**6)
QUICK_SIZES = (10**3, 10**4, 10**5)

_SUBSTEPS = (euler, rk4)


def run(setting: Setting) -> Bench:
    """Time steps at growing n: one row per size and substep."""
    sizes = QUICK_SIZES if setting.quick else SIZES[::2]
    if not setting.quick:
        if room() >= LARGEST:
            sizes = (*sizes, LARGEST)
        else:
            setting.say(f"\nn = {LARGEST} is left out: there is no memory for it now")
    rows = measured(sizes, setting.say)
    found = ratios(rows)
    for ratio in found:
        setting.say(ratio.line())
    return Bench(rows, found)


def ratios(rows: Sequence[dict[str, Any]]) -> list[Ratio]:
    """Return what the goals are about: seconds and memory of an Euler step at n = 10^6, and growth beyond."""
    found = []
    euler_rows = {row["n"]: row for row in rows if row["substep"] == "Euler"}
    for n in (10**6, LARGEST):
        if n not in euler_rows:
            continue
        work = f"Lyapunov n = {n:.0e}, r = {RANK}, Euler".replace("e+0", "e")
        seconds, numbers = (euler_rows[n][key] for key in ("seconds", "numbers_per_factor_entry"))
        if n == 10**6:
            found.append(Ratio(work, "augmented BUG", seconds, "what is allowed", 1.5, 1.0, "s"))
        elif 10**6 in euler_rows:
            tenfold = 10 * euler_rows[10**6]["seconds"]
            found.append(Ratio(work, "augmented BUG", seconds, "ten times that of n = 1e6", tenfold, 1.2, "s"))
        found.append(Ratio(work, "peak memory", numbers, "what is allowed", 12.0, 1.0, "(m + n) r numbers"))
    return found


def measured(sizes: Sequence[int], say: Callable[[str], None], ranks: Sequence[int] = (RANK,)) -> list[dict[str, Any]]:
    """Time steps of the given sizes at the given ranks and return one row per size, rank and substep."""
    rows: list[dict[str, Any]] = []
    say("\nLyapunov, tridiagonal A, augmented BUG; memory in numbers per (m + n) r")
    say(f"  {'n':>9}{'r':>5}{'Euler ms':>12}{'memory':>9}{'RK4 ms':>12}{'memory':>9}")
    for n, r in ((n, r) for n in sizes for r in ranks):
        case = lyapunov(n, r, five_point=False)
        steps = {substep.name: step(substep, case) for substep in (_SUBSTEPS[:1] if n > 10**6 else _SUBSTEPS)}
        peaks = {name: _peak(call) for name, call in steps.items()}
        rounds = max(5, min(30, 3 * 10**7 // (n * r)))
        pace: dict[str, Any] = {"warm_up": 1} if n < 10**6 else {"warm_up": 0, "batch": 0.0}
        with memory_kept(State((case.Y0,))):
            seconds = interleaved(steps, rounds, **pace)
        line = f"  {n:9d}{r:5d}"
        for name in steps:
            numbers = peaks[name] / 8 / (2 * n * r) + 1.0  # the start itself was there before
            row = {"n": n, "r": r, "substep": name, "seconds": seconds[name], "numbers_per_factor_entry": numbers}
            rows.append(row)
            line += f"{1e3 * seconds[name]:12.2f}{numbers:9.2f}"
        say(line)
    for substep in _SUBSTEPS:
        if len({row["n"] for row in rows if row["substep"] == substep.name}) > 1:
            say(f"  {substep.name}: time grows like n^{exponent(rows, substep.name):.2f}")
    return rows


def exponent(rows: Sequence[dict[str, Any]], substep: str, over: str = "n") -> float:
    """Return the slope of log(time) over the logarithm of n, or of another column."""
    chosen = [row for row in rows if row["substep"] == substep]
    x, seconds = (np.log([row[key] for row in chosen]) for key in (over, "seconds"))
    return float(np.polyfit(x, seconds, 1)[0])


def room(path: Path = Path("/proc/meminfo")) -> int:
    """Return the largest n whose Euler step fits in the memory that is free; a million where Linux does not say."""
    try:
        line = next(line for line in path.read_text().splitlines() if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 10**6
    numbers = 1024 * int(line.split()[1]) // 8
    return numbers // (10 * 2 * RANK)  # per (m + n) r: 8 of the step, 1 of A, and some for the rest


def step(substep: RungeKutta, case: Case) -> Callable[[], Any]:
    """Return a call that makes one step of augmented BUG."""
    method, field, start = AugmentedBUG(substep, Rank(case.r)), UserField(case.F), State((case.Y0,))
    return lambda: method.step(field, 0.0, 1e-3, start)


def _peak(step: Callable[[], Any]) -> int:
    gc.collect()
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
