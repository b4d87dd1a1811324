"""Measured errors against the explicit bounds, over each variable of the bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paper_figures import style, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

EXPERIMENT = "bounds"
Row = Mapping[str, Any]

_SWEEPS = {
    "eps": ("normal component $\\varepsilon$", "normal component"),
    "h": ("step size $h$", "step size"),
    "theta": ("truncation tolerance $\\vartheta$", "tolerance"),
    "sigma": ("smallest singular value of the start", "singular values"),
}
_METHODS = ("ksl", "bug", "augmented-bug", "parallel-bug")
_MARKS: Mapping[str, Mapping[str, Any]] = {  # the errors nearly coincide
    "ksl": {"markersize": 8, "markerfacecolor": "none"},
    "bug": {"markersize": 5.5, "markerfacecolor": "none"},
    "augmented-bug": {"markersize": 3},
    "parallel-bug": {"markersize": 1.5},
}
_BOUND, _MEASURED = (0, (4, 2)), (0, (1, 1.2))
_FACTORS = style.Look("factor equations, RK4", style.METHODS["full-rank"].color, "x", (0, (3, 1, 1, 1)))


def draw(runs: Runs) -> Any:
    """Draw one panel per sweep: errors with markers, bounds without."""
    from matplotlib.lines import Line2D

    rows = runs[EXPERIMENT].table("sweeps")
    figure, axes = style.new_figure(2, 4.6, columns=2, width=style.TEXT, sharey=True)
    for ax, (sweep, (label, title)) in zip(axes.ravel(), _SWEEPS.items(), strict=True):
        for method in _METHODS:
            own, look = _rows(rows, sweep, method), style.METHODS[method]
            x = [row["x"] for row in own]
            style.curve(ax, x, [row["error"] for row in own], look, **_MARKS[method])
            for key, line in (("bound", _BOUND), ("measured_bound", _MEASURED)):
                if own and own[0][key] is not None:
                    ax.plot(x, [row[key] for row in own], color=look.color, linestyle=line, linewidth=0.9)
        _factor_equations(ax, _rows(rows, sweep, "factors"))
        ax.set_title(title, loc="left")
        ax.set_xlabel(label)
        ax.set_xscale("log")
        ax.set_yscale("log")
        style.logarithmic(ax.xaxis)
        style.logarithmic(ax.yaxis)
    for ax in axes[:, 0]:
        ax.set_ylabel(r"error at $T=1$, $\|Y-A\|_\mathrm{F}$")
    looks = [*(style.METHODS[method] for method in _METHODS), _FACTORS]
    marks = [*(_MARKS[method] for method in _METHODS), {}]
    names = [
        Line2D([], [], color=look.color, marker=look.marker, linestyle=look.line, label=look.label, **mark)
        for look, mark in zip(looks, marks, strict=True)
    ]
    lines = [
        Line2D([], [], color=style.GREY, linestyle=_BOUND, label="bound"),
        Line2D([], [], color=style.GREY, linestyle=_MEASURED, label="bound, measured $\\vartheta$"),
    ]
    figure.legend(handles=[*names, *lines], loc="outside upper center", ncols=4)
    return figure


def _factor_equations(ax: Any, own: Sequence[Row]) -> None:
    """Draw what does not have a bound, with a mark at the upper edge where it grew beyond all bounds."""
    if own:
        there = [row for row in own if row["error"] is not None]
        style.curve(ax, [row["x"] for row in there], [row["error"] for row in there], _FACTORS)
        gone = [row["x"] for row in own if row["error"] is None]
        if gone:
            edge = ax.get_xaxis_transform()
            ax.plot(gone, [0.98] * len(gone), _FACTORS.marker, color=_FACTORS.color, transform=edge, clip_on=False)
            ax.annotate("no solution", (max(gone), 0.98), xycoords=edge, xytext=(6, -3), textcoords="offset points")


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs[EXPERIMENT]
    rows, known, s = run.table("sweeps"), run.table("constants")[0], run.settings
    bounded = [row for row in rows if row["bound"] is not None]
    closest = max(bounded, key=lambda row: row["error"] / row["bound"])
    caption = paragraph(
        f"""
        Errors of {len(bounded)} solves with Euler substeps, marked, below their explicit bounds, dashed, over each
        variable of the bounds. The closest one comes to {closest["error"] / closest["bound"]:.1%} of its bound
        ({style.METHODS[closest["method"]].label}, {closest["sweep"]} = {closest["x"]:g}): the field is not the
        worst one that the constants allow. The errors of the methods nearly coincide. In the third panel, the dotted
        bound has what was really discarded. In the last one, the smallest singular value of the start falls to
        {min(s["sigma"]):g}: errors and bounds stay, while the equations of the factors, which hold its inverse, are
        soon beyond classical Runge-Kutta.
        """
    )
    settings = {
        "field": f"random, nonlinear, {s['shape'][0]} x {s['shape'][1]}; L = {known['L']:.3g}, B = {known['B']:.3g}",
        "rank": f"held at {s['rank']}, except over the tolerance",
        "other variables": f"h = {s['at_h']:g} ({s['fine_h']:g} over eps), eps = {s['at_eps']:g} "
        f"({s['tiny_eps']:g} over h), start from singular values 1 to 1e-3, t from 0 to {s['T']:g}",
        **run_settings(run),
    }
    columns = {
        "sweep": ("over", ""),
        "x": ("value", "g"),
        "method": ("method", ""),
        "error": ("error", ".2e"),
        "bound": ("bound", ".2e"),
        "measured_bound": ("bound, measured", ".2e"),
        "final_rank": ("rank at the end", "d"),
    }
    return Description(caption, settings, rows, columns, _claims(rows, bounded))


def _claims(rows: Sequence[Row], bounded: Sequence[Row]) -> list[Comparison]:
    above = sum(
        row["error"] > min(b for b in (row["bound"], row["measured_bound"]) if b is not None) for row in bounded
    )
    spread = max(_ratio([row["error"] for row in _rows(rows, "sigma", method)]) for method in _METHODS)
    lost = _rows(rows, "sigma", "factors")
    failed = sum(row["error"] is None for row in lost)
    theory = "the bounds are proved in matode.bounds, with these constants"
    return [
        Comparison(
            "errors above their bound",
            "none",
            f"{above} of {len(bounded)}",
            theory,
            verdicts.at_most(above, 0, form="d"),
        ),
        Comparison(
            "largest over smallest error while the smallest singular value falls",
            "constants that no singular value enters",
            f"{spread:.2f}",
            "",
            verdicts.at_most(spread, 1.5),
        ),
        Comparison(
            "the equations of the factors (Koch and Lubich 2007), classical Runge-Kutta, have no solution any more",
            "constants with the inverse of the smallest singular value",
            f"at {failed} of {len(lost)} smallest singular values",
            "",
            verdicts.at_least(failed, 1, form="d"),
        ),
    ]


def _rows(rows: Sequence[Row], sweep: str, method: str) -> list[Row]:
    return sorted((r for r in rows if (r["sweep"], r["method"]) == (sweep, method)), key=lambda row: row["x"])


def _ratio(values: Sequence[float]) -> float:
    return max(values) / min(values)


FIGURE = Figure(
    name="fig_bounds",
    title="Error and bound over normal component, step size, tolerance and smallest singular value",
    experiments=(EXPERIMENT,),
    draw=draw,
    describe=describe,
)
