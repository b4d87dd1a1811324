"""The viscous Burgers equation with a random start."""

from __future__ import annotations

from typing import Any

from matode._array import Backend, default_rng, get_backend, host, sparse_operator
from matode.entrywise import product
from matode.evaluations import Operator
from matode.problems.grids import central, laplacian
from matode.problems.problem import Linear, Problem, check_interval
from matode.problems.references import integrated
from matode.problems.starts import widened

__all__ = ["burgers"]


def burgers(
    shape: tuple[int, int] = (64, 32),
    rank: int = 6,
    *,
    viscosity: float = 0.01,
    noise: float = 0.01,
    modes: int = 4,
    T: float = 0.4,
    seed: int = 0,
    backend: Backend | None = None,
) -> Problem:
    """Return ``u_t = d u_xx - u u_x`` for random starts, one a column: ``Y' = A Y - Y * (D Y)``, ``*`` by entries.

    Central differences on m interior points of [0, 1], with zero boundary values. The starts are ``sin(2 pi x) (e^(cos
    2 pi x) - 3/2) / 2`` plus ``noise sum_i xi_i sin(i pi x) / i`` with standard normal xi: of rank ``modes + 1``. The
    entrywise product is taken in the form that costs less (:func:`matode.entrywise.product`).

    Parameters
    ----------
    shape : (m, n)
        Grid points and samples.
    rank : int
        Columns of the bases of the start, at least ``modes + 1``; the others are random directions.
    viscosity : float
        d, positive.
    noise, modes : float, int
        Size of the randomness and number of its terms.
    T : float
        Length of the interval; a steep front has formed at 0.3.
    seed : int
        For the samples and the directions that widen the start.
    backend : Backend, optional
        Where to compute; NumPy where not given.

    Notes
    -----
    L and B hold for matrices whose entries are at most 1.25 times the largest of the start; the differential equation
    has a maximum principle. No one-sided constant is stated: it grows with the slope of the front.

    References
    ----------
    B. Carrel, arXiv:2410.17091 (2024); G. Ceruti, J. Kusch and Ch. Lubich, BIT 62 (2022), for uncertain Burgers.
    """
    check_interval(T)
    m, n = shape
    if not viscosity > 0:
        raise ValueError(f"the viscosity must be positive, got {viscosity}")
    if modes < 0:
        raise ValueError(f"the number of random modes must not be negative, got {modes}")
    backend = get_backend() if backend is None else backend
    x = host.arange(1, m + 1) / (m + 1)
    mean = 0.5 * host.sin(2 * host.pi * x) * (host.exp(host.cos(2 * host.pi * x)) - 1.5)
    waves = [host.sin(i * host.pi * x) / i for i in range(1, modes + 1)]
    left = host.stack([mean, *(noise * wave for wave in waves)], axis=1)
    right = host.concatenate([host.ones((n, 1)), default_rng(seed).standard_normal((n, modes))], axis=1)
    start = left @ right.T
    A = (viscosity * (m + 1) ** 2 * laplacian(m)).tocsr()
    D = ((m + 1) * central(m)).tocsr()

    def rhs(t: float, Y: host.ndarray) -> host.ndarray:
        return A @ Y - Y * (D @ Y)

    a, d = (sparse_operator(X, backend) for X in (A, D))
    diffusion, slope = Operator(a), Operator(d)

    def transport(t: float, Y: Any) -> Any:
        return -product(Y, slope @ Y)

    size, height = 4.0 * viscosity * (m + 1) ** 2, 1.25 * float(host.max(host.abs(start)))
    return Problem(
        name=f"stochastic Burgers equation, {m} points, {n} samples",
        F=lambda t, Y: diffusion @ Y + transport(t, Y),
        t_span=(0.0, T),
        Y0=widened(left, right, rank, seed, backend),
        reference=integrated(rhs, start),
        L=size + 2.0 * height * (m + 1),
        B=(size + height * (m + 1)) * height * (m * n) ** 0.5,
        linear=Linear(a, None, transport),
        citation="Carrel, arXiv:2410.17091 (2024)",
    )
