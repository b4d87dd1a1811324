"""Pooling, batch normalisation, dropout, residual sums: against another library, and what one step sees of them."""

import numpy as np
import pytest

from matode._array import default_rng, get_backend, normal, to_host
from matode.integrators import BUG, AugmentedBUG
from matode.lowrank import LowRank
from matode.protocols import State
from matode.substeps import euler
from matode.truncation import Relative
from nn import (
    GELU,
    AveragePool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAveragePool,
    GradientFlow,
    Linear,
    MaxPool2d,
    Pass,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Subsample,
    Tanh,
    initial_buffers,
)
from nn import ops as operations
from tests.backends import assert_array, assert_at_home, send

NET = Sequential(
    Conv2d(2, 4, 3, 2, padding=1, bias=False),
    BatchNorm(4),
    GELU(),
    MaxPool2d(3, 2),
    Residual(Sequential(Conv2d(4, 6, 3, stride=2, padding=1), BatchNorm(6), Tanh()), Subsample(2, 6)),
    Residual(Sequential(Conv2d(6, 6, 1, 3), Sigmoid())),
    AveragePool2d(2),
    Flatten(),
    Linear(6, 5),
    BatchNorm(5),
    Residual(Linear(5, 5, 2)),
)
SIZE = (2, 10, 9)
LABELS = [0, 1, 2, 3, 4, 1]


def _as_torch(torch, layer, blocks, z):
    """Apply a layer by torch's own functions, with batch statistics."""
    f = torch.nn.functional
    match layer:
        case Sequential():
            start = 0
            for part in layer:
                z = _as_torch(torch, part, blocks[start : start + part.n_blocks], z)
                start += part.n_blocks
            return z
        case Residual():
            n = layer.body.n_blocks
            shortcut = z if layer.shortcut is None else _as_torch(torch, layer.shortcut, blocks[n:], z)
            return _as_torch(torch, layer.body, blocks[:n], z) + shortcut
        case Conv2d():
            weight = blocks[0].reshape(layer.outputs, layer.inputs, layer.kernel, layer.kernel)
            z = f.conv2d(z, weight, blocks[1] if layer.bias else None, layer.stride, layer.padding)
            return f.max_pool2d(z, layer.pool)
        case Linear():
            return f.linear(z, *blocks)
        case BatchNorm():
            return f.batch_norm(z, None, None, *blocks, training=True, eps=layer.eps)
        case Subsample():
            z = z[:, :, :: layer.stride, :: layer.stride]
            return f.pad(z, (0, 0, 0, 0, 0, layer.channels - z.shape[1]))
        case MaxPool2d():
            return f.max_pool2d(z, layer.size, layer.stride)
        case AveragePool2d():
            return f.avg_pool2d(z, layer.size, layer.stride)
        case GlobalAveragePool():
            return z.mean((2, 3))
        case GELU():
            return f.gelu(z, approximate="tanh")
        case Flatten():
            return z.flatten(1)
        case Sigmoid():
            return torch.sigmoid(z)
        case Tanh():
            return torch.tanh(z)
    raise AssertionError(layer)


def _generic(model, rng):
    """Weights, biases, scales and shifts without zeros and ones, in double precision on the host."""
    Y = model.init(rng, get_backend(), "float64")
    return State(y if isinstance(y, LowRank) else y + 0.1 * rng.standard_normal(y.shape) for y in Y)


