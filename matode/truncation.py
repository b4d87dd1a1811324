"""Truncation rules: from singular values to the rank that is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from matode._array import host

__all__ = ["Absolute", "PerBlock", "Rank", "Relative", "Truncation"]


@dataclass(frozen=True, kw_only=True)
class Truncation:
    """Base of the rules: the smallest rank whose discarded tail stays within a tolerance.

    With singular values s_1 >= s_2 >= ..., the tail of rank r is the Frobenius norm of what is discarded,
    ``(sum_{j > r} s_j^2)^(1/2)``. A rule keeps the smallest r whose tail is at most ``tolerance(s)``, and never fewer
    than ``min_rank`` nor more than ``max_rank`` (which wins over the tolerance).

    Attributes
    ----------
    min_rank : int
        At least 1: a zero matrix keeps one zero singular value.
    max_rank : int or None
        The cap, or None for no cap.
    """

    min_rank: int = 1
    max_rank: int | None = None

    def __post_init__(self) -> None:
        check_rank("min_rank", self.min_rank)
        if self.max_rank is not None:
            check_rank("max_rank", self.max_rank)
        if self.max_rank is not None and self.max_rank < self.min_rank:
            raise ValueError(f"max_rank must be at least min_rank = {self.min_rank}, got {self.max_rank}")

    def tolerance(self, s: host.ndarray) -> float:
        """Return the Frobenius norm that may be discarded."""
        raise TypeError(f"{type(self).__name__} has no tolerance of its own: use Rank, Absolute or Relative")

    def rank(self, s: host.ndarray) -> int:
        """Return how many of the descending singular values ``s`` (host array) to keep."""
        met = tails(s) <= self.tolerance(s)
        r = int(met.argmax()) if met.any() else len(s)
        return self.clip(r, len(s))

    def for_blocks(self, count: int) -> tuple[Truncation, ...]:
        """Return the rule of each of the low-rank blocks of a state: this one for all of them."""
        return (self,) * count

    def is_capped(self, s: host.ndarray, discarded: float) -> bool:
        """Whether ``max_rank`` kept only ``s`` where the tolerance would not have ``discarded`` as much."""
        if len(s) != self.max_rank:
            return False
        norm = host.asarray([math.hypot(float(tails(s)[0]), discarded)])
        return discarded > self.tolerance(norm) * (1 + 1e-12)

    def capped(self, max_rank: int | None) -> Truncation:
        """Return the same rule with this cap, or its own where that is lower or none is given."""
        if max_rank is None or (self.max_rank is not None and self.max_rank <= max_rank):
            return self
        return replace(self, max_rank=max_rank)

    def clip(self, r: int, available: int) -> int:
        """Return ``r`` moved into [min_rank, max_rank] and into what is available."""
        upper = available if self.max_rank is None else min(self.max_rank, available)
        return max(min(r, upper), min(self.min_rank, available))


@dataclass(frozen=True)
class Absolute(Truncation):
    """Discard at most ``theta`` in the Frobenius norm."""

    theta: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_tolerance("theta", self.theta)

    def tolerance(self, s: host.ndarray) -> float:
        """Return theta."""
        return self.theta


@dataclass(frozen=True)
class Relative(Truncation):
    """Discard at most ``tau`` times the Frobenius norm of the matrix, the rule of the DLRT paper."""

    tau: float

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_tolerance("tau", self.tau)

    def tolerance(self, s: host.ndarray) -> float:
        """Return tau ||s||."""
        return self.tau * float(tails(s)[0])


@dataclass(frozen=True)
class Rank(Truncation):
    """Keep ``r`` singular values, or all of them where there are fewer."""

    r: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rank("the rank to keep", self.r)

    def tolerance(self, s: host.ndarray) -> float:
        """Return inf: any tail may be discarded."""
        return math.inf

    def rank(self, s: host.ndarray) -> int:
        """Return r, or fewer where there are fewer."""
        return self.clip(self.r, len(s))


@dataclass(frozen=True, init=False)
class PerBlock(Truncation):
    """A rule of its own for every low-rank block of a state, in their order.

    Parameters
    ----------
    *rules : Truncation
        As many as there are low-rank blocks; the step raises a ValueError otherwise.
    """

    rules: tuple[Truncation, ...]

    def __init__(self, *rules: Truncation) -> None:
        object.__setattr__(self, "rules", rules)
        object.__setattr__(self, "min_rank", 1)
        object.__setattr__(self, "max_rank", None)

    def for_blocks(self, count: int) -> tuple[Truncation, ...]:
        """Return the rules."""
        if len(self.rules) != count:
            raise ValueError(f"PerBlock has {len(self.rules)} rules, but the state has {count} low-rank blocks")
        return self.rules

    def capped(self, max_rank: int | None) -> Truncation:
        """Return the rules, each with this cap."""
        return PerBlock(*(rule.capped(max_rank) for rule in self.rules))


def tails(s: host.ndarray) -> host.ndarray:
    """Return the tail norms of descending singular values: entry r is ``(sum_{j > r} s_j^2)^(1/2)``, r = 0 ... len(s).

    Accumulated from the smallest value by ``hypot``, so that squares neither overflow nor vanish.
    """
    values = host.asarray(s, dtype=host.float64)
    return host.append(host.hypot.accumulate(values[::-1])[::-1], 0.0)


def check_rank(name: str, value: Any) -> None:
    """Raise a TypeError or ValueError unless ``value`` is a whole number of at least 1."""
    if not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")


def _check_tolerance(name: str, value: float) -> None:
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be a finite number >= 0, got {value}")
