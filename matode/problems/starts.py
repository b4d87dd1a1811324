"""Low-rank starts of a wanted rank: cut from a dense matrix, or widened from exact factors."""

from __future__ import annotations

from matode._array import Backend, default_rng, host
from matode.lowrank import LowRank

__all__ = ["check_rank", "cut", "widened"]


def check_rank(rank: int, shape: tuple[int, int], least: int = 1) -> None:
    """Raise a ValueError unless ``least <= rank <= min(shape)``."""
    if not least <= rank <= min(shape):
        m, n = shape
        raise ValueError(f"need a rank between {least} and {min(m, n)} for a {m} x {n} matrix, got {rank}")


def cut(dense: host.ndarray, rank: int, backend: Backend) -> tuple[LowRank, float]:
    """Return the best approximation of the given rank on ``backend``, and its distance from ``dense``."""
    check_rank(rank, dense.shape)
    P, s, Qh = host.linalg.svd(dense, full_matrices=False)
    Y = _placed(P[:, :rank], host.diag(s[:rank]), Qh[:rank].conj().T, backend)
    return Y, float(host.linalg.norm(s[rank:]))


def widened(left: host.ndarray, right: host.ndarray, rank: int, seed: int, backend: Backend) -> LowRank:
    """Return ``left @ right*`` with bases of ``rank`` columns: further random directions have singular values 0."""
    (m, p), n = left.shape, right.shape[0]
    check_rank(rank, (m, n), p)
    rng = default_rng(seed)
    U, R = host.linalg.qr(host.concatenate([left, rng.standard_normal((m, rank - p))], axis=1))
    V, T = host.linalg.qr(host.concatenate([right, rng.standard_normal((n, rank - p))], axis=1))
    return _placed(U, R[:, :p] @ T[:, :p].conj().T, V, backend)


def _placed(U: host.ndarray, S: host.ndarray, V: host.ndarray, backend: Backend) -> LowRank:
    """Return the factors on ``backend``, in the dtype of the core (that is complex where the matrix is)."""
    dtype = host.result_type(U, S, V)
    return LowRank(*(backend.xp.asarray(X.astype(dtype), device=backend.device) for X in (U, S, V)))
