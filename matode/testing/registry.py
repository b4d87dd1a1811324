"""The list of checks: each is a function of a trial, with the claims to which it applies."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from matode.testing.claims import Claims
from matode.testing.records import CheckResult, Skip, Status
from matode.testing.trial import Trial

__all__ = ["Check", "check", "registered"]


@dataclass(frozen=True)
class Check:
    """A named check.

    Attributes
    ----------
    name : str
        Name, as in results, in ids of tests and in expected failures.
    function : callable
        Takes a :class:`Trial` and records what it measures there.
    why_not : callable
        Takes :class:`Claims` and returns why the check does not apply, or an empty string.
    contrast : float or None
        For a denied guarantee: some draw must exceed the bound of the guarantee by this factor.
    """

    name: str
    function: Callable[[Trial], None]
    why_not: Callable[[Claims], str]
    contrast: float | None = None

    @property
    def description(self) -> str:
        """What it asserts, in one sentence: the first line of the docstring."""
        sentence = (self.function.__doc__ or "").strip().split("\n")[0].removeprefix("Assert that ")
        return sentence if self.contrast is None else f"denied by theory, and seen to fail: {sentence}"

    def run(self, trial: Trial, seed: int) -> CheckResult:
        """Run the check and return its result; an exception becomes status "error", and stays with the trial."""
        reason = self.why_not(trial.claims)
        if reason:
            return CheckResult(self.name, "skipped", reason=reason, seed=seed)
        try:
            self.function(trial)
        except Skip as skip:
            return CheckResult(self.name, "skipped", reason=str(skip), seed=seed)
        except Exception as error:
            trial.exception = error
            if trial.violation and self.contrast is None:
                return self._judged(trial, seed)
            reason = f"{type(error).__name__}: {error} (draw {trial.draw}, {_place(error)})"
            return CheckResult(self.name, "error", reason=reason, seed=seed)
        if not trial.judged:
            return CheckResult(self.name, "skipped", reason=trial.passed_over or "no draw could be judged", seed=seed)
        return self._judged(trial, seed)

    def _judged(self, trial: Trial, seed: int) -> CheckResult:
        status: Status = "failed" if trial.violation else "passed"
        (measured, bound), reason = trial.numbers, trial.violation
        if self.contrast is not None and trial.measured is not None and trial.bound is not None:
            measured, bound = trial.measured, trial.bound * self.contrast
            status, reason = "passed", ""
            if not measured >= bound:
                status, reason = "failed", f"denied by theory, but no draw exceeded {bound:.3e}: {measured:.3e} at most"
        return CheckResult(self.name, status, measured, bound, reason, seed)


def _place(error: Exception) -> str:
    """Return file and line where it was raised: the innermost ones that are not those of an installed package."""
    frames = traceback.extract_tb(error.__traceback__)
    package = str(Path(__file__).parents[1])
    own = [frame for frame in frames if package not in frame.filename and "site-packages" not in frame.filename]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


_CHECKS: list[Check] = []


def check(
    *,
    guarantee: str | None = None,
    applies: Callable[[Claims], str] | None = None,
    contrast: float = 100.0,
) -> Callable[[Callable[[Trial], None]], Callable[[Trial], None]]:
    """Register a check.

    Parameters
    ----------
    guarantee : str, optional
        The guarantee that it tests; it then applies to those who claim it, and, as ``<name>_denied``, to those of whom
        theory denies it: these must exceed its bound ``contrast`` times in some draw.
    applies : callable, optional
        Returns why the check does not apply to given claims, or an empty string.
    contrast : float
        See ``guarantee``.
    """

    def decorate(function: Callable[[Trial], None]) -> Callable[[Trial], None]:
        def claimed(claims: Claims) -> str:
            if guarantee is not None and guarantee not in claims.guarantees:
                return f"does not claim {guarantee!r}"
            return applies(claims) if applies is not None else ""

        def denied(claims: Claims) -> str:
            return "" if guarantee in claims.denied else "theory does not deny it"

        name = function.__name__
        _CHECKS.append(Check(name, function, claimed))
        if guarantee is not None:
            _CHECKS.append(Check(f"{name}_denied", function, denied, contrast))
        return function

    return decorate


def registered() -> Iterable[Check]:
    """Return all checks, in the order of their files."""
    from matode.testing import accuracy, contract, exactness, structure, symmetry, truncating  # noqa: F401

    return tuple(_CHECKS)
