"""Projected Runge-Kutta of orders one to three (Kieri and Vandereycken 2019): error against step size."""

from __future__ import annotations

import itertools
import math
from typing import Any

from experiments.runs import Run
from paper_figures import given_data, style, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.given_data import Cell
from paper_figures.words import paragraph

__all__ = ["FIGURE"]

_CAPTION = paragraph(
    """
    Projected Runge-Kutta methods of Kieri and Vandereycken (2019) for rotating frames with singular values 2^-j, with
    the derivative of A given (left) and as an equation (right). The errors fall like h, h^2 and h^3 until they meet the
    best approximation of the rank (dashed), whatever the smallest singular value, 2^-32 at rank 32.
    """
)
_ORDERS = {"prk1": 1, "prk2": 2, "prk3": 3}
_TABLES = {"rotation": "A' given", "rotation_field": "equation"}


def draw(runs: Runs) -> Any:
    """Draw the picture."""
    cells = [
        [Cell("rotation", method, ", A'(t) given"), Cell("rotation_field", method, ", equation")] for method in _ORDERS
    ]
    return given_data.draw(runs["standard"], cells, 1.45)


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs["standard"]
    data = "A(t) = exp(t W1) exp(t) D exp(t W2)*, 100 x 100, D = diag(2^-j), W1 and W2 of norm 1, t from 0 to 1"
    return given_data.describe(run, _TABLES, _CAPTION, data, tuple(_ORDERS), _claims(run))


def _claims(run: Run) -> list[Comparison]:
    found = []
    for method, order in _ORDERS.items():
        seen = _observed(run, method)
        lowest = min(seen, default=None)
        found.append(
            Comparison(
                f"lowest order observed between steps, {style.METHODS[method].label}, errors above 10 times the best",
                f"{order}",
                "" if lowest is None else f"{lowest:.2f}",
                "",
                verdicts.at_least(lowest, order - 0.15, form=".2f"),
            )
        )
    return found


def _observed(run: Run, method: str) -> list[float]:
    """Return the orders between successive steps, over all ranks, where the rank is not what limits the error."""
    orders = []
    for table in _TABLES:
        own = [row for row in run.table(table) if row["method"] == method and row["error"] > 10 * row["best"]]
        for rank in dict.fromkeys(row["rank"] for row in own):
            curve = sorted((row for row in own if row["rank"] == rank), key=lambda row: -row["h"])
            orders += [math.log(a["error"] / b["error"], a["h"] / b["h"]) for a, b in itertools.pairwise(curve)]
    return orders


FIGURE = Figure(
    name="fig_projected_rk",
    title="Projected Runge-Kutta: orders one to three",
    experiments=("standard",),
    draw=draw,
    describe=describe,
)
