"""The settings of an experiment, from a file or from ``key=value`` strings: one check for both."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

__all__ = ["SettingError", "as_dict", "fitted", "nearest", "override", "parsed", "replaced", "seeded"]

T = TypeVar("T")


class SettingError(ValueError):
    """A setting that nothing knows, or a value that does not fit; the message is one sentence."""


def override(settings: T, assignments: Iterable[str]) -> T:
    """Return the settings with some fields replaced.

    Parameters
    ----------
    settings : frozen dataclass
        Its annotations say what a new value must look like.
    assignments : iterable of str
        ``"key=value"``. Values are Python literals; the entries of a tuple are separated by commas, ``"ranks=4,8"``.

    Raises
    ------
    SettingError
        If a key is unknown (the message names the nearest one), or a value has the wrong type, or the settings
        refuse it.
    """
    values = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise SettingError(f"expected key=value, got {assignment!r}")
        values[key.strip()] = parsed(settings, key.strip(), text)
    return replaced(settings, values)


def replaced(settings: T, values: Mapping[str, Any]) -> T:
    """Return the settings with these values, as they are in Python or come from a TOML file.

    Raises
    ------
    SettingError
        As for :func:`override`.
    """
    changes = {key: fitted(settings, key, value) for key, value in values.items()}
    try:
        return dataclasses.replace(settings, **changes)  # type: ignore[type-var]
    except ValueError as error:
        raise SettingError(str(error)) from error


def parsed(settings: Any, key: str, text: str) -> Any:
    """Return the value that a text on the command line stands for; whether it fits is checked by :func:`replaced`."""
    return _literal(text.strip(), _kind(settings, key))


def fitted(settings: Any, key: str, value: Any) -> Any:
    """Return a value in the type of the setting: lists become tuples, and an integer serves as a number.

    Raises
    ------
    SettingError
        If the key is unknown, or the value of another type.
    """
    kind, example = _kind(settings, key), _plain(getattr(settings, key))
    try:
        return _cast(value, kind)
    except _MisfitError as misfit:
        many = " in every place" if _entry(kind) and not _entry(misfit.kind) else ""
        raise SettingError(
            f"setting {key!r} takes {_name(misfit.kind)}{many}, such as {example!r}; got {misfit.value!r}"
        ) from None


def seeded(settings: Any) -> str | None:
    """Return which setting holds the seeds, ``"seeds"`` or ``"seed"``; None where there is none."""
    names = {field.name for field in dataclasses.fields(settings)}
    return next((name for name in ("seeds", "seed") if name in names), None)


def as_dict(settings: Any) -> dict[str, Any]:
    """Return the settings as they come back from a file: tuples are lists there."""
    return {field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)}


def nearest(key: str, known: Iterable[str]) -> str:
    """Return what to say to someone who wrote an unknown key."""
    known = list(known)
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"


class _MisfitError(Exception):
    """A value, or an entry of it, that is not of the kind it should be."""

    def __init__(self, value: Any, kind: Any) -> None:
        self.value, self.kind = value, kind


def _kind(settings: Any, key: str) -> Any:
    """Return the annotated type of a setting."""
    known = [field.name for field in dataclasses.fields(settings)]
    if key not in known:
        raise SettingError(f"unknown setting {key!r}: {nearest(key, known)}")
    return typing.get_type_hints(type(settings))[key]


def _entry(kind: Any) -> Any:
    """Return the type of the entries of a tuple, None for all other types."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else None


def _choices(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)


def _cast(value: Any, kind: Any) -> Any:
    for choice in _choices(kind):
        entry = _entry(choice)
        if entry and isinstance(value, list | tuple):
            return tuple(_cast(each, entry) for each in value)
        if choice is type(value):
            return value
        if choice is float and type(value) is int:
            return float(value)
        if choice is types.NoneType and value == NONE:
            return None
    raise _MisfitError(value, kind)


def _literal(text: str, kind: Any) -> Any:
    """Return the value of a text: entries and words need no quotes, and what cannot be read stays text."""
    if entry := _entry(kind):
        return [_literal(each.strip(), entry) for each in text.strip("()[]").split(",") if each.strip()]
    if kind is str:
        return text.strip("'\"")
    try:
        return float(text) if text in ("inf", "-inf", "nan") else ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return {"true": True, "false": False}.get(text, text)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return NONE if value is None else value


NONE = "none"
"""How None is written, for which TOML has no word."""

_NAMES = {bool: "True or False", int: "an integer", float: "a number", str: "text", types.NoneType: repr(NONE)}
_PLURALS = {bool: "True and False", int: "integers", float: "numbers", str: "texts"}


def _name(kind: Any) -> str:
    names = []
    for choice in _choices(kind):
        entry = _entry(choice)
        names.append(f"a list of {_PLURALS.get(entry, 'lists')}" if entry else _NAMES.get(choice, str(choice)))
    return " or ".join(names)
