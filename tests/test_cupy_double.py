"""The CuPy double keeps CuPy's rules, and finds the mistakes that it is there to find."""

from __future__ import annotations

import array_api_compat
import numpy as np
import pytest
import scipy.sparse

from tests import backends

pytestmark = pytest.mark.needs_backend("cupy-double")


@pytest.fixture
def double():
    return backends.get("cupy-double")


@pytest.fixture
def x(double):
    return backends.send(double, np.arange(6.0).reshape(2, 3))


def test_arrays_have_nothing_that_cupy_arrays_lack(x):
    """``__array_namespace__`` is the one exception: array_api_compat adds it for CuPy."""
    import cupy

    own = set(dir(type(x))) - set(dir(object)) - {"_data", "__array_namespace__"}
    assert own - set(dir(cupy.ndarray)) == set()
    assert not hasattr(type(x), "__index__")
    assert type(x).__array_priority__ == cupy.ndarray.__array_priority__


def test_it_is_an_array_of_the_standard(x, double):
    assert array_api_compat.is_array_api_obj(x)
    assert array_api_compat.array_namespace(x) is double.xp
    assert array_api_compat.device(x) == double.device
    info = double.xp.__array_namespace_info__()
    assert info.devices() == [info.default_device()] == [double.device]
    assert info.default_dtypes(device=double.device)["real floating"] == np.float64


@pytest.mark.parametrize(
    ("mistake", "error", "message"),
    [
        (lambda xp, x: np.asarray(x), TypeError, "implicitly"),
        (lambda xp, x: np.linalg.norm(x), TypeError, "implicitly"),
        (lambda xp, x: x + np.ones((2, 3)), TypeError, "numbers only"),
        (lambda xp, x: np.ones((2, 3)) + x, TypeError, "numbers only"),
        (lambda xp, x: np.ones((3, 2)) @ x, TypeError, "numbers only"),
        (lambda xp, x: scipy.sparse.eye_array(2) @ x, TypeError, "implicitly"),
        (lambda xp, x: xp.matmul(np.ones((3, 2)), x), TypeError, "asarray"),
        (lambda xp, x: xp.concat([x, np.ones((2, 3))]), TypeError, "asarray"),
        (lambda xp, x: x.__setitem__(0, np.ones(3)), TypeError, "numbers only"),
        (lambda xp, x: range(xp.argmax(x)), TypeError, "integer"),
        (lambda xp, x: xp.sum([1.0, 2.0]), TypeError, "not a list"),
        (lambda xp, x: xp.linalg.qr(x, "reduced"), TypeError, "positional"),
        (lambda xp, x: xp.linalg.svd(x, False), TypeError, "positional"),
        (lambda xp, x: xp.sum(x, axes=0), TypeError, "axes"),
        (lambda xp, x: xp.exp(x, x, x), TypeError, "1 positional"),
        (lambda xp, x: xp.zeros(2, device="cpu"), ValueError, "not a CuPy device"),
        (lambda xp, x: xp.linalg.lstsq_(x, x), AttributeError, "lstsq_"),
        (lambda xp, x: xp.linalg.expm(x), AttributeError, "expm"),
        (lambda xp, x: xp.random.normal(), AttributeError, "outside the array-API standard"),
        (lambda xp, x: xp.asnumpy(x), AttributeError, "outside the array-API standard"),
        (lambda xp, x: x.sum(), AttributeError, "sum"),
        (lambda xp, x: np.from_dlpack(x), AttributeError, "dlpack"),
        (lambda xp, x: {x}, TypeError, "unhashable"),
    ],
)
def test_mistakes_are_found(double, x, mistake, error, message):
    with pytest.raises(error, match=message):
        mistake(double.xp, x)


def test_results_are_numpys_on_the_other_side(double, x):
    xp, host = double.xp, np.arange(6.0).reshape(2, 3)
    for actual, expected in (
        (x @ x.mT - 1, host @ host.T - 1),
        (2 / (1 + x), 2 / (1 + host)),
        (np.float64(2) * x, 2 * host),
        (-(abs(x) ** 2), -(host**2)),
        (x[0, 1:], host[0, 1:]),
        (x[0, 0], host[0, 0]),
        (x > 2, host > 2),
        (xp.where(x > 2, x, 0.0), np.where(host > 2, host, 0)),
        (xp.stack([x, x]), np.stack([host, host])),
        (xp.sum(x), host.sum()),
        (xp.max(x, axis=0), host.max(axis=0)),
        (next(iter(x)), host[0]),
        (xp.linalg.svdvals(x), np.linalg.svd(host)[1]),
        (xp.linalg.svd(x, full_matrices=False).Vh, np.linalg.svd(host, full_matrices=False)[2]),
    ):
        backends.assert_array(actual, expected, double, rtol=1e-14)
    assert float(x[1, 2]) == x[1, 2].item() == 5
    assert x.tolist() == host.tolist()
    assert len(x) == 2


def test_writing_goes_through_views_and_never_to_the_host(double):
    source = np.zeros((2, 3))
    x = double.xp.asarray(source, device=double.device)
    x[:, 1:] += 1.0
    x[0, :] = x[1, :] * 2
    backends.assert_array(x, [[0.0, 2, 2], [0, 1, 1]], double)
    assert not source.any()
    x.get()[:] = 7
    backends.assert_array(x, [[0.0, 2, 2], [0, 1, 1]], double)


class Foreign:
    """An operand that wants to handle mixed operators itself."""

    def __rmatmul__(self, other):
        return "ours"

    __rmul__ = __radd__ = __rsub__ = __rmatmul__


class ByUfunc(Foreign):
    __array_ufunc__ = None


class ByPriority(Foreign):
    __array_priority__ = 1000


@pytest.mark.parametrize("other", [ByUfunc(), ByPriority()])
def test_mixed_operators_reach_who_asks_for_them(x, other):
    assert x @ other == x * other == x + other == x - other == "ours"


def test_mixed_operators_are_refused_to_who_does_not_ask(x):
    with pytest.raises(TypeError, match="numbers only"):
        x @ Foreign()
