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


def augmented_bug(F, t, h, U, S, V, solver=rk4, tol=1e-10):
    """Ceruti, Kusch and Lubich 2022: K- and L-step, augmented Galerkin step, truncation at 1e-10."""
    K = solver(lambda s, K: F(s, K @ V.conj().T) @ V, t, h, U @ S)
    L = solver(lambda s, L: F(s, U @ L.conj().T).conj().T @ U, t, h, V @ S.conj().T)
    U1, V1 = orth(np.hstack([U, K])), orth(np.hstack([V, L]))
    S0 = (U1.conj().T @ U) @ S @ (V.conj().T @ V1)
    S1 = solver(lambda s, S: U1.conj().T @ F(s, U1 @ S @ V1.conj().T) @ V1, t, h, S0)
    return truncate(U1, S1, V1, tol)


def heun(f, t, h, y):
    k1 = f(t, y)
    return y + h / 2 * (k1 + f(t + h, y + h * k1))


def augmented_bug_heun(F, t, h, U, S, V):
    return augmented_bug(F, t, h, U, S, V, heun)


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


def ksl_strang(F, t, h, U, S, V):
    """Two half steps of KSL, the second one from the transposed problem, that is in the order L, S, K."""
    U, S, V = ksl(F, t, h / 2, U, S, V)
    V, Sh, U = ksl(lambda s, Y: F(s, Y.conj().T).conj().T, t + h / 2, h / 2, V, S.conj().T, U)
    return U, Sh.conj().T, V


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


def midpoint_bug(F, t, h, U, S, V):
    """Ceruti, Einkemmer, Kusch and Lubich 2024: augmented half step, bases augmented there, Galerkin step."""
    Um, Sm, Vm = augmented_bug(F, t, h / 2, U, S, V, tol=0.0)
    G = F(t + h / 2, Um @ Sm @ Vm.conj().T)
    U1, V1 = orth(np.hstack([Um, G @ Vm])), orth(np.hstack([Vm, G.conj().T @ Um]))
    S0 = (U1.conj().T @ U) @ S @ (V.conj().T @ V1)
    return truncate(U1, rk4(lambda s, S: U1.conj().T @ F(s, U1 @ S @ V1.conj().T) @ V1, t, h, S0), V1, 1e-10)


def parallel_bug_2(F, t, h, U, S, V):
    """Kusch 2024: the bases are augmented with F at the start, then a parallel step of twice the rank."""
    G = F(t, U @ S @ V.conj().T)
    U1, V1 = orth(np.hstack([U, G @ V])), orth(np.hstack([V, G.conj().T @ U]))
    S1 = (U1.conj().T @ U) @ S @ (V.conj().T @ V1)
    k = S1.shape[0]
    K = rk4(lambda s, K: F(s, K @ V1.conj().T) @ V1, t, h, U1 @ S1)
    L = rk4(lambda s, L: F(s, U1 @ L.conj().T).conj().T @ U1, t, h, V1 @ S1.conj().T)
    S_bar = rk4(lambda s, S: U1.conj().T @ F(s, U1 @ S @ V1.conj().T) @ V1, t, h, S1)
    U2, V2 = orth(np.hstack([U1, K]))[:, k:], orth(np.hstack([V1, L]))[:, k:]
    corner = np.zeros((U2.shape[1], V2.shape[1]), dtype=S.dtype)
    S2 = np.block([[S_bar, L.conj().T @ V2], [U2.conj().T @ K, corner]])
    return truncate(np.hstack([U1, U2]), S2, np.hstack([V1, V2]), 1e-10)


def split(Y, tol=1e-12):
    P, s, Qh = np.linalg.svd(Y, full_matrices=False)
    r = max(1, int(np.sum(s > tol * s[0])))
    return P[:, :r], np.diag(s[:r]), Qh[:r].conj().T


def dense_rk4(F, t, h, U, S, V):
    """The full matrix by Runge-Kutta, then its singular value decomposition."""
    return split(rk4(F, t, h, U @ S @ V.conj().T))


def dense_euler(F, t, h, U, S, V):
    return split(euler(F, t, h, U @ S @ V.conj().T))


def randomised(F, t, h, U, S, V):
    """A range finder with oversampling and a fixed seed, then a one-sided Galerkin step."""
    n, r = V.shape
    Omega = orth(np.random.default_rng(0).standard_normal((n, r + 5))).astype(V.dtype)
    B = rk4(lambda s, B: F(s, B @ Omega.conj().T) @ Omega, t, h, U @ (S @ (V.conj().T @ Omega)))
    B = orth(B)
    C = rk4(lambda s, C: F(s, B @ C.conj().T).conj().T @ B, t, h, V @ (S.conj().T @ (U.conj().T @ B)))
    Omega = orth(C)
    B = rk4(lambda s, B: F(s, B @ Omega.conj().T) @ Omega, t, h, U @ (S @ (V.conj().T @ Omega)))
    Q = orth(np.hstack([U, B]))
    C0 = V @ S.conj().T @ (U.conj().T @ Q)
    W, R = np.linalg.qr(rk4(lambda s, C: F(s, Q @ C.conj().T).conj().T @ Q, t, h, C0))
    return truncate(Q, R.conj().T, W, 1e-10)


def cut_to_the_rank(F, t, h, U, S, V):
    """Wrong where the norm is claimed: the augmented step is cut back to the old rank."""
    r = S.shape[0]
    U, S, V = augmented_bug(F, t, h, U, S, V)
    P, s, Qh = np.linalg.svd(S)
    return U @ P[:, :r], np.diag(s[:r]), V @ Qh[:r].conj().T


def normalised(F, t, h, U, S, V):
    """Wrong where the norm is claimed: it is set to 1."""
    U, S, V = bug(F, t, h, U, S, V)
    return U, S / np.linalg.norm(S), V


def small_entries_dropped(F, t, h, U, S, V):
    """Wrong: entries of the core are not singular values."""
    return bug(F, t, h, U, np.where(np.abs(S) > 1e-6, S, 0), V)
