"""Fig. 1 of the DLRT paper: time of a training step and of inference against the rank, relative to the dense net."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from experiments.runs import Run
from paper_figures import published, style, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE", "break_even"]

EXPERIMENT = "timing"
_TABLES = {"training": published.TRAINING_SECONDS, "inference": published.INFERENCE_SECONDS}
_OURS = {"training": "augmented BUG", "inference": "low-rank"}
_LOOKS = {"ours": style.LAYERS[0], "PyTorch": style.LAYERS[1], "published": style.Look("published", style.GREY, "D")}
_OTHER_HARDWARE = "other hardware, which the paper does not name: ratios to the dense net are compared"

Times = Mapping[int | None, float]


def draw(runs: Runs) -> Any:
    """Draw the training above and the inference below, each over the time of the dense net of the same library."""
    figure, axes = style.new_figure(2, 4.6)
    for ax, what in zip(axes[:, 0], _TABLES, strict=True):
        found = _times(runs[EXPERIMENT], what)
        for name, look in _LOOKS.items():
            if name not in found:
                continue
            ranks, ratios = zip(*sorted(_ratios(found[name]).items()), strict=True)
            unit = found[name][None]
            style.curve(ax, ranks, ratios, look, label=f"{name}, dense {unit:.2g} s")
        ax.axhline(1.0, color=style.GREY, linewidth=0.7, linestyle=(0, (5, 2)))
        ax.set_xscale("log")
        ax.set_yscale("log")
        style.marked(ax.xaxis, sorted({r for times in found.values() for r in times if r is not None})[::2])
        style.readable(ax.yaxis, [r for times in found.values() for r in _ratios(times).values()])
        ax.set_ylabel("step / dense step" if what == "training" else "inference / dense")
        ax.legend(framealpha=1.0)  # it may lie on the line at 1
    axes[1, 0].set_xlabel("rank")
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs[EXPERIMENT]
    settings = run.settings
    compared = [*_compared(run, "training"), *_compared(run, "inference"), *_memory(run)]
    training, inference = (_ratios(_times(run, what)["ours"]) for what in _TABLES)
    caption = paragraph(
        f"""
        Five layers of width {settings["width"]}: a training step of rank-adaptive DLRT with {settings["batch"]} images
        (above) and the inference of {settings["images"]} images (below), relative to the dense net of the same library
        in the same run; the published times are relative to the published dense net. Below the dashed line low rank
        is faster. Ours reaches the dense time {_where(training)} in training and {_where(inference)} in
        inference. A published step evaluates the net three times, ours once; the published inference hardly depends on
        small ranks: other costs than products prevail there.
        """
    )
    columns = {
        "task": ("task", ""),
        "what": ("net", ""),
        "rank": ("rank", "d"),
        "mean": ("mean, s", ".3g"),
        "deviation": ("deviation, s", ".2g"),
        "over_dense": ("over dense", ".3g"),
        "published": ("published, s", ".3g"),
        "published_over_dense": ("published over dense", ".3g"),
    }
    details = {"net": f"784-{'-'.join([str(settings['width'])] * 4)}-10, gradient flow, Euler substeps, float32"}
    return Description(caption, details | run_settings(run), _rows(run), columns, compared)


def break_even(ratios: Mapping[int, float]) -> float:
    """Return the rank at which low rank costs what the dense net does, on a line between logarithms.

    It is infinite where all ranks are faster, and zero where none is.
    """
    ranks = sorted(ratios)
    faster = [r for r in ranks if ratios[r] < 1.0]
    if len(faster) == len(ranks):
        return math.inf
    if not faster:
        return 0.0
    a = faster[-1]
    b = next((r for r in ranks if r > a), None)
    if b is None:
        return math.inf
    share = math.log(ratios[a]) / (math.log(ratios[a]) - math.log(ratios[b]))
    return float(a * (b / a) ** share)


def _times(run: Run, what: str) -> dict[str, Times]:
    """Return medians by rank: ours, PyTorch's where they are there, and the published ones."""
    rows = {(row["what"], row["rank"]): row["median"] for row in run.table(what)}
    found: dict[str, Times] = {
        "ours": {rank: t for (name, rank), t in rows.items() if name in (_OURS[what], "dense")},
        "PyTorch": {rank: t for (name, rank), t in rows.items() if name.startswith("PyTorch")},
        "published": _TABLES[what],
    }
    return {name: times for name, times in found.items() if times}


