"""Checks of the error: explicit bounds as inequalities, order of convergence, and the plateau at fixed rank."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from matode import bounds
from matode.testing.cases import Case, Factors, bounded_case, flow, norm, normal_component
from matode.testing.registry import check
from matode.testing.trial import Trial
from matode.truncation import Absolute

__all__: list[str] = []

ROUNDING = 1e-9  # relative to 1 + ||Y||, which is 2 here


def local_bound_of(trial: Trial, case: Case, Y1: Factors) -> float:
    """Return the bound of the step that gave Y1, with the measured normal component where that is enough.

    A stranger of a rank-adaptive family that kept the rank may have cut its result, which the bound of the family does
    not cover: it gets the loosest bound of its class of substeps.
    """
    claims, eps = trial.claims, case.eps
    if claims.eps_at_start:
        if claims.stranger and Y1.rank <= case.Y0.rank:
            claims = replace(claims, family=None)
        else:
            times = np.linspace(case.t, case.t + case.h, 5)
            seen = max(norm(normal_component(case.F(float(t), case.Y0.dense), case.Y0)) for t in times)
            eps = min(eps, seen * (1 + 1e-9))
    return claims.local_bound(L=case.L, B=case.B, eps=eps, h=case.h, rate=case.rate)


def allowance(trial: Trial) -> float:
    """Return what rounding, an RK4 step of length h, and a truncation that cannot be set may add to a bound."""
    return trial.claims.truncation + 2 * ROUNDING


@check()
def local_bound(trial: Trial) -> None:
    """Assert that one step errs by no more than the explicit bound in L, B, eps and h (bounds of :mod:`matode.bounds`).

    Random bounded fields, real and complex, rectangular, time-dependent in half of the draws, spectra over ten decades;
    a quarter of the steps runs backward.
    """
    for rng in trial.draws(24):
        case = bounded_case(rng, backward=not trial.claims.stranger)
        Y1 = trial.step(case.F, case.t, case.h, case.Y0).Y
        error = norm(Y1.dense - flow(case.F, case.t, case.h, case.Y0.dense))
        trial.at_most(error, local_bound_of(trial, case, Y1) + allowance(trial), "error of one step")


@check()
def small_singular_values(trial: Trial) -> None:
    """Assert that the same bound holds however small the smallest singular value is: 1, 1e-4, 1e-8, 1e-12 and 0."""
    smallest = (1.0, 1e-4, 1e-8, 1e-12, 0.0)
    for k, rng in enumerate(trial.draws(10)):
        s = smallest[k % 5]
        case = bounded_case(rng, sigma=(1.0, s**0.5, s), eps=1e-5)
        Y1 = trial.step(case.F, case.t, case.h, case.Y0).Y
        error = norm(Y1.dense - flow(case.F, case.t, case.h, case.Y0.dense))
        trial.at_most(error, local_bound_of(trial, case, Y1) + allowance(trial), f"error at sigma_r = {s:g}")


@check()
def accumulated_bound(trial: Trial) -> None:
    """Assert that the error after each of twelve steps obeys ``E <- e^(L h) E + local + discarded``, as measured.

    Where the truncation can be set it is, to 1e-3, and must discard no more than that.
    """
    theta = 1e-3
    for rng in trial.draws(4):
        case = bounded_case(rng, eps=float(10.0 ** rng.uniform(-6, -2)), hL=(0.005, 0.02))
        adaptive = trial.configurable()
        integrator = trial.truncating(Absolute(theta)) if adaptive else trial.integrator
        Y, exact, bound, memory = case.Y0, case.Y0.dense, 0.0, None
        for n in range(12):
            here = Case(case.F, case.t + n * case.h, case.h, Y, case.L, case.B, case.eps, case.rate)
            outcome = trial.step(case.F, here.t, case.h, Y, integrator=integrator, memory=memory)
            discarded = outcome.discarded or 0.0
            if adaptive:
                trial.at_most(discarded, theta, "what the truncation discarded")
            local = local_bound_of(trial, here, outcome.Y) + allowance(trial)
            bound = bounds.a_posteriori([local], [discarded], L=case.L, h=case.h, start_error=bound)[-1]
            exact = flow(case.F, here.t, case.h, exact)
            Y, memory = outcome.Y, outcome.step.memory
            trial.at_most(norm(Y.dense - exact), bound, f"error after {n + 1} steps")


def _slope(sizes: list[int], errors: list[float]) -> float:
    """Return the observed order: minus the slope of log error against log number of steps."""
    return float(-np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def _error(trial: Trial, case: Case, T: float, steps: int, exact: np.ndarray) -> tuple[float, bool]:
    """Return the error after ``steps`` steps to T, and whether the integrator itself kept the rank.

    A rank that grew is cut back to that of the start after every step: more directions than the solution has would hide
    the order, since they come and go with the tolerance.
    """
    Y, memory, h, r = case.Y0, None, T / steps, case.Y0.rank
    stayed = True
    for k in range(steps):
        outcome = trial.step(case.F, case.t + k * h, h, Y, memory=memory)
        Y, memory = outcome.Y, outcome.step.memory
        if Y.rank != r:
            stayed = False
            P, s, Qh = np.linalg.svd(Y.S)
            k_r = min(r, len(s))
            Y = Factors(Y.U @ P[:, :k_r], np.diag(s[:k_r]).astype(Y.U.dtype), Y.V @ Qh[:k_r].conj().T)
    return norm(Y.dense - exact), stayed


@check()
def order(trial: Trial) -> None:
    """Assert that the error falls with the claimed order on a smooth problem whose solution keeps its rank.

    F depends on the time. The slope over 20, 40 and 80 steps (40, 80 and 160 for first order; 4, 8 and 16 over three
    times the time from third order on) is at least the order minus 0.15, and, where theory gives a window, at most its
    upper end; where it is not, the sizes are doubled up to two times, since a slope at coarse steps may be another. No
    order can be seen in errors as small as what truncations may add up to.
    """
    claims = trial.claims
    first = 40 if claims.order <= 1 else (20 if claims.order < 3 else 4)
    for rng in trial.draws(1):
        case = bounded_case(rng, sigma=(1.0, 0.5, 0.2), cplx=False, eps=0.0, omega=1.0)
        T = (2.0 if claims.order < 3 else 6.0) / case.L
        exact = flow(case.F, case.t, T, case.Y0.dense, steps=20)
        sizes, errors, slopes = [first, 2 * first, 4 * first], list[float](), list[float]()
        while len(slopes) < 3 and not any(claims.order - 0.15 <= s <= claims.order_below for s in slopes):
            errors += [_error(trial, case, T, N, exact)[0] for N in sizes[len(errors) :]]
            if not np.isfinite(errors).all():
                trial.at_most(math.nan, 1.0, "error on a smooth problem")
                return
            if not slopes and errors[-1] < max(1e-10, 3 * sizes[-1] * claims.truncation):
                break
            slopes.append(_slope(sizes[-3:], [max(e, 1e-16) for e in errors[-3:]]))
            sizes.append(2 * sizes[-1])
        if not slopes:
            trial.pass_over("exact to rounding or to the truncation, so that no order can be seen")
            continue
        slope = next((s for s in slopes if claims.order - 0.15 <= s <= claims.order_below), slopes[0])
        trial.at_least(slope, claims.order - 0.15, "observed order")
        if math.isfinite(claims.order_below):
            trial.at_most(slope, claims.order_below, "observed order")


@check()
def plateau(trial: Trial) -> None:
    """Assert that with small steps the error of a fixed rank is at most 1.3 times that of the best approximation.

    The lower limit, 1, is asked for only where the rank stayed.
    """
    for rng in trial.draws(1):
        case = bounded_case(rng, sigma=(1.0, 0.5, 0.2), cplx=False, eps=0.05, omega=1.0)
        T = 0.2 / case.L
        exact = flow(case.F, case.t, T, case.Y0.dense, steps=4)
        best = norm(np.linalg.svd(exact, compute_uv=False)[case.Y0.rank :])
        error, stayed = _error(trial, case, T, 60, exact)
        trial.at_most(error, 1.3 * best, "error at fixed rank, against 1.3 times that of the best approximation")
        if stayed:
            trial.at_least(error, best * (1 - 1e-9), "error at fixed rank, against that of the best approximation")
