"""A double of CuPy that runs on NumPy and checks every call against the real library.

``import cupy`` works without a GPU, allocation does not. So the double looks every name up in the real
``array_api_compat.cupy``, binds the arguments of each call to the real signature, and only then lets NumPy compute.
Its arrays keep the rules of ``cupy.ndarray``: no implicit conversion to NumPy, no NumPy array as an operand, no use of
a 0-d array as an index, 0-d arrays where NumPy gives scalars, and CuPy's rule for who handles a mixed operator.

What it can show: misspelt or missing functions, wrong or positional-only arguments, hidden transfers between host and
device, mixing of libraries. What it cannot show: numerics of the kernels, speed, memory, streams, and cuSOLVER's
behaviour. It is stricter than CuPy in one way: its arrays have none of the methods that the array-API standard lacks
(``x.sum()``, ``x.copy()``, ...), nor DLPack.
"""

from __future__ import annotations

import inspect
import operator
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import array_api_compat.cupy as real
import array_api_compat.numpy as host_xp
import numpy as np

__all__ = ["Array", "Device", "xp"]


@dataclass(frozen=True)
class Device:
    """The double of ``cupy.cuda.Device``."""

    id: int = 0


DEVICE = Device()


class Array:
    """The double of ``cupy.ndarray``: a NumPy array that pretends to be out of the host's reach."""

    __array_priority__ = 100
    __slots__ = ("_data",)

    def __init__(self, data: np.ndarray) -> None:
        self._data = data

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return xp

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("a CuPy array is never converted to NumPy implicitly: use .get()")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            return NotImplemented
        return _wrap(ufunc(*map(_operand, inputs)))

    # The host side: every transfer is visible.

    def get(self) -> np.ndarray:
        return self._data.copy()

    def item(self) -> Any:
        return self._data.item()

    def tolist(self) -> Any:
        return self._data.tolist()

    def __bool__(self) -> bool:
        return bool(self._data)

    def __int__(self) -> int:
        return int(self._data)

    def __float__(self) -> float:
        return float(self._data)

    def __complex__(self) -> complex:
        return complex(self._data)

    def __repr__(self) -> str:
        return repr(self._data)

    # What needs no transfer.

    device = property(lambda self: DEVICE)
    dtype = property(lambda self: self._data.dtype)
    imag = property(lambda self: Array(self._data.imag))
    mT = property(lambda self: Array(self._data.mT))  # noqa: N815
    nbytes = property(lambda self: self._data.nbytes)
    ndim = property(lambda self: self._data.ndim)
    real = property(lambda self: Array(self._data.real))
    shape = property(lambda self: self._data.shape)
    size = property(lambda self: self._data.size)
    T = property(lambda self: Array(self._data.T))

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Any:
        return map(_wrap, self._data)

    def __getitem__(self, key: Any) -> Array:
        return _wrap(self._data[_unwrap(key)])

    def __setitem__(self, key: Any, value: Any) -> None:
        self._data[_unwrap(key)] = _operand(value)

    def __copy__(self) -> Array:
        return Array(self._data.copy())

    def __deepcopy__(self, memo: Any) -> Array:
        return Array(self._data.copy())


def _operand(value: Any) -> Any:
    """Return what CuPy would compute with: an array of its own, or a number."""
    if isinstance(value, Array):
        return value._data
    if isinstance(value, bool | int | float | complex | np.generic):
        return value
    raise TypeError(f"unsupported type {type(value)}: CuPy computes with its own arrays and with numbers only")


def _yields_to(other: Any) -> bool:
    """CuPy's rule for leaving a mixed operator to the other operand (see NEP 13)."""
    try:
        return other.__array_ufunc__ is None
    except AttributeError:
        return getattr(other, "__array_priority__", 0) > Array.__array_priority__


def _add_operators() -> None:
    def binary(op: Callable[..., Any]) -> Callable[..., Any]:
        def forward(self: Array, other: Any) -> Any:
            if not isinstance(other, Array) and _yields_to(other):
                return NotImplemented
            return _wrap(op(self._data, _operand(other)))

        return forward

    def reflected(op: Callable[..., Any]) -> Callable[..., Any]:
        def backward(self: Array, other: Any) -> Any:
            if _yields_to(other):
                return NotImplemented
            return _wrap(op(_operand(other), self._data))

        return backward

    def in_place(op: Callable[..., Any]) -> Callable[..., Any]:
        def change(self: Array, other: Any) -> Array:
            self._data = op(self._data, _operand(other))
            return self

        return change

    def unary(op: Callable[..., Any]) -> Callable[..., Any]:
        return lambda self: _wrap(op(self._data))

    for name in ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor"):
        short = name.rstrip("_")
        setattr(Array, f"__{short}__", binary(getattr(operator, name)))
        setattr(Array, f"__r{short}__", reflected(getattr(operator, name)))
        if name != "matmul":
            setattr(Array, f"__i{short}__", in_place(getattr(operator, f"i{short}")))
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(Array, f"__{name}__", binary(getattr(operator, name)))
    for name in ("neg", "pos", "abs", "invert"):
        setattr(Array, f"__{name}__", unary(getattr(operator, name)))
    Array.__hash__ = None  # type: ignore[assignment]


