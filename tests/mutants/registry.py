"""The lists of wrong integrators and of their correct twins, and the decorators that fill them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from matode.substeps import euler

__all__ = ["MUTANTS", "TWINS", "Mutant", "Twin", "mutant", "sold_as", "twin"]

Class = TypeVar("Class", bound=type)


@dataclass(frozen=True)
class Mutant:
    """A wrong integrator.

    Attributes
    ----------
    name : str
        Name of its class.
    integrator : Integrator
        What makes the steps.
    pretends_to_be : str
        Catalogue name of the method whose claims it is held to.
    mistake : str
        One sentence.
    caught_by : tuple of str
        Checks that must reject it, each by itself.
    """

    name: str
    integrator: Any
    pretends_to_be: str
    mistake: str
    caught_by: tuple[str, ...]


@dataclass(frozen=True)
class Twin:
    """A correct method of the same family, written the same way, which the suite must accept."""

    name: str
    integrator: Any
    claims: str


MUTANTS: list[Mutant] = []
TWINS: list[Twin] = []


def mutant(pretends_to_be: str, *caught_by: str, **configuration: Any) -> Callable[[Class], Class]:
    """Register a class as a mutant; the first sentence of its docstring is the mistake."""

    def register(cls: Class) -> Class:
        sold_as(pretends_to_be, *caught_by)(cls.__name__, cls(**configuration), _first_sentence(cls))
        return cls

    return register


def sold_as(pretends_to_be: str, *caught_by: str) -> Callable[[str, Any, str], None]:
    """Register an object: a correct method under a wrong name, or one with a wrong part."""
    if not caught_by:
        raise ValueError("a mutant names the checks that reject it")

    def register(name: str, integrator: Any, mistake: str) -> None:
        MUTANTS.append(Mutant(name, integrator, pretends_to_be, mistake, caught_by))

    return register


def twin(claims: str, **configuration: Any) -> Callable[[Class], Class]:
    """Register a class as a correct twin."""

    def register(cls: Class) -> Class:
        substep = "Euler" if configuration.get("substep") is euler else ""
        TWINS.append(Twin(cls.__name__ + substep, cls(**configuration), claims))
        return cls

    return register


def _first_sentence(cls: type) -> str:
    return " ".join((cls.__doc__ or "").split("\n\n")[0].split())
