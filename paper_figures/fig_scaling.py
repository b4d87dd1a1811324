"""Time per step and peak memory of augmented BUG against n: both linear."""

from __future__ import annotations

from typing import Any

from paper_figures import style
from paper_figures.figure import Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

EXPERIMENT = "scaling"
_LOOKS = {"Euler": style.LAYERS[0], "RK4": style.LAYERS[1]}


def draw(runs: Runs) -> Any:
    """Draw seconds above, and numbers per entry of the factors below."""
    run = runs[EXPERIMENT]
    rows, exponents = run.table("steps"), {row["substep"]: row["exponent"] for row in run.table("exponents")}
    figure, axes = style.new_figure(2, 4.2, sharex=True)
    time, memory = axes[:, 0]
    for substep, look in _LOOKS.items():
        own = [row for row in rows if row["substep"] == substep]
        n = [row["n"] for row in own]
        label = rf"{substep} substeps: $n^{{{exponents[substep]:.2f}}}$"
        style.curve(time, n, [row["seconds"] for row in own], look, label=label)
        style.curve(memory, n, [row["numbers_per_factor_entry"] for row in own], look)
    time.set_xscale("log")
    time.set_yscale("log")
    style.logarithmic(time.yaxis)
    style.guide(time, sorted({row["n"] for row in rows}, reverse=True), 0.12 * rows[-1]["seconds"], 1, "$n$")
    memory.set_ylim(bottom=0)
    time.set_ylabel("seconds per step")
    memory.set_ylabel("peak numbers / $((m+n)\\,r)$")
    memory.set_xlabel("$n$")
    time.legend()
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs[EXPERIMENT]
    rows = run.table("steps")
    fitted = ", ".join(f"{row['exponent']:.2f} with {row['substep']} substeps" for row in run.table("exponents"))
    most = max(row["numbers_per_factor_entry"] for row in rows)
    caption = paragraph(
        f"""
        One step of augmented BUG on a Lyapunov equation with a tridiagonal A, rank 10. Above: median time against n;
        fitted exponents are {fitted}. Below: the numbers that are held at the peak of a step, the start included, per
        entry of the start's factors: at most {most:.1f}, whatever n is.
        """
    )
    settings = {"equation": "Y' = A Y + Y A + C, A tridiagonal, C of rank 10, r = 10", **run_settings(run)}
    columns = {
        "n": ("n", ",d"),
        "substep": ("substep", ""),
        "seconds": ("seconds per step", ".2e"),
        "numbers_per_factor_entry": ("numbers / ((m + n) r)", ".1f"),
    }
    return Description(caption, settings, rows, columns)


FIGURE = Figure(
    name="fig_scaling",
    title="Cost of a step against n",
    experiments=(EXPERIMENT,),
    draw=draw,
    describe=describe,
    default=False,
)
