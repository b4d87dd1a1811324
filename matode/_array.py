"""The only door to array libraries.

Everything else in ``matode`` and ``nn`` is written in the array-API standard and asks this module for what the
standard leaves out: which namespace and device a value belongs to, how to bring it to the host and back, random
numbers that are the same on every backend, and products with operators (dense, SciPy-sparse, ``LinearOperator``).

``host`` is NumPy, for what lives on the host by nature: files, random generators, lists of times and ranks, and the
singular values that decide a rank. It is never used for the values of a solve.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import array_api_compat
import array_api_compat.numpy as _numpy
import numpy as host
from array_api_compat import device as device_of
from array_api_compat import is_array_api_obj as is_array

__all__ = [
    "Array",
    "Backend",
    "accumulated",
    "adjoint",
    "apply",
    "as_dtype",
    "default_rng",
    "device_of",
    "diagonal",
    "eps",
    "eye_like",
    "finite",
    "frobenius",
    "from_host",
    "get_backend",
    "gpu_available",
    "host",
    "is_array",
    "is_complex",
    "is_floating",
    "is_gpu",
    "is_operator",
    "is_scalar",
    "is_sparse",
    "is_sparse_type",
    "joined",
    "largest",
    "mH",
    "matrix_kind",
    "namespace",
    "normal",
    "overflowing",
    "positive",
    "positive_part",
    "scalar",
    "shifted",
    "sparse_operator",
    "store_product",
    "to_host",
    "total",
    "zeros_like_shape",
]

Array = Any
"""An array of any library that follows the array-API standard."""


class Backend(NamedTuple):
    """An array namespace, one of its devices, and its name."""

    name: str
    xp: Any
    device: Any


def namespace(*arrays: Array) -> Any:
    """Return the (compatible) array namespace that all ``arrays`` share."""
    for x in arrays:
        if type(x) is not host.ndarray:
            break
    else:
        if arrays:
            return _numpy  # asked so often that the general answer, 1 us an array, shows in small problems
    return array_api_compat.array_namespace(*arrays)


def get_backend(name: str = "numpy") -> Backend:
    """Return the backend called ``name``: ``"numpy"``, ``"cupy"`` or ``"torch"``.

    Raises
    ------
    ValueError
        If the name is none of these.
    RuntimeError
        If ``"cupy"`` is asked for and no usable GPU is there; the message says why.
    """
    if name == "cupy":
        available, reason = gpu_available()
        if not available:
            raise RuntimeError(reason)
    elif name not in ("numpy", "torch"):
        raise ValueError(f"unknown backend {name!r}: expected 'numpy', 'cupy' or 'torch'")
    xp = importlib.import_module(f"array_api_compat.{name}")
    return Backend(name, xp, device_of(xp.zeros(1)))


def gpu_available() -> tuple[bool, str]:
    """Return whether CuPy can compute on a GPU here, and one sentence that says why not."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError:
        return False, (
            "CuPy is not installed: pip install 'matode[gpu]' (CUDA 13) or 'matode[gpu12]' (CUDA 12) on a machine "
            "with an NVIDIA GPU"
        )
    if not cupy.is_available():
        return False, "CuPy is installed, but it finds no usable NVIDIA GPU or driver on this machine"
    try:
        works = int(cupy.arange(2).sum()) == 1
    except Exception as error:
        return False, f"CuPy finds a GPU but cannot compute on it: {error}"
    return works, "" if works else "CuPy finds a GPU but computes wrong results on it"


def to_host(x: Array) -> host.ndarray:
    """Copy ``x`` to a NumPy array on the host. An explicit transfer: never call it inside an inner loop."""
    if isinstance(x, host.ndarray):
        return x
    if hasattr(x, "get"):  # CuPy
        return host.asarray(x.get())
    if hasattr(x, "detach"):  # torch
        return host.asarray(x.detach().cpu().resolve_conj().resolve_neg().numpy())
    xp = namespace(x)
    return host.asarray(array_api_compat.to_device(x, xp.__array_namespace_info__().default_device()))


def from_host(a: Any, like: Array, dtype: Any = None) -> Array:
    """Copy host data ``a`` to the namespace and device of ``like`` (and to ``dtype``, where it is given)."""
    if type(like) is host.ndarray:
        return host.array(a, dtype=dtype)
    xp = namespace(like)
    return xp.asarray(host.array(a), dtype=dtype, device=device_of(like))


def default_rng(seed: Any = None) -> host.random.Generator:
    """Return a host random generator; the same seed gives the same numbers on every backend."""
    return host.random.default_rng(seed)


def normal(rng: host.random.Generator, shape: Sequence[int], backend: Backend, dtype: str = "float64") -> Array:
    """Draw standard normal numbers on the host and move them to ``backend``.

    A complex dtype gives independent real and imaginary parts, each of variance 1/2.
    """
    values = rng.standard_normal(tuple(shape))
    if dtype.startswith("complex"):
        values = (values + 1j * rng.standard_normal(tuple(shape))) / math.sqrt(2)
    return backend.xp.asarray(values.astype(dtype), device=backend.device)


