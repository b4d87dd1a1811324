"""The experiments by name."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from experiments import (
    adam_mlp,
    benchmarks,
    bounds,
    cifar,
    convergence,
    defect_seeds,
    defects,
    dlrt_theorems,
    lenet5,
    mnist_mlp,
    net_scaling,
    net_timing,
    pruning,
    published_defect,
    scaling,
    small_singular_values,
    standard,
    tau_mlp,
    tolerance,
    work_precision,
)
from experiments.progress import Progress

__all__ = ["EXPERIMENTS", "Experiment", "get"]


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    Attributes
    ----------
    name : str
        What the command line calls it.
    summary : str
        One sentence.
    run : callable
        ``run(settings, folder, progress, backend)`` computes, and writes CSV files into the folder. The backend is a
        name or a :class:`~matode._array.Backend`.
    quick, full : frozen dataclass
        The two presets, of one type.
    seconds : (float, float)
        What the quick and the full preset take on two cores of a laptop.
    resumable : bool
        Whether ``run`` goes on from the files that it finds in its folder: an interrupted run then keeps them.
    version : int
        To be raised when the stored columns change meaning: older results then do not count as finished.
    """

    name: str
    summary: str
    run: Callable[[Any, Path, Progress, Any], None]
    quick: Any
    full: Any
    seconds: tuple[float, float]
    resumable: bool = False
    version: int = 1

    def preset(self, quick: bool) -> Any:
        """Return the settings of the quick or the full run."""
        return self.quick if quick else self.full

    def duration(self, quick: bool) -> str:
        """Say how long the quick or the full run takes."""
        seconds = self.seconds[0 if quick else 1]
        if seconds < 90:
            return f"about {seconds:.0f} s"
        return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {
        experiment.name: experiment
        for experiment in (
            Experiment(
                "convergence",
                "error against step size, with explicit bounds, on a Lyapunov and a Schroedinger equation",
                convergence.run,
                convergence.QUICK,
                convergence.FULL,
                seconds=(15, 130),
            ),
            Experiment(
                "standard",
                "the standard experiments of the literature, with an independent implementation's errors within 20 %",
                standard.run,
                standard.QUICK,
                standard.FULL,
                seconds=(30, 400),
            ),
            Experiment(
                "mnist-mlp",
                "a fully connected net of five layers trained by rank-adaptive DLRT, and densely",
                mnist_mlp.run,
                mnist_mlp.QUICK,
                mnist_mlp.FULL,
                seconds=(25, 100),
            ),
            Experiment(
                "published-defect",
                "the published truncation that takes V* for V: which checks reject it, what it costs in training",
                published_defect.run,
                published_defect.QUICK,
                published_defect.FULL,
                seconds=(35, 80),
            ),
            Experiment(
                "defects",
                "the published defects that no other experiment shows, each by a number",
                defects.run,
                defects.QUICK,
                defects.FULL,
                seconds=(6, 6),
                version=2,
            ),
            Experiment(
                "lenet5",
                "LeNet5 within the parameter budgets of the paper's table: low-rank recipes and dense, several seeds",
                lenet5.run,
                lenet5.QUICK,
                lenet5.FULL,
                seconds=(15, 10_000),
                resumable=True,
            ),
            Experiment(
                "tau-mlp",
                "accuracy against size: nets of five layers at several tolerances, then tuned at fixed rank, and dense",
                tau_mlp.run,
                tau_mlp.QUICK,
                tau_mlp.FULL,
                seconds=(10, 2400),
                resumable=True,
            ),
            Experiment(
                "pruning",
                "a dense net pruned by SVD to several ranks, correctly and as published, then retrained at fixed rank",
                pruning.run,
                pruning.QUICK,
                pruning.FULL,
                seconds=(10, 900),
                resumable=True,
            ),
            Experiment(
                "lenet5-dense",
                "the dense LeNet5 under the settings of lenet5, to be set beside it",
                lenet5.run,
                dataclasses.replace(lenet5.QUICK, recipes=("dense",)),
                dataclasses.replace(lenet5.FULL, recipes=("dense",), seeds=(0,)),
                seconds=(10, 400),
                resumable=True,
            ),
            Experiment(
                "cifar",
                "low-rank AlexNet, VGG16, LeNet5 and ResNet20 on CIFAR, for a GPU; the quick run takes made-up images",
                cifar.run,
                cifar.QUICK,
                cifar.FULL,
                seconds=(10, 100_000),
                resumable=True,
            ),
            Experiment(
                "adam-mlp",
                "Adam in the rank-adaptive phase: the consistent form, the factor-wise one, the published one",
                adam_mlp.run,
                adam_mlp.QUICK,
                adam_mlp.FULL,
                seconds=(45, 800),
                resumable=True,
            ),
            Experiment(
                "defect-seeds",
                "the published truncation against the correct one over ten seeds: which loss is lower after each epoch",
                defect_seeds.run,
                defect_seeds.QUICK,
                defect_seeds.FULL,
                seconds=(10, 1200),
                resumable=True,
            ),
            Experiment(
                "small-singular-values",
                "LeNet5 from starts with decaying singular values: fixed-rank DLRT against vanilla W = A B^T",
                small_singular_values.run,
                small_singular_values.QUICK,
                small_singular_values.FULL,
                seconds=(12, 10_000),
                resumable=True,
            ),
            Experiment(
                "bounds",
                "the explicit error bounds over normal component, step size, tolerance and smallest singular value",
                bounds.run,
                bounds.QUICK,
                bounds.FULL,
                seconds=(4, 25),
            ),
            Experiment(
                "dlrt-theorems",
                "the two theorems of the DLRT paper with explicit constants: error and descent",
                dlrt_theorems.run,
                dlrt_theorems.QUICK,
                dlrt_theorems.FULL,
                seconds=(2, 5),
            ),
            Experiment(
                "tolerance",
                "the problem library solved to a tolerance: does rtol mean error, and how loose is the certified bound",
                tolerance.run,
                tolerance.QUICK,
                tolerance.FULL,
                seconds=(20, 1500),
                resumable=True,
            ),
            Experiment(
                "scaling",
                "time per step and memory of augmented BUG against n and r, with fitted exponents",
                scaling.run,
                scaling.QUICK,
                scaling.FULL,
                seconds=(5, 240),
                version=2,
            ),
            Experiment(
                "benchmarks",
                "all benchmarks: ours over PyTorch and over the limit, with goals",
                benchmarks.run,
                benchmarks.QUICK,
                benchmarks.FULL,
                seconds=(30, 640),
            ),
            Experiment(
                "net-scaling",
                "time of a training step and peak memory against rank, width and batch, beside dense nets and PyTorch",
                net_scaling.run,
                net_scaling.QUICK,
                net_scaling.FULL,
                seconds=(20, 420),
                resumable=True,
            ),
            Experiment(
                "timing",
                "time of a training step and of inference against the rank, width 5120, beside dense nets and PyTorch",
                net_timing.run,
                net_timing.QUICK,
                net_timing.FULL,
                seconds=(25, 300),
            ),
            Experiment(
                "work-precision",
                "error against seconds and evaluations, by integrator, on four kinds of problems",
                work_precision.run,
                work_precision.QUICK,
                work_precision.FULL,
                seconds=(10, 400),
            ),
        )
    }
)
"""All experiments; the command line, the figures and the tests iterate over it."""


def get(name: str) -> Experiment:
    """Return the experiment called ``name``.

    Raises
    ------
    ValueError
        If there is none; the message names the nearest one.
    """
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    near = difflib.get_close_matches(name, EXPERIMENTS, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(EXPERIMENTS)}"
    raise ValueError(f"unknown experiment {name!r}: {hint}")
