"""What a run of the checks returns: one record per check, and the list that counts them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

__all__ = ["CheckResult", "CheckResults", "ConformanceError", "Skip", "Status"]

Status = Literal["passed", "failed", "error", "xfail", "xpass", "skipped"]


class CheckResult(NamedTuple):
    """The outcome of one check.

    Attributes
    ----------
    name : str
        Name of the check.
    status : {"passed", "failed", "error", "xfail", "xpass", "skipped"}
        ``error`` is an exception inside the check, and counts as a failure; ``xfail`` failed as expected, ``xpass``
        passed although a failure was expected; ``skipped`` does not apply to this integrator, or no draw of it could be
        judged.
    measured : float or None
        The worst number that was measured, that is the one closest to its bound, or furthest beyond it; None where what
        was violated is not a number.
    bound : float or None
        The bound of that number. For a guarantee that theory denies, the number must exceed it.
    reason : str
        One sentence: what was violated, in the draw of ``measured``, or why the check was skipped.
    seed : int
        ``check_integrator(..., seed=seed)`` draws the same problems again.
    """

    name: str
    status: Status
    measured: float | None = None
    bound: float | None = None
    reason: str = ""
    seed: int = 0

    @property
    def failed(self) -> bool:
        """Whether this result makes the integrator fail: a violation, an exception, or an unexpected pass."""
        return self.status in ("failed", "error", "xpass")

    def __str__(self) -> str:
        numbers = "" if self.measured is None else f"  {self.measured:.2e} against {self.bound:.2e}"
        return f"{self.status:8s}{self.name}{numbers}{'  ' + self.reason if self.reason else ''}"


class CheckResults(list[CheckResult]):
    """The results of all checks, with the number of them that ran."""

    def __init__(self, results: Iterable[CheckResult] = ()) -> None:
        super().__init__(results)

    @property
    def ran(self) -> int:
        """Number of checks that ran, that is, that were not skipped."""
        return sum(result.status != "skipped" for result in self)

    @property
    def failures(self) -> list[CheckResult]:
        """The results that make the integrator fail."""
        return [result for result in self if result.failed]

    @property
    def success(self) -> bool:
        """Whether at least one check ran and none failed."""
        return self.ran > 0 and not self.failures

    def __str__(self) -> str:
        head = f"{self.ran} checks ran, {len(self.failures)} failed, {len(self) - self.ran} do not apply"
        return "\n".join([head, *(f"  {result}" for result in self)])


class ConformanceError(AssertionError):
    """An integrator failed checks; ``results`` has all of them."""

    def __init__(self, name: str, results: CheckResults) -> None:
        self.results = results
        head, shown = f"{len(results.failures)} of {results.ran} checks failed", results.failures
        if not results.ran:
            head, shown = "no check ran, so nothing is known", list(results)
        super().__init__("\n".join([f"{name}: {head}", *(f"  {result}" for result in shown)]))


class Skip(Exception):  # noqa: N818
    """Raised inside a check that finds that it does not apply; the message says why."""
