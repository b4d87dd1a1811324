"""Convolutions: values and gradients against another library, their actions, dtype, memory."""

import tracemalloc

import numpy as np
import pytest

from matode._array import default_rng, get_backend, normal, to_host
from matode.evaluations import DenseEvaluation, foreseeing
from matode.integrators import AugmentedBUG
from matode.lowrank import LowRank
from matode.protocols import State
from matode.substeps import euler
from matode.truncation import Relative
from nn import Conv2d, Flatten, GradientFlow, Linear, ReLU, Sequential, lenet5, patches
from nn.autodiff import RULES, Tape, masked
from nn.conv import FilterGradient, conv2d
from nn.optim import HeavyBall
from nn.patches import Patches, batch_first, batch_last
from nn.pooling import max_pool
from tests.backends import assert_array, assert_at_home, send

# kernel, stride, padding, pool, and the size of the images: some do not divide evenly
GEOMETRIES = [
    (3, 1, 0, 1, (6, 5)),
    (3, 2, 1, 1, (7, 6)),
    (5, 1, 0, 2, (9, 8)),
    (2, 2, 1, 2, (8, 9)),
    (1, 1, 0, 1, (3, 4)),
]
IDS = [f"k{k}-s{s}-p{p}-q{q}" for k, s, p, q, _ in GEOMETRIES]


@pytest.mark.parametrize(("kernel", "stride", "padding", "pool", "size"), GEOMETRIES, ids=IDS)
@pytest.mark.parametrize("rank", [None, 2])
def test_values_and_gradients_against_torch(kernel, stride, padding, pool, size, rank, torch):
    rng = default_rng(0)
    x, W = rng.standard_normal((3, 2, *size)), _weight(rng, 4, 2 * kernel**2, rank, get_backend())
    tape = Tape()
    v, w = tape.variable(x), tape.variable(W)
    y = conv2d(v, w, kernel, stride=stride, padding=padding, pool=pool)
    d = rng.standard_normal(y.value.shape)
    dx, dW = tape.gradient(y, [v, w], d)

    a = torch.tensor(x, requires_grad=True)
    b = torch.tensor(W if rank is None else W.to_dense(), requires_grad=True)
    z = torch.nn.functional.conv2d(a, b.reshape(4, 2, kernel, kernel), stride=stride, padding=padding)
    z = torch.nn.functional.max_pool2d(z, pool)
    z.backward(torch.tensor(d))
    for ours, theirs in ((y.value, z.detach()), (dx, a.grad), (dW if rank is None else dW.full(), b.grad)):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12, atol=1e-13)


def test_products_with_the_patches(backend):
    """Products with filters, weighted sums and what is put back in place are those of the explicit patches."""
    rng = default_rng(1)
    close = {"rtol": 1e-12, "atol": 1e-12}
    for kernel, stride, padding, pool, size in GEOMETRIES:
        x = normal(rng, (3, 2, *size), backend)
        patches = Patches(x, kernel, stride, padding, pool)
        explicit = _explicit(to_host(x), kernel, stride, padding, pool)
        features, windows = explicit.shape[1:]
        for m in (3, 0):
            B, Z = normal(rng, (m, features), backend), normal(rng, (pool**2, m, windows), backend)
            filters = patches.shifted(B)
            parts = [patches.product(filters, band) for band in patches.bands]
            assert_array(backend.xp.concat(parts, axis=2), to_host(B) @ explicit, backend, **close)
            assert sum(part.shape[2] for part in parts) == windows
            stops = [band.stop * patches.grid[1] for band in patches.bands]
            split = [Z[:, :, i:j] for i, j in zip([0, *stops], stops, strict=False)]
            expected = (to_host(Z) @ explicit.transpose(0, 2, 1)).sum(0)
            assert_array(patches.weighted(split), expected, backend, **close)
        B, Z = normal(rng, (3, features), backend), normal(rng, (pool**2, 3, windows), backend)
        images = patches.zeros(B)
        for band, start in zip(patches.bands, [0, *stops], strict=False):
            patches.scatter(images, patches.shifted(B), Z[:, :, start : band.stop * patches.grid[1]], band)
        probe = rng.standard_normal((3, 2, *size))
        forth = (to_host(B) @ _explicit(probe, kernel, stride, padding, pool) * to_host(Z)).sum()
        assert (probe * to_host(patches.joined(images))).sum() == pytest.approx(forth, rel=1e-11)


