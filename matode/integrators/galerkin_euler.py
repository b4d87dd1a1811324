"""What a step with Euler substeps adds to the bases of a block, and the augmented step in one piece.

K = U S + h F V adds to range(U) what F V does, so that K, L and their products need not be formed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from matode._array import Array, as_dtype, finite, frobenius, joined, mH, shifted
from matode.evaluations import Thin, foreseeing
from matode.flows import nonfinite_field, run_away
from matode.integrators.unformed import Unformed, by_rows
from matode.integrators.wide import Wide
from matode.linalg import complement
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation
from matode.rows import inner

__all__ = ["Action", "Innovation", "actions", "galerkin_euler", "innovation"]


def galerkin_euler(
    F: Sequence[Evaluation], t: float, h: float, Y: Sequence[Block], negligible: float = 0.0
) -> list[Block | Wide | Unformed]:
    """Return the state at t + h before the truncation.

    Parameters
    ----------
    F : sequence of evaluations
        The field at Y. One that offers ``thin`` is a product of matrices with few rows (:class:`nn.factored.Outer`).
    t, h : float
    Y : sequence of blocks
        With orthonormal bases.
    negligible : float
        Share of the new directions that may be left out, as :class:`~matode.AugmentedBUG` has it.

    Raises
    ------
    NonFiniteError
        If F is NaN or inf, or the step runs away.
    """
    return [_moved(f, t, h, i, y, negligible) for i, (f, y) in enumerate(zip(F, Y, strict=True))]


def _moved(f: Evaluation, t: float, h: float, i: int, y: Block, negligible: float) -> Block | Wide | Unformed:
    if not isinstance(y, LowRank):
        return _shifted(f, t, h, i, y)
    formed = partial(_widened, f, t, h, i, y, negligible)
    thin = _thin(f, y)
    quick = None if thin is None else by_rows(thin, h, y, negligible, formed)
    return formed() if quick is None else quick


def _shifted(f: Evaluation, t: float, h: float, i: int, y: Array) -> Array:
    direction = as_dtype(f.full(), y.dtype)
    if not finite(direction):
        raise nonfinite_field(t, i, y)
    moved = shifted(y, h, direction)
    if not finite(moved):
        raise run_away("dense", t, h, i, y)
    return moved


def _widened(f: Evaluation, t: float, h: float, i: int, y: LowRank, negligible: float) -> Wide:
    """Return a block at t + h in its augmented bases."""
    found = innovation(f, h, y, negligible)
    if found is None:
        raise nonfinite_field(t, i, y)
    upper = joined([y.S + h * found.F11, h * found.F12], 1)
    S = joined([upper, joined([h * found.F21, h * found.F22()], 1)], 0)
    if not finite(S):
        raise run_away("S", t, h, i, y)
    return Wide((y.U, found.U1), S, (y.V, found.V1))


class Innovation(NamedTuple):
    """New columns, and the blocks of ``[U, U1]* F [V, V1]``; the last one is formed when it is asked for."""

    U1: Array
    V1: Array
    F11: Array
    F12: Array
    F21: Array
    F22: Callable[[], Array]


def innovation(f: Evaluation, h: float, y: LowRank, negligible: float = 0.0) -> Innovation | None:
    """Return what ``U S + h F V`` and ``V S* + h F* U`` add to the bases of a block; None where F is not finite."""
    U, S, V = y.U, y.S, y.V
    size = {"scale": frobenius(S) / abs(h) if h else math.inf, "negligible": negligible}  # of K and L in units of h
    FV = as_dtype(f.right(V), y.dtype)
    if not finite(FV):
        return None
    F11 = inner(U, FV)
    U1 = complement(U, FV, inside=F11, **size)
    f = foreseeing(f, U1)
    FU = as_dtype(f.left(U), y.dtype)
    if not finite(FU):
        return None
    V1 = complement(V, FU, inside=mH(F11), **size)
    if y.products is not None:
        y.products.beside(U, U1)
        y.products.beside(V, V1)
    return Innovation(U1, V1, F11, inner(FU, V1), inner(U1, FV), lambda: as_dtype(f.galerkin(U1, V1), y.dtype))


class Action(NamedTuple):
    """The product ``F V`` as ``X C``, None being the identity, and ``inside = U* X``."""

    X: Array
    C: Array | None
    inside: Array


def actions(f: Evaluation, y: LowRank) -> tuple[Action, Action] | None:
    """Return ``F V`` and ``F* U``, that with V in place of U; None where F is not finite.

    A product ``d* x`` of fewer than 2 r rows acts through these.
    """
    thin = _thin(f, y)
    if thin is None:
        FV, FU = as_dtype(f.right(y.V), y.dtype), as_dtype(f.left(y.U), y.dtype)
        if not (finite(FV) and finite(FU)):
            return None
        F11 = inner(y.U, FV)
        return Action(FV, None, F11), Action(FU, None, mH(F11))
    d, x, d_U, x_V = thin
    if d.shape[0] < 2 * min(y.S.shape):
        return Action(mH(d), x_V, mH(d_U)), Action(mH(x), d_U, mH(x_V))
    F11 = mH(d_U) @ x_V
    return Action(f.right(y.V), None, F11), Action(f.left(y.U), None, mH(F11))


def _thin(f: Evaluation, y: LowRank) -> Thin | None:
    """Return the rows of a product ``F = d* x``, and these on the bases of y; None for another F, NaN or dtype."""
    thin: Thin | None = f.thin(y.U, y.V) if hasattr(f, "thin") else None
    if thin is None or any(X.dtype != y.dtype for X in thin):
        return None
    return thin if finite(thin.along_u) and finite(thin.along_v) else None
