"""The Vlasov-Poisson equation in one space and one velocity dimension: Landau damping and two streams."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matode._array import Array, Backend, get_backend, host, namespace
from matode.lowrank import LowRank
from matode.problems.grids import fourier
from matode.problems.problem import Problem
from matode.problems.references import integrated
from matode.problems.starts import widened

__all__ = ["VlasovPoisson", "landau_damping", "landau_root", "two_stream"]


@dataclass(frozen=True)
class VlasovPoisson:
    """The field ``f_t = -v f_x + E f_v`` of electrons, with ``E_x = 1 - int f dv`` and mean of E zero.

    Rows of Y are points in x, columns points in v, both periodic with Fourier derivatives. F has twice the rank of Y.
    Both terms are skew-symmetric in Y for a given E: the norm of Y is preserved.

    Attributes
    ----------
    Dx, Dv : arrays
        (m, m) and (n, n) differentiation matrices.
    inverse : array
        (m, m): the inverse of Dx on functions of mean zero, 0 on constants.
    v : array
        (n, 1): the velocities.
    dx, dv : float
        Mesh widths.
    """

    Dx: Array
    Dv: Array
    inverse: Array
    v: Array
    dx: float
    dv: float

    def electric_field(self, Y: LowRank) -> Array:
        """Return E at the points in x, (m, 1)."""
        xp = namespace(self.v)
        return self.inverse @ (1.0 - self.dv * Y.right(xp.ones_like(self.v)))

    def electric_energy(self, Y: LowRank) -> float:
        """Return ``1/2 int E^2 dx``."""
        E = self.electric_field(Y)
        return 0.5 * self.dx * float(namespace(E).sum(E * E))

    def __call__(self, t: float, Y: LowRank) -> LowRank:
        """Return F(t, Y)."""
        U, S, V = Y.U, Y.S, Y.V
        return LowRank(-(self.Dx @ U), S, self.v * V) + LowRank(self.electric_field(Y) * U, S, self.Dv @ V)


def landau_damping(
    shape: tuple[int, int] = (16, 64),
    rank: int = 5,
    *,
    amplitude: float = 0.01,
    wave_number: float = 0.5,
    T: float = 5.0,
    seed: int = 0,
    backend: Backend | None = None,
) -> Problem:
    """Return weak Landau damping: ``f(0) = (2 pi)^(-1/2) e^(-v^2 / 2) (1 + a cos(k x))`` on one wave length.

    The electric field decays like ``e^(-0.1533 t)`` for k = 1/2, its energy with twice that rate: :func:`landau_root`.

    Parameters
    ----------
    shape : (m, n)
        Points in x, on ``[0, 2 pi / k)``, and in v, on ``[-6, 6)``; both even.
    rank : int
        Columns of the bases of the start, which has rank 1 and is widened by random directions.
    amplitude, wave_number : float
        a and k.
    T : float
        Length of the interval. The velocity grid lets the perturbation come back at ``2 pi n / (12 k)``.
    seed : int
        For the directions that widen the start.
    backend : Backend, optional
        Where to compute; NumPy where not given.

    Notes
    -----
    No constants are stated: those of the quadratic term depend on f_v. See :class:`VlasovPoisson`; ``problem.F`` has
    ``electric_energy``.

    References
    ----------
    L. Einkemmer and Ch. Lubich, SIAM J. Sci. Comput. 40 (2018), section 5; G. Ceruti, L. Einkemmer, J. Kusch and Ch.
    Lubich, arXiv:2402.08607 (2024).
    """
    if not wave_number > 0:
        raise ValueError(f"the wave number must be positive, got {wave_number}")

    def maxwellian(v: host.ndarray) -> host.ndarray:
        return host.exp(-0.5 * v * v) / math.sqrt(2.0 * math.pi)

    return _vlasov_poisson("Landau damping", maxwellian, shape, rank, amplitude, wave_number, T, seed, backend)


def two_stream(
    shape: tuple[int, int] = (16, 64),
    rank: int = 5,
    *,
    amplitude: float = 1e-3,
    wave_number: float = 0.2,
    drift: float = 2.4,
    T: float = 5.0,
    seed: int = 0,
    backend: Backend | None = None,
) -> Problem:
    """Return the two-stream instability: as :func:`landau_damping`, with two Maxwellians that drift at +-``drift``.

    The electric energy grows exponentially, until it saturates at times beyond 20.
    """
    if not wave_number > 0:
        raise ValueError(f"the wave number must be positive, got {wave_number}")

    def streams(v: host.ndarray) -> host.ndarray:
        return (host.exp(-0.5 * (v - drift) ** 2) + host.exp(-0.5 * (v + drift) ** 2)) / math.sqrt(8.0 * math.pi)

    return _vlasov_poisson("two-stream instability", streams, shape, rank, amplitude, wave_number, T, seed, backend)


def landau_root(wave_number: float) -> complex:
    """Return the least damped frequency of a Maxwellian: its imaginary part is the (negative) rate of the field.

    The root of ``k^2 + 1 + z Z(z) = 0``, ``z = omega / (2^0.5 k)``, with the plasma dispersion function Z, by Newton's
    method from the expansion for long waves.
    """
    from scipy.special import wofz

    if not 0.2 <= wave_number <= 1.0:
        raise ValueError(f"the wave number must be in [0.2, 1], got {wave_number}")
    k = wave_number
    rate = math.sqrt(math.pi / 8.0) / k**3 * math.exp(-0.5 / k**2 - 1.5)
    z = complex(math.sqrt(1.0 + 3.0 * k**2), -rate) / (math.sqrt(2.0) * k)
    for _ in range(50):
        Z = 1j * cmath.sqrt(math.pi) * complex(wofz(z))
        step = (k**2 + 1.0 + z * Z) / (Z - 2.0 * z * (1.0 + z * Z))
        z -= step
        if abs(step) < 1e-14:
            break
    return math.sqrt(2.0) * k * z


def _vlasov_poisson(
    name: str,
    equilibrium: Callable[[host.ndarray], host.ndarray],
    shape: tuple[int, int],
    rank: int,
    amplitude: float,
    wave_number: float,
    T: float,
    seed: int,
    backend: Backend | None,
) -> Problem:
    backend = get_backend() if backend is None else backend
    m, n = shape
    length, width = 2.0 * math.pi / wave_number, 12.0
    Dx, Dv = fourier(m, length), fourier(n, width)
    inverse = host.linalg.pinv(Dx, rcond=1e-10)
    x, v = length * host.arange(m) / m, width * (host.arange(n) / n - 0.5)
    dx, dv = length / m, width / n
    left, right = (1.0 + amplitude * host.cos(wave_number * x))[:, None], equilibrium(v)[:, None]

    def rhs(t: float, Y: host.ndarray) -> host.ndarray:
        E = inverse @ (1.0 - dv * host.sum(Y, axis=1))
        return -(Dx @ Y) * v + E[:, None] * (Y @ Dv.T)

    def put(a: Any) -> Array:
        return backend.xp.asarray(a, device=backend.device)

    return Problem(
        name=f"{name}, {m} x {n}",
        F=VlasovPoisson(put(Dx), put(Dv), put(inverse), put(v[:, None]), dx, dv),
        t_span=(0.0, T),
        Y0=widened(left, right, rank, seed, backend),
        reference=integrated(rhs, left @ right.T),
        citation="Einkemmer, Lubich, SIAM J. Sci. Comput. 40 (2018)",
    )
