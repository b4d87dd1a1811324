"""Matrix completion: the gradient flow of a loss that sees only some entries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from matode._array import Array, Backend, default_rng, get_backend, host, namespace, sparse_operator, to_host
from matode.lowrank import LowRank
from matode.problems.problem import Problem

__all__ = ["Completion", "SampledCompletion", "completion"]


@dataclass(frozen=True)
class Completion:
    """The loss ``f(Y) = 1/2 ||M * (Y - D)||^2``, with M in {0, 1}: convex, and its gradient is 1-Lipschitz.

    Attributes
    ----------
    data : (m, n) array
        D.
    mask : (m, n) array
        M, in the dtype of D.
    """

    data: Array
    mask: Array

    def loss(self, Y: Any) -> float:
        """Return f(Y), for a LowRank or an array."""
        residual = self._residual(Y)
        xp = namespace(residual)
        return 0.5 * float(xp.real(xp.sum(xp.conj(residual) * residual)) if _complex(residual) else xp.sum(residual**2))

    def gradient(self, Y: Any) -> Array:
        """Return the gradient ``M * (Y - D)``."""
        return self._residual(Y)

    def __call__(self, t: float, Y: Any) -> Array:
        """Return the field ``-grad f(Y)``."""
        return -self._residual(Y)

    def _residual(self, Y: Any) -> Array:
        return self.mask * ((Y.to_dense() if isinstance(Y, LowRank) else Y) - self.data)


@dataclass(frozen=True)
class SampledCompletion:
    """The same loss as :class:`Completion`, computed at the observed entries alone: m x n is never formed.

    Attributes
    ----------
    data : sparse matrix
        The observed entries of D in CSR form, of SciPy or CuPy; an observed zero is stored.
    rows, columns : arrays of integers
        Where they are, in the order in which ``data`` stores them.
    """

    data: Any
    rows: Array
    columns: Array

    def loss(self, Y: LowRank) -> float:
        """Return f(Y)."""
        values = self._values(Y)
        return 0.5 * float((values.conj() * values).real.sum())

    def gradient(self, Y: LowRank) -> Any:
        """Return the gradient, a sparse matrix of the pattern of ``data``."""
        return self._sparse(self._values(Y))

    def __call__(self, t: float, Y: LowRank) -> Any:
        """Return the field ``-grad f(Y)``, a sparse matrix."""
        return self._sparse(-self._values(Y))

    def _values(self, Y: LowRank) -> Array:
        return Y.entries(self.rows, self.columns) - self.data.data

    def _sparse(self, values: Array) -> Any:
        return type(self.data)((values, self.data.indices, self.data.indptr), shape=self.data.shape)


def completion(
    shape: tuple[int, int] = (30, 20),
    rank: int = 3,
    *,
    observed: float = 0.5,
    noise: float = 0.0,
    sparse: bool = False,
    T: float = 2.0,
    seed: int = 0,
    dtype: str = "float64",
    backend: Backend | None = None,
) -> Problem:
    """Return the gradient flow of matrix completion, from a random start towards data of the same rank.

    Parameters
    ----------
    shape, rank : (int, int), int
        Shape of the matrix, and rank of the data and of the start; both have norm 1.
    observed : float
        The share of entries that the loss sees.
    noise : float
        Norm of noise that is added to the data.
    sparse : bool
        Keep the observed entries only (:class:`SampledCompletion`), so that memory and time follow their number. They
        are other random entries than those of the dense form. Needs NumPy or CuPy.
    T : float
        Length of the interval.
    seed, dtype, backend
        How it is drawn, also complex, and where it is put.

    Notes
    -----
    ``L = 1`` exactly; ``||F||`` falls along the flow, and stays below 1.1 (||D|| + 1) for matrices of norm up to 1.1.
    The exact solution is ``Y0 + (1 - e^(-t)) M * (D - Y0)``.
    """
    if not 0 < observed <= 1:
        raise ValueError(f"the share of observed entries must be in (0, 1], got {observed}")
    backend = get_backend() if backend is None else backend
    rng = default_rng(seed)

    def unit(r: int) -> LowRank:
        return LowRank.random(shape, r, singular_values=[r**-0.5] * r, rng=rng, dtype=dtype, backend=backend)

    field: Completion | SampledCompletion
    if sparse:
        field, dense, size = _sampled(unit(rank), observed, noise, rng, backend)
    else:
        D = unit(rank).to_dense() + noise * unit(min(shape)).to_dense()
        M = backend.xp.asarray((rng.random(shape) < observed).astype(dtype), device=backend.device)
        field, dense = Completion(D, M), lambda: (to_host(D), to_host(M))
        size = float(host.linalg.norm(to_host(D)))
    Y0 = unit(rank)

    @cache
    def parts() -> tuple[host.ndarray, host.ndarray]:
        data, mask = dense()
        start = to_host(Y0.to_dense())
        return start, mask * (data - start)

    def reference(t: float) -> host.ndarray:
        start, gap = parts()
        return start - host.expm1(-t) * gap

    return Problem(
        name=f"matrix completion, {shape[0]} x {shape[1]}, {observed:.0%} observed",
        F=field,
        t_span=(0.0, T),
        Y0=Y0,
        reference=reference,
        L=1.0,
        B=1.1 * (size + 1.0),
        one_sided=0.0,
        citation="standard; see e.g. Vandereycken, SIAM J. Optim. 23 (2013)",
    )


def _sampled(
    D: LowRank, observed: float, noise: float, rng: host.random.Generator, backend: Backend
) -> tuple[SampledCompletion, Callable[[], tuple[host.ndarray, host.ndarray]], float]:
    """Draw the observed entries of D; return the field, a function that makes data and mask dense, and a norm."""
    from scipy import sparse

    if backend.name != "cupy" and not backend.name.startswith("numpy"):
        raise ValueError(f"sparse completion needs sparse matrices, of NumPy or CuPy, not {backend.name}: sparse=False")
    (m, n), xp = D.shape, backend.xp
    count = math.ceil(-math.log1p(-observed) * m * n) if observed < 1 else 0
    places = host.unique(rng.integers(0, m * n, count)) if count else host.arange(m * n)
    rows, columns = places // n, places % n
    indices = [xp.asarray(index, device=backend.device) for index in (rows, columns)]
    values = to_host(D.entries(*indices))
    values = values + (noise / math.sqrt(m * n)) * rng.standard_normal(values.shape)
    pattern = sparse.csr_array((values, (rows, columns)), shape=(m, n))
    mask = sparse.csr_array((host.ones(len(places)), (rows, columns)), shape=(m, n))
    field = SampledCompletion(sparse_operator(pattern, backend), *indices)
    return field, lambda: (pattern.toarray(), mask.toarray()), float(host.linalg.norm(values))


def _complex(X: Array) -> bool:
    return bool(namespace(X).isdtype(X.dtype, "complex floating"))
