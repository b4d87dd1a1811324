"""The loop: grids, directions, what Y0 may be, how a solve ends, and the sentence that each mistake gives."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from scipy.sparse import csr_array

import matode
from matode import INTEGRATORS, Absolute, LowRank, Rank, Relative, State, problems, solve
from matode._array import to_host
from tests.backends import assert_at_home, send

A = np.diag([-1.0, -2.0, -3.0, -0.5, -1.5])
EXACT = np.exp(np.diag(A)[:, None] + np.diag(A)[None, :])


def F(t, Y):
    return A @ Y + Y @ A


FORMULA = {"prk1": 1, "step-truncation": 1, "prk2": 2, "rk-bug-2": 2, "prk3": 3, "rk-bug-3": 3}
"""Order of the formula that a method integrates tangent fields with, where that is not the substep's 4."""


def _growth(name, z):
    """What one step makes of ``Y' = z / h Y``: the Taylor polynomial of the exponential."""
    return sum(z**k / math.factorial(k) for k in range(FORMULA.get(name, 4) + 1))


def _start(rank=2):
    return LowRank.random((5, 5), rank, singular_values=[1.0, 0.5, 0.25][:rank], rng=0)


@pytest.mark.parametrize("name", [*INTEGRATORS, "kls"])
def test_every_name_integrates_forward_and_back(backend, name):
    problem = problems.sylvester((12, 9), 3, backend=backend)
    there = solve(problem.F, (0.5, 1.0), problem.Y0, name, h=0.02)
    assert there.success
    back = solve(problem.F, (1.0, 0.5), there.Y[-1], name, h=0.02)
    assert_at_home(back.Y[-1].U, backend, "float64")
    assert back.t[0] == 1.0
    assert back.t[-1] == 0.5
    assert (back.Y[-1] - problem.Y0).norm() <= 0.02


def test_y0_as_factors_low_rank_or_dense():
    Y0 = _start()
    results = [
        solve(F, (0, 1), start, "ksl", h=0.05, truncation=rule).Y[-1].to_dense()
        for start, rule in ((Y0, None), ((Y0.U, Y0.S, Y0.V), None), (Y0.to_dense(), Rank(2)), (Y0.to_dense(), None))
    ]
    for result in results:
        assert np.linalg.norm(result - EXACT * Y0.to_dense()) <= 1e-5
        assert np.linalg.norm(result - results[0]) <= 1e-12


def test_factors_need_not_be_orthonormal_nor_square_and_are_not_truncated():
    rng = np.random.default_rng(1)
    U, S, V = rng.standard_normal((5, 3)), rng.standard_normal((3, 4)), 1e-14 * rng.standard_normal((5, 4))
    sol = solve(F, (0, 1), (U, S, V), "ksl", h=0.05, truncation=Relative(0.5))
    assert sol.ranks == [3] * 21
    expected = EXACT * (U @ S @ V.T)
    assert np.linalg.norm(sol.Y[-1].to_dense() - expected) <= 1e-5 * np.linalg.norm(expected)


def test_orthonormal_factors_are_kept_as_they_are():
    Y0 = _start()
    assert solve(F, (0, 0), Y0, h=1.0).Y[0].U is Y0.U


def test_integer_factors_become_float64():
    U = np.array([[1], [0], [0], [0], [0]])
    assert str(solve(F, (0, 0.1), (U, np.array([[2]]), U), h=0.1).Y[-1].dtype) == "float64"


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("name", list(INTEGRATORS))
def test_dtype_is_kept_even_when_the_field_is_wider(backend, name, dtype):
    Y0 = LowRank.random((8, 6), 2, rng=2, dtype=dtype, backend=backend)
    B = matode.Operator(send(backend, np.eye(8)))  # float64
    Y = solve(lambda t, Y: B @ Y, (0, 0.2), Y0, name, h=0.1).Y[-1]
    for X in (Y.U, Y.S, Y.V):
        assert_at_home(X, backend, dtype)
    assert (Y - _growth(name, 0.1) ** 2 * Y0).norm() <= (1e-6 if dtype in ("float64", "complex128") else 1e-5)


