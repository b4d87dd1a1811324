"""Table 2 of the DLRT paper and its kin: networks on CIFAR and ImageNet, published, and ours where a run is there."""

from __future__ import annotations

import statistics
from typing import Any

from experiments.runs import Run
from paper_figures import published, style, verdicts
from paper_figures.figure import Comparison, Description, Figure, Runs
from paper_figures.words import paragraph, run_settings

__all__ = ["FIGURE"]

EXPERIMENT = "cifar"

_COMMAND = "python -m experiments run cifar --backend cupy"
_COMMAND_100 = f"{_COMMAND} --set data=cifar-100 --set models=alexnet,vgg16 --out results-cifar-100"
_NAMES = {"alexnet": "AlexNet", "vgg16": "VGG16", "lenet5": "LeNet5", "resnet20": "ResNet20"}


def draw(runs: Runs) -> Any:
    """Draw a line for each published row: before and after fine-tuning, and ours where there is a run."""
    rows = _rows(runs)
    drawn = [row for row in rows if row["published_percent"] is not None]
    figure, axes = style.new_figure(1, 0.28 * len(drawn) + 1.1)
    ax = axes[0, 0]
    theirs, ours = style.SOURCES["published"], style.SOURCES["ours"]
    for k, row in enumerate(drawn):
        before, after = row["published_before"], row["published_percent"]
        if before is not None:
            ax.plot([before, after], [k, k], color=theirs.color, linewidth=0.8, zorder=1)
            ax.plot(before, k, color=theirs.color, marker=theirs.marker, fillstyle="none")
        ax.plot(after, k, color=theirs.color, marker=theirs.marker)
        if row["test_percent"] is not None:
            ax.plot(row["test_percent"], k, color=ours.color, marker=ours.marker)
    ax.set_yticks(range(len(drawn)), [f"{row['data']}, {row['model']}" for row in drawn])
    ax.set_ylim(len(drawn) - 0.5, -0.5)
    ax.set_xlim(30, 100)
    ax.set_xlabel("test accuracy (%)")
    handles = [_marker(theirs, "published", True), _marker(theirs, "published, before tuning", False)]
    if any(row["test_percent"] is not None for row in drawn):
        handles.append(_marker(ours, "ours", True))
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


def describe(runs: Runs) -> Description:
    """Return caption, settings and numbers."""
    rows, run = _rows(runs), _real(runs)
    state = (
        f"Ours are not run here: that needs the data and a GPU; one command does it: {_COMMAND}."
        if run is None
        else "Filled circles: ours."
    )
    caption = paragraph(
        f"""
        Published test accuracies of networks on CIFAR with the two wide fully connected layers low-rank, and with all
        layers low-rank before and after the tuning of the cores. {state} ImageNet-1k is listed as published only.
        """
    )
    settings = {
        "method": "augmented BUG with the relative tolerance 0.1, then Galerkin steps of the cores in fixed bases",
        "training": "SGD 0.05, momentum 0.1, batch 16; 100 and 100 epochs, with all layers low-rank 20 and 20",
        "command": f"{_COMMAND}; CIFAR-100: {_COMMAND_100}",
        **(run_settings(run) if run is not None else {}),
    }
    columns = {
        "data": ("data", ""),
        "model": ("network", ""),
        "published_before": ("published, %, before tuning", ".1f"),
        "published_percent": ("published, %", ".2f"),
        "published_compression": ("saved, %", ".1f"),
        "published_ranks": ("ranks", ""),
        "adaptive_percent": ("ours, %, before tuning", ".2f"),
        "test_percent": ("ours, %", ".2f"),
        "compression_percent": ("saved, %", ".1f"),
        "ranks": ("ranks", ""),
    }
    return Description(caption, settings, rows, columns, [_compared(row) for row in rows])


def _real(runs: Runs) -> Run | None:
    """Return the run on CIFAR-10; one on made-up images has nothing to be compared."""
    run = runs.get(EXPERIMENT)
    return run if run is not None and run.settings["data"] == "cifar-10" else None


def _rows(runs: Runs) -> list[dict[str, Any]]:
    """Return the published rows, ours beside those of CIFAR-10 where there is a run."""
    rows = [
        _row(
            r.data,
            r.model,
            percent=r.accuracy,
            compression=r.compression,
            ranks=" ".join(map(str, r.ranks)),
            key="table2-cifar10" if r.data == "cifar-10" else "cifar100",
        )
        for r in published.CIFAR
    ]
    rows += [
        _row("cifar-10", f"{r.model}-all", percent=r.after, before=r.before, key="cifar-all-layers")
        for r in published.ALL_LAYERS
    ]
    rows += [_row("imagenet-1k", model, key="table2-imagenet") for model in ("ResNet-50", "VGG16")]
    run = _real(runs)
    for row in rows if run is not None else ():
        assert run is not None
        own = [r for r in run.table("summary") if (row["data"], row["key"]) == ("cifar-10", r["model"])]
        if own:
            row.update({k: statistics.fmean(r[k] for r in own) for k in ("adaptive_percent", "test_percent")})
            row["compression_percent"] = 100 * statistics.fmean(r["compression"] for r in own)
            row["ranks"] = str(own[0]["ranks"]).replace("-", " ")
    return [{**row, "data": _data(row["data"]), "model": _model(row["model"])} for row in rows]


def _row(
    data: str,
    model: str,
    *,
    key: str,
    percent: float | None = None,
    before: float | None = None,
    compression: float | None = None,
    ranks: str = "",
) -> dict[str, Any]:
    return {
        "data": data,
        "model": model,
        "key": model,
        "row": key,
        "published_before": before,
        "published_percent": percent,
        "published_compression": compression,
        "published_ranks": ranks,
        "adaptive_percent": None,
        "test_percent": None,
        "compression_percent": None,
        "ranks": "",
    }


def _compared(row: dict[str, Any]) -> Comparison:
    there = "in the paper's Table 2" if row["published_percent"] is None else f"{row['published_percent']:.2f} %"
    if row["published_before"] is not None:
        there = f"{row['published_before']:.1f} % before tuning, {there} after"
    if row["published_compression"] is not None:
        there += f", {row['published_compression']:.1f} % saved"
    if row["row"] == "table2-imagenet":
        verdict = verdicts.not_run("published only: needs ImageNet-1k and days on several GPUs")
    elif row["test_percent"] is None:
        command = _COMMAND_100 if row["row"] == "cifar100" else _COMMAND
        verdict = verdicts.not_run(f"needs the data and a GPU: {command}")
    else:
        verdict = verdicts.value(row["test_percent"], row["published_percent"], within=1.0, better="larger")
    ours = "" if row["test_percent"] is None else f"{row['test_percent']:.2f} %"
    return Comparison(f"{row['data']}, {row['model']}", there, ours, "", verdict, (row["row"],))


def _data(name: str) -> str:
    return {"cifar-10": "CIFAR-10", "cifar-100": "CIFAR-100", "imagenet-1k": "ImageNet-1k"}[name]


def _model(name: str) -> str:
    short = name.removesuffix("-all")
    return _NAMES.get(short, short) + (", all layers" if name != short else "")


def _marker(look: style.Look, label: str, filled: bool) -> Any:
    from matplotlib.lines import Line2D

    fill = "full" if filled else "none"
    return Line2D([], [], color=look.color, marker=look.marker, fillstyle=fill, linestyle="none", label=label)


FIGURE = Figure(
    name="fig_cifar",
    title="networks on CIFAR and ImageNet",
    experiments=(),
    draw=draw,
    describe=describe,
    label="Table 2",
    optional=(EXPERIMENT,),
)
