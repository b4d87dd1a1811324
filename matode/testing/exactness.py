"""Checks of what is reproduced to rounding: rank-r data, tangent fields, Sylvester flows, the Euler identities."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from matode.testing.cases import (
    Dense,
    Factors,
    bounded_case,
    constant,
    factors,
    gaussian,
    norm,
    normal_component,
    rank_data,
    shape_for,
    spectrum,
)
from matode.testing.claims import Claims
from matode.testing.registry import check
from matode.testing.trial import Trial

__all__: list[str] = []


@check(guarantee="exact")
def exact(trial: Trial) -> None:
    """Assert that given A(t) of rank r, the field A'(t) is integrated exactly, with singular values down to 1e-12.

    A'(t) is cubic in t and the start is not at 0, so that wrong or frozen times inside the step are seen, and substeps
    of an order below 4; in a third of the draws only the range or the corange moves. With Euler substeps the increment
    ``(A(t + h) - A(t)) / h`` takes its place. Lubich and Oseledets 2014, Theorem 4.1; Ceruti and Lubich 2022,
    Theorem 3. The tolerance is ``1e-12 ||A|| / (sigma_min(V0* V1) sigma_min(U0* U1))``.
    """
    smallest = (1.0, 1e-4, 1e-8, 1e-12)
    for k, rng in enumerate(trial.draws(12)):
        A, F, t, h, Y0 = rank_data(
            rng, smallest=smallest[k % 4], cplx=bool(k % 2), one_sided=k % 3 == 2, mirrored=k % 12 > 5
        )
        start, end = A(t), A(t + h)
        if trial.claims.substep == "euler":
            F = constant((end - start) / h)
        U1, _, Vh1 = np.linalg.svd(end)
        r = Y0.rank
        turned = [float(np.linalg.svd(X, compute_uv=False)[-1]) for X in (Vh1[:r] @ Y0.V, U1[:, :r].conj().T @ Y0.U)]
        if min(turned) < 1e-3:
            trial.pass_over("the data turns too far in one step")
            continue
        Y1 = trial.step(F, t, h, Y0, integrator=trial.untruncated()).dense
        bound = 1e-12 * norm(end) / (turned[0] * turned[1])
        trial.at_most(norm(Y1 - end), max(bound, trial.tolerance(1e-12) * (1 + norm(end))), "distance from A(t + h)")


def _one_sided(rng: np.random.Generator, cplx: bool) -> tuple[Factors, Dense, float]:
    """Draw a start, a field ``U0 X(t)*`` or ``X(t) V0*`` with X linear in t, and the norm of its derivative."""
    r = int(rng.integers(1, 4))
    m, n = shape_for(rng, r)
    Y0 = factors(rng, (m, n), np.linspace(1.0, 0.5, r) / np.sqrt(r), cplx)
    left = bool(rng.integers(2))
    k = n if left else m
    X0, X1 = (gaussian(rng, k, r, cplx) / np.sqrt(k) for _ in range(2))

    def F(t: float, Y: object) -> np.ndarray:
        X = X0 + t * X1
        return Y0.U @ X.conj().T if left else X @ Y0.V.conj().T

    return Y0, F, norm(X1)


@check()
def tangent_field(trial: Trial) -> None:
    """Assert that a field ``U0 X(t)*`` or ``X(t) V0*`` is summed up exactly, complex too, whatever the method.

    X(t) is linear in t and the start is not at 0: wrong or frozen times inside a step are seen, and so is a transpose
    where the conjugate transpose is meant. Euler substeps give ``Y0 + h F(t)`` where a family is claimed
    (the mean of F(t) and F(t + h/2) for Strang's two halves).
    """
    for k, rng in enumerate(trial.draws(8)):
        Y0, F, rate = _one_sided(rng, bool(k % 2))
        t, h = float(rng.uniform(0.5, 1.5)), float(rng.uniform(0.1, 0.3))
        Y1 = trial.step(F, t, h, Y0).dense
        times, allowed = [t + h / 2], 0.0
        if trial.claims.substep == "euler" and trial.claims.stranger and trial.claims.family is None:
            allowed = h**2 / 2 * rate
        elif trial.claims.substep == "euler":
            times = [t, t + h / 2] if trial.claims.family == "ksl-strang" else [t]
        error = norm(Y1 - Y0.dense - h * np.mean([F(s, None) for s in times], axis=0))
        trial.at_most(error, allowed + trial.tolerance(1e-12) * (1 + norm(Y1)), "distance from the integral")


@check()
def zero_field(trial: Trial) -> None:
    """Assert that where F is zero nothing moves, to rounding, also at spectra over ten decades and a singular core.

    In a third of the draws the core is diagonal over ten decades: whoever drops small entries moves.
    """
    for k, rng in enumerate(trial.draws(6)):
        r = int(rng.integers(1, 4))
        s = spectrum(rng, r) if k % 3 else np.asarray([1.0, 0.0, 0.0])
        if k % 3 == 1:
            s = 10.0 ** -(np.asarray([0.0, 0.0, 2.5, 5.0, 8.0]) + np.asarray([0, 1, 1, 1, 1]) * rng.uniform(1.0, 2.0))
        Y0 = factors(rng, shape_for(rng, len(s)), s, bool(rng.integers(2)))
        if k % 3 == 1:
            Y0 = Y0._replace(S=np.diag(s).astype(Y0.U.dtype))
        Y1 = trial.step(lambda t, Y: np.zeros_like(Y), 0.3, 0.1, Y0).dense
        trial.at_most(norm(Y1 - Y0.dense), trial.tolerance(1e-13) * (1 + norm(Y1)), "movement")


def _splitting(claims: Claims) -> str:
    if claims.family not in ("ksl", "lsk", "ksl-strang"):
        return "holds for projector splitting only"
    return "" if claims.substep == "exact" else "needs exact substeps"


def _linear(A: np.ndarray, B: np.ndarray) -> Dense:
    return lambda t, Y: A @ Y + Y @ B


@check(applies=_splitting)
def sylvester(trial: Trial) -> None:
    """Assert that projector splitting is exact for ``F = A Y + Y B``, with nonsymmetric A and B.

    Each substep is then a linear flow that commutes with the projections; a missing or forward S-step shows as O(h).
    """
    from scipy.linalg import expm

    for k, rng in enumerate(trial.draws(6)):
        cplx = bool(k % 2)
        r = int(rng.integers(1, 4))
        m, n = shape_for(rng, r)
        A, B = gaussian(rng, m, m, cplx), gaussian(rng, n, n, cplx)
        A, B = A / np.linalg.norm(A, 2), B / np.linalg.norm(B, 2)
        Y0 = factors(rng, (m, n), spectrum(rng, r, 3.0), cplx)
        h = float(rng.uniform(0.005, 0.02))
        Y1 = trial.step(_linear(A, B), 0.0, h, Y0).dense
        end = expm(h * A) @ Y0.dense @ expm(h * B)
        trial.at_most(norm(Y1 - end), trial.tolerance(1e-9) * (1 + norm(end)), "distance from the exact flow")


def _euler_family(claims: Claims) -> str:
    if claims.substep != "euler":
        return "needs Euler substeps"
    return "" if claims.family in _EULER_STEPS else "its family has no such identity"


def _augmented(F: Dense, t: float, h: float, Y: Factors) -> np.ndarray:
    F0 = F(t, Y.dense)
    P1 = _projector(np.concatenate([Y.U, F0 @ Y.V], axis=1))
    P2 = _projector(np.concatenate([Y.V, F0.conj().T @ Y.U], axis=1))
    return Y.dense + h * P1 @ F0 @ P2


def _corrected(F: Dense, t: float, h: float, Y: Factors) -> np.ndarray:
    F0 = F(t, Y.dense)
    return Y.dense + h * _projector(np.concatenate([Y.U, F0 @ Y.V], axis=1)) @ F0


def _tangent(F: Dense, t: float, h: float, Y: Factors) -> np.ndarray:
    F0 = F(t, Y.dense)
    return Y.dense + h * (F0 - normal_component(F0, Y))


def _fixed_rank(F: Dense, t: float, h: float, Y: Factors) -> np.ndarray:
    F0 = F(t, Y.dense)
    P1 = _projector(Y.U @ Y.S + h * F0 @ Y.V)
    P2 = _projector(Y.V @ Y.S.conj().T + h * F0.conj().T @ Y.U)
    start = P1 @ Y.dense @ P2
    return start + h * P1 @ F(t, start) @ P2


def _splitting_step(F: Dense, t: float, h: float, Y: Factors) -> np.ndarray:
    PV = Y.V @ Y.V.conj().T
    Z = Y.dense + h * F(t, Y.dense) @ PV
    P1 = _projector(Z @ Y.V)
    X = Z - h * P1 @ F(t, Z) @ PV
    return X + h * P1 @ F(t, X)


def _adjoint_step(F: Dense, t: float, h: float, Y: Factors) -> np.ndarray:
    return _splitting_step(lambda t, Z: F(t, Z.conj().T).conj().T, t, h, Y.mH).conj().T


_EULER_STEPS: Mapping[str, Callable[[Dense, float, float, Factors], np.ndarray]] = {
    "ksl": _splitting_step,
    "lsk": _adjoint_step,
    "bug": _fixed_rank,
    "augmented-bug": _augmented,
    "parallel-bug": _tangent,
    "prk1": _tangent,
    "abc-psi": _corrected,
}
"""The step with Euler substeps by families, in closed form on dense matrices and before truncation."""


@check(applies=_euler_family)
def euler_identity(trial: Trial) -> None:
    """Assert that an Euler step is ``Y0 + h P1 F P2`` (augmented), ``+ h P_T F`` (parallel), ``+ h P1 F`` (abc-PSI).

    P1 and P2 project on the ranges of [U0, F V0] and [V0, F* U0]. Fixed-rank BUG and projector splitting have such
    closed forms too. Where the rank was not raised, the comparison is with the best approximation of that rank.
    """
    for rng in trial.draws(10):
        assert trial.claims.family is not None
        fixed = trial.claims.family in ("ksl", "lsk", "bug")
        sigma = (1.0, 0.4, 0.1)[: int(rng.integers(1, 4))] if fixed else None
        case = bounded_case(rng, sigma=sigma, eps=0.3, hL=(0.05, 0.3))
        end = _EULER_STEPS[trial.claims.family](case.F, case.t, case.h, case.Y0)
        Y1 = trial.step(case.F, case.t, case.h, case.Y0, integrator=trial.untruncated()).Y
        if Y1.rank <= case.Y0.rank:
            P, s, Qh = np.linalg.svd(end)
            r = Y1.rank
            if s[r - 1] - s[r] < 1e-3 * s[0]:
                trial.pass_over("the best approximation is not well conditioned")
                continue
            end = (P[:, :r] * s[:r]) @ Qh[:r]
        trial.at_most(norm(Y1.dense - end), trial.tolerance(1e-12) * (1 + norm(end)), "distance from the identity")


def _projector(X: np.ndarray) -> np.ndarray:
    Q, R = np.linalg.qr(X / np.linalg.norm(X, axis=0))
    Q = Q if abs(np.diagonal(R)).min() > 1e-12 else np.linalg.svd(X, full_matrices=False)[0]
    return Q @ Q.conj().T


@check(
    applies=lambda claims: (
        "" if claims.evaluations is not None else "its number of evaluations is not part of the claim"
    )
)
def evaluation_count(trial: Trial) -> None:
    """Assert that a step with Euler substeps costs one evaluation: K-, L- and S-step all start from Y0."""
    for rng in trial.draws(3):
        case = bounded_case(rng)
        nfev = trial.step(case.F, case.t, case.h, case.Y0).nfev
        trial.at_most(nfev, trial.claims.evaluations or 0, "evaluations of the field in one step")
