"""Discrete Schroedinger equations."""

from __future__ import annotations

from functools import cache

from matode._array import Backend, default_rng, get_backend, host, sparse_operator
from matode.evaluations import Operator
from matode.lowrank import LowRank
from matode.problems.grids import laplacian
from matode.problems.problem import Linear, Problem

__all__ = ["schroedinger"]


def schroedinger(
    n: int = 100,
    rank: int = 8,
    *,
    periodic: bool = False,
    kinetic: float = 1.0,
    T: float = 1.0,
    seed: int = 0,
    backend: Backend | None = None,
) -> Problem:
    """Return ``Y' = -i (k (D Y + Y D) + V Y V)``, complex, linear and norm-preserving.

    ``D = tridiag(-1, 2, -1) / 2``, periodic or with zeros outside; ``V = diag(1 - cos x_j)`` on ``x_j = 2 pi j / n``,
    ``j = -n/2 ... n/2 - 1``. The start has random bases (Q factors of uniform matrices, U drawn first) and singular
    values ``10^-i``, normalised before the rank is cut; the reference starts with all n of them.

    Parameters
    ----------
    n : int
        Grid points in each direction.
    rank : int
        Rank of the start.
    periodic : bool
        Fill the two corners of D.
    kinetic : float
        k, the factor of the kinetic part.
    T : float
        Length of the interval.
    seed : int
        For the bases.
    backend : Backend, optional
        Where to compute; NumPy where not given.

    Notes
    -----
    The flow is an isometry: ``one_sided = 0``, while ``L = 2 k ||D|| + ||V||^2``, close to 8, or the larger of
    the two where k is negative. ``B`` holds for matrices of norm up to 1.1.

    The problem of Kusch (2024) is ``schroedinger(500, r, periodic=True, kinetic=-1.0)`` with r = 5, 10, 15: its
    published code has the kinetic part with the other sign than the potential, and a start of norm 0.1, which relative
    errors do not see.

    References
    ----------
    G. Ceruti, J. Kusch and Ch. Lubich, A rank-adaptive robust integrator for dynamical low-rank approximation,
    BIT 62 (2022), section 5. J. Kusch, arXiv:2403.02834 (2024), section 6.
    """
    from scipy import sparse
    from scipy.sparse.linalg import expm_multiply

    if not 1 <= rank <= n:
        raise ValueError(f"need 1 <= rank <= n, got {rank} and {n}")
    backend = get_backend() if backend is None else backend
    D = -0.5 * kinetic * laplacian(n, periodic=periodic)
    potential = 1.0 - host.cos(2.0 * host.pi / n * (host.arange(n) - n // 2))
    V = sparse.diags_array([potential], offsets=[0], format="csr")

    rng = default_rng(seed)
    P, Q = (host.linalg.qr(rng.random((n, n)))[0] for _ in range(2))
    s = 10.0 ** -host.arange(1.0, n + 1)
    s /= host.linalg.norm(s)
    start = (P * s) @ Q.T

    @cache
    def reference(t: float) -> host.ndarray:
        one = sparse.eye_array(n, format="csr")
        generator = -1j * (sparse.kron(D, one) + sparse.kron(one, D) + sparse.kron(V, V))
        return expm_multiply(generator.tocsr() * t, start.astype(complex).ravel()).reshape(n, n)

    def put(a: host.ndarray) -> object:
        return backend.xp.asarray(a.astype(complex), device=backend.device)

    d, v = (Operator(sparse_operator(A, backend)) for A in (D, V))
    a = sparse_operator(-1j * D, backend)
    highest = host.pi * (2 * (n // 2) / n if periodic else n / (n + 1))  # the angle of the steepest mode
    sizes = 2.0 * abs(kinetic) * (1.0 - float(host.cos(highest))), float(host.max(potential)) ** 2
    lipschitz = sum(sizes) if kinetic > 0 else max(sizes)  # both parts are semidefinite, of these signs
    return Problem(
        name=f"Schroedinger equation, n = {n}" + (", periodic" if periodic else ""),
        F=lambda t, Y: -1j * (d @ Y + Y @ d + v @ Y @ v),
        t_span=(0.0, T),
        Y0=LowRank(put(P[:, :rank]), put(host.diag(s[:rank])), put(Q[:, :rank])),
        reference=reference,
        L=lipschitz,
        B=1.1 * lipschitz,
        one_sided=0.0,
        linear=Linear(a, a, lambda t, Y: -1j * (v @ Y @ v)),
        start_error=float(host.linalg.norm(s[rank:])),
        citation="Ceruti, Kusch, Lubich, BIT 62 (2022)",
    )
