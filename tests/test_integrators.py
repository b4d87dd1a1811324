"""What the integrators are: exactness, the algebra of the augmented step, and what one step costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import matode
from matode import BUG, INTEGRATORS, AugmentedBUG, LowRank, Relative, State, euler, problems, rk4
from matode._array import Backend, mH, to_host
from matode.evaluations import DenseEvaluation
from matode.field import Counted, UserField
from matode.testing import CATALOGUE_CLAIMS
from tests.backends import assert_at_home, send

NUMPY = matode._array.get_backend()


EXACT = [name for name in INTEGRATORS if "exact" in CATALOGUE_CLAIMS[name, "exact"].guarantees]


def _make(name: str, substep: object, tolerance: float = 1e-15) -> object:
    method = INTEGRATORS[name]()
    method = replace(method, substep=substep) if hasattr(method, "substep") else method
    return replace(method, truncation=Relative(tolerance)) if hasattr(method, "truncation") else method


def _bilinear(shape: tuple[int, int], seed: int, dtype: str, backend: Backend) -> UserField:
    """A nonlinear, nonsymmetric, time-dependent field whose values have full rank."""
    rng = np.random.default_rng(seed)
    A, B, C, D = (
        send(
            backend, rng.standard_normal(s) + (1j * rng.standard_normal(s) if dtype.startswith("complex") else 0), dtype
        )
        for s in ((shape[0], shape[0]), (shape[1], shape[1]), shape, (shape[1], shape[0]))
    )
    A, B = matode.Operator(A), matode.Operator(B)
    return UserField(lambda t, Y: A @ Y + (1.0 + t) * (Y @ B) + Y @ (D @ Y.to_dense()) + C)


@given(
    exponent=st.floats(0, 12),
    seed=st.integers(0, 10**6),
    dtype=st.sampled_from(["float64", "complex128"]),
    shape=st.sampled_from([(30, 20), (14, 25)]),
    rank=st.integers(1, 3),
    h=st.floats(0.05, 0.4),
)
@pytest.mark.parametrize("name", EXACT)
def test_given_matrices_of_the_rank_are_reproduced(name, exponent, seed, dtype, shape, rank, h):
    problem = problems.given_matrix(
        shape, rank, t_span=(0.7, 0.7 + h), smallest=10.0**-exponent, seed=seed, dtype=dtype
    )
    Y = _make(name, rk4).step(UserField(problem.F), 0.7, h, (problem.Y0,)).Y[0]
    A0, A1 = (problem.reference(t) for t in problem.t_span)
    (U0, _, V0), (U1, _, V1) = (np.linalg.svd(A) for A in (A0, A1))
    overlap = [
        np.linalg.svd(X[:, :rank].conj().T @ Z[:, :rank])[1][-1] for X, Z in ((U0, U1), (V0.conj().T, V1.conj().T))
    ]
    tolerance = 1e-12 * np.linalg.norm(A1) / (overlap[0] * overlap[1])
    # between the two: Strang passes through the middle of the interval
    assert np.linalg.norm(to_host(Y.to_dense()) - A1) <= tolerance * (4 if name == "ksl-strang" else 1)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", EXACT)
def test_exactness_on_every_backend(backend, name, dtype):
    problem = problems.given_matrix((15, 11), 2, smallest=1e-6, dtype=dtype, backend=backend, seed=3)
    step = _make(name, rk4).step(UserField(problem.F), 0.7, 0.3, (problem.Y0,))
    Y = step.Y[0]
    for X in (Y.U, Y.S, Y.V):
        assert_at_home(X, backend, dtype)
    exact = problem.reference(1.0)
    assert np.linalg.norm(to_host(Y.to_dense()) - exact) <= 1e-12 * np.linalg.norm(exact)


def _textbook_dlrt(F, t, h, U0, S0, V0):
    """One rank-adaptive step with Euler substeps as Algorithm 1 of the DLRT paper has it, before truncation.

    Dense arrays, Householder QR of the full augmented bases, and F evaluated three times.
    """
    K = U0 @ S0 + h * F(t, U0 @ S0 @ V0.conj().T) @ V0
    L = V0 @ S0.conj().T + h * F(t, U0 @ S0 @ V0.conj().T).conj().T @ U0
    U, V = (np.linalg.qr(np.hstack(pair))[0] for pair in ((K, U0), (L, V0)))
    S = (U.conj().T @ U0) @ S0 @ (V.conj().T @ V0).conj().T
    S = S + h * U.conj().T @ F(t, U @ S @ V.conj().T) @ V
    return U, S, V


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_one_evaluation_equals_the_textbook_with_three(backend, dtype):
    field = _bilinear((17, 13), 0, dtype, backend)
    Y0 = LowRank.random((17, 13), 3, singular_values=[1.0, 0.1, 1e-3], rng=1, dtype=dtype, backend=backend)
    counted = Counted(field)
    Y1 = AugmentedBUG(euler, Relative(0.0)).step(counted, 0.4, 0.05, (Y0,)).Y[0]
    assert counted.nfev == 1

    def F(t, dense):
        value = LowRank(send(backend, dense, dtype), None, send(backend, np.eye(13), dtype))
        return to_host(field(t, (value,))[0].full())

    U, S, V = _textbook_dlrt(F, 0.4, 0.05, *(to_host(X) for X in (Y0.U, Y0.S, Y0.V)))
    expected = U @ S @ V.conj().T
    assert np.linalg.norm(to_host(Y1.to_dense()) - expected) <= 1e-14 * np.linalg.norm(expected) * 13


class _Foreseeing(DenseEvaluation):
    """A matrix that notes what it is asked for, and knows the columns that it was told of."""

    def __init__(self, array):
        super().__init__(array)
        self.log, self.U1 = [], None

    def right(self, V):
        self.log.append("F V")
        return super().right(V)

    def foreseeing(self, U1):
        self.log.append("U1")
        self.U1 = U1
        return self

    def left(self, U):
        self.log.append("F* U")
        return super().left(U)

    def galerkin(self, U, V):
        self.log.append("U1* F V1" if U is self.U1 else "U* F V")
        return mH(U) @ (self.sample @ V)


@pytest.mark.parametrize("substep", [euler, rk4])
def test_an_evaluation_is_told_of_the_new_columns_before_the_l_step(substep):
    """It could form F* [U, U1] at once; whether it does changes nothing."""
    plain, seen = _bilinear((12, 10), 2, "float64", NUMPY), []

    def field(t, Y):
        seen.append(_Foreseeing(plain(t, Y)[0].full()))
        return (seen[-1],)

    Y0 = LowRank.random((12, 10), 2, rng=2)
    method = AugmentedBUG(substep)
    Y1, expected = (method.step(F, 0.0, 0.01, (Y0,)).Y[0].to_dense() for F in (field, plain))
    np.testing.assert_allclose(Y1, expected, rtol=1e-12, atol=1e-13)
    assert seen[0].log == ["F V", "U1", "F* U", "U1* F V1"]


@pytest.mark.parametrize(("substep", "stages"), [(euler, 1), (rk4, 4)])
def test_evaluations_of_one_step(substep, stages):
    field = _bilinear((12, 10), 2, "float64", NUMPY)
    Y0 = LowRank.random((12, 10), 2, rng=2)
    expected = {
        "ksl": 3 * stages,
        "lsk": 3 * stages,
        "ksl-strang": 6 * stages,
        "bug": 3 * stages - 1,
        "augmented-bug": 3 * stages - 2,
        "full-rank": stages,
        "parallel-bug": 3 * stages - 2,
        "parallel-bug-2": 3 * stages - 1,
        "midpoint-bug": (3 * stages - 2) + 1 + stages,
        "abc-psi": 2 * stages - 1,
        "prk1": 1,
        "prk2": 2,
        "prk3": 3,
        "rk-bug-2": 2,
        "rk-bug-3": 3,
        "step-truncation": 1,
        "drsvd": 4 * stages,
        "dgn": 9 * stages,
    }
    assert set(expected) == set(INTEGRATORS)
    for name, count in expected.items():
        counted = Counted(field)
        _make(name, substep).step(counted, 0.0, 0.01, (Y0,))
        assert (name, counted.nfev) == (name, count)


@given(seed=st.integers(0, 10**6), complex_=st.booleans(), exponent=st.floats(0, 16), h=st.floats(1e-6, 0.5))
def test_euler_identity(seed, complex_, exponent, h):
    dtype = "complex128" if complex_ else "float64"
    field = _bilinear((16, 12), seed, dtype, NUMPY)
    s = list(np.geomspace(1.0, 10.0**-exponent, 3))
    Y0 = LowRank.random((16, 12), 3, singular_values=s, rng=seed, dtype=dtype)
    Y1 = AugmentedBUG(euler, Relative(0.0)).step(field, 0.2, h, (Y0,)).Y[0]
    G = field(0.2, (Y0,))[0].full()
    P1, _ = np.linalg.qr(np.hstack([Y0.U, G @ Y0.V]))
    P2, _ = np.linalg.qr(np.hstack([Y0.V, G.conj().T @ Y0.U]))
    expected = Y0.to_dense() + h * P1 @ (P1.conj().T @ G @ P2) @ P2.conj().T
    assert np.linalg.norm(Y1.to_dense() - expected) <= 1e-13 * max(1.0, h * np.linalg.norm(G))


@pytest.mark.parametrize("name", list(INTEGRATORS))
@pytest.mark.parametrize("case", ["nothing moves", "inside the bases", "one direction", "generic"])
def test_bases_are_orthonormal_whatever_moves(name, case):
    rng = np.random.default_rng(3)
    Y0 = LowRank.random((20, 15), 4, singular_values=[1, 0.1, 1e-8, 0.0], rng=3)
    M, a, b, G = (rng.standard_normal(s) for s in ((4, 4), (20, 1), (15, 1), (20, 15)))
    values = {
        "nothing moves": 0.0 * G,
        "inside the bases": Y0.U @ M @ Y0.V.T,
        "one direction": a @ b.T,
        "generic": G,
    }
    Y = _make(name, rk4).step(UserField(lambda t, Y: values[case]), 0.0, 0.1, (Y0,)).Y[0]
    for X in (Y.U, Y.V):
        assert np.linalg.norm(X.T @ X - np.eye(X.shape[1])) <= 1e-13
    if case == "nothing moves":
        assert np.linalg.norm(Y.to_dense() - Y0.to_dense()) <= 1e-14


@pytest.mark.parametrize("name", list(INTEGRATORS))
def test_uncoupled_blocks_move_as_if_alone(name):
    fields = [_bilinear((12, 10), 4, "float64", NUMPY), _bilinear((9, 14), 5, "float64", NUMPY)]
    starts = [LowRank.random((12, 10), 2, rng=4), LowRank.random((9, 14), 3, rng=5)]
    bias = np.array([1.0, -2.0, 0.5])
    method = _make(name, rk4)

    def F(t, Y):
        return [fields[0](t, (Y[0],))[0], -t * Y[1], fields[1](t, (Y[2],))[0]]

    together = method.step(UserField(F, single=False), 0.1, 0.05, State((starts[0], bias, starts[1]))).Y
    random = CATALOGUE_CLAIMS[name, "exact"].random  # sketches of a later block are others where it comes first
    for i, block in ((0, 0),) if random else ((0, 0), (1, 2)):
        alone = method.step(fields[i], 0.1, 0.05, (starts[i],)).Y[0]
        assert np.linalg.norm(together[block].to_dense() - alone.to_dense()) <= 1e-14 * alone.norm()
    exact = bias * np.exp(-(0.15**2 - 0.1**2) / 2)
    order = CATALOGUE_CLAIMS[name, "exact"].formula if name not in ("prk1", "step-truncation") else 1
    assert np.linalg.norm(together[1] - exact) <= (1e-9 if order >= 4 else 3 * 0.05 ** (order + 1))


@pytest.mark.parametrize("name", list(INTEGRATORS))
def test_coupled_blocks_converge_to_the_dense_solution(name):
    rng = np.random.default_rng(6)
    A, B, c = rng.standard_normal((8, 8)) / 6, rng.standard_normal((6, 6)) / 6, rng.standard_normal(8)
    Y0 = LowRank.random((8, 6), 6, singular_values=list(np.geomspace(1, 0.1, 6)), rng=7)  # full rank: no model error
    b0 = rng.standard_normal(8)

    def F(t, Y):
        M, b = Y
        weight = float(np.sin(t) + c @ b)
        return [weight * (A @ M) + M @ B, M @ (B @ np.ones(6)) - b]

    def dense(t, Z):
        return tuple(F(t, Z))

    reference = matode.Reference()(dense, 0.0, 0.5, (Y0.to_dense(), b0))
    errors = []
    for h in (0.05, 0.025):
        sol = matode.solve(F, (0.0, 0.5), (Y0, b0), _make(name, rk4), h=h)
        Y, b = sol.Y[-1]
        errors.append(np.hypot(np.linalg.norm(Y.to_dense() - reference[0]), np.linalg.norm(b - reference[1])))
    slope = np.log2(errors[0] / errors[1])
    assert errors[1] <= (0.15 if name in ("prk1", "step-truncation") else 0.05)
    assert slope >= INTEGRATORS[name]().order - 0.15


@pytest.mark.parametrize("method", [BUG(euler), AugmentedBUG(euler, Relative(1e-2, max_rank=5))])
def test_bases_stay_orthonormal_over_many_single_precision_steps(method):
    rng = np.random.default_rng(8)
    A = (0.1 * rng.standard_normal((60, 60))).astype("float32")
    A = A - A.T  # norm-preserving
    Y = LowRank.random((60, 40), 5, rng=8, dtype="float32")
    memory = None
    field = UserField(lambda t, Y: A @ Y)
    for _ in range(500):
        step = method.step(field, 0.0, 0.01, (Y,), memory)
        Y, memory = step.Y[0], step.memory
    assert str(Y.dtype) == "float32"
    for X in (Y.U, Y.V):
        assert np.linalg.norm(X.T @ X - np.eye(X.shape[1], dtype="float32")) <= 3e-6


def test_inputs_are_not_written_to(backend):
    problem = problems.sylvester((12, 9), 2, backend=backend)
    before = [to_host(X).copy() for X in (problem.Y0.U, problem.Y0.S, problem.Y0.V)]
    for name in INTEGRATORS:
        _make(name, rk4).step(UserField(problem.F), 0.0, 0.1, (problem.Y0,))
    for X, old in zip((problem.Y0.U, problem.Y0.S, problem.Y0.V), before, strict=True):
        assert (to_host(X) == old).all()


@pytest.mark.parametrize("name", ["ksl", "ksl-strang", "lsk"])
def test_projector_splitting_is_exact_for_sylvester_flows(name):
    problem = problems.sylvester(smallest=1e-8, dtype="complex128")
    Y = _make(name, matode.Reference()).step(UserField(problem.F), 0.0, 0.3, (problem.Y0,)).Y[0]
    exact = problem.reference(0.3)
    assert np.linalg.norm(Y.to_dense() - exact) <= 1e-10 * np.linalg.norm(exact)
    bug = BUG(matode.Reference()).step(UserField(problem.F), 0.0, 0.3, (problem.Y0,)).Y[0]
    assert np.linalg.norm(bug.to_dense() - exact) >= 1e-5  # the check can tell the two apart


def test_adjoint_and_reversal():
    field = _bilinear((14, 11), 9, "complex128", NUMPY)
    Y0 = LowRank.random((14, 11), 3, rng=9, singular_values=[1, 0.3, 0.1], dtype="complex128")
    exact = matode.Reference()
    h = 0.01
    there = matode.KSL(exact).step(field, 0.3, h, (Y0,)).Y
    back = matode.LSK(exact).step(field, 0.3 + h, -h, there).Y[0]
    assert (back - Y0).norm() <= 1e-10
    wrong = matode.KSL(exact).step(field, 0.3 + h, -h, there).Y[0]
    assert (wrong - Y0).norm() >= 1e-6
    there = matode.KSLStrang(exact).step(field, 0.3, h, (Y0,)).Y
    back = matode.KSLStrang(exact).step(field, 0.3 + h, -h, there).Y[0]
    assert (back - Y0).norm() <= 1e-10


def test_catalogue_is_read_only_and_every_entry_is_frozen():
    with pytest.raises(TypeError):
        INTEGRATORS["mine"] = BUG
    for factory in INTEGRATORS.values():
        with pytest.raises((AttributeError, TypeError)):
            factory().substep = euler
    assert mH(np.array([[1j]]))[0, 0] == -1j
