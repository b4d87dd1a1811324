"""The engine, and every rule of the table against central differences."""

import math

import pytest

from matode._array import default_rng, normal, to_host
from matode.lowrank import LowRank
from nn import autodiff, baselines, factored, ops, pooling
from nn.autodiff import RULES, Tape, Var, value_of
from nn.conv import conv2d
from nn.normalisation import batch_norm, moments
from tests.backends import assert_array, send

STEP = 1e-6
LABELS = [2, 0, 1, 1]

# rule, and a variant: the operation, and the shapes of what it is differentiated for; a pair of shape and rank is a
# LowRank
CASES = {
    "matmul": (ops.matmul, (4, 3), (3, 5)),
    "linear": (ops.linear, (4, 3), (5, 3)),
    "factored_linear": (factored.linear, (4, 7), ((6, 7), 2)),
    "conv2d": (lambda x, W: conv2d(x, W, 3, padding=1), (2, 2, 5, 4), (3, 18)),
    "conv2d of low rank": (lambda x, W: conv2d(x, W, 2, stride=2), (3, 2, 6, 4), ((4, 8), 2)),
    "conv2d with pools": (lambda x, W: conv2d(x, W, 3, pool=2), (2, 2, 7, 6), ((4, 18), 3)),
    "conv2d of single pixels": (lambda x, W: conv2d(x, W, 1), (2, 3, 4, 2), ((4, 3), 2)),
    "two_factors": (
        lambda A, B: factored.linear(value_of(B).mT * 0.0 + 0.7, baselines.product(A, B)),
        (6, 2),
        (5, 2),
    ),
    "add": (ops.add, (4, 3), (3,)),
    "add along the middle": (ops.add, (4, 3, 2), (3, 1)),
    "relu": (ops.relu, (4, 3)),
    "tanh": (ops.tanh, (4, 3)),
    "sigmoid": (ops.sigmoid, (4, 3)),
    "gelu": (ops.gelu, (4, 3)),
    "multiply": (lambda x: ops.multiply(x, value_of(x) * 0.0 + 1.5), (4, 3)),
    "log_softmax": (ops.log_softmax, (4, 3)),
    "max_pool": (lambda x: pooling.max_pool(x, 2), (3, 2, 5, 4)),
    "max_pool that overlaps": (lambda x: pooling.max_pool(x, 3, 2), (3, 2, 7, 5)),
    "average_pool": (lambda x: pooling.average_pool(x, 2), (3, 2, 5, 4)),
    "average_pool that overlaps": (lambda x: pooling.average_pool(x, 3, 1), (3, 2, 4, 5)),
    "global_average_pool": (pooling.global_average_pool, (3, 2, 4, 5)),
    "subsample": (lambda x: pooling.subsample(x, 2, 5), (3, 2, 4, 5)),
    "batch_norm": (lambda x, a, b: batch_norm(x, a, b, *moments(value_of(x)), of_batch=True), (5, 3, 2, 2), (3,), (3,)),
    "batch_norm of rows": (
        lambda x, a, b: batch_norm(x, a, b, *moments(value_of(x)), of_batch=True),
        (5, 3),
        (3,),
        (3,),
    ),
    "batch_norm by constants": (
        lambda x, a, b: batch_norm(x, a, b, value_of(a) * 0.0 + 0.5, value_of(a) * 0.0 + 2.0, of_batch=False),
        (5, 3, 2, 2),
        (3,),
        (3,),
    ),
    "reshape": (lambda x: ops.reshape(x, (2, -1)), (4, 3)),
    "softmax_cross_entropy": (lambda x: ops.softmax_cross_entropy(x, LABELS), (4, 3)),
    "mean_square": (ops.mean_square, (4, 3), (4, 3)),
}


def test_every_rule_has_a_case():
    assert {name.split()[0] for name in CASES} == set(RULES)


@pytest.mark.parametrize("rule", CASES)
def test_rule_is_the_adjoint_of_the_derivative(rule, backend, monkeypatch):
    """The vjp satisfies <w, J v> = <J* w, v>, with J v by central differences."""
    monkeypatch.setitem(globals(), "LABELS", send(backend, [2, 0, 1, 1], "int64"))
    operation, *shapes = CASES[rule]
    rng = default_rng(7)
    inputs, directions = [_draw(rng, s, backend) for s in shapes], [_draw(rng, s, backend) for s in shapes]
    tape = Tape()
    variables = [tape.variable(x) for x in inputs]
    output = operation(*variables)
    w = normal(rng, output.value.shape, backend)
    cotangents = tape.gradient(output, variables, w)

    ahead, behind = (
        operation(*(x + sign * STEP * v for x, v in zip(inputs, directions, strict=True))) for sign in (1.0, -1.0)
    )
    expected = _dot(w, ahead - behind) / (2 * STEP)
    actual = math.fsum(_dot(c, v) for c, v in zip(cotangents, directions, strict=True))
    assert actual == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("rule", CASES)
