"""Where the processor time of a step goes: own time of the functions by module, products included."""

from __future__ import annotations

import cProfile
import pstats
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.bench import batches, integrators, lenet5, nets, scaling
from experiments.bench.cases import lyapunov
from experiments.bench.setting import Bench, Setting
from experiments.bench.timing import settle
from matode import AugmentedBUG, Relative, euler
from nn import GradientFlow
from nn import lenet5 as lenet5_model

__all__ = ["run"]

_SHOWN = 6
_BUILT_IN = "built-in functions"


def run(setting: Setting) -> Bench:
    """Profile each case: one row per module."""
    settle()
    rows: list[dict[str, Any]] = []
    for name, (call, repetitions) in _cases(setting).items():
        found = _profiled(call, 2 if setting.quick else repetitions)
        setting.say(f"\n{name}: {sum(calls for _, _, calls in found):.0f} calls a step; shares of own time")
        for module, share, calls in found[:_SHOWN]:
            setting.say(f"  {share:6.1%}  {module}, {calls:.0f} calls")
        rows += [{"case": name, "module": module, "share": share, "calls": calls} for module, share, calls in found]
    return Bench(rows)


def _cases(setting: Setting) -> dict[str, tuple[Callable[[], Any], int]]:
    width, ranks, n, points = (64, (4,), 256, 10**4) if setting.quick else (5120, (20, 320), 1024, 10**6)
    data = batches.of_images(4, 256, setting.say)
    cases: dict[str, tuple[Callable[[], Any], int]] = {}
    for rank in ranks:
        step = nets.training("augmented BUG", width, rank, data, setting.backend)
        cases[f"{nets.DEPTH} x {width}, r = {rank}"] = (step, 400 // rank)
    cases["LeNet5"] = (_lenet5(setting), 30)
    cases[f"Lyapunov n = {n}, RK4"] = (integrators.step("augmented-bug", lyapunov(n, 20)), 300)
    cases[f"Lyapunov n = {points}, Euler"] = (scaling.step(euler, lyapunov(points, scaling.RANK, five_point=False)), 2)
    return cases


def _lenet5(setting: Setting) -> Callable[[], Any]:
    x, labels = batches.images(128, setting.say)
    images = x.reshape(128, 1, 28, 28)
    model = lenet5_model((*lenet5.RANKS, None))
    Y = lenet5.start(model, images, labels, setting.backend)
    method = AugmentedBUG(euler, Relative(0.11))
    return lambda: method.step(GradientFlow(model, images, labels), 0.0, 0.05, Y)


def _profiled(call: Callable[[], Any], repetitions: int) -> list[tuple[str, float, float]]:
    """Return (module, share of the time spent in its functions alone, calls a step), the largest share first."""
    for _ in range(2):
        call()
    profile = cProfile.Profile(time.thread_time)
    profile.enable()
    for _ in range(repetitions):
        call()
    profile.disable()
    seconds: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for (file, _, _), entry in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        module = _BUILT_IN if file == "~" else Path(file).stem
        seconds[module] += entry[2]
        calls[module] += entry[1]
    total = sum(seconds.values())
    return [(name, t / total, calls[name] / repetitions) for name, t in seconds.most_common()]
