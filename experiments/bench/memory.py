"""Peak memory that training a wide net adds to imports and data: each way to train in a process of its own.

Linux keeps the peak of a process's resident memory; elsewhere nothing is measured.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from experiments.bench import batches, nets
from experiments.bench.ratios import Ratio
from experiments.bench.setting import Bench, Setting
from matode._array import get_backend

__all__ = ["GOALS", "peak", "run"]

GOALS = {"PyTorch, dense": 0.1}
"""Of each rival, at width 5120 and rank 20."""

_WIDTH, _RANK, _BATCH, _STEPS = 5120, 20, 256, 5


def run(setting: Setting) -> Bench:
    """Measure our rank-adaptive training and PyTorch's, or our dense one without PyTorch."""
    width = 512 if setting.quick else _WIDTH
    work = f"memory of training {nets.DEPTH} x {width}, batch {_BATCH}, r = {_RANK}"
    setting.say(f"\n{work}, above imports and data")
    if sys.platform != "linux":
        setting.say("  not measured: this reads what Linux keeps of a process")
        return Bench([{"what": "augmented BUG", "megabytes": None}])
    rivals = ("PyTorch, dense", "PyTorch, low-rank") if setting.torch else ("dense",)
    megabytes = {what: peak(what, width, _RANK, _BATCH) for what in ("augmented BUG", *rivals)}
    ours = megabytes["augmented BUG"]
    ratios = [
        Ratio(work, "augmented BUG", ours, what, megabytes[what], GOALS.get(what) if width == _WIDTH else None, "MB")
        for what in rivals
    ]
    for ratio in ratios:
        setting.say(ratio.line())
    return Bench([{"what": what, "megabytes": value} for what, value in megabytes.items()], ratios)


def peak(what: str, width: int, rank: int, batch: int, steps: int = _STEPS) -> float:
    """Return the peak in MB (2^20 bytes) that initial weights and some steps add, out of a process of its own.

    Parameters
    ----------
    what : str
        What :func:`~experiments.bench.nets.training` knows, or "PyTorch, dense" or "PyTorch, low-rank".
    width, rank, batch, steps : int
    """
    arguments = [what, *map(str, (width, rank, batch, steps))]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.bench.memory", *arguments],
        check=True,
        capture_output=True,
        text=True,
        cwd=root,
    )
    return float(done.stdout)


def _measure(what: str, width: int, rank: int, batch: int, steps: int) -> float:
    """Return the peak in this process, which should have done nothing else before."""
    x, labels = batches.clouds(batch)
    data = [(x, labels)]
    library, _, kind = what.rpartition(", ")
    small = [(x[:4], labels[:4])]

    def step(width: int, rank: int, data: nets.Batches) -> nets.Callable[[], object]:
        if library:
            return nets.torch_step(kind, width, rank, data)
        return nets.training(kind, width, rank, data, get_backend())

    step(8, 2, small)()  # imports, and what libraries set up once
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _kilobytes("VmRSS")
    train = step(width, rank, data)
    for _ in range(steps):
        train()
    return (_kilobytes("VmHWM") - before) / 1024


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


if __name__ == "__main__":
    print(_measure(sys.argv[1], *map(int, sys.argv[2:])))
