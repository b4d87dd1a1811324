"""Theorem 2 of the DLRT paper with explicit constants: what each step guarantees, and what it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paper_figures import style, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

EXPERIMENT = "dlrt-theorems"
Row = Mapping[str, Any]

_DONE = style.Look(r"decrease of the batch's loss, $\ell(t)-\ell(t+1)$", style.NETS["dlrt"].color, "o")
_PROMISED = style.Look(r"guaranteed: $\alpha\eta-\beta\vartheta$", style.NETS["dense"].color, "s", (0, (5, 2)))
_BEFORE = style.Look(r"before truncation: $\alpha\eta$", style.GREY, "", (0, (1, 1.2)))


def draw(runs: Runs) -> Any:
    """Draw one panel per net: both sides of the inequality in every step."""
    rows = runs[EXPERIMENT].table("descent")
    nets = _nets(rows)
    figure, axes = style.new_figure(1, 3.0, columns=len(nets), width=style.TEXT)
    for ax, net in zip(axes[0], nets, strict=True):
        own = [row for row in rows if row["net"] == net]
        step, every = [row["step"] for row in own], max(1, len(own) // 15)
        sides = (
            (_DONE, [row["decrease"] for row in own]),
            (_PROMISED, [_promised(row) for row in own]),
            (_BEFORE, [row["guaranteed"] for row in own]),
        )
        for look, values in sides:
            style.curve(ax, step, values, look, label=look.label, markevery=every)
        ax.set_yscale("symlog", linthresh=max(sides[2][1]), linscale=2)
        ax.axhline(0.0, color=style.GREY, linewidth=0.6)
        known = "$L$ known" if own[0]["known"] else "$L$ estimated"
        ax.set_title(f"{net}, {known}", loc="left")
        ax.set_xlabel("step")
    axes[0, 0].set_ylabel("decrease of the loss in a step")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs[EXPERIMENT]
    rows, s = run.table("descent"), run.settings
    allowed = {net: sum(_promised(row) < 0 for row in rows if row["net"] == net) for net in _nets(rows)}
    cut = {net: sum(row["theta"] > 0 for row in rows if row["net"] == net) for net in _nets(rows)}
    remarks = "; ".join(
        f"{net}: {cut[net]} steps discarded something, {allowed[net]} were allowed to raise the loss" for net in allowed
    )
    caption = paragraph(
        f"""
        Both sides of the descent inequality l(t+1) <= l(t) - alpha eta + beta theta in every step of a training on
        8 x 8 digits: the marked curve may not be below the dashed one. alpha eta is what a step guarantees before its
        truncation, beta theta what the truncation may take away ({remarks}). The axis is linear about zero and
        logarithmic beyond. Of softmax regression the Lipschitz constant of the gradient is known, so that the
        inequality is a theorem; of the deeper net it is estimated along each step.
        """
    )
    settings = {
        "data": "scikit-learn's 8 x 8 digits",
        "method": f"augmented BUG, Euler substeps, tau = {s['tau']:g}, learning rate {s['lr']:g}, batch "
        f"{s['batch_size']}, {s['epochs']} epochs",
        "constants": "alpha = (1 - eta L/2) |U* G V|^2 in the augmented bases, beta = |G^| + L theta / 2",
        **run_settings(run),
    }
    columns = {
        "net": ("net", ""),
        "step": ("step", "d"),
        "loss": ("loss", ".4f"),
        "loss_after": ("loss after the step", ".4f"),
        "allowed": ("allowed", ".4f"),
        "guaranteed": ("alpha eta", ".1e"),
        "theta": ("discarded", ".1e"),
        "lipschitz": ("L", ".3g"),
    }
    return Description(caption, settings, rows, columns, _claims(rows))


def _claims(rows: Sequence[Row]) -> list[Comparison]:
    found = []
    for net in _nets(rows):
        own = [row for row in rows if row["net"] == net]
        missed = sum(not row["holds"] for row in own)
        found.append(
            Comparison(
                f"steps that miss the descent, {net}",
                "none, for some constants",
                f"{missed} of {len(own)}",
                "explicit constants"
                + ("" if own[0]["known"] else "; L is estimated along the step, so that a step that misses is a hint"),
                verdicts.at_most(missed, 0, form="d"),
                ("theorem2",),
            )
        )
    return found


def _promised(row: Row) -> float:
    """Return the least decrease that the theorem allows; below zero, the loss may rise."""
    return row["loss"] - row["allowed"]


def _nets(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["net"] for row in rows))


FIGURE = Figure(
    name="fig_theorem2",
    label="Theorem 2",
    title="descent in every step, both sides",
    experiments=(EXPERIMENT,),
    draw=draw,
    describe=describe,
)
