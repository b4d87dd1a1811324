"""The end of every rank-adaptive step: cut the cores, and report what that discarded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matode.integrators.unformed import Unformed
from matode.integrators.wide import Wide
from matode.lowrank import LowRank
from matode.protocols import Block, State
from matode.truncation import PerBlock, Rank, Relative, Truncation

__all__ = ["rank_of", "rules_of", "to_ranks", "truncated"]


def truncated(Y: Sequence[Block | Wide | Unformed], rule: Truncation | None) -> tuple[State, dict[str, Any]]:
    """Return the state with every low-rank block cut by ``rule``, and the step's ``info``.

    Parameters
    ----------
    Y : sequence of blocks
        Low-rank blocks with orthonormal bases, or such bases that are not joined yet; dense blocks stay as they are.
    rule : Truncation or None
        None is ``Relative(1e-10)``.

    Returns
    -------
    State
    dict
        ``truncation_error``, the discarded Frobenius norm per block, and ``capped``, whether the rank's maximum made it
        more than the tolerance.
    """
    blocks: list[Block] = []
    errors: list[float] = []
    capped = False
    for y, own in zip(Y, rules_of(Y, rule), strict=True):
        discarded = 0.0
        if isinstance(y, LowRank | Wide | Unformed):
            wide = Wide.of(y) if isinstance(y, LowRank) else y
            y, s, discarded = wide.truncated(own)
            capped = capped or own.is_capped(s, discarded)
        blocks.append(y)
        errors.append(discarded)
    return State(blocks), {"truncation_error": tuple(errors), "capped": capped}


def rules_of(Y: Sequence[Block | Wide | Unformed], rule: Truncation | None) -> list[Truncation]:
    """Return the rule of every block; that of a dense block means nothing."""
    given = Relative(1e-10) if rule is None else rule
    rules = iter(given.for_blocks(sum(isinstance(y, LowRank | Wide | Unformed) for y in Y)))
    return [next(rules) if isinstance(y, LowRank | Wide | Unformed) else given for y in Y]


def rank_of(y: LowRank) -> int:
    """Return the rank that a fixed-rank method keeps."""
    return int(min(y.S.shape))


def to_ranks(Y: Sequence[Block], like: Sequence[Block]) -> State:
    """Return the state with every low-rank block cut to the rank that the block has in ``like``."""
    return truncated(Y, PerBlock(*(Rank(rank_of(z)) for z in like if isinstance(z, LowRank))))[0]
