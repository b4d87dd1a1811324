"""The published truncation that takes V* for V: what it costs in training, and which checks reject it."""

from __future__ import annotations

from typing import Any

from paper_figures import style, training_plot
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph

__all__ = ["FIGURE"]

EXPERIMENT = "published-defect"


def draw(runs: Runs) -> Any:
    """Draw the loss, the test accuracy, and the error of a single truncation."""
    from matplotlib.ticker import MaxNLocator

    run = runs[EXPERIMENT]
    figure, axes = style.new_figure(3, 5.6)
    top, middle, bottom = axes[:, 0]
    for net, look in style.TRUNCATIONS.items():
        curve = [row for row in run.table("steps") if row["net"] == net]
        x, y = [row["epoch"] for row in curve], [row["loss"] for row in curve]
        top.plot(x, y, color=look.color, linestyle=look.line)
        epochs = [row for row in run.table("epochs") if row["net"] == net]
        x, y = [row["epoch"] for row in epochs], [100 * row["test_accuracy"] for row in epochs]
        middle.plot(x, y, color=look.color, marker=look.marker, linestyle=look.line)
        errors = [row for row in run.table("errors") if row["net"] == net]
        x, y = [row["tau"] for row in errors], [row["error"] for row in errors]
        bottom.loglog(x, y, color=look.color, marker=look.marker, linestyle=look.line, label=look.label)
    top.set_yscale("log")
    style.plain(top.yaxis)
    top.sharex(middle)
    top.set_ylabel("training loss")
    middle.set_xlim(left=0)
    middle.set_ylim(0, 100)
    middle.xaxis.set_major_locator(MaxNLocator(integer=True))
    middle.set_xlabel("epoch")
    middle.set_ylabel("test accuracy (%)")
    taus = sorted({row["tau"] for row in run.table("errors")})
    bottom.loglog(taus, taus, color=style.GREY, linewidth=0.8, linestyle=":", label=r"$\tau$")
    style.marked(bottom.xaxis, taus)
    bottom.set_xlabel(r"tolerance $\tau$ of one truncation")
    bottom.set_ylabel("relative error")
    figure.legend(*bottom.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs[EXPERIMENT]
    good, bad = training_plot.last(run, "correct"), training_plot.last(run, "published")
    checks = run.table("checks")
    rejecting = [row["check"] for row in checks if row["net"] == "published" and row["status"] != "passed"]
    passed = sum(row["net"] == "correct" and row["status"] == "passed" for row in checks)
    named = ", ".join(name.replace("_", " ") for name in rejecting)
    worst = max(row["error"] for row in run.table("errors") if row["net"] == "published")
    caption = paragraph(
        f"""
        The public codes multiply the right basis by columns of V*, which the library's SVD returns, where those of V
        belong. Above: training loss and test accuracy of the same net on {training_plot.name_of(run)}, same start
        and batches; after {good["epoch"]} epochs the test accuracy is {good["test_accuracy"]:.2%} with the correct
        truncation and {bad["test_accuracy"]:.2%} with the published one. Below: error of truncating one matrix of
        norm 1 whose core is not diagonal, up to {worst:.2f} where at most tau is meant. The conformance suite
        rejects the published step by {len(rejecting)} checks ({named}); the correct one passes all {passed} that
        apply.
        """
    )
    comparisons = []
    if training_plot.data_set(run)["data"] == "mnist":
        comparisons = [
            Comparison(
                "test accuracy, 5 x 500 net, tau = 0.05",
                "86.8% at the end of the adaptive phase of the public code",
                f"{bad['test_accuracy']:.2%} with its truncation, {good['test_accuracy']:.2%} with the correct one",
                f"Adam and 71 epochs there; SGD and {good['epoch']} epochs here",
            )
        ]
    return Description(
        caption, training_plot.settings(run), training_plot.rows(run), training_plot.COLUMNS, comparisons
    )


FIGURE = Figure(
    name="fig_published_defect",
    title="A published defect: V* where V belongs",
    experiments=(EXPERIMENT,),
    draw=draw,
    describe=describe,
)
