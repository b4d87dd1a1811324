"""Time to orthonormalise against a basis, over the matrix products that it contains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.bench.ratios import Ratio
from experiments.bench.setting import Bench, Setting
from experiments.bench.timing import milliseconds, settle
from matode._array import Backend
from matode.linalg import complement, orthonormality_defect

__all__ = ["GOAL", "run"]

GOAL = 2.5
"""Of the products, for 5120 x 320 against a basis of 320 in single precision."""

_SIZE = (5120, 320)
_QUICK = (512, 64)
_INNOVATION = 256  # rank of what is new in the deficient case: a batch's


def run(setting: Setting) -> Bench:
    """Time full-rank and rank-deficient input."""
    settle()
    m, r = _QUICK if setting.quick else _SIZE
    U, inputs = _inputs(m, r, setting.backend)
    calls: dict[str, Callable[[], Any]] = {name: lambda X=X: complement(U, X) for name, X in inputs.items()}
    calls["its matrix products"] = _products(U, inputs["full rank"])
    calls["QR of both side by side"] = _qr(U, inputs["full rank"], setting.backend)
    ms = milliseconds(setting, calls, 2 if setting.quick else 15, batch=0.05)
    work = f"orthonormalising {m} x {r} against {r} columns"
    setting.say(f"\n{work}, float32")
    goal = GOAL if (m, r) == _SIZE else None
    ratios = [Ratio(work, name, ms[name], "its matrix products", ms["its matrix products"], goal) for name in inputs]
    ratios.append(Ratio(work, "full rank", ms["full rank"], "QR of both side by side", ms["QR of both side by side"]))
    for ratio in ratios:
        setting.say(ratio.line())
    rows = []
    for name, t in ms.items():
        found = complement(U, inputs[name]) if name in inputs else None
        columns, defect = (None, None) if found is None else (found.shape[1], _defect(U, found, setting.backend))
        rows.append({"what": name, "milliseconds": t, "columns": columns, "defect": defect})
        if found is not None:
            setting.say(f"    {name}: {columns} new columns, orthonormal to {defect:.1e} (Frobenius norm)")
    return Bench(rows, ratios)


def _inputs(m: int, r: int, backend: Backend) -> tuple[Any, dict[str, Any]]:
    """Return a basis, and columns that are all new, or of which some lie in its range but for rounding."""
    rng = np.random.default_rng(0)
    U, _ = np.linalg.qr(rng.standard_normal((m, r)))
    X = rng.standard_normal((m, r))
    k = min(_INNOVATION, r - r // 4)
    deficient = U @ rng.standard_normal((r, r)) + 0.1 * rng.standard_normal((m, k)) @ rng.standard_normal((k, r))
    sent = [backend.xp.asarray(a.astype(np.float32), device=backend.device) for a in (U, X, deficient)]
    return sent[0], {"full rank": sent[1], f"{k} of {r} directions new": sent[2]}


def _products(U: Any, X: Any) -> Callable[[], Any]:
    """Return the eight products: two projections, two Gram matrices, two products with small factors."""
    small = U.mT @ X

    def products() -> None:
        for _ in range(2):
            U.mT @ X
            U @ small
            X.mT @ X
            X @ small

    return products


def _qr(U: Any, X: Any, backend: Backend) -> Callable[[], Any]:
    both = backend.xp.concat([U, X], axis=1)
    return lambda: backend.xp.linalg.qr(both, mode="reduced")


def _defect(U: Any, Q: Any, backend: Backend) -> float:
    return orthonormality_defect(backend.xp.concat([U, Q], axis=1))
