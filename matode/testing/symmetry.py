"""Checks of invariances: gauge, rotations, transposition, time reversal, and the adjoint method."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from matode.testing.cases import Case, Dense, Factors, bounded_case, norm, stiefel
from matode.testing.claims import Claims
from matode.testing.registry import check
from matode.testing.trial import Trial

__all__: list[str] = []

SIGMA = (1.0, 0.4, 0.1)  # well conditioned: a basis of K(h) is then determined to rounding


def _case(rng: np.random.Generator) -> Case:
    return bounded_case(rng, sigma=SIGMA[: int(rng.integers(1, 4))], eps=0.1, hL=(0.02, 0.05))


def _deterministic(claims: Claims) -> str:
    if claims.rule_decides:  # the bases of a rejected step are determined to the square root of rounding only
        return "its bases are wider than what determines them"
    return "its steps are random" if claims.random else ""


@check(applies=_deterministic)
def gauge_invariance(trial: Trial) -> None:
    """Assert that the step depends on the matrix only: (U R1, R1* S R2, V R2) gives the same result as (U, S, V).

    Whoever relies on a diagonal core, on the signs of a QR factorisation, or takes V* for V, fails here.
    """
    for rng in trial.draws(6):
        case = _case(rng)
        U, S, V = case.Y0
        cplx, r = np.iscomplexobj(U), len(S)
        P, s, Qh = np.linalg.svd(S)
        R1, R2 = stiefel(rng, r, r, cplx), stiefel(rng, r, r, cplx)
        variants = [
            Factors(U @ R1, R1.conj().T @ S @ R2, V @ R2),
            Factors(U @ P, np.diag(s).astype(U.dtype), V @ Qh.conj().T),
            Factors(-(U @ P), -np.diag(s).astype(U.dtype), V @ Qh.conj().T),
        ]
        integrator = trial.untruncated()
        Y1 = trial.step(case.F, case.t, case.h, case.Y0, integrator=integrator).dense
        for variant in variants:
            other = trial.step(case.F, case.t, case.h, variant, integrator=integrator).dense
            trial.at_most(norm(other - Y1), trial.tolerance(1e-11) * (1 + norm(Y1)), "change under a change of gauge")


def _rotated(F: Dense, W: np.ndarray, X: np.ndarray) -> Dense:
    return lambda t, Y: W @ F(t, W.conj().T @ Y @ X) @ X.conj().T


@check(applies=_deterministic)
def unitary_equivariance(trial: Trial) -> None:
    """Assert that the step for ``W F(W* Y X) X*`` from ``W Y0 X*`` is ``W Y1 X*``, for unitary W and X."""
    for rng in trial.draws(6):
        case = _case(rng)
        (m, n), cplx = case.Y0.dense.shape, np.iscomplexobj(case.Y0.U)
        W, X = stiefel(rng, m, m, cplx), stiefel(rng, n, n, cplx)

        integrator = trial.untruncated()
        Y1 = W @ trial.step(case.F, case.t, case.h, case.Y0, integrator=integrator).dense @ X.conj().T
        start = Factors(W @ case.Y0.U, case.Y0.S, X @ case.Y0.V)
        other = trial.step(_rotated(case.F, W, X), case.t, case.h, start, integrator=integrator).dense
        trial.at_most(norm(other - Y1), trial.tolerance(1e-11) * (1 + norm(Y1)), "defect of equivariance")


def _transposed(case: Case) -> Case:
    def F(t: float, Y: np.ndarray) -> np.ndarray:
        return case.F(t, Y.conj().T).conj().T

    return replace(case, F=F, Y0=case.Y0.mH)


@check(guarantee="transpose", applies=_deterministic, contrast=10.0)
def transpose(trial: Trial) -> None:
    """Assert that the step for ``F(t, Y*)*`` from ``Y0*`` is the conjugate transpose of the step for F from Y0."""
    for rng in trial.draws(6):
        case = _case(rng)
        integrator = trial.untruncated()
        Y1 = trial.step(case.F, case.t, case.h, case.Y0, integrator=integrator).dense
        mirror = _transposed(case)
        other = trial.step(mirror.F, case.t, case.h, mirror.Y0, integrator=integrator).dense
        trial.at_most(norm(other - Y1.conj().T), trial.tolerance(1e-11) * (1 + norm(Y1)), "defect of transposition")


def _reversal(trial: Trial, rng: np.random.Generator, back: object) -> None:
    case = bounded_case(rng, sigma=SIGMA, eps=0.1, hL=(0.03, 0.05))
    there = trial.step(case.F, case.t, case.h, case.Y0)
    again = trial.step(case.F, case.t + case.h, -case.h, there.Y, integrator=back).dense
    trial.at_most(norm(again - case.Y0.dense), trial.tolerance(1e-9) * 2, "distance from the start")


@check(guarantee="reversible", applies=_deterministic)
def reversible(trial: Trial) -> None:
    """Assert that a step by h and a step by -h give the start back."""
    for rng in trial.draws(6):
        _reversal(trial, rng, None)


def _has_adjoint(claims: Claims) -> str:
    if claims.family not in ("ksl", "lsk"):
        return "the adjoint is known for projector splitting only"
    return "somebody else's adjoint is not known" if claims.stranger else ""


@check(applies=_has_adjoint)
def adjoint(trial: Trial) -> None:
    """Assert that LSK undoes KSL, ``LSK_{-h} KSL_h = I`` (exact substeps), and is KSL of the transposed problem."""
    from matode.integrators import KSL, LSK

    partner = (LSK if trial.claims.family == "ksl" else KSL)(trial.integrator.substep)
    for rng in trial.draws(6):
        if trial.claims.substep == "exact":
            _reversal(trial, rng, partner)
        case = _case(rng)
        mirror = _transposed(case)
        Y1 = trial.step(case.F, case.t, case.h, case.Y0).dense
        other = trial.step(mirror.F, case.t, case.h, mirror.Y0, integrator=partner).dense
        trial.at_most(norm(other - Y1.conj().T), 1e-11 * (1 + norm(Y1)), "distance from the transposed partner")
