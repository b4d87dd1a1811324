"""The published defects that have no figure of their own, each shown by a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.runs import Run
from paper_figures import style, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

EXPERIMENT = "defects"
Row = Mapping[str, Any]

_BAD, _GOOD = style.TRUNCATIONS["published"], style.TRUNCATIONS["correct"]
_THIRD = style.Look("DLRT", style.METHODS["bug"].color, "^", (0, (3, 1, 1, 1)))
_HELD = 2.67e6
"""Numbers that the published LeNet5 allocates."""


def draw(runs: Runs) -> Any:
    """Draw six small panels, as published and as it should be."""
    run = runs[EXPERIMENT]
    figure, axes = style.new_figure(2, 4.0, columns=3, width=style.TEXT)
    parts = (_truncation, _compression, _factors, _pruning, _scale, _memory)
    titles = ("2: truncation rule", "3: compression", "4: $W=UV^*$ baseline", "5: pruning by SVD")
    for ax, part, title in zip(axes.ravel(), parts, (*titles, "6: scale of the start", "7: memory"), strict=True):
        part(ax, run)
        ax.set_title(title, loc="left")
    handles, labels = axes[0, 2].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def _truncation(ax: Any, run: Run) -> None:
    rows = run.table("truncation")
    for rule, look in (("published", _BAD), ("correct", _GOOD)):
        own = [row for row in rows if row["rule"] == rule]
        ax.plot([row["error"] / row["tau"] for row in own], look.marker, color=look.color)
    ax.axhline(1.0, color=style.GREY, linewidth=0.8)
    names = [row["spectrum"] for row in rows if row["rule"] == "correct"]
    ax.set_xticks(range(len(names)), [name.replace(" equal", "\nequal").replace(" and", "\nand") for name in names])
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_ylim(bottom=-0.4)
    ax.set_ylabel(r"relative error / $\tau$")


def _compression(ax: Any, run: Run) -> None:
    rows = run.table("compression")
    tau = [row["tau"] for row in rows]
    style.curve(ax, tau, [row["percent_as_stored"] for row in rows], _BAD)
    style.curve(ax, tau, [row["percent"] for row in rows], _GOOD)
    ax.set_xlabel(r"$\tau$")
    ax.set_ylabel("saved (%)")


def _factors(ax: Any, run: Run) -> None:
    for net, look in (("published", _BAD), ("correct", _GOOD), ("dlrt", _THIRD)):
        _accuracy(ax, [row for row in run.table("factors") if row["net"] == net], look)


def _scale(ax: Any, run: Run) -> None:
    for net, look in (("published", _BAD), ("correct", _GOOD)):
        _accuracy(ax, [row for row in run.table("scale") if row["net"] == net], look)


def _accuracy(ax: Any, rows: Sequence[Row], look: style.Look) -> None:
    style.curve(ax, [r["epoch"] for r in rows], [100 * r["test_accuracy"] for r in rows], look, label=look.label)
    ax.set_xticks([row["epoch"] for row in rows])
    ax.set_ylim(0, 100)
    ax.set_xlabel("epoch")
    ax.set_ylabel("test accuracy (%)")


def _pruning(ax: Any, run: Run) -> None:
    rows = run.table("pruning")
    for key, look in (("published", _BAD), ("correct", _GOOD)):
        style.curve(ax, [row["rank"] for row in rows], [100 * row[key] for row in rows], look)
    ax.set_xscale("log", base=2)
    style.marked(ax.xaxis, [row["rank"] for row in rows])
    ax.set_ylim(0, 100)
    ax.set_xlabel("rank")
    ax.set_ylabel("test accuracy (%)")


def _memory(ax: Any, run: Run) -> None:
    dense, low = _held(run)
    style.curve(ax, [row["rank"] for row in low], [row["numbers"] / 1e6 for row in low], _GOOD)
    for value, text in ((_HELD / 1e6, "published"), (dense / 1e6, "dense, here")):
        ax.axhline(value, color=style.GREY, linewidth=0.8, linestyle=(0, (4, 2)))
        style.note(ax, low[0]["rank"], value, text)
    ax.set_ylim(0, 3)
    ax.set_xlabel("rank")
    ax.set_ylabel("numbers held ($10^6$)")


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run = runs[EXPERIMENT]
    caption = paragraph(
        """
        What the public codes do, carried out here, beside what is meant, by the numbers of the defects in the first
        table. 2: error of one truncation over the tolerance. 3: compression of LeNet5 with the published ranks, V left
        out and counted. 4: LeNet5 of fixed rank with the factors of its convolutions frozen, with all trained, and by
        DLRT. 5: a dense net cut to every rank, with rows of U for V, and with V. 6: five layers of fixed rank from a
        start that ignores the width, and from one of He's norm. 7: numbers held at the peak of a training step of
        LeNet5 on one image. Without a panel are defect 8 (a step makes one pass where the published one makes three,
        with the same result) and the mistakes of public codes of integrators.
        """
    )
    s = run.settings
    settings = {
        "data": "scikit-learn's 8 x 8 digits, enlarged to 16 x 16 for LeNet5",
        "training": f"{s['epochs']} epochs, batch {s['batch_size']}, learning rate {s['lr']:g} ({s['scale_lr']:g} for "
        f"the deep net of width {s['width']} and rank {s['rank']}), seed {s['seed']}",
        **run_settings(run),
    }
    found = _claims(run)
    rows = [{"row": c.rows[0], "what": c.what, "ours": c.ours} for c in found]
    columns = {"row": ("row", ""), "what": ("what", ""), "ours": ("number", "")}
    return Description(caption, settings, rows, columns, found)


def _claims(run: Run) -> list[Comparison]:
    return [*_core_claims(run), *_training_claims(run), *_cost_claims(run), *_integrator_claims(run)]


def _core_claims(run: Run) -> list[Comparison]:
    truncation = run.table("truncation")
    bad = [row for row in truncation if row["rule"] == "published"]
    good = max(row["error"] / row["tau"] for row in truncation if row["rule"] == "correct")
    compression = run.table("compression")
    apart = max(row["percent_as_stored"] - row["percent"] for row in compression)
    wrong = max(abs(row["percent"] - row["true_percent"]) for row in compression)
    return [
        *(
            Comparison(
                f"error of the published rule over the tolerance: {row['spectrum']}, tau = {row['tau']:g}",
                "at most 1 is meant",
                f"{row['error'] / row['tau']:.3g} (an error of {row['error']:.3f})",
                "",
                verdicts.at_least(row["error"] / row["tau"], 1.05),
                ("defect2",),
            )
            for row in bad
        ),
        Comparison(
            "error of the right rule over the tolerance",
            "at most 1",
            f"{good:.3g}",
            "",
            verdicts.at_most(good, 1),
            ("defect2",),
        ),
        Comparison(
            "points of compression too many where V is not counted, published ranks of LeNet5",
            "stored so",
            f"up to {apart:.1f}",
            "nothing: a count",
            verdicts.at_least(apart, 1, form=".1f", unit=" points"),
            ("defect3",),
        ),
        Comparison(
            "our count of the same networks against the true one",
            ", ".join(f"{row['true_percent']:g}" for row in compression) + " %",
            ", ".join(f"{row['percent']:.1f}" for row in compression) + " %",
            "nothing: a count",
            verdicts.at_most(wrong, 0.06, form=".2f", unit=" points"),
            ("defect3",),
        ),
    ]


def _training_claims(run: Run) -> list[Comparison]:
    def percent(table: str, net: str, epoch: int) -> float:
        return next(100 * r["test_accuracy"] for r in run.table(table) if (r["net"], r["epoch"]) == (net, epoch))

    last = max(row["epoch"] for row in run.table("scale"))
    second = min(2, last)
    frozen, trained, dlrt = (percent("factors", net, second) for net in ("published", "correct", "dlrt"))
    small, he = (percent("scale", net, last) for net in ("published", "correct"))
    pruning = run.table("pruning")
    artefact = sum(100 * row["published"] for row in pruning) / len(pruning)
    kept = max(100 * row["correct"] for row in pruning)
    digits = "8 x 8 digits here, MNIST there"
    return [
        Comparison(
            f"points that frozen convolution factors lose, epoch {second}",
            "37.0 % frozen, 84.9 % with all factors trained, 87.3 % by DLRT (one seed)",
            f"{trained - frozen:.1f} ({frozen:.1f} %, {trained:.1f} %, {dlrt:.1f} % by DLRT)",
            digits,
            verdicts.at_least(trained - frozen, 5, form=".1f", unit=" points"),
            ("defect4",),
        ),
        Comparison(
            "mean accuracy over all ranks, the full one included, rows of U for V",
            "10.1 %, even at full rank",
            f"{artefact:.1f} %",
            digits,
            verdicts.at_most(artefact, 20, form=".1f", unit=" %"),
            ("defect5",),
        ),
        Comparison(
            "accuracy with V, the best rank below the dense net",
            "63 to 97.7 %, dense 97.85 %",
            f"{100 * pruning[0]['correct']:.1f} to {kept:.1f} %, dense {100 * pruning[0]['dense']:.1f} %",
            digits,
            verdicts.at_most(100 * pruning[0]["dense"] - kept, 0.5, form=".1f", unit=" points"),
            ("defect5",),
        ),
        Comparison(
            f"points that a start ignoring the width is behind one of He's norm, epoch {last}",
            "11.35 % for three epochs, He's norm 92.2 %",
            f"{he - small:.1f} ({small:.1f} and {he:.1f} %)",
            digits,
            verdicts.at_least(he - small, 30, form=".1f", unit=" points"),
            ("defect6",),
        ),
    ]


def _cost_claims(run: Run) -> list[Comparison]:
    dense, low = _held(run)
    most = low[-1]["numbers"]
    growth = most / low[0]["numbers"]
    once, thrice = run.table("passes")
    return [
        Comparison(
            f"numbers held at the peak of a step of LeNet5, rank {low[0]['rank']} to {low[-1]['rank']}",
            "2.67 million, whatever the rank; 0.43 million weights of the dense net",
            f"{low[0]['numbers'] / 1e6:.2f} to {most / 1e6:.2f} million; dense {dense / 1e6:.2f} million",
            "one image here, so that weights and gradients are most of it",
            verdicts.at_most(most / _HELD, 0.5, form=".2f", unit=" of the published"),
            ("defect7",),
        ),
        Comparison(
            "memory follows the rank: largest over smallest rank",
            "1",
            f"{growth:.1f} for {low[-1]['rank'] / low[0]['rank']:g} times the rank",
            "",
            verdicts.at_least(growth, 2),
            ("defect7",),
        ),
        Comparison(
            "forward and backward passes a step",
            "3",
            f"{once['passes']} ({thrice['passes']} where K, L and S each make their own)",
            "",
            verdicts.at_most(once["passes"], 1, form="d"),
            ("defect8",),
        ),
        Comparison(
            "difference of the results of one pass and of three",
            "",
            f"{thrice['difference']:.0e}",
            "",
            verdicts.at_most(thrice["difference"], 1e-11, form=".0e"),
            ("defect8",),
        ),
    ]


def _integrator_claims(run: Run) -> list[Comparison]:
    """Return the claims about public codes of integrators."""
    rows = {row["mistake"]: row for row in run.table("integrators")}
    errors = {
        "forward S-step": ("codes-s-step", "does not converge: an error of 0.33 where 8.7e-4 is right"),
        "plain transpose": ("codes-transpose", "an error of 100 %"),
        "B for B* in the L-step": ("codes-adjoint", "only symmetric problems work"),
    }
    found = [
        Comparison(
            f"relative error of projector splitting, {name}",
            published,
            f"{rows[name]['wrong']:.2g} where {rows[name]['right']:.0e} is right",
            "Y' = A Y + Y B here, complex and not symmetric",
            verdicts.at_least(rows[name]["wrong"], 0.1),
            (key,),
        )
        for name, (key, published) in errors.items()
    ]
    nodes, cube = rows["first node left out"], rows["cube by pow"]
    return [
        *found,
        Comparison(
            "observed order of RK4 with a wrong node, F depends on time",
            "1",
            f"{nodes['wrong']:.2f} where {nodes['right']:.2f} is right",
            "",
            verdicts.value(nodes["wrong"], 1, within=0.1),
            ("codes-nodes",),
        ),
        Comparison(
            "time of x**3 over that of x * x * x",
            "150",
            f"{cube['wrong']:.0f}",
            "another machine",
            verdicts.at_least(cube["wrong"], 5),
            ("codes-cube",),
        ),
    ]


def _held(run: Run) -> tuple[float, list[Row]]:
    """Return what the dense net holds, and the rows of the ranks."""
    rows = run.table("memory")
    return next(row["numbers"] for row in rows if row["rank"] is None), [row for row in rows if row["rank"] is not None]


FIGURE = Figure(
    name="fig_defects",
    title="Published defects by number",
    experiments=(EXPERIMENT,),
    draw=draw,
    describe=describe,
)
