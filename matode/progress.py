"""Progress reports: a bar where tqdm is installed, log records where it is not, or any function."""

from __future__ import annotations

import logging
from collections.abc import Callable

__all__ = ["Progress", "reporter"]

Progress = Callable[[float], None]
"""Called with the finished fraction, from 0 to 1."""

_log = logging.getLogger(__name__)


def reporter(progress: bool | Progress | None, title: str) -> Progress:
    """Return a function of the finished fraction.

    Parameters
    ----------
    progress : bool, callable or None
        True for a tqdm bar (log records at level INFO, every tenth, where tqdm is missing); a callable is used as it
        is; None or False is silent.
    title : str
        What the bar says.
    """
    if callable(progress):
        return progress
    if not progress:
        return _silent
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _Logged(title)
    return _Bar(tqdm(total=100, desc=title, unit="%", leave=False))


def _silent(fraction: float) -> None:
    pass


class _Logged:
    def __init__(self, title: str) -> None:
        self.title, self.tenths = title, 0

    def __call__(self, fraction: float) -> None:
        if int(10 * fraction) > self.tenths:
            self.tenths = int(10 * fraction)
            _log.info("%s: %d %%", self.title, 10 * self.tenths)


class _Bar:
    def __init__(self, bar: object) -> None:
        self.bar = bar

    def __call__(self, fraction: float) -> None:
        self.bar.update(100 * fraction - self.bar.n)  # type: ignore[attr-defined]
        if fraction >= 1.0:
            self.bar.close()  # type: ignore[attr-defined]
