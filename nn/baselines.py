"""Baselines of low-rank training: vanilla W = A B^T, decaying starts, and truncated dense nets.

The dense baseline needs nothing of its own: a model without ranks, moved by ``FullRank(euler)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matode._array import Array, Backend, as_dtype, default_rng, from_host, get_backend, host, mH
from matode.linalg import qr, truncated_svd
from matode.lowrank import LowRank
from matode.protocols import Block, State
from matode.truncation import Absolute, Rank, Truncation
from nn.autodiff import apply, define
from nn.module import Module, initial_buffers
from nn.passes import Pass

__all__ = ["TwoFactors", "decayed", "product", "prune", "split", "two_factors"]


@dataclass(frozen=True)
class TwoFactors:
    """A model whose low-rank weights are ``W = A B^T`` with two dense factors, all of them trained as they are.

    The vanilla low-rank net that DLRT is compared with. It serves every layer that takes a low-rank weight, linear or
    convolutional. Make it with :func:`two_factors`.

    Parameters
    ----------
    model : Module
        With low-rank weights.
    low_rank : tuple of bool
        Which blocks of the model are low-rank: each of them becomes two blocks here, A (m, r) and B (n, r).
    """

    model: Module
    low_rank: tuple[bool, ...]

    @property
    def n_blocks(self) -> int:
        """The blocks of the model, those of low rank twice."""
        return len(self.low_rank) + sum(self.low_rank)

    def init(self, rng: host.random.Generator, backend: Backend, dtype: str = "float32") -> State:
        """Draw the weights of the model, of He's norm whatever the width, and split them evenly."""
        return split(self.model.init(rng, backend, dtype))

    def buffers(self, backend: Backend, dtype: str = "float32") -> tuple[Array, ...]:
        """Return the running statistics with which the model starts."""
        return initial_buffers(self.model, backend, dtype)

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return the output of the model.

        Raises
        ------
        ValueError
            If the number of blocks is not that of the model.
        """
        if len(blocks) != self.n_blocks:
            raise ValueError(f"TwoFactors: the model has {self.n_blocks} blocks, got {len(blocks)}")
        given = iter(blocks)
        weights = [product(next(given), next(given)) if low else next(given) for low in self.low_rank]
        return self.model.forward(weights, x, *(() if context is None else (context,)))


def two_factors(model: Module) -> TwoFactors:
    """Return the vanilla low-rank form of a model; its blocks are drawn once to see which have a low rank.

    Raises
    ------
    ValueError
        If the model has no low-rank weight.
    """
    low_rank = tuple(isinstance(y, LowRank) for y in model.init(default_rng(0), get_backend()))
    if not any(low_rank):
        raise ValueError("two_factors: the model has no low-rank weight: give its layers a rank")
    return TwoFactors(model, low_rank)


def product(A: Any, B: Any) -> Any:
    """Return the low-rank weight ``A B^T`` of two factors, arrays or ``Var``, as something to differentiate for both.

    Its cotangent is the gradient G of the weight, known by its actions: the factors get ``G B`` and ``G^T A``.
    """
    return apply("two_factors", A, B)


def split(Y: Sequence[Block]) -> State:
    """Return the state of a :class:`TwoFactors` model with the same weights.

    The singular values are split evenly: ``A = U P s^(1/2)`` and ``B = V Q s^(1/2)``, with ``S = P s Q*``. With it,
    DLRT and the vanilla form start from the same matrices.
    """
    blocks: list[Any] = []
    for y in Y:
        blocks += _factors(y) if isinstance(y, LowRank) else [y]
    return State(blocks)


def decayed(Y: Sequence[Block], base: float, *, norm: float | None = None) -> State:
    """Return the state with singular values that decay like ``base**-k``, in the singular bases of each weight.

    Parameters
    ----------
    Y : sequence of blocks
        Dense blocks stay as they are.
    base : float
        10 or 2 in the experiments of the DLRT paper; 1 makes all singular values equal.
    norm : float, optional
        Frobenius norm of the result; that of the weight where not given, so that the signal does not vanish.

    Raises
    ------
    ValueError
        If the base is below 1.
    """
    if not base >= 1.0:
        raise ValueError(f"decayed: the base must be at least 1, got {base}")
    blocks: list[Any] = []
    for y in Y:
        if isinstance(y, LowRank):
            P, s, Q = _svd(y)
            values = float(base) ** -host.arange(len(s))
            values *= (float(host.linalg.norm(s)) if norm is None else norm) / float(host.linalg.norm(values))
            y = LowRank(P, from_host(host.diag(values), P, P.dtype), Q)
        blocks.append(y)
    return State(blocks)


def prune(Y: Sequence[Block], rule: Truncation, blocks: Sequence[int] | None = None) -> State:
    """Return a trained net whose weight matrices are truncated: SVD pruning, or full-rank training then truncation.

    Parameters
    ----------
    Y : sequence of blocks
        Dense or low-rank.
    rule : Truncation
        Which rank to keep; a :class:`~matode.PerBlock` has one rule for each block that is pruned.
    blocks : sequence of int, optional
        Which blocks to prune; all matrices but the last of them, the head, where not given.

    Returns
    -------
    State
        With low-rank blocks, in the best approximation that their rank allows. To retrain at fixed rank, start
        :func:`nn.train.train` from it with a :class:`~nn.optim_phases.FrozenRank` integrator; the layers take dense
        and low-rank weights alike.
    """
    chosen = [i for i, y in enumerate(Y) if len(y.shape) == 2][:-1] if blocks is None else list(blocks)
    rules = dict(zip(chosen, rule.for_blocks(len(chosen)), strict=True))
    return State(_pruned(y, rules[i]) if i in rules else y for i, y in enumerate(Y))


def _pruned(y: Block, rule: Truncation) -> LowRank:
    if isinstance(y, LowRank):
        return y.truncate(rule)
    if isinstance(rule, Rank) and rule.r > min(y.shape):
        raise ValueError(f"prune: a weight of shape {tuple(y.shape)} has no rank {rule.r}")
    return LowRank.from_dense(y, rule)


def _svd(y: LowRank) -> tuple[Array, host.ndarray, Array]:
    """Return the singular bases and values of a weight, as many as its width."""
    (U, R), (V, T) = qr(y.U), qr(y.V)
    P, s, Q, _ = truncated_svd(R @ y.S @ mH(T), Absolute(0.0, min_rank=y.rank))
    return U @ P, s, V @ Q


def _factors(y: LowRank) -> list[Array]:
    P, s, Q = _svd(y)
    root = from_host(host.sqrt(s), P, P.dtype)[None, :]
    return [P * root, Q * root]


def _two_factors(A: Array, B: Array) -> tuple[LowRank, Any]:
    return LowRank(A, None, B), (A, B)


def _two_factors_vjp(G: Any, saved: Any, wanted: tuple[bool, ...]) -> tuple[Array | None, ...]:
    A, B = saved
    return (
        as_dtype(G.right(B), A.dtype) if wanted[0] else None,
        as_dtype(G.left(A), B.dtype) if wanted[1] else None,
    )


define("two_factors", _two_factors, _two_factors_vjp)
