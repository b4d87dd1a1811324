"""What a rank-adaptive step of a fully connected net cannot do without, as calls on arrays of its sizes.

Per low-rank layer (m, n) of rank r at batch b, with q = min(r, b) new directions a side: the products of one forward
and one backward pass with F V and F* U, the two complements (projection, one Cholesky QR, one polishing with its
second projection), the products with the new bases, the eigenvalues of the Gram matrix of the core, and the products
of the bases with its singular vectors; the elementwise passes over (b, m) and (n, r); the dense head. All write to
arrays that are there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

__all__ = ["kernels"]


def kernels(sizes: Sequence[int], rank: int, batch: int) -> dict[str, Callable[[], None]]:
    """Return the kernels of one step by kind: "passes", "complements", "cores" and "updates"; to be timed in turn."""
    rng = np.random.default_rng(0)
    layers = [_Layer(m, n, rank, batch, rng, first=i == 0) for i, (n, m) in enumerate(pairwise(sizes[:-1]))]
    x, W = _array(rng, batch, sizes[-2]), _array(rng, sizes[-1], sizes[-2])
    delta, G = _array(rng, batch, sizes[-1]), np.empty_like(W)
    dx, scores = np.empty_like(x), np.empty_like(delta)

    def head() -> None:
        np.matmul(x, W.T, out=scores)
        np.matmul(delta, W, out=dx)
        np.matmul(delta.T, x, out=G)

    def passes() -> None:
        head()
        for layer in layers:
            layer.passes()

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


class _Side:
    """One basis of a layer, (m, r), with q new directions; ``batch`` rows of length m meet it."""

    def __init__(self, m: int, r: int, q: int, rng: np.random.Generator) -> None:
        self.U, _ = np.linalg.qr(_array(rng, m, r))
        self.X, self.T, self.small = _array(rng, m, r), _array(rng, r, r), np.empty((r, r), np.float32)
        self.wide = _array(rng, m, r + q)
        self.rotation, self.new = _array(rng, r + q, r), np.empty((m, r), np.float32)
        self.N, self.Q = np.empty((m, r), np.float32), np.empty((m, q), np.float32)
        self.chosen, self.square = _array(rng, q, q), np.empty((q, q), np.float32)
        self.inside = np.empty((r, q), np.float32)
        self.gram = np.eye(q) * m + 0.1

    def complement(self) -> None:
        """Project on what is outside of range(U), orthonormalise, and do both once more."""
        q = self.Q.shape[1]
        np.matmul(self.U.T, self.X, out=self.small)
        np.matmul(self.U, self.small, out=self.N)
        np.subtract(self.X, self.N, out=self.N)
        N = self.N[:, :q]
        np.matmul(N.T, N, out=self.square)
        np.linalg.inv(np.linalg.cholesky(self.gram))
        np.matmul(N, self.chosen, out=self.Q)
        np.matmul(self.U.T, self.Q, out=self.inside)
        np.matmul(self.Q.T, self.Q, out=self.square)
        np.matmul(self.Q, self.chosen, out=N)
        np.matmul(self.U, self.inside, out=self.Q)
        np.subtract(N, self.Q, out=self.Q)

    def update(self) -> None:
        np.matmul(self.wide, self.rotation, out=self.new)


class _Layer:
    def __init__(self, m: int, n: int, r: int, b: int, rng: np.random.Generator, *, first: bool) -> None:
        q = min(r, b)
        self.first = first
        self.left, self.right = _Side(m, r, q, rng), _Side(n, r, q, rng)
        self.S, self.x, self.delta = _array(rng, r, r), _array(rng, b, n), _array(rng, b, m)
        self.bias, self.y, self.dx = _array(rng, m), np.empty((b, m), np.float32), np.empty((b, n), np.float32)
        self.mask, self.step = self.delta > 0, np.empty((max(m, n), r), np.float32)
        self.coordinates, self.scaled = np.empty((b, r), np.float32), np.empty((b, r), np.float32)
        self.narrow = np.empty((b, q), np.float32)
        self.G = rng.standard_normal((r + q, r + q))
        self.G = self.G @ self.G.T
        self.vectors = rng.standard_normal((r + q, r))

    def passes(self) -> None:
        U, V, X = self.left.U, self.right.U, self.step
        m, n = U.shape[0], V.shape[0]
        np.matmul(self.x, V, out=self.coordinates)
        np.matmul(self.coordinates, self.S, out=self.scaled)
        np.matmul(self.scaled, U.T, out=self.y)
        np.add(self.y, self.bias, out=self.y)
        np.maximum(self.y, 0.0, out=self.y)
        np.multiply(self.delta, self.mask, out=self.y)
        np.sum(self.y, axis=0)
        np.matmul(self.delta, U, out=self.coordinates)
        if not self.first:
            np.matmul(self.coordinates, self.S, out=self.scaled)
            np.matmul(self.scaled, V.T, out=self.dx)
        np.matmul(self.delta.T, self.coordinates, out=X[:m])
        np.matmul(self.x.T, self.coordinates, out=X[:n])

    def core(self) -> None:
        q = self.narrow.shape[1]
        V1, U1 = self.right.wide[:, -q:], self.left.wide[:, -q:]
        np.matmul(self.x, V1, out=self.narrow)
        np.matmul(self.delta, U1, out=self.narrow)
        for rows in (self.coordinates, self.narrow):
            rows.T @ self.narrow
        self.coordinates.T @ self.coordinates
        np.linalg.eigh(self.G)
        self.G @ self.vectors
