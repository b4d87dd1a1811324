"""Checks of what the exact flow preserves: norm, energy, descent, symmetry, and positive semidefiniteness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matode import bounds
from matode.problems.completion import Completion
from matode.testing.cases import (
    Case,
    Factors,
    bounded_case,
    factors,
    gaussian,
    norm,
    normal_component,
    shape_for,
    spectrum,
    stiefel,
)
from matode.testing.claims import Claims
from matode.testing.registry import check
from matode.testing.trial import Trial
from matode.truncation import Absolute

__all__: list[str] = []


def _keeps_norm(claims: Claims) -> str:
    return "" if "norm" in claims.guarantees and claims.adaptive else "does not claim the norm, or keeps the rank"


@check(guarantee="norm")
def norm_kept(trial: Trial) -> None:
    """Assert that the norm does not change where ``Re <Y, F(t, Y)> = 0``.

    Half of the fields are tangent; the other half, ``A1 Y + Y A2 + A3 Y B`` from starts of any norm, leave the rank.
    """
    for k, rng in enumerate(trial.draws(10)):
        if k % 2:
            case = _skew_case(rng)
        else:
            case = bounded_case(rng, skew=True, sigma=spectrum(rng, int(rng.integers(2, 4)), 4.0), hL=(0.02, 0.05))
        Y1, size = trial.step(case.F, case.t, case.h, case.Y0).dense, norm(case.Y0.dense)
        trial.at_most(abs(norm(Y1) - size), trial.tolerance(1e-9) * (1 + size), "change of the norm")


def _skew_case(rng: np.random.Generator) -> Case:
    """Draw ``F = A1 Y + Y A2 + A3 Y B`` with skew-Hermitian A's and a Hermitian B, L = 1, and a start of any norm."""
    cplx, r = bool(rng.integers(2)), int(rng.integers(2, 4))
    m, n = shape_for(rng, r)

    def part(k: int, size: float, sign: float) -> np.ndarray:
        G = gaussian(rng, k, k, cplx)
        G = G + sign * G.conj().T
        return G * (size / np.linalg.norm(G, 2))

    A1, A2, A3, B = part(m, 0.4, -1.0), part(n, 0.3, -1.0), part(m, 0.3, -1.0), part(n, 1.0, 1.0)

    def F(t: float, Y: np.ndarray) -> np.ndarray:
        return A1 @ Y + Y @ A2 + A3 @ Y @ B

    size = float(10.0 ** rng.uniform(-0.5, 0.5))
    return Case(F, 0.0, float(rng.uniform(0.02, 0.05)), factors(rng, (m, n), size * spectrum(rng, r, 4.0), cplx))


@check(applies=_keeps_norm)
def norm_truncated(trial: Trial) -> None:
    """Assert that a truncation takes from the norm exactly what it discards: ``||Y0||^2 - ||Y1||^2 = tau^2``."""
    theta = 0.3
    integrator = trial.truncating(Absolute(theta))
    for rng in trial.draws(6):
        case = bounded_case(rng, skew=True, sigma=(1.0, 0.25, 0.1), hL=(0.02, 0.05))
        whole = trial.step(case.F, case.t, case.h, case.Y0, integrator=trial.untruncated()).dense
        outcome = trial.step(case.F, case.t, case.h, case.Y0, integrator=integrator)
        Y1, tau = outcome.dense, outcome.discarded
        tau = norm(whole - Y1) if tau is None else tau
        trial.at_most(tau, theta, "what the truncation discarded")
        lost = norm(case.Y0.dense) ** 2 - norm(Y1) ** 2
        trial.at_most(abs(lost - tau**2), trial.tolerance(1e-9) * 2, "defect of the identity")


@dataclass(frozen=True)
class _Schroedinger:
    """``Y' = -i H(Y)`` with the Hermitian ``H(Y) = D Y + Y E + V Y W``."""

    D: np.ndarray
    E: np.ndarray
    V: np.ndarray
    W: np.ndarray

    def H(self, Y: np.ndarray) -> np.ndarray:
        return self.D @ Y + Y @ self.E + self.V @ Y @ self.W

    def __call__(self, t: float, Y: np.ndarray) -> np.ndarray:
        return -1j * self.H(Y)

    def energy(self, Y: np.ndarray) -> float:
        return float(np.vdot(Y, self.H(Y)).real)


