"""The published truncation against the correct one over several seeds: loss curves of the same nets."""

from __future__ import annotations

import statistics
from typing import Any

from paper_figures import style, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

EXPERIMENT = "defect-seeds"


def draw(runs: Runs) -> Any:
    """Draw the loss and the test accuracy after each epoch: a thin line a seed, a thick one for the mean."""
    from matplotlib.ticker import MaxNLocator

    rows = runs[EXPERIMENT].table("epochs")
    figure, axes = style.new_figure(2, 4.2, sharex=True)
    top, bottom = axes[:, 0]
    for name, look in style.TRUNCATIONS.items():
        for ax, key, scale in ((top, "loss", 1), (bottom, "test_accuracy", 100)):
            own = [row for row in rows if row["setting"] == name]
            curves = [
                [scale * row[key] for row in own if row["seed"] == s] for s in sorted({row["seed"] for row in own})
            ]
            epochs = sorted({row["epoch"] for row in own})
            for curve in curves:
                ax.plot(epochs, curve, color=look.color, linewidth=0.5, alpha=0.5)
            mean = [statistics.fmean(values) for values in zip(*curves, strict=True)]
            style.curve(ax, epochs, mean, look, label=look.label)
    top.set_yscale("log")
    style.plain(top.yaxis)
    top.set_ylabel("training loss")
    bottom.set_ylabel("test accuracy (%)")
    bottom.set_ylim(0, 100)
    bottom.set_xlabel("epoch")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(*top.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs[EXPERIMENT]
    s, rows = run.settings, run.table("seeds")
    lower = sum(row["lower_in_every_epoch"] for row in rows)
    caption = paragraph(
        f"""
        The same net from the same starts on the same batches, with the correct truncation and with the published one,
        which takes V* for V: training loss and test accuracy after each epoch, thin for each of {len(rows)} seeds,
        thick for their mean. The correct loss is the lower one after every epoch in {lower} of them.
        """
    )
    images = "scikit-learn's 8 x 8 digits" if s["data"] == "digits" else "MNIST"
    settings = {
        "data": images,
        "net": f"{s['hidden']} hidden layers of {s['width']}, initial rank {s['rank']}, dense head",
        "method": f"augmented BUG, Euler substeps, tau = {s['tau']:g}, SGD {s['lr']:g} with half a cosine",
        **run_settings(run),
    }
    columns = {
        "seed": ("seed", "d"),
        "lower_in_every_epoch": ("correct loss lower in every epoch", ""),
        "loss_correct": ("loss, correct", ".4f"),
        "loss_published": ("loss, published", ".4f"),
        "percent_correct": ("test accuracy, %, correct", ".2f"),
        "percent_published": ("published", ".2f"),
    }
    lost = statistics.fmean(row["percent_correct"] - row["percent_published"] for row in rows)
    comparisons = [
        Comparison(
            "seeds whose correct loss is the lower one after every epoch",
            "not reported: the public code has the wrong form only",
            f"{lower} of {len(rows)}",
            "the published truncation, carried out here",
            verdicts.at_least(lower / len(rows), 0.9, form=".0%"),
            ("defect1",),
        ),
        Comparison(
            "mean loss of test accuracy by the published truncation",
            "not reported",
            f"{lost:.2f} points",
            "the published truncation, carried out here",
            verdicts.at_least(lost, 0.4, form=".2f", unit=" points"),
            ("defect1",),
        ),
    ]
    return Description(caption, settings, rows, columns, comparisons)


FIGURE = Figure(
    name="fig_defect_seeds",
    title="The published truncation over ten seeds: loss after each epoch",
    experiments=(EXPERIMENT,),
    draw=draw,
    describe=describe,
)
