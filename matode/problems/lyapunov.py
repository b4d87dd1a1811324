"""Lyapunov differential equations."""

from __future__ import annotations

from matode._array import Backend, default_rng, get_backend, host, sparse_operator
from matode.evaluations import Operator
from matode.lowrank import LowRank
from matode.problems.problem import Problem

__all__ = ["lyapunov"]


def lyapunov(
    n: int = 100,
    rank: int = 8,
    *,
    source_rank: int = 2,
    source: float = 0.5,
    norm: float = 1.0,
    T: float = 1.0,
    seed: int = 0,
    backend: Backend | None = None,
) -> Problem:
    """Return ``Y' = A Y + Y A* + Q`` with the one-dimensional Laplacian A and a low-rank source Q.

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
    T : float
        Length of the interval.
    seed : int
        For the remaining directions of the start.
    backend : Backend, optional
        Where to compute; NumPy where not given.

    Notes
    -----
    A is negative definite: the one-sided Lipschitz constant is twice its largest eigenvalue, and ``||Y(t)|| <= ||Y0||
    + t ||Q||``. B holds up to 1.1 times that norm. The reference is ``e^(A t) (Y0 - X) e^(A t) + X`` with ``A X + X A
    = -Q``.
    """
    from scipy import sparse
    from scipy.linalg import eigh_tridiagonal

    if not 1 <= source_rank <= rank <= n:
        raise ValueError(f"need 1 <= source_rank <= rank <= n, got {source_rank}, {rank}, {n}")
    backend = get_backend() if backend is None else backend
    diagonal, off = host.full(n, -2.0), host.ones(n - 1)
    largest = 2.0 + 2.0 * host.cos(host.pi / (n + 1))
    scale = norm / largest
    A = sparse.diags_array([off, diagonal, off], offsets=[-1, 0, 1], format="csr") * scale
    eigenvalues, W = eigh_tridiagonal(scale * diagonal, scale * off)

    x = host.arange(1, n + 1) / (n + 1)
    C, _ = host.linalg.qr(
        host.stack([host.exp(-40.0 * (x - c) ** 2) for c in host.linspace(0.3, 0.7, source_rank)], axis=1)
    )
    U, _ = host.linalg.qr(host.concatenate([C, default_rng(seed).standard_normal((n, rank - source_rank))], axis=1))
    s = 2.0 ** -host.arange(rank)
    s /= host.linalg.norm(s)

    Y0_host, Q_host = (U * s) @ U.T, source * C @ C.T
    projected = W.T @ Q_host @ W
    stationary = W @ (-projected / (eigenvalues[:, None] + eigenvalues[None, :])) @ W.T

    def reference(t: float) -> host.ndarray:
        flow = (W * host.exp(eigenvalues * t)) @ W.T
        return flow @ (Y0_host - stationary) @ flow + stationary

    def put(a: host.ndarray) -> object:
        return backend.xp.asarray(a, device=backend.device)

    operator = Operator(sparse_operator(A, backend))
    Q = LowRank(put(C), put(source * host.eye(source_rank)), put(C))
    reach = 1.0 + T * float(host.linalg.norm(Q_host))
    return Problem(
        name=f"Lyapunov equation, n = {n}",
        F=lambda t, Y: operator @ Y + Y @ operator + Q,
        t_span=(0.0, T),
        Y0=LowRank(put(U), put(host.diag(s)), put(U)),
        reference=reference,
        L=2.0 * norm,
        B=1.1 * (2.0 * norm * reach + float(host.linalg.norm(Q_host))),
        one_sided=2.0 * float(eigenvalues[-1]),
        citation="standard; see e.g. Mena, Ostermann, Pfurtscheller, Piazzola, J. Comput. Appl. Math. 340 (2018)",
    )
