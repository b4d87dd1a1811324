"""Time of one training step of a wide fully connected net, by rank: ours, PyTorch's, dense, and the limit."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import numpy as np

from experiments.bench import batches, mlp_limit
from experiments.bench.ratios import Ratio
from experiments.bench.setting import Bench, Setting
from experiments.bench.timing import device_clock, interleaved, settle
from matode import BUG, AugmentedBUG, Rank
from matode._array import Backend, from_host, zeros_like_shape
from matode.integrators import FullRank
from matode.protocols import Integrator, State
from matode.substeps import euler
from nn import GradientFlow, mlp_of

__all__ = ["GOALS", "Training", "run"]

_H = 1e-2
_BATCH = 256
_DEPTH = 5

GOALS = {"augmented BUG": {5: 0.55, 20: 0.6, 80: 0.6, 320: 0.75}, "BUG": {5: 0.8, 20: 0.8, 80: 0.6, 320: 0.4}}
"""Of PyTorch's low-rank step at width 5120, by integrator and rank."""

_FULL = (5120, (5, 20, 80, 320))
_QUICK = (512, (5, 20))


class Training:
    """A net in training: each call makes one step with the next batch."""

    def __init__(
        self, integrator: Integrator, model: Any, Y: State, data: Sequence[tuple[Any, Any]], h: float = _H
    ) -> None:
        self.integrator, self.model, self.Y, self.h = integrator, model, Y, h
        self.memory: Any = None
        self.losses: list[float] = []
        self._data = cycle(data)

    def __call__(self) -> None:
        """Make one step."""
        x, labels = next(self._data)
        flow = GradientFlow(self.model, x, labels)
        step = self.integrator.step(flow, 0.0, self.h, self.Y, self.memory)
        self.Y, self.memory = step.Y, step.memory
        self.losses.append(flow.losses[0])


def low_rank(
    integrator: Integrator, width: int, rank: int, data: Sequence[tuple[Any, Any]], backend: Backend
) -> Training:
    """Return the training of five layers, all but the head of the given rank at the start."""
    model = mlp_of(width, _DEPTH, rank=rank)
    return Training(integrator, model, model.init(np.random.default_rng(0), backend), data)


def run(setting: Setting) -> Bench:
    """Time steps at every rank, then against dense nets; each group is interleaved on its own."""
    settle()
    width, ranks = _QUICK if setting.quick else _FULL
    ranks = setting.ranks or ranks
    host_data = batches.of_images(12, _BATCH, setting.say)
    data = [_sent(batch, setting.backend) for batch in host_data]
    sizes = (784, *[width] * (_DEPTH - 1), 10)
    work = f"{_DEPTH} x {width}, batch {_BATCH}"
    clock = device_clock(setting.backend)
    rows: list[dict[str, Any]] = []
    ratios: list[Ratio] = []
    for rank in ranks:
        ours = {
            "augmented BUG": low_rank(AugmentedBUG(euler, Rank(rank)), width, rank, data, setting.backend),
            "BUG": low_rank(BUG(euler), width, rank, data, setting.backend),
        }
        rival = _rival(
            setting, lambda torch, rank=rank: {"PyTorch, low-rank": torch.low_rank_step(sizes, rank, host_data)}
        )
        limit = mlp_limit.kernels(sizes, rank, _BATCH) if setting.backend.name == "numpy" else {}
        rounds = 2 if setting.quick else 15 if rank < 100 else 7
        seconds = interleaved({**ours, **rival, **limit}, rounds, **_pace(setting.quick), clock=clock)
        rows += [_row(width, rank, name, t) for name, t in seconds.items()]
        found = _compared(f"{work}, r = {rank}", seconds, width, rank)
        setting.say(f"\n{work}, r = {rank}")
        for ratio in found:
            setting.say(ratio.line())
        for kind in limit:
            setting.say(f"    {kind:12}{1e3 * seconds[kind]:9.2f} ms of the limit")
        ratios += found
    if setting.ranks:
        return Bench(rows, ratios)
    dense_rows, dense_ratios = _against_dense(setting, width, ranks, sizes, data, host_data, work)
    return Bench(rows + dense_rows, ratios + dense_ratios)


