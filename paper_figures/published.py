"""Numbers that the literature reports, for comparison with ours.

S. Schotthoefer, E. Zangrando, J. Kusch, G. Ceruti and F. Tudisco, Low-rank lottery tickets: finding efficient
low-rank neural networks via matrix differential equations, NeurIPS 2022, arXiv:2205.13571, and the results stored
in its public repository.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = [
    "ALL_LAYERS",
    "CIFAR",
    "COMPETITORS",
    "DECAY",
    "DENSE",
    "DENSE_500",
    "INFERENCE_SECONDS",
    "LENET5",
    "LENET5_DENSE",
    "LENET5_REPOSITORY",
    "PRUNED",
    "RETRAINED",
    "TRAINING_SECONDS",
    "WIDTHS",
    "WIDTH_500",
    "WIDTH_784",
    "AllLayersRow",
    "CifarRow",
    "DecayRow",
    "LeNetRow",
    "TauRow",
    "parameters_at",
]


class TauRow(NamedTuple):
    """One column of the tables of tolerances: 784-w-w-w-w-10 on MNIST.

    Attributes
    ----------
    tau : float
        Relative truncation tolerance.
    accuracy : float
        Test accuracy in % after fixed-rank fine-tuning.
    before_tuning : float or None
        Test accuracy in % at the end of the adaptive phase.
    ranks : tuple of int
        Of the four low-rank layers; empty where they are not known.
    width : int
        w.
    """

    tau: float
    accuracy: float
    before_tuning: float | None
    ranks: tuple[int, ...]
    width: int = 500

    @property
    def ranks_text(self) -> str:
        """The ranks as text."""
        return " ".join(map(str, self.ranks))

    @property
    def parameters(self) -> int:
        """Numbers to evaluate the net: r (m + n) per low-rank layer, and the dense head; biases are left out."""
        w = self.width
        return sum(r * (w + n) for r, n in zip(self.ranks, (784, w, w, w), strict=True)) + w * 10


WIDTH_500 = (
    TauRow(0.03, 98.49, 54.5, (176, 170, 171, 174)),
    TauRow(0.05, 98.56, 86.8, (81, 104, 111, 117)),
    TauRow(0.07, 98.52, 90.0, (52, 67, 73, 72)),
    TauRow(0.09, 98.34, 90.2, (35, 53, 51, 46)),
    TauRow(0.11, 98.11, 89.1, (27, 40, 37, 38)),
    TauRow(0.13, 97.50, 93.4, (20, 31, 32, 30)),
    TauRow(0.15, 97.22, 90.6, (17, 25, 26, 24)),
    TauRow(0.17, 96.90, 93.6, (13, 21, 24, 20)),
)
"""Figure 3 and its table, width 500."""

WIDTH_784 = (
    TauRow(0.03, 98.61, None, (), 784),
    TauRow(0.05, 98.59, None, (124, 120, 125, 126), 784),
    TauRow(0.07, 98.58, None, (), 784),
    TauRow(0.09, 98.49, None, (56, 67, 63, 59), 784),
    TauRow(0.11, 98.12, None, (), 784),
    TauRow(0.13, 97.95, None, (), 784),
    TauRow(0.15, 97.81, None, (22, 29, 27, 27), 784),
    TauRow(0.17, 97.40, None, (17, 23, 22, 23), 784),
)
"""The same, width 784; the ranks that are known to us."""

WIDTHS = {500: WIDTH_500, 784: WIDTH_784}

DENSE = {500: 98.54, 784: 98.53}
"""Test accuracy in % of the dense nets, by width."""

DENSE_500 = DENSE[500]


def parameters_at(row: TauRow) -> float:
    """Return the parameters of a row; where its ranks are not known, interpolated in log tau and log parameters.

    Below the smallest tau of known ranks it is the number there: fewer than published, so that no claim gets easier.
    """
    if row.ranks:
        return row.parameters
    known = [other for other in WIDTHS[row.width] if other.ranks]
    below, above = ([r for r in known if (r.tau < row.tau) == side] for side in (True, False))
    if not below:
        return above[0].parameters
    a, b = below[-1], above[0]
    share = math.log(row.tau / a.tau) / math.log(b.tau / a.tau)
    return math.exp((1 - share) * math.log(a.parameters) + share * math.log(b.parameters))


class LeNetRow(NamedTuple):
    """One row on LeNet5 and MNIST.

    Attributes
    ----------
    name : str
        Of the method, or tau.
    accuracy : float
        Test accuracy in %.
    parameters : int
        To evaluate the net, V and the head counted.
    deviation : float or None
        Of the accuracy over five runs.
    ranks : tuple of int
        Of the low-rank layers; empty where there are none, or they are not known.
    """

    name: str
    accuracy: float
    parameters: int
    deviation: float | None = None
    ranks: tuple[int, ...] = ()


LENET5 = (
    LeNetRow("0.11", 98.0, 47_975, None, (15, 46, 13)),
    LeNetRow("0.15", 97.8, 34_435, None, (13, 31, 9)),
    LeNetRow("0.2", 97.2, 25_650, None, (10, 20, 7)),
    LeNetRow("0.3", 95.3, 15_520, None, (6, 9, 4)),
)
"""Table 1, DLRT by tau; the head is dense."""

COMPETITORS = (
    LeNetRow("SSL", 99.18, 110_000),
    LeNetRow("NISP", 99.0, 100_000),
    LeNetRow("GAL", 98.97, 30_000),
    LeNetRow("LRNN", 98.67, 18_075),
    LeNetRow("SVD prune", 94.0, 123_646),
)
"""Table 1, the other methods; SSL after fine-tuning."""

LENET5_DENSE = 99.2
"""Table 1, test accuracy in % of the dense net with 430,500 parameters."""

LENET5_REPOSITORY = (
    LeNetRow("0.09", 98.16, 98_700, 0.26, (10, 23, 62)),
    LeNetRow("0.11", 98.21, 78_850, 0.44, (10, 20, 48)),
    LeNetRow("0.13", 97.87, 62_305, 0.49, (9, 16, 37)),
    LeNetRow("0.15", 98.14, 50_605, 0.33, (9, 16, 28)),
    LeNetRow("0.2", 98.12, 29_260, 0.34, (8, 8, 15)),
    LeNetRow("0.3", 97.45, 18_880, 0.48, (4, 6, 8)),
    LeNetRow("0.4", 95.97, 12_484, 0.95),
    LeNetRow("0.45", 94.07, 9_902, 0.49),
)
"""A later run of the repository by tau, V counted; the last two from their compression."""

PRUNED, RETRAINED = 10.0, (97.0, 98.5)
"""Test accuracy in % of the pruned net of width 784 before retraining, and the lowest and highest one after it."""


class DecayRow(NamedTuple):
    """LeNet5 of fixed rank from a start whose singular values decay like ``base**-k``: test accuracies in %."""

    base: float
    dlrt: float
    dlrt_deviation: float | None
    factors: float
    factors_deviation: float | None


DECAY = (
    DecayRow(1.0, 97.81, 0.14, 93.74, 1.39),
    DecayRow(2.0, 97.29, None, 90.91, None),
    DecayRow(10.0, 97.07, 0.65, 86.24, 4.6),
)
"""Figure 4: DLRT and W = U V*."""


class CifarRow(NamedTuple):
    """A net whose two wide fully connected layers are low-rank: accuracy and compression in %, ranks if known."""

    data: str
    model: str
    tau: float | None
    accuracy: float
    compression: float | None
    ranks: tuple[int, ...] = ()


CIFAR = (
    CifarRow("cifar-10", "alexnet", 0.1, 84.05, 86.3, (64, 74)),
    CifarRow("cifar-10", "vgg16", 0.1, 91.98, 56.0, (6, 6)),
    CifarRow("cifar-100", "alexnet", 0.08, 50.1, None),
    CifarRow("cifar-100", "vgg16", None, 62.7, None),
)
"""Table 2 on CIFAR-10; CIFAR-100 in the repository."""


class AllLayersRow(NamedTuple):
    """CIFAR-10 with all layers low-rank, tau = 0.1: test accuracy in % before and after fine-tuning of the cores."""

    model: str
    before: float
    after: float


ALL_LAYERS = (
    AllLayersRow("vgg16", 39.5, 67.7),
    AllLayersRow("alexnet", 42.9, 58.6),
    AllLayersRow("lenet5", 44.0, 58.7),
    AllLayersRow("resnet20", 45.8, 64.2),
)
"""In the repository, 20 epochs and 20 of fine-tuning."""

TRAINING_SECONDS: Mapping[int | None, float] = MappingProxyType(
    {None: 0.320, 5: 0.072, 10: 0.087, 20: 0.099, 40: 0.133, 80: 0.199, 160: 0.388, 320: 0.855}
)
"""Figure 1: seconds of one training step of five layers of width 5120 at batch 500, by rank; None is the dense net."""

INFERENCE_SECONDS: Mapping[int | None, float] = MappingProxyType(
    {None: 1.248, 5: 0.247, 20: 0.250, 80: 0.252, 160: 0.266, 320: 0.329, 640: 0.480, 1280: 0.797, 2560: 1.43}
)
"""Figure 1: seconds of inference with the same net, by rank; None is the dense net."""
