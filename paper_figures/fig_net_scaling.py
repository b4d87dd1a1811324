"""Time of a training step and peak memory of training against rank, width and batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paper_figures import style
from paper_figures.figure import Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

EXPERIMENT = "net-scaling"
_LOOKS = {
    "augmented BUG": style.LAYERS[0]._replace(label="augmented BUG"),
    "PyTorch, low-rank": style.LAYERS[1]._replace(label="PyTorch, low-rank"),
    "dense": style.LAYERS[2]._replace(label="dense"),
    "PyTorch, dense": style.LAYERS[3]._replace(label="PyTorch, dense"),
}
_AXES = ("rank", "width", "batch")


def draw(runs: Runs) -> Any:
    """Draw times above and, where they were measured, peaks below; a column for each of rank, width and batch."""
    rows = runs[EXPERIMENT].table("points")
    quantities = {"seconds": "seconds per step", "megabytes": "peak memory, MB"}
    shown = {key: label for key, label in quantities.items() if rows[0][key] is not None}
    size = {"width": 2 * style.COLUMN, "columns": len(_AXES), "sharey": "row"}
    figure, axes = style.new_figure(len(shown), 0.5 + 1.9 * len(shown), **size)
    for line, (key, label) in zip(axes, shown.items(), strict=True):
        for ax, varies in zip(line, _AXES, strict=True):
            for what, look in _LOOKS.items():
                own = [row for row in rows if row["varies"] == varies and row["what"] == what]
                if own:
                    style.curve(ax, [row["value"] for row in own], [row[key] for row in own], look, label=look.label)
            ax.set_xscale("log")
            ax.set_yscale("log")
            values = sorted({row["value"] for row in rows if row["varies"] == varies})
            style.marked(ax.xaxis, values[:: 2 if len(values) > 4 else 1])
        line[0].set_ylabel(label)
        style.readable(line[0].yaxis, [row[key] for row in rows])
    for ax, varies in zip(axes[-1], _AXES, strict=True):
        ax.set_xlabel(varies)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs[EXPERIMENT]
    s = run.settings
    rows = run.table("points")
    grown = "; ".join(_growth(varies, [row for row in rows if row["varies"] == varies]) for varies in _AXES)
    caption = paragraph(
        f"""
        A training step of five layers by rank-adaptive DLRT, by PyTorch's fixed-rank form of two passes, and densely,
        with batch {s["batch"]}, width {s["width"]} and rank {s["rank"]} where they do not vary: {grown}. Memory is the
        peak that training adds to imports and data, each in a process of its own. Dense nets are measured up to width
        {s["dense_width"]}.
        """
    )
    columns = {
        "varies": ("varies", ""),
        "value": ("value", "d"),
        "what": ("net", ""),
        "seconds": ("seconds per step", ".3g"),
        "megabytes": ("peak, MB", ".0f"),
    }
    return Description(caption, run_settings(run), rows, columns)


def _growth(varies: str, rows: Sequence[Mapping[str, Any]]) -> str:
    first, *_, last = (row for row in rows if row["what"] == "augmented BUG")
    times = last["seconds"] / first["seconds"]
    return f"from {varies} {first['value']} to {last['value']} a step of ours grows {times:.2g} times"


FIGURE = Figure(
    name="fig_net_scaling",
    title="Cost of training against rank, width and batch",
    experiments=(EXPERIMENT,),
    draw=draw,
    describe=describe,
    default=False,
)
