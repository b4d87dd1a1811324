"""Given matrices of the rank: which integrators reproduce them, and whether theory says so."""

from __future__ import annotations

from typing import Any

from paper_figures import style, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

_FLOOR = 1e-16
"""An error of exactly zero is drawn here."""


def draw(runs: Runs) -> Any:
    """Draw one line per integrator: filled where theory says exact, hollow where it does not."""
    from matplotlib.lines import Line2D

    rows = runs["standard"].table("exactness")
    figure, axes = style.new_figure(1, 0.9 + 0.165 * len(rows), width=4.2)
    ax = axes[0, 0]
    for k, row in enumerate(rows):
        exact = row["exact_in_theory"]
        x, color = max(row["relative_error"], _FLOOR), style.METHODS["augmented-bug" if exact else "ksl-strang"].color
        ax.plot([_FLOOR / 3, x], [k, k], color="0.85", linewidth=0.8, zorder=1)
        ax.plot(x, k, "o" if exact else "s", color=color, markerfacecolor=color if exact else "white")
    ax.set_xscale("log")
    ax.set_xlim(_FLOOR / 3, 0.1)
    style.logarithmic(ax.xaxis, decades=8)
    ax.set_yticks(range(len(rows)), [style.METHODS[row["method"]].label for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("relative error of one step")
    looks = (("augmented-bug", "o", "exact in theory"), ("ksl-strang", "s", "not exact in theory"))
    entries = [
        Line2D([], [], linestyle="none", marker=m, label=label, color=style.METHODS[name].color, markerfacecolor=face)
        for (name, m, label), face in zip(looks, (style.METHODS["augmented-bug"].color, "white"), strict=True)
    ]
    figure.legend(handles=entries, loc="outside upper center", ncols=2)
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs["standard"]
    rows = run.table("exactness")
    exact = [row["relative_error"] for row in rows if row["exact_in_theory"]]
    missed = [style.METHODS[row["method"]].label for row in rows if row["relative_error"] > 1e-12]
    caption = paragraph(
        f"""
        One step of length 0.3 with the derivative of a given matrix of rank 3 whose smallest singular value is 1e-8.
        The {len(exact)} integrators that are exact in theory err by at most {max(exact):.0e}. The field is linear in
        time here, so that second-order methods whose bases are wide enough make no error either, although theory does
        not promise it. Those that err are {", ".join(missed)}.
        """
    )
    settings = {"data": "40 x 30, rank 3, A(t) = (X0 + t X1) D (Z0 + t Z1)*, t from 0.7 to 1", **run_settings(run)}
    columns = {
        "method": ("method", ""),
        "relative_error": ("relative error", ".1e"),
        "exact_in_theory": ("exact in theory", ""),
    }
    parallel = max(row["relative_error"] for row in rows if row["method"] == "parallel-bug")
    claims = [
        Comparison(
            "relative error of the integrators that are exact in theory",
            "0",
            f"at most {max(exact):.0e}",
            "smallest singular value 1e-8",
            verdicts.at_most(max(exact), 1e-12, form=".0e"),
        ),
        Comparison(
            "relative error of parallel BUG, which is not exact",
            "not 0",
            f"{parallel:.0e}",
            "",
            verdicts.at_least(parallel, 1e-4, form=".0e"),
        ),
    ]
    return Description(caption, settings, rows, columns, claims)


FIGURE = Figure(
    name="fig_exactness",
    title="Given matrices of the rank: exact or not",
    experiments=("standard",),
    draw=draw,
    describe=describe,
)
