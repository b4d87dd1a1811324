"""Strangers' integrators: plain NumPy, written from the papers' formulas, and nothing of matode.

All have the signature ``step(F, t, h, U, S, V) -> (U, S, V)`` for Y = U S V*, with F on dense arrays.
"""

import numpy as np


def rk4(f, t, h, y):
    k1 = f(t, y)
    k2 = f(t + h / 2, y + h / 2 * k1)
    k3 = f(t + h / 2, y + h / 2 * k2)
    k4 = f(t + h, y + h * k3)
    return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def euler(f, t, h, y):
    return y + h * f(t, y)


def orth(X):
    return np.linalg.qr(X)[0]


def truncate(U, S, V, tol):
    P, s, Qh = np.linalg.svd(S, full_matrices=False)
    r = len(s)
    while r > 1 and np.linalg.norm(s[r - 1 :]) <= tol * np.linalg.norm(s):
        r -= 1
    return U @ P[:, :r], np.diag(s[:r]), V @ Qh[:r].conj().T


def augmented_bug(F, t, h, U, S, V, solver=rk4):
    """Ceruti, Kusch and Lubich 2022: K- and L-step, augmented Galerkin step, truncation at 1e-10."""
    K = solver(lambda s, K: F(s, K @ V.conj().T) @ V, t, h, U @ S)
    L = solver(lambda s, L: F(s, U @ L.conj().T).conj().T @ U, t, h, V @ S.conj().T)
    U1, V1 = orth(np.hstack([U, K])), orth(np.hstack([V, L]))
    S0 = (U1.conj().T @ U) @ S @ (V.conj().T @ V1)
    S1 = solver(lambda s, S: U1.conj().T @ F(s, U1 @ S @ V1.conj().T) @ V1, t, h, S0)
    return truncate(U1, S1, V1, 1e-10)


def augmented_bug_euler(F, t, h, U, S, V):
    return augmented_bug(F, t, h, U, S, V, euler)


def parallel_bug(F, t, h, U, S, V):
    """Ceruti, Kusch and Lubich 2024, with Euler substeps: K-, L- and S-step from the same start."""
    r = S.shape[0]
    K = U @ S + h * F(t, U @ S @ V.conj().T) @ V
    L = V @ S.conj().T + h * F(t, U @ S @ V.conj().T).conj().T @ U
    S_bar = S + h * U.conj().T @ F(t, U @ S @ V.conj().T) @ V
    U1, V1 = orth(np.hstack([U, K]))[:, r:], orth(np.hstack([V, L]))[:, r:]
    corner = np.zeros((U1.shape[1], V1.shape[1]), dtype=S.dtype)
    S1 = np.block([[S_bar, L.conj().T @ V1], [U1.conj().T @ K, corner]])
    return truncate(np.hstack([U, U1]), S1, np.hstack([V, V1]), 1e-10)


def ksl(F, t, h, U, S, V):
    """Lubich and Oseledets 2014: K-step, S-step backward, L-step, one RK4 step each."""
    U, S = np.linalg.qr(rk4(lambda s, K: F(s, K @ V.conj().T) @ V, t, h, U @ S))
    S = rk4(lambda s, S: -U.conj().T @ F(s, U @ S @ V.conj().T) @ V, t, h, S)
    L = rk4(lambda s, L: F(s, U @ L.conj().T).conj().T @ U, t, h, V @ S.conj().T)
    V, R = np.linalg.qr(L)
    return U, R.conj().T, V


def bug(F, t, h, U, S, V):
    """Ceruti and Lubich 2022: the fixed-rank "unconventional" integrator, one RK4 step each."""
    U1 = orth(rk4(lambda s, K: F(s, K @ V.conj().T) @ V, t, h, U @ S))
    V1 = orth(rk4(lambda s, L: F(s, U @ L.conj().T).conj().T @ U, t, h, V @ S.conj().T))
    S0 = (U1.conj().T @ U) @ S @ (V1.conj().T @ V).conj().T
    return U1, rk4(lambda s, S: U1.conj().T @ F(s, U1 @ S @ V1.conj().T) @ V1, t, h, S0), V1


def abc_psi(F, t, h, U, S, V):
    """Kusch, Schotthoefer and Walter 2025, with Euler substeps: the backward S-step is a projection."""
    K = U @ S + h * F(t, U @ S @ V.conj().T) @ V
    U1 = orth(np.hstack([U, K]))
    L = V @ ((U1.conj().T @ U) @ S).conj().T
    L = L + h * F(t, U1 @ L.conj().T).conj().T @ U1
    V1, R = np.linalg.qr(L)
    return truncate(U1, R.conj().T, V1, 1e-10)


def riemannian_euler(F, t, h, U, S, V):
    """Projected Euler with the truncated singular value decomposition as retraction; the rank is kept."""
    Y = U @ S @ V.conj().T
    G = F(t, Y)
    G = U @ (U.conj().T @ G) + ((G - U @ (U.conj().T @ G)) @ V) @ V.conj().T
    P, s, Qh = np.linalg.svd(Y + h * G, full_matrices=False)
    r = S.shape[0]
    return P[:, :r], np.diag(s[:r]), Qh[:r].conj().T
