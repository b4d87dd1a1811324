"""Discrete Schroedinger equation: error against step size, with explicit bounds."""

from __future__ import annotations

from typing import Any

from paper_figures import convergence_plot
from paper_figures.figure import Description, Figure, Runs
from paper_figures.words import paragraph

__all__ = ["FIGURE"]

_CAPTION = paragraph(
    """
    Error of three integrators against the step size on the discrete Schroedinger equation of Ceruti, Kusch and Lubich
    (BIT 62, 2022, section 5). Fixed-rank methods stop at the error of their rank; augmented BUG raises the rank. F is
    linear and skew-adjoint (checked on random pairs of matrices), so the exact flow is an isometry: the dotted bounds
    leave the errors of earlier steps as they are, the dashed ones let them grow by e^(LT), about 3000, as the
    theorem has it for any F.
    """
)


def draw(runs: Runs) -> Any:
    """Draw the picture."""
    return convergence_plot.draw(runs["convergence"], "schroedinger")


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    equation = "Y' = -i (D Y + Y D + V Y V), D = tridiag(-1, 2, -1) / 2, V = diag(1 - cos x), singular values 10^-j"
    return convergence_plot.describe(runs["convergence"], "schroedinger", _CAPTION, equation)


FIGURE = Figure(
    name="fig_schroedinger",
    title="Schroedinger equation: error and bound against step size",
    experiments=("convergence",),
    draw=draw,
    describe=describe,
)
