"""Given matrices A(t) of exact rank r, for which the field is A'(t): the exactness test of low-rank integrators."""

from __future__ import annotations

from matode._array import Backend, default_rng, get_backend, host, mH, normal, to_host
from matode.lowrank import LowRank
from matode.problems.problem import Problem

__all__ = ["given_matrix"]


def given_matrix(
    shape: tuple[int, int] = (30, 20),
    rank: int = 3,
    *,
    t_span: tuple[float, float] = (0.7, 1.0),
    smallest: float = 1.0,
    speed: float = 0.3,
    seed: int = 0,
    dtype: str = "float64",
    backend: Backend | None = None,
) -> Problem:
    """Return ``Y' = A'(t)`` for ``A(t) = (X0 + t X1) D (Z0 + t Z1)*`` of rank r at all times.

    The field is linear in t, so that substeps of second order and more are exact: the projector-splitting and BUG
    methods must reproduce A(t) to rounding, whatever the step and however small the singular values.

    Parameters
    ----------
    shape : (m, n)
        Shape of the matrix.
    rank : int
        Rank r.
    t_span : (float, float)
        Interval; it does not start at 0, so that a frozen time is seen.
    smallest : float
        D runs geometrically from 1 down to this value.
    speed : float
        Size of X1 and Z1 relative to X0 and Z0.
    seed, dtype, backend
        The factors are random, also complex; Y0 is in a random gauge with a dense core.

    References
    ----------
    Ch. Lubich and I. Oseledets, BIT 54 (2014), Theorem 4.1 (exactness).
    """
    backend = get_backend() if backend is None else backend
    rng = default_rng(seed)
    (m, n), r = shape, rank
    X0, X1, Z0, Z1 = (normal(rng, (k, r), backend, dtype) for k in (m, m, n, n))
    X1, Z1 = speed * X1, speed * Z1
    D = backend.xp.asarray(host.diag(host.geomspace(1.0, smallest, r)).astype(dtype), device=backend.device)

    def A(t: float) -> LowRank:
        return LowRank(X0 + t * X1, D, Z0 + t * Z1)

    def F(t: float, Y: LowRank) -> LowRank:
        return LowRank(X1, D, Z0 + t * Z1) + LowRank(X0 + t * X1, D, Z1)

    Y0 = A(t_span[0]).orthonormal()
    R, T = (LowRank.random((r, r), r, rng=rng, dtype=dtype, backend=backend).to_dense() for _ in range(2))
    return Problem(
        name=f"given matrix of rank {r}, {m} x {n}",
        F=F,
        t_span=t_span,
        Y0=LowRank(Y0.U @ R, mH(R) @ Y0.S @ T, Y0.V @ T),
        reference=lambda t: to_host(A(t).to_dense()),
        L=0.0,
        eps=0.0,
        one_sided=0.0,
        citation="Lubich, Oseledets, BIT 54 (2014)",
    )
