"""Training a fully connected net: the rank of every low-rank layer over time."""

from __future__ import annotations

from typing import Any

from experiments.runs import Run
from paper_figures import style, training_plot
from paper_figures.figure import Description, Figure, Runs
from paper_figures.words import paragraph

__all__ = ["FIGURE", "ranks_panel"]


def draw(runs: Runs) -> Any:
    """Draw one curve per layer."""
    run = runs["mnist-mlp"]
    figure, axes = style.new_figure(1, 2.5)
    ranks_panel(axes[0, 0], run)
    axes[0, 0].legend(ncols=2)
    return figure


def ranks_panel(ax: Any, run: Run) -> None:
    """Draw the ranks against the step; the first steps, where most happens, take most of the room."""
    from matplotlib.ticker import StrMethodFormatter

    steps = [row for row in run.table("steps") if row["net"] == "dlrt"]
    layers = [key for key in steps[0] if key.startswith("rank_")]
    for key, look in zip(layers, _looks(len(layers)), strict=True):
        x, y = [row["step"] for row in steps], [row[key] for row in steps]
        label = f"layer {key.removeprefix('rank_')}"
        ax.plot(x, y, color=look.color, linestyle=look.line, label=label, drawstyle="steps-post")
    ax.set_xscale("symlog", linthresh=1, linscale=0.4)
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("step")
    ax.set_ylabel("rank")


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs["mnist-mlp"]
    low = training_plot.last(run, "dlrt")
    caption = paragraph(
        f"""
        Rank of every low-rank layer during training on {training_plot.name_of(run)}, from the start on. The ranks
        at the end are {low["ranks"]}; the net then has {low["evaluation_parameters"]:,} parameters where the dense
        one has {low["dense_parameters"]:,}.
        """
    )
    rows = [row for row in run.table("steps") if row["net"] == "dlrt"]
    layers = [key for key in rows[0] if key.startswith("rank_")]
    columns = {
        "step": ("step", "d"),
        "epoch": ("epoch", ".2f"),
        "loss": ("loss", ".4f"),
        **{key: (f"rank, layer {key.removeprefix('rank_')}", "d") for key in layers},
    }
    return Description(caption, training_plot.settings(run), rows, columns, training_plot.comparisons(run)[:2])


def _looks(count: int) -> list[style.Look]:
    return [style.LAYERS[i % len(style.LAYERS)] for i in range(count)]


FIGURE = Figure(
    name="fig_ranks",
    title="Training a net of five layers: ranks over time",
    experiments=("mnist-mlp",),
    draw=draw,
    describe=describe,
)
