"""The rotated block of Lubich and Oseledets: error against step size for two ranks."""

from __future__ import annotations

from typing import Any

from paper_figures import given_data
from paper_figures.figure import Description, Figure, Runs
from paper_figures.given_data import Cell
from paper_figures.words import paragraph

__all__ = ["FIGURE"]

_CAPTION = paragraph(
    """
    Given matrices A(t) = Q1(t) (A1 + e^t A2) Q2(t)* of Lubich and Oseledets (2014): a block of rank 10 and a small
    perturbation, in rotating frames. Rank 10 holds the block, rank 20 needs singular values of the perturbation's size,
    which ruins integrators that invert them. Dashed: the best approximation of the same rank.
    """
)


_METHODS = (("ksl", "ksl-strang"), ("bug", "augmented-bug"), ("parallel-bug", "drsvd"), ("prk1", "prk2"))


def draw(runs: Runs) -> Any:
    """Draw the picture."""
    cells = [[Cell("lubich_oseledets", method) for method in line] for line in _METHODS]
    return given_data.draw(runs["standard"], cells, 1.25)


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    data = "A(t) = Q1(t) (A1 + e^t A2) Q2(t)*, 100 x 100, block 10 x 10, t from 0 to 1, derivative given"
    run, methods = runs["standard"], [method for line in _METHODS for method in line]
    claims = given_data.closeness(run, "lubich_oseledets")
    return given_data.describe(run, {"lubich_oseledets": "A' given"}, _CAPTION, data, methods, claims)


FIGURE = Figure(
    name="fig_lubich_oseledets",
    title="A rotated block with a small perturbation: error against step size",
    experiments=("standard",),
    draw=draw,
    describe=describe,
)
