"""A tight reference substep on the host, by SciPy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from matode._array import Array, as_dtype, eps, from_host, host, is_complex, to_host
from matode.protocols import Rhs

__all__ = ["Reference"]


@dataclass(frozen=True)
class Reference:
    """SciPy's DOP853 at a tight tolerance, on the host: for validation, where substeps should count as exact.

    Every call copies the unknowns to the host and back; the field itself still runs where it lives. In single precision
    the tolerances are those that its rounding allows.
    """

    rtol: float = 1e-12
    atol: float = 1e-13
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    def __call__(
        self, f: Rhs, t: float, h: float, Z: tuple[Array, ...], first: tuple[Array, ...] | None = None
    ) -> tuple[Array, ...]:
        """Return Z at t + h."""
        from scipy.integrate import solve_ivp

        def rhs(s: float, z: host.ndarray) -> host.ndarray:
            return _packed(f(float(s), _unpacked(z, Z)))

        rounding = max(eps(z) for z in Z)
        rtol, atol = max(self.rtol, 100 * rounding), max(self.atol, rounding)
        result = solve_ivp(rhs, (t, t + h), _packed(Z), "DOP853", rtol=rtol, atol=atol, **self.options)
        if not result.success:
            raise RuntimeError(f"the reference substep failed between t = {t} and {t + h}: {result.message}")
        return _unpacked(result.y[:, -1], Z)


def _packed(Z: tuple[Array, ...]) -> host.ndarray:
    parts = [host.reshape(to_host(z), (-1,)) for z in Z]
    return host.concatenate(parts).astype("complex128" if any(p.dtype.kind == "c" for p in parts) else "float64")


def _unpacked(z: host.ndarray, like: tuple[Array, ...]) -> tuple[Array, ...]:
    blocks, start = [], 0
    for x in like:
        size = int(host.prod(x.shape))
        part = z[start : start + size]
        part = part if is_complex(x) else part.real
        blocks.append(as_dtype(from_host(host.reshape(part, x.shape), x), x.dtype))
        start += size
    return tuple(blocks)