def is_gpu(x: Array) -> bool:
    """Whether ``x`` lives on a GPU, where small factorisations are better done on the host."""
    return bool(array_api_compat.is_cupy_array(x)) or str(getattr(x, "device", "")).startswith("cuda")


def is_complex(x: Array) -> bool:
    """Whether ``x`` has a complex dtype."""
    return _kind(type(x), x.dtype) == "complex"  # type: ignore[arg-type]


def is_floating(x: Array) -> bool:
    """Whether ``x`` has a real or complex floating-point dtype."""
    return _kind(type(x), x.dtype) in ("float", "complex")  # type: ignore[arg-type]


@cache
def _kind(library: type, dtype: Any) -> str:  # asked in every product: the libraries' own answers take 3 us
    """Return "float", "complex" or "other"; ``library`` only keeps the dtypes of two libraries apart."""
    name = str(dtype)
    return next((kind for kind in ("complex", "float") if kind in name), "other")


def as_dtype(x: Array, dtype: Any) -> Array:
    """Return ``x`` with ``dtype``; the same object when it has it already."""
    if x.dtype == dtype:
        return x
    return x.astype(dtype) if type(x) is host.ndarray else namespace(x).astype(x, dtype)


def eps(x: Array) -> float:
    """Return the unit of rounding of ``x``'s dtype."""
    return _eps(namespace(x), x.dtype)


@cache
def _eps(xp: Any, dtype: Any) -> float:
    return float(xp.finfo(dtype).eps)


def eye_like(k: int, like: Array) -> Array:
    """Return the k x k identity with the dtype and device of ``like``."""
    if type(like) is host.ndarray:
        return host.eye(k, dtype=like.dtype)
    return namespace(like).eye(k, dtype=like.dtype, device=device_of(like))


def zeros_like_shape(shape: Sequence[int], like: Array) -> Array:
    """Return zeros of ``shape`` with the dtype and device of ``like``."""
    if type(like) is host.ndarray:
        return host.zeros(shape, dtype=like.dtype)
    return namespace(like).zeros(tuple(shape), dtype=like.dtype, device=device_of(like))


def mH(x: Array) -> Array:
    """Return the conjugate transpose; a view, without a copy, when ``x`` is real."""
    if type(x) is host.ndarray:
        return x.mT.conj() if x.dtype.kind == "c" else x.mT
    return namespace(x).conj(x.mT) if is_complex(x) else x.mT


def accumulated(made: Array | None, x: Array) -> Array:
    """Return ``made + x``, written into ``made``; x itself where nothing was made yet."""
    if made is None:
        return x
    if x.dtype != made.dtype:
        return made + x
    made += x  # as long as all fit into the cache, the pass for one more new array costs as much as the sum
    return made


def joined(arrays: Sequence[Array], axis: int) -> Array:
    """Return matrices of one dtype put side by side (``axis=1``), or one below the other."""
    if type(arrays[0]) is host.ndarray:
        return host.concatenate(arrays, axis)
    return namespace(*arrays).concat(list(arrays), axis=axis)


def store_product(out: Array, rows: slice, A: Array, B: Array) -> None:
    """Write ``A @ B`` into rows of ``out``, which has its dtype."""
    if type(out) is host.ndarray:
        host.matmul(A, B, out=out[rows])
    else:
        out[rows, :] = A @ B


def total(arrays: Sequence[Array], made: Array | None = None) -> Array:
    """Return the sum of arrays of one shape; only ``made``, and what this function made itself, is written to."""
    if made is None:
        if len(arrays) == 1:
            return arrays[0]
        made, arrays = arrays[0] + arrays[1], arrays[2:]
    for x in arrays:
        made = accumulated(made, x)
    return made


def shifted(x: Array, c: float, y: Array, *, made: bool = False) -> Array:
    """Return ``x + c y`` with one new array, or none where y was ``made`` for it."""
    if made:
        y *= c
    else:
        y = c * y
    if y.dtype != x.dtype:
        return x + y
    y += x
    return y


def positive_part(x: Array) -> Array:
    """Return ``max(x, 0)``, NaN where x is NaN."""
    if type(x) is host.ndarray:
        return host.clip(x, 0.0, math.inf)  # a third of the time that the maximum takes
    return namespace(x).maximum(x, 0.0)


def positive(x: Array, dtype: Any) -> Array:
    """Return 1 where ``x`` is above 0, else 0, as numbers of a dtype."""
    if type(x) is host.ndarray:  # converted piece by piece while it is at hand: truth values would be one pass more
        return host.greater(x, x.dtype.type(0), out=host.empty_like(x, dtype=dtype))
    return as_dtype(x > 0, dtype)


