"""The equations that are timed: plain functions, as a user writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from matode import LowRank

__all__ = ["Case", "allen_cahn", "lyapunov", "second_difference"]


@dataclass(frozen=True)
class Case:
    """An equation with its start: ``A`` acts from both sides, ``C`` is the constant term (None: a dense cube)."""

    name: str
    F: Callable[[float, Any], Any]
    A: Any
    C: LowRank | None
    Y0: LowRank

    @property
    def n(self) -> int:
        return self.Y0.shape[0]

    @property
    def r(self) -> int:
        return self.Y0.rank


def lyapunov(n: int, r: int, *, five_point: bool = True) -> Case:
    """Return ``Y' = A Y + Y A + C`` with a Laplacian A and C of rank 10."""
    A = _five_point(n) if five_point else second_difference(n)
    rng = np.random.default_rng(0)
    U, _ = np.linalg.qr(rng.standard_normal((n, 10)))
    C = LowRank(U, np.eye(10), U)
    return Case(f"Lyapunov n = {n}, r = {r}", lambda t, Y: A @ Y + Y @ A + C, A, C, _start(n, r))


def allen_cahn(n: int, r: int) -> Case:
    """Return ``Y' = A Y + Y A + Y - Y^3``, the cube entry by entry in m x n numbers."""
    A = 1e-2 * _five_point(n)

    def F(t: float, Y: LowRank) -> Any:
        x = Y.to_dense()
        return A @ Y + Y @ A + Y - x * x * x

    return Case(f"Allen-Cahn n = {n}, r = {r}", F, A, None, _start(n, r))


def second_difference(n: int) -> Any:
    return sparse.diags_array([np.ones(n - 1), -2 * np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1], format="csr")


def _five_point(n: int) -> Any:
    k = round(n**0.5)
    if k * k != n:
        raise ValueError(f"a square grid needs a square number of points, got {n}")
    T, one = second_difference(k), sparse.eye_array(k, format="csr")
    return (sparse.kron(T, one) + sparse.kron(one, T)).tocsr()


def _start(n: int, r: int) -> LowRank:
    return LowRank.random((n, n), r, singular_values=list(2.0 ** -np.arange(r)), rng=1)
