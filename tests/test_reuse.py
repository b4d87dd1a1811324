"""Products formed once in a step: the same values as the plain path, and nothing stale or kept alive."""

from __future__ import annotations

import copy
import gc
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from matode import (
    BUG,
    KSL,
    LSK,
    AugmentedBUG,
    KSLStrang,
    LowRank,
    MidpointBUG,
    ParallelBUG,
    ParallelBUG2,
    Rank,
    euler,
    reuse,
    rk4,
)
from matode._array import get_backend, sparse_operator, to_host
from matode.field import UserField
from matode.flows import k_flow, reusing
from matode.linalg import complement
from matode.reuse import Products
from tests.backends import assert_array, send


def _operator(backend, dtype, n=18):
    A = sp.random_array((n, n), density=0.2, rng=np.random.default_rng(0)).tocsr() - 2.0 * sp.eye_array(n)
    A = (A * (1 + 0.5j) if dtype == "complex128" else A).tocsr().astype(dtype)
    return sparse_operator(A, backend)


def _lyapunov(backend, dtype, n=18):
    A = _operator(backend, dtype, n)
    C = LowRank.random((n, n), 3, rng=1, dtype=dtype, backend=backend)
    B = LowRank.random((n, n), 2, rng=2, dtype=dtype, backend=backend)

    def F(t, Y):  # transposes made anew, a scaled constant, and a term that is not linear
        return A @ Y + 2.0 * (Y @ A.T) + C + np.cos(t) * C.mH + Y @ B @ Y

    return F, LowRank.random((n, n), 4, rng=3, dtype=dtype, backend=backend)


def _plain(F):
    """Return F evaluated at a copy of its argument that no step knows."""
    return lambda t, Y: F(t, LowRank(Y.U, Y.S, Y.V))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("substep", [(), (euler,)])
@pytest.mark.parametrize("integrator", [AugmentedBUG, ParallelBUG, ParallelBUG2, MidpointBUG, BUG, KSL, LSK, KSLStrang])
def test_reusing_agrees_with_the_plain_path(backend, integrator, substep, dtype):
    F, Y0 = _lyapunov(backend, dtype)
    method = integrator(*substep, truncation=Rank(4)) if hasattr(integrator, "truncation") else integrator(*substep)
    reused, plain = (method.step(UserField(f), 0.3, 0.02, (Y0,)).Y[0] for f in (F, _plain(F)))
    for Y in (reused, plain):
        assert Y.products is None
    difference = np.linalg.norm(to_host(reused.to_dense()) - to_host(plain.to_dense()))
    assert difference <= 1e-14 * np.linalg.norm(to_host(plain.to_dense())) * 18


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_new_columns_on_both_sides_meet_only_what_is_not_the_moved_matrix_itself(backend, dtype):
    F, Y0 = _lyapunov(backend, dtype)
    A = _operator(backend, dtype)
    (Y,) = reusing((Y0,))
    rng = np.random.default_rng(4)
    U1, V1 = (complement(X, send(backend, rng.standard_normal((18, 3)), dtype)) for X in (Y.U, Y.V))
    Y.products.beside(Y.U, U1)
    Y.products.beside(Y.V, V1)
    assert Y.products.orthogonal(U1, Y.U)
    assert Y.products.orthogonal(Y.V, V1)
    assert not Y.products.orthogonal(U1, Y.V)
    for G in (F, lambda t, Y: A @ Y @ A + A @ Y):
        found, plain = (G(0.3, X).galerkin(U1, V1) for X in (Y, Y0))
        assert_array(found, to_host(plain), backend, atol=1e-13)
    assert_array((A @ Y - 2.0 * (Y @ A)).galerkin(U1, V1), np.zeros((3, 3), dtype), backend, atol=0)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("integrator", [AugmentedBUG, MidpointBUG])
def test_a_field_may_look_into_what_it_makes(backend, integrator, dtype):
    A = _operator(backend, dtype)
    Y0, C = (LowRank.random((18, 18), 4, rng=k, dtype=dtype, backend=backend) for k in (3, 4))
    c = 0.5 if dtype == "float64" else 0.5 - 0.25j

    def F(t, Y):  # images of extended bases are joined where their entries are asked for, and numbers multiplied out
        X = c * (A @ Y)
        return LowRank(X.U, X.S, X.V) + (A @ X) @ A - 0.5 * (X @ A).mH.mH + X.to_dense() @ Y + c * Y + (1 + t) * (c * C)

    method = integrator(truncation=Rank(4))
    reused, plain = (method.step(UserField(f), 0.3, 0.02, (Y0,)).Y[0] for f in (F, _plain(F)))
    difference = np.linalg.norm(to_host(reused.to_dense()) - to_host(plain.to_dense()))
    assert difference <= 1e-12 * np.linalg.norm(to_host(plain.to_dense()))


