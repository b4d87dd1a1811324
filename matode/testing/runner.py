"""Run the checks on an integrator: as a function, or as parameters of a pytest test. Both use the same list."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matode._array import Backend, device_of, get_backend
from matode.testing.claims import Claims, check_guarantees, claims_of
from matode.testing.records import CheckResult, CheckResults, ConformanceError
from matode.testing.registry import Check, registered
from matode.testing.trial import DRAWS, Trial

__all__ = ["check_integrator", "check_names", "parametrize_with_checks"]


def check_integrator(
    integrator: Any,
    *,
    guarantees: Iterable[str] | None = None,
    expected_failures: Mapping[str, str] | None = None,
    xp: Any = None,
    on_fail: Literal["raise", "report"] = "raise",
    profile: str = "default",
    seed: int = 0,
    claims: Claims | str | None = None,
    only: Iterable[str] | None = None,
) -> CheckResults:
    """Run every check that applies to an integrator and return one result per check.

    Parameters
    ----------
    integrator : str, Integrator, or what :func:`third_party` returns
        What to test; a name is one of the catalogue.
    guarantees : iterable of str, optional
        The guarantees it is held to (:data:`matode.testing.GUARANTEES`), in place of those that its claims have.
    expected_failures : mapping, optional
        Names of checks that may fail, each with the reason. A pass is then reported as "xpass", and fails.
    xp : Backend or namespace, optional
        Where the blocks live; NumPy where not given.
    on_fail : {"raise", "report"}
        Raise one error with all failures at the end, or only return the results.
    profile : {"default", "thorough", "quick"}
        Number of random problems.
    seed : int
        The same seed draws the same problems.
    claims : Claims or str, optional
        What it is held to, or the catalogue name of the method that it is meant to be. Where not given, methods of the
        catalogue (and subclasses) are looked up, an attribute ``claims`` is used, and anything else is held to order 1.
    only : iterable of str, optional
        Names of the checks to run; all of them where not given.

    Returns
    -------
    CheckResults
        A list of :class:`CheckResult`; ``ran`` is the number of checks that ran.

    Raises
    ------
    ConformanceError
        If a check failed, met an exception, or passed unexpectedly (with ``on_fail="raise"``).
    ValueError
        If a name in ``expected_failures`` or ``only``, a guarantee or the profile is not known.

    Examples
    --------
    >>> import matode
    >>> results = check_integrator(matode.KSL(), profile="quick")
    >>> results.success
    True
    """
    integrator = _integrator(integrator)
    expected = dict(expected_failures or {})
    checks = list(registered())
    _known([*expected, *(only or ())], [check.name for check in checks])
    if profile not in DRAWS:
        raise ValueError(f"unknown profile {profile!r}: expected one of {', '.join(DRAWS)}")
    if guarantees is not None:
        guarantees = list(guarantees)
        check_guarantees(guarantees)
    held_to = claims_of(integrator, claims, guarantees)
    wanted = None if only is None else set(only)
    results = CheckResults(
        _run(check, integrator, held_to, _backend(xp), profile, seed, expected)
        for check in checks
        if wanted is None or check.name in wanted
    )
    if on_fail == "raise" and not results.success:
        raise ConformanceError(type(integrator).__name__, results)
    return results


def parametrize_with_checks(
    integrators: Sequence[Any],
    *,
    expected_failures: Callable[[Any], Mapping[str, str]] | Mapping[str, str] | None = None,
    xp: Any = None,
    profile: str = "default",
    seed: int = 0,
) -> Any:
    """Parametrize a pytest test ``test(integrator, check)`` with every integrator and every check that applies to it.

    The test calls ``check(integrator)``; ids have the form ``AugmentedBUG-local_bound``, for ``-k``. Other arguments
    are those of :func:`check_integrator`; ``expected_failures`` may be a function of the integrator.

    Examples
    --------
    ::

        @parametrize_with_checks([matode.KSL(), third_party(step, order=1, guarantees={"exact"})])
        def test_conformance(integrator, check):
            check(integrator)
    """
    import pytest

    parameters = []
    checks = list(registered())
    for integrator in map(_integrator, integrators):
        claims = claims_of(integrator)
        expected = expected_failures(integrator) if callable(expected_failures) else (expected_failures or {})
        _known(expected, [check.name for check in checks])
        name = getattr(integrator, "__name__", type(integrator).__name__)
        for check in checks:
            if check.why_not(claims):
                continue
            marks = [pytest.mark.xfail(reason=expected[check.name], strict=True)] if check.name in expected else []
            bound = _BoundCheck(check, xp, profile, seed)
            parameters.append(pytest.param(integrator, bound, marks=marks, id=f"{name}-{check.name}"))
    return pytest.mark.parametrize(("integrator", "check"), parameters)


def check_names() -> list[str]:
    """Return the names of all checks."""
    return [check.name for check in registered()]


@dataclass(frozen=True)
class _BoundCheck:
    """One check as a function of the integrator, for pytest."""

    check: Check
    xp: Any
    profile: str
    seed: int

    def __call__(self, integrator: Any, xp: Any = None) -> CheckResult:
        """Run it; a violation raises an AssertionError, a check that does not apply skips the test."""
        backend = _backend(self.xp if xp is None else xp)
        result = _run(self.check, integrator, claims_of(integrator), backend, self.profile, self.seed, {})
        if result.failed:
            raise ConformanceError(type(integrator).__name__, CheckResults([result]))
        if result.status == "skipped":
            import pytest

            pytest.skip(result.reason)
        return result

    def __repr__(self) -> str:
        return self.check.name


def _run(
    check: Check,
    integrator: Any,
    claims: Claims,
    backend: Backend,
    profile: str,
    seed: int,
    expected: Mapping[str, str],
) -> CheckResult:
    trial = Trial(integrator, claims, backend, name=check.name, profile=profile, seed=seed)
    result = check.run(trial, seed)
    if check.name in expected and result.status != "skipped":
        reason = expected[check.name]
        if result.failed:
            return result._replace(status="xfail", reason=f"{reason} ({result.reason})")
        return result._replace(status="xpass", reason=f"passed, but a failure was expected: {reason}")
    return result


def _known(names: Iterable[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise ValueError(f"unknown check {name!r}: did you mean {nearest[0]!r}?")


def _integrator(integrator: Any) -> Any:
    from matode.integrators import make_integrator

    return make_integrator(integrator) if isinstance(integrator, str) else integrator


def _backend(xp: Any) -> Backend:
    if xp is None:
        return get_backend()
    if isinstance(xp, Backend):
        return xp
    return Backend(xp.__name__, xp, device_of(xp.zeros(1)))
