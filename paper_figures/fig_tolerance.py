"""Does rtol mean error, and how loose is the certified bound: every solve of the problem library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paper_figures import style, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

Row = Mapping[str, Any]

EXPERIMENT = "tolerance"
_SPREAD = 0.6  # of the room of a name, over which its points lie
_BEYOND = 1e9
"""Looser bounds are drawn here, with their value."""


def draw(runs: Runs) -> Any:
    """Draw error over rtol by method, and bound over error by problem; each point is a solve."""
    from matplotlib.lines import Line2D

    rows = runs[EXPERIMENT].table("solves")
    figure, axes = style.new_figure(2, 5.6, width=style.TEXT)
    top, bottom = axes[:, 0]
    methods, names = (list(dict.fromkeys(row[key] for row in rows)) for key in ("integrator", "problem"))
    reached = [row for row in rows if row["error"]]
    place = _places(reached, "rtol", largest_first=True)
    for k, method in enumerate(methods):
        own = [row for row in reached if row["integrator"] == method]
        _points(top, [k + place[row["rtol"]] for row in own], [row["error"] / row["rtol"] for row in own], method)
    for level, line in ((1.0, "-"), (10.0, (0, (4, 2)))):
        top.axhline(level, color=style.GREY, linewidth=0.8, linestyle=line, zorder=1)
    _named(top, [style.METHODS[method].label.replace(" BUG", "\nBUG") for method in methods], 0)
    top.set_ylabel("error / rtol")
    certified = [row for row in rows if row["bound"] is not None and row["end_error"]]
    there = [name for name in names if any(row["problem"] == name for row in certified)]
    place = _places(certified, "integrator", order=methods)
    for method in methods:
        own = [row for row in certified if row["integrator"] == method]
        x = [there.index(row["problem"]) + place[method] for row in own]
        loose = [row["bound"] / row["end_error"] for row in own]
        _points(bottom, x, [min(ratio, _BEYOND) for ratio in loose], method)
    bottom.axhline(1.0, color=style.GREY, linewidth=0.8, zorder=1)
    for k, name in enumerate(there):
        beyond = max(row["bound"] / row["end_error"] for row in certified if row["problem"] == name)
        if beyond > _BEYOND:
            bottom.annotate(f"up to {beyond:.0e}", (k, _BEYOND), xytext=(12, -3), textcoords="offset points")
    _named(bottom, there, 40)
    bottom.set_ylabel("certified bound / error")
    looks = [style.METHODS[method] for method in methods]
    handles = [Line2D([], [], color=k.color, marker=k.marker, linestyle="none", label=k.label) for k in looks]
    figure.legend(handles=handles, loc="outside upper center", ncols=4)
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs[EXPERIMENT]
    rows, summary, s = run.table("solves"), run.table("summary"), run.settings
    reached, within = (sum(row[key] for row in summary) for key in ("reached", "within_10_rtol"))
    violations = sum(row["violations"] for row in summary)
    caption = paragraph(
        f"""
        {len(rows)} solves of the problem library with error control. Above: the largest relative error on the way in
        units of rtol, for each method from rtol = {max(s["rtols"]):g} (left) to the smallest (right); {reached} reached
        the end, {within} of them within 10 rtol (dashed). Below: the certified bound at the end over the true error,
        by problem; {violations} of {sum(row["certified"] for row in summary)} are below it.
        """
    )
    settings = {"budget": f"{s['max_steps']} steps a solve", **run_settings(run)}
    columns = {
        "integrator": ("method", ""),
        "order": ("order", "g"),
        "solves": ("solves", "d"),
        "reached": ("reached the end", "d"),
        "within_10_rtol": ("within 10 rtol", "d"),
        "within_rtol": ("within rtol", "d"),
        "largest_ratio": ("largest error / rtol", ".2g"),
        "certified": ("certified", "d"),
        "violations": ("bound below error", "d"),
        "median_looseness": ("median bound / error", ".3g"),
    }
    worst = max(row["largest_ratio"] for row in summary)
    claims = [
        Comparison(
            "solves that end within 10 rtol, of those that reach the end",
            "rtol means error",
            f"{within} of {reached}; the largest error is {worst:.2g} rtol",
            "",
            verdicts.at_least(within / reached, 1, form=".0%"),
        ),
        Comparison(
            "certified bounds below the true error",
            "none",
            f"{violations}",
            "",
            verdicts.at_most(violations, 0, form="d"),
        ),
    ]
    return Description(caption, settings, summary, columns, claims)


def _points(ax: Any, x: Sequence[float], y: Sequence[float], method: str) -> None:
    look = style.METHODS[method]
    ax.plot(x, y, color=look.color, marker=look.marker, linestyle="none", markersize=3, alpha=0.8, markeredgewidth=0)


def _places(rows: Sequence[Row], key: str, largest_first: bool = False, order: Sequence[Any] = ()) -> dict[Any, float]:
    """Return where in the room of a name the points of each value lie."""
    values = list(order) or sorted({row[key] for row in rows}, reverse=largest_first)
    return {v: _SPREAD * (i / max(1, len(values) - 1) - 0.5) for i, v in enumerate(values)}


def _named(ax: Any, names: Sequence[str], rotation: float) -> None:
    style_of_names = {"rotation": rotation, "ha": "right", "rotation_mode": "anchor"} if rotation else {}
    ax.set_xticks(range(len(names)), names, **style_of_names)
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.grid(visible=False, axis="x")
    ax.set_yscale("log")
    style.logarithmic(ax.yaxis, decades=6)


FIGURE = Figure(
    name="fig_tolerance",
    title="Error control: error in units of rtol, and how loose the certificate is",
    experiments=(EXPERIMENT,),
    draw=draw,
    describe=describe,
)
