"""Given matrices between two rotating frames, not of exact rank r: the standard tests of robustness."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from matode._array import Array, Backend, default_rng, get_backend, host
from matode.evaluations import Operator
from matode.lowrank import LowRank
from matode.problems.problem import Linear, Problem
from matode.problems.starts import cut

__all__ = ["lubich_oseledets", "rotation"]


def rotation(
    n: int = 100,
    rank: int = 8,
    *,
    speed: float = 1.0,
    as_field: bool = False,
    T: float = 1.0,
    seed: int = 0,
    backend: Backend | None = None,
) -> Problem:
    """Return ``Y' = A'(t)`` for ``A(t) = e^(t W1) e^t D (e^(t W2))*``, ``D = diag(2^-1, 2^-2, ...)``, W skew.

    The singular values of A(t) are known at all times, ``e^t 2^-j``, and those left out are as large as one likes:
    the best error of rank r is ``e^t 2^-r / 3^0.5``.

    Parameters
    ----------
    n : int
        Size of the square matrix.
    rank : int
        Rank of the start, the best approximation of D.
    speed : float
        2-norm of the random skew-symmetric W1 and W2.
    as_field : bool
        Use the field ``F(Y) = W1 Y + Y + Y W2*`` that A solves instead of the given A'(t). It is tangent at every Y:
        ``eps = 0``, and the rank is kept.
    T : float
        Length of the interval.
    seed : int
        For W1 and W2.
    backend : Backend, optional
        Where to compute; NumPy where not given.

    Notes
    -----
    Given data: ``L = 0`` and ``||A'(t)|| <= e^t ||D|| (1 + 4 speed^2)^0.5``. As a field: the identity plus a
    skew-symmetric map, so that ``L = (1 + 4 speed^2)^0.5`` and the one-sided constant is exactly 1; B holds for
    matrices of norm up to ``1.1 e^T ||D||``.

    References
    ----------
    E. Kieri, Ch. Lubich and H. Walach, SIAM J. Numer. Anal. 54 (2016), section 4; G. Ceruti and Ch. Lubich, BIT 62
    (2022), section 5.
    """
    rng = default_rng(seed)
    W1, W2 = (_skew(rng, n) * speed for _ in range(2))
    values = 0.5 ** host.arange(1.0, n + 1)
    start, size = host.diag(values), float(host.linalg.norm(values))
    backend = get_backend() if backend is None else backend
    A, slope = _rotating(W1, W2, lambda t: (math.exp(t) * start, math.exp(t) * start), backend)
    Y0, start_error = cut(start, rank, backend)
    largest = size * math.exp(max(0.0, T))
    known = {"L": 0.0, "B": largest * math.hypot(1.0, 2.0 * speed), "one_sided": 0.0}
    field: Callable[[float, LowRank], LowRank] = slope
    linear = None
    if as_field:
        w1, w2 = (backend.xp.asarray(X, device=backend.device) for X in (W1, W2.T))
        left, right = Operator(w1), Operator(w2)
        lipschitz = math.hypot(1.0, 2.0 * speed)
        known = {"L": lipschitz, "B": 1.1 * largest * lipschitz, "one_sided": 1.0, "eps": 0.0}
        linear = Linear(w1, w2, lambda t, Y: Y)

        def field(t: float, Y: LowRank) -> LowRank:
            return left @ Y + Y + Y @ right

    return Problem(
        name=f"rotating frames, n = {n}" + (", as a field" if as_field else ""),
        F=field,
        t_span=(0.0, T),
        Y0=Y0,
        reference=A,
        start_error=start_error,
        citation="Kieri, Lubich, Walach, SIAM J. Numer. Anal. 54 (2016)",
        linear=linear,
        **known,
    )


def lubich_oseledets(
    n: int = 100,
    rank: int = 10,
    *,
    block: int = 10,
    perturbation: float = 1e-3,
    speed: float = 1.0,
    T: float = 1.0,
    seed: int = 0,
    backend: Backend | None = None,
) -> Problem:
    """Return ``Y' = A'(t)`` for ``A(t) = Q1(t) (A1 + e^t A2) Q2(t)*`` with rotations ``Q(t) = e^(t W)``.

    A1 and A2 are n x n matrices of small random entries, in [0, perturbation], but for a leading block: the identity
    plus random entries in [0, 1/2].

    Parameters
    ----------
    n, block : int
        Size of the matrix and of the leading block.
    rank : int
        Rank of the start, the best approximation of A(0).
    perturbation : float
        Largest entry outside of the block.
    speed : float
        2-norm of the random skew-symmetric W1 and W2.
    T : float
        Length of the interval.
    seed : int
        For all that is random.
    backend : Backend, optional
        Where to compute; NumPy where not given.

    Notes
    -----
    ``L = 0``, and ``||A'|| <= 2 speed (||A1|| + e^t ||A2||) + e^t ||A2||``.

    References
    ----------
    O. Koch and Ch. Lubich, SIAM J. Matrix Anal. Appl. 29 (2007), section 6; Ch. Lubich and I. Oseledets, BIT 54
    (2014), section 5.
    """
    if not 1 <= block <= n:
        raise ValueError(f"need a block between 1 and {n} rows, got {block}")
    backend = get_backend() if backend is None else backend
    rng = default_rng(seed)
    W1, W2 = (_skew(rng, n) * speed for _ in range(2))
    parts = []
    for _ in range(2):
        M = perturbation * rng.random((n, n))
        M[:block, :block] = host.eye(block) + 0.5 * rng.random((block, block))
        parts.append(M)
    A1, A2 = parts
    A, slope = _rotating(W1, W2, lambda t: (A1 + math.exp(t) * A2, math.exp(t) * A2), backend)
    Y0, start_error = cut(A1 + A2, rank, backend)
    first, second = float(host.linalg.norm(A1)), math.exp(max(0.0, T)) * float(host.linalg.norm(A2))
    return Problem(
        name=f"rotated block with a perturbation of {perturbation:g}, n = {n}",
        F=slope,
        t_span=(0.0, T),
        Y0=Y0,
        reference=A,
        L=0.0,
        B=2.0 * speed * (first + second) + second,
        one_sided=0.0,
        start_error=start_error,
        citation="Lubich, Oseledets, BIT 54 (2014)",
    )


def _skew(rng: host.random.Generator, n: int) -> host.ndarray:
    """Draw a skew-symmetric matrix of 2-norm 1."""
    W = rng.standard_normal((n, n))
    W = W - W.T
    return W / host.linalg.norm(W, 2)


def _rotating(
    W1: host.ndarray,
    W2: host.ndarray,
    core: Callable[[float], tuple[host.ndarray, host.ndarray]],
    backend: Backend,
) -> tuple[Callable[[float], host.ndarray], Callable[[float, LowRank], LowRank]]:
    """Return A(t), on the host, and the field A'(t), on ``backend``, for ``A = e^(t W1) M(t) (e^(t W2))*``.

    ``core(t)`` is M and M'. Exponentials come from the eigenvectors of W, computed once; the last few times are kept,
    since a step asks for the same time more than once.
    """
    frames = [host.linalg.eigh(1j * W) for W in (W1, W2)]

    @lru_cache(maxsize=8)
    def rotations(t: float) -> tuple[host.ndarray, host.ndarray]:
        Q1, Q2 = (host.real((X * host.exp(-1j * t * w)) @ X.conj().T) for w, X in frames)
        return Q1, Q2

    def A(t: float) -> host.ndarray:
        Q1, Q2 = rotations(t)
        return Q1 @ core(t)[0] @ Q2.T

    def put(a: host.ndarray) -> Array:
        return backend.xp.asarray(a, device=backend.device)

    @lru_cache(maxsize=8)
    def slope(t: float) -> LowRank:
        M, dM = core(t)
        Q1, Q2 = rotations(t)
        return LowRank(put(Q1), put(W1 @ M + dM + M @ W2.T), put(Q2))

    return A, lambda t, Y: slope(t)
