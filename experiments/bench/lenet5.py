"""Time of one training step of LeNet5, beside PyTorch in the same process."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.bench import batches
from experiments.bench.ratios import Ratio
from experiments.bench.setting import Bench, Setting
from experiments.bench.timing import milliseconds, settle
from matode import AugmentedBUG, LowRank, Rank, Relative, State, euler
from matode._array import Backend, namespace
from nn import GradientFlow, lenet5

__all__ = ["GOALS", "RANKS", "classifiers", "run"]

RANKS = (7, 15, 40)
"""Of the three weights before the head."""

_BATCH = 128
_TAU = 0.11
_H = 0.05

GOALS = {"PyTorch, dense": 0.6, "PyTorch, low-rank": 0.36}
"""Of each rival, for our step."""


def run(setting: Setting) -> Bench:
    """Time everything in turn, so that the load of the machine is the same for all."""
    settle()
    x, labels = _batch(_BATCH, setting.say)
    xp, device = setting.backend.xp, setting.backend.device
    images, classes = xp.asarray(x, device=device), xp.asarray(labels, device=device)
    model = lenet5((*RANKS, None))
    Y = start(model, images, classes, setting.backend)
    integrator = AugmentedBUG(euler, Relative(_TAU))
    calls: dict[str, Callable[[], Any]] = {
        "augmented BUG": lambda: integrator.step(GradientFlow(model, images, classes), 0.0, _H, Y),
        "gradient alone": lambda: GradientFlow(model, images, classes)(0.0, Y),
    }
    if setting.torch:
        torch_lenet5 = importlib.import_module("experiments.bench.torch_lenet5")
        calls["PyTorch, dense"] = torch_lenet5.dense_step(x, labels)
        calls["PyTorch, low-rank"] = torch_lenet5.low_rank_step(RANKS, x, labels)
    ms = milliseconds(setting, calls, 3 if setting.quick else 40, batch=0.03)
    work = f"LeNet5, batch {_BATCH}, ranks {', '.join(map(str, RANKS))}, tau = {_TAU}"
    ours, *others = ms
    ratios = [Ratio(work, ours, ms[ours], name, ms[name], GOALS.get(name)) for name in others]
    setting.say(f"\n{work}")
    for ratio in ratios:
        setting.say(ratio.line())
    return Bench([{"what": name, "milliseconds": t} for name, t in ms.items()], ratios)


def classifiers(images: np.ndarray, setting: Setting, size: int = 250) -> dict[str, Callable[[], Any]]:
    """Return calls that classify images, ``size`` at a time: ours of low rank, PyTorch's dense and low-rank."""
    model = lenet5((*RANKS, None))
    Y = model.init(np.random.default_rng(0), setting.backend)
    x = setting.backend.xp.asarray(images, device=setting.backend.device)
    xp = namespace(x)

    def classify() -> int:
        parts = range(0, x.shape[0], size)
        return sum(int(xp.sum(xp.argmax(model.forward(Y, x[i : i + size]), axis=1))) for i in parts)

    calls: dict[str, Callable[[], Any]] = {"low-rank": classify}
    if setting.torch:
        torch_lenet5 = importlib.import_module("experiments.bench.torch_lenet5")
        calls["PyTorch, low-rank"] = torch_lenet5.inference(RANKS, images, size)
        calls["PyTorch, dense"] = torch_lenet5.inference(None, images, size)
    return calls


def start(model: Any, x: Any, labels: Any, backend: Backend) -> State:
    """Return weights after some steps at fixed rank: cores as they are in training, not those of the start."""
    Y = model.init(np.random.default_rng(0), backend)
    ranks = [y.rank for y in Y if isinstance(y, LowRank)]
    for _ in range(10):
        wide = AugmentedBUG(euler).untruncated(GradientFlow(model, x, labels), 0.0, _H, Y)
        kept = iter(ranks)
        Y = State(y.truncate(Rank(next(kept))) if isinstance(y, LowRank) else y for y in wide)
    return Y


def _batch(count: int, say: Callable[[str], None]) -> tuple[np.ndarray, np.ndarray]:
    x, labels = batches.images(count, say)
    return x.reshape(count, 1, 28, 28), labels
