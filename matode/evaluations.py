"""Matrices known by their actions: what a field may return besides a :class:`~matode.LowRank`.

All of them share one arithmetic (`Lazy`): sums and products are kept as they are written and act term by term.
"""

from __future__ import annotations

from functools import cache, reduce
from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple

from matode._array import (
    Array,
    adjoint,
    apply,
    host,
    is_array,
    is_floating,
    is_operator,
    is_scalar,
    is_sparse,
    is_sparse_type,
    matrix_kind,
    mH,
    namespace,
    scalar,
    total,
)

if TYPE_CHECKING:
    from matode.lowrank import LowRank

__all__ = [
    "Chain",
    "DenseEvaluation",
    "Lazy",
    "Operator",
    "Sum",
    "Thin",
    "as_evaluation",
    "foreseeing",
    "is_evaluation",
]


class Lazy:
    """Arithmetic that every matrix of this package shares, with foreign operands on either side.

    A subclass gives ``shape``, ``right``, ``left``, ``full``, ``_scaled(c)``, ``_multiplied_left(A)`` (``A @ self``),
    ``_multiplied_right(B)`` (``self @ B``) and ``_hadamard(other)``.
    """

    # foreign arrays must leave the operators to us: NumPy, CuPy, SciPy sparse, torch
    __slots__ = ("__weakref__",)
    __array_ufunc__ = None
    __array_priority__ = 1000.0

    shape: tuple[int, int]

    def right(self, V: Array) -> Array:
        """Return ``F @ V`` for a thin V, (n, k)."""
        raise NotImplementedError

    def left(self, U: Array) -> Array:
        """Return ``F* @ U`` for a thin U, (m, k)."""
        raise NotImplementedError

    def galerkin(self, U: Array, V: Array) -> Array:
        """Return ``U* @ F @ V``."""
        return mH(U) @ self.right(V)

    def factors(self) -> LowRank | None:
        """Return the value as a LowRank where it is one, else None."""
        return None

    def full(self) -> Array:
        """Return the m x n array."""
        raise NotImplementedError

    def _scaled(self, c: Any) -> Lazy:
        raise NotImplementedError

    def _multiplied_left(self, A: Any) -> Lazy:
        raise NotImplementedError

    def _multiplied_right(self, B: Any) -> Lazy:
        raise NotImplementedError

    def _hadamard(self, other: Any) -> Any:
        """Multiply entry by entry with an m x n array, where forming m x n costs no more than the operand did."""
        return self.full() * other

    def __add__(self, other: Any) -> Any:
        if is_scalar(other) and not is_array(other) and other == 0:  # so that sum() works
            return self
        other = as_evaluation(other, None)
        return NotImplemented if other is None else _summed(self, other)

    def __radd__(self, other: Any) -> Any:
        if is_scalar(other) and not is_array(other) and other == 0:
            return self
        other = as_evaluation(other, None)
        return NotImplemented if other is None else _summed(other, self)

    def __sub__(self, other: Any) -> Any:
        other = as_evaluation(other, None)
        return NotImplemented if other is None else _summed(self, -other)

    def __rsub__(self, other: Any) -> Any:
        other = as_evaluation(other, None)
        return NotImplemented if other is None else _summed(other, -self)

    def __neg__(self) -> Any:
        return self._scaled(-1.0)

    def __pos__(self) -> Any:
        return self

    def __mul__(self, other: Any) -> Any:
        if is_scalar(other):
            return self._scaled(scalar(other))
        if isinstance(other, Lazy) or is_array(other) or is_sparse(other):
            if tuple(other.shape) != self.shape:
                raise ValueError(
                    f"the entrywise product needs equal shapes, got {self.shape} and {tuple(other.shape)} (write @ "
                    "for the matrix product)"
                )
            _check_library(self, other)
            return self._hadamard(other)
        return NotImplemented

    def __rmul__(self, other: Any) -> Any:
        if is_sparse(other) and not hasattr(other, "__array_namespace__") and _is_matrix_class(other):
            return self.__rmatmul__(other)  # SciPy's matrix classes write * for the matrix product
        return self.__mul__(other)

    def __truediv__(self, other: Any) -> Any:
        return self._scaled(1.0 / scalar(other)) if is_scalar(other) else NotImplemented

    def __matmul__(self, other: Any) -> Any:
        kind = _kind(type(other)) or matrix_kind(other)  # type: ignore[arg-type]
        if not kind:
            return NotImplemented
        if other.shape[0] != self.shape[1]:
            raise _mismatch(self.shape, other.shape)
        if kind == "array" and other.ndim == 1:
            return self.right(other[:, None])[:, 0]
        if kind == "lazy":
            if other.factors() is not None and self.factors() is None:
                return other._multiplied_left(self)
            if self.factors() is None:
                other = _unwrapped(other)
                if isinstance(other, Lazy):
                    return Chain(self, other)
        return self._multiplied_right(other)

    def __rmatmul__(self, other: Any) -> Any:
        kind = _kind(type(other)) or matrix_kind(other)  # type: ignore[arg-type]
        if not kind:
            return NotImplemented
        if other.shape[-1] != self.shape[0]:
            raise _mismatch(other.shape, self.shape)
        if kind == "array" and other.ndim == 1:
            return mH(self.left(mH(other[None, :])))[0, :]
        return self._multiplied_left(other)


