"""Matrix completion: the gradient flow of a loss that sees only some entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matode._array import Array, Backend, default_rng, get_backend, host, namespace, to_host
from matode.lowrank import LowRank
from matode.problems.problem import Problem

__all__ = ["Completion", "completion"]


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


def completion(
    shape: tuple[int, int] = (30, 20),
    rank: int = 3,
    *,
    observed: float = 0.5,
    noise: float = 0.0,
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

    D = unit(rank).to_dense() + noise * unit(min(shape)).to_dense()
    M = backend.xp.asarray((rng.random(shape) < observed).astype(dtype), device=backend.device)
    Y0 = unit(rank)
    data, mask, start = to_host(D), to_host(M), to_host(Y0.to_dense())

    def reference(t: float) -> host.ndarray:
        return start - host.expm1(-t) * mask * (data - start)

    return Problem(
        name=f"matrix completion, {shape[0]} x {shape[1]}, {observed:.0%} observed",
        F=Completion(D, M),
        t_span=(0.0, T),
        Y0=Y0,
        reference=reference,
        L=1.0,
        B=1.1 * (float(host.linalg.norm(data)) + 1.0),
        one_sided=0.0,
        citation="standard; see e.g. Vandereycken, SIAM J. Optim. 23 (2013)",
    )


def _complex(X: Array) -> bool:
    return bool(namespace(X).isdtype(X.dtype, "complex floating"))
