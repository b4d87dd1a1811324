"""Two-dimensional convection and diffusion with a source: a rectangular Sylvester equation."""

from __future__ import annotations

from functools import cache

from matode._array import Backend, get_backend, host, sparse_operator
from matode.evaluations import Operator
from matode.lowrank import LowRank
from matode.problems.grids import central, laplacian
from matode.problems.problem import Linear, Problem, check_interval
from matode.problems.starts import check_rank, widened

__all__ = ["convection_diffusion"]


def convection_diffusion(
    shape: tuple[int, int] = (40, 30),
    rank: int = 6,
    *,
    diffusion: float = 0.01,
    wind: tuple[float, float] = (0.5, -0.25),
    source: float = 1.0,
    T: float = 0.2,
    seed: int = 0,
    backend: Backend | None = None,
) -> Problem:
    """Return ``u_t = d (u_xx + u_yy) - w . grad u + c`` on the unit square, as ``Y' = A Y + Y B + C``.

    Central differences on m x n interior points, with zero boundary values: A and B differ, are nonsymmetric, and
    have different sizes. The start is a Gaussian of norm 1 around (0.3, 0.7), of rank 1 and widened to ``rank`` by
    random directions; the source is a Gaussian around (0.6, 0.4).

    Parameters
    ----------
    shape : (m, n)
        Interior grid points in x and y.
    rank : int
        Columns of the bases of the start.
    diffusion : float
        d, positive.
    wind : (float, float)
        w.
    source : float
        Norm of C.
    T : float
        Length of the interval.
    seed : int
        For the directions that widen the start.
    backend : Backend, optional
        Where to compute; NumPy where not given.

    Notes
    -----
    ``L = ||A||_2 + ||B||_2``. The symmetric parts of A and B are those of diffusion alone: the one-sided constant is
    the sum of their largest eigenvalues, ``||Y(t)|| <= 1 + t ||C||``, and B holds up to 1.1 times that norm. The
    reference is ``e^(A t) (Y0 - X) e^(B t) + X`` with ``A X + X B = -C``.
    """
    from scipy.linalg import expm, solve_sylvester

    check_interval(T)
    check_rank(rank, shape)
    if not diffusion > 0:
        raise ValueError(f"the diffusion must be positive, got {diffusion}")
    backend = get_backend() if backend is None else backend
    operators, profiles, bumps, largest = [], [], [], 0.0
    for n, w, where, well in zip(shape, wind, (0.3, 0.7), (0.6, 0.4), strict=True):
        x = host.arange(1, n + 1) / (n + 1)
        operators.append((diffusion * (n + 1) ** 2 * laplacian(n) - w * (n + 1) * central(n)).tocsr())
        profiles.append(host.exp(-60.0 * (x - where) ** 2)[:, None])
        bumps.append(host.exp(-60.0 * (x - well) ** 2)[:, None])
        largest -= diffusion * (2.0 * (n + 1) * float(host.sin(host.pi / (2 * (n + 1))))) ** 2
    A, B = operators[0], operators[1].T.tocsr()
    left, right = (p / host.linalg.norm(p) for p in profiles)
    C_left, C_right = (b / host.linalg.norm(b) for b in bumps)
    start, C_host = left @ right.T, source * C_left @ C_right.T

    @cache
    def stationary() -> host.ndarray:
        return solve_sylvester(A.toarray(), B.toarray(), -C_host)

    def reference(t: float) -> host.ndarray:
        X = stationary()
        return expm(t * A.toarray()) @ (start - X) @ expm(t * B.toarray()) + X

    C = LowRank(*(backend.xp.asarray(X, device=backend.device) for X in (source * C_left, host.eye(1), C_right)))
    a, b = (sparse_operator(X, backend) for X in (A, B))
    left_operator, right_operator = Operator(a), Operator(b)
    size = sum(float(host.linalg.norm(X.toarray(), 2)) for X in (A, B))
    return Problem(
        name=f"convection and diffusion, {shape[0]} x {shape[1]}",
        F=lambda t, Y: left_operator @ Y + Y @ right_operator + C,
        t_span=(0.0, T),
        Y0=widened(left, right, rank, seed, backend),
        reference=reference,
        L=size,
        B=1.1 * size * (1.0 + T * source) + source,
        one_sided=largest,
        linear=Linear(a, b, lambda t, Y: C),
        citation="standard; see e.g. Simoncini, SIAM Rev. 58 (2016)",
    )
