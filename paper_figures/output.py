"""Writing a figure: PDF, PNG, CSV, and what the page says about it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from experiments import tables
from paper_figures import paper_rows, style
from paper_figures.figure import Figure, Runs

__all__ = ["load", "save"]

_PIXELS = 1800
"""Largest width of a PNG."""

_DPI = 240
"""Its pixels per inch, where that is not too wide."""


def save(figure: Figure, runs: Runs, folder: Path) -> list[Path]:
    """Draw one figure, write ``NAME.pdf``, ``.png``, ``.csv`` and ``.json`` into the folder, and return their paths.

    Raises
    ------
    ValueError
        If a comparison is for a row that the paper's list does not have.
    """
    folder.mkdir(parents=True, exist_ok=True)
    description = figure.describe(runs)
    pdf, png, csv, about = written = [folder / f"{figure.name}.{kind}" for kind in ("pdf", "png", "csv", "json")]
    with style.context():
        picture = figure.draw(runs)
        _replace(png, lambda aside: _write_png(picture, aside))
        picture.set_layout_engine("none")  # laid out by now
        _replace(pdf, lambda aside: picture.savefig(aside, metadata={"CreationDate": None}))
    _replace(csv, lambda aside: tables.write(aside, description.rows))
    said = {"title": figure.heading, "short": figure.label or figure.title, **asdict(description)}
    for comparison in said["comparisons"]:
        comparison["quick"] = _quick(comparison["experiment"], runs)
        paper_rows.check(comparison["rows"])
    text = json.dumps(said, indent=1)
    _replace(about, lambda aside: aside.write_text(text + "\n", encoding="utf-8"))
    return written


def load(name: str, folder: Path) -> Mapping[str, Any] | None:
    """Return what was written about a figure, or None where it was not drawn yet."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _quick(experiment: str, runs: Runs) -> bool:
    """Return whether a number is from a quick run; without a name, whether any run is one."""
    asked = [runs[experiment]] if experiment else runs.values()
    return any(run.config["quick"] for run in asked)


def _write_png(picture: Any, path: Path) -> None:
    """Write a PNG of at most 128 colours, which lines do not need more of: a third of the size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image  # matplotlib brings it

    picture.set_dpi(min(_DPI, _PIXELS / picture.get_figwidth()))
    canvas = FigureCanvasAgg(picture)
    canvas.draw()
    whole = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba())
    whole.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def _replace(path: Path, write: Any) -> None:
    """Write a file aside and put it in its place, so that nobody sees half of it."""
    aside = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        write(aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
