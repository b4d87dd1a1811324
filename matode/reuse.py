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

from matode._array import Array, adjoint, apply, eye_like, host, is_sparse, joined
from matode.rows import inner

__all__ = ["Fixed", "Operators", "Products", "whole"]


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


class Fixed:
    """A matrix that stays fixed while a step is under way, and what was made of it.

    ``parts`` are such matrices side by side, which become one array only where somebody asks for it.
    """

    __slots__ = ("_whole", "dtype", "grams", "head", "images", "parts", "shape")

    head: Array
    shape: tuple[int, int]

    def __init__(self, array: Array | None, parts: tuple[Fixed, ...] = ()) -> None:
        self._whole, self.parts = array, parts
        head: Array = parts[0].head if array is None else array
        width: int = sum([part.shape[1] for part in parts]) if array is None else head.shape[1]
        self.head, self.dtype, self.shape = head, head.dtype, (head.shape[0], width)
        self.images: dict[Hashable, Fixed] = {}
        self.grams: dict[int, tuple[Array, Array]] = {}  # by the identity of a basis, which is kept for that

    @property
    def whole(self) -> Array:
        """The array."""
        if self._whole is None:
            self._whole = joined([part.whole for part in self.parts], 1)
        return self._whole


def whole(X: Any) -> Array:
    """Return a factor of a term as an array."""
    return X.whole if type(X) is Fixed else X


class Products:
    """Remembers products with arrays that it was told to hold; one step makes one, and drops it at its end.

    What is remembered goes when a foreign array that had a part in it goes, so that matrices made anew for each
    evaluation are not kept alive. An operator is known by the memory that it views, since ``A.T`` is a new object at
    each call, and by a fingerprint of its entries, since a field may write to them. The factors of a LowRank are never
    written to.
    """

    __slots__ = ("__weakref__", "_bases", "_memo", "_operators", "_seen", "_self", "_users", "apart", "recall")

    def __init__(self, operators: Operators | None = None) -> None:
        self.apart: set[tuple[int, int]] = set()
        """The identities of matrices that are orthogonal to each other; often there are none."""
        self._bases: dict[int, Fixed] = {}
        self._memo: dict[Hashable, Any] = {}
        self._users: dict[Hashable, tuple[Any, list[tuple[dict[Any, Any], Hashable]]]] = {id(None): (None, [])}
        self._operators = Operators() if operators is None else operators
        self._seen = self._operators.seen
        self._self = weakref.ref(self)  # no reference leads back here, so that a step's end frees all
        self.recall = self._memo.get
        """Return what is remembered under a key, None where nothing is."""

    @property
    def entries(self) -> int:
        """How many products with foreign arrays are remembered."""
        return len({(id(table), key) for _, made in self._users.values() for table, key in made if key in table})

    def hold(self, X: Array) -> Array:
        """Declare that X stays fixed, with orthonormal columns, and return it."""
        self._bases[id(X)] = Fixed(X)
        self._memo[id(X), id(X)] = None
        return X

    def extended(self, U: Array, U1: Array) -> Array:
        """Return ``[U, U1]``, whose columns are orthonormal, so that products with it reuse those with U."""
        if U1.shape[1] == 0:
            return U
        W = self.hold(joined((U, self.hold(U1)), 1))
        self._bases[id(W)].parts = self._bases[id(U)], self._bases[id(U1)]
        p, a, b, c = U.shape[1], id(U), id(U1), id(W)
        one, memo = eye_like(W.shape[1], U), self._memo
        memo[a, b], memo[b, a] = one[:p, p:], one[p:, :p]
        memo[a, c], memo[c, a] = one[:p, :], one[:, :p]
        memo[b, c], memo[c, b] = one[p:, :], one[:, p:]
        return W

    def beside(self, U: Array, U1: Array) -> None:
        """Declare that U1 stays fixed, with orthonormal columns that are orthogonal to U, which is held."""
        a, b = id(U), id(self.hold(U1))
        self.apart |= {(a, b), (b, a)}

    def orthogonal(self, W: Any, X: Any) -> bool:
        """Whether ``W* X`` is known to be zero."""
        return (id(W), id(X)) in self.apart

    def image(self, A: Any, X: Any, *, star: bool = False) -> Any:
        """Return ``A @ X``, or ``A* @ X``, for an array, a sparse matrix or a ``LinearOperator``."""
        fixed = X if type(X) is Fixed else self._bases.get(id(X))
        if fixed is None and (not star or type(A) is host.ndarray):
            return apply(adjoint(A) if star else A, X)
        known = self._seen.get(id(A))
        if known is None or not known.describes(A):
            known = self._operators.meet(A)
            if known is None:
                return apply(adjoint(A) if star else A, whole(X))
        contents = known.contents()
        if fixed is None:
            return apply(known.adjoint(A, contents), X)
        key = known.name, contents, star
        Z = fixed.images.get(key)
        if Z is None:
            made = self._users.get(known.name) or self._watched(known.name, known.owners)
            Z = _image(known.adjoint(A, contents) if star else A, fixed, key, made[1])
        return Z

    def gram(self, Z: Any, X: Array) -> Array | None:
        """Return ``Z* X``; None is the identity."""
        if type(Z) is Fixed:
            found = Z.grams.get(id(X))
            if found is not None:
                return found[1]
            basis = self._bases.get(id(X))
            return inner(Z.whole, X) if basis is None else _gram(Z, basis)
        G = self._memo.get((id(Z), id(X)), self)
        if G is self:
            G = inner(Z, X)
            if id(Z) in self._bases or id(X) in self._bases:
                self.remember((id(Z), id(X)), (Z, X), G)
        return G

    def remember(self, key: Hashable, watched: Sequence[Any], value: Array) -> Array:
        """Remember a value for as long as the ``watched`` arrays live, and return it."""
        users, bases = self._users, self._bases  # which live as long as this
        try:
            found = [users.get(id(X)) or self._watched(id(X), (X,)) for X in watched if id(X) not in bases]
        except TypeError:  # a library whose arrays cannot be watched
            return value
        self._memo[key] = value
        for _, made in found:
            made.append((self._memo, key))
        return value

    def _watched(self, place: Hashable, arrays: Sequence[Any]) -> tuple[Any, list[tuple[dict[Any, Any], Hashable]]]:
        """Watch arrays that may go, and return where to write down what then goes with them."""
        forget = partial(_forget, self._self, place)
        users = self._users[place] = [weakref.ref(X, forget) for X in arrays], []
        return users


