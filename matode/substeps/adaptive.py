"""Substeps of controlled error: embedded pairs of explicit Runge-Kutta methods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from matode._array import Array, as_dtype, eps, namespace
from matode.protocols import Rhs
from matode.substeps.explicit import RungeKutta, combined

__all__ = ["Adaptive", "bogacki_shampine", "dormand_prince"]


bogacki_shampine = RungeKutta(
    ((), (1 / 2,), (0.0, 3 / 4), (2 / 9, 1 / 3, 4 / 9)),
    (2 / 9, 1 / 3, 4 / 9, 0.0),
    embedded=(7 / 24, 1 / 4, 1 / 3, 1 / 8),
    name="Bogacki-Shampine",
)
"""Orders 3 and 2 (P. Bogacki and L. F. Shampine, Appl. Math. Lett. 2, 1989)."""

_FIFTH = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)

dormand_prince = RungeKutta(
    (
        (),
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
        _FIFTH,
    ),
    (*_FIFTH, 0.0),
    embedded=(5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40),
    name="Dormand-Prince",
)
"""Orders 5 and 4 (J. R. Dormand and P. J. Prince, J. Comput. Appl. Math. 6, 1980)."""


@dataclass(frozen=True)
class Adaptive:
    """Error-controlled steps of an embedded pair, on any backend; one number crosses to the host for each.

    A step is accepted when the Frobenius norm of the error estimate of each unknown Z is at most ``atol + rtol ||Z||``.
    The first attempt is the whole interval.

    Parameters
    ----------
    rtol, atol : float
        Tolerances; in single precision rtol is at least 100 units of rounding.
    pair : RungeKutta
        A tableau with embedded weights. Where its last stage is evaluated at the new value, that is the first stage of
        the next step.
    smallest : float
        Smallest step, relative to the interval.

    Raises
    ------
    RuntimeError
        If a smaller step than that would be needed.
    """

    rtol: float = 1e-8
    atol: float = 1e-10
    pair: RungeKutta = dormand_prince
    smallest: float = 1e-6

    def __post_init__(self) -> None:
        if not self.pair.embedded:
            raise ValueError(
                f"an adaptive substep needs a tableau with embedded weights, which {self.pair.name} has not"
            )
        for name, value in (("rtol", self.rtol), ("atol", self.atol)):
            if not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be a finite number >= 0, got {value}")
        if self.rtol == 0 and self.atol == 0:
            raise ValueError("one of rtol and atol must be positive")
        if not 0 < self.smallest < 1:
            raise ValueError(
                f"the smallest step must lie between 0 and 1, relative to the interval, got {self.smallest}"
            )

    def __call__(
        self, f: Rhs, t: float, h: float, Z: tuple[Array, ...], first: tuple[Array, ...] | None = None
    ) -> tuple[Array, ...]:
        """Return Z at t + h; where F or the step gives NaN or inf, so does this."""
        order = self.pair.embedded_order + 1
        done, step = 0.0, 1.0
        k0 = f(t, Z) if first is None else first
        while done < 1.0:
            last = step >= (1.0 - done) * (1 - 1e-9)
            step = 1.0 - done if last else step
            new, k = self._attempt(f, t + h * done, h * step, Z, k0)
            error = self._error(Z, new, h * step, k)
            if error <= 1.0:
                Z, done = new, 1.0 if last else done + step
                if done < 1.0:
                    k0 = k[-1] if self._last_is_first else f(t + h * done, Z)
                step *= 5.0 if error == 0.0 else min(5.0, 0.9 * error ** (-1.0 / order))
                continue
            step *= max(0.2, 0.9 * error ** (-1.0 / order)) if math.isfinite(error) else 0.1
            if step < self.smallest:
                if not math.isfinite(error):
                    return new
                raise RuntimeError(
                    f"the adaptive substep from t = {t:g} to {t + h:g} needs steps below {self.smallest:g} of that: "
                    f"it is stiff there (try Exponential), or rtol = {self.rtol:g} is below what rounding allows"
                )
        return Z

    @property
    def _last_is_first(self) -> bool:
        return (*self.pair.a[-1], 0.0) == self.pair.b

    def _attempt(
        self, f: Rhs, t: float, h: float, Z: tuple[Array, ...], k0: tuple[Array, ...]
    ) -> tuple[tuple[Array, ...], list[tuple[Array, ...]]]:
        """Return the new value, and all stages."""
        k, new = [k0], Z
        for row, node in zip(self.pair.a[1:], self.pair.c[1:], strict=True):
            new = combined(Z, h, row, k)
            k.append(f(t + node * h, new))
        return new if self._last_is_first else combined(Z, h, self.pair.b, k), k

    def _error(self, Z: tuple[Array, ...], new: tuple[Array, ...], h: float, k: list[tuple[Array, ...]]) -> float:
        """Return the largest error of an unknown over what is allowed; one number crosses to the host."""
        weights = [h * (b - c) for b, c in zip(self.pair.b, self.pair.embedded, strict=True)]
        worst: Any = None
        for i, (z, w) in enumerate(zip(Z, new, strict=True)):
            xp = namespace(z)
            e = reduce(add, [c * kj[i] for c, kj in zip(weights, k, strict=True) if c != 0.0])
            allowed = self.atol + max(self.rtol, 100 * eps(z)) * xp.maximum(_norm(z), _norm(w))
            ratio = as_dtype(_norm(e) / allowed, xp.float64)
            worst = ratio if worst is None else xp.maximum(worst, ratio)
        return float(worst)


def _norm(z: Array) -> Array:
    return namespace(z).linalg.vector_norm(z)
