"""Everything that the DLRT paper and its public repositories report, a row each, so that nothing is silently missing.

With it go mistakes that public codes of integrators have been seen to make. Rows are data: what was done, what was
published, and which figure has ours. The numbers and verdicts come from the comparisons of the figures that were drawn,
see :func:`judged`. The published defects are facts about the public codes, shown by our own numbers.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paper_figures import registry, stored, verdicts
from paper_figures.verdicts import Status, Verdict

__all__ = ["ROWS", "Judged", "PaperRow", "check", "judged"]


@dataclass(frozen=True)
class PaperRow:
    """One row of the list.

    Attributes
    ----------
    key : str
        What comparisons call it.
    label : str
        What the paper calls it, and what it is about.
    settings, published : str
        In short.
    figure : str
        What draws it; empty where nothing can.
    without : str
        Why there is no number, where there cannot be one.
    scope : bool
        False where it is out of scope.
    """

    key: str
    label: str
    settings: str
    published: str
    figure: str = ""
    without: str = ""
    scope: bool = True


_NET = "784-500-500-500-500-10, MNIST, Adam 1e-3, batch 256"
_WIDE = "784-784-784-784-784-10, MNIST, Adam 1e-3, batch 256"
_LENET = "LeNet5, MNIST, SGD 0.05, batch 128"
_CARD = "needs a GPU and the data set; then: python -m paper_figures table2"
_IMAGENET = "published only: needs ImageNet-1k and days on several GPUs"

ROWS: Sequence[PaperRow] = (
    PaperRow(
        "fig1-training",
        "Fig. 1, training time",
        "five layers of width 5120, batch 500, time of a batch against the rank",
        "0.072 s at r = 5 to 0.855 s at r = 320; dense 0.320 s; break-even near r = 130",
        "fig1",
    ),
    PaperRow(
        "fig1-inference",
        "Fig. 1, inference time",
        "five layers of width 5120",
        "0.247 s at r = 5 to 1.43 s at r = 2560; dense 1.248 s",
        "fig1",
    ),
    PaperRow("fig2", "Fig. 2, ranks over time", f"{_NET}, tau 0.05 and 0.15", "fast drop in the first epochs", "fig2"),
    PaperRow(
        "fig3-500",
        "Fig. 3, accuracy against parameters, width 500",
        f"{_NET}, tau 0.03 to 0.17, 5 runs",
        "98.49 % (tau 0.03) to 96.90 % (tau 0.17); dense 98.54 %",
        "fig3",
    ),
    PaperRow(
        "fig3-784",
        "Fig. 3, accuracy against parameters, width 784",
        f"{_WIDE}, tau 0.03 to 0.17, 5 runs",
        "98.61 % (tau 0.03) to 97.40 % (tau 0.17); dense 98.53 %",
        "fig3",
    ),
    PaperRow(
        "fig4",
        "Fig. 4, DLRT against W = U V*",
        "LeNet5, MNIST, fixed rank, SGD 0.01, batch 128, 10 runs; singular values of the start as drawn, or decaying",
        "DLRT 97.81, 97.29, 97.07 % and U V* 93.74, 90.91, 86.24 % without decay, with 2^-k, with 10^-k",
        "fig4",
    ),
    PaperRow(
        "table1-dlrt",
        "Table 1, DLRT on LeNet5",
        f"{_LENET}, tau 0.11, 0.15, 0.2, 0.3",
        "98.0, 97.8, 97.2, 95.3 % with 47,975, 34,435, 25,650, 15,520 parameters",
        "table1",
    ),
    PaperRow(
        "table1-competitors",
        "Table 1, competitors on LeNet5",
        "LeNet5, MNIST: SSL, NISP, GAL, LRNN, SVD prune",
        "99.18, 99.0, 98.97, 98.67, 94.0 % with 110,000, 100,000, 30,000, 18,075, 123,646 parameters",
        "table1",
    ),
    PaperRow(
        "table1-repository",
        "Table 1, later run of the repository",
        f"{_LENET}, tau 0.09 to 0.45, 20 epochs, 5 runs",
        "98.16 % (tau 0.09) to 94.07 % (tau 0.45); dense 98.82 %",
        "table1",
    ),
    PaperRow(
        "table2-cifar10",
        "Table 2, CIFAR-10",
        "AlexNet and VGG16, SGD 0.05, momentum 0.1, batch 16, tau 0.1, 100 epochs and 100 of fine-tuning",
        "AlexNet 84.05 %, 86.3 % compression; VGG16 91.98 %, 56 % compression",
        "table2",
    ),
    PaperRow(
        "table2-imagenet",
        "Table 2, ImageNet-1k",
        "ResNet-50 and VGG16, tau 0.1",
        "in the paper's Table 2",
        without=_IMAGENET,
    ),
    PaperRow(
        "cifar100",
        "Repository, CIFAR-100",
        "AlexNet, tau 0.08; VGG16",
        "50.1 % and 62.7 %",
        "table2",
        without=_CARD,
    ),
    PaperRow(
        "cifar-all-layers",
        "Repository, CIFAR with all layers low-rank",
        "VGG16, AlexNet, LeNet, ResNet20, tau 0.1, 20 and 20 epochs",
        "39.5 to 67.7, 42.9 to 58.6, 44.0 to 58.7, 45.8 to 64.2 % before and after fine-tuning",
        "table2",
        without=_CARD,
    ),
    PaperRow(
        "pruning-svd",
        "Pruning table, truncated only",
        "width 784, a dense net cut by SVD to rank 10 to 100",
        "about 10 % at every rank",
        "pruning",
    ),
    PaperRow(
        "pruning-retrained",
        "Pruning table, retrained",
        "the same, then fixed-rank DLRT, Adam 1e-3, batch 256",
        "97 to 98.5 %",
        "pruning",
    ),
    PaperRow(
        "supplement-timing",
        "Supplement, timing tables",
        "five layers of width 5120, mean and deviation",
        "the times of Fig. 1",
        "fig1",
    ),
    PaperRow(
        "supplement-tau-500",
        "Supplement, tau table, width 500",
        f"{_NET}, tau 0.03 to 0.17",
        "accuracies, ranks (176 170 171 174 to 13 21 24 20), parameters",
        "fig3",
    ),
    PaperRow(
        "supplement-tau-784",
        "Supplement, tau table, width 784",
        f"{_WIDE}, tau 0.03 to 0.17",
        "accuracies, ranks (124 120 125 126 at tau 0.05 to 17 23 22 23 at 0.17), parameters",
        "fig3",
    ),
    PaperRow(
        "supplement-lenet5",
        "Supplement, LeNet5 with deviations",
        f"{_LENET}, 5 runs",
        "deviations of 0.26 to 0.95 points; dense 0.06",
        "table1",
    ),
    PaperRow(
        "supplement-ranks",
        "Supplement, ranks over time for each tau",
        f"{_NET}, tau 0.03 to 0.17",
        "as Fig. 2",
        "fig2",
    ),
    PaperRow(
        "theorem1",
        "Theorem 1, error c1 eps + c2 eta + c3 theta/eta",
        "gradient flow; its constants here are explicit",
        "holds, with constants that no singular value enters",
        "theorem1",
    ),
    PaperRow(
        "theorem2",
        "Theorem 2, descent l(t+1) <= l(t) - alpha eta + beta theta",
        "training; its constants here are explicit",
        "holds in every step",
        "theorem2",
    ),
    PaperRow(
        "defect1",
        "Defect 1, right basis after a truncation",
        "public codes multiply V by columns of V* from the SVD",
        "ends of the adaptive phase: 54.5 to 93.6 % (width 500), before the fine-tuning of Fig. 3",
        "fig_published_defect",
    ),
    PaperRow(
        "defect2",
        "Defect 2, truncation rule",
        "last singular value left out of every tail; rank r where 2 r is needed",
        "meant: an error of at most tau",
        "fig_defects",
    ),
    PaperRow(
        "defect3",
        "Defect 3, compression counts",
        "stored tables of LeNet5: V is left out",
        "more compression than there is",
        "fig_defects",
    ),
    PaperRow(
        "defect4",
        "Defect 4, the U V* baseline",
        "LeNet5: factors of the convolutions stay at their random start",
        "a baseline that learns slowly",
        "fig_defects",
    ),
    PaperRow(
        "defect5",
        "Defect 5, SVD pruning",
        "V is built from rows of U",
        "about 10 % at every rank, even the full one",
        "fig_defects",
    ),
    PaperRow(
        "defect6",
        "Defect 6, initial scale",
        "five layers of width 500, rank 20: the start ignores the width",
        "not reported",
        "fig_defects",
    ),
    PaperRow(
        "defect7",
        "Defect 7, memory does not follow the rank",
        "LeNet5: 2.67 million numbers allocated, dense 0.43 million",
        "not reported",
        "fig_defects",
    ),
    PaperRow(
        "defect8",
        "Defect 8, three passes a batch",
        "K-, L- and S-step each run the net forwards and backwards",
        "three passes",
        "fig_defects",
    ),
    PaperRow(
        "codes-s-step",
        "Integrator codes, S-step forwards in time",
        "projector splitting, one of the substep solvers",
        "does not converge: an error of 0.33 where 8.7e-4 is right",
        "fig_defects",
    ),
    PaperRow(
        "codes-nodes",
        "Integrator codes, nodes of Runge-Kutta",
        "sums over the tableau without its first column",
        "order 1 for RK4 where F depends on time",
        "fig_defects",
    ),
    PaperRow(
        "codes-transpose",
        "Integrator codes, plain transpose",
        "where the conjugate transpose belongs",
        "an error of 100 % on complex data",
        "fig_defects",
    ),
    PaperRow(
        "codes-adjoint", "Integrator codes, A for A* in the L-step", "", "only symmetric problems work", "fig_defects"
    ),
    PaperRow("codes-cube", "Integrator codes, cube by pow", "x**3 for x * x * x", "150 times the cost", "fig_defects"),
    PaperRow(
        "repository-small-timing",
        "Repository, timing of 784-500-300-100-10",
        "time against compression",
        "stored in the repository only",
        scope=False,
        without="in no table of the paper; the width of Fig. 1 says more",
    ),
    PaperRow(
        "repository-transformer",
        "Repository, transformer",
        "Portuguese to English",
        "stored in the repository only",
        scope=False,
        without="in no table of the paper; there is no attention layer here",
    ),
    PaperRow(
        "supplement-proofs",
        "Supplement, proofs",
        "of Theorems 1 and 2",
        "constants that are not explicit",
        without="proofs with explicit constants are sketched in the documentation of matode.bounds",
        scope=False,
    ),
)
"""All rows, in the order of the page."""


@dataclass(frozen=True)
class Judged:
    """A row with what is known of it.

    Attributes
    ----------
    row : PaperRow
    verdict : Verdict
    ours : sequence of str
        What was measured, one text per comparison.
    section : str
        The figure to look at; empty where it was not drawn.
    quick : bool
        Whether the numbers are from quick runs.
    """

    row: PaperRow
    verdict: Verdict
    ours: Sequence[str]
    section: str
    quick: bool


def check(keys: Iterable[str]) -> None:
    """Raise a ValueError, with the nearest one, for a key that no row has."""
    known = [row.key for row in ROWS]
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            raise ValueError(f"the paper's list has no row {key!r}: did you mean {near[0]!r}?")


def judged(sections: Mapping[str, Mapping[str, Any]]) -> list[Judged]:
    """Return every row with the verdicts of the figures that were drawn.

    Parameters
    ----------
    sections : mapping
        What :func:`paper_figures.output.load` returns, by the name of the figure.
    """
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for name, section in sections.items():
        for comparison in section["comparisons"]:
            for key in comparison["rows"]:
                found.setdefault(key, []).append((name, comparison))
    return [_judged(row, found.get(row.key, [])) for row in ROWS]


def _judged(row: PaperRow, found: Sequence[tuple[str, Mapping[str, Any]]]) -> Judged:
    if not found:
        return Judged(row, _unknown(row), (), "", False)
    given = [Verdict(Status(c["verdict"]["status"]), c["verdict"]["why"]) for _, c in found]
    ours = [f"{c['what']}: {c['ours']}" for _, c in found if c["ours"]]
    return Judged(row, verdicts.overall(given), ours, found[0][0], any(c["quick"] for _, c in found))


def _unknown(row: PaperRow) -> Verdict:
    if not row.scope:
        return verdicts.out_of_scope(row.without)
    if row.without:
        return verdicts.not_run(row.without)
    try:
        needed = registry.get(row.figure).experiments
    except ValueError:  # not drawn by this version
        needed = ()
    commands = [*(stored.plan(name) for name in needed), f"python -m paper_figures {row.figure}"]
    return verdicts.not_run("; ".join(commands))
