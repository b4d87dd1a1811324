"""Gradient flow of a network: values, gradients, cost and memory."""

import tracemalloc

import numpy as np
import pytest

from matode._array import default_rng, get_backend, normal, to_host
from matode.integrators import BUG, KSL, AugmentedBUG
from matode.lowrank import LowRank
from matode.protocols import NonFiniteError, State
from matode.substeps import euler, heun
from matode.truncation import Relative
from nn import Flatten, GradientFlow, Linear, Sequential, Tanh, cross_entropy, mlp, mse
from nn.factored import Outer
from tests.backends import assert_at_home, send

BATCH = 6
MODEL = mlp((8, 7, 9, 4), rank=(3, 4, None), activation=Tanh())


@pytest.fixture
def flow(backend):
    x = normal(default_rng(1), (BATCH, 1, 2, 4), backend)
    return GradientFlow(MODEL, x, send(backend, [0, 1, 2, 3, 3, 1], "int64"))


@pytest.fixture
def start(backend):
    Y = MODEL.init(default_rng(0), backend, "float64")
    return State(
        y if isinstance(y, LowRank) else y + 0.1 * normal(default_rng(i), y.shape, backend) for i, y in enumerate(Y)
    )


def test_field_is_minus_the_gradient(flow, start, backend):
    value, gradient = flow.value_and_gradient(start)
    assert flow.losses == []
    field = flow(0.0, start)
    assert flow.losses == [value]
    for block, f, g in zip(start, field, gradient, strict=True):
        assert tuple(f.shape) == tuple(block.shape)
        assert_at_home(f.full(), backend, "float64")
        np.testing.assert_allclose(to_host(f.full()), -to_host(g.full()), rtol=1e-13)


