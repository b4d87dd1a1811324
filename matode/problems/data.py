"""Given matrix data: a function A(t) with its derivative, or snapshots with a spline through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any

from matode._array import host, is_array, is_sparse, to_host
from matode.evaluations import Lazy, as_evaluation
from matode.lowrank import LowRank
from matode.problems.problem import Problem
from matode.problems.starts import check_rank
from matode.truncation import Rank

__all__ = ["given_data", "snapshots"]


def given_data(
    A: Callable[[float], Any],
    derivative: Callable[[float], Any],
    t_span: tuple[float, float],
    rank: int,
    *,
    B: float | None = None,
    name: str = "given data",
) -> Problem:
    """Return ``Y' = A'(t)`` for a matrix A(t) that is given with its derivative: low-rank tracking of data.

    Parameters
    ----------
    A, derivative : callable
        ``A(t)`` and ``A'(t)`` as a LowRank, an array or a sparse matrix.
    t_span : (float, float)
        Interval.
    rank : int
        Rank of the start, the best approximation of ``A(t_span[0])``.
    B : float, optional
        Bound of ``||A'(t)||``, where it is known.
    name : str
        For titles.

    Notes
    -----
    ``L = 0`` and the one-sided constant is 0. Low-rank data stay low-rank; only ``reference`` forms m x n.
    """
    t0, t1 = (float(t) for t in t_span)
    first = _matrix(A(t0), f"A({t0:g})")
    slope = _matrix(derivative(t0), f"the derivative at {t0:g}")
    if tuple(first.shape) != tuple(slope.shape):
        raise ValueError(f"A(t) has shape {tuple(first.shape)} but its derivative {tuple(slope.shape)}")
    Y0 = _start(first, rank)
    return Problem(
        name=name,
        F=lambda t, Y: derivative(t),
        t_span=(t0, t1),
        Y0=Y0,
        reference=lambda t: _dense(A(t)),
        L=0.0,
        B=B,
        one_sided=0.0,
        start_error=_distance(first, Y0),
        citation="Koch, Lubich, SIAM J. Matrix Anal. Appl. 29 (2007)",
    )


def snapshots(times: Sequence[float], values: Sequence[Any], rank: int, *, name: str = "snapshots") -> Problem:
    """Return ``Y' = A'(t)`` for the cubic spline A(t) through matrices that are given at some times.

    Parameters
    ----------
    times : sequence of float
        Strictly increasing.
    values : sequence of LowRank, arrays or sparse matrices
        One matrix for each time, all of one kind and shape.
    rank : int
        Rank of the start, the best approximation of the first matrix.
    name : str
        For titles.

    Raises
    ------
    ValueError
        If there are fewer than two times, they do not increase, or the matrices do not fit.

    Notes
    -----
    A spline is linear in its values: ``A(t) = sum_j w_j(t) A_j`` with weights that depend on the times alone, here
    those of SciPy's ``CubicSpline``. Low-rank snapshots are therefore never made dense. ``||A'(t)|| <= sum_j |w_j'(t)|
    ||A_j||`` is bounded by its maximum over a fine grid, with 1 % added.
    """
    from scipy.interpolate import CubicSpline

    if len(times) != len(values) or len(times) < 2:
        raise ValueError(
            f"need at least two times and one matrix for each, got {len(times)} times and {len(values)} matrices"
        )
    if not all(a < b for a, b in pairwise(times)):
        raise ValueError("the times of the snapshots must increase")
    matrices = [_matrix(value, f"snapshot {j}") for j, value in enumerate(values)]
    shapes = {tuple(A.shape) for A in matrices}
    if len(shapes) != 1:
        raise ValueError(f"the snapshots must have one shape, got {sorted(shapes)}")
    weights = CubicSpline(host.asarray(times, dtype=float), host.eye(len(times)))
    sizes = host.asarray([A.norm() if isinstance(A, LowRank) else float(host.linalg.norm(_dense(A))) for A in matrices])

    def combined(w: host.ndarray) -> Any:
        terms = [float(c) * A for c, A in zip(w, matrices, strict=True) if c]
        return reduce(add, terms) if terms else 0.0 * matrices[0]

    grid = host.linspace(times[0], times[-1], 20 * len(times))
    return given_data(
        lambda t: combined(weights(t)),
        lambda t: combined(weights(t, 1)),
        (times[0], times[-1]),
        rank,
        B=1.01 * float(host.max(host.abs(weights(grid, 1)) @ sizes)),
        name=name,
    )


def _matrix(value: Any, what: str) -> Any:
    """Return ``value``, after checking that it is a matrix."""
    if not (isinstance(value, Lazy) or is_array(value) or is_sparse(value)) or len(value.shape) != 2:
        raise TypeError(f"{what} must be a LowRank, an array or a sparse matrix, got {type(value).__name__}")
    return value


def _start(A: Any, rank: int) -> LowRank:
    check_rank(rank, A.shape)
    if isinstance(A, LowRank):
        return A.truncate(Rank(rank))
    return LowRank.from_dense(_values(A), Rank(rank))


def _distance(A: Any, Y: LowRank) -> float:
    if isinstance(A, LowRank):
        return (A - Y).norm()
    return float(host.linalg.norm(_dense(A) - to_host(Y.to_dense())))


def _values(A: Any) -> Any:
    """Return the entries of a dense or sparse matrix as an array of its own library."""
    return as_evaluation(A, None).full()


def _dense(A: Any) -> host.ndarray:
    return to_host(_values(A))
