"""Tables of numbers as CSV files."""

from __future__ import annotations

import ast
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["read", "write"]

Row = Mapping[str, Any]


def write(path: Path, rows: Sequence[Row]) -> None:
    """Write rows that share their keys; floats keep all digits, None is an empty cell.

    Raises
    ------
    ValueError
        If there is no row, or the rows have different keys.
    """
    if not rows:
        raise ValueError(f"no rows to write to {path.name}")
    columns = list(rows[0])
    for row in rows:
        if list(row) != columns:
            raise ValueError(f"the rows of {path.name} have different columns: {columns} and {list(row)}")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([["" if row[c] is None else _text(row[c]) for c in columns] for row in rows])


def read(path: Path) -> list[dict[str, Any]]:
    """Read the rows back: numbers, True and False as such, empty cells as None, everything else as text."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{column: _value(cell) for column, cell in row.items()} for row in csv.DictReader(file)]


def _text(value: Any) -> str:
    return repr(float(value)) if isinstance(value, float) else str(value)


def _value(cell: str) -> Any:
    if cell == "":
        return None
    if cell in ("inf", "-inf", "nan"):
        return float(cell)
    try:
        value = ast.literal_eval(cell)
    except (SyntaxError, ValueError):
        return cell
    return value if isinstance(value, bool | int | float) else cell
