"""One product U S V* of thin factors: the terms of which low-rank matrices are made, and what acts on them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from matode._array import (
    Array,
    accumulated,
    as_dtype,
    eye_like,
    is_array,
    is_floating,
    mH,
    namespace,
    total,
    zeros_like_shape,
)
from matode.reuse import Products, whole
from matode.rows import combined, inner

__all__ = [
    "Term",
    "checked",
    "core_times",
    "galerkin_product",
    "kron",
    "left_product",
    "of_one_dtype",
    "right_product",
    "row_products",
    "term_of",
    "times_core",
]


class Term(NamedTuple):
    """One product ``scale U S V*``; S is None for the identity.

    ``products`` marks what comes from a matrix that a step moves: other terms are fixed, but for their scale.
    """

    U: Array
    S: Array | None
    V: Array
    products: Products | None = None
    scale: complex = 1.0

    def plain(self) -> Term:
        """Return the same product with arrays for factors, and nothing in front of them."""
        U, S, V = whole(self.U), self.S, whole(self.V)
        if self.scale != 1.0:
            S = self.scale * (eye_like(U.shape[1], U) if S is None else S)
        return Term(U, S, V, self.products)

    def right(self, X: Array) -> Array:
        """Return ``U S V* X``, without the scale."""
        return combined([self.U], [core_times(self.S, inner(self.V, X))])

    def left(self, X: Array) -> Array:
        """Return ``V S* U* X``, without the scale."""
        return combined([self.V], [core_times(None if self.S is None else mH(self.S), inner(self.U, X))])

    def galerkin(self, W: Array, X: Array) -> Array:
        """Return ``W* U S V* X``, without the scale."""
        return inner(W, self.U) @ core_times(self.S, inner(self.V, X))


term_of = partial(tuple.__new__, Term)
"""``Term(*values)`` from all five values as one tuple: half the time, in what every stage does several times."""


def right_product(terms: Sequence[Term], X: Array, products: Products | None) -> Array:
    """Return the sum of the terms times X, with what ``products`` remembers."""
    parts: list[Array] = []
    cores: list[Array | None] = []
    for term in terms:
        U, S, V, moved, c = term
        if moved is None or products is None:
            Z, core = _acted("right", term, (X,), products), None
        else:
            Z, core = whole(U), products.gram(V, X)
            if S is not None:
                core = S if core is None else S @ core
        if c != 1.0:
            Z, core = (c * Z, None) if core is None else (Z, c * core)
        parts.append(Z)
        cores.append(core)
    return combined(parts, cores)


def left_product(terms: Sequence[Term], X: Array, products: Products | None) -> Array:
    """Return the conjugate transpose of the sum of the terms times X, with what ``products`` remembers."""
    parts: list[Array] = []
    cores: list[Array | None] = []
    for term in terms:
        U, S, V, moved, c = term
        if moved is None or products is None:
            Z, core = _acted("left", term, (X,), products), None
        else:
            Z, core = whole(V), products.gram(U, X)
            if S is not None:
                core = mH(S) if core is None else mH(S) @ core
        if c != 1.0:
            c = c.conjugate()
            Z, core = (c * Z, None) if core is None else (Z, c * core)
        parts.append(Z)
        cores.append(core)
    return combined(parts, cores)


def galerkin_product(terms: Sequence[Term], W: Array, X: Array, products: Products | None) -> Array:
    """Return ``W*`` times the sum of the terms times X, with what ``products`` remembers."""
    made, known = None, []
    for term in terms:
        U, S, V, moved, c = term
        if moved is None or products is None:
            core = _acted("galerkin", term, (W, X), products)
        elif products.apart and (products.orthogonal(W, U) or products.orthogonal(V, X)):
            continue
        else:
            outer, inner = products.gram(U, W), products.gram(V, X)
            core = inner if S is None else S if inner is None else S @ inner
            if outer is not None:
                core = mH(outer) if core is None else mH(outer) @ core
            elif core is None:
                core = eye_like(X.shape[1], X)
        if c == 1.0:
            known.append(core)
        else:
            made = accumulated(made, c * core)
    return total(known, made) if known or made is not None else zeros_like_shape((W.shape[1], X.shape[1]), X)


def _acted(action: str, term: Term, thin: tuple[Array, ...], products: Products | None) -> Array:
    """Return what a term that is fixed, but for its scale, makes of thin matrices: formed once in a step."""
    if products is None:
        return getattr(term, action)(*thin)
    U, S, V = term[:3]
    key = (action, id(U), id(S), id(V), id(thin[0]), id(thin[-1]))
    found = products.recall(key)
    if found is None:
        found = products.remember(key, (U, S, V, *thin), getattr(term, action)(*thin))
    return found


def checked(U: Array, S: Array | None, V: Array) -> Term:
    """Return the term with one dtype, after checking that the shapes fit."""
    given: list[tuple[str, Any]] = [("U", U), ("V", V), *([] if S is None else [("S", S)])]
    for name, X in given:
        if not is_array(X):
            raise TypeError(f"{name} must be an array, got {type(X).__name__}")
        if X.ndim != 2:
            raise ValueError(f"{name} must be a matrix, got {X.ndim} dimensions (shape {tuple(X.shape)})")
        if not is_floating(X):
            raise TypeError(f"{name} must have a real or complex floating-point dtype, got {X.dtype}")
    namespace(U, V) if S is None else namespace(U, S, V)  # raises a TypeError where the libraries differ
    p, q = U.shape[1], V.shape[1]
    if (p != q) if S is None else (tuple(S.shape) != (p, q)):
        core = "the identity" if S is None else f"{tuple(S.shape)}"
        raise ValueError(f"U {tuple(U.shape)}, S {core} and V {tuple(V.shape)} do not fit: S must be {(p, q)}")
    return of_one_dtype(U, S, V, None)


def of_one_dtype(U: Array, S: Array | None, V: Array, products: Products | None, scale: complex = 1.0) -> Term:
    """Return the term with one dtype."""
    if U.dtype == V.dtype and (S is None or S.dtype == U.dtype):
        return Term(U, S, V, products, scale)
    dtype = namespace(U).result_type(U, V) if S is None else namespace(U).result_type(U, S, V)
    return Term(as_dtype(U, dtype), None if S is None else as_dtype(S, dtype), as_dtype(V, dtype), products, scale)


def core_times(S: Array | None, X: Array) -> Array:
    """Return ``S @ X``, where S may be None for the identity."""
    return X if S is None else S @ X


def times_core(X: Array, S: Array | None) -> Array:
    """Return ``X @ S``, where S may be None for the identity."""
    return X if S is None else X @ S


def row_products(U: Array, W: Array) -> Array:
    """Return all products of a column of U with a column of W, row by row: (m, p), (m, q) -> (m, p q)."""
    xp = namespace(U, W)
    return xp.reshape(U[:, :, None] * W[:, None, :], (U.shape[0], U.shape[1] * W.shape[1]))


def kron(S: Array, T: Array) -> Array:
    """Return the Kronecker product, (p k, q l) for S (p, q) and T (k, l)."""
    xp = namespace(S, T)
    return xp.reshape(S[:, None, :, None] * T[None, :, None, :], (S.shape[0] * T.shape[0], S.shape[1] * T.shape[1]))
