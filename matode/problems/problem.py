"""The record that every problem of the library is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matode._array import host

__all__ = ["Linear", "Problem", "check_interval"]


@dataclass(frozen=True)
class Linear:
    """The structure ``F(t, Y) = A Y + Y B + G(t, Y)``, for methods that treat A and B by their exponentials.

    Attributes
    ----------
    A, B : array, sparse matrix or None
        (m, m) and (n, n), in the library of the start; None is zero. They hold the stiff part of F.
    G : callable or None
        The rest, ``G(t, Y)``; None is zero.
    """

    A: Any = None
    B: Any = None
    G: Callable[[float, Any], Any] | None = None


@dataclass(frozen=True)
class Problem:
    """A matrix ODE with its start, its interval, and what is known about it.

    Attributes
    ----------
    name : str
        For titles and tables.
    F : callable
        ``F(t, Y)``, as :func:`matode.solve` takes it.
    t_span : (float, float)
        Interval.
    Y0 : LowRank
        Start; ``start_error`` is its distance from the start of the reference.
    reference : callable or None
        ``reference(t)`` is the exact solution at t as a dense host array, for validation.
    L : float or None
        Lipschitz constant of F in the Frobenius norm, at the matrices that are met.
    B : float or None
        Bound of ``||F(t, Y)||`` there.
    eps : float or None
        Bound of the normal component ``||(I - P_U) F (I - P_V)||`` at matrices of the rank of Y0; None where it has
        to be measured.
    one_sided : float or None
        One-sided Lipschitz constant: ``Re <F(Y) - F(Z), Y - Z> <= one_sided ||Y - Z||^2``. Differences of exact
        solutions grow at most like ``e^(one_sided t)``.
    start_error : float
        ``||Y0 - reference(t0)||``.
    citation : str
        Where the problem comes from.
    linear : Linear or None
        The parts of ``F = A Y + Y B + G``, where F is written so.
    """

    name: str
    F: Callable[[float, Any], Any]
    t_span: tuple[float, float]
    Y0: Any
    reference: Callable[[float], host.ndarray] | None = None
    L: float | None = None
    B: float | None = None
    eps: float | None = None
    one_sided: float | None = None
    start_error: float = 0.0
    citation: str = ""
    linear: Linear | None = None


def check_interval(T: float) -> None:
    """Raise a ValueError unless T is positive: the constants of dissipative problems hold forward in time alone."""
    if not T > 0:
        raise ValueError(f"the length T of the interval must be positive, got {T} (the constants hold forward in time)")
