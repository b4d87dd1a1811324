"""Runge-Kutta methods on low-rank matrices: the textbook on dense arrays, their identities, and the error estimate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import matode
from matode import AugmentedBUG, LowRank, ParallelBUG, ProjectedRungeKutta, Rank, Relative, RungeKuttaBUG, State
from matode._array import get_backend, to_host
from matode.field import UserField
from matode.substeps import RungeKutta, euler, heun, heun3, midpoint, rk4
from tests.backends import send

SHAPE, T, H = (15, 12), 0.3, 0.02


def _dense_field(dtype, seed=0):
    """A nonlinear, nonsymmetric, time-dependent F on dense arrays, whose values have full rank."""
    rng = np.random.default_rng(seed)
    A, B, C, D = (
        rng.standard_normal(s) + (1j * rng.standard_normal(s) if dtype == "complex128" else 0)
        for s in ((15, 15), (12, 12), SHAPE, (12, 15))
    )
    return lambda t, Y: A @ Y + (1 + t) ** 2 * (Y @ B) + 0.1 * Y @ D @ Y + np.sin(3 * t) * C


def _field(F, backend, dtype):
    return UserField(lambda t, Y: send(backend, F(t, to_host(Y.to_dense())), dtype))


def _start(backend, dtype="float64", rank=3):
    return LowRank.random(SHAPE, rank, singular_values=[1.0, 0.4, 0.1][:rank], rng=1, dtype=dtype, backend=backend)


def _factors(A, r):
    U, s, Vh = np.linalg.svd(A)
    return U[:, :r], s[:r], Vh[:r].conj().T


def _cut(A, r):
    U, s, V = _factors(A, r)
    return (U * s) @ V.conj().T


def _textbook_prk(F, t, h, Y0, r, tableau):
    k = []
    for row, c in zip(tableau.a, tableau.c, strict=True):
        eta = _cut(Y0 + h * sum((a * x for a, x in zip(row, k, strict=True)), 0 * Y0), r)
        U, _, V = _factors(eta, r)
        G = F(t + c * h, eta)
        k.append(U @ U.conj().T @ G + (G - U @ U.conj().T @ G) @ V @ V.conj().T)
    return _cut(Y0 + h * sum(b * x for b, x in zip(tableau.b, k, strict=True)), r)


def _textbook_rk_bug(F, t, h, Y0, r, tableau):
    """The listing of the paper: every stage has its own bases, [Y0's, and U_j, F_j V_j of all stages before]."""
    left, right = [_factors(Y0, r)[0]], [_factors(Y0, r)[2]]
    k, stage = [], Y0
    for row, c in zip((*tableau.a[1:], tableau.b), tableau.c, strict=True):
        U, _, V = _factors(stage, r)
        k.append(F(t + c * h, stage))
        left, right = [*left, U, k[-1] @ V], [*right, V, k[-1].conj().T @ U]
        P, Q = (_range(np.hstack(columns)) for columns in (left, right))
        wide = P @ P.conj().T @ (Y0 + h * sum(a * x for a, x in zip(row, k, strict=True))) @ Q @ Q.conj().T
        stage = _cut(wide, r)
    return wide


def _range(X):
    U, s, _ = np.linalg.svd(X / np.linalg.norm(X, axis=0), full_matrices=False)
    return U[:, s > 1e-10]


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("tableau", [euler, heun, midpoint, heun3, rk4], ids=lambda tableau: tableau.name)
def test_the_textbook_on_dense_arrays(backend, tableau, dtype):
    F, Y0 = _dense_field(dtype), _start(backend, dtype)
    dense = to_host(Y0.to_dense())
    for method, textbook in (
        (ProjectedRungeKutta(tableau), _textbook_prk),
        (RungeKuttaBUG(tableau, Relative(0.0)), _textbook_rk_bug),
    ):
        Y1 = method.step(_field(F, backend, dtype), T, H, (Y0,)).Y[0]
        expected = textbook(F, T, H, dense, 3, tableau)
        assert np.linalg.norm(to_host(Y1.to_dense()) - expected) <= 1e-12


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_with_eulers_tableau_they_are_methods_that_were_there_before(backend, dtype):
    field, Y0 = _field(_dense_field(dtype), backend, dtype), _start(backend, dtype)
    for one, other in (
        (ProjectedRungeKutta(euler), ParallelBUG(euler, Rank(3))),
        (RungeKuttaBUG(euler, Relative(0.0)), AugmentedBUG(euler, Relative(0.0))),
    ):
        difference = one.step(field, T, H, (Y0,)).Y[0] - other.step(field, T, H, (Y0,)).Y[0]
        assert difference.norm() <= 1e-14


@pytest.mark.parametrize("method", [ProjectedRungeKutta, RungeKuttaBUG])
@pytest.mark.parametrize("tableau", [heun, heun3], ids=lambda tableau: tableau.name)
def test_the_error_is_that_of_the_embedded_solution_over_all_blocks(backend, method, tableau):
    """At full rank nothing is projected: the estimate is the distance of the two dense Runge-Kutta solutions."""
    F = _dense_field("float64")
    Y0 = LowRank.random(SHAPE, 12, singular_values=np.linspace(1, 0.5, 12), rng=1, backend=backend)
    bias = send(backend, np.asarray([1.0, -2.0]))

    def coupled(t, Y):
        return [send(backend, F(t, to_host(Y[0].to_dense()))), -2.0 * t * Y[1]]

    step = method(tableau).step(UserField(coupled, single=False), T, -H, State((Y0, bias)))
    weights = [b - e for b, e in zip(tableau.b, tableau.embedded, strict=True)]
    k, blocks = [], (to_host(Y0.to_dense()), to_host(bias))
    for row, c in zip(tableau.a, tableau.c, strict=True):
        M, b = (y - H * sum((a * x[i] for a, x in zip(row, k, strict=True)), 0 * y) for i, y in enumerate(blocks))
        k.append((F(T - c * H, M), -2.0 * (T - c * H) * b))
    parts = [H * np.linalg.norm(sum(w * x[i] for w, x in zip(weights, k, strict=True))) for i in range(2)]
    assert min(parts) > 1e-8
    assert step.error == pytest.approx(np.hypot(*parts), rel=1e-9)
    assert isinstance(step.error, float)


@pytest.mark.parametrize("name", ["prk2", "prk3", "rk-bug-2", "rk-bug-3"])
def test_the_error_estimate_falls_with_its_order(name):
    method = matode.INTEGRATORS[name]()
    assert method.error_order == method.order - 1
    F = _dense_field("float64")
    field, Y0 = _field(F, get_backend(), "float64"), LowRank.random(SHAPE, 12, rng=1)
    errors = [method.step(field, T, h, (Y0,)).error for h in (2e-3, 1e-3)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(method.error_order + 1, abs=0.1)


def test_without_embedded_weights_there_is_no_estimate():
    field, Y0 = _field(_dense_field("float64"), get_backend(), "float64"), _start(get_backend())
    for tableau in (euler, midpoint, rk4):
        for method in (ProjectedRungeKutta(tableau), RungeKuttaBUG(tableau)):
            assert method.step(field, T, H, (Y0,)).error is None
            assert (method.order, method.error_order) == (tableau.order, 0)


def test_bases_have_one_rank_more_per_stage():
    field, Y0 = _field(_dense_field("float64"), get_backend(), "float64"), _start(get_backend(), rank=2)
    for tableau in (euler, heun, heun3):
        Y1 = RungeKuttaBUG(tableau, Relative(0.0)).step(field, T, H, (Y0,)).Y[0]
        assert Y1.rank == 2 * (len(tableau.b) + 1)


def test_the_tableau_must_be_one():
    for method in (ProjectedRungeKutta, RungeKuttaBUG):
        with pytest.raises(TypeError, match=r"must be a RungeKutta, for example matode\.heun, got int"):
            method(3)


def test_orders_of_tableaux():
    assert [tableau.order for tableau in (euler, midpoint, heun, heun3, rk4)] == [1, 2, 2, 3, 4]
    assert [tableau.embedded_order for tableau in (euler, midpoint, heun, heun3, rk4)] == [0, 0, 1, 2, 0]
    for tableau, order in ((replace(rk4, b=(0.0, 0.0, 0.0, 1.0)), 1), (replace(heun3, c=(0.0, 0.0, 2 / 3)), 2)):
        assert tableau.order == order
    with pytest.raises(ValueError, match="expected 2 embedded weights, one per stage, got 1"):
        RungeKutta(((), (1.0,)), (0.5, 0.5), embedded=(1.0,))
