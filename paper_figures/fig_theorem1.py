"""Theorem 1 of the DLRT paper with explicit constants: where it says something, and where it says nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paper_figures import style, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

EXPERIMENT = "dlrt-theorems"
Row = Mapping[str, Any]

_RULES = {"theta = h^2": r"$\vartheta=\eta^2$: the bound falls", "tau": r"$\vartheta=\tau\|\Sigma\|$: it grows"}
_ERROR = style.Look("measured error", style.METHODS["augmented-bug"].color, "o")
_BOUND = style.Look(r"bound $c_1\varepsilon+c_2\eta+c_3\vartheta/\eta$", style.METHODS["ksl-strang"].color, "", "-")
_MEASURED = style.Look(r"bound, measured", style.METHODS["ksl-strang"].color, "", (0, (1, 1.2)))
_TERMS = {
    "eps_term": style.Look(r"$c_1\varepsilon$", style.GREY, "^", (0, (4, 2))),
    "h_term": style.Look(r"$c_2\eta$", style.GREY, "s", (0, (4, 2))),
    "theta_term": style.Look(r"$c_3\vartheta/\eta$", style.GREY, "v", (0, (4, 2))),
}


def draw(runs: Runs) -> Any:
    """Draw one panel per rule of truncation."""
    rows = runs[EXPERIMENT].table("error")
    figure, axes = style.new_figure(1, 3.1, columns=2, width=style.TEXT, sharey=True)
    for ax, (rule, title) in zip(axes[0], _RULES.items(), strict=True):
        own = _rows(rows, rule)
        h = [row["h"] for row in own]
        for key, look in _TERMS.items():
            style.curve(ax, h, [row[key] for row in own], look, label=look.label, linewidth=0.8, markersize=3)
        for key, look in (("error", _ERROR), ("bound", _BOUND), ("measured_bound", _MEASURED)):
            style.curve(ax, h, [row[key] for row in own], look, label=look.label)
        ax.axhline(own[0]["size"], color=style.GREY, linewidth=0.7)
        style.note(ax, h[0], own[0]["size"], "norm of the solution", above=True)
        ax.set_title(title, loc="left")
        ax.set_xlabel(r"step size $\eta$ (learning rate)")
        ax.set_xscale("log")
        ax.set_yscale("log")
        style.logarithmic(ax.xaxis)
        style.logarithmic(ax.yaxis)
    axes[0, 0].set_ylabel(r"error at $T=1$, $\|Y-W\|_\mathrm{F}$")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs[EXPERIMENT]
    rows, s = run.table("error"), run.settings
    loose = [row["bound"] / row["error"] for row in _rows(rows, "theta = h^2")]
    paper = _papers(rows)
    caption = paragraph(
        f"""
        Error of DLRT steps on the gradient flow of a least-squares problem with known solution, and the bound of
        Theorem 1 with its terms. Left: with theta = eta^2 the bound falls with eta; it is {min(loose):.0f} to
        {max(loose):.0f} times the error. Right: with the relative tolerance {s["tau"]:g} that the paper trains with,
        theta/eta grows as eta falls. At its learning rate {paper["h"]:g} the bound is
        {paper["bound"] / paper["size"]:.1f} times the norm of the solution itself and says nothing, though the error
        is {paper["error"]:.2g}. Dotted: the bound with what was measured in every step, which stays meaningful.
        """
    )
    settings = {
        "problem": f"f(W) = |W X - T|^2 / 2, W {s['outputs']} x {s['inputs']}, L = 1, solution of rank {s['rank']} and "
        f"noise of norm {s['noise']:g}, t from 0 to {s['T']:g}",
        "method": "augmented BUG, Euler substeps: a DLRT step with learning rate eta",
        "constants": "c1 = c3 = (e^(LT) - 1) / L, c2 = B (e^(LT) - 1) / 2, with B and eps the largest seen",
        **run_settings(run),
    }
    columns = {
        "rule": ("truncation", ""),
        "h": ("eta", "g"),
        "error": ("error", ".2e"),
        "bound": ("bound", ".2e"),
        "measured_bound": ("bound, measured", ".2e"),
        "eps_term": ("c1 eps", ".1e"),
        "h_term": ("c2 eta", ".1e"),
        "theta_term": ("c3 theta/eta", ".1e"),
        "rank": ("rank", "d"),
    }
    return Description(caption, settings, rows, columns, _claims(rows, paper))


def _claims(rows: Sequence[Row], paper: Row) -> list[Comparison]:
    above = sum(row["error"] > min(row["bound"], row["measured_bound"]) for row in rows)
    falling = _rows(rows, "theta = h^2")
    gain, steps = falling[-1]["bound"] / falling[0]["bound"], falling[-1]["h"] / falling[0]["h"]
    meaning = paper["bound"] / paper["size"]
    return [
        Comparison(
            "errors above c1 eps + c2 eta + c3 theta/eta",
            "none, for some constants",
            f"{above} of {len(rows)}, with explicit ones",
            "a linear network, so that the exact flow is known",
            verdicts.at_most(above, 0, form="d"),
            ("theorem1",),
        ),
        Comparison(
            f"the bound over the norm of the solution, theta = eta^2, eta = {falling[0]['h']:g}",
            "",
            f"{falling[0]['bound'] / falling[0]['size']:.2g}, {gain:.0f} times less than at an eta {steps:.0f} times "
            "larger",
            "",
            verdicts.at_most(falling[0]["bound"] / falling[0]["size"], 0.1),
            ("theorem1",),
        ),
        Comparison(
            f"the bound says nothing at the paper's settings, tau and eta = {paper['h']:g}: over the solution's norm",
            "not mentioned",
            f"{meaning:.2g}",
            "",
            verdicts.at_least(meaning, 1),
            ("theorem1",),
        ),
    ]


def _papers(rows: Sequence[Row]) -> Row:
    """Return the row of the paper's learning rate, with its relative tolerance."""
    return min(_rows(rows, "tau"), key=lambda row: abs(row["h"] - 0.05))


def _rows(rows: Sequence[Row], rule: str) -> list[Row]:
    return sorted((row for row in rows if row["rule"] == rule), key=lambda row: row["h"])


FIGURE = Figure(
    name="fig_theorem1",
    label="Theorem 1",
    title="error of DLRT against its bound with explicit constants",
    experiments=(EXPERIMENT,),
    draw=draw,
    describe=describe,
)
