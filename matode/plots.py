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
    figure, axes = _panels(len(panels))
    for axis, (label, series) in zip(axes, panels.items(), strict=True):
        for k, (name, (x, error, bound)) in enumerate(series.items()):
            style = _style(k)
            axis.loglog(x, error, markersize=4, label=name, **style)
            axis.loglog(x, bound, linestyle="--", linewidth=1, color=style["color"])
        axis.set_xlabel(label)
        axis.grid(visible=True, which="major", linewidth=0.4, alpha=0.5)
    axes[0].set_ylabel("error in the Frobenius norm (dashed: bound)")
    axes[-1].legend(frameon=False, fontsize="small")
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
    figure, axes = _panels(2)
    for axis, cost in zip(axes, ("seconds", "nfev"), strict=True):
        for k, (name, curve) in enumerate(curves.items()):
            reached = [m for m in curve if m.error]
            axis.loglog([getattr(m, cost) for m in reached], [m.error for m in reached], label=name, **_style(k))
        axis.grid(visible=True, which="major", linewidth=0.4, alpha=0.5)
    axes[0].set_xlabel("seconds")
    axes[1].set_xlabel("evaluations of the field")
    axes[0].set_ylabel("largest relative error on the way")
    axes[-1].legend(frameon=False, fontsize="small")
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
    figure, axes = _panels(4)
    every = max(1, -(-len(sol.t) // points))
    chosen = sorted({*range(0, len(sol.t), every), len(sol.t) - 1})
    t = [sol.t[k] for k in chosen]
    axes[0].step(sol.t, sol.ranks, where="post", color=_COLOURS[0])
    axes[0].set_ylabel("rank")
    axes[0].set_ylim(bottom=0)
    spectra = [sol.Y[k].singular_values() for k in chosen]
    for j in range(max(map(len, spectra))):
        there = [k for k, spectrum in enumerate(spectra) if j < len(spectrum)]
        times, track = [t[k] for k in there], [max(float(spectra[k][j]), 1e-300) for k in there]
        axes[1].semilogy(times, track, color=_COLOURS[0], linewidth=0.8, marker=".", markersize=2)
    axes[1].set_ylabel("singular values")
    axes[2].semilogy(sol.t[1:], [abs(h) for h in sol.statistics.h], ".-", color=_COLOURS[0], linewidth=0.8)
    axes[2].set_ylabel("step size")
    if problem.reference is not None:
        errors = [_distance(sol.Y[k], problem.reference(sol.t[k])) for k in chosen]
        axes[3].semilogy(t, errors, "o-", markersize=3, color=_COLOURS[0], label="error")
    if sol.lipschitz is not None:
        axes[3].semilogy(t, [sol.error_bound(s) for s in t], "--", color=_COLOURS[1], label="certified bound")
    axes[3].set_ylabel("Frobenius norm")
    if axes[3].lines:
        axes[3].legend(frameon=False, fontsize="small")
    for axis in axes:
        axis.set_xlabel("t")
        axis.grid(visible=True, which="major", linewidth=0.4, alpha=0.5)
    return _written(figure, path, problem.name)


def _panels(count: int) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("drawing needs matplotlib: pip install 'matode[plots]'") from None
    figure = Figure(figsize=(4.2 * count, 3.8), layout="constrained")
    return figure, figure.subplots(1, count, squeeze=False)[0]


def _style(k: int) -> dict[str, Any]:
    return {"color": _COLOURS[k % len(_COLOURS)], "marker": _MARKERS[k % len(_MARKERS)]}


def _written(figure: Any, path: str | Path, title: str) -> Path:
    figure.suptitle(title, fontsize="medium")
    path = Path(path)
    figure.savefig(path, dpi=150)
    return path


def _distance(Y: LowRank, exact: host.ndarray) -> float:
    return float(host.linalg.norm(to_host(Y.to_dense()) - exact))