@pytest.mark.parametrize("name", list(INTEGRATORS))
def test_dense_sparse_low_rank_and_summed_fields_agree(name):
    rng = np.random.default_rng(3)
    C, c = rng.standard_normal((5, 5)), rng.standard_normal((5, 1))
    Y0 = _start()
    low = LowRank(c, None, c)
    fields = [
        lambda t, Y: A @ Y + C + low,
        lambda t, Y: C + (low + csr_array(A) @ Y),
        lambda t, Y: A @ Y.to_dense() + C + c @ c.T,
        lambda t, Y: (A @ Y + C + low,),
        lambda t, Y: csr_array(C) + A @ Y - (-1.0) * low,
    ]
    if name == "step-truncation":
        fields.pop()  # it needs entries or low-rank factors
    first, *others = (solve(f, (0, 0.2), Y0, name, h=0.1, truncation=Relative(1e-13)).Y[-1].to_dense() for f in fields)
    for other in others:
        assert np.linalg.norm(other - first) <= 1e-12


def test_times():
    Y0 = _start()
    assert solve(F, (0, 1), Y0, h=0.25).t == [0.0, 0.25, 0.5, 0.75, 1.0]
    uneven = solve(F, (0, 1), Y0, h=0.3)
    assert np.allclose(uneven.t, [0, 0.3, 0.6, 0.9, 1.0])
    assert uneven.t[-1] == 1.0
    chosen = solve(F, (1, 0), Y0, h=0.3, t_eval=[1, 0.55, 0.5])
    assert chosen.t == [1.0, 0.55, 0.5]
    assert chosen.nsteps == 5
    assert len(chosen.Y) == len(chosen.ranks) == 3
    assert solve(F, (2, 2), Y0, h=0.1).t == [2.0]
    assert solve(F, (0, 1), Y0, h=1 / 3).nsteps == 3


def test_a_step_that_is_lost_in_the_rounding_of_t_fails_with_a_sentence():
    sol = solve(F, (1, 2), _start(), "bug", h=1e-17)
    assert sol.status == "failed"
    assert "h = 1e-17 does not change the time t = 1" in sol.message


def test_time_reaches_the_field():
    problem = problems.given_matrix(t_span=(0.7, 1.1))
    sol = solve(problem.F, problem.t_span, problem.Y0, h=0.2)
    exact = problem.reference(1.1)
    assert np.linalg.norm(sol.Y[-1].to_dense() - exact) <= 1e-9 * np.linalg.norm(exact)


def test_truncation_reaches_the_integrator_and_its_own_is_kept():
    rng = np.random.default_rng(4)
    C = rng.standard_normal((5, 5))

    def ranks(integrator, truncation=None):
        return solve(lambda t, Y: C, (0, 0.2), _start(1), integrator, h=0.1, truncation=truncation).ranks[-1]

    assert ranks("augmented-bug") == 3  # C V0 is in the basis already when C [V0, C* U0] is added
    assert ranks("augmented-bug", Rank(2)) == 2
    assert ranks(matode.AugmentedBUG(truncation=Rank(3))) == 3
    assert ranks(matode.AugmentedBUG(truncation=Rank(3)), Rank(1)) == 1
    assert ranks("bug", Rank(3)) == 1


def test_a_rank_at_its_cap_is_reported():
    C = np.random.default_rng(5).standard_normal((5, 5))
    sol = solve(lambda t, Y: C, (0, 1), _start(1), h=0.1, truncation=Relative(1e-6, max_rank=2))
    assert sol.success
    assert "held at its maximum" in sol.message
    assert f"{max(sol.truncation_error):.1e}" in sol.message
    free = solve(lambda t, Y: C, (0, 1), _start(1), h=0.1, truncation=Relative(1e-6))
    assert "maximum" not in free.message


def test_truncation_error_is_what_was_discarded():
    C = np.random.default_rng(5).standard_normal((5, 5))
    wide = solve(lambda t, Y: C, (0, 0.1), _start(1), h=0.1, truncation=Absolute(0.0)).Y[-1]
    cut = solve(lambda t, Y: C, (0, 0.1), _start(1), h=0.1, truncation=Rank(1))
    assert cut.truncation_error == [pytest.approx((wide - cut.Y[-1]).norm(), rel=1e-10)]


def test_systems_keep_dense_blocks_dense():
    Y0, b = _start(), np.array([1.0, 2.0])
    sol = solve(lambda t, Y: [F(t, Y[0]), -Y[1]], (0, 1), (Y0, b), h=0.05)
    assert sol.ranks[0] == (2, None)
    assert np.linalg.norm(sol.Y[-1][0].to_dense() - EXACT * Y0.to_dense()) <= 1e-5
    assert np.linalg.norm(sol.Y[-1][1] - b / np.e) <= 1e-6
    only = solve(lambda t, Y: [-Y[0]], (0, 1), State((b,)), "bug", h=0.05)
    assert np.linalg.norm(only.Y[-1][0] - b / np.e) <= 1e-6


