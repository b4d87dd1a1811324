"""The compiled passes of convolutions give what the plain ones give, bit for bit; other arrays are left to NumPy."""

import os
import subprocess
import sys
from pathlib import Path

import array_api_strict
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matode._array import default_rng, get_backend
from matode.evaluations import Lazy
from matode.integrators import AugmentedBUG
from matode.lowrank import LowRank
from matode.protocols import State
from matode.substeps import euler
from matode.truncation import Relative
from nn import GradientFlow, compiled, lenet5, patches
from nn.autodiff import RULES
from nn.conv import _largest, _spread

ROOT = Path(__file__).parent.parent.parent
ONE_BAND, NARROW_BANDS = 10**9, 1


@pytest.fixture
def both_ways(monkeypatch):
    """Call a function once with the compiled passes, however small the batch is, and once without."""
    numba = pytest.importorskip("numba", reason="Numba is not installed: pip install 'matode[fast]'")
    if numba.config.DISABLE_JIT:
        pytest.skip("NUMBA_DISABLE_JIT is set")
    monkeypatch.setattr(patches, "_SHORTEST", 1)
    monkeypatch.setattr(patches, "_NARROWEST", 1)

    def call(function, *arguments):
        fast = function(*arguments)
        with monkeypatch.context() as without:
            without.setattr(compiled, "_compiled", lambda: None)
            return fast, function(*arguments)

    return call


