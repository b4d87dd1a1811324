"""Overriding the fields of a preset from ``key=value`` strings."""

from __future__ import annotations

import ast
import dataclasses
import difflib
from collections.abc import Iterable
from typing import Any, TypeVar

__all__ = ["SettingError", "as_dict", "override"]

T = TypeVar("T")


class SettingError(ValueError):
    """A ``key=value`` that does not fit the settings."""


def override(settings: T, assignments: Iterable[str]) -> T:
    """Return the settings with some fields replaced.

    Parameters
    ----------
    settings : frozen dataclass
        Every field has a value; its type says what a new value must look like.
    assignments : iterable of str
        ``"key=value"``. Values are Python literals; the entries of a tuple are separated by commas, ``"ranks=4,8"``.

    Raises
    ------
    SettingError
        If a key is unknown (the message names the nearest one), or a value has the wrong type, or the settings
        refuse it.
    """
    known = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}  # type: ignore[arg-type]
    changes: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals:
            raise SettingError(f"expected key=value, got {assignment!r}")
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(known)}"
            raise SettingError(f"unknown setting {key!r}: {hint}")
        changes[key] = _parsed(key, text.strip(), known[key])
    try:
        return dataclasses.replace(settings, **changes)  # type: ignore[type-var]
    except ValueError as error:
        raise SettingError(str(error)) from error


def as_dict(settings: Any) -> dict[str, Any]:
    """Return the settings as they come back from a JSON file: tuples become lists."""
    values = dataclasses.asdict(settings)
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _parsed(key: str, text: str, default: Any) -> Any:
    """Return the value of ``text``, of the type of ``default``."""
    if isinstance(default, tuple):
        entries = [entry.strip() for entry in text.strip("()[]").split(",") if entry.strip()]
        return tuple(_parsed(key, entry, default[0]) for entry in entries)
    if isinstance(default, str):
        return text.strip("'\"")
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        value = None
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(default):
        raise SettingError(f"setting {key!r} takes {_NAMES[type(default)]}, such as {default!r}; got {text!r}")
    return value


_NAMES = {bool: "True or False", int: "an integer", float: "a number"}
