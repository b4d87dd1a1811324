"""Pictures of errors and bounds, solutions, and work against precision; matplotlib is imported only to draw one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from matode._array import host, to_host

if TYPE_CHECKING:
    from matode.comparison import Measurement
    from matode.lowrank import LowRank
    from matode.problems import Problem
    from matode.solution import Solution

__all__ = ["Series", "plot_bounds", "plot_solution", "plot_work_precision"]

# Okabe and Ito's colours, which most readers tell apart; with the markers the looks repeat after 56 curves.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = "osD^vPX*"
_ROUNDING = 1e-12  # relative errors below are left out of a logarithmic picture: they would flatten the rest


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
    figure, axes = _panels(1, len(panels))
    for axis, (label, series) in zip(axes, panels.items(), strict=True):
        for k, (name, (x, error, bound)) in enumerate(series.items()):
            style = _style(k)
            axis.loglog(x, error, markersize=4, label=name, **style)
            axis.loglog(x, bound, linestyle="--", linewidth=1, color=style["color"])
        axis.set_xlabel(label)
    axes[0].set_ylabel("error in the Frobenius norm (dashed: bound)")
    _legend(figure, axes[0])
    return _written(figure, path, title)


def plot_work_precision(curves: Mapping[str, Sequence[Measurement]], path: str | Path, *, title: str = "") -> Path:
    """Draw error against seconds, and against evaluations of the field.

    Parameters
    ----------
    curves : mapping
        From the name of a method to its measurements (see :func:`matode.comparison.work_precision`).
    path, title
        As for :func:`plot_bounds`.
    """
    figure, axes = _panels(1, 2, sharey=True)
    for axis, cost in zip(axes, ("seconds", "nfev"), strict=True):
        for k, (name, curve) in enumerate(curves.items()):
            reached = [m for m in curve if m.error]
            x, y = [getattr(m, cost) for m in reached], [m.error for m in reached]
            axis.loglog(x, y, label=name, markersize=5, **_style(k))
    axes[0].set_xlabel("seconds")
    axes[1].set_xlabel("evaluations of the field")
    axes[0].set_ylabel("largest relative error on the way")
    _legend(figure, axes[0])
    return _written(figure, path, title)


def plot_solution(sol: Solution, problem: Problem, path: str | Path, *, points: int = 40) -> Path:
    """Draw the ranks, the singular values, the steps, and error and certified bound of a solution over time.

    Parameters
    ----------
    sol : Solution
        Of a single matrix, with its steps kept. Where it knows a Lipschitz constant, the bound is drawn.
    problem : Problem
        Its reference, where there is one, gives the error.
    path : str or Path
        File to write.
    points : int
        At how many steps, at most, singular values, errors and bounds are drawn.
    """
    figure, (ranks, spectrum, steps, errors) = _panels(2, 2, sharex=True)
    every = max(1, -(-len(sol.t) // points))
    chosen = sorted({*range(0, len(sol.t), every), len(sol.t) - 1})
    t = [sol.t[k] for k in chosen]
    ranks.step(sol.t, sol.ranks, where="post", color=_COLOURS[0])
    ranks.set_ylabel("rank")
    ranks.set_ylim(0, 1.08 * max(sol.ranks))
    ranks.yaxis.get_major_locator().set_params(integer=True)
    values = [sol.Y[k].singular_values() for k in chosen]
    for j in range(max(map(len, values))):
        there = [k for k, s in enumerate(values) if j < len(s)]
        track = [max(float(values[k][j]), 1e-300) for k in there]
        spectrum.semilogy([t[k] for k in there], track, color=_COLOURS[j % 2], linewidth=0.8, marker=".", markersize=3)
    spectrum.set_ylabel("singular values")
    h = [abs(h) for h in sol.statistics.h]
    steps.step(sol.t, h[:1] + h, where="pre", color=_COLOURS[0])
    steps.set_yscale("log")
    _plain_ticks(steps.yaxis)
    steps.set_ylabel("step size")
    size = _ROUNDING * max(sol.Y[k].norm() for k in chosen)
    if problem.reference is not None:
        seen = [_distance(sol.Y[k], problem.reference(sol.t[k])) for k in chosen]
        _above(errors, t, seen, size, "o-", markersize=3, color=_COLOURS[0], label="error")
    if sol.lipschitz is not None:
        bounds = [sol.error_bound(s) for s in t]
        _above(errors, t, bounds, size, "--", color=_COLOURS[1], label="certified bound")
    errors.set_ylabel("error in the Frobenius norm")
    if errors.lines:
        errors.set_yscale("log")
        errors.legend(frameon=False, fontsize="small")
    else:
        errors.text(0.5, 0.5, "no reference and no\nLipschitz constant", ha="center", transform=errors.transAxes)
    for axis in (steps, errors):
        axis.set_xlabel("t")
    return _written(figure, path, problem.name)


def _panels(rows: int, columns: int, **shared: Any) -> tuple[Any, Any]:
    """Return a figure without a window behind it, and its panels in reading order."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("drawing needs matplotlib: pip install 'matode[plots]'") from None
    figure = Figure(figsize=(4.2 * columns, 3.0 * rows + 0.6), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **shared).ravel()
    for axis in axes:
        axis.grid(visible=True, which="major", linewidth=0.4, alpha=0.5)
    return figure, axes


def _style(k: int) -> dict[str, Any]:
    return {"color": _COLOURS[k % len(_COLOURS)], "marker": _MARKERS[k % len(_MARKERS)]}


def _legend(figure: Any, axis: Any) -> None:
    """Put the names of the curves of a panel beside all panels, where they hide nothing."""
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right center", frameon=False, fontsize="small")


def _above(axis: Any, x: Sequence[float], y: Sequence[float], least: float, *look: str, **options: Any) -> None:
    """Plot the points that are not rounding."""
    kept = [(a, b) for a, b in zip(x, y, strict=True) if b > least]
    axis.plot([a for a, _ in kept], [b for _, b in kept], *look, **options)


def _plain_ticks(axis: Any) -> None:
    """Label a logarithmic axis at 1, 2 and 5 times the powers of ten, with plain numbers."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:.2g}"))
    axis.set_minor_formatter(NullFormatter())


def _written(figure: Any, path: str | Path, title: str) -> Path:
    figure.suptitle(title, fontsize="medium")
    path = Path(path)
    figure.savefig(path, dpi=150)
    return path


def _distance(Y: LowRank, exact: host.ndarray) -> float:
    return float(host.linalg.norm(to_host(Y.to_dense()) - exact))
