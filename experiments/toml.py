"""TOML files: read with the standard library, and written, which that cannot, as far as a configuration needs it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.settings import SettingError

__all__ = ["read", "write"]


def write(path: Path, values: Mapping[str, Any]) -> None:
    """Write texts, numbers, booleans, and lists and one level of tables of them."""
    lines = [f"{key} = {_text(value)}" for key, value in values.items() if not isinstance(value, Mapping)]
    for name, table in values.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{name}]", *(f"{key} = {_text(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    """Read a file.

    Raises
    ------
    SettingError
        If it is not there, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"cannot read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingError(f"{path} is no TOML: {error}") from error


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    # A JSON string is a TOML string, but for the letters beyond Unicode's first plane, which JSON would escape.
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
