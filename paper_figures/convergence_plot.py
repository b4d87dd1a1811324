"""Error against step size with bound lines: what the figures of the two equations share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.runs import Run
from paper_figures import style, verdicts
from paper_figures.figure import Comparison, Description
from paper_figures.words import number, paragraph, run_settings

__all__ = ["describe", "draw", "panel"]

Row = Mapping[str, Any]

_BOUNDS = (("bound", (0, (4, 2))), ("bound_one_sided", (0, (1, 1.2))))


def draw(run: Run, table: str) -> Any:
    """Draw one panel per rank, one above the other, with a common legend."""
    rows = run.table(table)
    ranks = _unique(row["rank"] for row in rows)
    figure, axes = style.new_figure(len(ranks), 0.75 + 2.15 * len(ranks), sharex=True, sharey=True)
    for ax, rank in zip(axes[:, 0], ranks, strict=True):
        panel(ax, [row for row in rows if row["rank"] == rank])
        ax.set_ylabel(rf"error at $T={run.settings['T']:g}$, $\|Y-A\|_\mathrm{{F}}$")
        if len(ranks) > 1:
            ax.set_title(f"rank {rank} at the start", loc="left")
    axes[-1, 0].set_xlabel("step size $h$")
    figure.legend(
        handles=legend(_unique(row["method"] for row in rows), constants(run, table)),
        loc="outside upper center",
        ncols=2,
    )
    return figure


def panel(ax: Any, rows: Sequence[Row]) -> None:
    """Draw the curves of one rank: errors with markers, bounds without."""
    for method in _unique(row["method"] for row in rows):
        look = style.METHODS[method]
        mine = sorted((row for row in rows if row["method"] == method), key=lambda row: row["h"])
        h = [row["h"] for row in mine]
        ax.plot(h, [row["error"] for row in mine], color=look.color, marker=look.marker, linestyle="-")
        for key, line in _BOUNDS:
            ax.plot(h, [row[key] for row in mine], color=look.color, linestyle=line, linewidth=0.9)
    ax.set_xscale("log")
    ax.set_yscale("log")
    style.marked(ax.xaxis, _unique(row["h"] for row in rows))
    style.logarithmic(ax.yaxis, decades=7)


def legend(methods: Sequence[str], known: Row) -> list[Any]:
    """Return the entries: methods on the left, what the lines mean on the right."""
    from matplotlib.lines import Line2D

    looks = [style.METHODS[method] for method in methods]
    left = [Line2D([], [], color=look.color, marker=look.marker, label=look.label) for look in looks]
    sign = "=" if known["one_sided"] == 0 else r"\leq"
    right = [
        Line2D([], [], color=style.GREY, marker=".", label="measured error"),
        Line2D([], [], color=style.GREY, linestyle=_BOUNDS[0][1], label="bound, Lipschitz"),
        Line2D([], [], color=style.GREY, linestyle=_BOUNDS[1][1], label=rf"bound, one-sided ($\mu{sign}0$)"),
    ]
    blank = Line2D([], [], linestyle="none", label=" ")
    height = max(len(left), len(right))
    return left + [blank] * (height - len(left)) + right + [blank] * (height - len(right))


def constants(run: Run, table: str) -> dict[str, Any]:
    """Return the constants of the problem; they are the same for every rank but for the start's error."""
    return next(row for row in run.table("constants") if row["problem"] == table)


def describe(run: Run, table: str, caption: str, equation: str) -> Description:
    """Return the page's text: the caption ends with how many bounds were checked and how close the errors came."""
    rows, known, s = run.table(table), constants(run, table), run.settings
    closest = max(rows, key=lambda row: row["error"] / row["bound_one_sided"])
    violated = sum(row["violated"] for row in rows)
    checked = paragraph(
        f"""
        {len(rows)} solves, {violated} errors above a bound; the closest one comes to
        {closest["error"] / closest["bound_one_sided"]:.1%} of the sharper bound
        ({style.METHODS[closest["method"]].label}, rank {closest["rank"]}, h = {closest["h"]:g}).
        """
    )
    settings = {
        "equation": equation,
        "size": f"{s['n']} x {s['n']}, t from 0 to {s['T']:g}, seed {s['seed']}",
        "substeps": f"{s['substeps']} step(s) of RK4 per flow; its own error could add at most "
        f"{100 * max(row['substep_share'] for row in rows):.1g}% to a local bound, which is for exact flows",
        "augmented BUG": f"discards at most {s['theta']:g} a step, rank at most {s['max_rank']}",
        "constants": f"L = {known['L']:.4g}, B = {known['B']:.4g}, one-sided constant {number(known['one_sided'])}; "
        f"seen: L {known['L_seen']:.3g}, B {max(row['largest_field'] for row in rows):.3g}, "
        f"one-sided {number(known['one_sided_seen'])}",
        **run_settings(run),
    }
    columns = {
        "method": ("method", ""),
        "rank": ("rank", "d"),
        "h": ("h", "g"),
        "error": ("error", ".2e"),
        "bound_one_sided": ("bound, one-sided", ".2e"),
        "bound": ("bound, e^(LT)", ".2e"),
        "eps": ("normal component eps", ".1e"),
        "theta": ("discarded, theta", ".1e"),
        "final_rank": ("rank at the end", "d"),
        "nfev": ("evaluations of F", "d"),
    }
    claim = Comparison(
        "errors above their bound",
        "none",
        f"{violated} of {len(rows)}",
        "the bounds are proved in matode.bounds, with these constants",
        verdicts.at_most(violated, 0, form="d"),
    )
    return Description(f"{caption} {checked}", settings, rows, columns, [claim])


def _unique(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))