def frobenius(x: Array) -> float:
    """Return the Frobenius norm, in one pass that does not guard against overflow."""
    if type(x) is host.ndarray:
        x = x.ravel("K")  # in the order in which it lies in memory: vdot would transpose a copy
        return math.sqrt(host.vdot(x, x).real)
    xp = namespace(x)
    x = xp.reshape(x, (-1,))
    square = xp.vecdot(x, x)
    return math.sqrt(float(xp.real(square) if is_complex(x) else square))


def diagonal(x: Array) -> Array:
    """Return the real part of the diagonal of a matrix."""
    if type(x) is host.ndarray:
        return x.diagonal().real
    xp = namespace(x)
    d = xp.linalg.diagonal(x)
    return xp.real(d) if is_complex(x) else d


def largest(x: Array) -> float:
    """Return the largest absolute value of an entry; NaN where there is one."""
    if type(x) is host.ndarray:
        return float(abs(x).max())
    xp = namespace(x)
    return float(xp.max(xp.abs(x)))


def finite(x: Array) -> bool:
    """Whether every entry is finite. One number crosses to the host."""
    if type(x) is host.ndarray:  # the square is finite but where a value is not, or is very large
        x = x.ravel("K")
        return math.isfinite(host.vdot(x, x).real) or bool(host.isfinite(x).all())
    xp = namespace(x)
    return bool(xp.all(xp.isfinite(x)))


def overflowing(arrays: Sequence[Array]) -> bool:
    """Whether a value is so large that its square is not finite."""
    return not all(finite(x * x) for x in arrays)


_NUMBERS = (int, float, complex, host.generic)


def is_scalar(c: Any) -> bool:
    """Whether ``c`` is a number: Python's, NumPy's, or a 0-d array."""
    return isinstance(c, _NUMBERS) or (is_array(c) and c.ndim == 0)


def scalar(c: Any) -> Any:
    """Return ``c`` as a Python number, so that it never widens a dtype; a 0-d device array stays where it is."""
    return c.item() if isinstance(c, host.generic | host.ndarray) else c


def is_sparse(A: Any) -> bool:
    """Whether ``A`` is a sparse matrix or array of SciPy, or of CuPy."""
    return is_sparse_type(type(A))  # type: ignore[arg-type]


@cache
def is_sparse_type(cls: type) -> bool:
    """Whether the values of a class are sparse matrices or arrays of SciPy, or of CuPy."""
    for library in ("scipy.sparse", "cupyx.scipy.sparse"):
        module = sys.modules.get(library)
        bases = tuple(getattr(module, name) for name in ("spmatrix", "sparray") if hasattr(module, name))
        if issubclass(cls, bases):
            return True
    return False


def is_operator(A: Any) -> bool:
    """Whether ``A`` is a SciPy (or CuPy) ``LinearOperator``."""
    for library in ("scipy.sparse.linalg", "cupyx.scipy.sparse.linalg"):
        module = sys.modules.get(library)
        if module is not None and isinstance(A, module.LinearOperator):
            return True
    return False


def matrix_kind(A: Any) -> str:
    """Return "array", "sparse" or "operator", and "" for anything else."""
    if type(A) is host.ndarray:
        return "array"
    if is_sparse(A):
        return "sparse"
    return "array" if is_array(A) else "operator" if is_operator(A) else ""


def adjoint(A: Any) -> Any:
    """Return the conjugate transpose of an array, a sparse matrix or a ``LinearOperator``."""
    if is_array(A):
        return mH(A)
    if is_operator(A):
        return A.H
    return A.conj().T if host.dtype(A.dtype).kind == "c" else A.T


def apply(A: Any, X: Array) -> Array:
    """Return ``A @ X`` for a tall ``X``, where ``A`` is an array, a sparse matrix or a ``LinearOperator``.

    Raises
    ------
    TypeError
        If ``A`` lives on the host and ``X`` does not.
    """
    if type(X) is host.ndarray and (type(A) is host.ndarray or is_sparse(A)):
        return A @ X  # asked so often that the general answer shows in small problems
    if is_array(A):
        xp = namespace(A, X)
        if A.dtype == X.dtype:
            return A @ X
        dtype = xp.result_type(A, X)
        return as_dtype(A, dtype) @ as_dtype(X, dtype)
    if not isinstance(X, host.ndarray) and type(A).__module__.startswith("scipy."):
        raise TypeError(
            f"a SciPy {type(A).__name__} acts on NumPy arrays, but the factors are {type(X).__module__} arrays: "
            "convert the operator to that library first (for CuPy: cupyx.scipy.sparse)"
        )
    return A @ X


def sparse_operator(A: Any, backend: Backend) -> Any:
    """Return a SciPy sparse matrix in a form that ``backend`` multiplies with: sparse on NumPy and CuPy, else dense."""
    if backend.name.startswith("numpy"):
        return A
    if backend.name == "cupy":
        return importlib.import_module("cupyx.scipy.sparse").csr_matrix(A)
    return backend.xp.asarray(A.toarray(), device=backend.device)