def _image(A: Any, X: Fixed, key: Hashable, made: list[tuple[dict[Any, Any], Hashable]]) -> Fixed:
    """Return ``A @ X``, of its parts where it has some, and write down that it was made."""
    if X.parts:
        Z = Fixed(None, tuple([part.images.get(key) or _image(A, part, key, made) for part in X.parts]))
    else:
        Z = Fixed(apply(A, X.whole))
    X.images[key] = Z
    made.append((X.images, key))
    return Z


def _gram(Z: Fixed, X: Fixed) -> Array:
    """Return ``Z* X`` for a basis X, from the parts of X with which a product is known, or from those of Z."""
    key = id(X.whole)
    found = Z.grams.get(key)
    if found is not None:
        return found[1]
    if X.parts and id(X.parts[0].whole) in Z.grams:
        G = joined([_gram(Z, part) for part in X.parts], 1)
    elif Z.parts:
        G = joined([_gram(part, X) for part in Z.parts], 0)
    else:
        G = inner(Z.whole, X.whole)
    Z.grams[key] = X.whole, G  # the array, not X: that holds Z, and a step's end is to free both
    return G


def _forget(products: Callable[[], Products | None], place: Hashable, _: Any) -> None:
    """Take out what an array that is gone had a part in."""
    alive = products()
    if alive is not None:
        for table, key in alive._users.pop(place, (None, ()))[1]:
            table.pop(key, None)
