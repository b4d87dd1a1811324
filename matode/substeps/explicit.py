"""Explicit Runge-Kutta substeps, by their tableaux."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from matode._array import Array, shifted, total
from matode.protocols import Rhs, Substep

__all__ = ["Repeated", "RungeKutta", "combined", "euler", "heun", "heun3", "midpoint", "rk4"]


@dataclass(frozen=True)
class RungeKutta:
    """One step of an explicit Runge-Kutta method.

    Parameters
    ----------
    a : tuple of tuples
        Strictly lower triangular part of the tableau: row i has i entries, so that ``a[0] == ()``.
    b : tuple
        Weights, summing to 1.
    c : tuple, optional
        Time nodes; the row sums of ``a`` where not given.
    embedded : tuple, optional
        Weights of a second solution of lower order on the same stages, for an estimate of the error.
    name : str
        For messages and tables.

    Raises
    ------
    ValueError
        If the tableau is not explicit, or the weights do not sum to 1.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...] = ()
    embedded: tuple[float, ...] = ()
    name: str = "explicit Runge-Kutta"

    def __post_init__(self) -> None:
        s = len(self.b)
        if [len(row) for row in self.a] != list(range(s)):
            raise ValueError(
                f"an explicit tableau with {s} weights needs rows of 0, 1, ... {s - 1} coefficients, got rows of "
                f"{[len(row) for row in self.a]}"
            )
        if abs(sum(self.b) - 1.0) > 1e-12:
            raise ValueError(f"the weights of a Runge-Kutta method must sum to 1, got {sum(self.b)}")
        if not self.c:
            object.__setattr__(self, "c", tuple(float(sum(row)) for row in self.a))
        elif len(self.c) != s:
            raise ValueError(f"expected {s} time nodes, one per weight, got {len(self.c)}")
        if self.embedded and len(self.embedded) != s:
            raise ValueError(f"expected {s} embedded weights, one per stage, got {len(self.embedded)}")

    @property
    def order(self) -> int:
        """Order of the method, up to 4, by the order conditions."""
        return _order(self.a, self.b, self.c)

    @property
    def embedded_order(self) -> int:
        """Order of the embedded solution; 0 where there is none."""
        return _order(self.a, self.embedded, self.c) if self.embedded else 0

    def __call__(
        self, f: Rhs, t: float, h: float, Z: tuple[Array, ...], first: tuple[Array, ...] | None = None
    ) -> tuple[Array, ...]:
        """Return Z at t + h; ``first`` is f(t, Z) where it is known already."""
        k: list[tuple[Array, ...]] = []
        for i, (row, node) in enumerate(zip(self.a, self.c, strict=True)):
            if i == 0 and first is not None:
                k.append(first)
            else:
                k.append(f(t + node * h, combined(Z, h, row, k)))
        return combined(Z, h, self.b, k)


@dataclass(frozen=True)
class Repeated:
    """``count`` equal steps of another substep."""

    substep: Substep
    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"the number of substeps must be at least 1, got {self.count}")

    def __call__(
        self, f: Rhs, t: float, h: float, Z: tuple[Array, ...], first: tuple[Array, ...] | None = None
    ) -> tuple[Array, ...]:
        """Return Z at t + h."""
        small = h / self.count
        for i in range(self.count):
            Z = self.substep(f, t + i * small, small, Z, first if i == 0 else None)
        return Z


euler = RungeKutta(((),), (1.0,), name="Euler")
midpoint = RungeKutta(((), (1 / 2,)), (0.0, 1.0), name="midpoint")
heun = RungeKutta(((), (1.0,)), (1 / 2, 1 / 2), embedded=(1.0, 0.0), name="Heun")
heun3 = RungeKutta(((), (1 / 3,), (0.0, 2 / 3)), (1 / 4, 0.0, 3 / 4), embedded=(0.0, 1 / 2, 1 / 2), name="Heun 3")
rk4 = RungeKutta(((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6), name="RK4")


def _order(a: tuple[tuple[float, ...], ...], b: tuple[float, ...], c: tuple[float, ...]) -> int:
    """Return the order of a tableau, up to 4 (Hairer, Norsett and Wanner, Solving ODEs I, Table II.2.1)."""

    def applied(x: Sequence[float]) -> list[float]:
        return [sum(w * xj for w, xj in zip(row, x, strict=False)) for row in a]

    squares, cubes, moved = [x**2 for x in c], [x**3 for x in c], applied(c)
    mixed = [x * y for x, y in zip(c, moved, strict=True)]
    conditions: list[list[tuple[Sequence[float], float]]] = [
        [([1.0] * len(b), 1)],
        [(c, 1 / 2)],
        [(squares, 1 / 3), (moved, 1 / 6)],
        [(cubes, 1 / 4), (mixed, 1 / 8), (applied(squares), 1 / 12), (applied(moved), 1 / 24)],
    ]
    for p, group in enumerate(conditions):
        if any(abs(sum(w * x for w, x in zip(b, xs, strict=True)) - value) > 1e-12 for xs, value in group):
            return p
    return len(conditions)


def combined(
    Z: tuple[Array, ...], h: float, weights: Sequence[float], k: Sequence[tuple[Array, ...]]
) -> tuple[Array, ...]:
    """Return ``Z + h * sum_j weights[j] k[j]``, block by block; stages of the same weight are summed before."""
    blocks = []
    for i, z in enumerate(Z):
        for w, stages in _alike(tuple(weights)):
            alike = [k[j][i] for j in stages]
            z = shifted(z, h * w, total(alike), made=len(alike) > 1)
        blocks.append(z)
    return tuple(blocks)


@cache
def _alike(weights: tuple[float, ...]) -> tuple[tuple[float, tuple[int, ...]], ...]:
    """Return each weight but 0 with the stages that have it."""
    return tuple((w, tuple(j for j, v in enumerate(weights) if v == w)) for w in dict.fromkeys(weights) if w != 0.0)