def test_rule_gives_each_cotangent_alone(rule, backend, monkeypatch):
    """With the other inputs constant a cotangent is what it is among the others."""
    monkeypatch.setitem(globals(), "LABELS", send(backend, [2, 0, 1, 1], "int64"))
    operation, *shapes = CASES[rule]
    inputs = [_draw(default_rng(k), s, backend) for k, s in enumerate(shapes)]

    def cotangents(wanted):
        tape = Tape()
        mixed = [tape.variable(x) if i in wanted else x for i, x in enumerate(inputs)]
        output = operation(*mixed)
        return tape.gradient(output, [mixed[i] for i in wanted], backend.xp.ones_like(output.value))

    together = cotangents(range(len(inputs)))
    for i, expected in enumerate(together):
        (alone,) = cotangents([i])
        assert_array(_full(alone), to_host(_full(expected)), backend, rtol=1e-14)


def test_second_use_accumulates(backend):
    rng = default_rng(0)
    x, y = normal(rng, (3, 3), backend), normal(rng, (3, 3), backend)
    tape = Tape()
    v = tape.variable(x)
    out = ops.add(ops.matmul(v, y), ops.tanh(v))
    (gradient,) = tape.gradient(out, [v], backend.xp.ones_like(x))
    ones = to_host(backend.xp.ones_like(x))
    assert_array(gradient, ones @ to_host(y).T + 1 - to_host(backend.xp.tanh(x)) ** 2, backend, rtol=1e-13)


def test_operand_used_twice_in_one_operation(backend):
    x = normal(default_rng(0), (3, 3), backend)
    tape = Tape()
    v = tape.variable(x)
    (gradient,) = tape.gradient(ops.matmul(v, v), [v], backend.xp.ones_like(x))
    ones, a = to_host(backend.xp.ones_like(x)), to_host(x)
    assert_array(gradient, ones @ a.T + a.T @ ones, backend, rtol=1e-13)


def test_gradient_for_an_inner_value(backend):
    x = normal(default_rng(0), (3, 2), backend)
    tape = Tape()
    inner = ops.relu(tape.variable(x))
    (gradient,) = tape.gradient(ops.tanh(inner), [inner], backend.xp.ones_like(x))
    assert_array(gradient, 1 - to_host(backend.xp.tanh(inner.value)) ** 2, backend, rtol=1e-14)


def test_unused_variable_has_no_cotangent(backend):
    tape = Tape()
    used, unused = (tape.variable(normal(default_rng(k), (2, 2), backend)) for k in range(2))
    out = ops.relu(used)
    assert tape.gradient(out, [unused], backend.xp.ones_like(out.value)) == [None]


def test_values_without_variables_are_not_recorded(backend):
    x = normal(default_rng(0), (2, 2), backend)
    assert not isinstance(ops.relu(x), Var)


def test_inputs_of_two_tapes_are_refused(backend):
    a, b = (Tape().variable(normal(default_rng(k), (2, 2), backend)) for k in range(2))
    with pytest.raises(ValueError, match="matmul: the inputs are recorded on different tapes"):
        ops.matmul(a, b)


def test_a_rule_is_defined_once():
    with pytest.raises(ValueError, match="'relu' is already defined"):
        autodiff.define("relu", *RULES["relu"])


@pytest.mark.parametrize(
    ("call", "shapes"),
    [
        (ops.matmul, ((2, 3), (4, 5))),
        (ops.linear, ((2, 3), (3, 4))),
        (ops.add, ((2, 3), (2,))),
        (ops.add, ((3,), (2, 3))),
        (ops.multiply, ((2, 3), (3,))),
        (lambda x, c: batch_norm(x, c, c, c, c, of_batch=True), ((2, 3), (2,))),
        (lambda x, W: conv2d(x, W, 3), ((2, 3, 5, 5), (4, 18))),
        (ops.mean_square, ((2, 3), (2, 4))),
        (ops.softmax_cross_entropy, ((2, 3), (4,))),
        (lambda a, b: ops.reshape(a, (4, 5)), ((2, 3), (4, 5))),
    ],
)
def test_shapes_that_do_not_fit_are_named(call, shapes, backend):
    a, b = (backend.xp.zeros(shape, dtype=backend.xp.float64, device=backend.device) for shape in shapes)
    with pytest.raises(ValueError, match=r"^[a-z_]+.*: the shapes \(.*\) and \(.*\) do not fit") as caught:
        call(a, b)
    assert str(shapes[0]) in str(caught.value)
    assert str(shapes[1]) in str(caught.value)


def test_cross_entropy_of_huge_logits_is_finite(backend):
    logits = send(backend, [[1e4, 0.0], [-1e4, 0.0]], "float32")
    labels = send(backend, [1, 1], "int64")
    tape = Tape()
    v = tape.variable(logits)
    loss = ops.softmax_cross_entropy(v, labels)
    (gradient,) = tape.gradient(loss, [v], backend.xp.ones_like(loss.value))
    assert float(loss.value) == pytest.approx(5e3)
    assert_array(gradient, [[0.5, -0.5], [0.0, 0.0]], backend, "float32", atol=1e-7)


def _draw(rng, shape, backend):
    if len(shape) == 2 and isinstance(shape[0], tuple):
        (m, n), r = shape
        return LowRank(normal(rng, (m, r), backend), normal(rng, (r, r), backend), normal(rng, (n, r), backend))
    return normal(rng, shape, backend)


def _full(x):
    return x.full() if hasattr(x, "full") else x


def _dot(a, b):
    return float((to_host(_full(a)) * to_host(_full(b))).sum())
