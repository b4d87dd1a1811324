"""Time per step of every integrator of the catalogue, and its ratio to the limit of `limits`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from experiments.bench import by_hand
from experiments.bench.cases import Case, allen_cahn, lyapunov
from experiments.bench.limits import ELEMENTWISE, counts, kernels
from experiments.bench.ratios import Ratio
from experiments.bench.setting import Bench, Setting
from experiments.bench.timing import interleaved, settle
from matode import INTEGRATORS, Rank, State
from matode.field import UserField

__all__ = ["GOALS", "run", "step"]

_H = 1e-3

GOALS = {"Lyapunov n = 1024, r = 20": 1.25}
"""Of the limit, for augmented BUG with one thread."""


def run(setting: Setting) -> Bench:
    """Time all cases: one row per integrator and case."""
    settle()
    cases = [lyapunov(1024, 20), lyapunov(256, 5)] + ([] if setting.quick else [allen_cahn(1024, 20)])
    rows: list[dict[str, Any]] = []
    ratios = []
    for case in cases:
        setting.say(f"\n{case.name}, RK4 substeps, h = {_H:g}")
        setting.say(f"  {'integrator':18}{'ms':>10}{'limit':>10}{'ratio':>8}{'with elementwise':>18}")
        found = _rows(case, 15 if setting.quick else 60 if case.C is not None else 7)
        for row in found:
            known = row["ratio"] is not None
            setting.say(
                f"  {row['integrator']:18}{row['milliseconds']:10.3f}"
                + (f"{row['limit']:10.3f}{row['ratio']:8.2f}{row['ratio_elementwise']:18.2f}" if known else "")
            )
            if row["integrator"] == "augmented-bug":
                ratios += _ratios(case, row)
        rows += found
    return Bench(rows, ratios)


def _ratios(case: Case, row: dict[str, Any]) -> list[Ratio]:
    """Return the ratio of augmented BUG to its limit, to that with the elementwise passes, and to a bare step."""
    ms = row["milliseconds"]
    found = [Ratio(f"{case.name}, RK4", "augmented BUG", ms, "limit", row["limit"], GOALS.get(case.name))]
    if case.C is not None:
        with_passes = ms / row["ratio_elementwise"]
        found.append(Ratio(f"{case.name}, RK4", "augmented BUG", ms, "limit with elementwise passes", with_passes))
        found.append(Ratio(f"{case.name}, RK4", "augmented BUG", ms, "the step written by hand", row["by_hand"]))
    return found


def _rows(case: Case, repetitions: int) -> list[dict[str, Any]]:
    names = list(INTEGRATORS)
    if case.n >= 1024 or case.C is None:  # a dense m x n step takes a second: no rival here
        names.remove("full-rank")
    if case.C is None:
        names = ["augmented-bug", "parallel-bug", "bug", "ksl"]
    calls = {name: step(name, case) for name in names} | kernels(case)
    if case.C is not None:
        calls["by hand"] = by_hand.step(case, _H)
    seconds = interleaved(calls, repetitions)
    rows = []
    for name in names:
        needed = counts(name, case)
        row = {"case": case.name, "integrator": name, "milliseconds": 1e3 * seconds[name]}
        bare = name == "augmented-bug" and case.C is not None
        row["by_hand"] = 1e3 * seconds["by hand"] if bare else None
        if needed is None:
            row |= {"limit": None, "ratio": None, "ratio_elementwise": None, "kernels": None}
        else:
            limit = sum(c * seconds[k] for k, c in needed.items() if k not in ELEMENTWISE)
            passes = sum(c * seconds[k] for k, c in needed.items() if k in ELEMENTWISE)
            passes, limit = (passes, limit) if case.C is not None else (0.0, limit + passes)
            row |= {
                "limit": 1e3 * limit,
                "ratio": seconds[name] / limit,
                "ratio_elementwise": seconds[name] / (limit + passes),
                "kernels": "; ".join(f"{c} x {k} ({1e6 * seconds[k]:.1f} us)" for k, c in needed.items()),
            }
        rows.append(row)
    return rows


def step(name: str, case: Case, h: float = _H) -> Callable[[], Any]:
    """Return a call that makes one step of an integrator of the catalogue."""
    method = INTEGRATORS[name]()
    if any(field.name == "truncation" for field in fields(method)):
        method = replace(method, truncation=Rank(case.r))
    field, start = UserField(case.F), State((case.Y0,))
    return lambda: method.step(field, 0.0, h, start)
