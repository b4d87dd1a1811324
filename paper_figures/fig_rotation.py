"""Rotating frames with singular values 2^-j: error against step size for several ranks."""

from __future__ import annotations

from typing import Any

from paper_figures import given_data
from paper_figures.figure import Description, Figure, Runs
from paper_figures.given_data import Cell
from paper_figures.words import paragraph

__all__ = ["FIGURE"]

_CAPTION = paragraph(
    """
    Matrices A(t) = exp(t W1) exp(t) D exp(t W2)* with skew-symmetric W1, W2 and singular values 2^-j, as Kieri, Lubich
    and Walach (2016) and Ceruti and Lubich (2022) have them; dashed is the best approximation of each rank. Left: the
    derivative of A is given. What the integrators that are exact for matrices of the rank still err by comes from their
    RK4 substeps. Right: A solves Y' = W1 Y + Y + Y W2*. The errors fall like h until they meet the best approximation;
    small singular values, 2^-32 at rank 32, do no harm. Projector splitting is exact for such an equation, up to its
    RK4 substeps.
    """
)
_METHODS = ("ksl", "bug", "augmented-bug", "parallel-bug")


def draw(runs: Runs) -> Any:
    """Draw the picture."""
    cells = [
        [Cell("rotation", method, ", A'(t) given"), Cell("rotation_field", method, ", equation")] for method in _METHODS
    ]
    return given_data.draw(runs["standard"], cells, 1.25)


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    data = "A(t) = exp(t W1) exp(t) D exp(t W2)*, 100 x 100, D = diag(2^-j), W1 and W2 of norm 1, t from 0 to 1"
    tables = {"rotation": "A' given", "rotation_field": "equation"}
    run = runs["standard"]
    return given_data.describe(run, tables, _CAPTION, data, _METHODS, given_data.closeness(run, "rotation"))


FIGURE = Figure(
    name="fig_rotation",
    title="Rotating frames: error against step size, and the best approximation",
    experiments=("standard",),
    draw=draw,
    describe=describe,
)
