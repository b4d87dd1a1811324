"""What a rank-adaptive step of a fully connected net cannot do without, as calls on arrays of its sizes.

Per low-rank layer (m, n) of rank r at batch b: the products of one forward and one backward pass; the elementwise
passes over (b, m), without those for the bias, which products can add; the eigenvalues of the core's Gram matrix; the
dense head. All write to arrays that are there; rows lie with the batch last in memory. Per side, where q = min(b, r)
new columns need not be formed,

- for fewer than 2 r rows, their Gram matrix and its root; else the part outside of the basis of r combinations of them,
  which takes two products, that of it with the rows, and the roots of two matrices of r x r;
- the product of the old basis, and of the rows or the combinations, with the singular vectors of the core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

__all__ = ["kernels"]


def kernels(sizes: Sequence[int], rank: int, batch: int) -> dict[str, Callable[[], None]]:
    """Return the kernels of one step by kind: "passes", "complements", "cores" and "updates"; to be timed in turn.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of features, the input's first.
    rank, batch : int
    """
    rng = np.random.default_rng(0)
    shapes = list(pairwise(sizes[:-1]))
    layers = [_Layer(m, n, rank, batch, rng, first=i == 0) for i, (n, m) in enumerate(shapes)]
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
    """A basis of a layer, (m, r), that gets new columns from ``rows``, (m, b)."""

    def __init__(self, m: int, r: int, rows: np.ndarray, rng: np.random.Generator) -> None:
        self.rows, b = rows, rows.shape[1]
        self.q = q = min(b, r)
        self.few = b < 2 * r
        self.U, _ = np.linalg.qr(_array(rng, m, r))
        self.coordinates, self.met = _array(rng, r, b), _array(rng, q, b)
        self.gram, self.inside, self.mixing = _empty(b, b), rng.standard_normal((r, b)), rng.standard_normal((b, r))
        self.square = rng.standard_normal((q, q))
        self.square = self.square @ self.square.T
        self.T, self.kept = rng.standard_normal((b if self.few else q, q)), rng.standard_normal((r + q, r))
        self.outside, self.projected = _empty(m, r), _empty(m, r)
        self.turned, self.moved = _empty(m, r), _empty(m, r)

    def complement(self) -> None:
        """Form what makes the new columns, without forming them, and the rows' products with them."""
        if self.few:
            np.matmul(self.rows.T, self.rows, out=self.gram)
            G = self.gram.astype(np.float64) - self.inside.T @ self.inside
            if self.q < len(G):
                self.mixing.T @ (G @ self.mixing)
                G @ self.T
            self._root()
            return
        self.mixing.T @ self.mixing
        C = (self.mixing @ self._root()).astype(np.float32)
        np.matmul(self.rows, C, out=self.outside)
        np.matmul(self.U, (self.inside @ C).astype(np.float32), out=self.projected)
        np.subtract(self.outside, self.projected, out=self.outside)
        np.matmul(self.outside.T, self.rows, out=self.met)
        self.met.astype(np.float64) @ self.mixing
        self.met.T.astype(np.float64) @ self._root()

    def update(self) -> None:
        """Form what is kept, from the old basis and the rows or their combinations."""
        r = self.U.shape[1]
        A, C = self.kept[:r, :], self.T @ self.kept[r:, :]
        if self.few:
            A = A - self.inside @ C
        np.matmul(self.U, A.astype(np.float32), out=self.moved)
        np.matmul(self.rows if self.few else self.outside, C.astype(np.float32), out=self.turned)
        np.add(self.moved, self.turned, out=self.moved)

    def _root(self) -> np.ndarray:
        return np.linalg.inv(np.linalg.cholesky(self.square))


class _Layer:
    def __init__(self, m: int, n: int, r: int, b: int, rng: np.random.Generator, *, first: bool) -> None:
        self.first = first
        self.x, self.delta = _array(rng, n, b), _array(rng, m, b)
        self.left, self.right = _Side(m, r, self.delta, rng), _Side(n, r, self.x, rng)
        self.S = _array(rng, r, r)
        self.y, self.dx, self.mask = _empty(m, b), _empty(n, b), self.delta > 0
        self.scaled = _empty(r, b)
        self.G = rng.standard_normal((r + self.left.q, r + self.right.q))
        self.vectors = rng.standard_normal((r + self.right.q, r))

    def forward(self) -> None:
        np.matmul(self.right.U.T, self.x, out=self.right.coordinates)
        np.matmul(self.S, self.right.coordinates, out=self.scaled)
        np.matmul(self.left.U, self.scaled, out=self.y)
        np.clip(self.y, 0.0, np.inf, out=self.y)

    def backward(self) -> None:
        self.y[...] = self.mask
        np.multiply(self.delta, self.y, out=self.y)
        np.matmul(self.left.U.T, self.delta, out=self.left.coordinates)
        if not self.first:
            np.matmul(self.S, self.left.coordinates, out=self.scaled)
            np.matmul(self.right.U, self.scaled, out=self.dx)

    def core(self) -> None:
        """Form the new blocks of the core, and its singular vectors by the eigenvectors of its Gram matrix."""
        for left in (self.left.coordinates, self.left.met):
            for right in (self.right.coordinates, self.right.met):
                left @ right.T
        np.linalg.eigh(self.G.T @ self.G)
        self.G @ self.vectors
