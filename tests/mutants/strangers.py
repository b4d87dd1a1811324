"""Plain step functions as somebody else would hand them in, through ``third_party``: correct ones and wrong ones."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from matode.testing import third_party
from tests.mutants.registry import stranger

Triple = tuple[np.ndarray, np.ndarray, np.ndarray]

_dlrt = partial(
    third_party, order=1, guarantees={"exact", "transpose", "descent", "symmetric", "skew"}, family="augmented-bug"
)
_heun = partial(third_party, order=2, guarantees={"transpose", "symmetric", "skew"})


def _augmented_euler(F: Any, t: float, h: float, U: np.ndarray, S: np.ndarray, V: np.ndarray) -> Triple:
    """Return the augmented bases and the core after the Galerkin step, all with Euler substeps."""
    G = F(t, U @ S @ V.conj().T)
    K, L = U @ S + h * G @ V, V @ S.conj().T + h * G.conj().T @ U
    U1, V1 = np.linalg.qr(np.hstack([U, K]))[0], np.linalg.qr(np.hstack([V, L]))[0]
    S1 = (U1.conj().T @ U) @ S @ (V.conj().T @ V1)
    return U1, S1 + h * U1.conj().T @ F(t, U1 @ S1 @ V1.conj().T) @ V1, V1


def _cut(S: np.ndarray, tolerance: float) -> Triple:
    P, s, Qh = np.linalg.svd(S)
    tails = np.sqrt(np.append(np.cumsum(s[::-1] ** 2)[::-1], 0.0))
    r = max(1, int((tails <= tolerance * tails[0]).argmax()))
    return P[:, :r], np.diag(s[:r]), Qh[:r]


@stranger(_dlrt, "augmented-bug")
def plain_dlrt(F: Any, t: float, h: float, U: np.ndarray, S: np.ndarray, V: np.ndarray) -> Triple:
    """Algorithm 1 of the DLRT paper."""
    U1, S1, V1 = _augmented_euler(F, t, h, U, S, V)
    P, s, Qh = _cut(S1, 1e-10)
    return U1 @ P, s, V1 @ Qh.conj().T


@stranger(_dlrt, "augmented-bug", "zero_field", "orthonormal_factors", raises=True)
def returns_v_star(F: Any, t: float, h: float, U: np.ndarray, S: np.ndarray, V: np.ndarray) -> Triple:
    """The third factor comes back as V*, r x n."""
    U1, S1, V1 = plain_dlrt(F, t, h, U, S, V)
    return U1, S1, V1.conj().T


@stranger(_dlrt, "augmented-bug", "zero_field", "exact", "euler_identity", "transpose")
def plain_v_star_columns(F: Any, t: float, h: float, U: np.ndarray, S: np.ndarray, V: np.ndarray) -> Triple:
    """The right basis is multiplied by columns of V*: the published truncation."""
    U1, S1, V1 = _augmented_euler(F, t, h, U, S, V)
    P, s, Qh = _cut(S1, 1e-10)
    Qh = np.linalg.svd(S1)[2]
    return U1 @ P, s, V1 @ Qh[:, : len(s)]


@stranger(_dlrt, "augmented-bug", "euler_identity", "tangent_field")
def no_conjugates(F: Any, t: float, h: float, U: np.ndarray, S: np.ndarray, V: np.ndarray) -> Triple:
    """The right basis after the truncation is (V*)^T instead of V: right for real matrices only."""
    U1, S1, V1 = _augmented_euler(F, t, h, U, S, V)
    P, s, Qh = _cut(S1, 1e-10)
    return U1 @ P, s, V1 @ Qh.T


@stranger(_dlrt, "augmented-bug", "exact")
def coarse_truncation(F: Any, t: float, h: float, U: np.ndarray, S: np.ndarray, V: np.ndarray) -> Triple:
    """A relative tolerance of 1e-2 is built in where 1e-10 is claimed."""
    U1, S1, V1 = _augmented_euler(F, t, h, U, S, V)
    P, s, Qh = _cut(S1, 1e-2)
    return U1 @ P, s, V1 @ Qh.conj().T


@stranger(_dlrt, "augmented-bug", "type_kept", "tangent_field")
def single_precision(F: Any, t: float, h: float, U: np.ndarray, S: np.ndarray, V: np.ndarray) -> Triple:
    """All of the linear algebra runs in single precision."""
    single = np.complex64 if np.iscomplexobj(U) else np.float32
    U, S, V = (X.astype(single) for X in plain_dlrt(F, t, h, U, S, V))
    return U, S, V


@stranger(_dlrt, "augmented-bug", "type_kept")
def complex_throughout(F: Any, t: float, h: float, U: np.ndarray, S: np.ndarray, V: np.ndarray) -> Triple:
    """Real problems come back complex."""
    U, S, V = plain_dlrt(F, t, h, U, S, V)
    return U + 0j, S, V


@stranger(_dlrt, "augmented-bug", "inputs_untouched", raises=True)
def in_place(F: Any, t: float, h: float, U: np.ndarray, S: np.ndarray, V: np.ndarray) -> Triple:
    """The K-step is written over U."""
    U @= S
    return plain_dlrt(F, t, h, U, np.eye(len(S)), V)


def _projected_heun(node: float, F: Any, t: float, h: float, U: np.ndarray, S: np.ndarray, V: np.ndarray) -> Triple:
    Y = U @ S @ V.conj().T
    r = len(S)

    def tangent(G: np.ndarray, U: np.ndarray, V: np.ndarray) -> np.ndarray:
        left = U @ (U.conj().T @ G)
        return left + ((G - left) @ V) @ V.conj().T

    def best(A: np.ndarray) -> Triple:
        P, s, Qh = np.linalg.svd(A, full_matrices=False)
        return P[:, :r], np.diag(s[:r]), Qh[:r].conj().T

    first = tangent(F(t, Y), U, V)
    U1, S1, V1 = best(Y + h * first)
    second = tangent(F(t + node * h, U1 @ S1 @ V1.conj().T), U1, V1)
    return best(Y + h / 2 * (first + second))


@stranger(_heun, "prk2")
def projected_heun(F: Any, t: float, h: float, U: np.ndarray, S: np.ndarray, V: np.ndarray) -> Triple:
    """Projected Heun's method (Kieri and Vandereycken 2019)."""
    return _projected_heun(1.0, F, t, h, U, S, V)


@stranger(_heun, "prk2", "order")
def projected_heun_wrong_node(F: Any, t: float, h: float, U: np.ndarray, S: np.ndarray, V: np.ndarray) -> Triple:
    """The node of the second stage is 0: the sum over the tableau's row starts at its second entry."""
    return _projected_heun(0.0, F, t, h, U, S, V)
