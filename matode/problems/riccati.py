"""Riccati differential equations of optimal control."""

from __future__ import annotations

import math

from matode._array import Backend, default_rng, get_backend, host, sparse_operator
from matode.evaluations import Operator
from matode.lowrank import LowRank
from matode.problems.grids import central, laplacian
from matode.problems.problem import Linear, Problem, check_interval
from matode.problems.references import stepped

__all__ = ["riccati"]


def riccati(
    n: int = 40,
    rank: int = 6,
    *,
    outputs: int = 2,
    inputs: int = 2,
    norm: float = 1.0,
    convection: float = 0.2,
    T: float = 1.0,
    seed: int = 0,
    backend: Backend | None = None,
) -> Problem:
    """Return ``Y' = A Y + Y A* + C C* - Y D D* Y`` with a convection-diffusion A, for symmetric Y >= 0.

    ``A`` is a multiple of ``tridiag(1 + c, -2, 1 - c)`` of norm about ``norm``; C and D have random orthonormal
    columns.

    Parameters
    ----------
    n : int
        Grid points.
    rank : int
        Rank of the start, whose singular values are 2^-j, normalised to ||Y0|| = 1; at least ``outputs``.
    outputs, inputs : int
        Columns of C and of D.
    norm : float
        Norm of the symmetric part of A.
    convection : float
        c, in [-1, 1].
    T : float
        Length of the interval.
    seed : int
        For C, D and the start, whose first directions span the range of C.
    backend : Backend, optional
        Where to compute; NumPy where not given.

    Notes
    -----
    The solution stays between 0 and that of the Lyapunov equation without the quadratic term, so that ``||Y(t)|| <= R
    = 1 + t ||C C*||``. L, B and the one-sided constant hold for all matrices of norm up to ``1.1 R``.

    With ``X' = -A* X + D D* Z``, ``Z' = C C* X + A Z`` the solution is ``Z X^-1``. The reference advances it over short
    intervals by the exponential of this linear equation.

    References
    ----------
    J. Radon, Ber. Verh. Saechs. Akad. Wiss. Leipzig 79 (1927); H. Mena et al., J. Comput. Appl. Math. 340 (2018).
    """
    from scipy.linalg import expm

    check_interval(T)
    if not 1 <= outputs <= rank <= n or not 1 <= inputs <= n:
        raise ValueError(f"need 1 <= outputs <= rank <= n and 1 <= inputs <= n, got {outputs}, {rank}, {n}, {inputs}")
    if not -1 <= convection <= 1:
        raise ValueError(f"the convection must be in [-1, 1], got {convection}")
    backend = get_backend() if backend is None else backend
    rng = default_rng(seed)
    A = (norm / 4.0 * (laplacian(n) - 2.0 * convection * central(n))).tocsr()
    U, _ = host.linalg.qr(rng.standard_normal((n, rank)))
    D, _ = host.linalg.qr(rng.standard_normal((n, inputs)))
    C = U[:, :outputs]
    s = 2.0 ** -host.arange(rank)
    s /= host.linalg.norm(s)
    dense = A.toarray()
    generator = host.block([[-dense.T, D @ D.T], [C @ C.T, dense]])

    def advance(Y: host.ndarray, h: float) -> host.ndarray:
        E = expm(h * generator)
        X, Z = E[:n, :n] + E[:n, n:] @ Y, E[n:, :n] + E[n:, n:] @ Y
        return host.linalg.solve(X.T, Z.T).T

    def put(a: host.ndarray) -> object:
        return backend.xp.asarray(a, device=backend.device)

    a, a_star = sparse_operator(A, backend), sparse_operator(A.T.tocsr(), backend)
    left, right = Operator(a), Operator(a_star)
    Q = LowRank(put(C), None, put(C))
    R = LowRank(put(D), None, put(D))
    source = math.sqrt(outputs)
    reach = 1.1 * (1.0 + T * source)
    size = 2.0 * float(host.linalg.norm(dense, 2))
    largest = -norm * float(host.sin(host.pi / (2 * (n + 1)))) ** 2
    return Problem(
        name=f"Riccati equation, n = {n}",
        F=lambda t, Y: left @ Y + Y @ right + Q - Y @ R @ Y,
        t_span=(0.0, T),
        Y0=LowRank(put(U), put(host.diag(s)), put(U)),
        reference=stepped(advance, (U * s) @ U.T, longest=2.0 / float(host.linalg.norm(generator, 2))),
        L=size + 2.0 * reach,
        B=size * reach + source + reach**2,
        one_sided=2.0 * largest + 2.0 * reach,
        linear=Linear(a, a_star, lambda t, Y: Q - Y @ R @ Y),
        citation="Mena, Ostermann, Pfurtscheller, Piazzola, J. Comput. Appl. Math. 340 (2018)",
    )
