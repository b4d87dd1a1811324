"""One product U S V* of thin factors: the terms of which low-rank matrices are made, and what acts on them."""

from __future__ import annotations

from collections.abc import Sequence
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
)
from matode.reuse import Products, whole

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
    "times_core",
]


class Term(NamedTuple):
    """One product U S V*; S is None for the identity.

    ``products`` marks what comes from a matrix that a step moves: other terms are fixed as a whole.
    """

    U: Array
    S: Array | None
    V: Array
    products: Products | None = None

    def right(self, X: Array) -> Array:
        """Return ``U S V* X``."""
        return self.U @ core_times(self.S, mH(self.V) @ X)

    def left(self, X: Array) -> Array:
        """Return ``V S* U* X``."""
        return self.V @ core_times(None if self.S is None else mH(self.S), mH(self.U) @ X)

    def galerkin(self, W: Array, X: Array) -> Array:
        """Return ``W* U S V* X``."""
        return (mH(W) @ self.U) @ core_times(self.S, mH(self.V) @ X)


def right_product(terms: Sequence[Term], X: Array, products: Products | None) -> Array:
    """Return the sum of the terms times X, with what ``products`` remembers."""
    if products is None:
        return total([term.right(X) for term in terms])
    made, known = None, []
    for term in terms:
        U, S, V, moved = term
        if moved is None:
            known.append(_fixed("right", term, (X,), products))
            continue
        core = products.gram(V, X)
        if S is not None:
            core = S if core is None else S @ core
        if core is None:
            known.append(whole(U))
        else:
            made = accumulated(made, whole(U) @ core)
    return total(known, made)


def left_product(terms: Sequence[Term], X: Array, products: Products | None) -> Array:
    """Return the conjugate transpose of the sum of the terms times X, with what ``products`` remembers."""
    if products is None:
        return total([term.left(X) for term in terms])
    made, known = None, []
    for term in terms:
        U, S, V, moved = term
        if moved is None:
            known.append(_fixed("left", term, (X,), products))
            continue
        core = products.gram(U, X)
        if S is not None:
            core = mH(S) if core is None else mH(S) @ core
        if core is None:
            known.append(whole(V))
        else:
            made = accumulated(made, whole(V) @ core)
    return total(known, made)


def galerkin_product(terms: Sequence[Term], W: Array, X: Array, products: Products | None) -> Array:
    """Return ``W*`` times the sum of the terms times X, with what ``products`` remembers."""
    if products is None:
        return total([term.galerkin(W, X) for term in terms])
    made, known = None, []
    for term in terms:
        U, S, V, moved = term
        if moved is None:
            known.append(_fixed("galerkin", term, (W, X), products))
            continue
        outer, inner = products.gram(W, U), products.gram(V, X)
        core = inner if S is None else S if inner is None else S @ inner
        if outer is not None and core is not None:
            made = accumulated(made, outer @ core)
        elif core is not None and core is not S and core is not inner:
            made = accumulated(made, core)
        elif core is None and outer is None:
            known.append(eye_like(X.shape[1], X))
        else:
            known.append(outer if core is None else core)
    return total(known, made)


def _fixed(action: str, term: Term, thin: tuple[Array, ...], products: Products) -> Array:
    """Return what a term that is fixed as a whole makes of thin matrices, formed once."""
    U, S, V, _ = term
    key = (action, id(U), id(S), id(V), *map(id, thin))
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


def of_one_dtype(U: Array, S: Array | None, V: Array, products: Products | None) -> Term:
    """Return the term with one dtype."""
    if U.dtype == V.dtype and (S is None or S.dtype == U.dtype):
        return Term(U, S, V, products)
    dtype = namespace(U).result_type(U, V) if S is None else namespace(U).result_type(U, S, V)
    return Term(as_dtype(U, dtype), None if S is None else as_dtype(S, dtype), as_dtype(V, dtype), products)


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
