"""Pictures of the metrics of a run; matplotlib is imported only when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["plot_metrics"]

_BLUE, _RED, _GREEN = "#0072B2", "#D55E00", "#009E73"


def plot_metrics(rows: Sequence[Mapping[str, Any]], path: str | Path, *, title: str = "") -> Path:
    """Draw loss, accuracy, ranks and compression over the epochs.

    Parameters
    ----------
    rows : sequence of mappings
        The rows of ``metrics.csv``; numbers may be text.
    path : str or Path
        File to write; its suffix picks the format (png, pdf, svg).
    title : str
        Above the panels.

    Raises
    ------
    ImportError
        If matplotlib is missing; the message says how to get it.
    ValueError
        If there is no row, or no such format.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator, ScalarFormatter
    except ImportError:
        raise ImportError("drawing needs matplotlib: pip install 'matode[plots]'") from None
    if not rows:
        raise ValueError("plot_metrics: there are no epochs to draw")
    epochs = [int(row["epoch"]) for row in rows]
    figure = Figure(figsize=(9.6, 6.4), layout="constrained")
    axes: Any = figure.subplots(2, 2, sharex=True)
    axes[0, 0].semilogy(epochs, _column(rows, "loss"), ".-", color=_BLUE)
    axes[0, 0].set_ylabel("training loss")
    error = [100 * (1 - x) for x in _column(rows, "test_accuracy")]
    axes[0, 1].semilogy(epochs, error, ".-", color=_BLUE, label="test")
    if rows[0].get("validation_accuracy"):
        error = [100 * (1 - x) for x in _column(rows, "validation_accuracy")]
        axes[0, 1].semilogy(epochs, error, ".-", color=_RED, label="validation")
    axes[0, 1].legend(frameon=False, fontsize="small")
    axes[0, 1].set_ylabel("error in %")
    for formatter in (axes[0, 1].yaxis.set_major_formatter, axes[0, 1].yaxis.set_minor_formatter):
        formatter(ScalarFormatter())
    ranks = [[int(rank) for rank in row["ranks"].split()] for row in rows]
    for k, layer in enumerate(zip(*ranks, strict=True), 1):
        axes[1, 0].plot(epochs, layer, ".-", label=f"weight {k}")
    if ranks[0] and len(ranks[0]) <= 10:
        axes[1, 0].legend(frameon=False, fontsize="small")
    axes[1, 0].set_ylim(bottom=0)
    axes[1, 0].yaxis.set_major_locator(MaxNLocator(integer=True))
    axes[1, 0].set_ylabel("rank" if ranks[0] else "rank (all weights are dense)")
    axes[1, 1].plot(epochs, [100 * x for x in _column(rows, "compression")], ".-", color=_GREEN)
    axes[1, 1].set_ylim(top=100)
    axes[1, 1].set_ylabel("compression in %")
    for axis in axes.flat:
        axis.grid(visible=True, which="major", linewidth=0.4, alpha=0.5)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in axes[1]:
        axis.set_xlabel("epoch")
    figure.suptitle(title, fontsize="medium")
    path = Path(path)
    figure.savefig(path, dpi=150)
    return path


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [float(row[name]) for row in rows]
