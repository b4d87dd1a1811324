"""The figures by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from paper_figures import (
    fig_exactness,
    fig_lubich_oseledets,
    fig_lyapunov,
    fig_published_defect,
    fig_ranks,
    fig_rotation,
    fig_scaling,
    fig_schroedinger,
    fig_schroedinger_ranks,
    fig_second_order,
    fig_tolerance,
    fig_training,
    fig_work_precision,
    overview,
)
from paper_figures.figure import Figure

__all__ = ["FIGURES", "get"]

FIGURES: Mapping[str, Figure] = MappingProxyType(
    {
        module.FIGURE.name: module.FIGURE
        for module in (
            fig_lyapunov,
            fig_schroedinger,
            fig_rotation,
            fig_lubich_oseledets,
            fig_schroedinger_ranks,
            fig_second_order,
            fig_exactness,
            fig_scaling,
            fig_tolerance,
            fig_work_precision,
            fig_training,
            fig_ranks,
            fig_published_defect,
            overview,
        )
    }
)
"""All figures, in the order of the page."""


def get(name: str) -> Figure:
    """Return the figure called ``name``; the prefix ``fig_`` may be left out.

    Raises
    ------
    ValueError
        If there is none; the message names the nearest one.
    """
    for known in (name, f"fig_{name}"):
        if known in FIGURES:
            return FIGURES[known]
    short = {known.removeprefix("fig_"): known for known in FIGURES}
    near = difflib.get_close_matches(name.removeprefix("fig_"), short, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(short)}"
    raise ValueError(f"unknown figure {name!r}: {hint}")