@pytest.mark.parametrize("integrator", [AugmentedBUG, ParallelBUG])
def test_the_three_flows_of_a_step_share_their_products(integrator, monkeypatch):
    met = []

    def watching(A, X):
        met.append(X)
        return A @ X

    monkeypatch.setattr(reuse, "apply", watching)
    A = sp.random_array((18, 18), density=0.2, rng=np.random.default_rng(0)).tocsr()
    Y0 = LowRank.random((18, 18), 4, rng=3)
    integrator().step(UserField(lambda t, Y: A @ Y + Y @ A.T), 0.3, 0.02, (Y0,))
    assert sum(X is Y0.U for X in met) == sum(X is Y0.V for X in met) == 1


def test_a_fixed_factor_meets_the_operator_once_in_a_flow(monkeypatch):
    widths = []

    def counting(A, X):
        widths.append(X.shape[1])
        return A @ X

    monkeypatch.setattr(reuse, "apply", counting)
    F, Y0 = _lyapunov(get_backend(), "float64")
    k_flow(UserField(F), 0.3, 0.02, (Y0,), rk4)
    assert widths == [4] * (4 + 1)  # A K in each stage, and V once


@pytest.mark.parametrize(("integrator", "images"), [(KSL, 2), (LSK, 2), (KSLStrang, 3)])
def test_projector_splitting_keeps_the_products_with_its_bases_from_flow_to_flow(integrator, images, monkeypatch):
    met = []

    def watching(A, X):
        met.append(X)
        return A @ X

    monkeypatch.setattr(reuse, "apply", watching)
    A = sp.random_array((18, 18), density=0.2, rng=np.random.default_rng(0)).tocsr()
    Y0 = LowRank.random((18, 18), 4, rng=3)
    integrator().step(UserField(lambda t, Y: A @ Y + Y @ A.T), 0.3, 0.02, (Y0,))
    moving = 4 * (2 if integrator is not KSLStrang else 4)
    assert len(met) == moving + images


