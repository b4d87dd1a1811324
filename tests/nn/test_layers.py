"""Layers, models, initial weights and parameter counts."""

import math

import numpy as np
import pytest

from matode._array import default_rng, get_backend, normal, to_host
from matode.lowrank import LowRank
from matode.protocols import State
from nn import Flatten, Linear, ReLU, Sequential, Tanh, count_parameters, mlp
from nn.initial import he, he_low_rank
from nn.parameters import ranks
from tests.backends import assert_array, assert_at_home

SIZES = (784, 500, 500, 500, 500, 10)


def test_low_rank_start_has_the_norm_of_the_dense_one(backend):
    for m, n in ((40, 30), (30, 200), (160, 40)):
        W = he_low_rank(m, n, 6, rng=0, backend=backend, dtype="float64")
        assert np.linalg.norm(to_host(W.to_dense())) == pytest.approx(math.sqrt(2 * m), rel=1e-12)
        for basis in (W.U, W.V):
            np.testing.assert_allclose(to_host(basis.mT @ basis), np.eye(6), atol=1e-13)


def test_dense_start_has_variance_two_over_inputs():
    W = he(300, 500, rng=0, backend=get_backend(), dtype="float64")
    assert W.std() == pytest.approx(math.sqrt(2 / 500), rel=0.01)
    assert np.linalg.norm(W) == pytest.approx(math.sqrt(2 * 300), rel=0.01)


def test_core_of_the_start_is_generic():
    """Neither diagonal nor orthogonal: nothing downstream may count on it."""
    S = he_low_rank(50, 40, 8, rng=0, backend=get_backend(), dtype="float64").S
    assert np.linalg.norm(S - np.diag(np.diag(S))) > 0.5 * np.linalg.norm(S)
    s = np.linalg.svd(S, compute_uv=False)
    assert s[0] > 2 * s[-1]


@pytest.mark.parametrize("rank", [None, 20])
def test_signal_at_the_start_does_not_depend_on_the_width(rank):
    """A deep network of any width keeps the size of the signal within a small factor."""
    sizes = {}
    for width in (64, 256):
        model = mlp((width, width, width, width, 10), rank=rank)
        Y = model.init(default_rng(0), get_backend(), "float64")
        x = normal(default_rng(1), (50, width), get_backend())
        sizes[width] = float(np.std(model.forward(Y, x)))
    assert 0.3 < sizes[64] / sizes[256] < 3
    assert 0.2 < sizes[256] < 5


def test_blocks_are_at_home(backend):
    model = mlp((12, 9, 8, 3), rank=(4, None, 2))
    Y = model.init(default_rng(0), backend, "float32")
    assert isinstance(Y, State)
    assert [type(block) is LowRank for block in Y] == [True, False, False, False, True, False]
    for block in Y:
        for array in (block.U, block.S, block.V) if isinstance(block, LowRank) else (block,):
            assert_at_home(array, backend, "float32")
    assert [tuple(block.shape) for block in Y] == [(9, 12), (9,), (8, 9), (8,), (3, 8), (3,)]
    assert ranks(Y) == (4, 2)


def test_the_same_seed_gives_the_same_blocks_on_every_backend(backend):
    model = mlp((12, 9, 3), rank=4)
    here, there = (model.init(default_rng(5), b, "float32") for b in (backend, get_backend()))
    for a, b in zip(here, there, strict=True):
        if isinstance(a, LowRank):
            for x, y in ((a.U, b.U), (a.S, b.S), (a.V, b.V)):
                assert_array(x, y, backend, rtol=1e-6)
        else:
            assert_array(a, b, backend, rtol=1e-6)


def test_forward_of_each_layer(backend):
    x = normal(default_rng(0), (5, 2, 3), backend)
    a = to_host(x)
    assert_array(Flatten().forward((), x), a.reshape(5, 6), backend)
    assert_array(ReLU().forward((), x), np.maximum(a, 0), backend)
    assert_array(Tanh().forward((), x), np.tanh(a), backend, rtol=1e-14)
    layer = Linear(6, 4, 2)
    W, _ = layer.init(default_rng(0), backend, "float64")
    b = normal(default_rng(1), (4,), backend)
    expected = a.reshape(5, 6) @ to_host(W.to_dense()).T + to_host(b)
    assert_array(layer.forward((W, b), Flatten().forward((), x)), expected, backend, rtol=1e-12)
    bare = Linear(6, 4, bias=False)
    assert bare.n_blocks == len(bare.init(default_rng(0), backend)) == 1


def test_the_five_layer_network_of_the_paper():
    """Parameter counts of the low-rank network: r (m + n) in evaluation, 2 r (m + n) + 4 r^2 in training."""
    model = mlp(SIZES, rank=(100, 90, 80, 70, None))
    Y = model.init(default_rng(0), get_backend())
    pairs = ((1284, 100), (1000, 90), (1000, 80), (1000, 70))
    dense_part = 5000 + 2010
    counts = count_parameters(Y)
    assert counts.evaluation == sum(r * s for s, r in pairs) + dense_part
    assert counts.training == sum(2 * r * s + 4 * r * r for s, r in pairs) + dense_part
    assert counts.dense == 784 * 500 + 3 * 500 * 500 + dense_part
    assert counts.compression == pytest.approx(1 - counts.evaluation / counts.dense)
    assert count_parameters(Y, biases=False).dense == counts.dense - 2010


def test_int_rank_leaves_the_head_dense():
    assert ranks(mlp(SIZES, rank=7).init(default_rng(0), get_backend())) == (7, 7, 7, 7)
    assert ranks(mlp(SIZES).init(default_rng(0), get_backend())) == ()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(4, 3, 5), r"Linear\(4, 3\): the rank must be between 1 and 3, got 5"),
        (lambda: Linear(4, 3, 0), r"Linear\(4, 3\): the rank must be between 1 and 3, got 0"),
        (lambda: Linear(0, 3), r"Linear\(0, 3\): the numbers of features must be positive"),
        (lambda: mlp((4,)), r"mlp: expected the sizes"),
        (lambda: mlp((4, 3, 2), rank=(1,)), r"mlp: expected 2 ranks, one per layer, got 1"),
    ],
)
def test_descriptions_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_shape_errors_name_the_layer_and_both_shapes(backend):
    model = mlp((6, 4, 3), rank=2)
    Y = model.init(default_rng(0), backend, "float64")
    with pytest.raises(ValueError, match=r"Linear\(6, 4\): expected an input of shape \(batch, 6\), got \(2, 5\)"):
        model.forward(Y, normal(default_rng(0), (2, 5), backend))
    with pytest.raises(ValueError, match=r"the layers own 4 blocks, got 3"):
        model.forward(Y[:3], normal(default_rng(0), (2, 6), backend))
    swapped = (Y[2], Y[1], Y[0], Y[3])
    with pytest.raises(ValueError, match=r"Linear\(6, 4\): expected a weight of shape \(4, 6\), got \(3, 4\)"):
        model.forward(swapped, normal(default_rng(0), (2, 6), backend))


def test_sequential_nests(backend):
    x = normal(default_rng(0), (2, 6), backend)
    flat = Sequential(Linear(6, 5), ReLU(), Linear(5, 3))
    nested = Sequential(Sequential(Linear(6, 5), ReLU()), Linear(5, 3))
    Y = flat.init(default_rng(0), backend, "float64")
    assert_array(nested.forward(Y, x), to_host(flat.forward(Y, x)), backend)
