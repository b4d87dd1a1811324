"""What a rank-adaptive step of a fully connected net cannot do without, as calls on arrays of its sizes.

Per low-rank layer (m, n) of rank r at batch b: the products of one forward and one backward pass; per side with q new
directions the complement (Gram matrix, its eigenvectors, one product with them, one repair that projects once more),
the products of the rows with the new columns, and the product of the widened basis with the singular vectors of the
core, or with the few directions that go; the eigenvalues of the core's Gram matrix; the elementwise passes over (b, m)
and (m, q), without one for the bias, which a product can add; the dense head. Where 2 r is above b, the products F V
and F* U need not be formed. All write to arrays that are there; rows lie with the batch last in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

__all__ = ["kernels"]


def kernels(
    sizes: Sequence[int], rank: int, batch: int, new: Sequence[tuple[int, int]]
) -> dict[str, Callable[[], None]]:
    """Return the kernels of one step by kind: "passes", "complements", "cores" and "updates"; to be timed in turn.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of features, the input's first.
    rank, batch : int
    new : sequence of (int, int)
        How many columns the step adds to U and V, by layer without the head.
    """
    rng = np.random.default_rng(0)
    shapes = list(pairwise(sizes[:-1]))
    layers = [
        _Layer(m, n, rank, batch, q, rng, first=i == 0) for i, ((n, m), q) in enumerate(zip(shapes, new, strict=True))
    ]
    head = _Head(sizes[-1], sizes[-2], batch, rng)

    def passes() -> None:
        for layer in layers:
            layer.forward()
        head.both()
        for layer in layers:
            layer.backward()

    def complements() -> None:
        for layer in layers:
            layer.left.complement()
            layer.right.complement()

    def cores() -> None:
        for layer in layers:
            layer.core()

    def updates() -> None:
        for layer in layers:
            layer.left.update()
            layer.right.update()

    return {"passes": passes, "complements": complements, "cores": cores, "updates": updates}


def _array(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


def _empty(*shape: int) -> np.ndarray:
    return np.empty(shape, np.float32)


class _Head:
    """The last layer, dense."""

    def __init__(self, m: int, n: int, b: int, rng: np.random.Generator) -> None:
        self.W, self.x, self.delta = _array(rng, m, n), _array(rng, n, b), _array(rng, m, b)
        self.scores, self.dx, self.G = _empty(m, b), _empty(n, b), _empty(m, n)

    def both(self) -> None:
        np.matmul(self.W, self.x, out=self.scores)
        np.matmul(self.W.T, self.delta, out=self.dx)
        np.matmul(self.delta, self.x.T, out=self.G)
        np.multiply(self.G, 1e-2, out=self.G)
        np.add(self.W, self.G, out=self.G)


class _Side:
    """A basis of a layer, (m, r), that gets q new columns from ``rows``, (m, b)."""

    def __init__(self, m: int, r: int, q: int, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.rows, b = rows, rows.shape[1]
        self.U, _ = np.linalg.qr(_array(rng, m, r))
        self.coordinates = _array(rng, r, b)
        self.formed = None if b < 2 * r else _array(rng, m, r)
        X = rows if self.formed is None else self.formed
        self.X, k = X, X.shape[1]
        self.inside, self.gram = _array(rng, r, r), _empty(k, k)
        self.square = rng.standard_normal((k, k))
        self.square = self.square @ self.square.T
        self.mixing, self.known = rng.standard_normal((k, r)), rng.standard_normal((r, k))
        self.lead = rng.standard_normal((k, q)) if 4 * q < k else None
        self.T, self.within, self.small = _array(rng, k, q), _array(rng, r, q), _array(rng, q, q)
        self.N, self.Q, self.projected = _empty(m, q), _empty(m, q), _empty(m, q)
        self.overlap, self.defect = _empty(r, q), _empty(q, q)
        self.met = _empty(q, b)
        self.few = (r + q) * q + q * r < (r + q) * r  # turned by a reflector
        self.first, self.second = _array(rng, r, q if self.few else r), _array(rng, q, q if self.few else r)
        self.back = _array(rng, q, r)
        self.turned, self.part, self.moved = _empty(m, r), _empty(m, self.first.shape[1]), _empty(m, r)

    def complement(self) -> None:
        """Form the new columns: by eigenvectors of the Gram matrix, then projected and orthonormalised once more."""
        if self.formed is None:
            np.matmul(self.X.T, self.X, out=self.gram)
            self.gram.astype(np.float64) - self.known.T @ self.known
            root = np.linalg.cholesky(self.square)
            np.linalg.inv(root)
            C = root.T @ self.mixing
            C @ C.T
        else:
            np.matmul(self.U.T, self.X, out=self.inside)
            np.matmul(self.X.T, self.X, out=self.gram)
        if self.lead is None:
            np.linalg.eigh(self.square)
        else:  # few directions of many: two products find them, as a pivoted factorisation does
            self.square @ (self.square @ self.lead)
            np.linalg.eigh(self.lead.T @ self.lead)
        np.matmul(self.X, self.T, out=self.N)
        np.matmul(self.U, self.within, out=self.projected)
        np.subtract(self.N, self.projected, out=self.N)
        np.matmul(self.U.T, self.N, out=self.overlap)
        np.matmul(self.N.T, self.N, out=self.defect)
        np.matmul(self.N, self.small, out=self.Q)
        np.matmul(self.U, self.within, out=self.projected)
        np.subtract(self.Q, self.projected, out=self.Q)

    def meet(self) -> None:
        """Form the rows' products with the new columns."""
        np.matmul(self.Q.T, self.rows, out=self.met)

    def update(self) -> None:
        """Turn the widened basis to what is kept."""
        target = self.part if self.few else self.moved
        np.matmul(self.U, self.first, out=target)
        np.matmul(self.Q, self.second, out=self.turned[:, : target.shape[1]] if self.few else self.turned)
        np.add(target, self.turned[:, : target.shape[1]], out=target)
        if self.few:
            np.matmul(self.part, self.back, out=self.moved)
            np.subtract(self.U, self.moved, out=self.moved)


