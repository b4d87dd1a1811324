"""What a step with Euler substeps adds to the bases of a block, and the augmented step in one piece.

K = U S + h F V adds to range(U) what F V does, so that K, L and their products need not be formed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from matode._array import Array, as_dtype, finite, frobenius, mH, namespace, shifted
from matode.evaluations import foreseeing
from matode.flows import nonfinite_field, run_away
from matode.integrators.wide import Wide
from matode.linalg import complement
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation
from matode.rows import inner

__all__ = ["Action", "Innovation", "actions", "galerkin_euler", "innovation"]


def galerkin_euler(
    F: Sequence[Evaluation], t: float, h: float, Y: Sequence[Block], negligible: float = 0.0
) -> list[Block | Wide]:
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
    moved: list[Block | Wide] = []
    for i, (f, y) in enumerate(zip(F, Y, strict=True)):
        step = _moved(f, h, y, negligible) if isinstance(y, LowRank) else _shifted(f, h, y)
        if step is None:
            raise nonfinite_field(t, i, y)
        if not finite(step.S if isinstance(step, Wide) else step):
            raise run_away("S" if isinstance(y, LowRank) else "dense", t, h, i, y)
        moved.append(step)
    return moved


def _shifted(f: Evaluation, h: float, y: Array) -> Array | None:
    direction = as_dtype(f.full(), y.dtype)
    return shifted(y, h, direction) if finite(direction) else None


def _moved(f: Evaluation, h: float, y: LowRank, negligible: float) -> Wide | None:
    """Return a block at t + h in its augmented bases; None where F is not finite."""
    found = innovation(f, h, y, negligible)
    if found is None:
        return None
    xp, S = namespace(y.S), y.S
    upper = xp.concat([S + h * found.F11, h * found.F12], axis=1)
    lower = xp.concat([h * found.F21, h * found.F22()], axis=1)
    return Wide((y.U, found.U1), xp.concat([upper, lower], axis=0), (y.V, found.V1))


class Innovation(NamedTuple):
    """New columns, and the blocks of ``[U, U1]* F [V, V1]``; the last one is formed when it is asked for."""

    U1: Array
    V1: Array
    F11: Array
    F12: Array
    F21: Array
    F22: Callable[[], Array]


def innovation(f: Evaluation, h: float, y: LowRank, negligible: float = 0.0) -> Innovation | None:
    """Return what ``U S + h F V`` and ``V S* + h F* U`` add to the bases of a block; None where F is not finite.

    A product ``delta* x`` of rows is met through these; where they are fewer than 2 r, F V is not formed either.
    """
    U, S, V = y.U, y.S, y.V
    size = {"scale": frobenius(S) / abs(h) if h else math.inf, "negligible": negligible}  # of K and L in units of h
    thin = _thin(f, y)
    if thin is not None:
        met = _met(thin, y)
        if met is None:
            return None
        (X, C, inside), (Z, D, within) = met
        U1 = complement(U, X, inside=inside, mixing=C, **size)
        V1 = complement(V, Z, inside=within, mixing=D, **size)
        d, x, d_U, x_V = thin
        if C is None:
            return Innovation(U1, V1, inside, mH(Z) @ V1, mH(U1) @ X, lambda: _long(U1, d) @ mH(_long(V1, x)))
        d_U1, x_V1 = _long(U1, d), _long(V1, x)
        return Innovation(U1, V1, mH(d_U) @ x_V, mH(d_U) @ mH(x_V1), d_U1 @ x_V, lambda: d_U1 @ mH(x_V1))
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
    """Return ``F V`` and ``F* U``, that with V in place of U; None where F is not finite."""
    thin = _thin(f, y)
    if thin is not None:
        return _met(thin, y)
    FV, FU = as_dtype(f.right(y.V), y.dtype), as_dtype(f.left(y.U), y.dtype)
    if not (finite(FV) and finite(FU)):
        return None
    F11 = inner(y.U, FV)
    return Action(FV, None, F11), Action(FU, None, mH(F11))


def _met(thin: Sequence[Array], y: LowRank) -> tuple[Action, Action] | None:
    """Return the actions of a product of rows: through the rows where they are fewer than 2 r."""
    d, x, d_U, x_V = thin
    if not (finite(d_U) and finite(x_V)):
        return None
    if d.shape[0] < 2 * min(y.S.shape):
        return Action(mH(d), x_V, mH(d_U)), Action(mH(x), d_U, mH(x_V))
    F11 = mH(d_U) @ x_V
    return Action(mH(d) @ x_V, None, F11), Action(mH(x) @ d_U, None, mH(F11))


def _thin(f: Evaluation, y: LowRank) -> Sequence[Array] | None:
    """Return the rows d and x of a product ``F = d* x`` with ``d U`` and ``x V``; None for another F, or dtype."""
    thin = f.thin(y.U, y.V) if hasattr(f, "thin") else None
    return thin if thin is not None and all(X.dtype == y.dtype for X in thin) else None


def _long(B: Array, rows: Array) -> Array:
    """Return ``B* rows*``, the way round that is faster where the rows lie side by side in memory."""
    return mH(B) @ mH(rows)
