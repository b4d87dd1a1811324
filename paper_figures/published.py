"""Numbers that the literature reports, for comparison with ours.

S. Schotthoefer, E. Zangrando, J. Kusch, G. Ceruti and F. Tudisco, Low-rank lottery tickets: finding efficient
low-rank neural networks via matrix differential equations, NeurIPS 2022, arXiv:2205.13571, and the results stored
in its public repository.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["DENSE_500", "WIDTH_500", "TauRow"]


class TauRow(NamedTuple):
    """One column of the table of tolerances: 784-500-500-500-500-10 on MNIST.

    Attributes
    ----------
    tau : float
        Relative truncation tolerance.
    accuracy : float
        Test accuracy in % after fixed-rank fine-tuning.
    before_tuning : float
        Test accuracy in % at the end of the adaptive phase.
    ranks : tuple of int
        Of the four low-rank layers.
    """

    tau: float
    accuracy: float
    before_tuning: float
    ranks: tuple[int, ...]

    @property
    def ranks_text(self) -> str:
        """The ranks as text."""
        return " ".join(map(str, self.ranks))

    @property
    def parameters(self) -> int:
        """Numbers to evaluate the net: r (m + n) per low-rank layer, and the dense head; biases are left out."""
        return sum(r * (m + n) for r, (m, n) in zip(self.ranks, _SHAPES, strict=True)) + 500 * 10


_SHAPES = ((500, 784), (500, 500), (500, 500), (500, 500))

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

DENSE_500 = 98.54
"""Test accuracy in % of the dense net of width 500."""
