"""Progress on the terminal: a tqdm bar where there is one, plain lines otherwise."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["Progress", "part", "silent", "terminal"]

Progress = Callable[[float, str], None]
"""``progress(fraction, note)``: how much is done, from 0 to 1, and what is going on."""


def silent(fraction: float, note: str) -> None:
    """Report nothing."""


def part(progress: Progress, start: float, stop: float) -> Progress:
    """Return a progress whose 0 and 1 are ``start`` and ``stop`` of another."""

    def scaled(fraction: float, note: str) -> None:
        progress(start + (stop - start) * min(fraction, 1.0), note)

    return scaled


@contextmanager
def terminal(title: str, stream: TextIO | None = None) -> Iterator[Progress]:
    """Give a progress that writes to the terminal, and close it at the end.

    It is a tqdm bar where tqdm is installed and the stream is a terminal, and else one line per tenth, or per ten
    seconds. Both estimate how long the rest takes.
    """
    stream = sys.stderr if stream is None else stream
    rest = _Rest()
    if stream.isatty():
        try:
            from tqdm import tqdm
        except ImportError:
            pass
        else:
            form = "{desc} {percentage:3.0f}% |{bar:24}| {elapsed}{postfix}"
            with tqdm(total=1.0, desc=title, bar_format=form, file=stream) as bar:

                def update(fraction: float, note: str) -> None:
                    bar.set_postfix_str(f"{rest(fraction)}{note}", refresh=False)
                    bar.update(min(fraction, 1.0) - bar.n)

                yield update
            return
    yield _Lines(title, stream, rest)


class _Rest:
    """Says how long the rest takes, from the speed since the first report: what was there before took no time."""

    def __init__(self) -> None:
        self.start: tuple[float, float] | None = None

    def __call__(self, fraction: float) -> str:
        now = time.monotonic()
        if self.start is None:
            self.start = (now, fraction)
        elapsed, done = now - self.start[0], fraction - self.start[1]
        if fraction >= 1.0 or done <= 0 or elapsed < 1.0:
            return ""
        seconds = elapsed / done * (1.0 - fraction)
        for unit, size in (("h", 3600), ("min", 60)):
            if seconds > 1.5 * size:
                return f"about {seconds / size:.{1 if unit == 'h' else 0}f} {unit} left, "
        return f"about {seconds:.0f} s left, "


class _Lines:
    """One line per tenth, and at least one in ten seconds."""

    def __init__(self, title: str, stream: TextIO, rest: _Rest) -> None:
        self.title, self.stream, self.rest = title, stream, rest
        self.began = self.last = time.monotonic()
        self.tenths = -1

    def __call__(self, fraction: float, note: str) -> None:
        rest = self.rest(fraction)
        now = time.monotonic()
        tenths = int(10 * fraction + 1e-9)
        if tenths <= self.tenths and now - self.last < 10.0:
            return
        self.tenths, self.last = max(tenths, self.tenths), now
        print(f"{self.title}: {fraction:4.0%} {now - self.began:5.0f} s  {rest}{note}", file=self.stream, flush=True)
