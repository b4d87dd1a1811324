"""The bounds: their values, how they add up, and that no integrator exceeds them on random problems."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import matode
from matode import bounds
from matode._array import to_host
from matode.field import UserField
from matode.problems.bounded import bounded
from matode.problems.completion import Completion, completion
from matode.testing import strategies
from matode.testing.cases import flow, norm, normal_component
from matode.testing.claims import Claims, claims_of

METHODS = [matode.KSL, matode.LSK, matode.KSLStrang, matode.BUG, matode.AugmentedBUG]
INTEGRATORS = [method(substep) for method in METHODS for substep in (matode.rk4, matode.euler)]
IDS = [f"{type(i).__name__}-{i.substep.name}" for i in INTEGRATORS]
POINT = {"L": 2.0, "B": 1.5, "eps": 0.01, "h": 0.1}

constants = st.fixed_dictionaries(
    {
        "L": st.floats(0.1, 10),
        "B": st.floats(0.1, 10),
        "eps": st.floats(0, 1),
        "h": st.floats(1e-4, 0.1),
    }
)


def step(integrator, F, t, h, Y0):
    """Make one step of a matrix, for a field on dense host arrays."""
    start = matode.State((matode.LowRank(*Y0),))
    return integrator.step(UserField(lambda t, Y: F(t, Y.to_dense())), t, h, start).Y[0].to_dense()


# Values


@pytest.mark.parametrize(
    ("method", "substep", "value"),
    [
        ("ksl", "exact", math.exp(0.2) * (0.001 + 0.09)),
        ("lsk", "exact", math.exp(0.2) * (0.001 + 0.09)),
        ("ksl-strang", "exact", (1 + math.exp(0.1)) * math.exp(0.1) * (0.0005 + 0.0225)),
        ("bug", "exact", math.exp(0.2) * (math.sqrt(2) * 0.001 + (1.5 * math.sqrt(2) + 0.5) * 0.03)),
        ("augmented-bug", "exact", 0.001 + (math.sqrt(13) / 2 + math.exp(0.2) / 2) * 0.03),
        ("augmented-bug", "euler", 0.001 + 0.015),
        ("parallel-bug", "exact", 0.001 + math.sqrt(13) / 2 * 0.03),
        ("parallel-bug", "euler", 0.001 + 0.015),
        ("abc-psi", "exact", 0.001 + (math.sqrt(5) / 2 + math.exp(0.2) / 2) * 0.03),
        ("abc-psi", "euler", 0.001 + 0.015),
        ("prk1", "euler", (2 + math.exp(0.2)) * 0.001 + 0.03),
        ("step-truncation", "euler", math.exp(0.2) * 0.001 + 0.03),
    ],
)
def test_local_bounds_are_those_of_the_master_table(method, substep, value):
    assert bounds.LOCAL_BOUNDS[method][substep](**POINT) == pytest.approx(value, rel=1e-14)


def test_second_order_bound():
    value = bounds.parallel_bug_2(L=2.0, B=1.5, eps=0.01, eps_wide=1e-4, h=0.1)
    assert value == pytest.approx(1e-5 + 2 * math.exp(0.2) * (1e-4 + 1e-3), rel=1e-14)


@given(constants)
def test_the_loosest_bounds_are_above_all_others(point):
    for rows in bounds.LOCAL_BOUNDS.values():
        if "exact" in rows:
            assert rows["exact"](**point) <= bounds.any_exact(**point)
        if "euler" in rows:
            assert rows["euler"](**point) <= bounds.any_euler(**point) * (1 + 1e-12)


@given(constants)
def test_every_bound_is_of_second_order_without_a_normal_component(point):
    whole, half = {**point, "eps": 0.0}, {**point, "eps": 0.0, "h": point["h"] / 2}
    for rows in bounds.LOCAL_BOUNDS.values():
        for bound in rows.values():
            assert bound(**half) <= bound(**whole) / 4 * (1 + 1e-12)


# Sums


@given(constants, st.integers(1, 40), st.floats(0, 1), st.floats(0, 1e-2))
def test_global_bound_is_above_the_recursion(point, steps, start_error, theta):
    local = bounds.ksl(**point)
    L, h = point["L"], point["h"]
    recursion = bounds.a_posteriori([local] * steps, [theta] * steps, L=L, h=h, start_error=start_error)
    summed = bounds.global_bound(local, L=L, h=h, T=steps * h, start_error=start_error, theta=theta)
    assert recursion[-1] <= summed * (1 + 1e-12)
    assert len(recursion) == steps + 1
    assert recursion[0] == start_error


def test_global_bound_without_growth():
    assert bounds.global_bound(1e-3, L=0.0, h=0.1, T=2.0, start_error=0.5, theta=1e-4) == pytest.approx(0.522)


def test_a_posteriori_takes_steps_of_different_lengths():
    assert bounds.a_posteriori([1.0, 1.0], [0.0, 0.5], L=0.0, h=[0.1, 0.2]) == [0.0, 1.0, 2.5]
    with pytest.raises(ValueError, match="one discarded norm per step"):
        bounds.a_posteriori([1.0], [], L=1.0, h=0.1)


@given(constants, st.floats(0.1, 2), st.floats(0, 1e-2))
def test_dlrt_constants_are_the_global_bound_of_the_euler_form(point, T, theta):
    c1, c2, c3 = bounds.dlrt_constants(L=point["L"], B=point["B"], T=T)
    local = bounds.augmented_bug_euler(**point)
    summed = bounds.global_bound(local, L=point["L"], h=point["h"], T=T, theta=theta)
    assert c1 * point["eps"] + c2 * point["h"] + c3 * theta / point["h"] == pytest.approx(summed, rel=1e-10)


def test_descent_bounds():
    assert bounds.descent(L=2.0, h=0.1, projected_gradient=3.0) == pytest.approx(0.1 * 0.9 * 9)
    full = bounds.truncated_descent(L=2.0, h=0.1, projected_gradient=3.0, gradient_after=2.0, discarded=0.01)
    assert full == pytest.approx(0.81 - (2.0 + 0.01) * 0.01)
    exact = bounds.descent_exact(L=2.0, B=5.0, h=0.01, tangent_gradient=3.0)
    assert exact == pytest.approx((1 - math.exp(-0.04)) / 4 * (3 - 0.1 / math.sqrt(2)) ** 2)
    assert bounds.descent_exact(L=2.0, B=5.0, h=1.0, tangent_gradient=3.0) == 0.0


def test_claims_choose_the_row_and_fall_back_to_the_loosest():
    assert claims_of(matode.AugmentedBUG(matode.euler)).local_bound(**POINT) == bounds.augmented_bug_euler(**POINT)
    assert Claims(substep="exact").local_bound(**POINT) == bounds.any_exact(**POINT)
    assert Claims(substep="euler").local_bound(**POINT) == bounds.any_euler(**POINT)
    in_time = Claims(substep="euler").local_bound(**POINT, rate=3.0)
    assert in_time == pytest.approx(bounds.any_euler(**POINT) + 0.015)


# On random problems


@pytest.mark.parametrize("integrator", INTEGRATORS, ids=IDS)
@given(case=strategies.bounded_cases())
def test_no_step_exceeds_its_bound(integrator, case):
    error = norm(step(integrator, case.F, case.t, case.h, case.Y0) - flow(case.F, case.t, case.h, case.Y0.dense))
    bound = claims_of(integrator).local_bound(L=case.L, B=case.B, eps=case.eps, h=case.h, rate=case.rate)
    assert error <= bound + 1e-9 * (1 + norm(case.Y0.dense))


known = st.one_of(
    strategies.bounded_problems(),
    strategies.given_matrix_problems(),
    strategies.sylvester_problems(),
    strategies.schroedinger_problems(),
)
"""The families whose normal component is known."""


@pytest.mark.parametrize("method", METHODS)
@given(problem=known)
def test_no_solution_exceeds_the_global_bound(method, problem):
    """Three steps. For the given matrices L and eps are 0, and so is the bound: exactness."""
    (t0, t1), L, B = problem.t_span, problem.L, problem.B or 0.0
    h = min(0.02 / max(L, 1.0), (t1 - t0) / 3)
    solution = matode.solve(problem.F, (t0, t0 + 3 * h), problem.Y0, method(), h=h)
    local = claims_of(method()).local_bound(L=L, B=B, eps=problem.eps, h=h)
    bound = bounds.a_posteriori([local] * 3, solution.truncation_error, L=L, h=h)[-1]
    start, end = (to_host(Y.to_dense()) for Y in (solution.Y[0], solution.Y[-1]))
    assert norm(end - problem.reference(t0 + 3 * h)) <= bound + 1e-9 * (1 + norm(start))


# The problems' constants


@given(strategies.bounded_cases(), st.floats(-8, 2), strategies.seeds)
def test_the_constants_of_the_bounded_field_hold(case, exponent, seed):
    rng = np.random.default_rng(seed)
    Y = case.Y0.dense
    D = rng.standard_normal(Y.shape)
    Z = Y + D * (10.0**exponent / norm(D))
    F, G = case.F(case.t, Y), case.F(case.t, Z)
    assert norm(F) <= case.B * (1 + 1e-12)
    assert norm(F - G) <= case.L * norm(Y - Z) * (1 + 1e-6) + 1e-13
    assert norm(normal_component(F, case.Y0)) <= case.eps + 1e-13
    later = case.F(case.t + 1e-4, Y)
    assert norm(later - F) <= case.rate * 1e-4 * (1 + 1e-6) + 1e-14


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_bounded_problem_is_the_same_field_on_low_rank_and_dense_values(dtype):
    problem = bounded((9, 7), 2, omega=1.0, dtype=dtype, seed=3)
    F, Y = problem.F, problem.Y0
    dense = matode.testing.cases.BoundedField(
        F.G1, F.Ga, F.Gb, F.C.to_dense(), F.E.to_dense(), F.g1, F.g2, F.kappa, F.omega, F.eps
    )
    assert np.allclose(F(0.3, Y).full(), dense(0.3, Y.to_dense()), atol=1e-14)
    h = 1e-4
    slope = (problem.reference(h) - Y.to_dense()) / h
    assert norm(slope - dense(0.0, Y.to_dense())) < 5 * h * problem.L


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_skew_bounded_problem_keeps_the_norm(dtype):
    problem = bounded((9, 7), 2, omega=1.0, eps=0.0, skew=True, dtype=dtype)
    assert norm(problem.reference(1.0)) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_completion_gradient_and_reference(dtype):
    problem = completion((8, 6), 2, noise=0.1, dtype=dtype, seed=1)
    f: Completion = problem.F
    rng = np.random.default_rng(0)
    Y, D = problem.Y0.to_dense(), rng.standard_normal((8, 6)).astype(dtype)
    h = 1e-6
    slope = (f.loss(Y + h * D) - f.loss(Y - h * D)) / (2 * h)
    assert slope == pytest.approx(float(np.vdot(f.gradient(Y), D).real), abs=1e-8)
    assert f.loss(problem.Y0) == pytest.approx(f.loss(Y))
    assert np.allclose(problem.reference(0.7), flow(f, 0.0, 0.7, Y), atol=1e-10)
    assert f.loss(problem.reference(2.0)) < f.loss(Y)


def test_completion_says_what_is_wrong():
    with pytest.raises(ValueError, match="share of observed entries"):
        completion(observed=0.0)


# The strategies


@given(strategies.low_rank())
def test_low_rank_values_are_orthonormal_of_norm_one_and_rectangular(Y):
    for X in (Y.U, Y.V):
        assert norm(X.conj().T @ X - np.eye(X.shape[1])) < 1e-13
    assert Y.norm() == pytest.approx(1.0)
    assert min(Y.shape) >= 4 * Y.rank + 2


@given(strategies.spectra(3))
def test_spectra_descend_from_a_positive_value(s):
    assert s == sorted(s, reverse=True)
    assert s[0] > 0


@given(strategies.problems())
def test_problems_know_their_reference_and_start_on_it(problem):
    start = to_host(problem.Y0.to_dense())
    assert norm(problem.reference(problem.t_span[0]) - start) < 1e-10
    assert problem.L is not None
