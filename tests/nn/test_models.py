"""The networks of the literature: sizes, shapes, ranks, parameter counts."""

import numpy as np
import pytest

from matode._array import default_rng, get_backend
from matode.lowrank import LowRank
from matode.protocols import State
from matode.truncation import Rank
from nn import (
    Pass,
    alexnet,
    count_by_layer,
    count_parameters,
    initial_buffers,
    lenet5,
    mlp,
    mlp_of,
    resnet20,
    vgg16,
)
from nn.parameters import ranks

HERE = get_backend()


def _blocks(model):
    return model.init(default_rng(0), HERE)


@pytest.mark.parametrize(
    ("r", "evaluation", "training"),
    [
        ((15, 46, 13, 10), 47_975, None),
        ((13, 31, 9, 10), 34_435, None),
        ((10, 20, 7, 10), 25_650, None),
        ((6, 9, 4, 10), 15_520, None),
        ((7, 15, 39, None), 64_265, 2 * (315 + 8250 + 50_700) + 4 * (49 + 225 + 1521) + 5000),
    ],
)
def test_lenet5_of_the_paper(r, evaluation, training):
    """Table 1: the published ranks give the published numbers of parameters, the head among them with rank 10."""
    model = lenet5(r)
    counts = count_parameters(_blocks(model), biases=False)
    assert counts.dense == 430_500
    assert counts.evaluation == evaluation
    assert counts.compression == pytest.approx(1 - evaluation / 430_500)
    if training is not None:
        assert counts.training == training
        assert counts.training_compression == pytest.approx(1 - training / 430_500)


def test_counts_of_each_layer():
    model = lenet5((7, 15, 40, 5))
    Y = _blocks(model)
    parts = count_by_layer(model, Y)
    assert [name.split("(")[0] for name, _ in parts] == ["Conv2d", "Conv2d", "Linear", "Linear"]
    assert [counts.evaluation for _, counts in parts] == [7 * 45 + 20, 15 * 550 + 50, 40 * 1300 + 500, 5 * 510 + 10]
    assert sum(counts.training for _, counts in parts) == count_parameters(Y).training
    assert sum(counts.dense for _, counts in count_by_layer(model, Y, biases=False)) == 430_500
    nested = resnet20(2)
    assert len(count_by_layer(nested, _blocks(nested))) == 20 + 19
    with pytest.raises(ValueError, match="count_by_layer: the layers own 8 blocks, got 7"):
        count_by_layer(model, Y[:-1])


def test_compression_of_nothing():
    assert count_parameters(()).compression == count_parameters(()).training_compression == 0.0


# dense parameters with biases, scales and shifts; those of VGG16 and ResNet20 are the sums of their published tables
@pytest.mark.parametrize(
    ("make", "layers", "dense"),
    [
        (alexnet, 8, 64 * 28 + 192 * 577 + 384 * 1729 + 256 * (3457 + 2305) + 4096 * (1024 + 4096 + 2) + 10 * 4097),
        (vgg16, 16, 14_710_464 + 2 * 4224 + 4096 * (512 + 4096 + 2) + 10 * 4097),
        (resnet20, 20, 267_696 + 2 * 688 + 650),
    ],
)
def test_nets_for_small_images(make, layers, dense):
    model = make([3] * layers)
    Y = _blocks(model)
    assert ranks(Y) == (3,) * layers
    assert count_parameters(Y).dense == dense
    x = np.linspace(-1, 1, 2 * 3 * 32 * 32, dtype=np.float32).reshape(2, 3, 32, 32)
    context = Pass(initial_buffers(model, HERE), train=True)
    y = model.forward(Y, x, context)
    assert (y.shape, y.dtype) == ((2, 10), np.float32)
    assert np.isfinite(y).all()
    again = model.forward(Y, x, Pass(context.updated))
    assert again.shape == (2, 10)


def test_one_rank_is_for_all_layers_but_the_head():
    assert ranks(_blocks(resnet20(20))) == (16,) * 7 + (20,) * 12
    assert ranks(_blocks(lenet5(30))) == (20, 30, 30)
    assert ranks(_blocks(lenet5("full"))) == (20, 50, 500)
    assert ranks(_blocks(mlp((6, 5, 4, 3), rank="full"))) == (5, 4)
    assert ranks(_blocks(lenet5())) == ()


def test_full_rank_start_holds_any_weight():
    """A network of the largest ranks is a dense one, written in factors."""
    low, dense = mlp((6, 5, 3), rank=("full", "full")), mlp((6, 5, 3))
    Y = State(LowRank.from_dense(y, Rank(min(y.shape))) if y.ndim == 2 else y for y in _blocks(dense))
    x = np.ones((2, 6), dtype=np.float32)
    np.testing.assert_allclose(low.forward(Y, x), dense.forward(_blocks(dense), x), rtol=1e-4)


def test_width_and_depth():
    assert mlp_of(500, 5) == mlp((784, 500, 500, 500, 500, 10))
    assert mlp_of(7, 2, inputs=64, outputs=3, rank=2) == mlp((64, 7, 3), rank=2)
    assert mlp_of(7, 1) == mlp((784, 10))
    with pytest.raises(ValueError, match="mlp_of: expected at least one layer, got a depth of 0"):
        mlp_of(7, 0)