def test_zero_start_grows_out_of_nothing():
    c = np.random.default_rng(6).standard_normal((5, 1))
    sol = solve(lambda t, Y: c @ c.T, (0, 1), np.zeros((5, 5)), h=0.1)
    assert sol.ranks[0] == 1
    assert np.linalg.norm(sol.Y[-1].to_dense() - c @ c.T) <= 1e-12


def test_callback_sees_every_step_and_can_stop():
    seen = []

    def callback(t, Y):
        seen.append((t, Y.rank))
        return t > 0.25

    sol = solve(F, (0, 1), _start(), "ksl", h=0.1, callback=callback, t_eval=[1.0])
    assert [rank for _, rank in seen] == [2, 2, 2]
    assert (sol.status, sol.success) == ("stopped", False)
    assert len(sol.t) == 1
    assert sol.t[0] == seen[-1][0] == pytest.approx(0.3)
    assert "callback" in sol.message


def test_progress_by_function_and_by_log(caplog, monkeypatch):
    fractions = []
    solve(F, (1, 0), _start(), h=0.25, progress=fractions.append)
    assert fractions == [0.25, 0.5, 0.75, 1.0]
    monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)
    with caplog.at_level(logging.INFO, logger="matode"):
        solve(F, (0, 1), _start(), h=0.25, progress=True)
    assert [record.getMessage()[-5:] for record in caplog.records] == [" 20 %", " 50 %", " 70 %", "100 %"]


def test_the_library_prints_nothing(capsys):
    solve(F, (0, 1), _start(), h=0.25)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", list(INTEGRATORS))
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_inf_in_the_field_fail_with_a_sentence_and_keep_what_was_computed(backend, name, bad):
    Y0 = LowRank.random((8, 6), 2, rng=0, backend=backend)
    poison = send(backend, np.where(np.eye(8, 6) > 0, bad, 0.0))
    with np.errstate(invalid="ignore"):
        sol = solve(lambda t, Y: -1.0 * Y if t < 0.45 else poison if t < 0.55 else Y, (0, 1), Y0, name, h=0.1)
    assert (sol.status, sol.success) == ("failed", False)
    seen = {1: "0.5", 2: "0.5", 3: "0.466667", 4: "0.45"}[FORMULA.get(name, 4)]  # the first of its nodes that is bad
    assert f"F returned NaN or inf at t = {seen}, in block 0 (8 x 6)" in sol.message
    steps = 5 if FORMULA.get(name) == 1 else 4
    assert sol.t[-1] == pytest.approx(0.1 * steps)
    assert len(sol.t) == steps + 1
    expected = _growth(name, -0.1) ** steps * Y0
    assert np.linalg.norm(to_host((sol.Y[-1] - expected).to_dense())) <= 1e-5


