"""The Allen-Cahn equation: diffusion and a cubic reaction."""

from __future__ import annotations

import math
from typing import Any

from matode._array import Backend, get_backend, host, sparse_operator, to_host
from matode.entrywise import cubic
from matode.evaluations import Operator
from matode.problems.grids import laplacian
from matode.problems.problem import Linear, Problem, check_interval
from matode.problems.references import integrated
from matode.problems.starts import cut

__all__ = ["allen_cahn"]

_TALLEST = 1.1
"""Entries for which L and B hold; those of exact solutions stay in [-1, 1]."""


def allen_cahn(
    n: int = 64, rank: int = 8, *, diffusion: float = 0.01, T: float = 2.0, backend: Backend | None = None
) -> Problem:
    """Return ``u_t = d (u_xx + u_yy) + u - u^3``, periodic on [0, 2 pi]^2, as ``Y' = A Y + Y A* + Y - Y^3``.

    Second differences on n cell midpoints in each direction; the cube is entry by entry, in the form that costs less
    (:func:`matode.entrywise.cubic`). The start is a sum of five smooth bumps at different scales.

    Parameters
    ----------
    n : int
        Grid points in each direction, even.
    rank : int
        Rank of the start: the best approximation of the bumps, scaled so that its largest entry is 1.
    diffusion : float
        d.
    T : float
        Length of the interval.
    backend : Backend, optional
        Where to compute; NumPy where not given.

    Notes
    -----
    The entries stay in [-1, 1] (maximum principle). The derivative ``1 - 3
    y^2`` of the reaction lies in [-2.63, 1] for entries up to 1.1, which gives L and B; the one-sided constant 1 holds
    for all matrices.

    References
    ----------
    A. Rodgers and D. Venturi, J. Sci. Comput. 97 (2023), for the start; B. Carrel, arXiv:2410.17091 (2024).
    """
    check_interval(T)
    if n < 4 or n % 2:
        raise ValueError(f"need an even number of grid points, at least 4, got {n}")
    backend = get_backend() if backend is None else backend
    A = (diffusion * (n / (2.0 * math.pi)) ** 2 * laplacian(n, periodic=True)).tocsr()
    x = 2.0 * math.pi * (host.arange(n) + 0.5) / n
    Y0, _ = cut(_start(x), rank, backend)
    start = to_host(Y0.to_dense())
    tallest = float(host.max(host.abs(start)))
    Y0, start = Y0 / tallest, start / tallest

    def rhs(t: float, Y: host.ndarray) -> host.ndarray:
        return A @ Y + (A @ Y.T).T + Y - Y * Y * Y

    a = sparse_operator(A, backend)
    operator = Operator(a)

    def reaction(t: float, Y: Any) -> Any:
        return cubic(Y, 1.0, -1.0)

    size = 8.0 * diffusion * (n / (2.0 * math.pi)) ** 2
    largest = min(math.exp(T) * float(host.linalg.norm(start)), float(n))
    return Problem(
        name=f"Allen-Cahn equation, n = {n}",
        F=lambda t, Y: operator @ Y + Y @ operator + reaction(t, Y),
        t_span=(0.0, T),
        Y0=Y0,
        reference=integrated(rhs, start),
        L=size + 3.0 * _TALLEST**2 - 1.0,
        B=_TALLEST * (size + 1.0) * largest,
        one_sided=1.0,
        linear=Linear(a, a, reaction),
        citation="Rodgers, Venturi, J. Sci. Comput. 97 (2023)",
    )


def _start(x: host.ndarray) -> host.ndarray:
    """Return the sum of bumps on the grid x times x."""

    def bump(a: host.ndarray, b: host.ndarray) -> host.ndarray:
        flat = host.exp(-(host.tan(a) ** 2))[:, None] + host.exp(-(host.tan(b) ** 2))[None, :]
        wall = host.exp(_secant(a))[:, None] + host.exp(_secant(b))[None, :]
        return flat * host.sin(a)[:, None] * host.sin(b)[None, :] / (1.0 + wall)

    return (
        bump(x, x)
        - bump(x, 2.0 * x)
        + bump(3.0 * x + math.pi, 3.0 * x + math.pi)
        - 2.0 * bump(4.0 * x, 4.0 * x)
        + 2.0 * bump(5.0 * x, 5.0 * x)
    )


def _secant(a: host.ndarray) -> host.ndarray:
    """Return ``1 / |sin(a / 2)|``, held where its exponential would overflow: the bump is 0 there anyway."""
    return 1.0 / host.maximum(host.abs(host.sin(a / 2.0)), 1.0 / 700.0)
