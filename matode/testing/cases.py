"""Random small problems with known constants, drawn on the host from a seed: what the checks run an integrator on.

Everything here is dense NumPy: the problems have at most a few hundred entries, and the checks compare with exact
flows. Starts have norm 1, a prescribed spectrum, random bases in random gauges, and a core that is never diagonal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from matode.problems.bounded import BoundedField

__all__ = [
    "Case",
    "Factors",
    "bounded_case",
    "constant",
    "factors",
    "flow",
    "gaussian",
    "norm",
    "normal_component",
    "rank_data",
    "shape_for",
    "spectrum",
    "stiefel",
]

Dense = Callable[[float, Any], Any]
"""A right-hand side ``F(t, Y)`` on dense host arrays."""


class Factors(NamedTuple):
    """Host factors of ``Y = U S V*``."""

    U: np.ndarray
    S: np.ndarray
    V: np.ndarray

    @property
    def dense(self) -> np.ndarray:
        """The m x n array."""
        return self.U @ self.S @ self.V.conj().T

    @property
    def rank(self) -> int:
        """Width of the factorisation."""
        return min(self.S.shape)

    @property
    def mH(self) -> Factors:
        """The conjugate transpose."""
        return Factors(self.V, self.S.conj().T, self.U)


@dataclass(frozen=True)
class Case:
    """One problem for one step: the field, the start, the step, and the constants that hold along it."""

    F: Dense
    t: float
    h: float
    Y0: Factors
    L: float = 0.0
    B: float = 0.0
    eps: float = 0.0
    rate: float = 0.0


def norm(X: Any) -> float:
    """Return the Frobenius norm."""
    return float(np.linalg.norm(X))


def gaussian(rng: np.random.Generator, m: int, n: int, cplx: bool = False) -> np.ndarray:
    """Return an m x n array of independent standard normal entries."""
    X = rng.standard_normal((m, n))
    return (X + 1j * rng.standard_normal((m, n))) / np.sqrt(2) if cplx else X


def stiefel(rng: np.random.Generator, m: int, r: int, cplx: bool = False) -> np.ndarray:
    """Return an m x r array with Haar-distributed orthonormal columns."""
    Q, R = np.linalg.qr(gaussian(rng, m, r, cplx))
    d = np.diagonal(R)
    return Q * (d / np.abs(d))


def spectrum(rng: np.random.Generator, r: int, decades: float = 10.0) -> np.ndarray:
    """Return r singular values ``10^-U(0, decades)``, descending, of norm 1."""
    s = np.sort(10.0 ** -rng.uniform(0, decades, r))[::-1]
    return s / norm(s)


def factors(
    rng: np.random.Generator, shape: tuple[int, int], sigma: Sequence[float] | np.ndarray, cplx: bool = False
) -> Factors:
    """Return random bases around the singular values ``sigma``, in random gauges: the core is dense."""
    m, n = shape
    r = len(sigma)
    P, Q = stiefel(rng, r, r, cplx), stiefel(rng, r, r, cplx)
    return Factors(stiefel(rng, m, r, cplx), (P * np.asarray(sigma)) @ Q.conj().T, stiefel(rng, n, r, cplx))


def shape_for(rng: np.random.Generator, r: int) -> tuple[int, int]:
    """Return a shape in [4 r + 2, 24]^2: four times the rank does not fill the space, so no test is vacuous."""
    m, n = rng.integers(4 * r + 2, 25, 2)
    return int(m), int(n)


def bounded_case(
    rng: np.random.Generator,
    *,
    r: int | None = None,
    sigma: Sequence[float] | np.ndarray | None = None,
    shape: tuple[int, int] | None = None,
    cplx: bool | None = None,
    eps: float | None = None,
    omega: float | None = None,
    skew: bool = False,
    hL: tuple[float, float] = (0.005, 0.05),
    backward: bool = False,
) -> Case:
    """Draw a bounded, globally Lipschitz problem (:class:`matode.problems.bounded.BoundedField`) and a step.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of everything that is not given.
    r, sigma, shape, cplx
        Rank (1 to 3), singular values of the start, shape, and whether it is complex.
    eps : float, optional
        Normal component; half of the draws have 1e-4 L or less, so that an error of order h sticks out, the others up
        to L.
    omega : float, optional
        Speed at which F depends on t; zero in half of the draws.
    skew : bool
        Draw a field with ``Re <Y, F(t, Y)> = 0``.
    hL : (float, float)
        Range of h times L.
    backward : bool
        Let a quarter of the steps be negative.
    """
    r = int(rng.integers(1, 4)) if r is None and sigma is None else (r if sigma is None else len(sigma))
    assert r is not None
    sigma = spectrum(rng, r) if sigma is None else np.asarray(sigma) / norm(sigma)
    cplx = bool(rng.integers(2)) if cplx is None else cplx
    m, n = shape_for(rng, r) if shape is None else shape
    Y0 = factors(rng, (m, n), sigma, cplx)
    g1, g2 = (float(x) for x in rng.uniform(0.3, 2.0, 2))
    kappa = float(rng.uniform(0.5, 3.0))
    omega = float(rng.choice([0.0, rng.uniform(0.5, 3.0)])) if omega is None else omega
    t = float(rng.uniform(0.2, 2.0))

    def factor(k: int, size: float) -> np.ndarray:
        G = gaussian(rng, k, k, cplx)
        G = G - G.conj().T if skew else G
        size_of_G = np.linalg.norm(G, 2)
        return G * (size / size_of_G) if size_of_G > 0 else G

    def unit(X: np.ndarray) -> np.ndarray:
        return X / norm(X)

    G1, Ga, Gb = factor(m, g1), factor(n, g2), factor(n, g2)
    # the angle must feel the motion: C has a part along Y0 and a part along the field there
    C = unit(unit(gaussian(rng, m, n, cplx)) + Y0.dense + unit(G1 @ Y0.dense + Y0.dense @ Gb))
    E = unit(gaussian(rng, m, n, cplx))
    bare = BoundedField(G1, Ga, Gb, C, E, g1, g2, kappa, omega, 0.0)
    if skew:
        eps = 0.0
    elif eps is None:
        eps = bare.L * float(10.0 ** rng.uniform(-7, -4) if rng.integers(2) else 10.0 ** rng.uniform(-3, 0))
    field = BoundedField(G1, Ga, Gb, C, E, g1, g2, kappa, omega, eps)
    h = float(rng.uniform(*hL)) / field.L
    if backward and rng.integers(4) == 0:
        h = -h
    return Case(field, t, h, Y0, field.L, field.B, eps, field.rate)


def _polynomial(coefficients: Sequence[np.ndarray], t: float) -> np.ndarray:
    """Return ``sum_k t^k C_k``."""
    return np.asarray(sum(t**k * C for k, C in enumerate(coefficients)))


def _derivative(coefficients: Sequence[np.ndarray], t: float) -> np.ndarray:
    """Return ``sum_k k t^(k-1) C_k``."""
    return np.asarray(sum(k * t ** (k - 1) * C for k, C in enumerate(coefficients) if k)) + 0 * coefficients[0]


def rank_data(
    rng: np.random.Generator,
    *,
    smallest: float,
    cplx: bool,
    r: int | None = None,
    one_sided: bool = False,
    mirrored: bool = False,
) -> tuple[Callable[[float], np.ndarray], Dense, float, float, Factors]:
    """Draw A(t) = X(t) D Z(t)* of exact rank r, with D down to ``smallest``; the start time is not 0.

    X and Z are quadratic in t; ``one_sided``: X has degree 4 and Z is constant (``mirrored``: the other way round).
    A'(t) is cubic in either case: the quadratures of methods of order 4 are exact, and those of lower order are not.

    Returns
    -------
    A, F, t, h, Y0
        The data, its derivative as a field, the step, and A(t) in a random gauge with a dense core.
    """
    r = int(rng.integers(1, 4)) if r is None else r
    m, n = shape_for(rng, r)
    sizes: tuple[tuple[float, ...], tuple[float, ...]] = ((1.0, 0.5, 0.3), (1.0, 0.5, 0.3))
    if one_sided:
        sizes = (1.0, 0.7, 0.7, 0.7, 0.5), (1.0,)
        sizes = sizes[::-1] if mirrored else sizes
    X, Z = ([c * gaussian(rng, k, r, cplx) for c in cs] for k, cs in zip((m, n), sizes, strict=True))
    D = np.geomspace(1.0, smallest, r) if r > 1 else np.asarray([1.0])
    t, h = float(rng.uniform(0.5, 1.0)), float(rng.uniform(0.1, 0.3))
    D = D / norm((_polynomial(X, t) * D) @ _polynomial(Z, t).conj().T)

    def A(t: float) -> np.ndarray:
        return (_polynomial(X, t) * D) @ _polynomial(Z, t).conj().T

    def F(t: float, Y: Any) -> np.ndarray:
        left = (_derivative(X, t) * D) @ _polynomial(Z, t).conj().T
        return left + (_polynomial(X, t) * D) @ _derivative(Z, t).conj().T

    U, R = np.linalg.qr(_polynomial(X, t))
    V, T = np.linalg.qr(_polynomial(Z, t))
    P, Q = stiefel(rng, r, r, cplx), stiefel(rng, r, r, cplx)
    S = (R * D) @ T.conj().T
    return A, F, t, h, Factors(U @ P, P.conj().T @ S @ Q, V @ Q)


def flow(F: Dense, t: float, h: float, Y: np.ndarray, *, steps: int = 1) -> np.ndarray:
    """Return the exact solution at t + h that starts at (t, Y), to about 1e-12."""
    from scipy.integrate import solve_ivp

    shape = Y.shape

    def rhs(s: float, y: np.ndarray) -> np.ndarray:
        return np.asarray(F(s, y.reshape(shape))).ravel()

    result = solve_ivp(
        rhs, (t, t + h), Y.ravel(), "DOP853", rtol=1e-12, atol=1e-14, first_step=abs((t + h) - t) / steps
    )
    return result.y[:, -1].reshape(shape)


def constant(Z: np.ndarray) -> Dense:
    """Return the field that is Z everywhere."""
    return lambda t, Y: Z


def normal_component(Z: np.ndarray, Y: Factors) -> np.ndarray:
    """Return ``(I - U U*) Z (I - V V*)``."""
    Z = Z - Y.U @ (Y.U.conj().T @ Z)
    return Z - (Z @ Y.V) @ Y.V.conj().T
