"""What a figure is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.runs import Run
from paper_figures.verdicts import Verdict

__all__ = ["Comparison", "Description", "Figure", "Runs"]

Runs = Mapping[str, Run]
"""Finished runs by the name of their experiment."""


@dataclass(frozen=True)
class Comparison:
    """One published number or claim beside ours, with a verdict.

    Attributes
    ----------
    what, published, ours : str
        Ready to print, with units.
    differs : str
        In what the settings differ.
    verdict : Verdict
        From a function of :mod:`paper_figures.verdicts`, never written by hand.
    rows : tuple of str
        Keys of the rows of the paper's list that it is evidence for, see :mod:`paper_figures.paper_rows`.
    experiment : str
        Whose run our number is from, where the figure reads several; it decides whether the settings were quick.
    """

    what: str
    published: str
    ours: str
    differs: str
    verdict: Verdict
    rows: tuple[str, ...] = ()
    experiment: str = ""


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
        Whose results it needs.
    draw : callable
        ``draw(runs)`` returns a matplotlib figure.
    describe : callable
        ``describe(runs)`` returns the description.
    default : bool
        Whether it is drawn when no name is given.
    label : str
        What the paper calls it, such as "Fig. 3"; ``fig3`` then names it on the command line.
    optional : tuple of str
        Experiments whose results it also draws, where they are there.
    """

    name: str
    title: str
    experiments: tuple[str, ...]
    draw: Callable[[Runs], Any]
    describe: Callable[[Runs], Description]
    default: bool = True
    label: str = ""
    optional: tuple[str, ...] = ()

    @property
    def heading(self) -> str:
        """The label, where there is one, and the title."""
        return f"{self.label}: {self.title}" if self.label else self.title
