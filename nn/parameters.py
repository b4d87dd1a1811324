"""Counting parameters, as the low-rank training literature does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from matode.lowrank import LowRank
from nn.module import Module, leaves

__all__ = ["Parameters", "count_by_layer", "count_parameters", "ranks"]


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
        return 1.0 - self.evaluation / self.dense if self.dense else 0.0

    @property
    def training_compression(self) -> float:
        """The share of the dense network that is saved in training, 1 - training / dense; may be negative."""
        return 1.0 - self.training / self.dense if self.dense else 0.0


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


def count_by_layer(model: Module, blocks: Sequence[Any], *, biases: bool = True) -> tuple[tuple[str, Parameters], ...]:
    """Return, for each layer with weights in order, what it is called and the parameters of its blocks.

    Raises
    ------
    ValueError
        If the number of blocks is not that of the network.
    """
    if len(blocks) != model.n_blocks:
        raise ValueError(f"count_by_layer: the layers own {model.n_blocks} blocks, got {len(blocks)}")
    counts: list[tuple[str, Parameters]] = []
    start = 0
    for layer in leaves(model):
        stop = start + layer.n_blocks
        if layer.n_blocks:
            counts.append((str(layer), count_parameters(blocks[start:stop], biases=biases)))
        start = stop
    return tuple(counts)


def ranks(blocks: Sequence[Any]) -> tuple[int, ...]:
    """Return the ranks of the low-rank blocks, in order."""
    return tuple(block.rank for block in blocks if isinstance(block, LowRank))
