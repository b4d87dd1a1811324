"""Lyapunov differential equations."""

from __future__ import annotations

from functools import cache

from matode._array import Backend, default_rng, get_backend, host, sparse_operator
from matode.evaluations import Operator
from matode.lowrank import LowRank
from matode.problems.grids import central, laplacian
from matode.problems.problem import Linear, Problem, check_interval

__all__ = ["lyapunov"]


def lyapunov(
    n: int = 100,
    rank: int = 8,
    *,
    source_rank: int = 2,
    source: float = 0.5,
    norm: float = 1.0,
    convection: float = 0.0,
    T: float = 1.0,
    seed: int = 0,
    backend: Backend | None = None,
) -> Problem:
    """Return ``Y' = A Y + Y A* + Q`` with A the one-dimensional diffusion, or convection-diffusion, and a source Q.

    ``A`` is a multiple of ``tridiag(1 + c, -2, 1 - c)``, with zero boundary values.

    Parameters
    ----------
    n : int
        Grid points.
    rank : int
        Rank of the symmetric positive semidefinite start. Its singular values are 2^-j, normalised to ||Y0|| = 1, and
        its first directions span the range of Q, so that the solution stays close to the rank.
    source_rank : int
        Rank of ``Q = source C C*``, with orthonormal smooth columns C; at most ``rank``.
    source : float
        The norm of Q is ``source * source_rank**0.5``.
    norm : float
        ``||A||_2``; the heat equation's own A is ``norm = 4 (n + 1)^2``, to high accuracy. ``L = 2 norm``.
    convection : float
        The c of the stencil, the mesh Peclet number, in [-1, 1]: not 0 makes A nonsymmetric.
    T : float
        Length of the interval.
    seed : int
        For the remaining directions of the start.
    backend : Backend, optional
        Where to compute; NumPy where not given.

    Notes
    -----
    The symmetric part of A is negative definite, whatever c: the one-sided Lipschitz constant is twice its largest
    eigenvalue, and ``||Y(t)|| <= ||Y0|| + t ||Q||``. B holds up to 1.1 times that norm. The reference is ``e^(A t)
    (Y0 - X) e^(A* t) + X`` with ``A X + X A* = -Q``, by the eigenvalues of A where it is symmetric.
    """
    from scipy.linalg import eigh_tridiagonal, expm, solve_continuous_lyapunov

    check_interval(T)
    if not 1 <= source_rank <= rank <= n:
        raise ValueError(f"need 1 <= source_rank <= rank <= n, got {source_rank}, {rank}, {n}")
    if not -1 <= convection <= 1:
        raise ValueError(f"the convection must be in [-1, 1], for a finer grid makes it small, got {convection}")
    backend = get_backend() if backend is None else backend
    stencil = laplacian(n)
    if convection:
        stencil = (stencil - 2.0 * convection * central(n)).tocsr()
        scale = norm / float(host.linalg.norm(stencil.toarray(), 2))
    else:
        scale = norm / (2.0 + 2.0 * float(host.cos(host.pi / (n + 1))))
    A = stencil * scale
    eigenvalues, W = eigh_tridiagonal(host.full(n, -2.0 * scale), host.full(n - 1, scale))

    x = host.arange(1, n + 1) / (n + 1)
    C, _ = host.linalg.qr(
        host.stack([host.exp(-40.0 * (x - c) ** 2) for c in host.linspace(0.3, 0.7, source_rank)], axis=1)
    )
    U, _ = host.linalg.qr(host.concatenate([C, default_rng(seed).standard_normal((n, rank - source_rank))], axis=1))
    s = 2.0 ** -host.arange(rank)
    s /= host.linalg.norm(s)

    Y0_host, Q_host = (U * s) @ U.T, source * C @ C.T

    @cache
    def stationary() -> host.ndarray:
        if convection:
            return solve_continuous_lyapunov(A.toarray(), -Q_host)
        return W @ (-(W.T @ Q_host @ W) / (eigenvalues[:, None] + eigenvalues[None, :])) @ W.T

    def reference(t: float) -> host.ndarray:
        flow = expm(t * A.toarray()) if convection else (W * host.exp(eigenvalues * t)) @ W.T
        return flow @ (Y0_host - stationary()) @ flow.T + stationary()

    def put(a: host.ndarray) -> object:
        return backend.xp.asarray(a, device=backend.device)

    left = sparse_operator(A, backend)
    right = left if not convection else sparse_operator(A.T.tocsr(), backend)
    operator, adjoint = Operator(left), Operator(right)
    Q = LowRank(put(C), put(source * host.eye(source_rank)), put(C))
    reach = 1.0 + T * float(host.linalg.norm(Q_host))
    return Problem(
        name=f"Lyapunov equation, n = {n}" + (", convection" if convection else ""),
        F=lambda t, Y: operator @ Y + Y @ adjoint + Q,
        t_span=(0.0, T),
        Y0=LowRank(put(U), put(host.diag(s)), put(U)),
        reference=reference,
        L=2.0 * norm,
        B=1.1 * (2.0 * norm * reach + float(host.linalg.norm(Q_host))),
        one_sided=2.0 * float(eigenvalues[-1]),
        linear=Linear(left, right, lambda t, Y: Q),
        citation="standard; see e.g. Mena, Ostermann, Pfurtscheller, Piazzola, J. Comput. Appl. Math. 340 (2018)",
    )
