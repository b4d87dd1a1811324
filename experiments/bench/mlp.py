"""Time of one training step of fully connected nets, by rank: ours, PyTorch's, dense, and the limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from experiments.bench import batches, mlp_limit
from experiments.bench.nets import DEPTH, FEATURES, Batches, Training, on_backend, sizes, torch_step, training
from experiments.bench.ratios import Ratio
from experiments.bench.setting import Bench, Setting
from experiments.bench.timing import milliseconds, settle

__all__ = ["DENSE_GOALS", "GOALS", "LOSS_GOAL", "NARROW_GOAL", "run"]

BATCH = 256

GOALS = {
    "augmented BUG": {5: 0.55, 20: 0.6, 80: 0.6, 320: 0.75},
    "without the negligible": {320: 0.35},
    "BUG": {5: 0.8, 20: 0.8, 80: 0.6, 320: 0.4},
}
"""Of PyTorch's low-rank step at width 5120, by integrator and rank."""

DENSE_GOALS = {20: 1 / 20, 320: 1.0}
"""Of the faster of both dense steps at width 5120, for augmented BUG by rank."""

NARROW_GOAL = 0.5
"""Of PyTorch's dense step at width 500, for augmented BUG at rank 20."""

LOSS_GOAL = 1.01
"""Of the loss of the full method, for the one that leaves out what is negligible."""

_LOSS_STEPS = 30
_WIDTH, _RANKS = 5120, (5, 20, 80, 320)
_NARROW = (500, 20)
_QUICK = (256, (5, 20))

Calls = dict[str, Callable[[], Any]]


def run(setting: Setting) -> Bench:
    """Time steps at every rank, then against dense nets, then the narrow net; each group is interleaved on its own."""
    settle()
    width, ranks = _QUICK if setting.quick else (_WIDTH, _RANKS)
    groups = _Groups(setting, batches.of_images(12, BATCH, setting.say))
    for rank in setting.ranks or ranks:
        groups.by_rank(width, rank)
    if max(setting.ranks or ranks) >= BATCH:
        groups.losses(width, max(setting.ranks or ranks), 3 if setting.quick else _LOSS_STEPS)
    if not setting.ranks:
        groups.against_dense(width, (20, ranks[-1]) if width == _WIDTH else ranks[-1:])
        groups.narrow(*_NARROW)
    return Bench(groups.rows, groups.ratios)