def test_gradient_of_a_net_of_all_layers_against_torch(torch):
    rng = default_rng(0)
    Y = _generic(NET, rng)
    x, labels = rng.standard_normal((6, *SIZE)), np.asarray(LABELS)
    flow = GradientFlow(NET, x, labels, buffers=NET.buffers(get_backend(), "float64"))
    value, gradient = flow.value_and_gradient(Y)
    weights = [torch.tensor(y.to_dense() if isinstance(y, LowRank) else y, requires_grad=True) for y in Y]
    loss = torch.nn.functional.cross_entropy(_as_torch(torch, NET, weights, torch.tensor(x)), torch.tensor(labels))
    loss.backward()
    assert value == pytest.approx(float(loss.detach()), rel=1e-12)
    for g, w in zip(gradient, weights, strict=True):
        np.testing.assert_allclose(g.full(), w.grad.numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", ["sigmoid", "gelu", "log_softmax"])
def test_operations_against_torch(name, torch):
    x = np.linspace(-900, 900, 42).reshape(6, 7)
    oracle = {
        "sigmoid": torch.sigmoid,
        "gelu": lambda z: torch.nn.functional.gelu(z, approximate="tanh"),
        "log_softmax": lambda z: torch.log_softmax(z, 1),
    }[name](torch.tensor(x))
    np.testing.assert_allclose(getattr(operations, name)(x), oracle.numpy(), rtol=1e-12, atol=1e-14)


def test_layers_without_weights(backend):
    """Each gives what its name says, in the dtype of its input."""
    x = normal(default_rng(0), (2, 3, 4, 5), backend, "float32")
    a = to_host(x)
    close = {"rtol": 1e-5, "atol": 1e-6}
    quarters = np.stack([a[:, :, i:4:2, j:4:2] for i in (0, 1) for j in (0, 1)])
    for layer, expected in (
        (MaxPool2d(2), quarters.max(0)),
        (AveragePool2d(2), quarters.mean(0)),
        (GlobalAveragePool(), a.mean((2, 3))),
        (Subsample(2, 3), a[:, :, ::2, ::2]),
        (Sigmoid(), 1 / (1 + np.exp(-a))),
        (Residual(Tanh()), np.tanh(a) + a),
        (Residual(Tanh(), ReLU()), np.tanh(a) + np.maximum(a, 0)),
        (Dropout(0.5), a),
    ):
        assert_array(layer.forward((), x), expected, backend, "float32", **close)


def test_running_statistics(backend, torch):
    """They follow the batches as torch's do, and evaluation normalises by them."""
    rng = default_rng(3)
    layer = BatchNorm(3)
    blocks = [normal(rng, (3,), backend, "float32") for _ in range(2)]
    module = torch.nn.BatchNorm2d(3)
    with torch.no_grad():
        module.weight.copy_(torch.tensor(to_host(blocks[0])))
        module.bias.copy_(torch.tensor(to_host(blocks[1])))
    buffers = layer.buffers(backend)
    for _ in range(3):
        x = 2.0 * normal(rng, (4, 3, 2, 2), backend, "float32") + 1.0
        context = Pass(buffers, train=True)
        y = layer.forward(blocks, x, context)
        buffers = context.updated
        close = {"rtol": 1e-5, "atol": 1e-5}
        assert_array(y, module(torch.tensor(to_host(x))).detach().numpy(), backend, "float32", **close)
    for ours, theirs in zip(buffers, (module.running_mean, module.running_var), strict=True):
        assert_array(ours, theirs.numpy(), backend, "float32", rtol=1e-5)
    still = Pass(buffers)
    expected = module.eval()(torch.tensor(to_host(x))).detach().numpy()
    assert_array(layer.forward(blocks, x, still), expected, backend, "float32", **close)
    for before, after in zip(buffers, still.updated, strict=True):
        assert after is before


def test_a_step_updates_the_statistics_once(backend):
    """BUG evaluates the network at several weights; the batch counts once, as it was seen at the start of the step."""
    model = Sequential(Conv2d(1, 3, 3, 2), BatchNorm(3), ReLU(), Flatten(), Linear(12, 3, 2))
    Y = model.init(default_rng(0), backend, "float64")
    x = normal(default_rng(1), (5, 1, 4, 4), backend)
    buffers = model.buffers(backend, "float64")
    flow = GradientFlow(model, x, send(backend, [0, 1, 2, 0, 1], "int64"), buffers=buffers)
    BUG(euler).step(flow, 0.0, 0.1, Y)
    assert len(flow.losses) > 1
    context = Pass(buffers, train=True)
    model.forward(Y, x, context)
    for once, expected in zip(flow.updated, context.updated, strict=True):
        assert_array(once, to_host(expected), backend)
        assert_at_home(once, backend, "float64")
    assert initial_buffers(Linear(2, 2), backend) == ()


def test_all_evaluations_of_a_step_draw_the_same_masks(backend):
    model = Sequential(Dropout(0.5), Linear(8, 6, 2), Dropout(0.25), Linear(6, 3))
    Y = model.init(default_rng(0), backend, "float64")
    x, labels = normal(default_rng(1), (5, 8), backend), send(backend, [0, 1, 2, 0, 1], "int64")

    def loss(seed):
        return GradientFlow(model, x, labels, seed=seed).value_and_gradient(Y)[0]

    flow = GradientFlow(model, x, labels, seed=(1, 2))
    assert flow.value_and_gradient(Y)[0] == flow.value_and_gradient(Y)[0] == loss((1, 2))
    assert len({loss(1), loss(2), loss((1, 3)), loss(None)}) == 4
    step = AugmentedBUG(euler, Relative(0.1)).step(flow, 0.0, 1e-3, Y)
    assert GradientFlow(model, x, labels, seed=(1, 2)).value_and_gradient(step.Y)[0] < flow.losses[0]


def test_masks_keep_the_mean_and_differ_from_place_to_place(backend):
    x = backend.xp.ones((200, 50), dtype=backend.xp.float32, device=backend.device)
    context = Pass(train=True, seed=4)
    first, second = (to_host(Dropout(0.2).forward((), x, context)) for _ in range(2))
    assert set(np.unique(first)) == {np.float32(0), np.float32(1.25)}
    assert first.mean() == pytest.approx(1, abs=0.02)
    assert (first != second).mean() == pytest.approx(0.32, abs=0.03)
    again = Dropout(0.2).forward((), x, Pass(train=True, seed=4))
    assert_array(again, first, backend, "float32")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x: MaxPool2d(3).forward((), x),
            r"MaxPool2d\(3\): expected images of at least 3 x 3, got \(2, 3, 2, 2\)",
        ),
        (lambda x: AveragePool2d(2).forward((), x[0, ...]), r"AveragePool2d\(2\): .*, got \(3, 2, 2\)"),
        (lambda x: Subsample(1, 2).forward((), x), r"at most 2 channels, got \(2, 3, 2, 2\)"),
        (lambda x: GlobalAveragePool().forward((), x[0, ...]), r"expected images .*, got \(3, 2, 2\)"),
        (lambda x: BatchNorm(4).forward((x, x), x), r"BatchNorm\(4\): .* \(batch, 4, ...\), got \(2, 3, 2, 2\)"),
        (lambda x: BatchNorm(3).forward((x, x), x), r"BatchNorm\(3\): there are no running statistics; pass them as"),
        (lambda x: BatchNorm(3).forward((x, x), x, Pass((x,))), r"the pass has 1 .* needs numbers 1 to 2"),
        (lambda x: BatchNorm(3).forward((x, x), x[:1, :, 0, 0], Pass((x, x), train=True)), r"two values per channel"),
        (lambda x: Residual(Subsample(1, 4)).forward((), x), r"the shape \(2, 4, 2, 2\) and .* \(2, 3, 2, 2\)"),
        (lambda x: Residual(Linear(3, 3)).forward((), x), r"Residual: the layers own 2 blocks, got 0"),
        (lambda x: BatchNorm(0), r"BatchNorm\(0\): the number of channels must be positive"),
        (lambda x: Dropout(1.0), r"Dropout: the rate must be at least 0 and below 1, got 1.0"),
        (lambda x: MaxPool2d(0), r"MaxPool2d\(0\): size and stride must be positive"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.ones((2, 3, 2, 2)))
