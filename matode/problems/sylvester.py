"""Sylvester equations with random coefficients; without a source, projector splitting is exact for them."""

from __future__ import annotations

from matode._array import Backend, default_rng, get_backend, host, normal, to_host
from matode.evaluations import Operator
from matode.lowrank import LowRank
from matode.problems.problem import Linear, Problem

__all__ = ["sylvester"]


def sylvester(
    shape: tuple[int, int] = (30, 20),
    rank: int = 3,
    *,
    norm: float = 1.0,
    source: float = 0.0,
    source_rank: int = 1,
    T: float = 0.3,
    smallest: float = 1e-3,
    seed: int = 0,
    dtype: str = "float64",
    backend: Backend | None = None,
) -> Problem:
    """Return ``Y' = A Y + Y B + C`` with random nonsymmetric A and B of 2-norm ``norm / 2`` and a low-rank source C.

    Parameters
    ----------
    shape, rank, smallest, seed, dtype, backend
        Shape of Y, its rank, its singular values (geometric from 1 down to ``smallest``), and how it is drawn.
    norm : float
        Lipschitz constant of F.
    source, source_rank : float, int
        Norm and rank of C. Without a source the rank of Y0 is kept.
    T : float
        Length of the interval.

    Notes
    -----
    Without a source the exact solution is ``e^(A t) Y0 e^(B t)``, and each substep of projector splitting is exact in
    exact arithmetic, for any step; BUG methods are not. With one, ``int_0^t e^(A s) C e^(B s) ds`` is added, by the
    exponential of a block matrix (C. Van Loan, IEEE Trans. Autom. Control 23 (1978)).
    """
    from scipy.linalg import expm

    if source and not 1 <= source_rank <= min(shape):
        raise ValueError(f"need a source_rank between 1 and {min(shape)}, got {source_rank}")

    backend = get_backend() if backend is None else backend
    rng = default_rng(seed)
    A, B = (normal(rng, (k, k), get_backend(), dtype) for k in shape)
    A, B = (0.5 * norm * X / host.linalg.norm(X, 2) for X in (A, B))
    s = host.geomspace(1.0, smallest, rank)
    Y0 = LowRank.random(
        shape, rank, singular_values=list(s / host.linalg.norm(s)), rng=rng, dtype=dtype, backend=backend
    )
    C = None
    if source:
        values = [source * source_rank**-0.5] * source_rank
        C = LowRank.random(shape, source_rank, singular_values=values, rng=rng, dtype=dtype, backend=backend)
    start = to_host(Y0.to_dense())
    c = host.zeros(shape, start.dtype) if C is None else to_host(C.to_dense())

    def reference(t: float) -> host.ndarray:
        m = shape[0]
        blocks = expm(t * host.block([[A, c], [host.zeros((shape[1], m)), -B]]))
        return (blocks[:m, :m] @ start + blocks[:m, m:]) @ expm(t * B)

    left, right = (backend.xp.asarray(X, device=backend.device) for X in (A, B))
    a, b = Operator(left), Operator(right)
    growth = float(host.exp(norm * abs(T)))
    return Problem(
        name=f"Sylvester equation, {shape[0]} x {shape[1]}" + (", source" if source else ""),
        F=(lambda t, Y: a @ Y + Y @ b) if C is None else (lambda t, Y: a @ Y + Y @ b + C),
        t_span=(0.0, T),
        Y0=Y0,
        reference=reference,
        L=norm,
        B=norm * growth * (1.0 + abs(T) * source) + source,
        eps=source if source else 0.0,
        one_sided=_largest(A) + _largest(B),
        linear=Linear(left, right, None if C is None else lambda t, Y: C),
        citation="standard",
    )


def _largest(A: host.ndarray) -> float:
    """Return the largest eigenvalue of the Hermitian part."""
    return float(host.linalg.eigvalsh(A + A.conj().T)[-1]) / 2.0
