"""``python -m experiments bench [NAME...]``: measure, print, and write CSV files."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from experiments import tables
from experiments.bench import inference, integrators, lenet5, memory, mlp, orthonormal, profiles, ratios, scaling
from experiments.bench.ratios import Ratio
from experiments.bench.setting import Bench, Setting
from experiments.bench.timing import compiled, one_thread, speedup, threads

__all__ = ["BENCHES", "GROUPS", "NAMES", "chosen", "run"]

BENCHES: Mapping[str, Callable[[Setting], Bench]] = {
    "mlp": mlp.run,
    "lenet5": lenet5.run,
    "inference": inference.run,
    "memory": memory.run,
    "orthonormal": orthonormal.run,
    "integrators": integrators.run,
    "scaling": scaling.run,
    "profile": profiles.run,
}
GROUPS = {"training": ("mlp", "lenet5")}
"""Names for several benchmarks at once."""

ONE_THREAD = ("integrators", "profile")
"""Benchmarks whose matrices are too small for more, or that ask where the time goes."""

ON_DEVICE = ("mlp", "lenet5", "inference", "orthonormal")
"""Benchmarks that compute where the backend does."""

NAMES = (*BENCHES, *GROUPS)


def chosen(names: Sequence[str]) -> list[str]:
    """Return the benchmarks that the names mean, in the order of :data:`BENCHES`; all without a name.

    Raises
    ------
    ValueError
        If a name is unknown; the message names the nearest one.
    """
    for name in names:
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"expected some of {', '.join(NAMES)}"
            raise ValueError(f"unknown benchmark {name!r}: {hint}")
    meant = {bench for name in names for bench in GROUPS.get(name, (name,))} or set(BENCHES)
    return [name for name in BENCHES if name in meant]


def run(names: Sequence[str], setting: Setting, out: Path) -> None:
    """Run the benchmarks; write NAME.csv with all medians, ratios.csv with what they say, and report.txt."""
    out.mkdir(parents=True, exist_ok=True)
    shown = setting.say
    with (out / "report.txt").open("w", encoding="utf-8") as report:
        setting = replace(setting, say=_both(shown, report))
        if setting.torch:
            torch = importlib.import_module("torch")
            torch.set_num_threads(threads()[0] or 1)  # as many as our BLAS
            setting.say(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
        setting.say(threads()[1])
        setting.say(compiled())
        found: list[Ratio] = []
        for name in names:
            if setting.backend.name != "numpy" and name not in ON_DEVICE:
                setting.say(f"\n{name}: on the host")
            with one_thread(setting.say) if name in ONE_THREAD else nullcontext():
                bench = BENCHES[name](setting)
            gain = speedup()
            if gain is not None:
                what = "in a product and a pass over it"
                setting.say(f"  (after {name}: all threads are {gain:.1f} times as fast as one, {what})")
            tables.write(out / f"{name}.csv", bench.rows)
            found += list(bench.ratios)
        if found:
            tables.write(out / "ratios.csv", ratios.rows(found))
            setting.say("\n" + ratios.markdown(found))
        shown(f"\n{out}: " + ", ".join(f"{name}.csv" for name in [*names, *(["ratios"] if found else [])]))


def _both(say: Callable[[str], None], file: TextIO) -> Callable[[str], None]:
    def saying(line: str) -> None:
        say(line)
        print(line, file=file, flush=True)

    return saying
