"""Values between the steps, certified errors, events, restarts and files."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

import matode
from matode import INTEGRATORS, AugmentedBUG, LowRank, Relative, Solution, State, problems, solve
from matode._array import to_host
from matode.certificate import Certificate, residual_norm
from matode.field import UserField
from matode.storage import StorageError
from matode.trajectory import Trajectory
from tests.backends import assert_at_home, send

A = np.diag([-1.0, -2.0, -3.0, -0.5, -1.5])


def F(t, Y):
    return A @ Y + Y @ A


def _exact(t, Y0):
    return np.exp(t * (np.diag(A)[:, None] + np.diag(A)[None, :])) * Y0.to_dense()


def _start(rank=2):
    return LowRank.random((5, 5), rank, singular_values=[1.0, 0.5, 0.25][:rank], rng=0)


def _same(a, b):
    assert type(a) is type(b)
    for X, Z in ((a.U, b.U), (a.S, b.S), (a.V, b.V)):
        assert np.array_equal(to_host(X), to_host(Z))


# values between the steps


@pytest.mark.parametrize("span", [(0.0, 1.0), (1.0, 0.0)])
def test_values_between_the_steps_are_of_fourth_order(span):
    Y0 = _start()
    errors = []
    for h in (0.02, 0.01):
        sol = solve(F, span, Y0, "ksl", h=h)  # exact for this field but for RK4
        t = span[0] + (0.135 if span[1] else -0.135)
        errors.append(np.linalg.norm(sol(t).to_dense() - _exact(t - span[0], Y0)))
    assert errors[0] <= 0.12**4 / 384 * (1 if span[1] else 2.5)
    assert errors[0] / errors[1] >= 10
    assert isinstance(sol(t), LowRank)
    assert sol(sol.t[3]) is sol.Y[3]


def test_values_between_the_steps_on_every_backend(backend):
    problem = problems.sylvester((12, 9), 2, backend=backend)
    sol = solve(problem.F, (0.0, 0.3), problem.Y0, "ksl", h=0.1)
    for X in (sol(0.17).U, sol(0.17).S, sol(0.17).V):
        assert_at_home(X, backend, "float64")
    assert np.linalg.norm(to_host(sol(0.17).to_dense()) - problem.reference(0.17)) <= 1e-6
    bound = sol.error_bound(0.17, lipschitz=problem.L)
    assert np.linalg.norm(to_host(sol(0.17).to_dense()) - problem.reference(0.17)) <= bound <= 1e-5


def test_a_field_known_by_products_alone_gives_slopes_in_augmented_bases():
    C = np.random.default_rng(1).standard_normal((80, 70))
    D = C @ np.diag(0.5 ** np.arange(70))
    Y0 = LowRank.random((80, 70), 4, rng=2)
    sol = solve(lambda t, Y: D - Y, (0, 0.5), Y0, rtol=1e-7, lipschitz=-1.0)
    exact = math.exp(-0.33) * Y0.to_dense() + (1 - math.exp(-0.33)) * D
    assert np.linalg.norm(sol(0.33).to_dense() - exact) <= 1e-6 * np.linalg.norm(exact)
    # and the bases of the next step: at the first, those of the start miss most of D
    error = np.linalg.norm(sol.Y[1].to_dense() - (math.exp(-sol.t[1]) * Y0.to_dense() - math.expm1(-sol.t[1]) * D))
    assert error <= sol.error_bound(sol.t[1]) <= 1e-4


def test_a_system_between_the_steps():
    Y0, b = _start(), np.array([1.0, 2.0])
    sol = solve(lambda t, Y: [F(t, Y[0]), -Y[1]], (0, 1), (Y0, b), "ksl", h=0.02)
    low, dense = sol(0.511)
    assert np.linalg.norm(low.to_dense() - _exact(0.511, Y0)) <= 1e-6
    assert np.linalg.norm(dense - b * math.exp(-0.511)) <= 1e-6


@pytest.mark.parametrize("arguments", [{"t_eval": [1.0]}, {"save": lambda t, Y: Y.norm()}])
def test_steps_that_were_not_kept_are_asked_for(arguments):
    sol = solve(F, (0, 1), _start(), "ksl", h=0.1, **arguments)
    with pytest.raises(ValueError, match=r"the steps were not kept: .* dense_output=True"):
        sol(0.5)
    kept = solve(F, (0, 1), _start(), "ksl", h=0.05, dense_output=True, **arguments)
    assert np.linalg.norm(kept(0.575).to_dense() - _exact(0.575, _start())) <= 0.3**4 / 384
    assert len(kept.t) == len(arguments.get("t_eval", kept.statistics.ranks))


def test_dense_output_evaluates_the_slopes_on_the_way():
    calls = []

    def counted(t, Y):
        calls.append(t)
        return F(t, Y)

    sol = solve(counted, (0, 1), _start(), "ksl", h=0.1, dense_output=True)
    assert sol.nfev == len(calls)
    sol(0.55)
    assert sol.nfev == len(calls)


@pytest.mark.parametrize("t", [-0.1, 1.1])
def test_times_outside_are_refused(t):
    with pytest.raises(ValueError, match=rf"reaches from t = 0 to 1, got t = {t}"):
        solve(F, (0, 1), _start(), "ksl", h=0.1)(t)


def test_an_empty_interval():
    sol = solve(F, (2, 2), _start(), h=0.1, lipschitz=1.0)
    assert sol(2.0) is sol.Y[0]
    assert sol.error_bound(2.0) == 0.0


# certified errors


@given(
    seed=st.integers(0, 10**6),
    name=st.sampled_from(["ksl", "bug", "augmented-bug", "parallel-bug", "midpoint-bug", "abc-psi"]),
    cplx=st.booleans(),
    skew=st.booleans(),
    steps=st.integers(2, 12),
    tau=st.sampled_from([1e-10, 1e-3, 0.1]),
    fraction=st.floats(0.05, 1.0),
)
def test_the_bound_is_never_below_the_error(seed, name, cplx, skew, steps, tau, fraction):
    rng = np.random.default_rng(seed)
    problem = problems.bounded(
        (14, 11),
        int(rng.integers(1, 4)),
        eps=0.0 if skew else float(10.0 ** rng.uniform(-6, -1)),
        kappa=float(rng.uniform(0, 3)),
        omega=float(rng.choice([0.0, 2.0])),
        smallest=float(10.0 ** rng.uniform(-10, 0)),
        skew=skew,
        dtype="complex128" if cplx else "float64",
        seed=seed,
    )
    sol = solve(problem.F, (0.0, 0.5), problem.Y0, name, h=0.5 / steps, truncation=Relative(tau), lipschitz=problem.L)
    t = 0.5 * fraction
    error = np.linalg.norm(sol(t).to_dense() - problem.reference(t))
    assert error <= sol.error_bound(t)


@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), name=st.sampled_from(["bug", "ksl-strang", "augmented-bug"]), sparse=st.booleans())
def test_the_bound_is_never_below_the_error_of_linear_fields_and_close_to_it(seed, name, sparse):
    rng = np.random.default_rng(seed)
    W = np.linalg.qr(rng.standard_normal((24, 24)))[0]
    w = -rng.uniform(0.2, 2.0, 24)
    A, C = (W * w) @ W.T, np.zeros((24, 24))
    C[3, 5], C[7, 2] = 0.3, -0.2
    Y0 = LowRank.random((24, 24), 4, singular_values=[1.0, 0.3, 0.1, 1e-8], rng=rng)
    term = csr_array(C) if sparse else C
    s = w[:, None] + w[None, :]
    exact = W @ (np.exp(s) * (W.T @ Y0.to_dense() @ W) + np.expm1(s) / s * (W.T @ C @ W)) @ W.T
    sol = solve(lambda t, Y: A @ Y + Y @ A + term, (0, 1), Y0, name, h=0.05, lipschitz=2 * max(w))
    error = np.linalg.norm(sol.Y[-1].to_dense() - exact)
    assert error <= sol.error_bound(1.0) <= 20 * error + 1e-5


def test_backward_in_time_and_a_start_that_was_cut():
    Y0 = _start(3)
    A0 = Y0.to_dense()
    sol = solve(F, (1.0, 0.0), A0, "ksl", h=0.1, truncation=matode.Rank(2), lipschitz=6.0)
    assert sol.start_error == pytest.approx(0.25, rel=1e-10)
    error = np.linalg.norm(sol.Y[-1].to_dense() - _exact(-1.0, Y0))
    assert error <= sol.error_bound(0.0)
    assert sol.error_bound(1.0) == pytest.approx(0.25, rel=1e-10)


def test_a_negative_constant_makes_old_errors_fade():
    Y0 = _start(3)
    sol = solve(F, (0.0, 3.0), Y0.to_dense(), "ksl", h=0.05, truncation=matode.Rank(2), lipschitz=-1.0)
    assert sol.error_bound(3.0) <= 0.25 * math.exp(-3) + 1e-4
    assert np.linalg.norm(sol.Y[-1].to_dense() - _exact(3.0, Y0)) <= sol.error_bound(3.0)


def test_a_constant_is_needed_and_may_be_given_later():
    sol = solve(F, (0, 1), _start(), "ksl", h=0.1)
    with pytest.raises(ValueError, match=r"needs a .*Lipschitz constant: error_bound"):
        sol.error_bound(1.0)
    with pytest.raises(ValueError, match="must be finite, got nan"):
        sol.error_bound(1.0, lipschitz=float("nan"))
    assert sol.error_bound(1.0, lipschitz=-1.0) < sol.error_bound(1.0, lipschitz=6.0)


def test_the_bound_sees_an_error_that_the_method_cannot():
    """A method that does nothing at all: its error is seen, although no estimate of its own exists."""

    class Idle:
        def step(self, field, t, h, Y, memory=None):
            return matode.Step(Y)

    sol = solve(F, (0, 1), _start(), Idle(), h=0.1, lipschitz=-1.0)
    assert np.linalg.norm(sol.Y[-1].to_dense() - _exact(1.0, _start())) <= sol.error_bound(1.0)
    assert sol.error_bound(1.0) >= 0.5


@pytest.mark.parametrize("kind", ["low-rank", "sum", "dense", "sparse", "sparse and dense"])
def test_residual_norms_of_every_kind_of_field(backend, kind):
    Y = LowRank.random((9, 7), 2, rng=0, backend=backend)
    D = LowRank.random((9, 7), 3, rng=1, backend=backend)
    C = np.random.default_rng(2).standard_normal((9, 7))
    if "sparse" in kind and not backend.name.startswith("numpy"):
        return  # SciPy's sparse matrices act on NumPy arrays alone
    value = {
        "low-rank": lambda: Y,
        "sum": lambda: Y + D,
        "dense": lambda: Y + send(backend, C),
        "sparse": lambda: Y + csr_array(C),
        "sparse and dense": lambda: Y + csr_array(C) + send(backend, C),
    }[kind]()
    (f,) = UserField(lambda t, Y: value)(0.0, (Y,))
    dense = to_host(Y.to_dense()) + {
        "sum": to_host(D.to_dense()),
        "dense": C,
        "sparse": C,
        "sparse and dense": 2 * C,
    }.get(kind, 0.0)
    exact = np.linalg.norm(to_host(D.to_dense()) - dense)
    assert exact <= residual_norm((D,), (f,)) <= exact * (1 + 1e-6)


def test_a_certificate_of_somebody_elses_curve():
    Y0 = _start()
    t = [0.0, 0.5, 1.0]
    curve = [State((LowRank.from_dense(_exact(s, Y0), Relative(1e-14)),)) for s in t]
    bound = Certificate(Trajectory(t, curve, UserField(F)), -1.0)(1.0)
    assert 1e-6 < bound < 5e-2  # exact at the nodes: what is left is the interpolation in between


def test_the_integral_of_the_residual_is_exact_for_cubics():
    """From 0 to 1 with slopes 0, where nothing should move: R = 6 s (1 - s) / h, so that int ||R||^2 = 1.2 / h."""
    curve = [State((np.zeros(1),)), State((np.ones(1),))]
    idle = UserField(lambda t, Y: [0 * Y[0]], single=False)
    for h in (0.5, 2.0):
        bound = Certificate(Trajectory([0.0, h], curve, idle), 0.0)
        inflated = 36 * (2 / 3) / 16 - 1.2  # what Simpson's rule says beyond that
        assert bound(h) == pytest.approx(math.sqrt(1.2 + inflated), rel=1e-12)
        assert bound(h / 4) == pytest.approx(bound(h) / 2, rel=1e-12)  # Cauchy-Schwarz on a part of the piece


# events


def test_events_are_found_in_time_and_direction():
    def level(t, Y):
        return Y.norm() - 0.5

    def wave(t, Y):
        return math.cos(10 * t)

    def upward(t, Y):
        return math.cos(10 * t)

    upward.direction = 1
    sol = solve(lambda t, Y: -1.0 * Y, (0, 1), _start(), "ksl", h=0.07, events=[level, wave, upward])
    norm = _start().norm()
    assert sol.t_events[0] == [pytest.approx(math.log(norm / 0.5), abs=1e-6)]
    assert sol.Y_events[0][0].norm() == pytest.approx(0.5, abs=1e-12)
    assert sol.t_events[1] == pytest.approx([math.pi / 20 * k for k in (1, 3, 5)], abs=1e-12)
    assert sol.t_events[2] == pytest.approx([math.pi / 20 * 3], abs=1e-12)
    assert sol.success


def test_a_terminal_event_ends_the_solve_there():
    def level(t, Y):
        return Y.norm() - 0.5

    def later(t, Y):
        return t - 0.95

    level.terminal = True
    for arguments in ({"h": 0.3}, {"rtol": 1e-6}, {"h": 0.3, "t_eval": [1.0]}):
        sol = solve(lambda t, Y: -1.0 * Y, (0, 1), _start(), "augmented-bug", events=[later, level], **arguments)
        assert (sol.status, sol.success) == ("stopped", False)
        assert "event 1 stopped the solve at t = 0.8" in sol.message
        assert sol.t[-1] == sol.t_events[1][0] == pytest.approx(math.log(_start().norm() / 0.5), abs=1e-3)
        assert sol.Y[-1].norm() == pytest.approx(0.5, abs=1e-9)
        assert sol.t_events[0] == []
        assert sol.ranks[-1] == 2


def test_an_event_ends_the_solve_at_the_occurrence_that_was_asked_for():
    def wave(t, Y):
        return math.cos(10 * t)

    wave.terminal = 2
    sol = solve(lambda t, Y: -1.0 * Y, (0, 1), _start(), "ksl", h=0.07, events=wave)
    assert sol.status == "stopped"
    assert sol.t_events[0] == pytest.approx([math.pi / 20, 3 * math.pi / 20], abs=1e-12)


def test_an_event_backward_in_time():
    def passed(t, Y):
        return t - 0.333

    passed.direction = -1
    sol = solve(F, (1, 0), _start(), "ksl", h=0.1, events=passed)
    assert sol.t_events == [[pytest.approx(0.333, abs=1e-14)]]


# save, statistics


def test_save_keeps_a_function_of_the_state():
    sol = solve(F, (0, 1), _start(), "ksl", h=0.25, save=lambda t, Y: (t, Y.norm()))
    full = solve(F, (0, 1), _start(), "ksl", h=0.25)
    assert sol.Y == [(t, Y.norm()) for t, Y in zip(full.t, full.Y, strict=True)]
    assert sol.ranks == full.ranks
    _same(sol.resume.Y[0], full.Y[-1])


def test_statistics():
    problem = problems.lyapunov(32, 4)
    sol = solve(problem.F, (0, 1), problem.Y0, rtol=1e-6)
    statistics = sol.statistics
    assert statistics.evaluations == (sol.nfev,)
    assert len(statistics.h) == len(statistics.error_estimate) == len(statistics.truncation_error) == sol.nsteps
    assert sum(statistics.h) == pytest.approx(1.0)
    assert [ranks for (ranks,) in statistics.ranks] == sol.ranks
    assert statistics.rejected > 0
    assert f"({statistics.rejected} rejected)" in sol.message
    system = solve(lambda t, Y: [F(t, Y[0]), -Y[1]], (0, 1), (_start(), np.ones(2)), "ksl", h=0.5, t_eval=[1.0])
    assert system.statistics.evaluations == (system.nfev, system.nfev)
    assert system.statistics.ranks == [(2, None)] * 3


# restarts and files


@pytest.mark.parametrize("name", list(INTEGRATORS))
@pytest.mark.parametrize("arguments", [{"h": 0.07}, {"rtol": 1e-3}])
def test_a_restart_goes_on_as_if_it_had_not_stopped(name, arguments, tmp_path):
    whole = solve(F, (0, 0.4), _start(), name, **arguments)
    first = solve(F, (0, 0.4), _start(), name, callback=lambda t, Y: t > 0.1, **arguments)
    assert first.status == "stopped"
    first.save(tmp_path / "half.npz")
    for half in (first, Solution.load(tmp_path / "half.npz")):
        second = solve(F, (half.resume.t, 0.4), half, name, **arguments)
        assert [*half.t, *second.t[1:]] == whole.t
        _same(second.Y[-1], whole.Y[-1])


def test_a_restart_with_other_settings_starts_its_own_grid():
    first = solve(F, (0, 1), _start(), "ksl", h=0.1, callback=lambda t, Y: t > 0.25)
    other = solve(F, (first.t[-1], 1.0), first, "ksl", h=0.2)
    assert other.t[1] == pytest.approx(0.5)
    back = solve(F, (first.t[-1], 0.0), first, "ksl", h=0.1)
    assert back.t[1] == pytest.approx(0.2)
    assert (back.Y[-1] - _start()).norm() <= 1e-3
    with pytest.raises(ValueError, match=r"has reached t = 0\.3\d*, but t_span starts at 0\.5"):
        solve(F, (0.5, 1), first, h=0.1)


def test_a_restart_carries_the_error_bound_on():
    whole = solve(F, (0, 1), _start(), "bug", h=0.1, lipschitz=-1.0)
    first = solve(F, (0, 0.5), _start(), "bug", h=0.1, lipschitz=-1.0)
    second = solve(F, (0.5, 1), first, "bug", h=0.1, lipschitz=-1.0)
    assert second.error_bound(1.0) == pytest.approx(whole.error_bound(1.0), rel=1e-12)


def test_files(tmp_path, backend):
    problem = problems.sylvester((12, 9), 2, backend=backend)
    sol = solve(problem.F, (0, 0.3), problem.Y0, rtol=1e-3, lipschitz=problem.L, dense_output=True)
    sol.save(tmp_path / "sol.npz")
    read = Solution.load(tmp_path / "sol.npz", backend=backend)
    assert (read.t, read.ranks, read.status, read.message) == (sol.t, sol.ranks, sol.status, sol.message)
    assert read.statistics == sol.statistics
    for a, b in zip(read.Y, sol.Y, strict=True):
        _same(a, b)
    assert_at_home(read.Y[-1].U, backend, "float64")
    _same(read(0.17), sol(0.17))
    with pytest.raises(ValueError, match=r"needs the field: load the solution with F="):
        read.error_bound(0.3)
    again = Solution.load(tmp_path / "sol.npz", F=problem.F, backend=backend)
    assert again.error_bound(0.3) == sol.error_bound(0.3)


def test_a_file_without_slopes_needs_the_field(tmp_path):
    sol = solve(F, (0, 1), _start(), "ksl", h=0.25)
    sol.save(tmp_path / "sol.npz")
    with pytest.raises(ValueError, match=r"need the field, or slopes .* load it with F="):
        Solution.load(tmp_path / "sol.npz")(0.3)
    _same(Solution.load(tmp_path / "sol.npz", F=F)(0.3), sol(0.3))


def test_other_files_are_refused(tmp_path):
    matode.storage.save(tmp_path / "other.npz", {"a": 1})
    with pytest.raises(ValueError, match=r"other\.npz holds no solution that this version reads"):
        Solution.load(tmp_path / "other.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK")
    with pytest.raises(StorageError, match=r"broken\.npz"):
        Solution.load(tmp_path / "broken.npz")


def test_memory_of_the_integrator_survives(tmp_path):
    steps = solve(F, (0, 1), _start(), AugmentedBUG(), h=0.01).resume.memory
    first = solve(F, (0, 1), _start(), AugmentedBUG(), h=0.01, callback=lambda t, Y: t > 0.4)
    first.save(tmp_path / "a.npz")
    read = Solution.load(tmp_path / "a.npz")
    assert read.resume.memory == first.resume.memory
    assert solve(F, (read.resume.t, 1), read, AugmentedBUG(), h=0.01).resume.memory == steps
