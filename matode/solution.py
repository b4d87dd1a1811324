"""What a solve returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Solution"]


@dataclass
class Solution:
    """The result of :func:`matode.solve`.

    Attributes
    ----------
    t : list of float
        Times, from the start of the interval to its end, or to where the solve stopped.
    Y : list
        The value at each time: a :class:`~matode.LowRank` for a single matrix, a tuple of blocks for a system.
    ranks : list
        The rank at each time: an int, or a tuple with one entry per block (None for a dense block).
    nfev : int
        Evaluations of the field.
    nsteps : int
        Steps made.
    truncation_error : list of float
        The Frobenius norm that each step discarded (all blocks together); zeros for fixed-rank methods.
    status : {"finished", "stopped", "failed"}
        ``stopped`` means by the callback; what was computed before a failure is kept.
    message : str
        One sentence that says how it ended, and what held it back.
    """

    t: list[float] = field(default_factory=list)
    Y: list[Any] = field(default_factory=list)
    ranks: list[Any] = field(default_factory=list)
    nfev: int = 0
    nsteps: int = 0
    truncation_error: list[float] = field(default_factory=list)
    status: Literal["finished", "stopped", "failed"] = "finished"
    message: str = ""

    @property
    def success(self) -> bool:
        """Whether the end of the interval was reached."""
        return self.status == "finished"

    def __repr__(self) -> str:
        last = f"t = {self.t[-1]:g}, {self.Y[-1]!r}" if self.t else "empty"
        return f"Solution({self.status}: {last}; {self.nsteps} steps, {self.nfev} evaluations)"