def _compared(work: str, seconds: dict[str, float], width: int, rank: int) -> list[Ratio]:
    ms = {name: 1e3 * t for name, t in seconds.items()}
    found = []
    for ours in ("augmented BUG", "BUG"):
        goal = GOALS[ours].get(rank) if width == _FULL[0] else None
        if "PyTorch, low-rank" in ms:
            found.append(Ratio(work, ours, ms[ours], "PyTorch, low-rank", ms["PyTorch, low-rank"], goal))
    if "passes" in ms:
        limit = sum(ms[kind] for kind in ("passes", "complements", "cores", "updates"))
        found.append(Ratio(work, "augmented BUG", ms["augmented BUG"], "limit", limit))
    return found or [Ratio(work, "augmented BUG", ms["augmented BUG"], "our BUG", ms["BUG"])]


def _against_dense(
    setting: Setting,
    width: int,
    ranks: Sequence[int],
    sizes: Sequence[int],
    data: Sequence[tuple[Any, Any]],
    host_data: Sequence[tuple[np.ndarray, np.ndarray]],
    work: str,
) -> tuple[list[dict[str, Any]], list[Ratio]]:
    backend = setting.backend
    model = mlp_of(width, _DEPTH)
    calls: dict[str, Callable[[], Any]] = {
        "dense": Training(FullRank(euler), model, model.init(np.random.default_rng(0), backend), data)
    }
    calls |= _rival(setting, lambda torch: {"PyTorch, dense": torch.dense_step(sizes, host_data)})
    dense = list(calls)
    chosen = (20, ranks[-1]) if len(ranks) > 2 else ranks[-1:]
    for rank in chosen:
        calls[f"augmented BUG, r = {rank}"] = low_rank(AugmentedBUG(euler, Rank(rank)), width, rank, data, backend)
    seconds = interleaved(calls, 2 if setting.quick else 5, **_pace(setting.quick), clock=device_clock(backend))
    rows = [_row(width, None, name, seconds[name]) for name in dense]
    ratios = []
    for rank in chosen:
        goals = {20: 1 / 20, 320: 1.0} if width == _FULL[0] else {}
        ours = 1e3 * seconds[f"augmented BUG, r = {rank}"]
        against = min(dense, key=lambda name: seconds[name])
        ratios.append(
            Ratio(
                f"{work}, r = {rank}",
                "augmented BUG",
                ours,
                f"the faster dense step ({'ours' if against == 'dense' else against})",
                1e3 * seconds[against],
                goals.get(rank),
            )
        )
        setting.say(ratios[-1].line())
    return rows, ratios


def _pace(quick: bool) -> dict[str, Any]:
    return {"warm_up": 1, "batch": 0.0} if quick else {"warm_up": 2, "batch": 0.05, "pause": 0.03}


def _rival(setting: Setting, make: Callable[[Any], dict[str, Callable[[], Any]]]) -> dict[str, Callable[[], Any]]:
    """Return PyTorch's calls where they are asked for; its module is imported then, not before."""
    return make(importlib.import_module("experiments.bench.torch_mlp")) if setting.torch else {}


def _row(width: int, rank: int | None, name: str, seconds: float) -> dict[str, Any]:
    return {"width": width, "batch": _BATCH, "rank": rank, "what": name, "milliseconds": 1e3 * seconds}


def _sent(batch: tuple[np.ndarray, np.ndarray], backend: Backend) -> tuple[Any, Any]:
    like = zeros_like_shape((1,), backend.xp.zeros((1,), dtype=backend.xp.float32, device=backend.device))
    return from_host(batch[0], like, like.dtype), from_host(batch[1], like)
