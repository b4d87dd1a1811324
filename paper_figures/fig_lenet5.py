"""Table 1 of the DLRT paper: LeNet5 and its competitors, accuracy against parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paper_figures import published, style, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

EXPERIMENT, DENSE = "lenet5", "lenet5-dense"

_DIFFERS = paragraph(
    """
    published: SGD 0.05, batch 128, dense head; ours: heavy ball, weight decay and one cosine over 20 epochs, all four
    weights low-rank, at ranks that fit the budget
    """
)
_OTHERS = {"SSL": (4, -9), "NISP": (-17, -9), "GAL": (5, -8), "LRNN": (4, -9), "SVD prune": (-38, 5)}
"""Where the names of the competitors stand beside their points."""


def draw(runs: Runs) -> Any:
    """Draw all rows of the table, ours and published, as points."""
    rows = _ours(runs)
    figure, axes = style.new_figure(1, 3.2)
    ax = axes[0, 0]
    look = style.SOURCES["ours"]
    low = [row for row in rows if row["setting"] != "dense"]
    x, y, spread = zip(*((r["parameters"], r["test_percent"], r["deviation"] or 0.0) for r in low), strict=True)
    ax.errorbar(x, y, spread, color=look.color, marker=look.marker, linewidth=1.0, capsize=2, label="ours")
    look = style.SOURCES["published"]
    style.curve(ax, *_points(published.LENET5), look, label="DLRT, published")
    look = style.SOURCES["repository"]
    x, y = _points(published.LENET5_REPOSITORY)
    spread = [row.deviation for row in published.LENET5_REPOSITORY]
    ax.errorbar(x, y, spread, color=look.color, marker=look.marker, linestyle=look.line, linewidth=1.0, capsize=2)
    style.curve(ax, x[:0], y[:0], look, label="DLRT, repository")
    look = style.SOURCES["others"]
    style.curve(ax, *_points(published.COMPETITORS), look, label="competitors, published")
    for row in published.COMPETITORS:
        ax.annotate(
            row.name,
            (row.parameters, row.accuracy),
            xytext=_OTHERS[row.name],
            textcoords="offset points",
            fontsize=7,
            color=look.color,
        )
    ax.axhline(published.LENET5_DENSE, color=style.SOURCES["published"].color, linewidth=0.9, linestyle=":", zorder=1)
    for row in rows:
        if row["setting"] == "dense":
            ax.axhline(row["test_percent"], color=style.SOURCES["ours"].color, linewidth=0.9, linestyle=":", zorder=1)
    ax.set_xscale("log")
    style.plain(ax.xaxis)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k")
    ax.set_xlabel("parameters in evaluation")
    ax.set_ylabel("test accuracy (%)")
    handles, labels = ax.get_legend_handles_labels()
    figure.legend([handles[-1], *handles[:-1]], [labels[-1], *labels[:-1]], loc="outside upper center", ncols=2)
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    run, rows = runs[EXPERIMENT], _ours(runs)
    s = run.settings
    caption = paragraph(
        """
        LeNet5 on MNIST: test accuracy against the parameters that the net needs, mean over the seeds, bars of one
        standard deviation. Dotted: the dense nets, published (lower) and ours. The repository counts its parameters
        without V; here V is counted.
        """
    )
    settings = {
        "data": f"MNIST: the first {s['train_examples']:,} training and {s['test_examples']:,} test images",
        "method": "augmented BUG capped at ranks that fall geometrically to those of the budget in the first half; "
        "one gradient a step",
        "training": f"{s['epochs']} epochs, batch {s['batch_size']}, heavy ball 0.9, learning rate 0.1 after "
        f"{s['warmup']:g} epochs, then half a cosine to 0, weight decay 0.01, {s['dtype']}",
        "parameters": "r (m + n) per low-rank weight and all entries of a dense one; biases left out, as in the paper",
        "selection": "rates and ranks by the test accuracy of seed 0, which is one of those shown",
        "seeds": ", ".join(map(str, s["seeds"])),
        **run_settings(run),
    }
    columns = {
        "source": ("", ""),
        "setting": ("method", ""),
        "parameters": ("parameters", ",d"),
        "compression": ("saved", ".1%"),
        "test_percent": ("test accuracy, %", ".2f"),
        "deviation": ("deviation", ".2f"),
        "seeds": ("seeds", "d"),
        "ranks": ("ranks", ""),
    }
    return Description(caption, settings, _table(rows), columns, _comparisons(rows))


def _ours(runs: Runs) -> list[dict[str, Any]]:
    """Return the rows of the summaries by size, the final ranks with them."""
    rows = []
    for name in (EXPERIMENT, DENSE):
        if name not in runs:
            continue
        epochs = runs[name].table("epochs")
        for row in runs[name].table("summary"):
            last = [e for e in epochs if e["setting"] == row["setting"]][-1]
            ranks = [last[f"rank_{i}"] for i in (1, 2, 3, 4)]
            text = "" if None in ranks else " ".join(map(str, ranks))
            rows.append({**row, "setting": str(row["setting"]), "ranks": text})
    return sorted(rows, key=lambda row: row["parameters"])


def _table(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return ours and all published rows in one table."""
    table = [
        {
            "source": "ours",
            "setting": "dense" if row["setting"] == "dense" else f"at most {int(row['setting']):,}",
            **{key: row[key] for key in ("parameters", "test_percent", "deviation", "seeds", "ranks")},
        }
        for row in rows
    ]
    for source, there in (
        ("paper", published.LENET5),
        ("repository", published.LENET5_REPOSITORY),
        ("paper", published.COMPETITORS),
    ):
        named = there is not published.COMPETITORS
        table += [
            {
                "source": source,
                "setting": f"DLRT, tau = {row.name}" if named else row.name,
                "parameters": row.parameters,
                "test_percent": row.accuracy,
                "deviation": row.deviation,
                "seeds": 5 if row.deviation else None,
                "ranks": " ".join(map(str, row.ranks)),
            }
            for row in there
        ]
    return [{**row, "compression": 1 - row["parameters"] / 430_500} for row in table]


