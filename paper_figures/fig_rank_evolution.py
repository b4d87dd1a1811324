"""Figure 2 of the DLRT paper: the ranks of the four low-rank layers over the epochs, at two tolerances."""

from __future__ import annotations

from typing import Any

from experiments.runs import Run
from paper_figures import published, style, tau_plot, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph

__all__ = ["FIGURE"]

_WIDTH, _TAUS = 500, (0.05, 0.15)


def draw(runs: Runs) -> Any:
    """Draw one panel a tolerance, one curve a layer, and the published ranks at its end."""
    from matplotlib.ticker import MaxNLocator

    run = runs[tau_plot.EXPERIMENT]
    figure, axes = style.new_figure(2, 4.2, sharex=True)
    for ax, tau in zip(axes[:, 0], _TAUS, strict=True):
        curves = tau_plot.rank_curves(tau_plot.epochs(run, _WIDTH, tau))
        last = max(point[0] for curve in curves.values() for point in curve)
        for (curve, look), rank in zip(zip(curves.values(), style.LAYERS, strict=False), _row(tau).ranks, strict=True):
            x, mean, low, high = zip(*curve, strict=True)
            ax.fill_between(x, low, high, color=look.color, alpha=0.15, linewidth=0)
            style.curve(ax, x, mean, look, label=look.label)
            ax.plot(last + 0.8, rank, color=look.color, marker=look.marker, linestyle="none", fillstyle="none")
        ax.axvline(run.settings["adaptive"], color=style.GREY, linewidth=0.8, linestyle=":")
        ax.axvspan(last + 0.3, last + 1.3, color="0.95", linewidth=0)
        ax.set_ylim(bottom=0)
        ax.set_ylabel("rank")
        ax.set_title(rf"$\tau = {tau:g}$", loc="left")
        ax.set_xlim(0, last + 1.3)
        ax.set_xticks([k for k in MaxNLocator(integer=True).tick_values(0, last) if 0 <= k <= last])
    axes[0, 0].annotate(
        "published", (last + 0.8, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=7
    )
    axes[-1, 0].set_xlabel("epoch")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, columnspacing=0.9)
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers; the table has every tolerance of the run."""
    run = runs[tau_plot.EXPERIMENT]
    taus = [tau for tau in run.settings["taus"] if tau_plot.epochs(run, _WIDTH, tau)]
    rows = [
        {
            "tau": tau,
            "epoch": epoch,
            **{key: curves[key][k][1] for key in curves},
            "published": _row(tau).ranks_text if k + 1 == len(next(iter(curves.values()))) else None,
        }
        for tau in taus
        for curves in [tau_plot.rank_curves(tau_plot.epochs(run, _WIDTH, tau))]
        for k, (epoch, *_) in enumerate(next(iter(curves.values())))
    ]
    caption = paragraph(
        f"""
        Ranks of the four low-rank layers of the net of width {_WIDTH} over the epochs, mean over the seeds (band: least
        and largest); from the dotted line on they are frozen. Open symbols: the published ranks, after about 70 epochs.
        """
    )
    keys = tau_plot.layers(rows)
    columns = {
        "tau": ("tau", "g"),
        "epoch": ("epoch", "d"),
        **{key: (f"rank, layer {key.removeprefix('rank_')}", ".1f") for key in keys},
        "published": ("published, at the end", ""),
    }
    return Description(caption, tau_plot.settings(run), rows, columns, _comparisons(run, taus))


def _comparisons(run: Run, taus: list[float]) -> list[Comparison]:
    """Compare how far the ranks have fallen from our own start by the end of the adaptive phase.

    The published ends are no measure of that: at small tau our start is below them already.
    """
    epochs = run.settings["adaptive"]
    starts, ends = ({tau: _sum(run, tau, epoch) for tau in taus} for epoch in (0, epochs))
    made = [
        Comparison(
            f"sum of the four ranks, tau = {tau:g}",
            f"fast drop in the first epochs, to {sum(_row(tau).ranks)} in the end",
            f"{starts[tau]:.0f} at the start, {ends[tau]:.0f} after {epochs} epochs",
            tau_plot.DIFFERS,
            verdicts.at_most(ends[tau] / starts[tau], 0.5, form=".2f", unit=" of the start"),
            ("fig2", "supplement-ranks") if tau in _TAUS else ("supplement-ranks",),
        )
        for tau in taus
    ]
    low, high = _TAUS
    share = sum(_row(high).ranks) / sum(_row(low).ranks)
    return [
        *made,
        Comparison(
            f"sum of the ranks at tau = {high:g} over that at tau = {low:g}",
            f"{share:.2f}",
            f"{ends[high] / ends[low]:.2f}",
            tau_plot.DIFFERS,
            verdicts.at_most(ends[high] / ends[low], 0.75, form=".2f"),
            ("fig2",),
        ),
    ]


def _sum(run: Run, tau: float, at: int) -> float:
    """Return the mean sum of the ranks after an epoch; 0 is the start."""
    curves = tau_plot.rank_curves(tau_plot.epochs(run, _WIDTH, tau))
    return sum(mean for curve in curves.values() for epoch, mean, *_ in curve if epoch == at)


def _row(tau: float) -> published.TauRow:
    return next(row for row in published.WIDTH_500 if row.tau == tau)


FIGURE = Figure(
    name="fig_rank_evolution",
    title="ranks over the epochs at two tolerances",
    experiments=(tau_plot.EXPERIMENT,),
    draw=draw,
    describe=describe,
    label="Fig. 2",
)
