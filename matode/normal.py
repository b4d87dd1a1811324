"""The normal component of a field, and the wider start that contains it.

At ``Y = U S V*`` the normal component ``N = (I - P_U) F (I - P_V)`` is what no combination of the two bases reaches.
Its share of a step's error shrinks only like h: a smaller step is a poor answer to it, a wider basis the right one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matode._array import Array, as_dtype, default_rng, from_host, host, is_complex, mH, namespace
from matode.integrators.augmenting import Augmented
from matode.linalg import complement
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, State
from matode.truncation import Absolute

__all__ = ["normal_component", "normal_size", "probed_size", "widened"]

_PROBES = 6  # of a field that is known by its products alone


def normal_component(F: Evaluation, Y: LowRank) -> LowRank | None:
    """Return ``(I - P_U) F (I - P_V)`` as a low-rank value, or None where F has no low-rank form.

    Parameters
    ----------
    F : Evaluation
        The field at Y, (m, n).
    Y : LowRank
        With orthonormal bases.
    """
    factors = F.factors()
    if factors is None:
        return None
    factors = factors.astype(Y.dtype)
    return LowRank(_outside(Y.U, factors.U), factors.S, _outside(Y.V, factors.V))


def normal_size(F: Sequence[Evaluation], Y: Sequence[Block]) -> float:
    """Return the Frobenius norm of the normal components of all low-rank blocks together.

    Exact where the field has low-rank factors; an estimate from a few random products elsewhere (its square is right on
    average).
    """
    sizes = [0.0]
    for f, y in zip(F, Y, strict=True):
        if isinstance(y, LowRank):
            N = normal_component(f, y)
            sizes.append(probed_size(f, y) if N is None else N.norm())
    return math.hypot(*sizes)


def widened(F: Sequence[Evaluation], Y: Sequence[Block], tolerance: float) -> State:
    """Return the same state in bases that contain the normal component up to ``tolerance``.

    The new columns carry zeros in the core: the value is the same, and a rank-adaptive step that starts there sees the
    directions from the beginning.

    Parameters
    ----------
    F : sequence of Evaluation
        The field at Y.
    Y : sequence of blocks
        With orthonormal bases; dense blocks stay as they are.
    tolerance : float
        Frobenius norm of the normal component that may be left out of each block. A field that is known by its products
        alone adds at most as many directions as the block has, or a few.
    """
    return State(_widened(f, y, tolerance) if isinstance(y, LowRank) else y for f, y in zip(F, Y, strict=True))


def _widened(f: Evaluation, y: LowRank, tolerance: float) -> LowRank:
    N = normal_component(f, y)
    if N is not None:
        Z = N.truncate(Absolute(tolerance))
        return Augmented(complement(y.U, Z.U), complement(y.V, Z.V)).value(y)
    U1 = complement(y.U, as_dtype(f.right(_probes(y.V, max(_PROBES, y.rank))), y.dtype))
    V1 = complement(y.V, as_dtype(f.left(U1), y.dtype))
    return Augmented(U1, V1).value(y)


def probed_size(f: Evaluation, y: LowRank) -> float:
    """Estimate the norm of a normal component N: root mean square of ``||N w||`` over a few Gaussian vectors w."""
    G = _outside(y.U, as_dtype(f.right(_probes(y.V, _PROBES)), y.dtype))
    return float(namespace(G).linalg.vector_norm(G)) / math.sqrt(_PROBES)


def _probes(V: Array, k: int) -> Array:
    """Draw k Gaussian vectors, always the same, and take the range of V out of them."""
    rng = default_rng(0)
    W = rng.standard_normal((V.shape[0], k))
    if is_complex(V):
        W = (W + 1j * rng.standard_normal(W.shape)) / host.sqrt(2.0)
    return _outside(V, from_host(W, V, V.dtype))


def _outside(U: Array, X: Array) -> Array:
    return X - U @ (mH(U) @ X)
