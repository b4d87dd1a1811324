"""Products with the matrices that stay fixed while a step is under way, each formed once.

A step evaluates the field a dozen times at matrices that share a basis: K V* with V fixed, U L* with U fixed, U S V*
with both. What F makes of the fixed factors, such as A V and V* A V for ``A @ Y`` and ``Y @ A``, is the same each time.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from operator import attrgetter, is_
from typing import Any

from matode._array import Array, adjoint, apply, eye_like, host, is_sparse, joined, mH, zeros_like_shape

__all__ = ["Columns", "Operators", "Products", "whole"]


_BUFFERS = {
    "csr": attrgetter("data", "indices", "indptr"),
    "csc": attrgetter("data", "indices", "indptr"),
    "bsr": attrgetter("data", "indices", "indptr"),
    "dia": attrgetter("data", "offsets"),
}


class _HostMatrix:
    """A matrix on the host, dense or SciPy-sparse: which memory it views, and what is in there."""

    __slots__ = ("_adjoint", "_buffers", "_flat", "_front", "_parts", "_rear", "identity", "name", "owners", "watch")

    def __init__(self, A: Any, buffers: Callable[[Any], Any], parts: Any) -> None:
        self._buffers, self._parts = buffers, parts
        self.owners = tuple([x if x.base is None else x.base for x in parts])
        memory = [(id(o), _address(x), x.strides, x.dtype) for x, o in zip(parts, self.owners, strict=True)]
        self.identity = (type(A), A.shape, *memory)
        self.name = _Name()
        self.watch: weakref.ref[Any] | None = None
        self._flat = parts[0].ravel(order="K")
        half = self._flat.size // 2
        self._adjoint: tuple[Hashable, Any] | None = None
        self._front, self._rear = self._flat[:half], self._flat[half : 2 * half]

    @classmethod
    def of(cls, A: Any) -> _HostMatrix | None:
        """Return what is known of A, or None where it is something else."""
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
        return cls(A, buffers, parts) if parts[0].size else None

    def describes(self, A: Any) -> bool:
        """Whether A still consists of the arrays that it was made of."""
        return all(map(is_, self._buffers(A), self._parts))

    def contents(self) -> Hashable:
        """Return a fingerprint of the entries, since a field may write to them: two inner products and the first."""
        return self._flat.item(0), self._flat.dot(self._flat), self._front.dot(self._rear)

    def adjoint(self, A: Any, contents: Hashable) -> Any:
        """Return ``A*``, made anew when the entries have changed: not every format gives a view."""
        if self._adjoint is None or self._adjoint[0] != contents:
            self._adjoint = contents, adjoint(A)
        return self._adjoint[1]


def _address(x: host.ndarray) -> int:
    """Return where a view begins; 0 for an array that owns its memory, which is known by its identity alone."""
    return 0 if x.base is None else int(x.__array_interface__["data"][0])


def _itself(A: host.ndarray) -> tuple[host.ndarray]:
    return (A,)


class _Name:
    """Stands for the identity of a matrix: two that view the same memory have one name."""

    __slots__ = ("__weakref__",)


class Operators:
    """Recognises the matrices that a field multiplies with, from step to step, as long as they live."""

    __slots__ = ("__weakref__", "_names", "_self", "seen")

    def __init__(self) -> None:
        self.seen: dict[int, _HostMatrix] = {}
        self._names: weakref.WeakValueDictionary[Hashable, _Name] = weakref.WeakValueDictionary()
        self._self = weakref.ref(self)

    def __reduce__(self) -> tuple[type[Operators], tuple[()]]:
        return Operators, ()  # a copy of a field, or one sent to another process, meets its matrices anew

    def meet(self, A: Any) -> _HostMatrix | None:
        """Return how a host matrix that was not seen yet is recognised; None where it cannot be."""
        known = _HostMatrix.of(A)
        if known is not None:
            known.name = self._names.setdefault(known.identity, known.name)
            known.watch = weakref.ref(A, partial(_overlook, self._self, id(A)))
            self.seen[id(A)] = known
        return known


def _overlook(operators: Callable[[], Operators | None], place: int, _: Any) -> None:
    alive = operators()
    if alive is not None:
        alive.seen.pop(place, None)


class Columns:
    """Matrices side by side, which become one array only where somebody asks for it."""

    __slots__ = ("__weakref__", "_whole", "dtype", "parts", "shape")

    def __init__(self, parts: Sequence[Any]) -> None:
        self.parts: tuple[Array, ...] = tuple(
            [x for part in parts for x in (part.parts if type(part) is Columns else (part,))]
        )
        self.dtype = self.parts[0].dtype
        self._whole: Array | None = None
        self.shape = (parts[0].shape[0], sum([part.shape[1] for part in parts]))

    @property
    def whole(self) -> Array:
        """The array."""
        if self._whole is None:
            self._whole = joined(self.parts, 1)
        return self._whole


def whole(X: Any) -> Array:
    """Return a factor of a term as an array."""
    return X.whole if type(X) is Columns else X


class Products:
    """Remembers products with arrays that it was told to hold; one step makes one, and drops it at its end.

    Keys are identities, of arrays that are held or that a weak reference watches: an entry goes when the foreign array
    goes, so that matrices made anew for each evaluation are not kept alive. An operator is known by the memory that it
    views, since ``A.T`` is a new object at each call, and by a fingerprint of its entries, since a field may write to
    them. The factors of a LowRank are never written to.
    """

    __slots__ = (
        "__weakref__",
        "_bases",
        "_images",
        "_kept",
        "_memo",
        "_operators",
        "_seen",
        "_self",
        "_users",
        "recall",
    )

    def __init__(self, operators: Operators | None = None) -> None:
        self._bases: dict[int, tuple[Array, ...]] = {}  # what they are joined from
        self._images: dict[int, tuple[Array, ...]] = {}
        self._kept: list[Array] = []
        self._memo: dict[Hashable, Any] = {}
        self._users: dict[int, tuple[Any, list[Hashable]]] = {id(None): (None, [])}
        self._operators = Operators() if operators is None else operators
        self._seen = self._operators.seen
        self._self = weakref.ref(self)  # no reference leads back here, so that a step's end frees all
        self.recall = self._memo.get
        """Return what is remembered under a key, None where nothing is."""

    @property
    def entries(self) -> int:
        """How many products are remembered; that a matrix is orthonormal is none."""
        return sum(value is not None for value in self._memo.values())

    def hold(self, X: Array) -> Array:
        """Declare that X stays fixed, with orthonormal columns, and return it."""
        self._held(X, ())
        return X

    def extended(self, U: Array, U1: Array) -> Array:
        """Return ``[U, U1]``, whose columns are orthonormal, so that products with it reuse those with U."""
        if U1.shape[1] == 0:
            return U
        W = joined((U, self.hold(U1)), 1)
        self._held(W, (U, U1))
        a, b, nothing = id(U), id(U1), zeros_like_shape((U.shape[1], U1.shape[1]), U)
        self._memo[a, b], self._memo[b, a] = nothing, nothing.mT
        return W

    def image(self, A: Any, X: Any, *, star: bool = False) -> Any:
        """Return ``A @ X``, or ``A* @ X``, for an array, a sparse matrix or a ``LinearOperator``."""
        place = id(X)
        parts = self._bases.get(place)
        if parts is None:
            parts = self._images.get(place)
            if parts is None and (not star or type(A) is host.ndarray):
                return apply(adjoint(A) if star else A, whole(X))
        known = self._seen.get(id(A))
        if known is None or not known.describes(A):
            known = self._operators.meet(A)
            if known is None:
                return apply(adjoint(A) if star else A, whole(X))
        contents = known.contents()
        if parts is None:
            return apply(known.adjoint(A, contents), whole(X))
        Z = self._memo.get((known.name, contents, star, place))
        return self._image(A, X, star, known, contents) if Z is None else Z

    def _image(self, A: Any, X: Any, star: bool, known: _HostMatrix, contents: Hashable) -> Any:
        key = (known.name, contents, star, id(X))
        Z = self._memo.get(key)
        if Z is None:
            parts = self._bases.get(id(X)) or self._images.get(id(X), ())
            if parts:
                Z = Columns([self._image(A, part, star, known, contents) for part in parts])
                parts = Z.parts
            else:
                Z = apply(known.adjoint(A, contents) if star else A, X)
            self.remember(key, (*known.owners, X, Z), Z)
            if id(Z) in self._users:
                self._images[id(Z)] = parts
        return Z

    def gram(self, W: Any, X: Any, *, keep: bool = True) -> Array | None:
        """Return ``W* X``; None is the identity."""
        pair = id(W), id(X)
        G = self._memo.get(pair, self)
        if G is not self:
            return G
        left, right = self._images.get(pair[0]), self._images.get(pair[1])
        rows = self._bases.get(pair[0]) if left is None else left
        columns = self._bases.get(pair[1]) if right is None else right
        if right or (columns and (pair[0], id(columns[0])) in self._memo):
            G = joined([self._part(W, part) for part in columns], 1)
        elif left or (rows and (id(rows[0]), pair[1]) in self._memo):
            G = joined([self._part(part, X) for part in rows], 0)
        else:
            G = mH(whole(W)) @ whole(X)
            keep &= rows is not None or columns is not None
        return self.remember(pair, (W, X), G) if keep else G

    def _part(self, W: Any, X: Any) -> Array:
        """Return ``W* X``, of which a larger product is made that is remembered in its place."""
        G = self.gram(W, X, keep=False)
        return eye_like(X.shape[1], whole(X)) if G is None else G

    def remember(self, key: Hashable, watched: Sequence[Any], value: Array) -> Array:
        """Remember a value for as long as the ``watched`` arrays live, and return it."""
        users, bases = self._users, self._bases  # which are held as long as this lives
        try:
            users = [users.get(id(X)) or self._watched(X) for X in watched if id(X) not in bases]
        except TypeError:  # a library whose arrays cannot be watched
            return value
        self._memo[key] = value
        for _, keys in users:
            keys.append(key)
        return value

    def _held(self, X: Array, parts: tuple[Array, ...]) -> None:
        place = id(X)
        self._kept.append(X)
        self._bases[place] = parts
        self._memo[place, place] = None

    def _watched(self, X: Any) -> tuple[Any, list[Hashable]]:
        """Watch an array that may go, and return where to write down what then goes with it."""
        place = id(X)
        users = self._users[place] = weakref.ref(X, partial(_forget, self._self, place)), []
        return users


def _forget(products: Callable[[], Products | None], place: int, _: Any) -> None:
    """Take out what an array that is gone had a part in."""
    alive = products()
    if alive is not None:
        alive._images.pop(place, None)
        for key in alive._users.pop(place, (None, ()))[1]:
            alive._memo.pop(key, None)
