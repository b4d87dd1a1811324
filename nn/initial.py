"""Initial weights: dense ones after He, low-rank ones of the same norm.

A low-rank start whose norm does not grow with the width, or the truncated singular value decomposition of a dense
start, makes the signal of a deep network vanish layer by layer.
"""

from __future__ import annotations

import math

from matode._array import Array, Backend, default_rng, from_host, host, normal
from matode.lowrank import LowRank

__all__ = ["he", "he_low_rank"]


def he(
    outputs: int, inputs: int, *, rng: host.random.Generator | int, backend: Backend, dtype: str = "float32"
) -> Array:
    """Draw an (outputs, inputs) weight of independent normal entries of variance ``2 / inputs``.

    References
    ----------
    He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015, equation (10).
    """
    return normal(default_rng(rng), (outputs, inputs), backend, dtype) * math.sqrt(2.0 / inputs)


def he_low_rank(
    outputs: int,
    inputs: int,
    rank: int,
    *,
    rng: host.random.Generator | int,
    backend: Backend,
    dtype: str = "float32",
) -> LowRank:
    """Draw an (outputs, inputs) weight ``U S V*`` with the Frobenius norm that :func:`he` has on average.

    U and V are Haar-distributed, S is normal and scaled so that ``||S|| = sqrt(2 outputs)``. Nothing of the size
    outputs x inputs is formed.

    Raises
    ------
    ValueError
        If the rank is not between 1 and min(outputs, inputs).
    """
    rng = default_rng(rng)
    bases = LowRank.random((outputs, inputs), rank, rng=rng, dtype=dtype, backend=backend)
    core = rng.standard_normal((rank, rank))
    core *= math.sqrt(2.0 * outputs) / float(host.linalg.norm(core))
    return LowRank(bases.U, from_host(core, bases.U, bases.dtype), bases.V)
