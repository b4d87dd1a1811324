"""Training a fully connected net: loss and test accuracy, DLRT and dense."""

from __future__ import annotations

from typing import Any

from experiments.runs import Run
from paper_figures import style, training_plot
from paper_figures.figure import Description, Figure, Runs
from paper_figures.words import paragraph

__all__ = ["FIGURE", "accuracy_panel", "loss_panel"]


def draw(runs: Runs) -> Any:
    """Draw the loss above, the accuracy below."""
    run = runs["mnist-mlp"]
    figure, axes = style.new_figure(2, 4.0, sharex=True)
    loss_panel(axes[0, 0], run)
    accuracy_panel(axes[1, 0], run)
    axes[1, 0].set_xlabel("epoch")
    figure.legend(*axes[1, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def loss_panel(ax: Any, run: Run) -> None:
    """Draw the loss, each value at the middle of the steps that it is the mean of."""
    steps = run.table("steps")
    for net, look in style.NETS.items():
        mine = [row for row in steps if row["net"] == net]
        starts = [0.0, *(row["epoch"] for row in mine[:-1])]
        x = [(start + row["epoch"]) / 2 for start, row in zip(starts, mine, strict=True)]
        ax.plot(x, [row["loss"] for row in mine], color=look.color, linestyle=look.line, linewidth=0.9)
    ax.set_yscale("log")
    style.plain(ax.yaxis)
    ax.set_ylabel("training loss")


def accuracy_panel(ax: Any, run: Run) -> None:
    """Draw the test accuracy after every epoch."""
    from matplotlib.ticker import MaxNLocator

    for net, look in style.NETS.items():
        mine = _epochs(run, net)
        x, y = [row["epoch"] for row in mine], [100 * row["test_accuracy"] for row in mine]
        label = look.label if net == "dense" else rf"DLRT, $\tau={run.settings['tau']:g}$"
        ax.plot(x, y, color=look.color, marker=look.marker, linestyle=look.line, label=label)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("test accuracy (%)")


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs["mnist-mlp"]
    low, dense = training_plot.last(run, "dlrt"), training_plot.last(run, "dense")
    caption = paragraph(
        f"""
        Training loss (cross-entropy, mean over {run.settings["every"]} batches) and test accuracy after every epoch on
        {training_plot.name_of(run)}. DLRT ends at {low["test_accuracy"]:.2%} with {low["compression"]:.1%} of the
        dense net's parameters saved, after {low["epoch"]} epochs of {_seconds(run, "dlrt"):.1f} s; the dense net ends
        at {dense["test_accuracy"]:.2%}, after {dense["epoch"]} epochs of {_seconds(run, "dense"):.1f} s (medians).
        """
    )
    return Description(
        caption,
        training_plot.settings(run),
        training_plot.rows(run),
        training_plot.COLUMNS,
        training_plot.comparisons(run),
    )


def _epochs(run: Run, net: str) -> list[dict[str, Any]]:
    return [row for row in run.table("epochs") if row["net"] == net]


def _seconds(run: Run, net: str) -> float:
    """Return the median time of an epoch."""
    times = sorted(row["seconds"] for row in _epochs(run, net))
    return float(times[len(times) // 2])


FIGURE = Figure(
    name="fig_training",
    title="Training a net of five layers: loss and test accuracy",
    experiments=("mnist-mlp",),
    draw=draw,
    describe=describe,
)
