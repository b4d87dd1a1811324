"""Pictures of what the monitors saw; matplotlib is imported only when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["plot_monitor"]

_BLUE, _RED, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#888888"


def plot_monitor(rows: Sequence[Mapping[str, Any]], path: str | Path, *, title: str = "") -> Path:
    """Draw observations over the steps: descent, gradient, truncation, and the running error bound.

    Parameters
    ----------
    rows : sequence of mappings
        With the columns of :class:`nn.monitors.Observation`, such as its ``_asdict()`` or the rows of a CSV file read
        back; numbers may be text.
    path : str or Path
        File to write; its suffix picks the format (png, pdf, svg).
    title : str
        Above the panels.

    Raises
    ------
    ImportError
        If matplotlib is missing; the message says how to get it.
    ValueError
        If there is no row.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("drawing needs matplotlib: pip install 'matode[plots]'") from None
    if not rows:
        raise ValueError("plot_monitor: there are no observations to draw")
    x = _column(rows, "step")
    loss = _column(rows, "loss")
    figure = Figure(figsize=(9.6, 6.4), layout="constrained")
    axes: Any = figure.subplots(2, 2, sharex=True)

    decrease, guaranteed = (
        [a - b for a, b in zip(loss, _column(rows, name), strict=True)] for name in ("loss_wide", "descent_bound")
    )
    descent = axes[0, 0]
    descent.plot(x, decrease, ".", color=_BLUE, markersize=4, label="decrease of the batch loss")
    descent.plot(x, guaranteed, "-", color=_GREY, linewidth=1, label="guaranteed")
    broken = [i for i, row in enumerate(rows) if str(row["descent_holds"]) != "True"]
    if broken:
        descent.plot(
            [x[i] for i in broken],
            [decrease[i] for i in broken],
            "x",
            color=_RED,
            label=f"violated in {len(broken)} of {len(rows)}",
        )
    descent.set_ylabel("in one step, before truncation")

    gradient = axes[0, 1]
    gradient.semilogy(x, _column(rows, "tangent"), color=_BLUE, linewidth=1, label="tangent part of the gradient")
    gradient.semilogy(x, _column(rows, "normal"), color=_RED, linewidth=1, label="normal part")
    gradient.set_ylabel("Frobenius norm")

    sizes = axes[1, 0]
    moved = [abs(h) * g for h, g in zip(_column(rows, "h"), _column(rows, "gradient"), strict=True)]
    sizes.semilogy(x, moved, color=_GREY, linewidth=1, label="h times the gradient")
    sizes.semilogy(x, _column(rows, "truncation_error"), ".", color=_RED, markersize=4, label="truncation error")
    sizes.set_ylabel("Frobenius norm")

    bound = axes[1, 1]
    bound.semilogy(x, _column(rows, "error_bound"), color=_GREEN, linewidth=1, label="a-posteriori error bound")
    scaled = [abs(h) * L for h, L in zip(_column(rows, "h"), _column(rows, "lipschitz"), strict=True)]
    bound.semilogy(x, scaled, color=_GREY, linewidth=1, label="h L (descent needs at most 2)")
    for axis in axes.flat:
        axis.grid(visible=True, which="major", linewidth=0.4, alpha=0.5)
        axis.legend(frameon=False, fontsize="small")
    for axis in axes[1]:
        axis.set_xlabel("step")
    figure.suptitle(title, fontsize="medium")
    path = Path(path)
    figure.savefig(path, dpi=150)
    return path


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [float(row[name]) for row in rows]
