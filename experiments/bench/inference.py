"""Time to classify 10,000 images: a wide net of low rank and LeNet5, beside PyTorch in the same process."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.bench import batches, lenet5, nets
from experiments.bench.ratios import Ratio
from experiments.bench.setting import Bench, Setting
from experiments.bench.timing import milliseconds, settle

__all__ = ["GOALS", "run"]

GOALS = {"PyTorch, low-rank": 0.9, "PyTorch, dense": 0.08}
"""Of each rival, at width 5120 and rank 20."""

_WIDTH, _RANK, _COUNT = 5120, 20, 10_000
_QUICK = (256, 1000)
_AT_ONCE = 250  # images, as nn.accuracy takes them


def run(setting: Setting) -> Bench:
    """Time the wide net, then LeNet5."""
    settle()
    width, count = _QUICK if setting.quick else (_WIDTH, _COUNT)
    x, _ = batches.images(count, setting.say)
    work = f"{nets.DEPTH} x {width}, {count} images, r = {_RANK}"
    sent = setting.backend.xp.asarray(x, device=setting.backend.device)
    ours = nets.classifier(width, _RANK, sent, _AT_ONCE, setting.backend)
    groups: list[tuple[dict[str, Callable[[], Any]], int]] = []
    if setting.torch:
        torch_mlp = importlib.import_module("experiments.bench.torch_mlp")
        rival = torch_mlp.low_rank_inference(nets.sizes(width), _RANK, x, _AT_ONCE)
        groups.append(({"low-rank": ours, "PyTorch, low-rank": rival}, 15))
        dense = {"PyTorch, dense": torch_mlp.dense_inference(nets.sizes(width), x, _AT_ONCE)}
    else:
        dense = {"dense": nets.classifier(width, None, sent, _AT_ONCE, setting.backend)}
    groups.append(({"low-rank": ours} | dense, 3))  # a dense one takes ten seconds
    goals = GOALS if width == _WIDTH else {}
    found = [_compared(setting, work, calls, rounds, goals) for calls, rounds in groups]
    pictures = np.random.default_rng(0).random((count, 1, 28, 28), dtype=np.float32) - 0.13
    work = f"LeNet5, {count} images, ranks {', '.join(map(str, lenet5.RANKS))}"
    found.append(_compared(setting, work, lenet5.classifiers(pictures, setting), 9, {}))
    return Bench([row for bench in found for row in bench.rows], [ratio for bench in found for ratio in bench.ratios])


def _compared(
    setting: Setting, work: str, calls: dict[str, Callable[[], Any]], rounds: int, goals: dict[str, float]
) -> Bench:
    """Time the calls in turn and compare the first with the others."""
    ms = milliseconds(setting, calls, 2 if setting.quick else rounds, warm_up=1)
    ours, *others = ms
    ratios = [Ratio(work, ours, ms[ours], name, ms[name], goals.get(name)) for name in others]
    setting.say(f"\n{work}")
    for ratio in ratios:
        setting.say(ratio.line())
    return Bench([{"work": work, "what": name, "milliseconds": t} for name, t in ms.items()], ratios)
