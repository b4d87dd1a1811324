"""Low-rank matrices Y = U S V* and their arithmetic, which never forms an m x n array."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, reduce
from operator import add
from typing import Any

from matode import linalg
from matode._array import (
    Array,
    Backend,
    adjoint,
    apply,
    as_dtype,
    default_rng,
    device_of,
    eye_like,
    from_host,
    get_backend,
    host,
    is_array,
    is_complex,
    is_sparse,
    mH,
    namespace,
    normal,
    to_host,
    zeros_like_shape,
)
from matode.entrywise import power
from matode.evaluations import Lazy, Operator
from matode.reuse import Fixed, Products, whole
from matode.terms import (
    Term,
    checked,
    galerkin_product,
    kron,
    left_product,
    of_one_dtype,
    right_product,
    row_products,
    term_of,
    times_core,
)
from matode.truncation import Truncation

__all__ = ["LowRank"]

_new = object.__new__


class LowRank(Lazy):
    """An immutable m x n matrix ``Y = U S V*`` of low rank.

    Parameters
    ----------
    U : (m, p) array
        Any columns; the integrators keep them orthonormal.
    S : (p, q) array or None
        The core: need not be square, diagonal or invertible. None is the identity.
    V : (n, q) array
        Any columns. Note the star: ``Y = U @ S @ V.conj().T``.

    Raises
    ------
    TypeError
        If a factor is no array, or not of a floating-point dtype.
    ValueError
        If the shapes do not fit together.

    Notes
    -----
    ``A @ Y``, ``Y @ B``, ``Y + Z``, ``c * Y``, ``Y * Z`` (entry by entry), ``Y.mT`` and ``Y.mH`` are low-rank values
    again; ``Y**k`` is one while that is cheaper (:mod:`matode.entrywise`, which also has products that choose). Sums
    are kept as lists of terms; their factors are put side by side only when ``U``, ``S`` or ``V`` is asked for. Adding
    a dense or sparse matrix gives a lazy sum, which a field may return. A value is an
    :class:`~matode.protocols.Evaluation` of itself.

    The arrays are not copied: do not change them afterwards.

    Examples
    --------
    >>> import numpy as np
    >>> Y = LowRank(np.ones((4, 1)), np.eye(1), np.ones((3, 1)))
    >>> (2 * Y + Y).to_dense()[0, 0].item()
    3.0
    """

    _terms: tuple[Term, ...]

    head: Array
    """The first left factor: an array to ask for dtype, device and namespace, without joining a sum."""

    products: Products | None
    """What the step that moves this matrix remembers; None outside of a step."""

    def __init__(self, U: Array, S: Array | None, V: Array) -> None:
        term = checked(U, S, V)
        _made((term,), None, term.U, (U.shape[0], V.shape[0]), self)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a LowRank cannot be changed: make a new one instead of setting {name!r}")

    @classmethod
    def _of(cls, *terms: Term) -> LowRank:
        """Make a value of terms that are known to be consistent."""
        U, V = terms[0].U, terms[0].V
        products = next((term.products for term in terms if term.products is not None), None)
        return _made(terms, products, _head(U), (U.shape[0], V.shape[0]))

    @classmethod
    def from_dense(cls, A: Array, truncation: Truncation) -> LowRank:
        """Return the truncated singular value decomposition of an m x n array."""
        P, s, Q, _ = linalg.truncated_svd(A, truncation)
        return cls(P, _diagonal(s, A), Q)

    @classmethod
    def random(
        cls,
        shape: tuple[int, int],
        rank: int,
        *,
        singular_values: Sequence[float] | None = None,
        rng: Any = None,
        dtype: str = "float64",
        backend: Backend | None = None,
    ) -> LowRank:
        """Draw Haar-distributed orthonormal bases around given singular values, in a random gauge (S is dense).

        Parameters
        ----------
        shape : (m, n)
            Both at least ``rank``.
        rank : int
            Number of columns of U and V.
        singular_values : sequence of float, optional
            As many as ``rank``; all ones where not given.
        rng : seed or numpy.random.Generator, optional
            The same seed gives the same matrix on every backend.
        dtype : str
            ``"float32"``, ``"float64"``, ``"complex64"`` or ``"complex128"``.
        backend : Backend, optional
            Where to put it; NumPy where not given.
        """
        m, n = shape
        if not 1 <= rank <= min(m, n):
            raise ValueError(f"a random matrix of shape {shape} needs a rank between 1 and {min(m, n)}, got {rank}")
        s = [1.0] * rank if singular_values is None else list(singular_values)
        if len(s) != rank:
            raise ValueError(f"expected {rank} singular values, one per column, got {len(s)}")
        backend = get_backend() if backend is None else backend
        rng = default_rng(rng)
        U, V, P, Q = (_haar(rng, k, rank, backend, dtype) for k in (m, n, rank, rank))
        return cls(U, (P * from_host(s, P, P.dtype)[None, :]) @ mH(Q), V)

    @cached_property
    def _plain(self) -> tuple[Term, ...]:
        """The terms with arrays for factors, and nothing in front of them."""
        return tuple([term.plain() for term in self._terms])

    @property
    def _joined(self) -> Term:
        """The factors, put side by side where the value is a sum."""
        if len(self._terms) == 1 and self._plain[0].S is not None:
            return self._plain[0]
        return self._side_by_side

    @cached_property
    def _side_by_side(self) -> Term:
        if len(self._terms) == 1:
            U, _, V, products, _ = self._plain[0]
            return Term(U, eye_like(U.shape[1], U), V, products)
        xp, terms = namespace(self.head), self._plain
        cores = [eye_like(t.U.shape[1], t.U) if t.S is None else t.S for t in terms]
        widths = [S.shape[1] for S in cores]
        rows = []
        for i, S in enumerate(cores):
            before, after = sum(widths[:i]), sum(widths[i + 1 :])
            parts = [zeros_like_shape((S.shape[0], before), S), S, zeros_like_shape((S.shape[0], after), S)]
            rows.append(xp.concat(parts, axis=1))
        return Term(
            xp.concat([term.U for term in terms], axis=1),
            xp.concat(rows, axis=0),
            xp.concat([term.V for term in terms], axis=1),
        )

    @property
    def U(self) -> Array:
        """Left factor, (m, p)."""
        return whole(self._terms[0].U) if len(self._terms) == 1 else self._side_by_side.U

    @property
    def S(self) -> Array:
        """Core, (p, q)."""
        return self._joined.S

    @property
    def V(self) -> Array:
        """Right factor, (n, q)."""
        return whole(self._terms[0].V) if len(self._terms) == 1 else self._side_by_side.V

    @property
    def terms(self) -> tuple[tuple[Array, Array | None, Array], ...]:
        """The products U S V* whose sum the value is, as (U, S, V) with None for the identity."""
        return tuple(term[:3] for term in self._plain)

    @classmethod
    def moving(cls, U: Array, S: Array | None, V: Array, products: Products | None = None) -> LowRank:
        """Return ``U S V*`` as the matrix that a step moves: it may hold some of the factors in ``products``.

        The factors are not checked: they must fit.
        """
        return _made((term_of((U, S, V, products, 1.0)),), products, U, (U.shape[0], V.shape[0]))

    @property
    def rank(self) -> int:
        """Width of the factorisation, min(p, q): an upper bound of the rank of the matrix."""
        p, q = (
            sum(int(F.shape[1]) for F in factors) for factors in zip(*((t.U, t.V) for t in self._terms), strict=True)
        )
        return min(p, q)

    @property
    def dtype(self) -> Any:
        """The dtype that all factors share."""
        return self.head.dtype

    @property
    def device(self) -> Any:
        """The device that all factors share."""
        return device_of(self.head)

    @property
    def mH(self) -> LowRank:
        """The conjugate transpose."""
        return LowRank._of(*(Term(V, None if S is None else mH(S), U, P) for U, S, V, P, _ in self._plain))

    @property
    def mT(self) -> LowRank:
        """The transpose."""
        return self.conj().mH

    T = mT

    def conj(self) -> LowRank:
        """Return the complex conjugate."""
        if not is_complex(self.head):
            return self
        xp = namespace(self.head)
        return LowRank._of(
            *(Term(xp.conj(U), None if S is None else xp.conj(S), xp.conj(V)) for U, S, V, _, _ in self._plain)
        )

    def astype(self, dtype: Any) -> LowRank:
        """Return the value with another dtype (an array-API dtype of its namespace)."""
        return LowRank._of(
            *(
                Term(as_dtype(U, dtype), None if S is None else as_dtype(S, dtype), as_dtype(V, dtype))
                for U, S, V, _, _ in self._plain
            )
        )

    def right(self, V: Array) -> Array:
        """Return ``Y @ V`` as a dense (m, k) array, for a thin ``V`` of shape (n, k)."""
        Y = self
        if V.dtype != self.head.dtype:
            Y, V = self._promoted(V)
        return right_product(Y._terms, V, Y.products)

    def left(self, U: Array) -> Array:
        """Return ``Y* @ U`` as a dense (n, k) array, for a thin ``U`` of shape (m, k)."""
        Y = self
        if U.dtype != self.head.dtype:
            Y, U = self._promoted(U)
        return left_product(Y._terms, U, Y.products)

    def galerkin(self, U: Array, V: Array) -> Array:
        """Return ``U* @ Y @ V``, (k, l)."""
        Y = self
        if not U.dtype == V.dtype == self.head.dtype:
            Y, U = self._promoted(U)
            Y, V = Y._promoted(V)
        return galerkin_product(Y._terms, U, V, Y.products)

    def _promoted(self, X: Array) -> tuple[LowRank, Array]:
        """Return the value and X in the dtype that products of the two have: not every library promotes by itself."""
        dtype = namespace(X, self.head).result_type(X, self.head)
        return (self if self.dtype == dtype else self.astype(dtype)), as_dtype(X, dtype)

    def factors(self) -> LowRank:
        """Return the value itself: it is its own low-rank form."""
        return self

    def to_dense(self) -> Array:
        """Return the m x n array."""
        return reduce(add, (times_core(t.U, t.S) @ mH(t.V) for t in self._plain))

    full = to_dense

    def entries(self, rows: Array, columns: Array) -> Array:
        """Return the entries Y[rows[k], columns[k]], (k,), without forming the others."""
        xp = namespace(self.head)
        values = [
            xp.sum(
                xp.take(times_core(t.U, t.S), rows, axis=0)
                * xp.take(xp.conj(t.V) if is_complex(t.V) else t.V, columns, axis=0),
                axis=1,
            )
            for t in self._plain
        ]
        return reduce(add, values)

    def inner(self, other: LowRank) -> Any:
        """Return the Frobenius inner product ``<Y, Z> = trace(Y* Z)`` as a Python number."""
        if self.shape != other.shape:
            raise ValueError(f"the inner product needs equal shapes, got {self.shape} and {other.shape}")
        self, other = _promoted(self, other)
        xp = namespace(self.U)
        value = xp.sum((xp.conj(self.S) if is_complex(self.S) else self.S) * other.galerkin(self.U, self.V))
        return complex(value) if is_complex(value) else float(value)

    def norm(self) -> float:
        """Return the Frobenius norm, accurate to rounding also for a sum whose terms cancel."""
        _, R_U = linalg.qr(self.U)
        _, R_V = linalg.qr(self.V)
        return float(namespace(R_U).linalg.matrix_norm(R_U @ self.S @ mH(R_V)))

    def orthonormal(self) -> LowRank:
        """Return the same matrix with orthonormal bases (the core is then square or rectangular, not diagonal)."""
        Q_U, R_U = linalg.qr(self.U)
        Q_V, R_V = linalg.qr(self.V)
        return LowRank._of(Term(Q_U, R_U @ self.S @ mH(R_V), Q_V))

    def truncate(self, rule: Truncation) -> LowRank:
        """Return the best approximation of the rank that ``rule`` picks, with orthonormal bases and diagonal core."""
        if not isinstance(rule, Truncation):
            raise TypeError(f"expected a rule (Rank, Absolute or Relative), got {type(rule).__name__}")
        Y = self.orthonormal()
        P, s, Q, _ = linalg.truncated_svd(Y.S, rule)
        return LowRank._of(Term(Y.U @ P, _diagonal(s, P), Y.V @ Q))

    def singular_values(self) -> host.ndarray:
        """Return the min(p, q) leading singular values, descending, on the host."""
        S = self.orthonormal().S
        return to_host(namespace(S).linalg.svdvals(S))

    def _scaled(self, c: Any) -> LowRank:
        if is_array(c):  # a 0-d array stays on its device; a real one must not widen the factors
            c = as_dtype(c, namespace(c).result_type(c, self.head) if is_complex(c) else self.dtype)
        elif isinstance(c, int | float) or is_complex(self.head):
            scaled = tuple([term_of((U, S, V, P, c * k)) for U, S, V, P, k in self._terms])
            return _made(scaled, self.products, self.head, self.shape)
        terms = []
        for U, S, V, P, _ in self._plain:
            terms.append(of_one_dtype(U, c * (eye_like(U.shape[1], U) if S is None else S), V, P))
        return LowRank._of(*terms)

    def _multiplied_left(self, A: Any) -> LowRank:
        if isinstance(A, Lazy):
            if isinstance(A, LowRank):
                return A._multiplied_right(self)
            if not isinstance(A, Operator):
                return LowRank._of(*[of_one_dtype(A.right(U), S, V, P) for U, S, V, P, _ in self._plain])
            A = A.A
        terms = []
        for U, S, V, P, c in self._terms:
            Z = apply(A, U) if P is None else P.image(A, U)
            same = Z.dtype == U.dtype
            terms.append(term_of((Z, S, V, P, c)) if same else of_one_dtype(whole(Z), S, whole(V), P, c))
        U = terms[0][0]
        return _made(tuple(terms), self.products, _head(U), (U.shape[0], self.shape[1]))

    def _multiplied_right(self, B: Any) -> LowRank:
        if isinstance(B, Lazy):
            if isinstance(B, LowRank):
                self, B = _promoted(self, B)
                U, S, V = self._joined[:3]
                return LowRank._of(*[of_one_dtype(U, S @ times_core(mH(V) @ t.U, t.S), t.V, None) for t in B._plain])
            if not isinstance(B, Operator):
                low = B.factors()
                if low is not None:
                    return self._multiplied_right(low)
                return LowRank._of(*[of_one_dtype(U, S, B.left(V), P) for U, S, V, P, _ in self._plain])
            B = B.A
        terms = []
        for U, S, V, P, c in self._terms:
            Z = apply(adjoint(B), V) if P is None else P.image(B, V, star=True)
            same = Z.dtype == V.dtype
            terms.append(term_of((U, S, Z, P, c)) if same else of_one_dtype(whole(U), S, whole(Z), P, c))
        U, _, V = terms[0][:3]
        return _made(tuple(terms), self.products, _head(U), (self.shape[0], V.shape[0]))

    def _hadamard(self, other: Any) -> Any:
        if isinstance(other, Operator):
            other = other.A
        if isinstance(other, LowRank):
            U, S, V = self._joined[:3]
            W, T, Z = other._joined[:3]
            if min(U.shape[1] * W.shape[1], V.shape[1] * Z.shape[1]) >= min(self.shape):  # wider than the matrix itself
                return _in_unit_basis(self.to_dense() * other.to_dense())
            return LowRank(row_products(U, W), kron(S, T), row_products(V, Z))
        if is_sparse(other):  # only the entries of the pattern are needed
            pattern = other.tocoo()
            values = pattern.data * self.entries(pattern.row, pattern.col)
            return Operator(type(pattern)((values, (pattern.row, pattern.col)), shape=self.shape).tocsr())
        if isinstance(other, Lazy):
            return other._hadamard(self)
        return self.to_dense() * other

    def __add__(self, other: Any) -> Any:
        if isinstance(other, LowRank):
            if other.shape != self.shape:
                raise ValueError(f"cannot add low-rank matrices of shapes {self.shape} and {other.shape}")
            x, y = self.head, other.head
            a, b = (self, other) if type(x) is type(y) and x.dtype == y.dtype else _promoted(self, other)
            return _made(a._terms + b._terms, a.products or b.products, a.head, self.shape)
        return super().__add__(other)

    def __sub__(self, other: Any) -> Any:
        return self + (-other) if isinstance(other, LowRank) else super().__sub__(other)

    def __pow__(self, k: int) -> Any:
        """Return the entrywise power: low-rank while that is cheaper, else known by its actions."""
        if not isinstance(k, int) or k < 1:
            return NotImplemented
        return power(self, k)

    def __repr__(self) -> str:
        m, n = self.shape
        return f"LowRank({m} x {n}, rank {self.rank}, {self.dtype})"


def _in_unit_basis(A: Array) -> LowRank:
    """Return a dense matrix with an identity for the basis of its shorter side."""
    m, n = A.shape
    return LowRank(A, None, eye_like(n, A)) if n <= m else LowRank(eye_like(m, A), None, mH(A))


def _made(
    terms: tuple[Term, ...], products: Products | None, head: Array, shape: tuple[int, int], Y: LowRank | None = None
) -> LowRank:
    """Return a value, a new one unless it is given, made of terms that are known to be consistent."""
    Y = _new(LowRank) if Y is None else Y
    fields = Y.__dict__
    fields["_terms"], fields["products"], fields["head"], fields["shape"] = terms, products, head, shape
    return Y


def _head(U: Any) -> Array:
    return U.head if type(U) is Fixed else U


def _promoted(Y: LowRank, Z: LowRank) -> tuple[LowRank, LowRank]:
    """Return both with the dtype that they share."""
    dtype = namespace(Y.head, Z.head).result_type(Y.dtype, Z.dtype)
    return Y if Y.dtype == dtype else Y.astype(dtype), Z if Z.dtype == dtype else Z.astype(dtype)


def _diagonal(s: host.ndarray, like: Array) -> Array:
    return from_host(host.diag(s), like, like.dtype)


def _haar(rng: host.random.Generator, m: int, r: int, backend: Backend, dtype: str) -> Array:
    """Draw a Haar-distributed (m, r) matrix with orthonormal columns."""
    Q, R = host.linalg.qr(normal(rng, (m, r), get_backend(), dtype))
    d = host.diagonal(R)
    return backend.xp.asarray((Q * (d / host.abs(d))).astype(dtype), device=backend.device)
