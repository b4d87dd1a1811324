"""Figure 3 of the DLRT paper: accuracy against parameters over the tolerances, for nets of two widths."""

from __future__ import annotations

from typing import Any

from experiments.runs import Run
from paper_figures import published, style, tau_plot, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph

__all__ = ["FIGURE"]

_POINTS, _FACTOR = 0.3, 1.15


def draw(runs: Runs) -> Any:
    """Draw a panel for each width: ours with its spread, the published curve, and both dense nets."""
    run = runs[tau_plot.EXPERIMENT]
    rows = tau_plot.summary(run)
    widths = [width for width in published.WIDTHS if any(row["width"] == width for row in rows)]
    figure, axes = style.new_figure(len(widths), 2.3 * len(widths) + 0.4, sharex=True)
    ours, theirs = style.SOURCES["ours"], style.SOURCES["published"]
    for ax, width in zip(axes[:, 0], widths, strict=True):
        low = [row for row in rows if row["width"] == width and row["tau"] is not None]
        x, y = [row["parameters"] for row in low], [row["test_percent"] for row in low]
        spread = [row["deviation"] or 0.0 for row in low]
        ax.errorbar(x, y, spread, color=ours.color, marker=ours.marker, linewidth=1.0, capsize=2, label="ours")
        known = [row for row in published.WIDTHS[width] if row.ranks]
        x, y = [row.parameters for row in known], [row.accuracy for row in known]
        style.curve(ax, x, y, theirs, label="published")
        guessed = [row for row in published.WIDTHS[width] if not row.ranks]
        x, y = [published.parameters_at(row) for row in guessed], [row.accuracy for row in guessed]
        ax.plot(x, y, color=theirs.color, marker=theirs.marker, linestyle="none", fillstyle="none")
        end = low[-1]
        ax.annotate(
            rf"$\tau = {end['tau']:g}$",
            (end["parameters"], end["test_percent"]),
            xytext=(3, -4),
            textcoords="offset points",
            va="top",
            fontsize=7.5,
            color=ours.color,
        )
        for level, look in _dense(rows, width):
            ax.axhline(level, color=look.color, linewidth=0.9, linestyle=":", zorder=1)
        ax.set_xscale("log")
        ax.set_ylabel("test accuracy (%)")
        ax.set_title(f"width {width}", loc="left")
        style.plain(ax.xaxis)
        ax.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k")
    axes[-1, 0].set_xlabel("parameters in evaluation")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend([*handles[::-1], _dotted()], [*labels[::-1], "dense"], loc="outside upper center", ncols=3)
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs[tau_plot.EXPERIMENT]
    rows = tau_plot.summary(run)
    caption = paragraph(
        f"""
        Test accuracy after fixed-rank tuning against the parameters of the net, for tolerances from
        {min(run.settings["taus"]):g} (right) to {max(run.settings["taus"]):g} (left): mean over the seeds, bars of one
        standard deviation. Dotted: the dense nets. Open symbols: published accuracies whose ranks are not known to us,
        at interpolated parameters.
        """
    )
    return Description(caption, tau_plot.settings(run), rows, tau_plot.COLUMNS, _comparisons(run, rows))


def _comparisons(run: Run, rows: list[dict[str, Any]]) -> list[Comparison]:
    made = []
    for row in rows:
        width = row["width"]
        if row["published_percent"] is None:
            continue
        keys = (f"fig3-{width}", f"supplement-tau-{width}")
        ours = f"{row['test_percent']:.2f} %, {row['parameters']:,.0f} parameters, ranks {row['ranks']}"
        if row["tau"] is None:
            made.append(
                Comparison(
                    f"width {width}, dense",
                    f"{row['published_percent']:.2f} %",
                    f"{row['test_percent']:.2f} %",
                    tau_plot.DIFFERS,
                    verdicts.value(row["test_percent"], row["published_percent"], within=_POINTS, better="larger"),
                    keys[:1],
                )
            )
            continue
        there = f"ranks {row['published_ranks']}" if row["published_ranks"] else "interpolated"
        made.append(
            Comparison(
                f"width {width}, tau = {row['tau']:g}",
                f"{row['published_percent']:.2f} %, {row['published_parameters']:,.0f} parameters ({there})",
                ours,
                tau_plot.DIFFERS,
                verdicts.trade_off(
                    row["test_percent"],
                    row["parameters"],
                    row["published_percent"],
                    row["published_parameters"],
                    points=_POINTS,
                    factor=_FACTOR,
                ),
                keys,
            )
        )
    return [*made, *_claims(run, rows)]


def _claims(run: Run, rows: list[dict[str, Any]]) -> list[Comparison]:
    """Judge what the paper says of the curves: low rank costs nothing at small tau, and every net is small."""
    made = []
    for width in run.settings["widths"]:
        own = [row for row in rows if row["width"] == width]
        low, dense = [row for row in own if row["tau"] is not None], [row for row in own if row["tau"] is None]
        if width not in published.WIDTHS or not dense:
            continue
        best = max(row["test_percent"] for row in low) - dense[0]["test_percent"]
        there = max(row.accuracy for row in published.WIDTHS[width]) - published.DENSE[width]
        made.append(
            Comparison(
                f"width {width}: the best low-rank net against the dense one",
                f"{there:+.2f} points",
                f"{best:+.2f} points",
                tau_plot.DIFFERS,
                verdicts.at_least(best, -0.15, form="+.2f", unit=" points"),
                (f"fig3-{width}",),
            )
        )
        worst = min(row["adaptive_percent"] - row["test_percent"] for row in low)
        made.append(
            Comparison(
                f"width {width}: what the adaptive phase alone lacks of the tuned accuracy, at most",
                "-44.0 points (54.5 % before tuning), by the wrong right basis" if width == 500 else "not known to us",
                f"{worst:+.2f} points",
                tau_plot.DIFFERS,
                verdicts.at_least(worst, -3.0, form="+.2f", unit=" points"),
                (f"supplement-tau-{width}",),
            )
        )
    return made


def _dense(rows: list[dict[str, Any]], width: int) -> list[tuple[float, style.Look]]:
    ours = [row["test_percent"] for row in rows if row["width"] == width and row["tau"] is None]
    return [*((level, style.SOURCES["ours"]) for level in ours), (published.DENSE[width], style.SOURCES["published"])]


def _dotted() -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=style.GREY, linewidth=0.9, linestyle=":")


FIGURE = Figure(
    name="fig_tau",
    title="accuracy against parameters over the tolerances",
    experiments=(tau_plot.EXPERIMENT,),
    draw=draw,
    describe=describe,
    label="Fig. 3",
)
