"""The end of every rank-adaptive step: cut the cores, and report what that discarded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matode._array import from_host, host
from matode.linalg import truncated_svd
from matode.lowrank import LowRank
from matode.protocols import Block, State
from matode.truncation import Relative, Truncation

__all__ = ["truncated"]


def truncated(Y: Sequence[Block], rule: Truncation | None) -> tuple[State, dict[str, Any]]:
    """Return the state with every low-rank block cut by ``rule``, and the step's ``info``.

    Parameters
    ----------
    Y : sequence of blocks
        Low-rank blocks with orthonormal bases; dense blocks stay as they are.
    rule : Truncation or None
        None is ``Relative(1e-10)``.

    Returns
    -------
    State
        With diagonal cores.
    dict
        ``truncation_error``, the discarded Frobenius norm per block, and ``capped``, whether the rank's maximum made it
        more than the tolerance.
    """
    rule = Relative(1e-10) if rule is None else rule
    rules = iter(rule.for_blocks(sum(isinstance(y, LowRank) for y in Y)))
    blocks: list[Block] = []
    errors: list[float] = []
    capped = False
    for y in Y:
        discarded = 0.0
        if isinstance(y, LowRank):
            rule = next(rules)
            P, s, Q, discarded = truncated_svd(y.S, rule)
            y = LowRank(y.U @ P, from_host(host.diag(s), P, P.dtype), y.V @ Q)
            capped = capped or rule.is_capped(s, discarded)
        blocks.append(y)
        errors.append(discarded)
    return State(blocks), {"truncation_error": tuple(errors), "capped": capped}
