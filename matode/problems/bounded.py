"""Nonlinear fields with known Lipschitz constant, bound and normal component: for error bounds as inequalities."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from matode._array import Array, Backend, default_rng, get_backend, host, namespace, normal, to_host
from matode.lowrank import LowRank
from matode.problems.problem import Problem
from matode.problems.references import integrated

__all__ = ["BoundedField", "bounded"]


@dataclass(frozen=True)
class BoundedField:
    """``F(t, Y) = G1 g + g (cos(phi) Ga + sin(phi) Gb) + eps E`` with ``g = Y / (1 + ||Y||^2)``.

    The angle is ``phi = kappa Re <C, Y> + omega t``. The terms in g are tangent at every Y, since their rows or columns
    lie in the range of Y: the normal component is at most eps, for any rank. The dependence of phi on Y matters: with a
    constant right factor, some wrong starts of the L-step are invisible.

    Parameters
    ----------
    G1, Ga, Gb : arrays
        (m, m), (n, n) and (n, n), of 2-norms g1, g2 and g2.
    C, E : LowRank or array
        Two m x n matrices of norm 1, both of the kind of the Y that the field is given.
    g1, g2, kappa, omega, eps : float
        The numbers of the formula.
    """

    G1: Array
    Ga: Array
    Gb: Array
    C: Any
    E: Any
    g1: float
    g2: float
    kappa: float
    omega: float
    eps: float

    def __call__(self, t: float, Y: Any) -> Any:
        """Return F(t, Y)."""
        phi = self.kappa * _inner(self.C, Y) + self.omega * t
        c = 1.0 / (1.0 + _inner(Y, Y))
        right = math.cos(phi) * self.Ga + math.sin(phi) * self.Gb
        return (c * self.G1) @ Y + Y @ (c * right) + self.eps * self.E

    @property
    def L(self) -> float:
        """Lipschitz constant: g is Lipschitz with 1 and bounded by 1/2, the angle with kappa."""
        return self.g1 + math.sqrt(2) * self.g2 + self.kappa * self.g2 / math.sqrt(2)

    @property
    def B(self) -> float:
        """Bound of ``||F||``, attained up to constants where ||Y|| = 1."""
        return (self.g1 + math.sqrt(2) * self.g2) / 2 + self.eps

    @property
    def rate(self) -> float:
        """Bound of ``||dF/dt||``."""
        return abs(self.omega) * self.g2 / math.sqrt(2)


def bounded(
    shape: tuple[int, int] = (24, 18),
    rank: int = 3,
    *,
    g1: float = 1.0,
    g2: float = 1.0,
    kappa: float = 2.0,
    omega: float = 0.0,
    eps: float = 1e-4,
    smallest: float = 1e-3,
    skew: bool = False,
    T: float = 1.0,
    seed: int = 0,
    dtype: str = "float64",
    backend: Backend | None = None,
) -> Problem:
    """Return a random bounded, globally Lipschitz problem with exact L and B, and eps as the normal component.

    Parameters
    ----------
    shape, rank : (int, int), int
        Shape of Y and rank of the start, whose norm is 1 (there B is nearly attained) and whose core is dense.
    g1, g2, kappa, omega, eps : float
        See :class:`BoundedField`.
    smallest : float
        The singular values of the start run geometrically from 1 down to it, before the norm is set to 1.
    skew : bool
        Make the left and right factors skew-Hermitian: with eps = 0 the flow then preserves the norm.
    T : float
        Length of the interval.
    seed, dtype, backend
        How it is drawn, also complex, and where it is put.
    """
    backend = get_backend() if backend is None else backend
    rng = default_rng(seed)
    m, n = shape

    def factor(k: int, size: float) -> Array:
        G = normal(rng, (k, k), get_backend(), dtype)
        G = G - G.conj().T if skew else G
        return backend.xp.asarray(G * (size / host.linalg.norm(G, 2)), device=backend.device)

    def unit(r: int) -> LowRank:
        return LowRank.random(shape, r, singular_values=[r**-0.5] * r, rng=rng, dtype=dtype, backend=backend)

    s = host.geomspace(1.0, smallest, rank)
    Y0 = LowRank.random(
        shape, rank, singular_values=list(s / host.linalg.norm(s)), rng=rng, dtype=dtype, backend=backend
    )
    field = BoundedField(
        factor(m, g1), factor(n, g2), factor(n, g2), unit(1), unit(min(m, n)), g1, g2, kappa, omega, eps
    )
    dense = replace(
        field, G1=_host(field.G1), Ga=_host(field.Ga), Gb=_host(field.Gb), C=_host(field.C), E=_host(field.E)
    )
    start = to_host(Y0.to_dense())

    return Problem(
        name=f"bounded field, {m} x {n}",
        F=field,
        t_span=(0.0, T),
        Y0=Y0,
        reference=integrated(dense, start),
        L=field.L,
        B=field.B,
        eps=eps,
    )


def _inner(X: Any, Y: Any) -> float:
    """Return ``Re <X, Y>`` of two low-rank values or two arrays."""
    if isinstance(X, LowRank):
        return float(complex(X.inner(Y)).real)
    xp = namespace(X, Y)
    value = xp.sum(xp.conj(X) * Y) if xp.isdtype(X.dtype, "complex floating") else xp.sum(X * Y)
    return float(complex(value).real)


def _host(X: Any) -> host.ndarray:
    return to_host(X.to_dense() if isinstance(X, LowRank) else X)
