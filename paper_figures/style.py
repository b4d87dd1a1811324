"""How the pictures look: column width, colours that colour-blind readers can tell apart, markers for print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = [
    "COLUMN",
    "FORMS",
    "GREY",
    "LAYERS",
    "METHODS",
    "NETS",
    "PRUNING",
    "SOURCES",
    "TEXT",
    "TRUNCATIONS",
    "Look",
    "context",
    "curve",
    "guide",
    "logarithmic",
    "marked",
    "new_figure",
    "note",
    "plain",
    "readable",
]

TEXT = 5.5
"""Width of the text of NeurIPS in inches: no figure of the page is wider."""

COLUMN = 3.4
"""Width of a single panel in inches; also that of a column where there are two."""

GREY = "0.45"


class Look(NamedTuple):
    """Name, colour, marker and line style of a curve."""

    label: str
    color: str
    marker: str
    line: Any = "-"


# Okabe and Ito's palette: distinguishable with every common form of colour blindness, and in grey by the markers.
_BLUE, _ORANGE, _GREEN, _PINK, _SKY, _RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"
_BLACK = "#1a1a1a"
_DASHED, _DOTTED = (0, (5, 2)), (0, (1, 1.2))

METHODS: Mapping[str, Look] = MappingProxyType(
    {
        "ksl": Look("KSL", _ORANGE, "s"),
        "ksl-strang": Look("KSL (Strang)", _RED, "D"),
        "lsk": Look("LSK", _PINK, "v"),
        "bug": Look("BUG", _GREEN, "^"),
        "augmented-bug": Look("augmented BUG", _BLUE, "o"),
        "parallel-bug": Look("parallel BUG", _SKY, "P", _DASHED),
        "parallel-bug-2": Look("parallel BUG 2", _SKY, "p"),
        "midpoint-bug": Look("midpoint BUG", _BLACK, "d", _DASHED),
        "prk1": Look("PRK1", _PINK, "<", _DOTTED),
        "prk2": Look("PRK2", _PINK, ">"),
        "prk3": Look("PRK3", _PINK, "h", _DASHED),
        "rk-bug-2": Look("RK-BUG 2", _GREEN, "*", _DASHED),
        "rk-bug-3": Look("RK-BUG 3", _GREEN, "H", _DOTTED),
        "abc-psi": Look("abc-PSI", GREY, "X", _DASHED),
        "step-truncation": Look("step truncation", GREY, "v", _DOTTED),
        "drsvd": Look("DRSVD", _ORANGE, "*", _DASHED),
        "dgn": Look("DGN", _ORANGE, "X", _DOTTED),
        "full-rank": Look("full rank", _BLACK, ".", _DOTTED),
    }
)
"""Looks of the integrators, by catalogue name."""

NETS: Mapping[str, Look] = MappingProxyType(
    {"dlrt": Look("DLRT", _BLUE, "o"), "dense": Look("dense", _RED, "s", (0, (5, 2)))}
)
"""Looks of the two ways of training."""

SOURCES: Mapping[str, Look] = MappingProxyType(
    {
        "ours": Look("ours", _BLUE, "o"),
        "published": Look("published", _RED, "s", _DASHED),
        "repository": Look("repository", _ORANGE, "D", _DOTTED),
        "others": Look("competitors", _BLACK, "^", ""),
    }
)
"""Looks of where numbers are from."""

FORMS: Mapping[str, Look] = MappingProxyType(
    {"dlrt": Look("DLRT", _BLUE, "o"), "factors": Look("$W = U V^*$", _RED, "s", _DASHED)}
)
"""Looks of the two parametrisations of a low-rank net."""

PRUNING: Mapping[str, Look] = MappingProxyType(
    {
        "retrained": Look("retrained at fixed rank", _BLUE, "o"),
        "pruned": Look("truncated by SVD", _GREEN, "^"),
        "published": Look("the published formula", _RED, "s", _DASHED),
    }
)
"""Looks of what becomes of a pruned net."""

TRUNCATIONS: Mapping[str, Look] = MappingProxyType(
    {"correct": Look("correct", _BLUE, "o"), "published": Look("as published", _RED, "s", (0, (5, 2)))}
)
"""Looks of the two truncations."""

LAYERS = (
    Look("layer 1", _BLUE, "o"),
    Look("layer 2", _ORANGE, "s", (0, (5, 2))),
    Look("layer 3", _GREEN, "^", (0, (3, 1, 1, 1))),
    Look("layer 4", _PINK, "D", (0, (1, 1))),
)
"""Looks of the layers of a net, taken in turn."""

_RC: Mapping[str, Any] = {
    "font.family": "STIXGeneral",
    "mathtext.fontset": "stix",
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "axes.titlesize": 8.5,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.8,
    "legend.frameon": False,
    "legend.handlelength": 2.8,
    "legend.columnspacing": 1.4,
    "legend.labelspacing": 0.3,
    "figure.facecolor": "white",
    "pdf.fonttype": 42,
}


def context() -> AbstractContextManager[Any]:
    """Return a context in which matplotlib draws in this style; outside it nothing changes."""
    import matplotlib

    settings: Any = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
    settings.update(_RC)
    return matplotlib.rc_context(settings)


def new_figure(rows: int, height: float, *, width: float = COLUMN, columns: int = 1, **axes: Any) -> tuple[Any, Any]:
    """Return a figure without any window behind it, and its array of axes, (rows, columns)."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))
    return figure, figure.subplots(rows, columns, squeeze=False, **axes)


def curve(ax: Any, x: Sequence[float], y: Sequence[float], look: Look, **options: Any) -> None:
    """Plot a curve in its look."""
    ax.plot(x, y, color=look.color, marker=look.marker, linestyle=look.line, **options)


def guide(ax: Any, x: Sequence[float], start: float, slope: float, label: str) -> None:
    """Draw a thin line of the given slope in a doubly logarithmic panel, named at its end."""
    last = start * (x[-1] / x[0]) ** slope
    ax.plot([x[0], x[-1]], [start, last], color=GREY, linewidth=0.7, linestyle=_DOTTED)
    note(ax, x[-1], last, label, above=True)


def note(ax: Any, x: float, y: float, text: str, *, above: bool = False) -> None:
    """Write a small grey text beside a point at the left end of a line, below it or above."""
    place: Any = {"xytext": (3, 5 if above else -4), "textcoords": "offset points", "va": "bottom" if above else "top"}
    ax.annotate(text, (x, y), color=GREY, fontsize=7.5, **place)


def marked(axis: Any, values: Sequence[float]) -> None:
    """Set ticks of a logarithmic axis at the values that were used, and nowhere else."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    axis.set_major_locator(FixedLocator(sorted(values)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def plain(axis: Any) -> None:
    """Label a logarithmic axis of few decades with plain numbers, at 1, 2 and 5 times the powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def readable(axis: Any, values: Sequence[float]) -> None:
    """Label a logarithmic axis so that at least two labels fall within the values."""
    plain(axis) if max(values) < 50 * min(values) else logarithmic(axis)


def logarithmic(axis: Any, decades: int = 6) -> None:
    """Set ticks of a logarithmic axis: at most ``decades`` labels; over few decades also small ticks without labels."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(numticks=decades + 1))
    axis.set_minor_locator(LogLocator(subs=tuple(range(2, 10)), numticks=7))
    axis.set_minor_formatter(NullFormatter())
