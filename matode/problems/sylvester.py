"""Sylvester flows, for which projector splitting is exact."""

from __future__ import annotations

from matode._array import Backend, default_rng, get_backend, host, normal, to_host
from matode.evaluations import Operator
from matode.lowrank import LowRank
from matode.problems.problem import Problem

__all__ = ["sylvester"]


def sylvester(
    shape: tuple[int, int] = (30, 20),
    rank: int = 3,
    *,
    norm: float = 1.0,
    T: float = 0.3,
    smallest: float = 1e-3,
    seed: int = 0,
    dtype: str = "float64",
    backend: Backend | None = None,
) -> Problem:
    """Return ``Y' = A Y + Y B`` with random nonsymmetric A and B of 2-norm ``norm / 2``; the rank of Y0 is kept.

    Parameters
    ----------
    shape, rank, smallest, seed, dtype, backend
        Shape of Y, its rank, its singular values (geometric from 1 down to ``smallest``), and how it is drawn.
    norm : float
        Lipschitz constant of F.
    T : float
        Length of the interval.

    Notes
    -----
    The exact solution is ``e^(A t) Y0 e^(B t)``. Each substep of projector splitting is exact here in exact
    arithmetic, for any step; BUG methods are not.
    """
    from scipy.linalg import expm

    backend = get_backend() if backend is None else backend
    rng = default_rng(seed)
    A, B = (normal(rng, (k, k), get_backend(), dtype) for k in shape)
    A, B = (0.5 * norm * X / host.linalg.norm(X, 2) for X in (A, B))
    s = host.geomspace(1.0, smallest, rank)
    Y0 = LowRank.random(
        shape, rank, singular_values=list(s / host.linalg.norm(s)), rng=rng, dtype=dtype, backend=backend
    )
    start = to_host(Y0.to_dense())
    a, b = (Operator(backend.xp.asarray(X, device=backend.device)) for X in (A, B))
    return Problem(
        name=f"Sylvester flow, {shape[0]} x {shape[1]}",
        F=lambda t, Y: a @ Y + Y @ b,
        t_span=(0.0, T),
        Y0=Y0,
        reference=lambda t: expm(t * A) @ start @ expm(t * B),
        L=norm,
        B=norm * float(host.exp(norm * T)),
        eps=0.0,
        citation="standard",
    )