class _Layer:
    def __init__(
        self, m: int, n: int, r: int, b: int, q: tuple[int, int], rng: np.random.Generator, *, first: bool
    ) -> None:
        self.first = first
        self.x, self.delta = _array(rng, n, b), _array(rng, m, b)
        self.left, self.right = _Side(m, r, q[0], self.delta, rng), _Side(n, r, q[1], self.x, rng)
        self.S = _array(rng, r, r)
        self.y, self.dx, self.mask, self.ones = _empty(m, b), _empty(n, b), self.delta > 0, np.ones(b, np.float32)
        self.scaled = _empty(r, b)
        self.G = rng.standard_normal((r + q[0], r + q[1]))
        self.vectors = rng.standard_normal((r + q[1], r))

    def forward(self) -> None:
        np.matmul(self.right.U.T, self.x, out=self.right.coordinates)
        np.matmul(self.S, self.right.coordinates, out=self.scaled)
        np.matmul(self.left.U, self.scaled, out=self.y)
        np.clip(self.y, 0.0, np.inf, out=self.y)

    def backward(self) -> None:
        self.y[...] = self.mask
        np.multiply(self.delta, self.y, out=self.y)
        self.y @ self.ones
        np.matmul(self.left.U.T, self.delta, out=self.left.coordinates)
        if not self.first:
            np.matmul(self.S, self.left.coordinates, out=self.scaled)
            np.matmul(self.right.U, self.scaled, out=self.dx)
        if self.left.formed is not None:
            np.matmul(self.delta, self.right.coordinates.T, out=self.left.formed)
            np.matmul(self.x, self.left.coordinates.T, out=self.right.formed)

    def core(self) -> None:
        """Form the new blocks of the core, and its singular vectors by the eigenvectors of its Gram matrix."""
        self.left.meet()
        self.right.meet()
        for left in (self.left.coordinates, self.left.met):
            for right in (self.right.coordinates, self.right.met):
                left @ right.T
        np.linalg.eigh(self.G.T @ self.G)
        self.G @ self.vectors
