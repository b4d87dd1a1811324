"""Every problem's reference solves its ODE, and the constants that it states hold."""

from __future__ import annotations

import numpy as np
import pytest

from matode import LowRank, problems, solve
from matode._array import to_host
from tests.backends import assert_at_home

PROBLEMS = {
    "lyapunov": lambda **k: problems.lyapunov(30, 4, **k),
    "schroedinger": lambda **k: problems.schroedinger(20, 4, **k),
    "given": lambda **k: problems.given_matrix((12, 9), 2, **k),
    "sylvester": lambda **k: problems.sylvester((12, 9), 2, **k),
}


def _value(problem, t, dense, backend=None):
    value = problem.F(t, LowRank(dense, None, np.eye(dense.shape[1], dtype=dense.dtype)))
    return value.full()


@pytest.mark.parametrize("name", list(PROBLEMS))
def test_reference_solves_the_ode(name):
    problem = PROBLEMS[name]()
    t = 0.6 * problem.t_span[0] + 0.4 * problem.t_span[1]
    d = 1e-4
    slope = (problem.reference(t + d) - problem.reference(t - d)) / (2 * d)
    exact = _value(problem, t, np.asarray(problem.reference(t)))
    assert np.linalg.norm(slope - exact) <= 1e-6 * np.linalg.norm(exact)


@pytest.mark.parametrize("name", list(PROBLEMS))
def test_start_and_constants(name):
    problem = PROBLEMS[name]()
    start = problem.Y0.to_dense()
    gap = np.linalg.norm(start - problem.reference(problem.t_span[0]))
    assert gap == pytest.approx(problem.start_error, abs=1e-12 * np.linalg.norm(start))
    rng = np.random.default_rng(0)
    t0, t1 = problem.t_span
    for t in np.linspace(t0, t1, 5):
        Y = np.asarray(problem.reference(t))
        Z = Y + 0.01 * rng.standard_normal(Y.shape)
        FY, FZ = _value(problem, t, Y), _value(problem, t, Z)
        difference = np.linalg.norm(Y - Z)
        assert np.linalg.norm(FY - FZ) <= problem.L * difference * (1 + 1e-12)
        if problem.B is not None:
            assert np.linalg.norm(FY) <= problem.B
        if problem.one_sided is not None:
            growth = np.vdot(Y - Z, FY - FZ).real
            assert growth <= problem.one_sided * difference**2 + 1e-13


def test_lipschitz_constants_are_attained():
    for problem, n in ((problems.lyapunov(30, 4), 30), (problems.schroedinger(20, 4), 20)):
        Z = np.random.default_rng(1).standard_normal((n, n)).astype(problem.Y0.dtype)
        offset = _value(problem, 0.0, np.zeros_like(Z))
        for _ in range(300):  # power iteration with the normal operator F (F is normal in both)
            Z = _value(problem, 0.0, Z) - offset
            size = np.linalg.norm(Z)
            Z = Z / size
        assert 0.9 * problem.L <= size <= problem.L * (1 + 1e-12)


@pytest.mark.parametrize("name", list(PROBLEMS))
def test_problems_run_on_every_backend(backend, name):
    problem = PROBLEMS[name](backend=backend)
    assert_at_home(problem.Y0.U, backend)
    t0, t1 = problem.t_span
    sol = solve(problem.F, problem.t_span, problem.Y0, "augmented-bug", h=(t1 - t0) / 10)
    plain = PROBLEMS[name]()
    expected = solve(plain.F, plain.t_span, plain.Y0, "augmented-bug", h=(t1 - t0) / 10)
    assert np.linalg.norm(to_host(sol.Y[-1].to_dense()) - expected.Y[-1].to_dense()) <= 1e-9


def test_published_errors_of_the_schroedinger_problem():
    """Augmented BUG from rank 4 and 8, theta = 1e-6, rank at most 30: the literature's errors within 20 %."""
    from matode import Absolute

    published = {4: [1.1e-2, 5.5e-3, 2.2e-3], 8: [9.4e-4, 1.7e-4, 5.1e-5]}
    for rank, errors in published.items():
        problem = problems.schroedinger(rank=rank)
        exact = problem.reference(1.0)
        for h, error in zip((0.1, 0.05, 0.02), errors, strict=True):
            sol = solve(problem.F, (0, 1), problem.Y0, h=h, truncation=Absolute(1e-6, max_rank=30), t_eval=[1.0])
            assert np.linalg.norm(sol.Y[-1].to_dense() - exact) == pytest.approx(error, rel=0.2)


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="source_rank <= rank <= n"):
        problems.lyapunov(10, 1, source_rank=2)
    with pytest.raises(ValueError, match="1 <= rank <= n"):
        problems.schroedinger(10, 11)
