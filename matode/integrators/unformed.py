"""A step by Euler's method along a product of few rows, cut before the new columns of its bases are formed.

Where F is ``d* x``, what K = U S + h F V adds to the basis U is found by one Gram matrix, and what a cut keeps of it by
two products as long as the basis, in place of a projection, an orthonormalisation, its repair and as many products.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from matode._array import Array, finite, frobenius, host, mH
from matode.evaluations import Thin
from matode.integrators.columns import Columns, columns
from matode.integrators.wide import Wide, diagonalised
from matode.linalg import truncated_svd
from matode.lowrank import LowRank
from matode.truncation import Truncation

__all__ = ["Unformed", "by_rows"]


class Unformed(NamedTuple):
    """The matrix ``[left] S [right]*``; ``formed`` returns the same in columns that are there."""

    left: Columns
    S: Array
    right: Columns
    formed: Callable[[], Wide]

    def joined(self) -> LowRank:
        """Return the block in orthonormal bases, as wide as they need to be."""
        return self.formed().joined()

    def truncated(self, rule: Truncation) -> tuple[LowRank, host.ndarray, float]:
        """Return the block cut by ``rule``, its singular values, and the norm of what is discarded."""
        P, s, Q, discarded = truncated_svd(self.S, rule, double=True)
        left = self.left.turned(P)
        right = None if left is None else self.right.turned(Q)
        if left is None or right is None:
            return self.formed().truncated(rule)
        return diagonalised(left, s, right), s, discarded


def by_rows(thin: Thin, h: float, y: LowRank, negligible: float, formed: Callable[[], Wide]) -> Unformed | None:
    """Return the augmented step ``y + h d* x`` of a block; None where it takes columns that are formed.

    Parameters
    ----------
    thin : Thin
        Of the bases of y, with the dtype of y, and finite.
    h : float
    y : LowRank
        ``U S V*`` with orthonormal bases.
    negligible : float
        See :func:`~matode.integrators.columns.columns`.
    formed : callable
        Returns the step in columns that are formed.
    """
    if thin.d.shape[0] == 0:
        return None
    spanned = partial(columns, scale=frobenius(y.S) / abs(h) if h else math.inf, negligible=negligible)
    left = spanned(y.U, thin.d, thin.along_u, thin.along_v)
    right = None if left is None else spanned(y.V, thin.x, thin.along_v, thin.along_u)
    if left is None or right is None:
        return None
    S = h * (mH(left.coordinates) @ right.coordinates)
    p, q = y.S.shape
    S[:p, :q] += y.S
    return Unformed(left, S, right, formed) if finite(S) else None
