"""What a step cannot do without: its products, factorisations and elementwise passes, counted per integrator.

The counts are those of RK4 substeps, with every product that can be reused formed once. `kernels` has each kernel as a
call on arrays of its sizes, to be timed in the run that times the step; the limit is counts times medians.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.bench.cases import Case

__all__ = ["ELEMENTWISE", "counts", "kernels"]

ELEMENTWISE = ("axpy", "add", "cube")
"""Kernels that are neither BLAS, LAPACK nor a sparse product."""


def kernels(case: Case) -> dict[str, Callable[[], Any]]:
    """Return each kernel by name: w stands for r columns, W for 2 r."""
    n, r = case.n, case.r
    rng = np.random.default_rng(0)
    K, L, W, X = (rng.standard_normal((n, k)) for k in (r, r, 2 * r, 2 * r))
    M, B, P = (rng.standard_normal(s) for s in ((r, r), (2 * r, 2 * r), (2 * r, r)))
    G, A = K.T @ L + 2 * n * np.eye(r), case.A
    G = (G + G.T) / 2
    found: dict[str, Callable[[], Any]] = {
        "A @ w": lambda: A @ K,
        "A @ W": lambda: A @ W,
        "w @ r x r": lambda: K @ M,
        "W @ 2r x 2r": lambda: W @ B,
        "w* w": lambda: K.T @ L,
        "w* w (itself)": lambda: K.T @ K,
        "W* w": lambda: W.T @ K,
        "W* W": lambda: W.T @ X,
        "W @ 2r x r": lambda: W @ P,
        "r^3": lambda: M @ M,
        "(2r)^3": lambda: B @ B,
        "cholesky r": lambda: np.linalg.cholesky(G),
        "inverse r": lambda: np.linalg.inv(G),
        "qr w": lambda: np.linalg.qr(K),
        "qr W": lambda: np.linalg.qr(W),
        "svd 2r": lambda: np.linalg.svd(B, full_matrices=False),
        "axpy": lambda: K + 0.1 * L,
        "add": lambda: K + L,
    }
    if case.C is not None:
        C, x = case.C.U, rng.standard_normal((10, r))
        found |= {"C* w": lambda: C.T @ K, "C @ 10 x r": lambda: C @ x, "C* W": lambda: C.T @ W}
    else:
        D, V, V2 = rng.standard_normal((n, n)), L.T.copy(), X.T.copy()
        found |= {
            "w w*": lambda: K @ V,
            "W W*": lambda: W @ V2,
            "D @ w": lambda: D @ K,
            "D @ W": lambda: D @ W,
            "cube": lambda: D * D * D,
        }
    return found


def counts(name: str, case: Case) -> Counter[str] | None:
    """Return how often a step of the integrator needs each kernel; None where nobody has counted."""
    linear = case.C is not None
    k3, k4 = _flow(3, linear), _flow(4, linear)
    first = _times(_FIRST if linear else _FIRST_DENSE, 1)
    sides = _times(_SIDES if linear else _SIDES_PLAIN, 2)  # A U, U* A U and what C needs, once for each basis
    complements = _times(_COMPLEMENT, 2)
    truncation = Counter({"svd 2r": 1, "W @ 2r x r": 2})
    if name == "augmented-bug":
        return sides + first + k3 + k3 + complements + _galerkin(3, linear) + truncation
    if not linear:
        return None
    small = Counter({"r^3": 6})
    if name == "parallel-bug":
        return sides + first + k3 + k3 + complements + small + Counter({"w* w": 2}) + truncation
    if name == "bug":
        rotation = Counter({"qr w": 2, "w* w": 2, "r^3": 2})
        return sides + first + k3 + k3 + rotation + sides + Counter({"r^3": 8})
    if name in ("ksl", "lsk"):
        return sides + k4 + k4 + Counter({"qr w": 2, "r^3": 8})
    if name == "ksl-strang":
        third = _times(_SIDES, 1)  # the basis that the two halves share is met once
        return sides + third + _times(k4 + k4 + Counter({"qr w": 2, "r^3": 8}), 2)
    return None


_SIDES = Counter({"A @ w": 1, "w* w": 1, "C* w": 1, "C @ 10 x r": 1})
_SIDES_PLAIN = Counter({"A @ w": 1, "w* w": 1})
_FIRST = Counter({"w @ r x r": 4, "add": 4})  # F V and F* U
_FIRST_DENSE = Counter({"w @ r x r": 4, "add": 6, "w w*": 1, "cube": 1, "D @ w": 2})
_COMPLEMENT = Counter(
    {"w* w": 2, "w* w (itself)": 2, "w @ r x r": 4, "add": 2, "cholesky r": 1, "inverse r": 1}
)  # two projections, one Cholesky QR, one series


def _flow(stages: int, linear: bool) -> Counter[str]:
    """Return what a K- or L-flow evaluates: its stages, and the combinations of RK4 (equal weights summed before)."""
    stage = Counter({"A @ w": 1, "w @ r x r": 1, "add": 2})
    if not linear:
        stage += Counter({"w w*": 1, "cube": 1, "D @ w": 1, "add": 1})
    return _times(stage, stages) + Counter({"w @ r x r": 1, "axpy": 5, "add": 2})


def _galerkin(stages: int, linear: bool) -> Counter[str]:
    """Return what the S-flow of the augmented bases evaluates: of ``W* A W`` one of the four blocks is known."""
    found = Counter({"A @ w": 2, "W* w": 2, "w* w": 2, "(2r)^3": 2 * (stages + 1)})
    if linear:
        return found + Counter({"C* w": 2})
    return found + Counter({"D @ w": 1}) + _times(Counter({"W W*": 1, "cube": 1, "D @ W": 1, "W* W": 1}), stages)


def _times(counter: Counter[str], factor: int) -> Counter[str]:
    return Counter({name: factor * count for name, count in counter.items()})