def test_gradient_against_central_differences(flow, start, backend):
    _, gradient = flow.value_and_gradient(start)
    step = 1e-6
    for i, (block, g) in enumerate(zip(start, gradient, strict=True)):
        rng = default_rng(10 + i)
        if isinstance(block, LowRank):
            (m, n), r = block.shape, 2
            v = LowRank(normal(rng, (m, r), backend), normal(rng, (r, r), backend), normal(rng, (n, r), backend))
            dense = v.to_dense()
        else:
            v = dense = normal(rng, block.shape, backend)
        ahead, behind = (
            flow.value_and_gradient((*start[:i], block + s * step * v, *start[i + 1 :]))[0] for s in (1.0, -1.0)
        )
        expected = (ahead - behind) / (2 * step)
        assert (to_host(g.full()) * to_host(dense)).sum() == pytest.approx(expected, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_gradient_against_torch(loss, torch):
    """The same network by another library's automatic differentiation, with every weight dense."""
    rng = default_rng(0)
    model = mlp((12, 10, 11, 5), rank=(4, 3, None))
    Y = model.init(rng, get_backend(), "float64")
    Y = State(y if isinstance(y, LowRank) else y + 0.1 * rng.standard_normal(y.shape) for y in Y)
    x = rng.standard_normal((BATCH, 12))
    targets = rng.integers(0, 5, BATCH) if loss == "cross_entropy" else rng.standard_normal((BATCH, 5))
    value, gradient = GradientFlow(
        model, x, targets, {"cross_entropy": cross_entropy, "mse": mse}[loss]
    ).value_and_gradient(Y)

    weights = [torch.tensor(y.to_dense() if isinstance(y, LowRank) else y, requires_grad=True) for y in Y]
    z = torch.tensor(x)
    for k in range(0, 6, 2):
        z = torch.nn.functional.linear(z, weights[k], weights[k + 1])
        z = torch.relu(z) if k < 4 else z
    reference = torch.nn.functional.cross_entropy if loss == "cross_entropy" else torch.nn.functional.mse_loss
    oracle = reference(z, torch.tensor(targets))
    oracle.backward()
    assert value == pytest.approx(float(oracle.detach()), rel=1e-13)
    for g, w in zip(gradient, weights, strict=True):
        np.testing.assert_allclose(g.full(), w.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_low_rank_blocks_get_factored_gradients(flow, start):
    for block, f in zip(start, flow(0.0, start), strict=True):
        assert isinstance(f, Outer) == isinstance(block, LowRank)


def test_unused_block_has_a_zero_gradient(backend):
    class Headless(Sequential):
        """Owns blocks that the output does not depend on."""

        def forward(self, blocks, x):
            return self.layers[0].forward(blocks[:2], x)

    model = Headless(Linear(4, 3), Linear(3, 2, 2))
    Y = model.init(default_rng(0), backend, "float64")
    field = GradientFlow(model, normal(default_rng(1), (2, 4), backend), send(backend, [0, 1], "int64"))(0.0, Y)
    for block, f in zip(Y[2:], field[2:], strict=True):
        np.testing.assert_array_equal(to_host(f.full()), np.zeros(block.shape))
    np.testing.assert_array_equal(to_host(field[2].galerkin(Y[2].U, Y[2].V)), np.zeros((2, 2)))


def test_non_finite_loss_is_refused(flow, start):
    broken = State((*start[:-1], start[-1] * float("nan")))
    with pytest.raises(NonFiniteError, match="the loss is nan"):
        flow(0.0, broken)


def test_one_pass_per_rank_adaptive_step_with_euler(flow, start):
    AugmentedBUG(euler, Relative(0.1)).step(flow, 0.0, 0.1, start, None)
    assert len(flow.losses) == 1


def test_more_passes_with_a_higher_substep(flow, start):
    """Heun shares the first stage of the three moves: one pass, and one more for each of them."""
    AugmentedBUG(heun, Relative(0.1)).step(flow, 0.0, 0.1, start, None)
    assert len(flow.losses) == 4


@pytest.mark.parametrize(
    "integrator", [AugmentedBUG(euler, Relative(1e-12)), BUG(euler), KSL(euler)], ids=lambda i: type(i).__name__
)
def test_integrators_descend(integrator, flow, start, backend):
    Y, memory = start, None
    for _ in range(30):
        step = integrator.step(flow, 0.0, 0.05, Y, memory)
        Y, memory = State(step.Y), step.memory
    assert flow.value_and_gradient(Y)[0] < 0.8 * flow.losses[0]
    for block in Y:
        assert_at_home(block.U if isinstance(block, LowRank) else block, backend, "float64")


def test_dense_network_moves_by_gradient_descent(backend):
    """With Euler substeps any integrator moves dense blocks by h times minus the gradient."""
    model = mlp((8, 5, 3))
    Y = model.init(default_rng(0), backend, "float64")
    flow = GradientFlow(model, normal(default_rng(1), (4, 8), backend), send(backend, [0, 1, 2, 0], "int64"))
    _, gradient = flow.value_and_gradient(Y)
    moved = AugmentedBUG(euler, Relative(0.1)).step(flow, 0.0, 0.25, Y, None).Y
    for before, g, after in zip(Y, gradient, moved, strict=True):
        np.testing.assert_allclose(to_host(after), to_host(before) - 0.25 * to_host(g.full()), rtol=1e-13)


def test_no_array_of_the_size_of_the_weight_is_made():
    """Start, forward pass, backward pass and a rank-adaptive step stay far below one m x n array."""
    m, n = 1500, 1600
    tracemalloc.start()
    try:
        model = Sequential(Flatten(), Linear(n, m, 4), Tanh(), Linear(m, 3, 2))
        Y = model.init(default_rng(0), get_backend(), "float32")
        flow = GradientFlow(model, np.ones((8, n), dtype=np.float32), np.zeros(8, dtype=np.int64))
        AugmentedBUG(euler, Relative(0.1)).step(flow, 0.0, 0.1, Y, None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < m * n * 4 / 8
