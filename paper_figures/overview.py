"""The picture of the README: a bound that holds, and a net that is trained by the same method."""

from __future__ import annotations

from typing import Any

from paper_figures import convergence_plot, style
from paper_figures.fig_ranks import ranks_panel
from paper_figures.fig_training import accuracy_panel
from paper_figures.figure import Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

_RANK = 8


def draw(runs: Runs) -> Any:
    """Draw three panels side by side: error and bounds, test accuracy, ranks."""
    equation, net = runs["convergence"], runs["mnist-mlp"]
    figure, axes = style.new_figure(1, 2.7, width=9.0, columns=3)
    left, middle, right = axes[0]
    rows = [row for row in equation.table("schroedinger") if row["rank"] == _RANK]
    convergence_plot.panel(left, rows)
    left.set_title(f"Schroedinger equation, rank {_RANK}: error and its bound", loc="left")
    left.set_xlabel("step size $h$")
    left.set_ylabel(rf"error at $T={equation.settings['T']:g}$")
    methods = list(dict.fromkeys(row["method"] for row in rows))
    known = convergence_plot.constants(equation, "schroedinger")
    left.legend(
        handles=convergence_plot.legend(methods, known), ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.22)
    )
    accuracy_panel(middle, net)
    middle.set_title("The same integrator trains a net: accuracy", loc="left")
    middle.set_xlabel("epoch")
    middle.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.22))
    ranks_panel(right, net)
    right.set_title("and the rank of each of its weights", loc="left")
    right.legend(ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.22))
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    rows = [row for row in runs["convergence"].table("schroedinger") if row["rank"] == _RANK]
    columns = {"method": ("method", ""), "h": ("h", "g"), "error": ("error", ".2e"), "bound": ("bound", ".2e")}
    return Description(
        paragraph(
            """
            Left: error of three integrators on a Schroedinger equation, below its explicit bounds. Middle and right: a
            fully connected net trained by augmented BUG with Euler substeps; test accuracy, and the rank of its
            weights.
            """
        ),
        {f"{key} ({name})": value for name, run in runs.items() for key, value in run_settings(run).items()},
        rows,
        columns,
    )


FIGURE = Figure(
    name="overview",
    title="Overview",
    experiments=("convergence", "mnist-mlp"),
    draw=draw,
    describe=describe,
    default=False,
)