class DenseEvaluation(Lazy):
    """A dense m x n array, with a real factor that is applied to thin results: a sign costs no pass over m x n."""

    __slots__ = ("_factor", "sample", "shape")

    def __init__(self, array: Array, factor: float = 1.0) -> None:
        self.sample, self._factor = array, factor
        self.shape = tuple(array.shape)

    @property
    def array(self) -> Array:
        """The array that the value is."""
        return self.sample if self._factor == 1.0 else self._factor * self.sample

    def right(self, V: Array) -> Array:
        """Return ``F @ V``."""
        return self._times(apply(self.sample, V))

    def left(self, U: Array) -> Array:
        """Return ``F* @ U``."""
        # as (U* F)*: where the long dimension of the thin factor comes first, BLAS takes twice as long
        return self._times(mH(apply(mH(U), self.sample)))

    def _times(self, X: Array) -> Array:
        return X if self._factor == 1.0 else self._factor * X

    def full(self) -> Array:
        """Return the array itself."""
        return self.array

    def _scaled(self, c: Any) -> DenseEvaluation:
        if isinstance(c, int | float) and is_floating(self.sample):
            return DenseEvaluation(self.sample, c * self._factor)
        return DenseEvaluation(c * self.array)

    def _multiplied_left(self, A: Any) -> DenseEvaluation:
        return DenseEvaluation(apply(A, self.array))

    def _multiplied_right(self, B: Any) -> DenseEvaluation:
        return DenseEvaluation(mH(apply(adjoint(B), mH(self.array))))

    def _hadamard(self, other: Any) -> DenseEvaluation:
        return DenseEvaluation(self.array * (other.full() if isinstance(other, Lazy) else other))


class Thin(NamedTuple):
    """The parts of a product ``d* x`` of few rows, which an evaluation may offer as ``thin(U, V)``.

    Parameters
    ----------
    d, x : (b, m) and (b, n) arrays
        The rows.
    along_u, along_v : (b, r) arrays
        ``d U`` and ``x V``.
    """

    d: Array
    x: Array
    along_u: Array
    along_v: Array


class Operator(Lazy):
    """A sparse matrix, a ``LinearOperator`` or an array, known by its products alone.

    Wrap a ``LinearOperator`` in it to write it on the left of a low-rank value, ``Operator(A) @ Y``: SciPy's own ``@``
    does not hand over to foreign operands. ``Y @ A`` needs no wrapping.
    """

    __slots__ = ("A", "shape")

    def __init__(self, A: Any) -> None:
        if not (is_array(A) or is_sparse(A) or is_operator(A)):
            raise TypeError(f"expected an array, a sparse matrix or a LinearOperator, got {type(A).__name__}")
        self.A = A
        self.shape = tuple(A.shape)

    @property
    def mH(self) -> Operator:
        """The conjugate transpose."""
        return Operator(adjoint(self.A))

    def right(self, V: Array) -> Array:
        """Return ``A @ V``."""
        return apply(self.A, V)

    def left(self, U: Array) -> Array:
        """Return ``A* @ U``."""
        return apply(adjoint(self.A), U)

    def full(self) -> Array:
        """Return the entries as a dense array."""
        if is_array(self.A):
            return self.A
        if is_sparse(self.A):
            return self.A.toarray()
        raise TypeError("a LinearOperator has no entries to return: use its products")

    def _scaled(self, c: Any) -> Operator:
        return Operator(c * self.A)

    def _multiplied_left(self, A: Any) -> Operator:
        return Operator(A @ self.A)

    def _multiplied_right(self, B: Any) -> Operator:
        return Operator(self.A @ B)

    def _hadamard(self, other: Any) -> Any:
        return other * self.A


class Chain(Lazy):
    """A matrix product that acts one factor after the other: where multiplying it out would form an m x n array."""

    __slots__ = ("first", "head", "second", "shape")

    def __init__(self, first: Any, second: Any) -> None:
        self.first, self.second = first, second
        head = _sample(second)
        self.head = _sample(first) if head is None else head
        self.shape = (first.shape[0], second.shape[1])

    def right(self, V: Array) -> Array:
        """Return ``F @ V``."""
        return self.first.right(self.second.right(V))

    def left(self, U: Array) -> Array:
        """Return ``F* @ U``."""
        return self.second.left(self.first.left(U))

    def full(self) -> Array:
        """Return the m x n array."""
        return self.first.right(self.second.full())

    def _scaled(self, c: Any) -> Chain:
        return Chain(c * self.first, self.second)

    def _multiplied_left(self, A: Any) -> Chain:
        return Chain(as_evaluation(A, None), self)

    def _multiplied_right(self, B: Any) -> Chain:
        return Chain(self, as_evaluation(B, None))


