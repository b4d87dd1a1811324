"""Errors of given matrices A(t) at a fixed rank: what the figures of the two constructions share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments.runs import Run
from paper_figures import style, verdicts
from paper_figures.figure import Comparison, Description
from paper_figures.words import paragraph, run_settings

__all__ = ["Cell", "closeness", "describe", "draw"]

_BEST = (0, (4, 2))
_EXACT = ("ksl", "ksl-strang", "lsk", "bug", "augmented-bug")


class Cell(NamedTuple):
    """What one panel shows: a method, out of a table, with what the title says of it."""

    table: str
    method: str
    remark: str = ""


def draw(run: Run, cells: Sequence[Sequence[Cell]], height: float) -> Any:
    """Draw one panel per cell with a curve per rank, and the error of the best approximation of that rank."""
    from matplotlib.lines import Line2D

    shape = {"columns": len(cells[0]), "width": 5.2}
    figure, axes = style.new_figure(len(cells), 0.6 + height * len(cells), sharex=True, sharey=True, **shape)
    tables = {cell.table: run.table(cell.table) for line in cells for cell in line}
    everything = [row for rows in tables.values() for row in rows]
    looks = dict(zip(dict.fromkeys(row["rank"] for row in everything), style.LAYERS, strict=False))
    for ax, cell in zip(axes.ravel(), (cell for line in cells for cell in line), strict=True):
        for rank, look in looks.items():
            own = [row for row in tables[cell.table] if (row["method"], row["rank"]) == (cell.method, rank)]
            own.sort(key=lambda row: row["h"])
            for row in own[:1]:
                ax.axhline(row["best"], color=look.color, linewidth=0.8, linestyle=_BEST)
            ax.plot([row["h"] for row in own], [row["error"] for row in own], color=look.color, marker=look.marker)
        ax.set_title(style.METHODS[cell.method].label + cell.remark, loc="left")
        ax.set_xscale("log")
        ax.set_yscale("log")
    style.marked(axes[0, 0].xaxis, sorted({row["h"] for row in everything}))
    style.readable(axes[0, 0].yaxis, [row["error"] for row in everything])
    for ax in axes[:, 0]:
        ax.set_ylabel(r"error at $T=1$")
    for ax in axes[-1]:
        ax.set_xlabel("step size $h$")
    names = [Line2D([], [], color=k.color, marker=k.marker, label=f"rank {r}") for r, k in looks.items()]
    best = Line2D([], [], color=style.GREY, linewidth=0.8, linestyle=_BEST, label="best approximation")
    figure.legend(handles=[*names, best], loc="outside upper center", ncols=len(names) + 1)
    return figure


def describe(
    run: Run,
    tables: Mapping[str, str],
    caption: str,
    data: str,
    methods: Sequence[str],
    claims: Sequence[Comparison] = (),
) -> Description:
    """Return the page's text: the caption ends with how close the errors come to the best approximation's.

    ``tables`` has what the column "form" of the numbers says for each table; ``methods`` are those of the figure.
    """
    rows = [{"form": form, **row} for table, form in tables.items() for row in run.table(table)]
    rows = [row for row in rows if row["method"] in methods]
    finest = min(row["h"] for row in rows)
    last = [row for row in rows if row["h"] == finest]
    kept = sum(row["error"] <= 1.3 * row["best"] for row in last)
    text = paragraph(
        f"""
        {caption} At h = {finest:g}, {kept} of {len(last)} errors are within 1.3 times that of the best approximation.
        """
    )
    settings = {"data": data, "rank": "held fixed, also for the rank-adaptive methods", **run_settings(run)}
    columns = {
        "form": ("right-hand side", ""),
        "method": ("method", ""),
        "rank": ("rank", "d"),
        "h": ("h", "g"),
        "error": ("error", ".2e"),
        "best": ("best approximation", ".2e"),
        "nfev": ("evaluations of F", "d"),
    }
    return Description(text, settings, rows, columns, claims)


def closeness(run: Run, table: str) -> list[Comparison]:
    """Return the claim that methods that are exact for matrices of the rank come close to the best approximation."""
    rows = [row for row in run.table(table) if row["method"] in _EXACT]
    if not rows:
        return []
    finest = min(row["h"] for row in rows)
    farthest = max(row["error"] / row["best"] for row in rows if row["h"] == finest)
    return [
        Comparison(
            f"A' given, methods exact at the rank: error over the best approximation's, h = {finest:g}, all ranks",
            "near 1, however small the singular values",
            f"at most {farthest:.2f}",
            "",
            verdicts.at_most(farthest, 1.3),
        )
    ]