_add_operators()


def _wrap(value: Any) -> Any:
    """Take a result of NumPy to the double's side; also inside a (named) tuple or a list."""
    if isinstance(value, np.ndarray | np.generic):
        return Array(np.asarray(value))
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_wrap, value))
    if isinstance(value, tuple | list):
        return type(value)(map(_wrap, value))
    return value


def _unwrap(value: Any) -> Any:
    """Take an argument to NumPy's side, and refuse the host's own arrays."""
    if isinstance(value, Array):
        return value._data
    if isinstance(value, np.ndarray):
        raise TypeError("CuPy does not take NumPy arrays: transfer with xp.asarray(..., device=...)")
    if isinstance(value, tuple | list):
        return type(value)(map(_unwrap, value))
    return value


class _Info:
    """The double of CuPy's ``__array_namespace_info__()``: NumPy's, but for the devices."""

    def default_device(self) -> Device:
        return DEVICE

    def devices(self) -> list[Device]:
        return [DEVICE]

    def __getattr__(self, name: str) -> Any:
        inquiry = getattr(host_xp.__array_namespace_info__(), name)
        return lambda *, device=None, **kwargs: inquiry(**kwargs)


TAKES_SEQUENCES = frozenset("asarray broadcast_shapes concat empty full isdtype ones result_type stack zeros".split())
TAKES_HOST_ARRAYS = frozenset(["asarray"])


class _Namespace:
    """A namespace whose names and signatures are the real library's and whose results are NumPy's."""

    def __init__(self, name: str, real_module: Any, host_module: Any) -> None:
        self.__name__ = name
        self._real = real_module
        self._host = host_module

    def __repr__(self) -> str:
        return f"<{self.__name__}>"

    def __getattr__(self, name: str) -> Any:
        real_object = getattr(self._real, name)  # AttributeError where CuPy has no such name
        if name == "__array_namespace_info__":
            return _Info
        if name.startswith("__") or not hasattr(self._host, name):
            raise AttributeError(f"the CuPy double has no {name!r}: it is CuPy's own, outside the array-API standard")
        host_object = getattr(self._host, name)
        if isinstance(real_object, types.ModuleType):
            if name not in ("linalg", "fft"):
                raise AttributeError(f"the CuPy double has no {name!r}: it is outside the array-API standard")
            return _Namespace(f"{self.__name__}.{name}", real_object, host_object)
        if isinstance(real_object, type) or not callable(real_object):
            return host_object
        return _checked(name, real_object, host_object)


def _checked(name: str, real_function: Any, host_function: Any) -> Callable[..., Any]:
    """Return ``host_function`` behind the checks of ``real_function``'s signature."""

    def call(*args: Any, **kwargs: Any) -> Any:
        _bind(name, real_function, args, kwargs)
        if args and isinstance(args[0], tuple | list) and name not in TAKES_SEQUENCES:
            raise TypeError(f"CuPy's {name} takes an array, not a {type(args[0]).__name__}")
        device = kwargs.pop("device", None)
        if device not in (None, DEVICE):
            raise ValueError(f"{device!r} is not a CuPy device")
        if name in TAKES_HOST_ARRAYS and isinstance(args[0], np.ndarray):
            kwargs["copy"] = True
            return _wrap(host_function(*args, **kwargs))
        return _wrap(host_function(*map(_unwrap, args), **{key: _unwrap(value) for key, value in kwargs.items()}))

    call.__name__ = name
    return call


def _bind(name: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raise a TypeError where the arguments do not fit the real function."""
    if hasattr(function, "nin"):  # a ufunc, which exposes no signature
        if len(args) != function.nin or kwargs:
            raise TypeError(f"{name} takes {function.nin} positional arguments and nothing else")
        return
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"CuPy's {name}{inspect.signature(function)}: {error}") from None


xp = _Namespace("cupy_double", real, host_xp)
