"""Counting parameters, as the low-rank training literature does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from matode.lowrank import LowRank

__all__ = ["Parameters", "count_parameters", "ranks"]


class Parameters(NamedTuple):
    """How many numbers a network needs.

    Attributes
    ----------
    evaluation : int
        To evaluate it: r (m + n) for an m x n weight of rank r, kept as (U S, V), and every entry of a dense block.
    training : int
        To train it by an augmenting integrator: 2 r (m + n) + 4 r^2, and every entry of a dense block.
    dense : int
        Of the same network with dense weights.
    """

    evaluation: int
    training: int
    dense: int

    @property
    def compression(self) -> float:
        """The share of the dense network that is saved in evaluation, 1 - evaluation / dense; may be negative."""
        return 1.0 - self.evaluation / self.dense


def count_parameters(blocks: Sequence[Any], *, biases: bool = True) -> Parameters:
    """Count the parameters of a state.

    Parameters
    ----------
    blocks : sequence of LowRank or array
        The weights of a network.
    biases : bool
        Whether one-dimensional blocks count; the tables of the DLRT paper leave them out.

    References
    ----------
    Schotthoefer, Zangrando, Kusch, Ceruti and Tudisco, "Low-rank lottery tickets", NeurIPS 2022, section 5.
    """
    evaluation = training = dense = 0
    for block in blocks:
        size = math.prod(block.shape)
        if isinstance(block, LowRank):
            r, (m, n) = block.rank, block.shape
            evaluation += r * (m + n)
            training += 2 * r * (m + n) + 4 * r * r
            dense += size
        elif biases or block.ndim > 1:
            evaluation += size
            training += size
            dense += size
    return Parameters(evaluation, training, dense)


def ranks(blocks: Sequence[Any]) -> tuple[int, ...]:
    """Return the ranks of the low-rank blocks, in order."""
    return tuple(block.rank for block in blocks if isinstance(block, LowRank))
