"""Entrywise powers and products of low-rank matrices, in the form that costs less; neither forms an m x n array.

An entrywise product of degree k has a low rank only while ``r^k`` is small. Equal factors need each product of columns
once, with its multiplicity: ``Y**3`` of rank r has ``r (r + 1) (r + 2) / 6`` columns, not ``r^3``. Where even these
cost more than the m n entries, the value is an :class:`Entrywise`: each action forms the entries anew, some rows at a
time, so that they stay in the cache, and multiplies them as the formula says: ``x * x * x``, never a power function.
One rule decides between the two, :func:`stays_low_rank`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial, reduce
from itertools import combinations_with_replacement
from math import comb, factorial, prod
from operator import add, mul
from typing import TYPE_CHECKING, Any

from matode._array import Array, apply, from_host, host, is_array, is_complex, is_gpu, mH, namespace
from matode.evaluations import Chain, Lazy, as_evaluation

if TYPE_CHECKING:
    from matode.lowrank import LowRank

__all__ = ["Entrywise", "cubic", "power", "product", "stays_low_rank"]

_ENTRIES = 2**16
"""Entries formed at a time on a processor: half a megabyte of float64, which stays in its second-level cache."""

_ENTRIES_ON_GPU = 2**24
"""The same on a GPU, where small pieces cost more in launches than they save."""


class Entrywise(Lazy):
    """A function of the entries of low-rank matrices, ``F_ij = formula(Y_ij, Z_ij, ...)``, known by its actions.

    Parameters
    ----------
    factors : sequence of (W, V)
        Each matrix as ``W V*``, (m, r) and (n, r); all of one dtype.
    formula : callable
        It takes one fresh array of rows for each matrix, which it may overwrite, and returns the rows of F.
    """

    __slots__ = ("_pieces", "formula", "shape")

    def __init__(self, factors: Sequence[tuple[Array, Array]], formula: Callable[..., Array]) -> None:
        self._pieces = tuple(factors)
        self.formula = formula
        W, V = self._pieces[0]
        self.shape = (int(W.shape[0]), int(V.shape[0]))

    @property
    def head(self) -> Array:
        """An array to ask for namespace and device."""
        return self._pieces[0][0]

    def _rows(self) -> Iterator[tuple[slice, Array]]:
        """Yield some rows of F at a time, and where they are."""
        m, n = self.shape
        count = max(1, (_ENTRIES_ON_GPU if is_gpu(self.head) else _ENTRIES) // n)
        stars = [mH(V) for _, V in self._pieces]
        for start in range(0, m, count):
            rows = slice(start, min(start + count, m))
            yield rows, self.formula(*(W[rows, :] @ star for (W, _), star in zip(self._pieces, stars, strict=True)))

    def right(self, V: Array) -> Array:
        """Return ``F @ V``."""
        return self._joined([apply(block, V) for _, block in self._rows()])

    def left(self, U: Array) -> Array:
        """Return ``F* @ U``."""
        star = mH(U)
        return mH(reduce(add, (apply(star[:, rows], block) for rows, block in self._rows())))

    def galerkin(self, U: Array, V: Array) -> Array:
        """Return ``U* @ F @ V``."""
        star = mH(U)
        return reduce(add, (apply(star[:, rows], apply(block, V)) for rows, block in self._rows()))

    def full(self) -> Array:
        """Return the m x n array."""
        return self._joined([block for _, block in self._rows()])

    def _joined(self, blocks: list[Array]) -> Array:
        return blocks[0] if len(blocks) == 1 else namespace(blocks[0]).concat(blocks, axis=0)

    def _scaled(self, c: Any) -> Entrywise:
        return Entrywise(self._pieces, lambda *blocks: c * self.formula(*blocks))

    def _multiplied_left(self, A: Any) -> Chain:
        return Chain(as_evaluation(A, None), self)

    def _multiplied_right(self, B: Any) -> Chain:
        return Chain(self, as_evaluation(B, None))


def stays_low_rank(shape: tuple[int, int], rank: int, width: int) -> bool:
    """Whether ``width`` columns on either side cost fewer operations than the m x n array.

    Parameters
    ----------
    shape : (m, n)
        Shape of the matrix.
    rank : int
        Number of columns from which the m x n array would be formed: ``2 m n rank`` operations.
    width : int
        Number of columns of the low-rank form.

    Notes
    -----
    Both forms are made once and then act on about ``3 rank`` columns, which is what a step with an augmented basis
    asks for: ``6 m n rank`` operations, or ``6 (m + n) rank width``.
    """
    (m, n), acts = shape, 6 * rank
    return width * (m + n) * (2 + acts) <= m * n * (2 * rank + 3 + acts)


def power(Y: LowRank, k: int) -> Any:
    """Return the entrywise power ``Y**k``, k at least 1, as a LowRank or an :class:`Entrywise`."""
    if k == 1:
        return Y
    r = Y.rank
    if not stays_low_rank(Y.shape, r, comb(r + k - 1, k)):
        return Entrywise([_balanced(Y)], partial(_power_of_array, k=k))
    W, V = _balanced(Y)
    columns, counts = _multisets(int(W.shape[1]), k)
    return type(Y)(_products(W, columns) * from_host(counts, W, W.dtype)[None, :], None, _products(V, columns))


def cubic(Y: Any, linear: complex = 0.0, cube: complex = 1.0, *, modulus: bool = False) -> Any:
    """Return ``linear Y + cube Y^3``, entry by entry, or ``linear Y + cube |Y|^2 Y``.

    Parameters
    ----------
    Y : LowRank or array
        An array gives an array.
    linear, cube : number
        Coefficients, complex where Y is.
    modulus : bool
        Use ``|Y|^2 Y`` instead of ``Y^3``. They are the same for real Y.

    Returns
    -------
    LowRank, Entrywise or array
        The form that costs less, see :func:`stays_low_rank`.

    Raises
    ------
    TypeError
        If a coefficient is complex and Y is not.
    """
    if not is_complex(Y if is_array(Y) else Y.head) and (complex(linear).imag or complex(cube).imag):
        raise TypeError("complex coefficients need a complex Y: give the start a complex dtype")
    if is_array(Y):
        return _cubic_of_array(Y, linear, cube, modulus)
    r = Y.rank
    modulus = modulus and is_complex(Y.head)
    width = comb(r + 1, 2) * r if modulus else comb(r + 2, 3)
    if not stays_low_rank(Y.shape, r, width):
        return Entrywise([_balanced(Y)], partial(_cubic_of_array, linear=linear, cube=cube, modulus=modulus))
    if modulus:
        W, V = _balanced(Y)
        columns, counts = _multisets(int(W.shape[1]), 2)
        squares = type(Y)(_products(W, columns) * from_host(counts, W, W.dtype)[None, :], None, _products(V, columns))
        value = squares * Y.conj()
    else:
        value = power(Y, 3)
    return cube * value + linear * Y if linear else cube * value


def product(Y: Any, Z: Any) -> Any:
    """Return the entrywise product of two low-rank matrices, or of two arrays, in the form that costs less."""
    if is_array(Y) or stays_low_rank(Y.shape, Y.rank + Z.rank, Y.rank * Z.rank):
        return Y * Z
    return Entrywise([_balanced(Y), _balanced(Z)], mul)


def _power_of_array(x: Array, k: int) -> Array:
    """Return ``x^k``, k at least 2, by multiplications into one fresh array."""
    found = x * x
    for _ in range(k - 2):
        found *= x
    return found


def _cubic_of_array(x: Array, linear: complex, cube: complex, modulus: bool) -> Array:
    """Return ``x (linear + cube x^2)``; the square is a fresh array and is updated in place."""
    xp = namespace(x)
    if modulus and is_complex(x):
        a, b = xp.real(x), xp.imag(x)
        square = a * a + b * b
        if complex(cube).imag or complex(linear).imag:
            square = xp.astype(square, x.dtype)
    else:
        square = x * x
    square *= cube
    if linear:
        square += linear
    if square.dtype != x.dtype:
        return x * square
    square *= x
    return square


def _balanced(Y: LowRank) -> tuple[Array, Array]:
    """Return W and V with ``Y = W V*``, of as many columns as the narrower factor has."""
    U, S, V = Y.U, Y.S, Y.V
    if S.shape[0] < S.shape[1]:
        return U, V @ (namespace(S).conj(S).mT if is_complex(S) else S.mT)
    return U @ S, V


def _multisets(r: int, k: int) -> tuple[host.ndarray, host.ndarray]:
    """Return all multisets of k out of r columns, (k, count), and how many orders each of them has."""
    columns = list(combinations_with_replacement(range(r), k))
    counts = [factorial(k) / prod(factorial(multiset.count(i)) for i in set(multiset)) for multiset in columns]
    return host.asarray(columns).T, host.asarray(counts)


def _products(X: Array, columns: host.ndarray) -> Array:
    """Return the products of the columns of X that each multiset names, (m, count)."""
    xp = namespace(X)
    parts = [xp.take(X, from_host(index, X), axis=1) for index in columns]
    return prod(parts[1:], start=parts[0])