@st.composite
def convolutions(draw):
    """Give an input, a weight, the geometry, and a cotangent: with ties, NaN and infinity, in any order in memory."""
    kernel, stride, padding, pool = (draw(st.integers(*ends)) for ends in ((1, 3), (1, 3), (0, 1), (1, 3)))
    channels, outputs, batch = draw(st.integers(1, 3)), draw(st.integers(1, 5)), draw(st.sampled_from([1, 2, 5, 19]))
    side = max(kernel + (pool - 1) * stride - 2 * padding, 1)
    height, width = (side + draw(st.integers(0, 7)) for _ in range(2))
    dtype = draw(st.sampled_from(["float32", "float32", "float64", "float16"]))
    rng = default_rng(draw(st.integers(0, 2**16)))
    x = rng.integers(-1, 2, (batch, channels, height, width)).astype(dtype) if draw(st.booleans()) else None
    x = rng.standard_normal((batch, channels, height, width)).astype(dtype) if x is None else x
    for value in draw(st.sampled_from([(), (np.nan,), (np.nan, np.inf, -np.inf)])):
        x[tuple(rng.integers(x.shape))] = value
    rank = draw(st.sampled_from([None, 1, min(outputs, channels * kernel**2)]))
    shapes = [(outputs, rank), (rank, rank), (channels * kernel**2, rank)]
    whole = rng.integers(-1, 2, (outputs, channels * kernel**2)).astype(dtype)
    W = whole if rank is None else LowRank(*(rng.standard_normal(shape).astype(dtype) for shape in shapes))
    grid = [((n + 2 * padding - kernel) // stride + 1) // pool for n in (height, width)]
    other = draw(st.sampled_from([dtype, dtype, "float32", "float64", "float16"]))
    d = rng.standard_normal((batch, outputs, *grid)).astype(other)
    d[0, 0, 0, 0] = draw(st.sampled_from([1.0, np.nan, np.inf]))
    orders = draw(st.tuples(*[st.sampled_from(["first", "last", "gaps", "read-only"])] * 2))
    return _laid_out(x, orders[0]), W, (kernel, stride, padding, pool), _laid_out(d, orders[1])


def _laid_out(x, order):
    if order == "last":
        return np.transpose(np.ascontiguousarray(np.transpose(x, (1, 2, 3, 0))), (3, 0, 1, 2))
    if order == "gaps":
        wide = np.zeros((*x.shape[:3], 2 * x.shape[3]), x.dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    x = x.copy()
    x.flags.writeable = order != "read-only"
    return x


def _results(x, W, geometry, d):
    """Return the value, also where nothing is kept, the cotangent of x, and the gradient with its actions."""
    options = dict(zip(("kernel", "stride", "padding", "pool"), geometry, strict=True))
    y, saved = RULES["conv2d"].forward(x, W, keep=True, **options)
    again, _ = RULES["conv2d"].forward(x, W, keep=False, **options)
    dx, dW = RULES["conv2d"].vjp(d, saved, (True, True))
    if not isinstance(dW, Lazy):
        return y, again, dx, dW
    return y, again, dx, dW.full(), dW.right(W.V), dW.left(W.U), dW.galerkin(W.U, W.V)


def _assert_same(fast, plain):
    for a, b in zip(fast, plain, strict=True):
        assert type(a) is np.ndarray
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("band", [ONE_BAND, NARROW_BANDS])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=convolutions())
def test_convolutions_are_the_same(case, band, both_ways, monkeypatch):
    monkeypatch.setattr(patches, "_BAND", band)
    _assert_same(*both_ways(_results, *case))


@given(st.integers(0, 2**16), st.integers(2, 9), st.integers(1, 3), st.integers(1, 4), st.sampled_from(["f4", "f8"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_largest_values_are_the_same(both_ways, seed, places, m, rows, dtype):
    """With ties and NaN in some places: what is larger than NaN does not count, and NaN stays."""
    rng = default_rng(seed)
    parts = rng.choice(np.array([-1.0, 0.0, 1.0, 2.0, np.inf, np.nan], dtype), (places, m, 5 * rows))
    d = rng.standard_normal((m, rows + 2, 5)).astype(dtype)

    def results():
        y, band = np.zeros_like(d), slice(2, 2 + rows)
        where = _largest(parts, True, y, band)
        without = np.zeros_like(d)
        assert _largest(parts, False, without, band) is None
        return y, without, _spread(d, band, where, places)

    _assert_same(*both_ways(results))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pools_of_more_places_than_a_small_integer_tells(dtype, both_ways):
    """289 places: the last of them has the largest value."""
    x = np.arange(2 * 17**2, dtype=dtype).reshape(2, 1, 17, 17)
    fast, plain = both_ways(_results, x, np.ones((1, 1), dtype), (1, 1, 0, 17), np.ones((2, 1, 1, 1), dtype))
    _assert_same(fast, plain)
    assert fast[2].sum() == fast[2][:, 0, -1, -1].sum() == 2


def test_training_is_the_same(both_ways):
    """Two steps of LeNet5, in single precision."""
    x, labels = default_rng(0).standard_normal((16, 1, 16, 16)).astype("float32"), np.arange(16) % 3
    model = lenet5((7, 9, 5, None), image=(1, 16, 16), classes=3)

    def trained():
        Y = model.init(default_rng(1), get_backend())
        for _ in range(2):
            Y = State(AugmentedBUG(euler, Relative(0.1)).step(GradientFlow(model, x, labels), 0.0, 0.05, Y).Y)
        return [part for y in Y for part in ((y.U, y.S, y.V) if isinstance(y, LowRank) else (y,))]

    _assert_same(*both_ways(trained))


def test_the_passes_are_compiled(both_ways, monkeypatch):
    """All of them are called, else the tests would compare results with themselves; no gaps in memory reach them."""
    called, passes = set(), compiled._compiled()

    def noting(name, function):
        return lambda *arguments: called.add(name) or function(*arguments)

    noted = compiled.Kernels(**{name: noting(name, function) for name, function in passes._asdict().items()})
    monkeypatch.setattr(compiled, "_compiled", lambda: noted)
    x, d = (_laid_out(np.ones(shape), "gaps") for shape in ((2, 1, 6, 6), (2, 3, 2, 2)))
    both_ways(_results, x, np.ones((3, 9)), (3, 1, 0, 2), d)
    assert called == set(compiled.Kernels._fields)
    arguments = [argument for function in passes for signature in function.signatures for argument in signature]
    assert {argument.layout for argument in arguments if hasattr(argument, "layout")} == {"C"}


def test_short_batches_are_left_to_numpy():
    assert not patches.Patches(np.ones((patches._SHORTEST - 1, 1, 4, 4)), 3).compiled


def test_windows_that_are_the_image_stay_where_they_are(both_ways):
    """Also with gaps in memory, in which products round otherwise."""
    x = _laid_out(default_rng(0).standard_normal((20, 3, 2, 2)), "gaps")[:1]
    for images in both_ways(lambda: patches.Patches(x, 1).windows(slice(0, 2))):
        assert np.shares_memory(images, x)


def test_other_arrays_are_left_to_their_libraries(both_ways):
    x = np.ones(3)
    assert compiled.kernels(x, x) is not None
    assert compiled.kernels(x.astype("float32")) is not None
    for dtype in ("float16", "longdouble", "complex128", "int64", "bool", x.dtype.newbyteorder()):
        assert compiled.kernels(x.astype(dtype)) is None
    assert compiled.kernels(x, x.astype("float32")) is None
    assert compiled.kernels(x.view(np.recarray)) is None
    assert compiled.kernels(array_api_strict.ones(3)) is None


@pytest.mark.parametrize(
    ("before", "variables"),
    [("sys.modules['numba'] = None", {}), ("import numba", {"NUMBA_DISABLE_JIT": "1"})],
    ids=["not installed", "NUMBA_DISABLE_JIT"],
)
def test_without_numba_all_is_left_to_numpy(before, variables):
    if variables:
        pytest.importorskip("numba", reason="Numba is not installed: pip install 'matode[fast]'")
    script = f"""
import sys
{before}
import numpy as np
from nn import compiled
from nn.conv import conv2d
assert compiled.kernels(np.ones(3)) is None
print(conv2d(np.ones((20, 1, 4, 4)), np.ones((1, 9)), 3, pool=2).sum())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "180.0\n"


def test_compiles_where_nothing_can_be_written(both_ways, monkeypatch):
    """Numba then refuses to keep what it compiles for the next process."""
    numba = pytest.importorskip("numba")
    njit = numba.njit

    def refusing(*, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function '_largest': no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", refusing)
    passes = compiled._compiled.__wrapped__()
    y = np.zeros((1, 1, 2))
    passes.largest(np.array([[[1.0, 2.0]], [[3.0, 1.0]]]), y, None, 0)
    np.testing.assert_array_equal(y, [[[3.0, 2.0]]])