def _schroedinger(rng: np.random.Generator, r: int) -> tuple[_Schroedinger, float, Factors]:
    """Draw a complex Schroedinger equation with ||H|| = 1, a step, and a start."""
    m, n = shape_for(rng, r)

    def hermitian(k: int, size: float) -> np.ndarray:
        A = gaussian(rng, k, k, True)
        A = A + A.conj().T
        return A * (size / np.linalg.norm(A, 2))

    field = _Schroedinger(hermitian(m, 0.3), hermitian(n, 0.3), hermitian(m, 0.6), hermitian(n, 0.6))
    return field, float(rng.uniform(0.02, 0.05)), factors(rng, (m, n), spectrum(rng, r, 2.0), True)


@check(guarantee="energy")
def energy_kept(trial: Trial) -> None:
    """Assert that ``<Y, H Y>`` does not change in a complex Schroedinger equation ``Y' = -i H(Y)``."""
    for rng in trial.draws(8):
        field, h, Y0 = _schroedinger(rng, int(rng.integers(1, 4)))
        Y1 = trial.step(field, 0.0, h, Y0).dense
        drift = abs(field.energy(Y1) - field.energy(Y0.dense))
        trial.at_most(drift, trial.tolerance(1e-9) * 2, "change of the energy")


def _keeps_energy(claims: Claims) -> str:
    return "" if "energy" in claims.guarantees and claims.adaptive else "does not claim the energy, or keeps the rank"


@check(applies=_keeps_energy)
def energy_truncated(trial: Trial) -> None:
    """Assert that a truncation changes the energy by at most ``||H(Y1 + Y1^)|| tau``, with Y1^ the result before."""
    integrator = trial.truncating(Absolute(0.3))
    for rng in trial.draws(6):
        field, h, Y0 = _schroedinger(rng, 3)
        whole = trial.step(field, 0.0, h, Y0, integrator=trial.untruncated()).dense
        outcome = trial.step(field, 0.0, h, Y0, integrator=integrator)
        Y1, tau = outcome.dense, outcome.discarded
        drift = abs(field.energy(Y1) - field.energy(Y0.dense))
        allowed = norm(field.H(Y1 + whole)) * (norm(whole - Y1) if tau is None else tau)
        trial.at_most(drift, allowed + trial.tolerance(1e-9) * 2, "change of the energy")


@check(guarantee="descent")
def descent(trial: Trial) -> None:
    """Assert that the loss falls at least as the sharp descent inequality of the augmented bases says.

    Euler substeps: ``f(Y1^) <= f(Y0) - h (1 - h L/2) ||P_T grad f||^2``. Exact ones: ``f(Y1^) <= f(Y0) - (1 -
    e^(-2Lh))/(2L) max(0, ||P_T grad f|| - L B h/sqrt2)^2``. Where the truncation can be set, the full step obeys the
    inequality with alpha and beta. Matrix completion, L = 1.
    """
    for k, rng in enumerate(trial.draws(30)):
        euler = trial.claims.substep == "euler"
        f, Y0, h = _sharp_loss(rng) if k % 2 else _masked_loss(rng, (0.1, 1.5) if euler else (0.02, 0.2))
        G = f.gradient(Y0.dense)
        tangent = _tangent_norm(G, Y0)
        if euler:
            fall = bounds.descent(L=1.0, h=h, projected_gradient=tangent)
        else:
            fall = bounds.descent_exact(L=1.0, B=norm(G) * np.exp(h), h=h, tangent_gradient=tangent)
        whole = trial.step(f, 0.0, h, Y0, integrator=trial.untruncated()).dense
        rounding = trial.tolerance(1e-9) * (1 + f.loss(Y0.dense))
        trial.at_most(
            f.loss(whole) - f.loss(Y0.dense) + fall, rounding, "loss before truncation, above what is promised"
        )
        if euler and trial.configurable():
            Y1 = trial.step(f, 0.0, h, Y0, integrator=trial.truncating(Absolute(0.05))).dense
            promised = bounds.truncated_descent(
                L=1.0,
                h=h,
                projected_gradient=tangent,
                gradient_after=norm(f.gradient(whole)),
                discarded=norm(whole - Y1),
            )
            trial.at_most(
                f.loss(Y1) - f.loss(Y0.dense) + promised, rounding, "loss after truncation, above what is promised"
            )


def _masked_loss(rng: np.random.Generator, steps: tuple[float, float]) -> tuple[Completion, Factors, float]:
    """Draw a completion loss, a start and a step."""
    r = int(rng.integers(1, 4))
    shape, cplx = shape_for(rng, r), bool(rng.integers(2))
    data = factors(rng, shape, spectrum(rng, r, 1.0), cplx).dense
    mask = (rng.random(shape) < rng.uniform(0.2, 1.0)).astype(data.dtype)
    return Completion(data, mask), factors(rng, shape, spectrum(rng, r, 3.0), cplx), float(rng.uniform(*steps))


