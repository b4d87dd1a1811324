"""Error control: what rtol means, which limit binds, and a rank that grows when it must."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse

import matode
from matode import INTEGRATORS, AugmentedBUG, LowRank, MidpointBUG, PerBlock, Relative, State, problems, solve
from matode._array import to_host
from matode.control import Doubling
from matode.field import Counted, UserField
from matode.normal import normal_size, widened
from matode.protocols import Step
from tests.backends import assert_at_home

CASES = {
    "bounded": lambda: problems.bounded((24, 18), 3, eps=0.0, kappa=1.0),
    "lyapunov": lambda: problems.lyapunov(32, 6),
    "sylvester": lambda: problems.sylvester((24, 18), 3, T=1.0),
    "completion": lambda: problems.completion((20, 16), 3),
}
ADAPTIVE = [name for name in INTEGRATORS if hasattr(INTEGRATORS[name](), "truncation")]


def _error(sol, problem):
    """The largest error at a step, relative to the norm of the solution there."""
    errors = []
    for t, Y in zip(sol.t, sol.Y, strict=True):
        exact = problem.reference(t)
        errors.append(np.linalg.norm(to_host(Y.to_dense()) - exact) / np.linalg.norm(exact))
    return max(errors)


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("name", ["midpoint-bug", "augmented-bug", "abc-psi", "rk-bug-3"])
def test_rtol_bounds_the_error_and_costs_more_the_smaller_it_is(name, case):
    problem = CASES[case]()
    steps = []
    for rtol in (1e-2, 1e-4, 1e-6):
        sol = solve(problem.F, problem.t_span, problem.Y0, name, rtol=rtol)
        assert sol.success, sol.message
        assert _error(sol, problem) <= 10 * rtol
        steps.append(sol.nsteps)
    assert steps[0] < steps[-1] <= 300


def test_without_h_and_rtol_the_tolerance_is_one_in_a_thousand():
    problem = CASES["lyapunov"]()
    sol = solve(problem.F, problem.t_span, problem.Y0)
    same = solve(problem.F, problem.t_span, problem.Y0, rtol=1e-3)
    assert sol.t == same.t
    assert _error(sol, problem) <= 1e-2


@pytest.mark.parametrize("name", list(INTEGRATORS))
def test_every_integrator_is_controlled_on_every_backend(backend, name):
    problem = problems.sylvester((12, 9), 2, backend=backend)
    sol = solve(problem.F, (0.3, 0.0), solve(problem.F, (0.0, 0.3), problem.Y0, name, rtol=1e-4).Y[-1], name, rtol=1e-4)
    assert sol.success, sol.message
    for X in (sol.Y[-1].U, sol.Y[-1].S, sol.Y[-1].V):
        assert_at_home(X, backend, "float64")
    assert (sol.Y[-1] - problem.Y0).norm() <= 2e-3


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 1e-3), ("complex64", 1e-3), ("complex128", 1e-6)])
def test_other_dtypes(dtype, rtol):
    problem = problems.sylvester((12, 9), 2, T=1.0, dtype="complex128" if "complex" in dtype else "float64")
    Y0 = problem.Y0.astype(np.dtype(dtype))
    sol = solve(problem.F, problem.t_span, Y0, "midpoint-bug", rtol=rtol)
    assert str(sol.Y[-1].dtype) == dtype
    assert _error(sol, problem) <= 10 * rtol


def test_single_precision_refuses_a_tolerance_that_it_cannot_show():
    Y0 = LowRank.random((6, 5), 2, rng=0, dtype="float32")
    with pytest.raises(ValueError, match=r"rtol = 1e-07 is below .* at least 1\.2e-05, or give Y0 in double precision"):
        solve(lambda t, Y: -1.0 * Y, (0, 1), Y0, rtol=1e-7)


def test_a_system_of_low_rank_and_dense_blocks():
    A = np.diag([-1.0, -2.0, -3.0, -0.5, -1.5])
    Y0, b = LowRank.random((5, 5), 2, rng=1), np.array([1.0, 2.0])
    sol = solve(lambda t, Y: [A @ Y[0] + Y[0] @ A, -t * Y[1]], (0, 1), (Y0, b), "midpoint-bug", rtol=1e-6)
    exact = np.exp(np.diag(A)[:, None] + np.diag(A)[None, :]) * Y0.to_dense()
    assert np.linalg.norm(sol.Y[-1][0].to_dense() - exact) <= 1e-5
    assert np.linalg.norm(sol.Y[-1][1] - b * math.exp(-0.5)) <= 1e-5
    only = solve(lambda t, Y: [-Y[0]], (0, 1), State((b,)), rtol=1e-6)
    assert np.linalg.norm(only.Y[-1][0] - b / math.e) <= 1e-5


def test_a_field_outside_the_bases_widens_them_instead_of_shrinking_the_step():
    rng = np.random.default_rng(2)
    Y0 = LowRank.random((30, 25), 1, rng=rng)
    C = LowRank.random((30, 25), 8, rng=rng)  # orthogonal to nothing in particular: rank 1 cannot follow
    sol = solve(lambda t, Y: C - Y, (0, 1), Y0, "parallel-bug", rtol=1e-3)
    assert sol.success
    assert sol.statistics.widened >= 1
    assert sol.ranks[-1] == 9
    exact = math.exp(-1) * Y0 + (1 - math.exp(-1)) * C
    assert (sol.Y[-1] - exact).norm() <= 1e-2 * exact.norm()
    assert sol.nsteps <= 60


@pytest.mark.parametrize("name", ["parallel-bug-2", "midpoint-bug", "dgn", "abc-psi"])
@pytest.mark.parametrize("low", [False, True])
def test_what_neither_the_start_nor_the_step_sees_is_no_success(name, low):
    # the identity maps the bases of Y into each other: no product with them shows that it has other directions
    one = LowRank(np.eye(9)[:, :7], None, np.eye(7)) if low else scipy.sparse.csr_array(np.eye(9, 7))
    Y0 = LowRank.random((9, 7), 2, rng=1)
    sol = solve(lambda t, Y: one, (0, 0.5), Y0, name, rtol=1e-3)
    assert sol.success, sol.message
    exact = Y0.to_dense() + 0.5 * np.eye(9, 7)
    assert np.linalg.norm(sol.Y[-1].to_dense() - exact) <= 1e-2 * np.linalg.norm(exact)


def test_a_zero_start_grows_out_of_nothing():
    c = np.random.default_rng(6).standard_normal((8, 2))
    sol = solve(lambda t, Y: (1 + t) * LowRank(c, None, c), (0, 1), np.zeros((8, 8)), rtol=1e-6)
    assert sol.success, sol.message
    assert np.linalg.norm(sol.Y[-1].to_dense() - 1.5 * c @ c.T) <= 1e-5 * np.linalg.norm(c @ c.T)


def test_a_zero_start_may_stay_zero():
    Y0 = LowRank(np.eye(5)[:, :2], np.zeros((2, 2)), np.eye(4)[:, :2])
    sol = solve(lambda t, Y: -1.0 * Y, (0, 1), Y0, rtol=1e-3)
    assert sol.success, sol.message
    assert sol.Y[-1].norm() == 0.0


def test_a_rank_at_its_cap_limits_the_solve_and_says_so():
    C = LowRank.random((20, 15), 6, rng=3)
    sol = solve(lambda t, Y: C - Y, (0, 1), LowRank.random((20, 15), 1, rng=4), rtol=1e-4, max_rank=3)
    assert (sol.status, sol.success) == ("limited", False)
    assert "rank was held at its maximum" in sol.message
    assert max(sol.ranks) == 3
    assert sol.t[-1] == 1.0
    free = solve(lambda t, Y: C - Y, (0, 1), LowRank.random((20, 15), 1, rng=4), rtol=1e-4, max_rank=10)
    assert free.success


@pytest.mark.parametrize("arguments", [{"h": 0.1}, {"rtol": 1e-3}])
@pytest.mark.parametrize("rule", [None, Relative(1e-8), PerBlock(Relative(1e-8))])
def test_the_cap_of_the_rank_holds_with_any_truncation(rule, arguments):
    C = LowRank.random((20, 15), 6, rng=3)
    Y0 = LowRank.random((20, 15), 1, rng=4)
    sol = solve(lambda t, Y: C - Y, (0, 1), Y0, truncation=rule, max_rank=2, **arguments)
    assert max(sol.ranks) == 2
    assert "rank was held at its maximum" in sol.message


@pytest.mark.parametrize("name", ["bug", "ksl-strang"])
def test_a_fixed_rank_stays_fixed(name):
    problem = problems.lyapunov(32, 6)
    sol = solve(problem.F, problem.t_span, problem.Y0, name, rtol=1e-4)
    assert set(sol.ranks) == {6}
    assert sol.statistics.widened == 0


def test_the_users_truncation_is_kept():
    problem = problems.lyapunov(32, 6)
    coarse = solve(problem.F, problem.t_span, problem.Y0, rtol=1e-6, truncation=Relative(1e-2))
    own = solve(problem.F, problem.t_span, problem.Y0, AugmentedBUG(truncation=Relative(1e-2)), rtol=1e-6)
    fine = solve(problem.F, problem.t_span, problem.Y0, rtol=1e-6)
    assert coarse.ranks[-1] == own.ranks[-1] < fine.ranks[-1]


def test_a_smallest_step_binds_with_a_sentence():
    sol = solve(
        lambda t, Y: 1e4 * math.sin(1e4 * t) * Y, (0, 1), LowRank.random((5, 5), 2, rng=0), rtol=1e-6, min_step=1e-2
    )
    assert (sol.status, sol.success) == ("failed", False)
    assert "the step size fell to" in sol.message
    assert "below 1.0e-02" in sol.message


def test_a_smallest_step_is_where_the_solve_begins():
    sol = solve(lambda t, Y: -1e3 * Y, (0, 0.02), LowRank.random((5, 5), 2, rng=0), "prk3", rtol=1e-2, min_step=1e-4)
    assert sol.success, sol.message
    assert sol.statistics.h[0] == 1e-4


@pytest.mark.parametrize("name", ["prk2", "augmented-bug"])
def test_time_does_not_stand_still_before_a_pole(name):
    Y0 = LowRank.random((5, 4), 1, rng=0)
    pole = 1 + 1 / Y0.norm() ** 2 / 2
    with np.errstate(over="ignore", invalid="ignore"):
        sol = solve(lambda t, Y: Y @ (Y.mT @ Y), (1, 3), Y0, name, rtol=1e-3)
    assert sol.status == "failed"
    assert "does it become infinite here" in sol.message or "would need one below" in sol.message
    assert sol.t[-1] == pytest.approx(pole, rel=1e-2)
    assert all(b > a for a, b in zip(sol.t, sol.t[1:], strict=False))


def test_a_tolerance_that_rounding_cannot_meet_is_named():
    sol = solve(lambda t, Y: -1.0 * Y, (0, 1), LowRank.random((5, 4), 2, rng=0), atol=1e-30, max_steps=100)
    assert (sol.status, sol.nsteps) == ("failed", 0)
    assert "atol = 1e-30 was not met in 61 attempts" in sol.message


def test_a_largest_step_is_kept():
    sol = solve(lambda t, Y: -0.01 * Y, (0, 1), LowRank.random((5, 5), 2, rng=0), rtol=1e-2, max_step=0.05)
    assert max(sol.statistics.h) <= 0.05 * (1 + 1e-12)
    assert sol.nsteps >= 20


def test_the_budget_of_steps_ends_with_a_sentence_and_keeps_what_there_is():
    problem = CASES["bounded"]()
    sol = solve(problem.F, problem.t_span, problem.Y0, "bug", rtol=1e-8, max_steps=20)
    assert sol.status == "failed"
    assert "the budget of 20 steps is used up" in sol.message
    assert 0 < sol.t[-1] < 1
    assert len(sol.Y) == len(sol.t)


def test_h_with_rtol_is_the_first_step():
    problem = CASES["lyapunov"]()
    sol = solve(problem.F, problem.t_span, problem.Y0, rtol=1e-2, h=1e-3)
    assert sol.t[1] == 1e-3
    assert sol.nsteps < 50


def test_wanted_times_are_met_exactly():
    problem = CASES["lyapunov"]()
    times = [0.1, 0.2, 0.200001, 0.9]
    sol = solve(problem.F, problem.t_span, problem.Y0, rtol=1e-5, t_eval=times)
    assert sol.t == times
    assert _error(sol, problem) <= 1e-4


@pytest.mark.parametrize("name", ["augmented-bug", "ksl"])
def test_nan_in_the_field_ends_the_solve_next_to_it(name):
    poison, Y0 = np.full((5, 5), np.nan), LowRank.random((5, 5), 2, rng=0)
    sol = solve(lambda t, Y: -1.0 * Y if t < 0.45 else poison, (0, 1), Y0, name, rtol=1e-3)
    assert sol.status == "failed"
    assert "F returned NaN or inf" in sol.message
    assert 0.4 < sol.t[-1] < 0.45
    at_once = solve(lambda t, Y: poison, (0, 1), Y0, name, rtol=1e-3)
    assert "F returned NaN or inf at t = 0" in at_once.message
    assert at_once.t == [0.0]
    assert at_once.statistics.accepted == 0


def test_a_restart_goes_on_where_the_step_had_collapsed():
    poison, Y0 = np.full((5, 5), np.nan), LowRank.random((5, 5), 2, rng=0)
    sol = solve(lambda t, Y: -1.0 * Y if t < 0.45 else poison, (0, 1), Y0, rtol=1e-3)
    rest = solve(lambda t, Y: -1.0 * Y, (sol.t[-1], 1), sol, rtol=1e-3)
    assert rest.success, rest.message
    assert rest.nsteps <= 10


def test_a_step_that_runs_away_is_only_a_rejected_one():
    with np.errstate(over="ignore", invalid="ignore"):
        sol = solve(lambda t, Y: -1e3 * Y @ (Y.mT @ Y), (0, 0.01), LowRank.random((6, 5), 2, rng=0), rtol=1e-4, h=0.01)
    assert sol.success, sol.message
    assert sol.statistics.rejected >= 1
    s = 1 / np.sqrt(1 + 2e3 * 0.01)
    assert np.allclose(sol.Y[-1].singular_values(), s, rtol=1e-3)


def test_doubling_estimates_the_error_and_gains_an_order():
    problem = problems.bounded((24, 18), 3, eps=0.0, kappa=1.0)
    field = UserField(problem.F)
    ratios, errors = [], []
    for h in (0.025, 0.0125):
        step = Doubling(MidpointBUG(), 2.0, Relative(1e-13)).step(field, 0.0, h, (problem.Y0,))
        two = MidpointBUG().step(field, h / 2, h / 2, MidpointBUG().step(field, 0.0, h / 2, (problem.Y0,)).Y).Y[0]
        exact = problem.reference(h)
        ratios.append(step.error / np.linalg.norm(two.to_dense() - exact))
        errors.append(np.linalg.norm(step.Y[0].to_dense() - exact))
    assert all(0.7 <= ratio <= 1.4 for ratio in ratios)
    assert 12 <= errors[0] / errors[1] <= 20  # order 3: 2^4 a step


def test_doubling_cuts_a_foreign_method_to_its_own_rank():
    class Foreign:
        def step(self, field, t, h, Y, memory=None):
            return Step(Y)

    Y0 = LowRank.random((9, 8), 3, rng=0)
    step = Doubling(Foreign(), 1.0).step(UserField(lambda t, Y: Y), 0.0, 0.1, (Y0,))
    assert step.Y[0].rank == 3
    assert step.error <= 1e-14
    assert solve(lambda t, Y: Y, (0, 1), Y0, Foreign(), rtol=1e-3).ranks[-1] == 3


def test_a_trial_step_does_not_evaluate_the_start_twice():
    problem = problems.lyapunov(16, 3)
    field = Counted(UserField(problem.F))
    Doubling(AugmentedBUG(matode.euler), 1.0, Relative(1e-8)).step(field, 0.0, 1e-3, (problem.Y0,))
    alone = field.nfev
    sol = solve(problem.F, (0.0, 1e-3), problem.Y0, AugmentedBUG(matode.euler), rtol=0.5, h=1e-3)
    assert (alone, sol.nsteps, sol.statistics.rejected) == (3, 1, 0)
    assert sol.nfev == 2


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_normal_component_and_widening(backend, dense, dtype):
    Y = LowRank.random((14, 11), 2, rng=0, dtype=dtype, backend=backend)
    F = LowRank.random((14, 11), 3, rng=1, dtype=dtype, backend=backend)
    value = F.to_dense() if dense else F
    field = UserField(lambda t, Y: value)(0.0, (Y,))
    U, V, G = (to_host(X) for X in (Y.U, Y.V, F.to_dense()))
    N = G - U @ (U.conj().T @ G)
    N = N - N @ V @ V.conj().T
    size = np.linalg.norm(N)
    assert normal_size(field, (Y,)) == pytest.approx(size, rel=0.6 if dense else 1e-12)
    (wide,) = widened(field, (Y,), 1e-10)
    for X in (wide.U, wide.S, wide.V):
        assert_at_home(X, backend, dtype)
    U, V = to_host(wide.U), to_host(wide.V)
    rest = N - U @ (U.conj().T @ N)
    assert np.linalg.norm(rest - rest @ V @ V.conj().T) <= 1e-10 * size
    assert np.linalg.norm(U.conj().T @ U - np.eye(U.shape[1])) <= 1e-13
    assert np.linalg.norm(to_host((wide - Y).to_dense())) <= 1e-14
    assert widened(field, (Y,), 2 * size)[0].rank == (5 if dense else 3)  # one direction at least
