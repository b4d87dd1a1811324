"""Radiative transfer of a plane source in one dimension, by moments."""

from __future__ import annotations

from matode._array import Backend, get_backend, host, sparse_operator
from matode.evaluations import Operator
from matode.problems.grids import central, laplacian
from matode.problems.problem import Problem, check_interval
from matode.problems.references import integrated
from matode.problems.starts import widened

__all__ = ["plane_source"]


def plane_source(
    shape: tuple[int, int] = (120, 20),
    rank: int = 6,
    *,
    scattering: float = 1.0,
    width: float = 0.03,
    T: float = 0.5,
    seed: int = 0,
    backend: Backend | None = None,
) -> Problem:
    """Return ``f_t + mu f_x = s (mean of f over mu - f)`` on [-1.5, 1.5] for N Legendre moments (P_N), upwind in x.

    ``Y' = -D Y A + (dx/2) D2 Y |A| - s Y G``: columns of Y are the coefficients of orthonormal Legendre polynomials,
    A is their (symmetric) multiplication by mu, D and D2 are central differences with zeros outside, and G is the
    identity but for the mean. The start is a narrow Gaussian of integral 1 that does not depend on mu.

    Parameters
    ----------
    shape : (m, N)
        Grid points and moments; the literature has N = 100.
    rank : int
        Columns of the bases of the start, which has rank 1 and is widened by random directions.
    scattering : float
        s, not negative.
    width : float
        Standard deviation of the start.
    T : float
        Length of the interval. The light reaches the boundary at about 1.5.
    seed : int
        For the directions that widen the start.
    backend : Backend, optional
        Where to compute; NumPy where not given.

    Notes
    -----
    In the eigenbasis of A the transport is upwinding with speeds below 1: ``L = 2 max|mu| / dx + s``. No part of F
    lets the norm grow: the one-sided constant is 0. B holds for norms up to 1.1 times that of the start.

    References
    ----------
    G. Ceruti, J. Kusch and Ch. Lubich, BIT 62 (2022), section 5; B. D. Ganapol, AIP Conf. Proc. (2008), for the plane
    source.
    """
    check_interval(T)
    m, N = shape
    if N < 2:
        raise ValueError(f"need at least two moments, got {N}")
    if scattering < 0:
        raise ValueError(f"the scattering must not be negative, got {scattering}")
    backend = get_backend() if backend is None else backend
    dx = 3.0 / (m + 1)
    x = -1.5 + dx * host.arange(1, m + 1)
    k = host.arange(N - 1)
    coupling = (k + 1.0) / host.sqrt((2.0 * k + 1.0) * (2.0 * k + 3.0))
    A = host.diag(coupling, 1) + host.diag(coupling, -1)
    speeds, W = host.linalg.eigh(A)
    absolute = (W * host.abs(speeds)) @ W.T
    first = (-1.0 / dx * central(m)).tocsr()
    second = (0.5 / dx * laplacian(m)).tocsr()
    damping = host.diag(host.concatenate([[0.0], host.full(N - 1, -scattering)]))
    left = host.exp(-0.5 * (x / width) ** 2)[:, None]
    left = left / (dx * float(host.sum(left)))
    right = host.eye(N)[:, :1]

    def rhs(t: float, Y: host.ndarray) -> host.ndarray:
        return first @ Y @ A + second @ Y @ absolute + Y @ damping

    d1, d2 = (Operator(sparse_operator(D, backend)) for D in (first, second))
    a, abs_a, g = (Operator(backend.xp.asarray(X, device=backend.device)) for X in (A, absolute, damping))
    lipschitz = 2.0 * float(speeds[-1]) / dx + scattering
    return Problem(
        name=f"plane source, {m} points, {N} moments",
        F=lambda t, Y: d1 @ Y @ a + d2 @ Y @ abs_a + Y @ g,
        t_span=(0.0, T),
        Y0=widened(left, right, rank, seed, backend),
        reference=integrated(rhs, left @ right.T),
        L=lipschitz,
        B=1.1 * lipschitz * float(host.linalg.norm(left)),
        one_sided=0.0,
        citation="Ceruti, Kusch, Lubich, BIT 62 (2022)",
    )
