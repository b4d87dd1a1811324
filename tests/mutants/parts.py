"""The correct parts that the wrong integrators are assembled of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from matode._array import Array, from_host, host, mH
from matode.linalg import qr
from matode.lowrank import LowRank
from matode.protocols import Block, State
from matode.truncation import Relative, Truncation

__all__ = ["core_of", "diagonal", "from_k", "from_l", "from_s", "low_rank", "moved", "projected", "rule_or_default"]


def moved(Y: Sequence[Block], Z: Sequence[Array], put: Callable[[LowRank, Array], LowRank]) -> State:
    """Return ``put(y, z)`` per low-rank block; a dense block is what the flow gave."""
    return State(put(y, z) if isinstance(y, LowRank) else z for y, z in zip(Y, Z, strict=True))


def low_rank(Y: Sequence[Block], change: Callable[[LowRank], LowRank]) -> State:
    """Return the state with ``change`` applied to the low-rank blocks."""
    return State(change(y) if isinstance(y, LowRank) else y for y in Y)


def from_k(y: LowRank, K: Array) -> LowRank:
    """Return ``Q R V*`` with ``K = Q R``."""
    return LowRank(*qr(K), y.V)


def from_l(y: LowRank, L: Array) -> LowRank:
    """Return ``U R* Q*`` with ``L = Q R``."""
    V, R = qr(L)
    return LowRank(y.U, mH(R), V)


def from_s(y: LowRank, S: Array) -> LowRank:
    """Return the block with another core."""
    return LowRank(y.U, S, y.V)


def core_of(y: LowRank, U: Array, V: Array) -> Array:
    """Return ``(U* U0) S0 (V0* V)``."""
    return (mH(U) @ y.U) @ y.S @ (mH(y.V) @ V)


def projected(y: LowRank, U: Array, V: Array) -> LowRank:
    """Return ``P_U Y P_V`` in the bases U and V."""
    return LowRank(U, core_of(y, U, V), V)


def diagonal(s: host.ndarray, like: Array) -> Array:
    """Return the diagonal core of host singular values, of the kind of ``like``."""
    return from_host(host.diag(s), like, like.dtype)


def rule_or_default(rule: Truncation | None) -> Any:
    """Return the rule, or what the catalogue takes where none is given."""
    return Relative(1e-10) if rule is None else rule
