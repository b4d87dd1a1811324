"""Writing a figure: PDF, PNG, CSV, and what the page says about it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments import tables
from paper_figures import style
from paper_figures.figure import Figure, Runs

__all__ = ["load", "save"]

_PIXELS = 1800
"""Largest width of a PNG."""


def save(figure: Figure, runs: Runs, folder: Path) -> list[Path]:
    """Draw one figure, write ``NAME.pdf``, ``.png``, ``.csv`` and ``.json`` into the folder, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    description = figure.describe(runs)
    written = []
    with style.context():
        picture = figure.draw(runs)
        dpi = min(300.0, _PIXELS / picture.get_figwidth())
        for ending, options in (("pdf", {"metadata": {"CreationDate": None}}), ("png", {"dpi": dpi})):
            path = folder / f"{figure.name}.{ending}"
            _replace(path, lambda aside, o=options: picture.savefig(aside, **o))
            written.append(path)
    path = folder / f"{figure.name}.csv"
    _replace(path, lambda aside: tables.write(aside, description.rows))
    written.append(path)
    path = folder / f"{figure.name}.json"
    text = json.dumps({"title": figure.title, **asdict(description)}, indent=1)
    _replace(path, lambda aside: aside.write_text(text + "\n", encoding="utf-8"))
    return [*written, path]


def load(name: str, folder: Path) -> Mapping[str, Any] | None:
    """Return what was written about a figure, or None where it was not drawn yet."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _replace(path: Path, write: Any) -> None:
    """Write a file aside and put it in its place, so that nobody sees half of it."""
    aside = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        write(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
