"""An augmented-BUG step of a Lyapunov equation written by hand: what a plain function ``F(t, Y)`` could cost at best.

The kernels that the limit counts, in the order of a step and on arrays that are where a step leaves them, with nothing
around: no check, no rule, no other equation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.bench.cases import Case

__all__ = ["step"]


def step(case: Case, h: float) -> Callable[[], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return a call that makes a step with RK4 substeps, cut to the rank of the start, and returns U, S and V."""
    A, r = case.A, case.r
    U, S, V = case.Y0.U, case.Y0.S, case.Y0.V
    assert case.C is not None
    C, D = case.C.U @ case.C.S, case.C.V

    def made() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        A_U, A_V = A @ U, A.T @ V
        K = _moved(A, A_U, U, S, A_V.T @ V, C @ (D.T @ V), h)
        L = _moved(A.T, A_V, V, S.T, A_U.T @ U, D @ (C.T @ U), h)
        U1, V1 = _complement(U, K), _complement(V, L)
        W, Z = np.concatenate([U, U1], axis=1), np.concatenate([V, V1], axis=1)
        left = W.T @ np.concatenate([A_U, A @ U1], axis=1)
        right = np.concatenate([A_V, A.T @ V1], axis=1).T @ Z
        wide = np.zeros((2 * r, 2 * r))
        wide[:r, :r] = S
        G = (W.T @ C) @ (D.T @ Z)
        P, s, Qh = np.linalg.svd(_rk4(lambda X: left @ X + X @ right + G, wide, left @ wide + wide @ right + G, h))
        return W @ P[:, :r], np.diag(s[:r]), Z @ Qh[:r, :].T

    return made


def _moved(A: Any, A_U: np.ndarray, U: np.ndarray, S: np.ndarray, M: np.ndarray, G: np.ndarray, h: float) -> np.ndarray:
    """Return K at the end of ``K' = A K + K M + G``, which begins at ``U S``; ``A U`` is known."""
    K = U @ S
    return _rk4(lambda X: A @ X + X @ M + G, K, A_U @ S + K @ M + G, h)


def _rk4(f: Callable[[np.ndarray], np.ndarray], X: np.ndarray, k1: np.ndarray, h: float) -> np.ndarray:
    """Return a step of the classical Runge-Kutta method, of which the first stage is known."""
    k2 = f(X + (0.5 * h) * k1)
    k3 = f(X + (0.5 * h) * k2)
    k4 = f(X + h * k3)
    return X + (h / 6) * (k1 + 2 * (k2 + k3) + k4)


def _complement(U: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Return orthonormal columns for what K has outside of range(U): two projections, two Cholesky factorisations."""
    for _ in range(2):
        K = K - U @ (U.T @ K)
        K = K @ np.linalg.inv(np.linalg.cholesky(K.T @ K)).T
    return K
