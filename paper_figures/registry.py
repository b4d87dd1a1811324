"""The figures by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from paper_figures import (
    fig_benchmarks,
    fig_bounds,
    fig_cifar,
    fig_decay,
    fig_defect_seeds,
    fig_defects,
    fig_exactness,
    fig_lenet5,
    fig_lubich_oseledets,
    fig_lyapunov,
    fig_net_scaling,
    fig_projected_rk,
    fig_pruning,
    fig_published_defect,
    fig_rank_evolution,
    fig_ranks,
    fig_rotation,
    fig_scaling,
    fig_schroedinger,
    fig_schroedinger_ranks,
    fig_second_order,
    fig_tau,
    fig_theorem1,
    fig_theorem2,
    fig_timing,
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
            fig_timing,
            fig_rank_evolution,
            fig_tau,
            fig_decay,
            fig_lenet5,
            fig_cifar,
            fig_pruning,
            fig_theorem1,
            fig_theorem2,
            fig_bounds,
            fig_lyapunov,
            fig_schroedinger,
            fig_rotation,
            fig_lubich_oseledets,
            fig_projected_rk,
            fig_schroedinger_ranks,
            fig_second_order,
            fig_exactness,
            fig_scaling,
            fig_net_scaling,
            fig_benchmarks,
            fig_tolerance,
            fig_work_precision,
            fig_training,
            fig_ranks,
            fig_published_defect,
            fig_defects,
            fig_defect_seeds,
            overview,
        )
    }
)
"""All figures, in the order of the page."""


def get(name: str) -> Figure:
    """Return the figure called ``name``: its name, the same without ``fig_``, or the paper's label, such as ``fig3``.

    Raises
    ------
    ValueError
        If there is none; the message names the nearest one.
    """
    known = {figure.name.removeprefix("fig_"): figure for figure in FIGURES.values()}
    labels = {_plain(figure.label): figure for figure in FIGURES.values() if figure.label}
    for names, wanted in ((FIGURES, name), (known, name), (labels, _plain(name))):
        if wanted in names:
            return names[wanted]
    near = difflib.get_close_matches(name.removeprefix("fig_"), [*known, *labels], n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
    raise ValueError(f"unknown figure {name!r}: {hint}")


def _plain(label: str) -> str:
    """Return a label as it is typed: "Fig. 3" is fig3."""
    return "".join(character for character in label.lower() if character.isalnum())
