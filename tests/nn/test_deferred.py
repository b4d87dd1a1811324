"""Gradients that are formed when somebody asks for them: the same numbers, and only where they are needed."""

from __future__ import annotations

import numpy as np
import pytest

from matode import BUG, AugmentedBUG, FullRank, LowRank
from matode._array import default_rng, get_backend, normal, to_host
from matode.substeps import euler
from nn import GradientFlow, factored, mlp_of, ops
from nn.autodiff import Tape
from nn.deferred import Deferred
from tests.backends import assert_array


@pytest.fixture
def counted(monkeypatch):
    """The shapes of the arrays formed so far."""
    shapes = []

    class Counted(Deferred):
        def __init__(self, form, shape):
            super().__init__(lambda: (shapes.append(tuple(shape)), form())[1], shape)

    for module in (factored, ops):
        monkeypatch.setattr(module, "Deferred", Counted)
    return shapes


def _low_rank(backend, m=6, n=5, r=2):
    rng = default_rng(1)
    return LowRank(*(normal(rng, shape, backend) for shape in ((m, r), (r, r), (n, r))))


def _training(rank):
    model = mlp_of(12, 3, inputs=8, rank=rank)
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((20, 8)), rng.integers(0, 10, 20)
    return GradientFlow(model, x, labels), model.init(rng, get_backend(), "float64")


def test_an_array_is_formed_once_and_only_if_somebody_asks(backend, counted):
    x, W, b = normal(default_rng(0), (4, 5), backend), _low_rank(backend), normal(default_rng(2), (6,), backend)
    tape = Tape()
    inputs = [tape.variable(v) for v in (W, b)]
    y = factored.linear(x, *inputs)
    delta = normal(default_rng(3), (4, 6), backend)
    _, db = tape.gradient(y, inputs, delta, deferred=True)
    assert counted == []
    for _ in range(2):
        assert_array(db.full(), to_host(delta).sum(axis=0), backend, rtol=1e-13)
        assert_array((-2.0 * db).full(), -2.0 * to_host(delta).sum(axis=0), backend, rtol=1e-13)
    assert counted == [(6,)]
    assert_array(tape.gradient(y, inputs, delta)[1], to_host(delta).sum(axis=0), backend, rtol=1e-13)


@pytest.mark.parametrize("deferred", [True, False])
def test_cotangents_of_what_is_used_twice_or_made_of_something_else_are_formed(backend, deferred):
    rng = default_rng(4)
    x, a, b = normal(rng, (4, 5), backend), normal(rng, (5, 5), backend), normal(rng, (5,), backend)
    d = normal(rng, (4, 5), backend)
    tape = Tape()
    v, w = tape.variable(a), tape.variable(b)
    bias = ops.tanh(w)
    y = ops.add(ops.linear(ops.add(ops.linear(x, v), bias), v), bias)
    dv, dw = tape.gradient(y, [v, w], d, deferred=deferred)
    X, A, t, D = (to_host(z) for z in (x, a, bias.value, d))
    inner = D @ A
    assert_array(dv, D.T @ (X @ A.T + t) + inner.T @ X, backend, rtol=1e-12)
    assert_array(dw, (D.sum(axis=0) + inner.sum(axis=0)) * (1 - t**2), backend, rtol=1e-12)


@pytest.mark.parametrize(("method", "evaluations"), [(BUG(euler), 2), (AugmentedBUG(euler), 1), (FullRank(euler), 1)])
def test_a_step_forms_what_it_moves_along_once(counted, method, evaluations):
    """The K- and L-step of a low-rank network need no gradient of a bias, nor of its dense head."""
    flow, Y = _training(None if isinstance(method, FullRank) else 3)
    method.step(flow, 0.0, 0.1, Y)
    assert len(flow.losses) == evaluations
    assert sorted(counted) == sorted(tuple(y.shape) for y in Y if not isinstance(y, LowRank))
