"""Lyapunov equation: error against step size, with explicit bounds."""

from __future__ import annotations

from typing import Any

from paper_figures import convergence_plot
from paper_figures.figure import Description, Figure, Runs
from paper_figures.words import paragraph

__all__ = ["FIGURE"]

_CAPTION = paragraph(
    """
    Error of three integrators against the step size on a Lyapunov equation, with the explicit bound of every run. The
    normal component in the bound is measured. Dashed: errors of earlier steps grow with the Lipschitz constant, as the
    theorem has it. Dotted: they grow as the exact flow lets them, which is not at all here, because A is negative
    definite. Projector splitting is exact for the linear part of this equation, so its error is the part of Q that no
    tangent space of the rank holds.
    """
)


def draw(runs: Runs) -> Any:
    """Draw the picture."""
    return convergence_plot.draw(runs["convergence"], "lyapunov")


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    equation = "Y' = A Y + Y A* + Q, A the one-dimensional Laplacian scaled to norm 1, Q of rank 2"
    return convergence_plot.describe(runs["convergence"], "lyapunov", _CAPTION, equation)


FIGURE = Figure(
    name="fig_lyapunov",
    title="Lyapunov equation: error and bound against step size",
    experiments=("convergence",),
    draw=draw,
    describe=describe,
)
