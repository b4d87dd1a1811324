"""Made-up finished runs of the experiments of the DLRT paper, for tests of what the figures say about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments import defect_seeds, lenet5, pruning, registry, runs, small_singular_values, tables, tau_mlp
from nn.data import Dataset
from paper_figures import published

SETTINGS = {
    "lenet5": lenet5.Settings(recipes=("15520", "30000"), seeds=(0, 1)),
    "tau-mlp": tau_mlp.Settings(seeds=(0, 1), adaptive=2, fixed=1),
    "pruning": pruning.Settings(ranks=(10, 100), seeds=(0, 1)),
    "small-singular-values": small_singular_values.Settings(bases=(1.0, 10.0), seeds=(0, 1), epochs=2),
    "defect-seeds": defect_seeds.Settings(data="mnist", epochs=2, seeds=(0, 1, 2, 3)),
}


def tau(settings, points=0.1, factor=0.5, left=0.4):
    """Write accuracies so many points above the published ones, at the published ranks times a factor.

    That share of the ranks at the start is left after the first epoch.
    """
    epochs, summary = [], []
    for width in settings.widths:
        known = {row.tau: row for row in published.WIDTHS[width]}
        for tau in (*settings.taus, None):
            ranks = known[tau].ranks or published.WIDTH_500[settings.taus.index(tau)].ranks if tau else (None,) * 4
            percent = (known[tau].accuracy if tau else published.DENSE[width]) + points
            shapes = [784 + width, *[2 * width] * 3]
            ours = [r and factor * r for r in ranks]
            cells = {f"rank_{i}": r and int(r) for i, r in enumerate(ours, start=1)}
            size = sum(r * n for r, n in zip(ours, shapes, strict=True)) + 10 * width if tau else 1_147_000
            epochs += [
                {"setting": "x", "seed": seed, "width": width, "tau": tau, "epoch": k}
                | {key: r and (r if k else round(r / left)) for key, r in cells.items()}
                for seed in settings.seeds
                for k in range(settings.epochs + 1)
            ]
            summary.append(
                {
                    "width": width,
                    "tau": tau,
                    "seeds": len(settings.seeds),
                    "test_percent": percent,
                    "deviation": 0.05,
                    "worst": percent,
                    "adaptive_percent": percent - 1,
                    **cells,
                    "parameters": size,
                    "most_parameters": size,
                    "training_parameters": 2 * size,
                    "seconds": 1.0,
                }
            )
    return {"epochs": epochs, "summary": summary}


def pruned(settings, retrained=98.2):
    """Write a table of pruned nets, retrained to the given percentage."""
    rows = [(None, 97.9, None, None)] + [(r, 60 + r / 4, 10.1, retrained) for r in settings.ranks]
    summary = [
        {
            "rank": rank,
            "seeds": len(settings.seeds),
            "parameters": 1000 * (rank or 2500),
            **{
                key: value
                for name, value in (("pruned", a), ("published", b), ("retrained", c))
                for key, value in ((f"{name}_percent", value), (f"{name}_deviation", value and 0.1))
            },
        }
        for rank, a, b, c in rows
    ]
    return {"summary": summary}


def decaying(settings, gap=0.5):
    """Write ends of both forms, DLRT that much lower from decaying starts and W = U V* six times that."""
    ends = {("dlrt", 1.0): 97.5, ("dlrt", 10.0): 97.5 - gap, ("factors", 1.0): 98.2, ("factors", 10.0): 98.2 - 6 * gap}
    epochs, summary = [], []
    for (method, base), end in ends.items():
        epochs += [
            {
                "setting": "x",
                "seed": s,
                "method": method,
                "base": base,
                "epoch": k,
                "test_accuracy": (end - 2 + k) / 100,
            }
            for s in settings.seeds
            for k in range(1, settings.epochs + 1)
        ]
        lost = ends[method, 1.0] - end
        row = {"method": method, "base": base, "seeds": 2, "test_percent": end, "half_width": 0.1}
        summary.append({**row, "gap": lost, "gap_half_width": 0.1})
    return {"epochs": epochs, "summary": summary}


def defective(settings, lower=1.0):
    """Write losses of both truncations, the correct ones lower in this share of the seeds."""
    seeds = [
        {
            "seed": seed,
            "lower_in_every_epoch": seed < lower * len(settings.seeds),
            "loss_correct": 0.1,
            "loss_published": 0.5,
            "percent_correct": 97.0,
            "percent_published": 90.0,
        }
        for seed in settings.seeds
    ]
    epochs = [
        {"setting": name, "seed": seed, "epoch": k, "loss": loss / k, "test_accuracy": 0.9, "seconds": 1.0}
        for seed in settings.seeds
        for name, loss in (("correct", 0.2), ("published", 1.0))
        for k in range(1, settings.epochs + 1)
    ]
    return {"epochs": epochs, "seeds": seeds}


def budgets(settings, points=1.0):
    """Write nets of LeNet5 within the budgets, so many points above the published rows."""
    epochs, summary = [], []
    for name in settings.recipes:
        size, percent = lenet5.RECIPES[name].published
        epochs.append({"setting": name, **{f"rank_{i}": 5 for i in (1, 2, 3, 4)}})
        row = {"setting": name, "seeds": 2, "parameters": size - 500, "test_percent": percent + points}
        summary.append({**row, "deviation": 0.03})
    return {"epochs": epochs, "summary": summary}


MADE = {
    "lenet5": budgets,
    "tau-mlp": tau,
    "pruning": pruned,
    "small-singular-values": decaying,
    "defect-seeds": defective,
}


def store(out: Path, name: str, **how: float) -> runs.Run:
    """Write a made-up quick run into a folder and return it."""

    def write(settings, folder, report, backend):
        for table, rows in MADE[name](settings, **how).items():
            tables.write(folder / f"{table}.csv", rows)

    fake = registry.Experiment(name, "", write, SETTINGS[name], SETTINGS[name], (1, 1))
    return runs.execute(fake, SETTINGS[name], quick=True, out=out)


def bars():
    """Return forty images of 28 x 28 pixels with a bright row for each label, as if they were MNIST."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 40)
    x = 0.1 * rng.standard_normal((40, 1, 28, 28)).astype("float32")
    for image, label in zip(x, y, strict=True):
        image[0, 2 * label + 4 : 2 * label + 6] += 1.0
    return Dataset("mnist", x, y, x[:20], y[:20], "made up")
