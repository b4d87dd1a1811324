"""Ours over its rivals and over the limit, work by work, with the goals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paper_figures import style
from paper_figures.figure import Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

EXPERIMENT = "benchmarks"
_MET, _MISSED, _FREE = style.LAYERS[0], style.LAYERS[1], style.Look("", style.GREY, "^")


def draw(runs: Runs) -> Any:
    """Draw a point per comparison, and a bar where its goal is."""
    rows = runs[EXPERIMENT].table("ratios")
    figure, axes = style.new_figure(1, 0.8 + 0.17 * len(rows), width=2 * style.COLUMN)
    ax = axes[0, 0]
    looks = {True: (_MET, "goal met"), False: (_MISSED, "goal not met"), None: (_FREE, "no goal")}
    for met, (look, label) in looks.items():
        own = [(row["ratio"], k) for k, row in enumerate(rows) if row["met"] is met]
        if own:
            x, y = zip(*own, strict=True)
            ax.plot(x, y, color=look.color, marker=look.marker, linestyle="none", label=label)
    goals = [(row["goal"], k) for k, row in enumerate(rows) if row["goal"] is not None]
    if goals:
        x, y = zip(*goals, strict=True)
        ax.plot(x, y, color="0.2", marker="|", markersize=8, linestyle="none", label="goal: at most")
    ax.axvline(1.0, color=style.GREY, linewidth=0.7)
    ax.set_xscale("log")
    style.readable(ax.xaxis, [row["ratio"] for row in rows])
    ax.set_yticks(range(len(rows)), [_name(row) for row in rows], fontsize=6.5)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlabel("ours / the other one")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs[EXPERIMENT]
    rows = run.table("ratios")
    with_goal = [row for row in rows if row["goal"] is not None]
    missed = [_name(row) for row in with_goal if not row["met"]]
    named = f"; not met: {'; '.join(missed)}" if missed else ""
    caption = paragraph(
        f"""
        Time or memory of ours over that of a rival, or over the products, factorisations and elementwise passes that
        the work cannot do without, measured in the same run: medians of runs in turn. Left of the line ours is faster
        or smaller. {len(with_goal) - len(missed)} of {len(with_goal)} goals are met{named}.
        """
    )
    columns = {
        "work": ("work", ""),
        "ours": ("ours", ""),
        "value": ("", ".4g"),
        "unit": ("unit", ""),
        "against": ("against", ""),
        "reference": ("", ".4g"),
        "ratio": ("ratio", ".2f"),
        "goal": ("goal", "g"),
        "met": ("met", ""),
    }
    return Description(caption, run_settings(run), rows, columns)


def _name(row: Mapping[str, Any]) -> str:
    ours = "" if row["ours"] in ("augmented BUG", "low-rank") else f"{row['ours']}, "
    return f"{row['work']}: {ours}against {row['against']}"


FIGURE = Figure(
    name="fig_benchmarks",
    title="Benchmarks: ours over its rivals and over the limit",
    experiments=(EXPERIMENT,),
    draw=draw,
    describe=describe,
    default=False,
)
