"""What a benchmark says in the end: our time or memory over another one of the same run, and the goal for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Ratio", "markdown", "rows"]


@dataclass(frozen=True)
class Ratio:
    """One comparison, of medians or peaks measured in one run.

    Attributes
    ----------
    work : str
        What is done, with its sizes.
    ours : str
        Which of our ways to do it.
    value, reference : float
        Ours and what it is compared with, in ``unit``.
    against : str
        Whose the reference is: a rival, or the limit.
    goal : float or None
        What the ratio must not exceed; None where there is no goal, as for sizes that only ``--quick`` takes.
    unit : str
    """

    work: str
    ours: str
    value: float
    against: str
    reference: float
    goal: float | None = None
    unit: str = "ms"

    @property
    def ratio(self) -> float:
        """Ours over the reference."""
        return self.value / self.reference

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        return None if self.goal is None else self.ratio <= self.goal

    @property
    def verdict(self) -> str:
        """The goal and whether it is met, in words."""
        return "" if self.goal is None else f"{self.goal:g}, {'met' if self.met else 'not met'}"

    def line(self) -> str:
        """Return the comparison as one line for a terminal."""
        goal = f"   (goal {self.verdict})" if self.goal is not None else ""
        value, reference = (_number(x) for x in (self.value, self.reference))
        return f"  {self.ours:34}{value:>9} {self.unit} = {_share(self.ratio):>5} x {self.against}, {reference}{goal}"


def rows(ratios: Sequence[Ratio]) -> list[dict[str, Any]]:
    """Return the comparisons as rows of a CSV file."""
    return [
        {
            "work": x.work,
            "ours": x.ours,
            "value": float(x.value),
            "unit": x.unit,
            "against": x.against,
            "reference": float(x.reference),
            "ratio": float(x.ratio),
            "goal": x.goal,
            "met": x.met,
        }
        for x in ratios
    ]


def markdown(ratios: Sequence[Ratio]) -> str:
    """Return the comparisons as a table in Markdown."""
    lines = ["| work | ours | | against | | ratio | goal |", "|---|---|---|---|---|---|---|"]
    work = None
    for x in ratios:
        first = "" if x.work == work else x.work
        work = x.work
        ours, reference = (f"{_number(v)} {x.unit}" for v in (x.value, x.reference))
        lines.append(f"| {first} | {x.ours} | {ours} | {x.against} | {reference} | {_share(x.ratio)} | {x.verdict} |")
    return "\n".join(lines)


def _share(x: float) -> str:
    return f"{x:.2f}" if x >= 0.1 else f"{x:.3f}"


def _number(x: float) -> str:
    """Return three digits, without an exponent."""
    return f"{x:.3g}" if x < 1000 else f"{x:.0f}"
