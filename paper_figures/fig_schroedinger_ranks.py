"""The discrete Schroedinger equation of Ceruti, Kusch and Lubich (2022): errors, ranks, norm and energy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paper_figures import style, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

Row = Mapping[str, Any]

_ROUNDING = 1e-16
"""Drifts below are drawn here."""


def draw(runs: Runs) -> Any:
    """Draw the errors from both ranks, then rank, norm and energy over time; the last cell is the legend."""
    run = runs["standard"]
    errors, paths = run.table("schroedinger"), run.table("schroedinger_paths")
    figure, axes = style.new_figure(3, 5.8, columns=2, width=style.TEXT)
    for ax, rank in zip(axes[0], (4, 8), strict=True):
        _errors(ax, [row for row in errors if row["rank"] == rank])
        ax.set_title(f"rank {rank} at the start", loc="left")
        ax.set_ylabel(r"error at $T=1$, $\|Y-A\|_\mathrm{F}$")
    labels = {"rank": "rank", "norm_drift": "drift of the norm", "energy_drift": "drift of the energy"}
    for ax, (key, label) in zip(axes.ravel()[2:5], labels.items(), strict=True):
        _over_time(ax, paths, key)
        ax.set_ylabel(label)
    axes[1, 0].set_title(f"rank 8 at the start, $h={paths[0]['h']:g}$", loc="left")
    axes[2, 1].axis("off")
    axes[2, 1].legend(handles=_legend(errors, paths), loc="center", ncols=1)
    return figure


def _errors(ax: Any, rows: Sequence[Row]) -> None:
    for method in _unique(rows, "method"):
        look = style.METHODS[method]
        own = sorted((row for row in rows if row["method"] == method), key=lambda row: row["h"])
        style.curve(ax, [row["h"] for row in own], [row["error"] for row in own], look)
        known = [row for row in own if row["stated"] is not None]
        h, stated = [row["h"] for row in known], [row["stated"] for row in known]
        ax.plot(h, stated, "o", color=look.color, markerfacecolor="none", markersize=8, markeredgewidth=0.8)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("step size $h$")
    style.marked(ax.xaxis, _unique(rows, "h"))
    style.logarithmic(ax.yaxis, decades=6)


def _over_time(ax: Any, rows: Sequence[Row], key: str) -> None:
    for method, start in dict.fromkeys((row["method"], row["start"]) for row in rows):
        own = [row for row in rows if (row["method"], row["start"]) == (method, start) and (row["t"] or key == "rank")]
        look = style.METHODS[method]
        x, y = [row["t"] for row in own], [max(row[key], _ROUNDING) for row in own]
        steps = "steps-post" if key == "rank" else "default"
        ax.plot(x, y, color=look.color, linestyle=":" if start == 30 else look.line, drawstyle=steps)
    ax.set_xlabel("time")
    ax.set_xlim(0, 1)
    if key == "rank":
        ax.set_ylim(bottom=0)
    else:
        ax.set_yscale("log")
        style.logarithmic(ax.yaxis, decades=6)


def _legend(errors: Sequence[Row], paths: Sequence[Row]) -> list[Any]:
    from matplotlib.lines import Line2D

    looks = [style.METHODS[method] for method in dict.fromkeys([*_unique(errors, "method"), *_unique(paths, "method")])]
    bug = style.METHODS["bug"]
    return [
        *(Line2D([], [], color=k.color, marker=k.marker, linestyle=k.line, label=k.label) for k in looks),
        Line2D([], [], color=bug.color, linestyle=":", label="BUG, rank 30 (over time)"),
        Line2D(
            [],
            [],
            color=style.GREY,
            marker="o",
            markerfacecolor="none",
            markersize=8,
            linestyle="none",
            label="independent implementation",
        ),
    ]


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs["standard"]
    rows, paths = run.table("schroedinger"), run.table("schroedinger_paths")
    stated = [row for row in rows if row["stated"] is not None]
    worst = max(stated, key=lambda row: abs(row["error"] / row["stated"] - 1.0))
    last = {(row["method"], row["start"]): row for row in paths}
    caption = paragraph(
        f"""
        The experiment of Ceruti, Kusch and Lubich (2022). Above: error against step size from starts of rank 4 and 8;
        large circles are errors of an independent implementation with the same start, and ours are within
        {abs(worst["error"] / worst["stated"] - 1.0):.1%} of them. Fixed-rank methods stay where their rank holds them.
        Below: rank, and what norm and energy lose. Augmented BUG keeps both up to its truncation and the error of its
        substeps, {last["augmented-bug", 8]["norm_drift"]:.0e} in the norm at the end; parallel BUG and BUG do not
        ({last["parallel-bug", 8]["norm_drift"]:.0e} and {last["bug", 8]["norm_drift"]:.0e}), even where BUG has
        rank 30 from the start ({last["bug", 30]["norm_drift"]:.0e}).
        """
    )
    settings = {
        "equation": "Y' = -i (D Y + Y D + V Y V), 100 x 100, t from 0 to 1, RK4 substeps, one a step",
        "truncation": "discards at most 1e-6 a step, rank at most 30; second-order methods 1e-8 without a cap",
        **run_settings(run),
    }
    columns = {
        "method": ("method", ""),
        "rank": ("rank", "d"),
        "h": ("h", "g"),
        "error": ("error", ".2e"),
        "stated": ("independent", ".1e"),
        "final_rank": ("rank at the end", "d"),
        "norm_drift": ("drift of the norm", ".1e"),
        "nfev": ("evaluations of F", "d"),
    }
    comparisons = [
        Comparison(
            f"error, {style.METHODS[row['method']].label}, rank {row['rank']}, h = {row['h']:g}",
            f"{row['stated']:.1e}",
            f"{row['error']:.2e}",
            "nothing: an independent implementation of the same settings, with the same start",
            verdicts.value(row["error"], row["stated"], factor=1.2),
        )
        for row in stated
        if row["h"] == min(r["h"] for r in stated)
    ]
    return Description(caption, settings, rows, columns, comparisons)


def _unique(rows: Sequence[Row], key: str) -> list[Any]:
    return list(dict.fromkeys(row[key] for row in rows))


FIGURE = Figure(
    name="fig_schroedinger_ranks",
    title="Schroedinger equation: errors beside stated ones, ranks, norm and energy",
    experiments=("standard",),
    draw=draw,
    describe=describe,
)