class _Groups:
    """What is measured together, and what was found."""

    def __init__(self, setting: Setting, data: Batches) -> None:
        self.setting, self.host = setting, data
        self.data = on_backend(data, setting.backend)
        self.rows: list[dict[str, Any]] = []
        self.ratios: list[Ratio] = []

    def by_rank(self, width: int, rank: int) -> None:
        """Time our steps at one rank, PyTorch's and the kernels that ours needs."""
        calls: Calls = {what: self._ours(what, width, rank) for what in ("augmented BUG", "BUG")}
        if rank >= BATCH:
            calls["without the negligible"] = self._ours("without the negligible", width, rank)
        calls |= self._torch("low-rank", width, rank)
        limit: Calls = {}
        if self.setting.backend.name == "numpy":
            limit |= mlp_limit.kernels(sizes(width), rank, BATCH)
        ms = self._measured(width, rank, calls | limit, 15 if rank < 100 else 7)
        self.setting.say(f"\n{_work(width, rank)}")
        for ours, goals in GOALS.items():
            self._compare(_work(width, rank), ours, ms, "PyTorch, low-rank", goals.get(rank), width)
        if limit:
            ms["limit"] = sum(ms[kind] for kind in limit)
            self._compare(_work(width, rank), "augmented BUG", ms, "limit", None, width)
            parts = ", ".join(f"{kind} {ms[kind]:.3g}" for kind in limit)
            self.setting.say(f"    the limit's parts, ms: {parts}")

    def losses(self, width: int, rank: int, steps: int) -> None:
        """Compare the training losses with and without what is negligible: same start, same batches."""
        host = batches.of_images(steps, BATCH, self.setting.say)
        data = on_backend(host, self.setting.backend)
        mean = {}
        for what in ("augmented BUG", "without the negligible"):
            net = training(what, width, rank, data, self.setting.backend)
            for _ in range(steps):
                net()
            last = net.losses[-5:]
            mean[what] = sum(last) / len(last)
            self.rows.append(self._row(width, rank, f"loss, {what}") | {"loss": mean[what]})
        work = f"loss after {steps} steps of {_work(width, rank)}"
        full, ours = mean.values()
        goal = LOSS_GOAL if width == _WIDTH else None
        self._keep(Ratio(work, "without the negligible", ours, "augmented BUG", full, goal, ""))

    def against_dense(self, width: int, ranks: tuple[int, ...]) -> None:
        """Time our step at some ranks, and both dense steps."""
        calls: Calls = {"dense": self._ours("dense", width, 0)} | self._torch("dense", width, 0)
        dense = list(calls)
        calls |= {f"augmented BUG, r = {rank}": self._ours("augmented BUG", width, rank) for rank in ranks}
        ms = self._measured(width, None, calls, 5)
        faster = min(dense, key=lambda name: ms[name])
        named = f"the faster dense step ({'ours' if faster == 'dense' else 'PyTorch'})"
        self.setting.say(f"\n{_work(width)}: " + ", ".join(f"{name} {ms[name]:.0f} ms" for name in dense))
        for rank in ranks:
            found = {"augmented BUG": ms[f"augmented BUG, r = {rank}"], named: ms[faster]}
            self._compare(_work(width, rank), "augmented BUG", found, named, DENSE_GOALS.get(rank), width)

    def narrow(self, width: int, rank: int) -> None:
        """Time our step of a narrow net, and both of PyTorch's."""
        calls: Calls = {"augmented BUG": self._ours("augmented BUG", width, rank)}
        calls |= {"dense": self._ours("dense", width, 0)}
        calls |= self._torch("dense", width, 0) | self._torch("low-rank", width, rank)
        ms = self._measured(width, rank, calls, 25)
        self.setting.say(f"\n{_work(width, rank)}")
        for against in list(calls)[1:]:
            goal = NARROW_GOAL if against == "PyTorch, dense" and not self.setting.quick else None
            self._compare(_work(width, rank), "augmented BUG", ms, against, goal)

    def _ours(self, what: str, width: int, rank: int) -> Training:
        return training(what, width, rank, self.data, self.setting.backend)

    def _torch(self, what: str, width: int, rank: int) -> Calls:
        return {f"PyTorch, {what}": torch_step(what, width, rank, self.host)} if self.setting.torch else {}

    def _measured(self, width: int, rank: int | None, calls: Calls, rounds: int) -> dict[str, float]:
        ms = milliseconds(self.setting, calls, 2 if self.setting.quick else rounds, warm_up=2, batch=0.05)
        self.rows += [self._row(width, rank, name) | {"milliseconds": t} for name, t in ms.items()]
        return ms

    def _row(self, width: int, rank: int | None, what: str) -> dict[str, Any]:
        size = {"width": width, "depth": DEPTH, "features": FEATURES, "batch": BATCH, "rank": rank}
        return {**size, "what": what, "milliseconds": None, "loss": None}

    def _compare(
        self, work: str, ours: str, ms: dict[str, float], against: str, goal: float | None, width: int = _WIDTH
    ) -> None:
        """Keep a comparison, where there is one; goals are for the wide net."""
        if ours in ms and against in ms:
            ratio = Ratio(work, ours, ms[ours], against, ms[against], goal if width == _WIDTH else None)
            self._keep(ratio)

    def _keep(self, ratio: Ratio) -> None:
        self.ratios.append(ratio)
        self.setting.say(ratio.line())


def _work(width: int, rank: int | None = None) -> str:
    return f"{DEPTH} x {width}, batch {BATCH}" + ("" if rank is None else f", r = {rank}")
