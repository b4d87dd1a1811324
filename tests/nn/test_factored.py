"""The low-rank product and its gradient, known by actions."""

import numpy as np
import pytest

from matode._array import default_rng, normal, to_host
from matode.evaluations import DenseEvaluation
from matode.lowrank import LowRank
from nn import factored, ops
from nn.autodiff import Tape
from nn.factored import Outer
from tests.backends import assert_array

BATCH, M, N, RANK = 5, 9, 7, 3


@pytest.fixture
def parts(backend):
    rng = default_rng(3)
    delta, x = normal(rng, (BATCH, M), backend), normal(rng, (BATCH, N), backend)
    W = LowRank(normal(rng, (M, RANK), backend), normal(rng, (RANK, RANK), backend), normal(rng, (N, RANK), backend))
    return delta, x, W


def outers(parts):
    """Every way to make the same Outer: bare, with bases, with known products."""
    delta, x, W = parts
    yield Outer(delta, x)
    yield Outer(delta, x, U=W.U, V=W.V)
    yield Outer(delta, x, U=W.U, V=W.V, delta_U=delta @ W.U, x_V=x @ W.V)


def test_product_equals_the_dense_one(parts, backend):
    _, x, W = parts
    assert_array(factored.linear(x, W), to_host(x) @ to_host(W.to_dense()).T, backend, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("narrow", [0, 128])
def test_a_bias_in_the_product_is_one_added_behind(parts, backend, monkeypatch, narrow):
    """One more column of the left factor, or one more pass."""
    monkeypatch.setattr(factored, "_NARROW", narrow)
    delta, x, W = parts
    b = normal(default_rng(7), (M,), backend)
    found = []
    for layer in (factored.linear, lambda x, W, b: ops.add(factored.linear(x, W), b)):
        tape = Tape()
        inputs = [tape.variable(value) for value in (x, W, b)]
        y = layer(*inputs)
        dx, dW, db = tape.gradient(y, inputs, delta)
        found.append([to_host(value) for value in (y.value, dx, dW.full(), db)])
    for value, expected in zip(*found, strict=True):
        assert value.shape == expected.shape
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)
    assert_array(factored.linear(x, W, b), found[1][0], backend, rtol=1e-12, atol=1e-12)
    with pytest.raises(ValueError, match=r"linear \(x W\* \+ b\): the shapes"):
        factored.linear(x, W, b[1:])


def test_actions_equal_those_of_the_full_gradient(parts, backend):
    delta, x, W = parts
    G = to_host(delta).T @ to_host(x)
    rng = default_rng(4)
    U, V = normal(rng, (M, 4), backend), normal(rng, (N, 2), backend)
    close = {"rtol": 1e-12, "atol": 1e-12}
    for outer in outers(parts):
        assert outer.shape == (M, N)
        assert_array(outer.full(), G, backend, **close)
        for left, right in ((U, V), (W.U, W.V), (W.U, V), (U, W.V)):
            for _ in range(2):  # the second time from what is kept
                assert_array(outer.right(right), G @ to_host(right), backend, **close)
                assert_array(outer.left(left), G.T @ to_host(left), backend, **close)
                assert_array(outer.galerkin(left, right), to_host(left).T @ G @ to_host(right), backend, **close)


def test_arithmetic_of_the_gradient(parts, backend):
    """Sums and products of gradients stay matrices known by their actions."""
    delta, x, W = parts
    G = to_host(delta).T @ to_host(x)
    outer = Outer(delta, x)
    A, B = normal(default_rng(5), (4, M), backend), normal(default_rng(6), (N, 4), backend)
    assert_array((2.0 * outer - W).right(W.V), (2 * G - to_host(W.to_dense())) @ to_host(W.V), backend, rtol=1e-11)
    # not A @ outer: array-api-strict refuses foreign operands instead of leaving the operator to them
    assert_array(outer.__rmatmul__(A).full(), to_host(A) @ G, backend, rtol=1e-12)
    assert_array((outer @ B).full(), G @ to_host(B), backend, rtol=1e-12)
    assert_array((outer * W).full(), G * to_host(W.to_dense()), backend, rtol=1e-12)
    assert_array((W.mT @ outer).full(), to_host(W.to_dense()).T @ G, backend, rtol=1e-11, atol=1e-12)


def test_low_rank_form_exists_when_the_batch_is_small(parts, backend):
    delta, x, _ = parts
    assert_array(Outer(delta, x).factors().to_dense(), to_host(delta).T @ to_host(x), backend, rtol=1e-12)
    assert Outer(delta[:, :2], x[:, :2]).factors() is None


def test_known_products_are_not_computed_again(parts):
    """What the passes know is used as it is: a wrong product is seen in the actions."""
    delta, x, W = parts
    outer = Outer(delta, x, U=W.U, V=W.V, delta_U=delta @ W.U * 2.0, x_V=x @ W.V * 3.0)
    G = to_host(delta).T @ to_host(x)
    U, V = to_host(W.U), to_host(W.V)
    np.testing.assert_allclose(to_host(outer.right(W.V)), 3 * G @ V, rtol=1e-12)
    np.testing.assert_allclose(to_host(outer.left(W.U)), 2 * G.T @ U, rtol=1e-12)
    np.testing.assert_allclose(to_host(outer.galerkin(W.U, W.V)), 6 * U.T @ G @ V, rtol=1e-12)


def test_backward_pass_hands_over_both_products(parts, backend):
    """The forward product x V and the backward product delta U are those of the Outer, the same objects."""
    delta, x, W = parts
    tape = Tape()
    v, w = tape.variable(x), tape.variable(W)
    _, outer = tape.gradient(factored.linear(v, w), [v, w], delta)
    assert outer._x.basis is W.V
    assert outer._x.value is not None
    assert outer._delta.basis is W.U
    assert outer._delta.value is not None


def test_second_use_of_a_weight_gives_a_sum(parts, backend):
    delta, x, W = parts
    square = LowRank(W.U[:N, :], W.S, W.V)
    tape = Tape()
    w = tape.variable(square)
    (gradient,) = tape.gradient(factored.linear(factored.linear(x, w), w), [w], delta[:, :N])
    d, a, dense = to_host(delta)[:, :N], to_host(x), to_host(square.to_dense())
    expected = d.T @ (a @ dense.T) + (d @ dense).T @ a
    V = to_host(W.V)
    assert_array(gradient.right(W.V), expected @ V, backend, rtol=1e-11)
    assert_array(gradient.left(W.V), expected.T @ V, backend, rtol=1e-11)
    assert_array(gradient.galerkin(W.V, W.V), V.T @ expected @ V, backend, rtol=1e-11)


def test_dense_weight_has_a_dense_cotangent(parts, backend):
    delta, x, W = parts
    tape = Tape()
    w = tape.variable(W.to_dense())
    (gradient,) = tape.gradient(factored.linear(x, w), [w], delta)
    assert_array(DenseEvaluation(gradient).full(), to_host(delta).T @ to_host(x), backend, rtol=1e-12)


def test_shapes_that_do_not_fit_are_named(parts):
    _, x, W = parts
    with pytest.raises(ValueError, match=r"linear .*\(5, 6\) and \(9, 7\) do not fit"):
        factored.linear(x[:, :6], W)
    with pytest.raises(ValueError, match=r"as many rows, got \(4, 7\) and \(5, 7\)"):
        Outer(x[:4, :], x)
