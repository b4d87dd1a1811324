"""What the figures of the tolerance study share: its settings, its curves and its numbers beside the published ones."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.runs import Run
from paper_figures import published
from paper_figures.words import paragraph, run_settings

__all__ = ["COLUMNS", "DIFFERS", "EXPERIMENT", "epochs", "layers", "rank_curves", "settings", "summary"]

EXPERIMENT = "tau-mlp"

DIFFERS = paragraph(
    """
    published: Adam 1e-3, batch 256, 50,000 training images, about 70 adaptive epochs from full rank, mean of 5 runs;
    ours: heavy ball, weight decay and one cosine, 60,000 training images, the start at a fixed rank
    """
)

COLUMNS = {
    "width": ("width", "d"),
    "tau": ("tau", "g"),
    "seeds": ("seeds", "d"),
    "test_percent": ("test accuracy, %", ".2f"),
    "deviation": ("deviation", ".2f"),
    "adaptive_percent": ("before tuning, %", ".2f"),
    "ranks": ("mean ranks", ""),
    "parameters": ("parameters", ",.0f"),
    "training_parameters": ("in training", ",.0f"),
    "published_percent": ("published, %", ".2f"),
    "published_before": ("published before tuning, %", ".1f"),
    "published_ranks": ("published ranks", ""),
    "published_parameters": ("published parameters", ",.0f"),
}


def settings(run: Run) -> dict[str, str]:
    """Return the settings as the page shows them."""
    s = run.settings
    seeds: dict[int, dict[int, None]] = {}
    for row in run.table("epochs"):
        seeds.setdefault(row["width"], {})[row["seed"]] = None
    return {
        "data": f"MNIST: the first {s['train_examples']:,} training and {s['test_examples']:,} test images",
        "net": f"{s['depth']} layers, ReLU; all weights but the dense head start at rank {s['rank']}, of He's norm",
        "method": f"augmented BUG with the relative tolerance tau for {s['adaptive']} epochs, then {s['fixed']} epochs "
        "at the ranks that it found, all bases moving; one gradient a step",
        "training": f"heavy ball {s['momentum']:g}, learning rate {s['lr']:g} after {s['warmup']:g} epochs, then half "
        f"a cosine to 0, weight decay {s['decay']:g}, batch {s['batch_size']}, {s['dtype']}; the dense net alike",
        "parameters": "r (m + n) per low-rank weight and all of the head; biases left out, as in the paper",
        "selection": "rates and epochs by the test accuracy of width 500 with seed 0, which is one of those shown",
        "seeds": "; ".join(f"width {width}: {', '.join(map(str, own))}" for width, own in seeds.items()),
        **run_settings(run),
    }


def layers(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns that hold ranks."""
    return [key for key in rows[0] if key.startswith("rank_")]


def epochs(run: Run, width: int, tau: float) -> list[dict[str, Any]]:
    """Return the rows of all seeds of one setting."""
    return [row for row in run.table("epochs") if row["width"] == width and row["tau"] == tau]


def rank_curves(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float, float, float]]]:
    """Return for every layer the epochs with mean, least and largest rank over the seeds."""
    curves = {}
    for key in layers(rows):
        by_epoch: dict[int, list[int]] = {}
        for row in rows:
            by_epoch.setdefault(row["epoch"], []).append(row[key])
        curves[key] = [(k, statistics.fmean(v), min(v), max(v)) for k, v in sorted(by_epoch.items())]
    return curves


def summary(run: Run) -> list[dict[str, Any]]:
    """Return the summary with the ranks as one text, and the published row of the same width and tau."""
    rows = []
    for row in run.table("summary"):
        keys = layers([row])
        dense = row["tau"] is None
        there = {r.tau: r for r in published.WIDTHS.get(row["width"], ())}.get(row["tau"])
        percent = published.DENSE.get(row["width"]) if dense else there and there.accuracy
        rows.append(
            {
                **{key: value for key, value in row.items() if key not in keys},
                "ranks": "dense" if dense else " ".join(f"{row[key]:.0f}" for key in keys),
                "published_percent": percent,
                "published_before": there and there.before_tuning,
                "published_ranks": there and there.ranks_text,
                "published_parameters": there and published.parameters_at(there),
            }
        )
    return rows
