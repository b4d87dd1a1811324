"""Second order on the periodic Schroedinger equation of Kusch (2024): error against step size for three ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from paper_figures import style, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]


def draw(runs: Runs) -> Any:
    """Draw one panel per rank."""
    rows = runs["standard"].table("second_order")
    ranks = list(dict.fromkeys(row["rank"] for row in rows))
    figure, axes = style.new_figure(1, 3.3, columns=len(ranks), width=style.TEXT, sharey=True)
    lowest = min(row["error"] for row in rows)
    for ax, rank in zip(axes[0], ranks, strict=True):
        own = [row for row in rows if row["rank"] == rank]
        for method in dict.fromkeys(row["method"] for row in own):
            curve = sorted((row for row in own if row["method"] == method), key=lambda row: -row["h"])
            look, h = style.METHODS[method], [row["h"] for row in curve]
            style.curve(ax, h, [row["error"] for row in curve], look, label=look.label)
        ax.set_xscale("log")
        ax.set_yscale("log")
        steps = sorted({row["h"] for row in own}, reverse=True)
        first = max(row["error"] for row in own)
        style.guide(ax, steps, 1.8 * first, 1, "$h$")
        style.guide(ax, steps, 0.7 * first, 2, "$h^2$")
        ends = [steps[0], steps[-1]]
        limit = [h * own[0]["start_normal"] for h in ends]
        ax.plot(ends, limit, color=style.GREY, linewidth=0.8, linestyle=(0, (4, 2)))
        ax.axhline(own[0]["start_error"], color=style.GREY, linewidth=0.8, linestyle="-.")
        ax.set_ylim(bottom=lowest / 3)
        if limit[-1] > lowest:
            style.note(ax, ends[-1], limit[-1], r"$h\times$ normal part")
        if own[0]["start_error"] > lowest / 3:
            style.note(ax, ends[-1], own[0]["start_error"], "error of the start")
        ax.set_title(f"rank {rank} at the start", loc="left")
        ax.set_xlabel("step size $h$")
        style.marked(ax.xaxis, steps)
        style.logarithmic(ax.yaxis, decades=8)
    axes[0, 0].set_ylabel(r"error at $T=1$, $\|Y-A\|_\mathrm{F}$")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs["standard"]
    rows, s = run.table("second_order"), run.settings
    first = next(row for row in rows if row["rank"] == min(r["rank"] for r in rows))
    caption = paragraph(
        f"""
        Error against step size on the periodic Schroedinger equation of Kusch (2024). Second order shows where the
        start's rank lets it: the theory of the parallel method has a term h times the normal component at the start in
        bases of twice its rank (dashed; {first["start_normal"]:.1e} at rank {first["rank"]}), and the midpoint method
        cannot pass the error of the start (dash-dotted; {first["start_error"]:.0e} at rank {first["rank"]}). From
        larger starts both are below the other errors.
        """
    )
    settings = {
        "equation": "Y' = -i (V Y V - D Y - Y D), D and V as in the experiment of Ceruti, Kusch and Lubich, periodic",
        "size": f"{s['second_order_n']} x {s['second_order_n']}, t from 0 to 1",
        "second order": "discard at most 1e-8 a step, no cap of the rank, four RK4 substeps",
        "others": "discard at most 1e-10 a step, rank at most 4 times that of the start",
        **run_settings(run),
    }
    columns = {
        "method": ("method", ""),
        "rank": ("rank", "d"),
        "h": ("h", "g"),
        "error": ("error", ".2e"),
        "observed_order": ("order", ".2f"),
        "final_rank": ("rank at the end", "d"),
        "nfev": ("evaluations of F", "d"),
    }
    return Description(caption, settings, rows, columns, _claims(rows))


def _claims(rows: Sequence[Mapping[str, Any]]) -> list[Comparison]:
    """Return the mean order of each method from the largest start."""
    largest = max(row["rank"] for row in rows)
    found = []
    for method, order in (("parallel-bug", 1), ("parallel-bug-2", 2), ("midpoint-bug", 2), ("rk-bug-2", 2)):
        own = [row for row in rows if (row["method"], row["rank"]) == (method, largest)]
        first, last = max(own, key=lambda row: row["h"]), min(own, key=lambda row: row["h"])
        seen = math.log(first["error"] / last["error"], first["h"] / last["h"])
        found.append(
            Comparison(
                f"order observed over all steps, {style.METHODS[method].label}, rank {largest}",
                f"{order}",
                f"{seen:.2f}",
                "",
                verdicts.at_least(seen, order - 0.3, form=".2f"),
            )
        )
    return found


FIGURE = Figure(
    name="fig_second_order",
    title="Second order on a Schroedinger equation",
    experiments=("standard",),
    draw=draw,
    describe=describe,
)
