"""Progress of tasks in other processes: each writes how far it is into a file, and one thread adds that up."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from experiments.progress import Progress

__all__ = ["Report", "StoppedError", "watching"]

PERIOD = 0.3
"""Seconds between two looks at the files."""


class StoppedError(BaseException):
    """Nobody waits for the task any more; no ``Exception``, as it is no failure of the task."""


@dataclass
class Report:
    """A progress that writes into a file, at most every so many seconds.

    Its folder is the sign that somebody reads it: a task whose report finds no folder stops, and so does one that has
    lost its parent.

    Attributes
    ----------
    path : Path
    parent : int, optional
        The process that must be the parent of the one that reports.
    """

    path: Path
    parent: int | None = None
    last: float = 0.0

    def __call__(self, fraction: float, note: str) -> None:
        if self.parent is not None and os.getppid() != self.parent:
            raise StoppedError
        now = time.time()
        if now - self.last < PERIOD and self.last:
            return
        self.last = now
        try:
            self.path.write_text(f"{fraction} {note}", encoding="utf-8")
        except FileNotFoundError:
            raise StoppedError from None


@contextmanager
def watching(folder: Path, names: Sequence[str], done: int, progress: Progress) -> Iterator[Callable[[str], None]]:
    """Report how far all tasks are together, until the block ends.

    Parameters
    ----------
    folder : Path
        With one file for each task that has begun.
    names : sequence of str
        The tasks.
    done : int
        How many others were done before.
    progress : callable
        ``progress(fraction, note)``.

    Yields
    ------
    finished : callable
        ``finished(name)`` says that a task is done.
    """
    over = threading.Event()
    ended: set[str] = set()
    total = done + len(names)

    def tell() -> None:
        running = {name: read for name in names if name not in ended and (read := _read(folder / name))}
        count = done + len(ended)
        notes = [f"{count} of {total} done", *(f"{name}: {note}" for name, (_, note) in running.items())]
        progress((count + sum(fraction for fraction, _ in running.values())) / total, "; ".join(notes[:2]))

    def watch() -> None:
        while not over.wait(PERIOD):
            tell()

    tell()
    thread = threading.Thread(target=watch, name="progress", daemon=True)
    thread.start()
    try:
        yield ended.add
    finally:
        over.set()
        thread.join()
    tell()


def _read(path: Path) -> tuple[float, str] | None:
    """Return fraction and note of a report, below 1 until the task is over; None where there is none, or half of it."""
    try:
        fraction, _, note = path.read_text(encoding="utf-8").partition(" ")
        return min(float(fraction), 0.99), note
    except (OSError, ValueError):
        return None