@pytest.mark.parametrize(("r", "kind"), [(1, FilterGradient), (3, DenseEvaluation)])
def test_gradient_of_a_low_rank_filter_bank_is_known_by_its_actions(r, kind, backend):
    """It is known by its actions, or dense where it is smaller than the factors of an augmented step."""
    rng = default_rng(2)
    x, W = normal(rng, (3, 2, 8, 8), backend), _weight(rng, 6, 18, r, backend)
    tape = Tape()
    w = tape.variable(W)
    y = conv2d(x, w, 3, pool=2)
    (gradient,) = tape.gradient(y, [w], normal(rng, y.value.shape, backend))
    assert type(gradient) is kind
    G = to_host(gradient.full())
    U, V = normal(rng, (6, 4), backend), normal(rng, (18, 2), backend)
    close = {"rtol": 1e-11, "atol": 1e-11}
    for left, right in ((U, V), (W.U, W.V)):
        assert_array(gradient.right(right), G @ to_host(right), backend, **close)
        assert_array(gradient.left(left), G.T @ to_host(left), backend, **close)
        assert_array(gradient.galerkin(left, right), to_host(left).T @ G @ to_host(right), backend, **close)
    told = foreseeing(gradient, U)
    for _ in range(2):  # before and after left
        assert_array(told.galerkin(U, V), to_host(U).T @ G @ to_host(V), backend, **close)
        assert_array(told.galerkin(W.U, V), to_host(W.U).T @ G @ to_host(V), backend, **close)
        assert_array(told.left(W.U), G.T @ to_host(W.U), backend, **close)
    assert_array((2.0 * gradient).right(V), 2 * G @ to_host(V), backend, **close)
    assert_array((gradient @ V).full(), G @ to_host(V), backend, **close)
    assert_array(gradient.__rmatmul__(U.mT).full(), to_host(U).T @ G, backend, **close)
    assert_array((2.0 * gradient).left(W.U), 2 * G.T @ to_host(W.U), backend, **close)


@pytest.mark.parametrize("fused", [True, False])
def test_pools_keep_the_first_of_equal_values(fused, backend):
    """Also where all values are equal the cotangent goes to one place, as a whole."""
    x = send(backend, np.ones((1, 1, 4, 4)))
    W = send(backend, np.ones((1, 1)))
    tape = Tape()
    v = tape.variable(x)
    y = conv2d(v, W, 1, pool=2) if fused else max_pool(v, 2)
    (dx,) = tape.gradient(y, [v], send(backend, [[[[1.0, 2.0], [3.0, 4.0]]]]))
    expected = np.zeros((4, 4))
    expected[::2, ::2] = [[1, 2], [3, 4]]
    assert_array(dx, expected[None, None], backend)


