"""Work against precision of the integrators on four kinds of problems; the picture of the guide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paper_figures import style
from paper_figures.figure import Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE", "fastest"]

EXPERIMENT = "work-precision"
_COSTS = (("seconds", "seconds"), ("nfev", "evaluations of $F$"))


def draw(runs: Runs) -> Any:
    """Draw one row per problem: error against seconds on the left, against evaluations on the right."""
    from matplotlib.lines import Line2D

    rows = runs[EXPERIMENT].table("solves")
    names, methods = (list(dict.fromkeys(row[key] for row in rows)) for key in ("problem", "integrator"))
    figure, axes = style.new_figure(len(names), 0.7 + 1.6 * len(names), columns=2, width=style.TEXT, sharey="row")
    for line, name in zip(axes, names, strict=True):
        own = [row for row in rows if row["problem"] == name and row["error"]]
        for ax, (cost, label) in zip(line, _COSTS, strict=True):
            for method in methods:
                points = [row for row in own if row["integrator"] == method]
                style.curve(ax, [p[cost] for p in points], [p["error"] for p in points], style.METHODS[method])
            ax.set_xscale("log")
            ax.set_yscale("log")
            style.logarithmic(ax.yaxis, decades=6)
            style.readable(ax.xaxis, [row[cost] for row in own])
            ax.set_xlabel(label)
        line[0].set_title(own[0]["title"], loc="left")
        line[0].set_ylabel("largest error")
    looks = [style.METHODS[method] for method in methods]
    handles = [Line2D([], [], color=k.color, marker=k.marker, linestyle=k.line, label=k.label) for k in looks]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs[EXPERIMENT]
    rows, s = run.table("solves"), run.settings
    caption = paragraph(
        f"""
        Largest relative error on the way against seconds (left) and against evaluations of F (right), each point a
        solve with error control, rtol from {max(s["rtols"]):g} to {min(s["rtols"]):g}. A curve ends where
        {s["max_steps"]} steps are not enough. Down and to the left is better. {fastest(rows)}
        """
    )
    settings = {
        "equations": "; ".join(dict.fromkeys(row["title"] for row in rows)),
        "time": f"of the solve alone, median of {s['repetitions']}, one BLAS thread",
        **run_settings(run),
    }
    columns = {
        "problem": ("problem", ""),
        "integrator": ("method", ""),
        "rtol": ("rtol", "g"),
        "error": ("error", ".1e"),
        "seconds": ("seconds", ".2f"),
        "nfev": ("evaluations of F", "d"),
        "nsteps": ("steps", "d"),
        "rank": ("rank", "d"),
        "status": ("status", ""),
    }
    return Description(caption, settings, rows, columns)


def fastest(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say which method needs the fewest seconds at the smallest tolerance of each problem, of those that keep it."""
    parts = []
    for name in dict.fromkeys(row["problem"] for row in rows):
        kept = [row for row in rows if row["problem"] == name and row["error"] and row["error"] <= 10 * row["rtol"]]
        if kept:
            rtol = min(row["rtol"] for row in kept)
            best = min((row for row in kept if row["rtol"] == rtol), key=lambda row: row["seconds"])
            parts.append(f"{name}, rtol {rtol:g}: {style.METHODS[best['integrator']].label}")
    return f"Fewest seconds of those with an error below 10 rtol: {'; '.join(parts)}."


FIGURE = Figure(
    name="fig_work_precision",
    title="Work against precision",
    experiments=(EXPERIMENT,),
    draw=draw,
    describe=describe,
    default=False,
)
