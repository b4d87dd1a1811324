"""Exponential substeps: exact for the linear part, second order for the rest, no restriction by stiffness."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import aslinearoperator

from matode import Exponential, LowRank, NonFiniteError, Reference, Relative, State, problems, solve
from matode._array import to_host
from matode.field import UserField
from matode.flows import full_flow, k_flow, l_flow, s_flow
from matode.integrators import make_integrator
from tests.backends import assert_at_home, send

M, N, R = 9, 7, 3
FLOWS = [k_flow, l_flow, s_flow, full_flow]


def _matrices(kind, rng):
    A, B = rng.standard_normal((M, M)), rng.standard_normal((N, N))
    if kind == "symmetric":
        return A + A.T, B + B.T
    if kind == "skew-hermitian":
        return 1j * (A + A.T), 1j * (B + B.T) + (B - B.T)
    return A, B


def _start(kind, backend=None):
    dtype = "complex128" if kind == "skew-hermitian" else "float64"
    return LowRank.random((M, N), R, rng=5, dtype=dtype, backend=backend)


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("kind", ["symmetric", "skew-hermitian", "not normal", "large"])
def test_linear_part_and_constants_are_exact_in_every_flow(flow, kind):
    rng = np.random.default_rng(0)
    A, B = _matrices(kind, rng)
    C = LowRank.random((M, N), 2, rng=1, dtype=_start(kind).U.dtype.name)
    substep = Exponential(A, B, dense=3 if kind == "large" else 2048)
    field, Y = UserField(lambda t, Y: A @ Y + Y @ B + C), (_start(kind),)
    (moved,), (exact,) = (flow(field, 0.3, 0.4, Y, s) for s in (substep, Reference()))
    assert np.linalg.norm(moved - exact) <= 2e-11 * np.linalg.norm(exact)


@pytest.mark.parametrize("form", ["csr", "operator"])
def test_sparse_matrices_and_operators(form):
    rng = np.random.default_rng(0)
    A, _ = _matrices("not normal", rng)
    given = sp.csr_array(A) if form == "csr" else aslinearoperator(A)
    field, Y = UserField(lambda t, Y: A @ Y), (_start("not normal"),)
    for flow in (k_flow, l_flow, s_flow):
        (moved,), (exact,) = (flow(field, 0.0, 0.4, Y, s) for s in (Exponential(given), Reference()))
        assert np.linalg.norm(moved - exact) <= 2e-11 * np.linalg.norm(exact)


def test_a_backward_flow_and_a_backward_step():
    rng = np.random.default_rng(0)
    A, B = _matrices("symmetric", rng)
    field, Y = UserField(lambda t, Y: A @ Y + Y @ B), (_start("symmetric"),)
    for h, sign in ((0.3, -1.0), (-0.3, 1.0)):
        (moved,), (exact,) = (s_flow(field, 0.3, h, Y, s, sign=sign) for s in (Exponential(A, B), Reference()))
        assert np.linalg.norm(moved - exact) <= 2e-11 * np.linalg.norm(exact)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("known_first", [False, True])
def test_order_in_h_with_a_time_dependent_nonlinear_rest(order, known_first):
    rng = np.random.default_rng(0)
    A, B = (-20 * X @ X.T for X in _matrices("not normal", rng))
    C = LowRank.random((M, N), 2, rng=1)

    def F(t, Y):
        return A @ Y + Y @ B + math.cos(3 * t) * C + (1.0 / (1.0 + Y.norm() ** 2)) * Y

    field, Y = UserField(F), (_start("symmetric"),)
    (exact,) = k_flow(field, 0.2, 0.4, Y, Reference())

    def error(n):
        K, y = None, Y
        for i in range(n):
            t, h = 0.2 + 0.4 * i / n, 0.4 / n
            first = (field(t, y)[0].right(y[0].V),) if known_first else None
            (K,) = k_flow(field, t, h, y, Exponential(A, B, order=order), first)
            Q, S = np.linalg.qr(K)
            y = (LowRank(Q, S, y[0].V),)
        return np.linalg.norm(K - exact)

    slope = math.log2(error(16) / error(32))
    assert order - 0.2 <= slope <= order + 0.3


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_stays_on_its_backend(backend, dtype):
    rng = np.random.default_rng(0)
    A, B = _matrices("symmetric", rng)
    Y = (LowRank.random((M, N), R, rng=5, dtype=dtype, backend=backend),)
    there = [send(backend, X, dtype) for X in (A, B)]
    field = UserField(lambda t, Y: there[0] @ Y + Y @ there[1])
    (K,) = k_flow(field, 0.0, 0.3, Y, Exponential(*there))
    assert_at_home(K, backend, dtype)
    y, V = to_host(Y[0].U) @ to_host(Y[0].S), to_host(Y[0].V)
    exact = scipy.linalg.expm(0.3 * A) @ y @ scipy.linalg.expm(0.3 * V.conj().T @ B @ V)
    assert np.linalg.norm(to_host(K) - exact) <= (1e-4 if dtype == "float32" else 1e-11) * np.linalg.norm(exact)


def test_blocks_of_a_system_have_their_own_matrices():
    rng = np.random.default_rng(0)
    A, B = _matrices("symmetric", rng)
    field = UserField(lambda t, Y: (A @ Y[0] + Y[0] @ B, -1.0 * Y[1], B @ Y[2]), single=False)
    y = _start("symmetric")
    Y = State((y, np.ones((4, 2)), y.mH))
    moved = k_flow(field, 0.0, 0.1, Y, Exponential((A, None, B), (B, None, None)))
    exact = k_flow(field, 0.0, 0.1, Y, Reference())
    for i, tolerance in ((0, 1e-11), (1, 1e-3), (2, 1e-11)):  # the dense block moves by Heun's method
        assert np.linalg.norm(moved[i] - exact[i]) <= tolerance * np.linalg.norm(exact[i])
    with pytest.raises(ValueError, match="3 blocks needs 3 matrices"):
        k_flow(field, 0.0, 0.1, Y, Exponential((A, None), (B, None)))


def _heat(n, T):
    problem = problems.lyapunov(n, norm=4.0 * (n + 1) ** 2, T=T)
    scale = 4.0 * (n + 1) ** 2 / (2 + 2 * math.cos(math.pi / (n + 1)))
    A = sp.diags_array([np.ones(n - 1), -2 * np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1], format="csr") * scale
    return problem, A


@pytest.mark.parametrize(("name", "bound"), [("augmented-bug", 1e-4), ("midpoint-bug", 1e-4), ("parallel-bug", 2e-2)])
def test_stiff_heat_equation_has_no_step_restriction(name, bound):
    """n = 512, h ||A|| = 10^4: explicit substeps need h below 3e-6."""
    problem, A = _heat(512, T=0.4)
    method = replace(make_integrator(name), substep=Exponential(A, A.T))
    sol = solve(problem.F, problem.t_span, problem.Y0, method, h=1e-2, truncation=Relative(1e-9), t_eval=[0.4])
    assert sol.success
    exact = problem.reference(0.4)
    assert np.linalg.norm(sol.Y[-1].to_dense() - exact) <= bound * np.linalg.norm(exact)


def test_the_same_equation_needs_small_steps_with_explicit_substeps():
    problem, _ = _heat(128, T=0.4)
    with np.errstate(all="ignore"):
        sol = solve(problem.F, problem.t_span, problem.Y0, "augmented-bug", h=1e-2)
    assert not sol.success
    assert "smaller h" in sol.message


def test_nan_in_the_field_is_reported_as_ever():
    field = UserField(lambda t, Y: math.nan * Y)
    with pytest.raises(NonFiniteError, match="F returned NaN"):
        k_flow(field, 0.0, 0.1, (_start("symmetric"),), Exponential(np.eye(M)))


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: Exponential(np.ones((3, 2))), ValueError, "A must be a square matrix"),
        (lambda: Exponential(None, np.ones((3, 2))), ValueError, "B must be a square matrix"),
        (lambda: Exponential(np.eye(2), order=3), ValueError, "must be 1 or 2"),
        (
            lambda: Exponential(np.eye(2))(lambda t, Z: Z, 0.0, 0.1, (np.eye(2),)),
            TypeError,
            "needs the right-hand side",
        ),
    ],
)
def test_mistakes_give_a_sentence(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
