"""Pictures of measured errors against their bounds; matplotlib is imported only when one is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Series", "plot_bounds"]

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe-Ito, told apart by most readers
_MARKERS = "osD^vP"


class Series(NamedTuple):
    """Errors of one method and their bounds, over one parameter."""

    x: Sequence[float]
    error: Sequence[float]
    bound: Sequence[float]


def plot_bounds(panels: Mapping[str, Mapping[str, Series]], path: str | Path, *, title: str = "") -> Path:
    """Draw error (markers) and bound (dashed, in the same colour) of several methods, one panel per parameter.

    Parameters
    ----------
    panels : mapping
        From the label of the horizontal axis to the series by name of the method.
    path : str or Path
        File to write; its suffix picks the format (png, pdf, svg).
    title : str
        Above the panels.

    Raises
    ------
    ImportError
        If matplotlib is missing; the message says how to get it.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("drawing needs matplotlib: pip install 'matode[plots]'") from None
    figure = Figure(figsize=(4.2 * len(panels), 3.8), layout="constrained")
    axes: Any = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (label, series) in zip(axes, panels.items(), strict=True):
        for k, (name, (x, error, bound)) in enumerate(series.items()):
            style = {"color": _COLOURS[k % len(_COLOURS)]}
            axis.loglog(x, error, marker=_MARKERS[k % len(_MARKERS)], markersize=4, label=name, **style)
            axis.loglog(x, bound, linestyle="--", linewidth=1, **style)
        axis.set_xlabel(label)
        axis.grid(visible=True, which="major", linewidth=0.4, alpha=0.5)
    axes[0].set_ylabel("error in the Frobenius norm (dashed: bound)")
    axes[-1].legend(frameon=False, fontsize="small")
    figure.suptitle(title, fontsize="medium")
    path = Path(path)
    figure.savefig(path, dpi=150)
    return path
