"""What a figure is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.runs import Run

__all__ = ["Comparison", "Description", "Figure", "Runs"]

Runs = Mapping[str, Run]
"""Finished runs by the name of their experiment."""


@dataclass(frozen=True)
class Comparison:
    """One published number beside ours.

    Attributes
    ----------
    what, published, ours : str
        Ready to print, with units.
    differs : str
        In what the settings differ.
    """

    what: str
    published: str
    ours: str
    differs: str


@dataclass(frozen=True)
class Description:
    """What the page says about a figure, and the numbers behind it.

    Attributes
    ----------
    caption : str
        What is seen, in a few sentences of plain text.
    settings : mapping
        What it was made with, name to value.
    rows : sequence of mappings
        All numbers; they become the figure's CSV file.
    columns : mapping
        What the table of the page shows: key of the row to (heading, format), such as ``("error", ".2e")``.
    comparisons : sequence of Comparison
        Where there is a published number.
    """

    caption: str
    settings: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]
    columns: Mapping[str, tuple[str, str]]
    comparisons: Sequence[Comparison] = field(default_factory=tuple)


@dataclass(frozen=True)
class Figure:
    """One picture.

    Attributes
    ----------
    name : str
        The stem of its files; the module is called the same.
    title : str
        The heading on the page.
    experiments : tuple of str
        Whose results it reads.
    draw : callable
        ``draw(runs)`` returns a matplotlib figure.
    describe : callable
        ``describe(runs)`` returns the description.
    default : bool
        Whether it is drawn when no name is given.
    """

    name: str
    title: str
    experiments: tuple[str, ...]
    draw: Callable[[Runs], Any]
    describe: Callable[[Runs], Description]
    default: bool = True
