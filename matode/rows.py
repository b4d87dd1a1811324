"""Products of tall matrices, in blocks of rows that stay in the cache while they are worked on.

Where the columns are few, such a product moves more numbers than it multiplies. Blocks need no temporary arrays of its
size, and BLAS libraries take the matrices of a small product as they are, where they copy those of a large one first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from matode._array import Array, accumulated, device_of, is_gpu, mH, namespace, store_product, total

__all__ = ["combined", "inner"]

_SMALL = 950_000  # multiplications in a block: OpenBLAS calls a product small up to a million
_THIN = 1600  # multiplications a row: with more, BLAS gains more from a large product than it loses by copies
_TALL = 4096  # rows up to which all is best done at once
_LARGE = 10**6  # numbers of a result that leaves the cache before it is used again


def inner(U: Array, X: Array, *, rows: int | None = None) -> Array:
    """Return ``U* X``, (p, q), of tall matrices.

    Parameters
    ----------
    U : (m, p) array
    X : (m, q) array
    rows : int, optional
        How many are taken at once; where it is not given, what is fastest.
    """
    m = U.shape[0]
    if rows is None and m > _TALL and U is not X:  # BLAS has a way of its own for X* X
        rows = _rows(U, U.shape[1] * X.shape[1])
    if rows is None or rows >= m:
        return mH(U) @ X
    made = None
    for block in _blocks(m, rows):
        made = accumulated(made, mH(U[block, :]) @ X[block, :])
    return made


def combined(
    parts: Sequence[Array], cores: Sequence[Array | None], *, into: Array | None = None, rows: int | None = None
) -> Array:
    """Return ``[*parts] [*cores]``, the sum of the products of each part with its core.

    Parameters
    ----------
    parts : sequence of (m, p_i) arrays
        Tall.
    cores : sequence of (p_i, k) arrays
        None is the identity.
    into : (m, k) array, optional
        May be used for the result. It may be the first of the parts, if that has a core.
    rows : int, optional
        How many are taken at once; where it is not given, what is fastest.
    """
    m = parts[0].shape[0]
    if m <= (_TALL if rows is None else rows):
        return _at_once(parts, cores)
    products = [(X, C) for X, C in zip(parts, cores, strict=True) if C is not None]
    known = [X for X, C in zip(parts, cores, strict=True) if C is None]
    k = products[0][1].shape[1] if products else 0
    if rows is None:
        rows = m if m * k < _LARGE else _rows(parts[0], k * max([X.shape[1] for X, _ in products]))
    if rows >= m or k == 0 or len({X.dtype for X in (*parts, *[C for _, C in products])}) > 1:
        return _at_once(parts, cores)
    made = _empty((m, k), parts[0]) if into is None else into
    more = _empty((rows, k), parts[0])
    for block in _blocks(m, rows):
        store_product(made, block, products[0][0][block, :], products[0][1])
        for X, C in products[1:]:
            few = slice(0, block.stop - block.start)
            store_product(more, few, X[block, :], C)
            made[block, :] += more[few, :]
        for X in known:
            made[block, :] += X[block, :]
    return made


def _at_once(parts: Sequence[Array], cores: Sequence[Array | None]) -> Array:
    made, known = None, []
    for X, C in zip(parts, cores, strict=True):
        if C is None:
            known.append(X)
        else:
            made = X @ C if made is None else accumulated(made, X @ C)
    return total(known, made) if known else made


def _rows(like: Array, work: int) -> int:
    """Return how many rows are best taken at once of a large matrix, if each needs so much work."""
    return _SMALL // work if 0 < work <= _THIN and not is_gpu(like) else like.shape[0]


def _blocks(m: int, rows: int) -> Iterator[slice]:
    """Split m rows into slices of at most so many."""
    for start in range(0, m, rows):
        yield slice(start, min(start + rows, m))


def _empty(shape: tuple[int, int], like: Array) -> Array:
    return namespace(like).empty(shape, dtype=like.dtype, device=device_of(like))
