"""Time per step and peak memory against n: an augmented-BUG step with Euler and RK4 substeps, rank 10."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.bench.cases import Case, lyapunov
from experiments.bench.setting import Bench, Setting
from experiments.bench.timing import interleaved, settle
from matode import AugmentedBUG, Rank, RungeKutta, State, euler, rk4
from matode.field import UserField

__all__ = ["QUICK_SIZES", "SIZES", "exponent", "measured", "run"]

_RANK = 10


SIZES = (10**3, 3162, 10**4, 31623, 10**5, 316228, 10**6)
QUICK_SIZES = (10**3, 10**4, 10**5)


def run(setting: Setting) -> Bench:
    """Time steps at growing n: one row per size and substep."""
    rows = measured(QUICK_SIZES if setting.quick else SIZES, setting.say)
    return Bench(rows)


def measured(sizes: Sequence[int], say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Time steps of the given sizes and return one row per size and substep."""
    settle()
    rows: list[dict[str, Any]] = []
    say(f"\nLyapunov, tridiagonal A, r = {_RANK}, augmented BUG; memory in numbers per (m + n) r")
    say(f"  {'n':>9}{'Euler ms':>12}{'memory':>9}{'RK4 ms':>12}{'memory':>9}")
    for n in sizes:
        case = lyapunov(n, _RANK, five_point=False)
        steps = {substep.name: _step(substep, case) for substep in (euler, rk4)}
        seconds = interleaved(steps, max(3, min(30, 3 * 10**6 // n)), warm_up=1)
        line = f"  {n:9d}"
        for name, step in steps.items():
            numbers = _peak(step) / 8 / (2 * n * _RANK) + 1.0  # the start itself was there before
            rows.append({"n": n, "substep": name, "seconds": seconds[name], "numbers_per_factor_entry": numbers})
            line += f"{1e3 * seconds[name]:12.2f}{numbers:9.2f}"
        say(line)
    for name in ("Euler", "RK4"):
        say(f"  {name}: time grows like n^{exponent(rows, name):.2f}")
    return rows


def exponent(rows: list[dict[str, Any]], substep: str) -> float:
    """Return the slope of log(time) over log(n)."""
    chosen = [row for row in rows if row["substep"] == substep]
    n, seconds = (np.log([row[key] for row in chosen]) for key in ("n", "seconds"))
    return float(np.polyfit(n, seconds, 1)[0])


def _step(substep: RungeKutta, case: Case) -> Callable[[], Any]:
    method, field, start = AugmentedBUG(substep, Rank(_RANK)), UserField(case.F), State((case.Y0,))
    return lambda: method.step(field, 0.0, 1e-3, start)


def _peak(step: Callable[[], Any]) -> int:
    gc.collect()
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
