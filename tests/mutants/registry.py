"""The lists of wrong integrators and of their correct twins, and the decorators that fill them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from matode.substeps import euler
from matode.testing import CheckResults, Claims, check_integrator

__all__ = ["MUTANTS", "TWINS", "Mutant", "Twin", "mutant", "sold_as", "stranger", "twin"]

Made = TypeVar("Made", bound=Callable[..., Any])


@dataclass(frozen=True)
class _Entry:
    """Something to be checked: how it is made, and what it is held to.

    Attributes
    ----------
    name : str
        Name of its class or function.
    make : callable
        Returns the integrator; a new one every time, since a mutant may remember what it should not.
    claims : Claims, str or None
        As for :func:`matode.testing.check_integrator`.
    """

    name: str
    make: Callable[[], Any]
    claims: Claims | str | None

    def check(self, **options: Any) -> CheckResults:
        """Run the checks on a new object and return the results."""
        return check_integrator(self.make(), claims=self.claims, on_fail="report", **options)


@dataclass(frozen=True)
class Mutant(_Entry):
    """A wrong integrator.

    Attributes
    ----------
    pretends_to_be : str
        Name of the method whose claims it is held to.
    mistake : str
        One sentence.
    caught_by : tuple of str
        Checks that must reject it, each by itself.
    raises : bool
        Whether those checks meet an exception, instead of a number beyond its bound.
    """

    pretends_to_be: str
    mistake: str
    caught_by: tuple[str, ...]
    raises: bool = False


@dataclass(frozen=True)
class Twin(_Entry):
    """A correct method of the same family, written the same way, which the suite must accept."""


MUTANTS: list[Mutant] = []
TWINS: list[Twin] = []


def mutant(
    pretends_to_be: str, *caught_by: str, claims: Claims | None = None, raises: bool = False, **configuration: Any
) -> Callable[[Made], Made]:
    """Register a class as a mutant: the first paragraph of its docstring is the mistake.

    Parameters
    ----------
    pretends_to_be : str
        Name of the method.
    *caught_by : str
        Checks that must reject it.
    claims : Claims, optional
        What it is held to, where that is not what the table of claims has under this name.
    raises : bool
        Whether the checks meet an exception.
    **configuration
        Arguments of the class.
    """

    def register(cls: Made) -> Made:
        held_to = claims or pretends_to_be
        _add(cls.__name__, lambda: cls(**configuration), held_to, pretends_to_be, _mistake(cls), caught_by, raises)
        return cls

    return register


def sold_as(pretends_to_be: str, *caught_by: str) -> Callable[[str, Any, str], None]:
    """Register an object: a correct method under a wrong name, or one with a wrong part."""

    def register(name: str, integrator: Any, mistake: str) -> None:
        _add(name, lambda: integrator, pretends_to_be, pretends_to_be, mistake, caught_by)

    return register


def stranger(
    wrap: Callable[[Any], Any], pretends_to_be: str, *caught_by: str, raises: bool = False
) -> Callable[[Made], Made]:
    """Register a plain step function behind ``wrap``: as a mutant where checks are named, else as a twin."""

    def register(function: Made) -> Made:
        name = "".join(word.capitalize() for word in function.__name__.split("_"))
        if caught_by:
            _add(name, lambda: wrap(function), None, pretends_to_be, _mistake(function), caught_by, raises)
        else:
            TWINS.append(Twin(name, lambda: wrap(function), None))
        return function

    return register


def twin(claims: Claims | str, **configuration: Any) -> Callable[[Made], Made]:
    """Register a class as a correct twin, with what it is held to."""

    def register(cls: Made) -> Made:
        substep = "Euler" if configuration.get("substep") is euler else ""
        TWINS.append(Twin(cls.__name__ + substep, lambda: cls(**configuration), claims))
        return cls

    return register


def _add(name: str, make: Callable[[], Any], *rest: Any) -> None:
    entry = Mutant(name, make, *rest)
    if not entry.caught_by or not entry.mistake or any(name == other.name for other in MUTANTS):
        raise ValueError(f"{name}: a mutant has a name of its own, a mistake, and checks that reject it")
    MUTANTS.append(entry)


def _mistake(made: Any) -> str:
    return " ".join((made.__doc__ or "").split("\n\n")[0].split())