@pytest.mark.parametrize("pool", [2, 3])
def test_fused_pools_break_ties_as_others_do(pool, backend):
    """Values with many ties: each cotangent goes to the first of the largest, in the order of rows."""
    rng = default_rng(3)
    x, d = rng.integers(0, 3, (4, 2, 6, 6)), rng.standard_normal((4, 2, 6 // pool, 6 // pool))
    gradients = []
    for of in (lambda v, W: conv2d(v, W, 1, pool=pool), lambda v, W: max_pool(v, pool)):
        tape = Tape()
        v = tape.variable(send(backend, x.astype(float)))
        gradients += tape.gradient(
            of(v, backend.xp.eye(2, dtype=v.value.dtype, device=backend.device)), [v], send(backend, d)
        )
    squares = x.reshape(4, 2, 6 // pool, pool, 6 // pool, pool).transpose(0, 1, 2, 4, 3, 5)
    first = squares.reshape(*squares.shape[:4], -1).argmax(-1)
    expected = (
        (np.eye(pool**2)[first] * d[..., None]).reshape(squares.shape).transpose(0, 1, 2, 4, 3, 5).reshape(x.shape)
    )
    for gradient in gradients:
        assert_array(gradient, expected, backend)


@pytest.mark.parametrize("method", [lambda inner: inner, HeavyBall])
@pytest.mark.parametrize(("outputs", "passes"), [(4, ["forward", "backward"]), (9, ["forward", "F* [U, U1]"])])
def test_patches_are_passed_over_twice(outputs, passes, method, backend, monkeypatch):
    """K-, L- and S-step share the products with V, and those with [U, U1] or the dense gradient where it is small."""
    seen = []
    windows = Patches.windows
    monkeypatch.setattr(Patches, "windows", lambda self, band: seen.append(band) or windows(self, band))
    model = Sequential(Conv2d(1, outputs, 3, 2), ReLU(), Flatten(), Linear(4 * outputs, 3))
    Y = model.init(default_rng(0), backend, "float64")
    flow = GradientFlow(model, normal(default_rng(1), (5, 1, 4, 4), backend), send(backend, [0, 1, 2, 0, 1], "int64"))
    method(AugmentedBUG(euler, Relative(0.1))).step(flow, 0.0, 0.1, Y)
    assert len(seen) == len(passes)


def test_a_window_is_made_of_few_pieces():
    """Nine instead of thirty-six for a 5 x 5 kernel and pools of 2 x 2; single pixels where the sides do not divide."""
    x = np.ones((1, 1, 9, 9))
    for geometry, count in (((5, 1, 0, 2), 9), ((3, 1, 1, 1), 9), ((3, 2, 1, 1), 9), ((2, 2, 0, 1), 1)):
        assert len(list(Patches(x, *geometry)._pieces(slice(0, 1)))) == count


def test_without_variables_nothing_is_kept_for_gradients():
    """Neither the product with V nor where the largest values are."""
    rng = default_rng(0)
    x, W = rng.standard_normal((2, 2, 6, 6)), _weight(rng, 6, 18, 1, get_backend())
    kept = {}
    for keep in (True, False):
        _, (_, _, x_V, masks) = RULES["conv2d"].forward(x, W, kernel=3, stride=1, padding=0, pool=2, keep=keep)
        kept[keep] = (bool(x_V), [part is not None for part in masks])
    assert kept == {True: (True, [True]), False: (False, [False])}


@pytest.mark.parametrize("rank", [None, 1, 3])
def test_bands_change_nothing(rank, backend, monkeypatch):
    """Row by row, in pairs of rows, and all at once give the same."""

    def results(band):
        monkeypatch.setattr(patches, "_BAND", band)
        monkeypatch.setattr(patches, "_NARROWEST", 1)
        rng = default_rng(5)
        x, W = normal(rng, (2, 2, 12, 5), backend), _weight(rng, 6, 18, rank, backend)
        tape = Tape()
        v, w = tape.variable(x), tape.variable(W)
        y = conv2d(v, w, 3, padding=1, pool=2)
        dx, dW = tape.gradient(y, [v, w], normal(rng, y.value.shape, backend))
        actions = [dW]
        if rank is not None:
            U, V = normal(rng, (6, 2), backend), normal(rng, (18, 2), backend)
            actions = [dW.full(), dW.right(V), dW.left(U), dW.galerkin(U, V), dW.galerkin(W.U, W.V)]
        return len(Patches(x, 3, 1, 1, 2, 6).bands), (y.value, dx, *actions)

    whole, expected = results(10**9)
    assert whole == 1
    for size, count in ((1, 6), (4 * 2 * 32, 3)):
        bands, actual = results(size)
        assert bands == count
        for a, b in zip(actual, expected, strict=True):
            assert_array(a, to_host(b), backend, rtol=1e-12, atol=1e-12)


def test_a_step_keeps_single_precision(backend):
    model = Sequential(Conv2d(2, 3, 3, 2, padding=1, pool=2), ReLU(), Conv2d(3, 4, 1), Flatten(), Linear(4 * 9, 3))
    Y = model.init(default_rng(0), backend, "float32")
    flow = GradientFlow(model, normal(default_rng(1), (4, 2, 6, 6), backend, "float32"), send(backend, [0, 1, 2, 0]))
    step = AugmentedBUG(euler, Relative(0.1)).step(flow, 0.0, 0.1, Y)
    for f, block, y in zip(flow(0.0, Y), Y, step.Y, strict=True):
        assert_at_home(f.full(), backend, "float32")
        assert tuple(f.shape) == tuple(block.shape)
        assert_at_home(y.V if isinstance(y, LowRank) else y, backend, "float32")


def test_lenet5_descends(backend):
    model = lenet5(4, image=(1, 16, 16), classes=3)
    Y, flow = model.init(default_rng(0), backend, "float32"), None
    x, labels = normal(default_rng(1), (6, 1, 16, 16), backend, "float32"), send(backend, [0, 1, 2, 2, 1, 0], "int64")
    flow = GradientFlow(model, x, labels)
    for _ in range(8):
        Y = State(AugmentedBUG(euler, Relative(0.1)).step(flow, 0.0, 0.05, Y).Y)
    assert flow.losses[-1] < 0.7 * flow.losses[0]


def test_memory_stays_far_below_the_matrix_of_patches():
    """A step of a convolution asks for less than a quarter of the matrix of its patches."""
    model = Sequential(Conv2d(8, 6, 5, 2, pool=2), Flatten(), Linear(6 * 22 * 22, 2, 2))
    Y = model.init(default_rng(0), get_backend(), "float32")
    x = np.ones((16, 8, 48, 48), dtype=np.float32)
    tracemalloc.start()
    try:
        flow = GradientFlow(model, x, np.zeros(16, dtype=np.int64))
        AugmentedBUG(euler, Relative(0.1)).step(flow, 0.0, 0.1, Y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.25 * (16 * 44 * 44) * (8 * 5 * 5) * 4


def test_views_of_the_batch(backend):
    x = normal(default_rng(0), (2, 3, 4, 5), backend)
    assert tuple(batch_last(x).shape) == (3, 4, 5, 2)
    assert_array(batch_first(batch_last(x)), to_host(x), backend)


def test_masked(backend):
    x = send(backend, [1.5, -2.0, 3.0], "float32")
    assert_array(masked(x, x > 0), [1.5, 0.0, 3.0], backend, "float32")
    both = backend.xp.stack([x > 0, x < 0])
    assert_array(masked(x[None, :], both), [[1.5, 0.0, 3.0], [0.0, -2.0, 0.0]], backend, "float32")
    assert_array(x, [1.5, -2.0, 3.0], backend, "float32")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2d(1, 20, 5, 21), r"Conv2d\(1, 20, 5\): the rank must be between 1 and 20, got 21"),
        (lambda: Conv2d(1, 20, 5, "all"), r"Conv2d\(1, 20, 5\): the rank must be a number, None or 'full', got 'all'"),
        (lambda: Conv2d(0, 20, 5), r"Conv2d\(0, 20, 5\): the numbers of channels must be positive"),
        (lambda: Conv2d(1, 2, 3, stride=0), r"kernel, stride and pool must be positive .* got 3, 0, 1 and 0"),
        (lambda: lenet5(image=(1, 8, 8)), r"lenet5: the images must be at least 16 x 16, got 8 x 8"),
        (lambda: lenet5((1, 2)), r"lenet5: expected 4 ranks, one per layer, got 2"),
    ],
)
def test_descriptions_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_shape_errors_name_the_layer_and_both_shapes(backend):
    layer = Conv2d(2, 3, 3)
    blocks = layer.init(default_rng(0), backend, "float64")
    for shape, message in (
        (
            (4, 1, 5, 5),
            r"Conv2d\(2, 3, 3\): expected an input of .*\(batch, 2, height, width\), got \(4, 1, 5, 5\)",
        ),
        ((4, 2, 2, 5), r"Conv2d\(2, 3, 3\): expected images of at least 3 x 3, got \(4, 2, 2, 5\)"),
    ):
        with pytest.raises(ValueError, match=message):
            layer.forward(blocks, normal(default_rng(0), shape, backend))
    with pytest.raises(ValueError, match=r"expected a weight of shape \(3, 18\), got \(3,\)"):
        layer.forward(blocks[::-1], normal(default_rng(0), (4, 2, 5, 5), backend))
    with pytest.raises(ValueError, match="images of 2 x 5 are too small for a 3 x 3 kernel"):
        conv2d(normal(default_rng(0), (4, 2, 2, 5), backend), blocks[0], 3)


def test_full_rank_is_the_smaller_side():
    W, _ = Conv2d(2, 3, 3, "full").init(default_rng(0), get_backend())
    assert (W.rank, W.shape) == (3, (3, 18))


def _explicit(x, kernel, stride, padding, pool):
    """Return the patches of images on the host, (places of a pool, inputs k k, windows)."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    patches = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(2, 3))[:, :, ::stride, ::stride]
    rows, columns = (n // pool for n in patches.shape[2:4])
    places = (
        patches[:, :, i : i + rows * pool : pool, j : j + columns * pool : pool]
        for i in range(pool)
        for j in range(pool)
    )
    return np.stack([p.transpose(1, 4, 5, 2, 3, 0).reshape(-1, rows * columns * len(x)) for p in places])


def _weight(rng, m, n, rank, backend):
    if rank is None:
        return normal(rng, (m, n), backend)
    return LowRank(normal(rng, (m, rank), backend), normal(rng, (rank, rank), backend), normal(rng, (n, rank), backend))
