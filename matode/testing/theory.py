"""What theory says of the methods of the catalogue: the table that claims are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["ROWS", "Row", "SubstepClass"]

SubstepClass = Literal["euler", "exact"]


@dataclass(frozen=True)
class Row:
    """One method of the table: guarantees with exact and with Euler substeps, and those that are denied."""

    exact: str = ""
    euler: str = ""
    denied: str = ""
    denied_euler: str = ""
    order: float = 1.0
    order_below: float = math.inf
    widening: float = 1.0
    euler_evaluations: int | None = None
    random: bool = False
    always: SubstepClass | None = None  # for methods that have no choice of substeps
    formula: int = 4


ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "ksl": Row(
            exact="exact norm energy",
            euler="exact",
            denied="transpose reversible descent symmetric skew psd",
            denied_euler="transpose reversible norm energy descent",
            order_below=1.8,
        ),
        "lsk": Row(
            exact="exact norm energy",
            euler="exact",
            denied="transpose reversible descent symmetric skew psd",
            denied_euler="transpose reversible norm energy descent",
            order_below=1.8,
        ),
        "ksl-strang": Row(
            exact="exact reversible norm energy",
            denied="transpose descent symmetric skew psd",
            denied_euler="transpose reversible norm energy descent",
            order=2.0,
            order_below=2.3,
        ),
        "bug": Row(
            exact="exact transpose symmetric skew psd",
            euler="exact transpose symmetric skew",
            denied="reversible norm energy descent",
            denied_euler="reversible norm energy descent",
            order_below=1.2,
        ),
        "augmented-bug": Row(
            exact="exact transpose norm energy descent symmetric skew psd",
            euler="exact transpose descent symmetric skew",
            denied="reversible",
            denied_euler="reversible norm energy",
            widening=2.0,
            euler_evaluations=1,
        ),
        "parallel-bug": Row(
            exact="transpose symmetric skew",
            euler="transpose descent symmetric skew",
            denied="exact reversible norm energy psd",
            denied_euler="exact reversible norm energy psd",
            order_below=1.2,
            widening=2.0,
            euler_evaluations=1,
        ),
        "parallel-bug-2": Row(
            exact="transpose symmetric skew", denied="exact reversible", order=2.0, order_below=2.3, widening=4.0
        ),
        "midpoint-bug": Row(
            exact="transpose norm energy descent symmetric skew psd",
            denied="exact reversible",
            order=2.0,
            order_below=2.3,
            widening=4.0,
        ),
        "abc-psi": Row(
            exact="exact norm energy descent",
            euler="exact descent",
            denied="transpose reversible symmetric skew psd",
            denied_euler="transpose reversible norm energy",
            widening=2.0,
            euler_evaluations=1,
        ),
        "prk1": Row(
            euler="transpose symmetric skew",
            denied_euler="exact reversible norm energy",
            order_below=1.2,
            always="euler",
        ),
        "prk2": Row(
            exact="transpose symmetric skew", denied="exact", order=2.0, order_below=2.3, always="exact", formula=2
        ),
        "prk3": Row(
            exact="transpose symmetric skew", denied="exact", order=3.0, order_below=3.4, always="exact", formula=3
        ),
        "rk-bug-2": Row(
            exact="transpose symmetric skew",
            denied="exact reversible",
            order=2.0,
            order_below=2.3,
            widening=3.0,
            always="exact",
            formula=2,
        ),
        "rk-bug-3": Row(
            exact="transpose symmetric skew",
            denied="exact",
            order=3.0,
            order_below=3.4,
            widening=4.0,
            always="exact",
            formula=3,
        ),
        "step-truncation": Row(
            euler="transpose symmetric skew", denied_euler="reversible norm", widening=math.inf, always="euler"
        ),
        "drsvd": Row(
            exact="exact norm energy",
            euler="exact",
            denied="transpose reversible symmetric skew psd",
            denied_euler="transpose reversible norm energy",
            widening=math.inf,
            random=True,
        ),
        "dgn": Row(
            exact="exact",
            euler="exact",
            denied="transpose reversible symmetric skew psd",
            denied_euler="transpose reversible norm energy",
            widening=math.inf,
            random=True,
        ),
        "full-rank": Row(exact="exact transpose norm energy symmetric skew psd", order=4.0, widening=math.inf),
    }
)
"""The rows by catalogue name."""
