"""Reference solutions on the host: by a tight integration of the dense equation, or by an exact step over and over."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from matode._array import host

__all__ = ["integrated", "stepped"]


def integrated(
    rhs: Callable[[float, host.ndarray], host.ndarray], start: host.ndarray, t0: float = 0.0
) -> Callable[[float], host.ndarray]:
    """Return ``reference(t)`` of the dense ``Y' = rhs(t, Y)``, ``Y(t0) = start``, by SciPy's DOP853 at rtol 1e-12.

    Each time is computed once, from the nearest one between t0 and it that is known already. The arrays are read-only.
    """
    known = {float(t0): _read_only(start)}

    def reference(t: float) -> host.ndarray:
        from scipy.integrate import solve_ivp

        t = float(t)
        if t not in known:
            nearest = min((s for s in known if (s - t0) * (t - s) >= 0), key=lambda s: abs(t - s))
            y = known[nearest]
            solution = solve_ivp(
                lambda s, y: rhs(s, y.reshape(start.shape)).ravel(),
                (nearest, t),
                y.ravel(),
                "DOP853",
                rtol=1e-12,
                atol=1e-13 * max(float(host.max(host.abs(start))), 1e-300),
            )
            if not solution.success:
                raise RuntimeError(f"the reference solution stopped before t = {t:g}: {solution.message}")
            known[t] = _read_only(solution.y[:, -1].reshape(start.shape))
        return known[t]

    return reference


def stepped(
    advance: Callable[[host.ndarray, float], host.ndarray], start: host.ndarray, *, longest: float
) -> Callable[[float], host.ndarray]:
    """Return ``reference(t)`` by steps ``advance(Y, h)`` of equal lengths up to ``longest``, from ``start`` at 0."""

    @cache
    def reference(t: float) -> host.ndarray:
        count = max(1, math.ceil(abs(t) / longest))
        Y = start
        for _ in range(count if t else 0):
            Y = advance(Y, t / count)
        return _read_only(Y)

    return reference


def _read_only(a: host.ndarray) -> host.ndarray:
    view = a.view()
    view.flags.writeable = False
    return view