class Sum(Lazy):
    """A sum whose terms act one by one."""

    __slots__ = ("shape", "terms")

    def __init__(self, terms: tuple[Any, ...]) -> None:
        self.terms = terms
        self.shape = terms[0].shape

    def right(self, V: Array) -> Array:
        """Return ``F @ V``."""
        return total([term.right(V) for term in self.terms])

    def left(self, U: Array) -> Array:
        """Return ``F* @ U``."""
        return total([term.left(U) for term in self.terms])

    def galerkin(self, U: Array, V: Array) -> Array:
        """Return ``U* @ F @ V``."""
        return total([term.galerkin(U, V) for term in self.terms])

    def factors(self) -> LowRank | None:
        """Return the sum as a LowRank where every term is one, else None."""
        parts = [term.factors() for term in self.terms]
        return None if any(part is None for part in parts) else reduce(add, parts)

    def full(self) -> Array:
        """Return the m x n array."""
        return reduce(add, (term.full() for term in self.terms))

    def _scaled(self, c: Any) -> Sum:
        return Sum(tuple(c * term for term in self.terms))

    def _multiplied_left(self, A: Any) -> Sum:
        return Sum(tuple(_hidden(A) @ term for term in self.terms))

    def _multiplied_right(self, B: Any) -> Sum:
        return Sum(tuple(term @ B for term in self.terms))

    def _hadamard(self, other: Any) -> Any:
        return reduce(add, (as_evaluation(term * other, self.shape) for term in self.terms))


def is_evaluation(value: Any) -> bool:
    """Whether ``value`` has the actions of an :class:`~matode.protocols.Evaluation`."""
    if isinstance(value, Lazy):
        return True
    return all(callable(getattr(value, name, None)) for name in ("right", "left", "galerkin", "full"))


def foreseeing(F: Any, U1: Array) -> Any:
    """Return an evaluation told that ``galerkin(U1, V)`` will follow the next ``left(U)``, where it can use that."""
    told = getattr(F, "foreseeing", None)
    return F if told is None else told(U1)


def as_evaluation(value: Any, shape: tuple[int, ...] | None) -> Any:
    """Return ``value`` as an evaluation, or None where it is no matrix.

    ``shape`` is what a matrix must have; None means any.
    """
    if not is_evaluation(value):
        if is_array(value):
            value = DenseEvaluation(value)
        elif is_sparse(value) or is_operator(value):
            value = Operator(value)
        else:
            return None
    if shape is not None and tuple(value.shape) != tuple(shape):
        raise ValueError(f"expected shape {tuple(shape)}, got {tuple(value.shape)}")
    return value


def _summed(a: Any, b: Any) -> Any:
    if a.shape != b.shape:
        raise ValueError(f"cannot add matrices of shapes {a.shape} and {b.shape}")
    _check_library(a, b)
    if isinstance(a, DenseEvaluation) and isinstance(b, DenseEvaluation):
        return DenseEvaluation(a.array + b.array)
    terms = (*(a.terms if isinstance(a, Sum) else (a,)), *(b.terms if isinstance(b, Sum) else (b,)))
    return Sum(terms)


def _check_library(a: Any, b: Any) -> None:
    """Raise a TypeError where the arrays behind two operands belong to different libraries."""
    samples = [x for x in (_sample(a), _sample(b)) if x is not None]
    if samples:
        namespace(*samples)


def _sample(value: Any) -> Any:
    """Return an array of the library that ``value`` is made of, or None where any will do."""
    if isinstance(value, Sum):
        return _sample(value.terms[0])
    if isinstance(value, Operator):
        return _sample(value.A)
    if isinstance(value, DenseEvaluation):
        return value.sample
    if is_sparse(value):
        return value.data if is_array(getattr(value, "data", None)) else host.empty(0)
    return value if is_array(value) else getattr(value, "head", None)


def _hidden(A: Any) -> Any:
    """Return ``A`` so that ``A @ term`` reaches the term's operator, also for a LinearOperator."""
    return Operator(A) if is_operator(A) else A


def _unwrapped(value: Lazy) -> Any:
    """Return what a wrapped matrix holds, or the entries of a sum of such; what is known by its actions stays so."""
    if isinstance(value, DenseEvaluation):
        return value.array
    if isinstance(value, Operator):
        return value.A
    return value.full() if isinstance(value, Sum) else value


@cache
def _kind(cls: type) -> str:
    """Return what kind of matrix the values of a class are, where that is asked most: ours, or SciPy's sparse ones."""
    return "lazy" if issubclass(cls, Lazy) else "sparse" if is_sparse_type(cls) else ""  # type: ignore[arg-type]


def _is_matrix_class(A: Any) -> bool:
    return any(cls.__name__ == "spmatrix" for cls in type(A).__mro__)


def _mismatch(left: tuple[int, ...], right: tuple[int, ...]) -> ValueError:
    return ValueError(f"the matrix product needs equal inner sizes, got shapes {tuple(left)} and {tuple(right)}")
