"""What the two figures of the training run share: its settings, its numbers, the published ones beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.runs import Run
from paper_figures import published, verdicts
from paper_figures.figure import Comparison
from paper_figures.words import paragraph, run_settings

__all__ = ["COLUMNS", "comparisons", "data_set", "settings"]

COLUMNS = {
    "net": ("net", ""),
    "epoch": ("epoch", "d"),
    "loss": ("training loss", ".4f"),
    "test_accuracy": ("test accuracy", ".2%"),
    "ranks": ("ranks", ""),
    "evaluation_parameters": ("parameters", ",d"),
    "compression": ("saved", ".1%"),
    "seconds": ("seconds", ".1f"),
}


def data_set(run: Run) -> Mapping[str, Any]:
    """Return the row that says what was trained on."""
    return run.table("data")[0]


def name_of(run: Run) -> str:
    """Return the name of the data set for a sentence."""
    return {"mnist": "MNIST", "digits": "scikit-learn's 8 x 8 digits"}[data_set(run)["data"]]


def settings(run: Run) -> dict[str, str]:
    """Return the settings as the page shows them."""
    s, used = run.settings, data_set(run)
    substitute = "" if used["data"] == "mnist" or s["data"] == "digits" else ", because MNIST was not to be had"
    counts = f"{used['train_examples']:,} training and {used['test_examples']:,} test images"
    rate = f"learning rate {s['lr']:g}" + ("" if s["final"] == 1 else f", half a cosine down to {s['final']:g} of it")
    return {
        "data": f"{name_of(run)}{substitute}: {counts}",
        "net": f"{used['layers']}, ReLU; low-rank layers from rank {s['rank']} (or what the layer allows), dense head",
        "method": f"augmented BUG, Euler substeps, relative tolerance tau = {s['tau']:g}: one gradient a step",
        "training": f"batch {used['batch_size']}, {rate}, {s['dtype']}, seed {s['seed']}; the dense net has the same "
        "settings, which is plain stochastic gradient descent",
        **run_settings(run),
    }


def rows(run: Run) -> list[dict[str, Any]]:
    """Return one row per net and epoch, with the ranks also as one text."""
    table = run.table("epochs")
    for row in table:
        ranks = [row[key] for key in row if key.startswith("rank_")]
        row["ranks"] = "" if None in ranks else " ".join(map(str, ranks))
    return table


def last(run: Run, net: str) -> dict[str, Any]:
    """Return the last epoch of a net."""
    return [row for row in rows(run) if row["net"] == net][-1]


def comparisons(run: Run) -> list[Comparison]:
    """Return published accuracies, near our tau and dense, beside ours; none where the data is not MNIST."""
    if data_set(run)["data"] != "mnist":
        return []
    low, dense, s = last(run, "dlrt"), last(run, "dense"), run.settings
    accuracy = f"{low['test_accuracy']:.2%}"
    near = sorted(sorted(published.WIDTH_500, key=lambda row: abs(row.tau - s["tau"]))[:2])
    ours = f"tau = {s['tau']:g}: {accuracy}, ranks {low['ranks']}, {low['evaluation_parameters']:,} parameters"
    differs = paragraph(
        f"""
        published: Adam 1e-3, batch 256, 50,000 training images, mean of 5 runs, fixed-rank fine-tuning at the end;
        ours: SGD, batch {data_set(run)["batch_size"]}, {data_set(run)["train_examples"]:,} training images, one run,
        {low["epoch"]} epochs of the adaptive phase alone, biases counted
        """
    )
    return [
        *(
            Comparison(
                f"test accuracy, tau = {row.tau:g}",
                f"{row.accuracy:.2f}%, ranks {row.ranks_text}, {row.parameters:,} parameters",
                ours,
                differs,
                verdicts.trade_off(
                    100 * low["test_accuracy"], low["evaluation_parameters"], row.accuracy, row.parameters
                ),
            )
            for row in near
        ),
        Comparison(
            "the same before fine-tuning",
            ", ".join(f"tau = {row.tau:g}: {row.before_tuning:.1f}%" for row in near),
            accuracy,
            "the published code multiplies by the wrong right basis after a truncation",
            verdicts.value(
                100 * low["test_accuracy"], max(row.before_tuning for row in near), within=0.3, better="larger"
            ),
        ),
        Comparison(
            "test accuracy, dense net",
            f"{published.DENSE_500:.2f}%",
            f"{dense['test_accuracy']:.2%}",
            f"Adam there, SGD here, {dense['epoch']} epochs",
            verdicts.value(100 * dense["test_accuracy"], published.DENSE_500, within=0.3, better="larger"),
        ),
    ]