def _sharp_loss(rng: np.random.Generator) -> tuple[Completion, Factors, float]:
    """Draw a loss with a nearly tangent gradient of norm 1, at a start of the size of one step's motion."""
    r = int(rng.integers(1, 4))
    shape, cplx = shape_for(rng, r), bool(rng.integers(2))
    h = float(rng.uniform(0.01, 0.05))
    Y0 = factors(rng, shape, np.sort(0.3 * h * 10.0 ** rng.uniform(-0.5, 0.5, r))[::-1], cplx)
    Z = gaussian(rng, *shape, cplx)
    N = normal_component(Z, Y0)
    T = Z - N
    data = Y0.dense + T / norm(T) + 0.1 * N / norm(N)
    return Completion(data, np.ones_like(data)), Y0, h


def _tangent_norm(G: np.ndarray, Y: Factors) -> float:
    """Return ``||P_T G||`` at Y."""
    left = Y.U.conj().T @ G
    right = (G - Y.U @ left) @ Y.V
    return float(np.hypot(norm(left), norm(right)))


def _sign_check(trial: Trial, rng: np.random.Generator, sign: float) -> None:
    """Make a step of a field with ``F(t, sign Y*) = sign F(t, Y)*`` and record the defect of ``Y1 = sign Y1*``."""
    cplx = bool(rng.integers(2))
    r = 2 if sign < 0 and not cplx else int(rng.integers(2, 4))
    n = shape_for(rng, r)[0]
    U, R = stiefel(rng, n, r, cplx), stiefel(rng, r, r, cplx)
    S = gaussian(rng, r, r, cplx)
    S = S + sign * S.conj().T
    Y0 = Factors(U, (S @ R) / norm(S), U @ R)
    G, Q = gaussian(rng, n, n, cplx), gaussian(rng, n, n, cplx)
    G, Q = G / np.linalg.norm(G, 2), Q + sign * Q.conj().T
    Q = Q / norm(Q)

    def F(t: float, Y: np.ndarray) -> np.ndarray:
        return G @ Y + Y @ G.conj().T + Y @ Y.conj().T @ Y + np.sin(t) * Q

    Y1 = trial.step(F, 0.4, float(rng.uniform(0.01, 0.05)), Y0).dense
    trial.at_most(norm(Y1 - sign * Y1.conj().T), trial.tolerance(1e-11) * (1 + norm(Y1)), "defect of the symmetry")


@check(guarantee="symmetric")
def symmetric(trial: Trial) -> None:
    """Assert that a Hermitian start stays Hermitian where ``F(t, Y*) = F(t, Y)*``; U and V differ by a gauge."""
    for rng in trial.draws(6):
        _sign_check(trial, rng, 1.0)


@check(guarantee="skew")
def skew_symmetric(trial: Trial) -> None:
    """Assert that a skew-Hermitian start stays so where ``F(t, -Y*) = -F(t, Y)*``; real ones have even rank."""
    for rng in trial.draws(6):
        _sign_check(trial, rng, -1.0)


@check(guarantee="psd")
def positive_semidefinite(trial: Trial) -> None:
    """Assert that a Hermitian positive semidefinite start stays so under a Lyapunov equation with such a source.

    The source has norm 1 in half of the draws, and 1e-4 in the others, where it cannot hide a loss. It always has full
    rank: bases that contain its range are then determined, and equal on both sides.
    """
    for k, rng in enumerate(trial.draws(8)):
        cplx = bool(rng.integers(2))
        r = int(rng.integers(1, 4))
        n = shape_for(rng, r)[0]
        U = stiefel(rng, n, r, cplx)
        C = gaussian(rng, r, r, cplx)
        S = C @ C.conj().T
        R = stiefel(rng, r, r, cplx)
        Y0 = Factors(U, (S @ R) / norm(S), U @ R)
        A, D = gaussian(rng, n, n, cplx), gaussian(rng, n, n, cplx)
        A, Q = A / np.linalg.norm(A, 2), D @ D.conj().T
        Q = Q * ((1.0, 1e-4)[k % 2] / norm(Q))

        def F(t: float, Y: np.ndarray, A: np.ndarray = A, Q: np.ndarray = Q) -> np.ndarray:
            return A @ Y + Y @ A.conj().T + Q

        Y1 = trial.step(F, 0.0, float(rng.uniform(0.01, 0.03)), Y0).dense
        lowest = float(np.linalg.eigvalsh((Y1 + Y1.conj().T) / 2)[0])
        defect = max(-lowest, norm(Y1 - Y1.conj().T))
        trial.at_most(max(defect, 0.0), trial.tolerance(1e-9) * (1 + norm(Y1)), "distance from the cone")