def _ratios(times: Times) -> dict[int, float]:
    """Return the times over that of the dense net."""
    return {rank: t / times[None] for rank, t in times.items() if rank is not None}


def _rows(run: Run) -> list[dict[str, Any]]:
    """Return a row per net and rank of both tables."""
    found = []
    for what, reference in _TABLES.items():
        rows = run.table(what)
        dense = {row["what"].startswith("PyTorch"): row["median"] for row in rows if row["rank"] is None}
        for row in rows:
            ours = row["what"] in (_OURS[what], "dense")
            there = reference.get(row["rank"]) if ours else None
            found.append(
                {
                    "task": what,
                    **row,
                    "over_dense": row["median"] / dense[row["what"].startswith("PyTorch")],
                    "published": there,
                    "published_over_dense": None if there is None else there / reference[None],
                }
            )
    return found


def _compared(run: Run, what: str) -> list[Comparison]:
    """Compare the ratios to dense at each rank that both have, and the rank of break-even."""
    rows = (f"fig1-{what}", "supplement-timing")
    ours, theirs = _ratios(_times(run, what)["ours"]), _ratios(_TABLES[what])
    seconds = {row["rank"]: row for row in run.table(what) if row["what"] in (_OURS[what], "dense")}
    common = [rank for rank in theirs if rank in ours]
    found = [
        Comparison(
            f"{what} at rank {rank}: time over that of the dense net",
            f"{theirs[rank]:.3g} ({_TABLES[what][rank]:g} s)",
            f"{ours[rank]:.3g} ({seconds[rank]['mean']:.3g} s, deviation {seconds[rank]['deviation']:.1g} s)",
            _OTHER_HARDWARE,
            verdicts.value(ours[rank], theirs[rank], factor=1.5, better="smaller"),
            rows,
        )
        for rank in common
    ]
    here, there = break_even(ours), break_even(theirs)
    found.append(
        Comparison(
            f"{what}: rank at which low rank is as slow as dense",
            f"{there:.0f}",
            _words(ours),
            _OTHER_HARDWARE,
            verdicts.value(max(min(here, run.settings["width"]), 1.0), there, factor=1.5, better="larger"),
            rows,
        )
    )
    return found


def _where(ratios: Mapping[int, float]) -> str:
    words = _words(ratios)
    return f"at rank {words}" if words.isdigit() else words.replace(" ", " rank ")


def _words(ratios: Mapping[int, float]) -> str:
    rank = break_even(ratios)
    return f"{rank:.0f}" if 0 < rank < math.inf else f"beyond {max(ratios)}" if rank else f"below {min(ratios)}"


def _memory(run: Run) -> list[Comparison]:
    """Compare what training holds: it follows the rank here, and not in the public code."""
    if "memory" not in run.tables():
        return []
    held = {row["what"]: row["megabytes"] for row in run.table("memory")}
    share = held["augmented BUG"] / held["dense"]
    return [
        Comparison(
            f"peak memory of training at width {run.settings['width']} and rank 20, over that of our dense net",
            "not reported; 2 x 100 MiB stay allocated per wide layer of the public code",
            f"{share:.3f} ({held['augmented BUG']:.0f} of {held['dense']:.0f} MB)",
            "",
            verdicts.at_most(share, 0.1),
            ("defect7",),
        )
    ]


FIGURE = Figure(
    name="fig_timing",
    title="Time against the rank, width 5120",
    experiments=(EXPERIMENT,),
    draw=draw,
    describe=describe,
    label="Fig. 1",
)
