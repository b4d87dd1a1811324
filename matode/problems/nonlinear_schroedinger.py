"""The discrete nonlinear Schroedinger equation."""

from __future__ import annotations

import math
from typing import Any

from matode._array import Backend, get_backend, host, sparse_operator
from matode.entrywise import cubic
from matode.evaluations import Operator
from matode.problems.grids import stencil
from matode.problems.problem import Linear, Problem
from matode.problems.references import integrated
from matode.problems.starts import widened

__all__ = ["nonlinear_schroedinger"]


def nonlinear_schroedinger(
    n: int = 100,
    rank: int = 8,
    *,
    strength: float = 0.1,
    height: float = 1.5,
    T: float = 1.0,
    seed: int = 0,
    backend: Backend | None = None,
) -> Problem:
    """Return ``i Y' = -1/2 (B Y + Y B) - a |Y|^2 Y``, complex and norm-preserving, with ``B = tridiag(1, 0, 1)``.

    The start is a sum of two Gaussians of width n/10, around (0.6 n, 0.5 n) and (0.5 n, 0.4 n): of rank 2, widened by
    random directions. The modulus is entry by entry, in the form that costs less
    (:func:`matode.entrywise.cubic`).

    Parameters
    ----------
    n : int
        Sites in each direction; the literature has 100.
    rank : int
        Columns of the bases of the start, at least 2.
    strength : float
        a.
    height : float
        L, B and the one-sided constant hold for matrices whose entries are at most this large. Those of the solution
        stay below 1.5 for the strengths and times of the defaults.
    T : float
        Length of the interval; the literature has 5.
    seed : int
        For the directions that widen the start.
    backend : Backend, optional
        Where to compute; NumPy where not given.

    Notes
    -----
    The norm is preserved exactly. For entries up to the height H, ``|Y|^2 Y`` has the Lipschitz constant ``3 H^2``,
    and differences of solutions grow at most like ``e^(a H^2 t)``.

    References
    ----------
    A. Trombettoni and A. Smerzi, Phys. Rev. Lett. 86 (2001); E. Kieri, Ch. Lubich and H. Walach, SIAM J. Numer. Anal.
    54 (2016); E. Kieri and B. Vandereycken, Comput. Methods Appl. Math. 19 (2019).
    """
    backend = get_backend() if backend is None else backend
    left = 0.5j * stencil(n, 1.0, 0.0, 1.0)
    sites = host.arange(1.0, n + 1)

    def gaussian(centre: float) -> host.ndarray:
        return host.exp(-(((sites - centre * n) / (0.1 * n)) ** 2))

    first = host.stack([gaussian(0.6), gaussian(0.5)], axis=1).astype(complex)
    second = host.stack([gaussian(0.5), gaussian(0.4)], axis=1).astype(complex)
    start = first @ second.T

    def rhs(t: float, Y: host.ndarray) -> host.ndarray:
        square = Y.real * Y.real + Y.imag * Y.imag
        return left @ Y + (left @ Y.T).T + (1j * strength) * square * Y

    a = sparse_operator(left, backend)
    operator = Operator(a)

    def interaction(t: float, Y: Any) -> Any:
        return cubic(Y, 0.0, 1j * strength, modulus=True)

    size = 2.0 * math.cos(math.pi / (n + 1))
    square = strength * height**2
    return Problem(
        name=f"nonlinear Schroedinger equation, n = {n}",
        F=lambda t, Y: operator @ Y + Y @ operator + interaction(t, Y),
        t_span=(0.0, T),
        Y0=widened(first, second, rank, seed, backend),
        reference=integrated(rhs, start),
        L=size + 3.0 * square,
        B=(size + square) * 1.1 * float(host.linalg.norm(start)),
        one_sided=square,
        linear=Linear(a, a, interaction),
        citation="Kieri, Vandereycken, Comput. Methods Appl. Math. 19 (2019)",
    )
