"""States: from what a user passes as Y0 to blocks with orthonormal bases and square cores, and their arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any, NamedTuple

from matode._array import Array, as_dtype, eps, finite, from_host, host, is_array, is_floating, mH, namespace
from matode.linalg import orthonormality_defect, qr, truncated_svd
from matode.lowrank import LowRank
from matode.protocols import Block, State
from matode.truncation import Rank, Relative, Truncation

__all__ = ["Start", "combined", "core_norm", "entry_norm", "initial_state", "norm"]


class Start(NamedTuple):
    """The initial state, whether it is a single matrix, and how far it is from the Y0 that was given."""

    Y: State
    single: bool
    error: float = 0.0


def norm(Y: Sequence[Block]) -> float:
    """Return the Frobenius norm of all blocks together."""
    return math.hypot(*(y.norm() if isinstance(y, LowRank) else entry_norm(y) for y in Y))


def core_norm(Y: Sequence[Block]) -> float:
    """Return the Frobenius norm of a state whose bases are orthonormal, from its cores alone."""
    return math.hypot(*(entry_norm(y.S if isinstance(y, LowRank) else y) for y in Y))


def combined(*terms: tuple[float, Sequence[Block]]) -> State:
    """Return the sum of ``c * Y`` over the terms ``(c, Y)``, block by block; sums of low-rank blocks stay lazy."""
    weights, states = zip(*terms, strict=True)
    return State(
        reduce(add, (c * block for c, block in zip(weights, blocks, strict=True)))
        for blocks in zip(*states, strict=True)
    )


def entry_norm(x: Array) -> float:
    """Return the Euclidean norm of all entries of an array of any shape."""
    return float(namespace(x).linalg.vector_norm(x))


def initial_state(Y0: Any, truncation: Truncation | None) -> Start:
    """Return the initial state with orthonormal bases.

    Parameters
    ----------
    Y0 : LowRank, (U, S, V), array, or tuple of blocks
        Factors are not truncated: their rank is kept, their bases are orthonormalised. A dense array is truncated, by
        ``truncation`` or at 1e-10 relative. A tuple with a LowRank in it, or a ``State``, is a system of several
        blocks, whose arrays stay dense.

    Raises
    ------
    TypeError, ValueError
        With one sentence that says what is wrong with Y0.
    """
    if isinstance(Y0, State) or (isinstance(Y0, tuple | list) and any(isinstance(B, LowRank) for B in Y0)):
        if not Y0:
            raise ValueError("Y0 has no blocks")
        return Start(State(_block(B, i) for i, B in enumerate(Y0)), False)
    if isinstance(Y0, tuple | list):
        if len(Y0) != 3 or not all(is_array(X) for X in Y0):
            raise ValueError(
                f"Y0 must be a LowRank, three arrays (U, S, V), a dense array, or a State of blocks, got a "
                f"{type(Y0).__name__} of {len(Y0)}"
            )
        Y0 = LowRank(*(_floating(X) for X in Y0))
    elif is_array(Y0):
        Y, error = _truncated(_floating(Y0), truncation)
        return Start(State((Y,)), True, error)
    if not isinstance(Y0, LowRank):
        raise TypeError(f"Y0 must be a LowRank, (U, S, V), a dense array or a State, got {type(Y0).__name__}")
    return Start(State((_low_rank(Y0, "Y0"),)), True)


def _block(block: Any, i: int) -> Block:
    if isinstance(block, LowRank):
        return _low_rank(block, f"block {i} of Y0")
    if not is_array(block):
        raise TypeError(f"block {i} of Y0 must be a LowRank or an array, got {type(block).__name__}")
    block = _floating(block)
    if not finite(block):
        raise ValueError(f"block {i} of Y0 contains NaN or inf")
    return block


def _floating(X: Array) -> Array:
    """Return X in a floating-point dtype: integers become the namespace's float64."""
    return X if is_floating(X) else as_dtype(X, namespace(X).float64)


def _truncated(A: Array, truncation: Truncation | None) -> tuple[LowRank, float]:
    if A.ndim != 2 or 0 in A.shape:
        raise ValueError(f"a dense Y0 must be a matrix with at least one row and column, got shape {tuple(A.shape)}")
    if not finite(A):
        raise ValueError("Y0 contains NaN or inf")
    if isinstance(truncation, Rank) and truncation.r > min(A.shape):
        m, n = A.shape
        raise ValueError(f"a {m} x {n} matrix cannot have rank {truncation.r}: ask for at most {min(m, n)}")
    P, s, Q, discarded = truncated_svd(A, Relative(1e-10) if truncation is None else truncation)
    return LowRank(P, from_host(host.diag(s), A, A.dtype), Q), discarded


def _low_rank(Y: LowRank, what: str) -> LowRank:
    """Return the same matrix with orthonormal bases and a square core; factors that have them stay untouched."""
    U, S, V = Y.U, Y.S, Y.V
    (m, p), (n, q) = U.shape, V.shape
    if p == 0 or q == 0:
        raise ValueError(f"{what} has rank 0: give it at least one column (a zero matrix may have S = 0)")
    if p > m or q > n:
        raise ValueError(
            f"{what} is {m} x {n} and cannot have rank {max(p, q)}: the factors U {tuple(U.shape)} and V "
            f"{tuple(V.shape)} have more columns than rows (call .truncate() on it first)"
        )
    if not (finite(U) and finite(S) and finite(V)):
        raise ValueError(f"{what} contains NaN or inf")
    tolerance = 100 * eps(U)
    if orthonormality_defect(U) > tolerance:
        U, R = qr(U)
        S = R @ S
    if orthonormality_defect(V) > tolerance:
        V, R = qr(V)
        S = S @ mH(R)
    if p < q:
        Q, R = qr(mH(S))
        S, V = mH(R), V @ Q
    elif p > q:
        Q, S = qr(S)
        U = U @ Q
    return LowRank(U, S, V)
