"""Run the checks on an integrator: as a function, or as parameters of a pytest test. Both use the same list."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matode._array import Backend, device_of, get_backend
from matode.testing.claims import Claims, check_guarantees, claims_of, names_in
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
    xp : Backend, namespace, or str, optional
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
        If a name in ``expected_failures`` or ``only``, a guarantee or the profile is not known, or the seed is not a
        non-negative integer.
    TypeError
        If the integrator has no method ``step`` (wrap a plain function with :func:`third_party`), names are not given
        as a collection, or expected failures not as a mapping.

    Examples
    --------
    >>> import matode
    >>> results = check_integrator(matode.KSL(), profile="quick")
    >>> results.success
    True
    """
    integrator = _integrator(integrator)
    expected = _expected(expected_failures)
    checks = list(registered())
    wanted = None if only is None else names_in("only", only)
    _known([*expected, *(wanted or ())], [check.name for check in checks])
    if on_fail not in ("raise", "report"):
        raise ValueError(f"on_fail must be 'raise' or 'report', got {on_fail!r}")
    _check_seed(seed)
    if profile not in DRAWS:
        raise ValueError(f"unknown profile {profile!r}: expected one of {', '.join(DRAWS)}")
    if guarantees is not None:
        guarantees = names_in("guarantees", guarantees)
        check_guarantees(guarantees)
    held_to, backend = claims_of(integrator, claims, guarantees), _backend(xp)
    runs = [
        _run(check, integrator, held_to, backend, profile, seed, expected)
        for check in checks
        if wanted is None or check.name in wanted
    ]
    results = CheckResults(result for result, _ in runs)
    if on_fail == "raise" and not results.success:
        cause = next((error for result, error in runs if result.failed and error is not None), None)
        raise ConformanceError(_name(integrator), results) from cause
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
    _check_seed(seed)
    for integrator in map(_integrator, integrators):
        claims = claims_of(integrator)
        expected = _expected(expected_failures(integrator) if callable(expected_failures) else expected_failures)
        _known(expected, [check.name for check in checks])
        name = _name(integrator)
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
        result, cause = _run(self.check, integrator, claims_of(integrator), backend, self.profile, self.seed, {})
        if result.failed:
            raise ConformanceError(_name(integrator), CheckResults([result])) from cause
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
) -> tuple[CheckResult, Exception | None]:
    """Return the result, and the exception that the check met."""
    trial = Trial(integrator, claims, backend, name=check.name, profile=profile, seed=seed)
    result = check.run(trial, seed)
    if check.name in expected and result.status != "skipped":
        reason = expected[check.name]
        if result.failed:
            return result._replace(status="xfail", reason=f"{reason} ({result.reason})"), None
        return result._replace(status="xpass", reason=f"passed, but a failure was expected: {reason}"), None
    return result, trial.exception


def _expected(failures: Mapping[str, str] | None) -> dict[str, str]:
    if failures is not None and not isinstance(failures, Mapping):
        raise TypeError(
            f"expected_failures must be a mapping of names of checks to reasons, got {type(failures).__name__}"
        )
    return dict(failures or {})


def _check_seed(seed: Any) -> None:
    if not isinstance(seed, numbers.Integral) or int(seed) < 0:
        raise ValueError(f"seed must be a non-negative integer, got {seed!r}")


def _known(names: Iterable[str], known: list[str]) -> None:
    for name in names:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
            raise ValueError(f"unknown check {name!r}: did you mean {nearest[0]!r}?")


def _integrator(integrator: Any) -> Any:
    from matode.integrators import make_integrator

    if isinstance(integrator, str):
        return make_integrator(integrator)
    if isinstance(integrator, type):
        raise TypeError(f"an integrator is an object, got the class {integrator.__name__}: make one of it")
    if not callable(getattr(integrator, "step", None)):
        hint = ": wrap it with third_party(...)" if callable(integrator) else ""
        raise TypeError(f"an integrator has a method step, got {_name(integrator)}{hint}")
    return integrator


def _name(integrator: Any) -> str:
    return str(getattr(integrator, "__name__", type(integrator).__name__))


def _backend(xp: Any) -> Backend:
    if xp is None:
        return get_backend()
    if isinstance(xp, Backend):
        return xp
    if isinstance(xp, str):
        return get_backend(xp)
    if not hasattr(xp, "zeros"):
        raise TypeError(f"xp must be an array namespace, a Backend, or its name, got {xp!r}")
    return Backend(xp.__name__, xp, device_of(xp.zeros(1)))
