"""The backends that tests run on: one list, one place that says how to get each, and the assertion they share."""

from __future__ import annotations

import importlib.util
import types
from collections.abc import Callable
from enum import Enum
from functools import cache, wraps
from typing import Any

import array_api_compat.numpy
import numpy as np

from matode import _array
from matode._array import Backend


class Name(Enum):
    """Every backend, in the order in which tests run."""

    NUMPY = "numpy"
    NUMPY_READONLY = "numpy-readonly"
    STRICT = "array-api-strict"
    TORCH = "torch"
    CUPY_DOUBLE = "cupy-double"
    CUPY = "cupy"


DEFAULT = tuple(name.value for name in Name if name is not Name.CUPY)
"""What runs unless ``--backend`` says otherwise: everything that needs no GPU."""


class ReadOnlyNumPy:
    """NumPy whose functions return arrays that refuse to be written to: they find hidden mutation.

    Only the arrays differ. What the library computes from them, it computes with plain NumPy.
    """

    def __init__(self, module: Any = array_api_compat.numpy) -> None:
        self._module = module

    def __repr__(self) -> str:
        return f"<read-only {self._module.__name__}>"

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._module, name)
        if isinstance(value, types.ModuleType):
            return ReadOnlyNumPy(value)
        if isinstance(value, type) or not callable(value):
            return value
        return lambda *args, **kwargs: _read_only(value(*args, **kwargs))


def _read_only(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        view = value.view()
        view.flags.writeable = False
        return view
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_read_only, value))
    if isinstance(value, tuple | list):
        return type(value)(map(_read_only, value))
    return value


def _teach_to_defer(array: type) -> None:
    """Let array-api-strict leave mixed operators to operands that ask for them (NEP 13), as other libraries do.

    It raises a TypeError instead of returning NotImplemented, so that ``A @ Y`` would never reach ``Y.__rmatmul__``.
    """

    def deferring(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        @wraps(method)
        def operator(self: Any, other: Any) -> Any:
            return NotImplemented if getattr(other, "__array_ufunc__", self) is None else method(self, other)

        return operator

    for name in ("__add__", "__sub__", "__mul__", "__matmul__", "__truediv__"):
        setattr(array, name, deferring(getattr(array, name)))


@cache
def why_not(name: str) -> str:
    """Return an empty string if the backend can run here, else the reason why it cannot."""
    match Name(name):
        case Name.STRICT if importlib.util.find_spec("array_api_strict") is None:
            return "array-api-strict is not installed: pip install array-api-strict"
        case Name.TORCH if importlib.util.find_spec("torch") is None:
            return "torch is not installed: pip install torch"
        case Name.CUPY_DOUBLE if importlib.util.find_spec("cupy") is None:
            return "CuPy, whose signatures the double checks, is not installed: pip install cupy-cuda13x (needs no GPU)"
        case Name.CUPY:
            return _array.gpu_available()[1]
    return ""


@cache
def get(name: str) -> Backend:
    """Return the backend called ``name``, on a device that is not the library's default where it has two."""
    match Name(name):
        case Name.NUMPY_READONLY:
            return Backend(name, ReadOnlyNumPy(), "cpu")
        case Name.STRICT:
            import array_api_strict

            _teach_to_defer(type(array_api_strict.zeros(1)))
            return Backend(name, array_api_strict, array_api_strict.Device("device1"))
        case Name.TORCH:
            import torch

            torch.set_num_threads(1)
            return _array.get_backend("torch")
        case Name.CUPY_DOUBLE:
            from tests.doubles import cupy_double

            return Backend(name, cupy_double.xp, cupy_double.DEVICE)
    return _array.get_backend(name)


def describe(name: str) -> str:
    """Return one phrase about a backend for the header of a test run."""
    reason = why_not(name)
    if reason:
        return f"{name} (skipped: {reason})"
    match Name(name):
        case Name.STRICT:
            return f"{name} (on device1)"
        case Name.TORCH:
            return f"{name} (CPU, one thread)"
        case Name.CUPY_DOUBLE:
            return f"{name} (CuPy's signatures, NumPy's results: NO GPU CODE IS RUN)"
    return name


def send(backend: Backend, values: Any, dtype: str | None = None) -> Any:
    """Return host ``values`` as an array of ``backend``."""
    host = np.array(values, dtype=dtype)
    return backend.xp.asarray(host, dtype=getattr(backend.xp, host.dtype.name), device=backend.device)


def assert_at_home(x: Any, backend: Backend, dtype: str | None = None) -> None:
    """Assert that ``x`` is an array of ``backend``: its namespace, on its device, and of ``dtype`` where given."""
    assert _array.is_array(x), f"{type(x)} is not an array"
    home = backend.xp.zeros(1, device=backend.device)
    assert _array.namespace(x) is _array.namespace(home), f"{type(x)} does not belong to {backend.name}"
    assert _array.device_of(x) == backend.device, f"on {_array.device_of(x)}, not on {backend.device}"
    if dtype is not None:
        assert x.dtype == getattr(backend.xp, dtype), f"{x.dtype}, not {dtype}"


def assert_array(
    actual: Any, expected: Any, backend: Backend, dtype: str | None = None, *, rtol: float = 0.0, atol: float = 0.0
) -> None:
    """Assert namespace, device, dtype, shape and values of an array. ``expected`` is on the host.

    Without ``dtype`` the dtype of ``expected`` is demanded; without tolerances, equality.
    """
    expected = np.asarray(expected)
    assert_at_home(actual, backend, dtype or expected.dtype.name)
    assert tuple(actual.shape) == expected.shape, f"shape {tuple(actual.shape)}, not {expected.shape}"
    np.testing.assert_allclose(_array.to_host(actual), expected, rtol=rtol, atol=atol)