def test_an_unstable_step_says_so():
    with np.errstate(over="ignore", invalid="ignore"):
        sol = solve(lambda t, Y: -1e6 * Y, (0, 10), _start(), "bug", h=0.1)
    assert sol.status == "failed"
    assert "smaller h" in sol.message
    assert np.isfinite(sol.Y[-1].S).all()


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"h": 0}, ValueError, "must be a positive number, got 0"),
        ({"h": -0.1}, ValueError, r"positive number, got -0\.1 .*direction comes from t_span"),
        ({"h": float("nan")}, ValueError, "positive number, got nan"),
        ({"rtol": -1.0}, ValueError, r"rtol must be a finite number >= 0, got -1\.0"),
        ({"atol": float("nan")}, ValueError, "atol must be a finite number >= 0, got nan"),
        ({"rtol": 0.0, "atol": 0.0}, ValueError, "one of rtol and atol must be positive"),
        ({"rtol": 1e-3, "min_step": 1.0, "max_step": 0.5}, ValueError, "max_step must be greater than min_step = 1"),
        ({"rtol": 1e-3, "max_steps": 0}, ValueError, "max_steps must be at least 1, got 0"),
        ({"rtol": 1e-3, "max_rank": 0}, ValueError, "max_rank must be at least 1, got 0"),
        ({"rtol": 1e-15}, ValueError, "rtol = 1e-15 is below what the precision of Y0 can show: ask for at least 2"),
        ({"rtol": 1e-3, "max_rank": 2.5}, TypeError, r"max_rank must be a whole number, got 2\.5"),
        ({"max_rank": 1}, ValueError, "BUG keeps the rank 2 of Y0, which is above max_rank = 1"),
        ({"max_step": 0.01}, ValueError, "max_step is for steps that are controlled: give rtol"),
        ({"events": 3}, TypeError, "events must be functions"),
        ({"events": lambda t, Y: Y}, TypeError, "event 0 must return a number, got LowRank at t = 0"),
        ({"events": [len, 3]}, TypeError, r"event 1 must be a function \(t, Y\) -> number, got int"),
        ({"integrator": "bugs"}, ValueError, "unknown integrator 'bugs': expected one of abc-psi, augmented-bug, bug"),
        ({"integrator": matode.BUG}, TypeError, "a class: call it first"),
        ({"integrator": 3}, TypeError, "object with a step method, got 3"),
        ({"truncation": 1e-3}, TypeError, r"Rank\(r\), Absolute\(theta\) or Relative\(tau\), got 0\.001"),
        ({"t_span": (0, np.inf)}, ValueError, "must be finite"),
        ({"t_span": 1.0}, ValueError, "two numbers"),
        ({"t_eval": [0.5, 0.2]}, ValueError, "strictly from the start"),
        ({"t_eval": [0.5, 2.0]}, ValueError, "inside t_span"),
        ({"t_eval": [float("nan")]}, ValueError, "inside t_span"),
        ({"t_eval": [0.5, float("nan")]}, ValueError, "strictly from the start"),
        ({"t_eval": 0.5}, TypeError, r"t_eval must be a sequence of times, got 0\.5"),
        ({"F": 3}, TypeError, "must be a function"),
        ({"F": lambda t, Y: np.ones((3, 3))}, ValueError, r"the shape \(5, 5\) of its block, got \(3, 3\)"),
        ({"F": lambda t, Y: None}, TypeError, "5 x 5 matrix, got NoneType"),
        ({"F": lambda t, Y: 1j * Y}, TypeError, "is complex but the block is real"),
        ({"Y0": (_start(), _start()), "F": lambda t, Y: [Y[0]]}, ValueError, "one matrix per block: expected 2"),
        ({"Y0": "A"}, TypeError, "Y0 must be a LowRank"),
        ({"Y0": (A, A)}, ValueError, "a tuple of 2"),
        ({"Y0": np.ones(5)}, ValueError, r"a matrix with at least one row and column, got shape \(5,\)"),
        ({"Y0": np.full((5, 5), np.nan)}, ValueError, "contains NaN or inf"),
        ({"Y0": (A, np.full((5, 5), np.inf), A)}, ValueError, "contains NaN or inf"),
        ({"Y0": (A[:, :0], A[:0, :0], A[:, :0])}, ValueError, "has rank 0"),
        ({"Y0": (np.ones((3, 5)), np.eye(5), np.ones((8, 5)))}, ValueError, "is 3 x 8 and cannot have rank 5"),
        ({"Y0": (A, np.ones((4, 5)), A)}, ValueError, r"do not fit: S must be \(5, 5\)"),
        ({"Y0": A, "truncation": Rank(7)}, ValueError, "cannot have rank 7: ask for at most 5"),
        ({"Y0": State(())}, ValueError, "no blocks"),
    ],
)
def test_each_mistake_gives_one_clear_sentence(changes, error, sentence):
    arguments = {"F": F, "t_span": (0, 1), "Y0": _start(), "integrator": "bug", "h": 0.1} | changes
    with pytest.raises(error, match=sentence) as caught:
        solve(**arguments)
    assert "\n" not in str(caught.value)


def test_memory_does_not_grow_with_the_matrix():
    """n = 10^5, r = 10: below 25 (m + n) r numbers at the peak; an n x n array would be 10^10."""
    import tracemalloc

    from scipy.sparse import diags_array

    n, r = 10**5, 10
    rng = np.random.default_rng(7)
    L = diags_array([np.ones(n - 1), -2 * np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1], format="csr")
    C, U = (np.linalg.qr(rng.standard_normal((n, k)))[0] for k in (3, r))
    Q, Y0 = LowRank(C, None, C), LowRank(U, np.diag(2.0 ** -np.arange(r)), U)
    tracemalloc.start()
    sol = solve(
        lambda t, X: L @ X + X @ L.T + Q, (0, 0.04), Y0, h=0.01, truncation=Relative(1e-8, max_rank=r), t_eval=[0.04]
    )
    peak = tracemalloc.get_traced_memory()[1] / 8
    tracemalloc.stop()
    assert sol.ranks == [r]
    assert peak <= 25 * 2 * n * r
