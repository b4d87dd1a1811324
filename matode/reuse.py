"""Products with the matrices that stay fixed while a step is under way, each formed once.

A step evaluates the field a dozen times at matrices that share a basis: K V* with V fixed, U L* with U fixed, U S V*
with both. What F makes of the fixed factors, such as A V and V* A V for ``A @ Y`` and ``Y @ A``, is the same each time.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from operator import attrgetter, is_
from typing import Any, NamedTuple

from matode._array import Array, adjoint, apply, eye_like, host, is_array, is_sparse, mH, namespace, zeros_like_shape

__all__ = ["Products"]


_BUFFERS = {
    "csr": attrgetter("data", "indices", "indptr"),
    "csc": attrgetter("data", "indices", "indptr"),
    "bsr": attrgetter("data", "indices", "indptr"),
    "dia": attrgetter("data", "offsets"),
}


class _HostMatrix:
    """A matrix on the host, dense or SciPy-sparse: which memory it views, and what is in there."""

    __slots__ = ("_adjoint", "_buffers", "_flat", "_front", "_parts", "_rear", "_watched", "identity", "name", "owners")

    def __init__(self, A: Any, buffers: Callable[[Any], Any], parts: Any, gone: Callable[[Any], Any]) -> None:
        self._buffers, self._parts, self._watched = buffers, parts, weakref.ref(A, gone)
        self.owners = tuple([x if x.base is None else x.base for x in parts])
        memory = [(id(o), _address(x), x.strides, x.dtype) for x, o in zip(parts, self.owners, strict=True)]
        self.identity = (type(A), A.shape, *memory)
        self.name = -1  # a short form of the identity
        self._flat = parts[0].ravel(order="K")
        half = self._flat.size // 2
        self._adjoint: tuple[Hashable, Any] | None = None
        self._front, self._rear = self._flat[:half], self._flat[half : 2 * half]

    @classmethod
    def of(cls, A: Any, gone: Callable[[Any], Any]) -> _HostMatrix | None:
        """Return what is known of A, or None where it is something else; ``gone`` is called when A is."""
        if type(A) is host.ndarray:
            buffers: Callable[[Any], Any] = _itself
        elif is_sparse(A) and type(A).__module__.startswith("scipy.") and A.format in _BUFFERS:
            buffers = _BUFFERS[A.format]
        else:
            return None
        parts = buffers(A)
        for x in parts:
            owned = x.base is None or type(x.base) is host.ndarray
            if not owned or x.dtype.kind not in "fciu" or not (x.flags.c_contiguous or x.flags.f_contiguous):
                return None
        return cls(A, buffers, parts, gone) if parts[0].size else None

    def describes(self, A: Any) -> bool:
        """Whether A still consists of the arrays that it was made of."""
        return all(map(is_, self._buffers(A), self._parts))

    def contents(self) -> Hashable:
        """Return a fingerprint of the entries, since a field may write to them: two inner products and the first."""
        return self._flat.item(0), self._flat.dot(self._flat), self._front.dot(self._rear)

    def adjoint(self, A: Any) -> Any:
        """Return ``A*``, made anew when the entries have changed: not every format gives a view."""
        version = self.contents()
        if self._adjoint is None or self._adjoint[0] != version:
            self._adjoint = version, adjoint(A)
        return self._adjoint[1]


def _address(x: host.ndarray) -> int:
    """Return where a view begins; 0 for an array that owns its memory, which is known by its identity alone."""
    return 0 if x.base is None else int(x.ctypes.data)


def _itself(A: host.ndarray) -> tuple[host.ndarray]:
    return (A,)


class _Fixed(NamedTuple):
    """What is known of an array that stays fixed: ``anchor`` is the array itself, or a weak reference to it."""

    anchor: Any
    orthonormal: bool = False
    parts: tuple[Array, ...] = ()


class Products:
    """Remembers products with arrays that it was told to hold; one step makes one, and drops it at its end.

    Keys are identities, of arrays that are held or that a weak reference watches: an entry goes when the foreign array
    goes, so that matrices made anew for each evaluation are not kept alive. An operator is known by the memory that it
    views, since ``A.T`` is a new object at each call, and by a fingerprint of its entries, since a field may write to
    them. The factors of a LowRank are never written to.
    """

    __slots__ = ("__weakref__", "_fixed", "_memo", "_names", "_operators", "_orthogonal", "_self")

    def __init__(self) -> None:
        self._fixed: dict[int, _Fixed] = {}
        self._orthogonal: set[tuple[int, int]] = set()
        self._memo: dict[Hashable, tuple[Array, list[Any]]] = {}
        self._operators: dict[int, _HostMatrix] = {}
        self._names: dict[Hashable, int] = {}
        self._self = weakref.ref(self)  # no reference leads back here, so that a step's end frees all

    @property
    def entries(self) -> int:
        """How many products are remembered."""
        return len(self._memo)

    def hold(self, X: Array) -> Array:
        """Declare that X stays fixed, with orthonormal columns, and return it."""
        self._fixed[id(X)] = _Fixed(X, orthonormal=True)
        return X

    def extended(self, U: Array, U1: Array) -> Array:
        """Return ``[U, U1]``, whose columns are orthonormal, so that products with it reuse those with U."""
        if U1.shape[1] == 0:
            return U
        W = _joined(U, self.hold(U1))
        self._fixed[id(W)] = _Fixed(W, orthonormal=True, parts=(U, U1))
        self._orthogonal |= {(id(U), id(U1)), (id(U1), id(U))}
        return W

    def image(self, A: Any, X: Array, *, star: bool = False) -> Array:
        """Return ``A @ X``, or ``A* @ X``, for an array, a sparse matrix or a ``LinearOperator``."""
        fixed = self._fixed.get(id(X))
        if fixed is None:
            return apply(self._adjoint(A) if star else A, X)
        known = self._known(A)
        if known is None:
            return apply(self._adjoint(A) if star else A, X)
        key = (known.name, known.contents(), star, id(X))
        found = self._memo.get(key)
        if found is not None:
            return found[0]
        if not fixed.parts:
            Z, parts = apply(self._adjoint(A) if star else A, X), ()
        else:
            parts = tuple([self.image(A, part, star=star) for part in fixed.parts])
            Z = _joined(*parts)
        self._remember(key, (*known.owners, X), Z)
        try:
            self._fixed[id(Z)] = _Fixed(weakref.ref(Z, self._dropping("_fixed", id(Z))), parts=parts)
        except TypeError:
            pass
        return Z

    def gram(self, W: Array, X: Array) -> Array | None:
        """Return ``W* X``; None is the identity."""
        left, right = self._fixed.get(id(W)), self._fixed.get(id(X))
        if W is X and right is not None and right.orthonormal:
            return None
        pair = (id(W), id(X))
        found = self._memo.get(pair)
        if found is not None:
            return found[0]
        if pair in self._orthogonal:
            G = zeros_like_shape((W.shape[1], X.shape[1]), X)
        elif right is not None and right.parts:
            G = namespace(X).concat([self._formed(W, part) for part in right.parts], axis=1)
        elif left is not None and any(part is X for part in left.parts):
            G = namespace(X).concat([self._formed(part, X) for part in left.parts], axis=0)
        else:
            G = mH(W) @ X
        return G if left is None and right is None else self._remember(pair, (W, X), G)

    def remembered(self, key: Hashable, watched: Sequence[Any], make: Callable[[], Array]) -> Array:
        """Return what ``make`` gives, made once for each key as long as the ``watched`` arrays in it live."""
        found = self._memo.get(key)
        return self._remember(key, watched, make()) if found is None else found[0]

    def _remember(self, key: Hashable, watched: Sequence[Any], value: Array) -> Array:
        drop = self._dropping("_memo", key)
        try:
            self._memo[key] = (value, [weakref.ref(X, drop) for X in watched if not self._holds(X)])
        except TypeError:  # a library whose arrays cannot be watched
            pass
        return value

    def _holds(self, X: Array | None) -> bool:
        """Whether X lives as long as this object does."""
        fixed = self._fixed.get(id(X))
        return X is None or (fixed is not None and fixed.anchor is X)

    def _dropping(self, table: str, key: Hashable) -> Callable[[Any], None]:
        """Return what takes an entry out of a table."""
        return partial(_drop, self._self, table, key)

    def _known(self, A: Any) -> _HostMatrix | None:
        """Return how a host matrix is recognised; None where it cannot be."""
        known = self._operators.get(id(A))
        if known is None or not known.describes(A):
            known = _HostMatrix.of(A, self._dropping("_operators", id(A)))
            if known is not None:
                known.name = self._names.setdefault(known.identity, len(self._names))
                self._operators[id(A)] = known
        return known

    def _adjoint(self, A: Any) -> Any:
        """Return the conjugate transpose; SciPy takes as long to transpose as to multiply a small matrix."""
        known = None if is_array(A) else self._known(A)
        return adjoint(A) if known is None else known.adjoint(A)

    def _formed(self, W: Array, X: Array) -> Array:
        G = self.gram(W, X)
        return eye_like(X.shape[1], X) if G is None else G


def _drop(products: Callable[[], Products | None], table: str, key: Hashable, _: Any) -> None:
    alive = products()
    if alive is not None:
        getattr(alive, table).pop(key, None)


def _joined(*parts: Array) -> Array:
    return namespace(*parts).concat(list(parts), axis=1)
