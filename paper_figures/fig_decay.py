"""Figure 4 of the DLRT paper: DLRT against vanilla W = U V*, from starts with and without decaying singular values."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from experiments.runs import Run
from paper_figures import published, style, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

EXPERIMENT = "small-singular-values"

_NAMES = {"dlrt": "DLRT", "factors": "U V*"}
_DIFFERS = paragraph(
    """
    the public code leaves the convolution factors of U V* at their random start, and its decay never reaches them: its
    U V* is crippled; ours trains all factors from the same matrices as DLRT
    """
)


def draw(runs: Runs) -> Any:
    """Draw a panel for each decay, with both methods, their confidence intervals, and the published ends."""
    run = runs[EXPERIMENT]
    bases = sorted(run.settings["bases"])
    figure, axes = style.new_figure(len(bases), 1.9 * len(bases) + 0.5, sharex=True, sharey=True)
    epochs, looks = run.settings["epochs"], style.FORMS
    for ax, base in zip(axes[:, 0], bases, strict=True):
        ax.axvspan(epochs + 0.3, epochs + 1.4, color="0.95", linewidth=0)
        for method, look in looks.items():
            rows = [row for row in run.table("epochs") if row["method"] == method and row["base"] == base]
            curve = [[100 * r["test_accuracy"] for r in rows if r["epoch"] == k] for k in range(1, epochs + 1)]
            mean = [statistics.fmean(values) for values in curve]
            half = [_half_width(values) for values in curve]
            low, high = ([m + sign * h for m, h in zip(mean, half, strict=True)] for sign in (-1, 1))
            ax.fill_between(range(1, epochs + 1), low, high, color=look.color, alpha=0.2, linewidth=0)
            style.curve(ax, range(1, epochs + 1), mean, look, label=look.label)
            there = _row(base)
            if there is not None:
                value, spread = (
                    (there.dlrt, there.dlrt_deviation) if method == "dlrt" else (there.factors, there.factors_deviation)
                )
                place = epochs + (0.7 if method == "dlrt" else 1.05)
                ax.errorbar(
                    place, value, spread, color=look.color, marker=look.marker, fillstyle="none", capsize=1.5, lw=0.8
                )
        ax.set_title(_decay(base), loc="left")
        ax.set_ylabel("test accuracy (%)")
        ax.set_xlim(0.7, epochs + 1.4)
    ends = [row["test_percent"] for row in run.table("summary")]
    axes[0, 0].set_ylim(80 if min(ends) > 84 else 0, 100)  # shared; the first epochs of slow curves are cut off
    axes[0, 0].annotate(
        "published", (epochs + 0.85, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=7
    )
    axes[-1, 0].set_xlabel("epoch")
    axes[-1, 0].set_xticks(range(1, epochs + 1))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs[EXPERIMENT]
    s, rows = run.settings, _rows(run)
    caption = paragraph(
        f"""
        LeNet5 at fixed rank {s["rank"]}: test accuracy, mean of {len(s["seeds"])} seeds with its 95 % confidence
        interval, from starts whose singular values are equal or decay, norm and bases kept. Open symbols: published
        ends with their standard deviations.
        """
    )
    settings = {
        "data": f"MNIST: the first {s['train_examples']:,} training and {s['test_examples']:,} test images",
        "net": f"LeNet5; all weights but the dense head of rank {s['rank']}, or what they allow",
        "training": f"SGD, learning rate {s['lr']:g}, batch {s['batch_size']}, {s['epochs']} epochs, {s['dtype']}",
        "seeds": ", ".join(map(str, s["seeds"])),
        **run_settings(run),
    }
    columns = {
        "method": ("method", ""),
        "base": ("decay b^-k, b", "g"),
        "seeds": ("seeds", "d"),
        "test_percent": ("test accuracy, %", ".2f"),
        "half_width": ("+-", ".2f"),
        "gap": ("lost by the decay", ".2f"),
        "gap_half_width": ("+-", ".2f"),
        "published_percent": ("published, %", ".2f"),
        "published_deviation": ("standard deviation", ".2f"),
    }
    return Description(caption, settings, rows, columns, _comparisons(rows))


def _rows(run: Run) -> list[dict[str, Any]]:
    rows = []
    for row in run.table("summary"):
        there = _row(row["base"])
        percent, deviation = None, None
        if there is not None and row["method"] == "dlrt":
            percent, deviation = there.dlrt, there.dlrt_deviation
        elif there is not None:
            percent, deviation = there.factors, there.factors_deviation
        rows.append(
            {
                **row,
                "method": _NAMES[row["method"]],
                "published_percent": percent,
                "published_deviation": deviation,
            }
        )
    return rows


def _comparisons(rows: Sequence[dict[str, Any]]) -> list[Comparison]:
    made = [
        Comparison(
            f"{row['method']}, {_decay(row['base'], plain=True)}",
            _with(row["published_percent"], row["published_deviation"]),
            _with(row["test_percent"], row["half_width"]),
            _DIFFERS if row["method"] == "U V*" else "ours: singular values of the start equal, or decaying, norm kept",
            verdicts.value(row["test_percent"], row["published_percent"], within=1.0, better="larger", unit=" points"),
            ("fig4",),
        )
        for row in rows
        if row["published_percent"] is not None
    ]
    by = {(row["method"], row["base"]): row for row in rows}
    plain = {"DLRT": published.DECAY[0].dlrt, "U V*": published.DECAY[0].factors}
    for (method, base), row in by.items():
        if base == 1 or row["published_percent"] is None:
            continue
        judged = verdicts.at_most if method == "DLRT" else verdicts.at_least
        made.append(
            Comparison(
                f"what {method} loses by the {_decay(base, plain=True)}",
                f"{plain[method] - row['published_percent']:.2f} points",
                _with(row["gap"], row["gap_half_width"], " points"),
                "" if method == "DLRT" else _DIFFERS,
                judged(row["gap"], 1.0, form=".2f", unit=" points"),
                ("fig4",),
            )
        )
        if method == "DLRT":
            ahead = row["test_percent"] - by["U V*", base]["test_percent"]
            there = _row(base)
            assert there is not None
            made.append(
                Comparison(
                    f"DLRT above U V*, {_decay(base, plain=True)}",
                    f"{there.dlrt - there.factors:+.2f} points",
                    f"{ahead:+.2f} points",
                    _DIFFERS,
                    verdicts.at_least(ahead, 0.5, form="+.2f", unit=" points"),
                    ("fig4",),
                )
            )
    if ("DLRT", 1.0) in by:
        ahead = by["DLRT", 1.0]["test_percent"] - by["U V*", 1.0]["test_percent"]
        made.append(
            Comparison(
                "DLRT above U V*, no decay",
                f"{published.DECAY[0].dlrt - published.DECAY[0].factors:+.2f} points",
                f"{ahead:+.2f} points",
                _DIFFERS,
                verdicts.at_least(ahead, 0.5, form="+.2f", unit=" points"),
                ("fig4",),
            )
        )
    return made


def _with(value: float, spread: float | None, unit: str = " %") -> str:
    return f"{value:.2f}{'' if spread is None else f' +- {spread:.2f}'}{unit}"


def _decay(base: float, *, plain: bool = False) -> str:
    if base == 1:
        return "no decay"
    return f"decay {base:g}^-k" if plain else rf"singular values decay like ${base:g}^{{-k}}$"


def _row(base: float) -> published.DecayRow | None:
    return next((row for row in published.DECAY if row.base == base), None)


def _half_width(values: Sequence[float]) -> float:
    """Return half the width of Student's 95 % confidence interval of the mean; 0 for a single value."""
    from scipy.stats import t

    n = len(values)
    return float(t.ppf(0.975, n - 1)) * statistics.stdev(values) / math.sqrt(n) if n > 1 else 0.0


FIGURE = Figure(
    name="fig_decay",
    title="DLRT against W = U V*, from starts with small singular values",
    experiments=(EXPERIMENT,),
    draw=draw,
    describe=describe,
    label="Fig. 4",
)
