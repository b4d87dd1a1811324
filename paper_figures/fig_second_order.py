"""Second order on the periodic Schroedinger equation of Kusch (2024): error against step size for three ranks."""

from __future__ import annotations

from typing import Any

from paper_figures import style
from paper_figures.figure import Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]


def draw(runs: Runs) -> Any:
    """Draw one panel per rank; its legend says the orders that are observed between successive steps."""
    rows = runs["standard"].table("second_order")
    ranks = list(dict.fromkeys(row["rank"] for row in rows))
    figure, axes = style.new_figure(1, 3.3, columns=len(ranks), width=2.4 * len(ranks), sharey=True)
    lowest = min(row["error"] for row in rows)
    for ax, rank in zip(axes[0], ranks, strict=True):
        own = [row for row in rows if row["rank"] == rank]
        for method in dict.fromkeys(row["method"] for row in own):
            curve = sorted((row for row in own if row["method"] == method), key=lambda row: -row["h"])
            look, orders = style.METHODS[method], ", ".join(f"{row['observed_order']:.2f}" for row in curve[1:])
            h, error = [row["h"] for row in curve], [row["error"] for row in curve]
            style.curve(ax, h, error, look, label=f"{look.label}: {orders}")
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
            style.note(ax, ends[-1], limit[-1], "h x normal component")
        if own[0]["start_error"] > lowest / 3:
            style.note(ax, ends[-1], own[0]["start_error"], "error of the start")
        ax.set_title(f"rank {rank} at the start", loc="left")
        ax.set_xlabel("step size $h$")
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), title="observed orders, large steps first")
        style.marked(ax.xaxis, steps)
        style.logarithmic(ax.yaxis, decades=8)
    axes[0, 0].set_ylabel(r"error at $T=1$, $\|Y-A\|_\mathrm{F}$")
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs["standard"]
    rows, s = run.table("second_order"), run.settings
    first = next(row for row in rows if row["rank"] == min(r["rank"] for r in rows))
    caption = paragraph(
        f"""
        Error against step size on the periodic Schroedinger equation of Kusch (2024), with the orders between
        successive steps in the legends. Second order shows where the start's rank lets it: the theory of the parallel
        method has a term h times the normal component at the start in bases of twice its rank (dashed;
        {first["start_normal"]:.1e} at rank {first["rank"]}), and the midpoint method cannot pass the error of the
        start (dash-dotted; {first["start_error"]:.0e} at rank {first["rank"]}). From larger starts both are below
        the other errors.
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
    return Description(caption, settings, rows, columns)


FIGURE = Figure(
    name="fig_second_order",
    title="Second order on a Schroedinger equation",
    experiments=("standard",),
    draw=draw,
    describe=describe,
)
