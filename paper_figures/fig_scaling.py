"""Time per step and peak memory of augmented BUG against n, where both are linear, and against r."""

from __future__ import annotations

from typing import Any

from paper_figures import style
from paper_figures.figure import Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

EXPERIMENT = "scaling"
_LOOKS = {"Euler": style.LAYERS[0], "RK4": style.LAYERS[1]}


def draw(runs: Runs) -> Any:
    """Draw seconds above, and numbers per entry of the factors below; against n on the left, against r on the right."""
    run = runs[EXPERIMENT]
    exponents = {row["substep"]: row["exponent"] for row in run.table("exponents")}
    figure, axes = style.new_figure(2, 4.0, width=style.TEXT, columns=2, sharex="col")
    for column, (table, over) in enumerate((("steps", "n"), ("ranks", "r"))):
        rows = run.table(table)
        time, memory = axes[:, column]
        for substep, look in _LOOKS.items():
            own = [row for row in rows if row["substep"] == substep]
            x = [row[over] for row in own]
            label = rf"{substep} substeps" + (rf": $n^{{{exponents[substep]:.2f}}}$" if over == "n" else "")
            style.curve(time, x, [row["seconds"] for row in own], look, label=label)
            style.curve(memory, x, [row["numbers_per_factor_entry"] for row in own], look)
        time.set_xscale("log")
        time.set_yscale("log")
        memory.set_ylim(bottom=0)
        memory.set_xlabel(f"${over}$" if over == "n" else f"$r$, $n$ = {rows[0]['n']:,}")
        time.legend()
    sizes = sorted({row["n"] for row in run.table("steps")}, reverse=True)
    style.guide(axes[0, 0], sizes, 0.12 * run.table("steps")[-1]["seconds"], 1, "$n$")
    style.logarithmic(axes[0, 0].yaxis)
    times = [row["seconds"] for row in run.table("ranks")]
    style.readable(axes[0, 1].yaxis, times)
    style.marked(axes[0, 1].xaxis, sorted({row["r"] for row in run.table("ranks")}))
    axes[0, 0].set_ylabel("seconds per step")
    axes[1, 0].set_ylabel("peak numbers / $((m+n)\\,r)$")
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs[EXPERIMENT]
    rows = [*run.table("steps"), *run.table("ranks")]
    fitted = ", ".join(f"{row['exponent']:.2f} with {row['substep']} substeps" for row in run.table("exponents"))
    most = max(row["numbers_per_factor_entry"] for row in rows)
    caption = paragraph(
        f"""
        One step of augmented BUG on a Lyapunov equation with a tridiagonal A; on the left rank 10, on the right one
        size. Above: median time; fitted exponents of n are {fitted}. Below: the numbers that are held at the peak of
        a step, the start included, per entry of the start's factors: at most {most:.1f}.
        """
    )
    settings = {"equation": "Y' = A Y + Y A + C, A tridiagonal, C of rank 10", **run_settings(run)}
    columns = {
        "n": ("n", ",d"),
        "r": ("r", "d"),
        "substep": ("substep", ""),
        "seconds": ("seconds per step", ".2e"),
        "numbers_per_factor_entry": ("numbers / ((m + n) r)", ".1f"),
    }
    return Description(caption, settings, rows, columns)


FIGURE = Figure(
    name="fig_scaling",
    title="Cost of a step against n and r",
    experiments=(EXPERIMENT,),
    draw=draw,
    describe=describe,
    default=False,
)
