"""Mistakes seen in public codes of low-rank integrators, each carried out beside the right formula; see ``defects``.

Projector splitting (KSL) with RK4 substeps is exact for ``Y' = A Y + Y B`` up to the error of RK4: what a mistake does
to it is plain to see.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

from matode._array import default_rng, host

__all__ = ["NODES", "integrator_mistakes"]

Array = Any

NODES = {"right": (0.0, 0.5, 0.5, 1.0), "wrong": (0.0, 0.0, 0.5, 1.0)}
"""Times of RK4's stages; the wrong ones are sums over each row of the tableau without its first entry."""


def integrator_mistakes(seed: int) -> Iterator[dict[str, Any]]:
    """Return name, the number with the mistake, and the number without."""
    problem = _Sylvester(seed)
    right = problem.error("")
    for mistake in ("forward S-step", "plain transpose", "B for B* in the L-step"):
        yield {"mistake": mistake, "wrong": problem.error(mistake), "right": right}
    yield {"mistake": "first node left out", **{name: _order(problem, NODES[name]) for name in ("wrong", "right")}}
    x = default_rng(seed).standard_normal(100_000)
    yield {"mistake": "cube by pow", "wrong": _time(lambda: x**3) / _time(lambda: x * x * x), "right": 1.0}


class _Sylvester:
    """``Y' = A Y + Y B`` with complex A and B of norm 1 and a start of rank 4, and its exact solution at t = 1."""

    def __init__(self, seed: int, n: int = 20, rank: int = 4) -> None:
        from scipy.linalg import expm

        rng = default_rng(seed)
        self.A, self.B = (X / host.linalg.norm(X, 2) for X in (_complex(rng, n, n) for _ in range(2)))
        U, V = (host.linalg.qr(_complex(rng, n, rank))[0] for _ in range(2))
        self.start = (U, _complex(rng, rank, rank), V)
        self.flow = lambda s: expm(s * self.A) @ U @ self.start[1] @ V.conj().T @ expm(s * self.B)

    def error(self, mistake: str, steps: int = 20) -> float:
        """Return the relative error of projector splitting, with a mistake."""
        A, B, h = self.A, self.B, 1 / steps
        star = host.transpose if mistake == "plain transpose" else _star
        sign = 1 if mistake == "forward S-step" else -1
        C = B if mistake == "B for B* in the L-step" else star(B)
        U, S, V = self.start
        for _ in range(steps):
            K = _rk4(lambda t, K, V=V: A @ K + K @ (star(V) @ B @ V), 0.0, h, U @ S)
            U, S = host.linalg.qr(K)
            a, b = star(U) @ A @ U, star(V) @ B @ V
            S = _rk4(lambda t, S, a=a, b=b: sign * (a @ S + S @ b), 0.0, h, S)
            L = _rk4(lambda t, L, a=a: C @ L + L @ star(a), 0.0, h, V @ star(S))
            V, R = host.linalg.qr(L)
            S = star(R)
        exact = self.flow(1.0)
        return float(host.linalg.norm(U @ S @ star(V) - exact) / host.linalg.norm(exact))


def _order(problem: _Sylvester, nodes: tuple[float, ...]) -> float:
    """Return the observed order of RK4 for the time-dependent ``Y' = cos(2 t) (A Y + Y B)``."""
    A, B = problem.A, problem.B
    exact = problem.flow(math.sin(2.0) / 2)
    errors = []
    for steps in (20, 40):
        Y = problem.flow(0.0)
        for k in range(steps):
            Y = _rk4(lambda t, Y: math.cos(2 * t) * (A @ Y + Y @ B), k / steps, 1 / steps, Y, nodes)
        errors.append(float(host.linalg.norm(Y - exact)))
    return math.log2(errors[0] / errors[1])


def _rk4(f: Callable[[float, Array], Array], t: float, h: float, X: Array, nodes: Any = NODES["right"]) -> Array:
    k1 = f(t + nodes[0] * h, X)
    k2 = f(t + nodes[1] * h, X + h / 2 * k1)
    k3 = f(t + nodes[2] * h, X + h / 2 * k2)
    k4 = f(t + nodes[3] * h, X + h * k3)
    return X + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def _complex(rng: Any, m: int, n: int) -> Array:
    return rng.standard_normal((m, n)) + 1j * rng.standard_normal((m, n))


def _star(X: Array) -> Array:
    return X.conj().T


def _time(run: Callable[[], Any], repetitions: int = 9) -> float:
    """Return the least processor time of several runs."""
    times = []
    for _ in range(repetitions):
        began = time.thread_time()
        run()
        times.append(time.thread_time() - began)
    return min(times)