@pytest.mark.parametrize("form", ["csr", "csc", "dia", "bsr", "dense", "coo"])
@pytest.mark.parametrize("change", ["scaled", "negated", "one entry", "replaced"])
def test_an_operator_that_is_written_to_is_noticed(form, change):
    n = 12
    A = sp.diags_array([np.arange(1.0, n), -2 * np.ones(n), np.ones(n - 1)], offsets=[-1, 0, 1])
    A = A.toarray() if form == "dense" else A.asformat(form)
    products = Products()
    X = products.hold(np.linalg.qr(np.random.default_rng(0).standard_normal((n, 3)))[0])
    data = A if form == "dense" else A.data
    for star in (False, True):
        assert_same(reuse.whole(products.image(A, X, star=star)), (A.T if star else A) @ X)
    if change == "scaled":
        data *= 0.5
    elif change == "negated":
        data *= -1.0
    elif change == "one entry":
        data.reshape(-1)[data.size // 3] += 7.0
    elif form == "dense":
        A = 3.0 * A
    else:
        A.data = 3.0 * A.data
    for star in (False, True):
        assert_same(reuse.whole(products.image(A, X, star=star)), (A.T if star else A) @ X)


def assert_same(actual, expected):
    assert np.abs(actual - expected).max() <= 1e-13 * np.abs(expected).max()


def test_matrices_that_share_entries_but_not_their_places_are_told_apart():
    ones, start = np.ones(6), np.arange(7)
    places = np.array([[0, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 0]])
    products = Products()
    X = products.hold(np.linalg.qr(np.random.default_rng(0).standard_normal((6, 2)))[0])
    for row in places:
        A = sp.csr_array((ones, row, start), shape=(6, 6))
        assert_same(reuse.whole(products.image(A, X)), A @ X)


def test_views_of_one_array_are_told_apart_by_where_they_begin():
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((2, 6))
    places = np.array([0, 2, 1, 3, 4, 5])
    halves = np.vstack([np.tile(rows[:1], (3, 1)), np.tile(rows[1:], (3, 1))])
    both = np.vstack([halves, halves[:, places]])  # the same entries in other columns: the same fingerprint
    products = Products()
    X = products.hold(np.linalg.qr(rng.standard_normal((6, 2)))[0])
    for A in (both[:6], both[6:]):
        assert_same(reuse.whole(products.image(A, X)), A @ X)
    assert products.entries == 2


def test_what_is_made_anew_for_each_evaluation_is_not_kept_alive():
    products = Products()
    rng = np.random.default_rng(0)
    V = products.hold(np.linalg.qr(rng.standard_normal((40, 3)))[0])
    Y = LowRank.moving(rng.standard_normal((40, 3)), None, V, products)
    watched = []
    for k in range(5):
        A, C = (1.0 + k) * sp.eye_array(40, format="csr"), LowRank.random((40, 40), 2, rng=k)
        value = A @ Y + Y @ A + C
        value.right(V)
        X = rng.standard_normal((40, 2))
        value.right(X)
        watched += [weakref.ref(A), weakref.ref(C.U), weakref.ref(X)]
        del A, C, X, value
    gc.collect()
    assert [ref() for ref in watched] == [None] * 15
    assert products.entries == 0


def test_a_step_leaves_nothing_behind():
    F, Y0 = _lyapunov(get_backend(), "float64")
    made = []

    def watching(t, Y):
        made.append(weakref.ref(Y.products))
        return F(t, Y)

    gc.collect()
    gc.disable()  # freed by counting references, not at some later time
    try:
        AugmentedBUG().step(UserField(watching), 0.3, 0.02, (Y0,))
        assert not [None for x in gc.get_objects() if type(x) is reuse.Fixed]
        wide = AugmentedBUG().untruncated(UserField(watching), 0.3, 0.02, (Y0,))
        assert wide[0].rank == 8
        assert {ref() for ref in made} == {None}
    finally:
        gc.enable()


def test_products_with_what_a_step_does_not_hold_are_not_remembered():
    rng = np.random.default_rng(0)
    products, A = Products(), sp.eye_array(12, format="csr")
    Z = products.image(A, products.hold(np.linalg.qr(rng.standard_normal((12, 3)))[0]))
    X = rng.standard_normal((12, 2))
    assert_same(products.gram(Z, X), reuse.whole(Z).T @ X)
    alive = weakref.ref(X)
    del X
    assert alive() is None


def test_a_step_takes_few_calls_of_its_own():
    """A small step is nearly all Python: what a stage does is to be looked at before it does more."""
    A = _operator(get_backend(), "float64")
    C, Y0 = (LowRank.random((18, 18), r, rng=r) for r in (3, 4))
    field, method = UserField(lambda t, Y: A @ Y + Y @ A + C), AugmentedBUG(truncation=Rank(4))
    method.step(field, 0.3, 0.02, (Y0,))
    home = str(Path(reuse.__file__).parent)
    calls = 0

    def count(frame, event, _):
        nonlocal calls
        calls += event in ("call", "c_call") and frame.f_code.co_filename.startswith(home)

    sys.setprofile(count)
    try:
        method.step(field, 0.3, 0.02, (Y0,))
    finally:
        sys.setprofile(None)
    assert calls <= 1860


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_a_field_recognises_its_operators_from_step_to_step_while_they_live(monkeypatch, dtype):
    made = []
    monkeypatch.setattr(reuse, "adjoint", lambda A: made.append(1) or A.conj().T)
    operator = [sp.random_array((18, 18), density=0.2, rng=np.random.default_rng(0)).tocsr().astype(dtype)]
    field = UserField(lambda t, Y: Y @ operator[0])
    Y = (LowRank.random((18, 18), 4, rng=3, dtype=dtype),)
    for _ in range(3):
        Y = AugmentedBUG(truncation=Rank(4)).step(field, 0.3, 0.02, Y).Y
    assert len(made) == 1
    assert len(field.operators.seen) == 1
    assert not copy.deepcopy(field).operators.seen
    operator[0].data *= 2.0  # the adjoint of complex entries is a copy
    assert_same(field(0.0, reusing(Y, field))[0].to_dense(), Y[0].to_dense() @ operator[0].toarray())
    assert len(made) == 2
    del operator[0]
    assert not field.operators.seen


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_products_with_an_extended_basis(backend, dtype):
    rng = np.random.default_rng(0)
    Q = rng.standard_normal((15, 7)) + (1j * rng.standard_normal((15, 7)) if dtype == "complex128" else 0)
    Q = send(backend, np.linalg.qr(Q)[0], dtype)
    C = send(backend, rng.standard_normal((15, 2)), dtype)
    products = Products()
    U, U1 = products.hold(Q[:, :4] + 0), Q[:, 4:] + 0
    W = products.extended(U, U1)
    assert_array(W, to_host(Q), backend)
    assert products.gram(W, W) is None
    assert_array(products.gram(U, W), np.eye(4, 7).astype(dtype), backend)
    assert_array(products.gram(W, U1), np.eye(7)[:, 4:].astype(dtype), backend)
    for _ in range(2):
        assert np.allclose(to_host(products.gram(C, W)), to_host(C).conj().T @ to_host(Q), atol=1e-14)
        assert np.allclose(to_host(products.gram(W, C)), to_host(Q).conj().T @ to_host(C), atol=1e-14)
    assert products.extended(U, U1[:, :0]) is U


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_a_dense_term_takes_its_sign_on_thin_results(backend, dtype):
    rng = np.random.default_rng(0)
    Y = LowRank.random((9, 7), 2, rng=1, dtype=dtype, backend=backend)
    atol = 1e-5 if dtype == "float32" else 1e-13
    values, V, U = rng.standard_normal((9, 7)), rng.standard_normal((7, 2)), rng.standard_normal((9, 2))
    D, V_there, U_there = (send(backend, X, dtype) for X in (values, V, U))
    for value, factor in ((Y - D, -1.0), (Y + 3.0 * (0.5 * (Y - D)), -1.5)):
        dense = value.terms[-1]
        assert dense.sample is D
        assert_array(dense.right(V_there), (factor * values @ V).astype(dtype), backend, atol=atol)
        assert_array(dense.left(U_there), (factor * values.T @ U).astype(dtype), backend, atol=atol)
        assert_array(dense.full(), (factor * values).astype(dtype), backend, atol=atol)
