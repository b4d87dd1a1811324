"""What an analysis needs to know of a solve: how large the field is, and its part outside the tangent space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matode import LowRank
from matode._array import as_dtype, mH, namespace
from matode.evaluations import as_evaluation
from matode.linalg import qr

__all__ = ["Recorded", "frobenius", "measure"]


def frobenius(X: Any) -> float:
    """Return the Frobenius norm of a dense array, as a number on the host."""
    xp = namespace(X)
    return float(xp.linalg.vector_norm(X))


def measure(F: Any, Y: LowRank) -> tuple[float, float]:
    """Return ``||N||`` and ``||F||``, with the normal component ``N = (I - P_U) F (I - P_V)`` at Y.

    Parameters
    ----------
    F : evaluation or array
        F(t, Y). It is formed as an m x n array: this is for matrices of moderate size.
    Y : LowRank
        The projections are onto the ranges of its factors U and V, which need not be orthonormal.
    """
    dense = as_evaluation(F, None).full()
    U, V = (as_dtype(qr(X)[0], dense.dtype) for X in (Y.U, Y.V))
    rest = dense - U @ (mH(U) @ dense)
    return frobenius(rest - (rest @ V) @ mH(V)), frobenius(dense)


class Recorded:
    """A function F(t, Y) that remembers the largest ``||N||`` and ``||F||`` over all matrices it was evaluated at.

    Attributes
    ----------
    eps : float
        The largest normal component so far: the uniform eps of the splitting and fixed-rank BUG bounds, stages
        included.
    size : float
        The largest norm of F so far.
    """

    def __init__(self, F: Callable[[float, Any], Any]) -> None:
        self.F = F
        self.eps = self.size = 0.0

    def __call__(self, t: float, Y: LowRank) -> Any:
        value = self.F(t, Y)
        normal, size = measure(value, Y)
        self.eps, self.size = max(self.eps, normal), max(self.size, size)
        return value
