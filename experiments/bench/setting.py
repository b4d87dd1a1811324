"""What every benchmark gets, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from experiments.bench.ratios import Ratio
from matode._array import Backend, get_backend

__all__ = ["Bench", "Setting"]


@dataclass(frozen=True)
class Setting:
    """How to measure.

    Attributes
    ----------
    quick : bool
        Small sizes and few repetitions.
    torch : bool
        Whether PyTorch is there to be compared with; it is imported where this is true only.
    backend : Backend
        Where the nets compute.
    ranks : tuple of int, optional
        Which ranks of the wide net to time, where not all.
    say : callable
        Prints a line.
    """

    quick: bool = False
    torch: bool = False
    backend: Backend = field(default_factory=get_backend)
    ranks: tuple[int, ...] | None = None
    say: Callable[[str], None] = print


class Bench(NamedTuple):
    """All medians as rows of a CSV file, and the comparisons that count."""

    rows: Sequence[dict[str, Any]]
    ratios: Sequence[Ratio] = ()