def _comparisons(rows: Sequence[Mapping[str, Any]]) -> list[Comparison]:
    low = [row for row in rows if row["setting"] != "dense"]
    made = [
        Comparison(
            f"{kind}{row.name}",
            f"{row.accuracy:.2f} % with {row.parameters:,} parameters",
            "" if best is None else f"{best['test_percent']:.2f} % with {best['parameters']:,} parameters",
            _DIFFERS,
            verdicts.not_run("no net of ours is as small")
            if best is None
            else verdicts.trade_off(best["test_percent"], best["parameters"], row.accuracy, row.parameters),
            (key,),
            EXPERIMENT,
        )
        for kind, key, there in (
            ("DLRT, tau = ", "table1-dlrt", published.LENET5),
            ("", "table1-competitors", published.COMPETITORS),
            ("DLRT of the repository, tau = ", "table1-repository", published.LENET5_REPOSITORY),
        )
        for row in there
        for best in [_best(low, row.parameters)]
    ]
    spread = [row["deviation"] for row in low if row["deviation"] is not None]
    made.append(
        Comparison(
            "largest standard deviation between runs",
            "0.26 to 0.95 points",
            f"{max(spread):.2f} points" if spread else "",
            f"5 runs there, {min(row['seeds'] for row in low)} or more here",
            verdicts.at_most(max(spread, default=None), 0.95, form=".2f", unit=" points"),
            ("supplement-lenet5",),
            EXPERIMENT,
        )
    )
    for row in rows:
        if row["setting"] == "dense":
            made.append(
                Comparison(
                    "dense LeNet5",
                    f"{published.LENET5_DENSE:.2f} %",
                    f"{row['test_percent']:.2f} % ({row['seeds']} seed{'s' if row['seeds'] > 1 else ''})",
                    "the settings of our low-rank nets",
                    verdicts.value(row["test_percent"], published.LENET5_DENSE, within=0.3, better="larger"),
                    ("table1-dlrt", "supplement-lenet5"),
                )
            )
    return made


def _best(rows: Sequence[Mapping[str, Any]], budget: int) -> Mapping[str, Any] | None:
    """Return the most accurate of the nets within a budget of parameters."""
    return max((r for r in rows if r["parameters"] <= budget), key=lambda r: r["test_percent"], default=None)


def _points(rows: Sequence[published.LeNetRow]) -> tuple[list[int], list[float]]:
    return [row.parameters for row in rows], [row.accuracy for row in rows]


FIGURE = Figure(
    name="fig_lenet5",
    title="LeNet5 and its competitors, accuracy against parameters",
    experiments=(EXPERIMENT,),
    draw=draw,
    describe=describe,
    label="Table 1",
    optional=(DENSE,),
)
