"""What a training shows: one line per epoch, and a bar in between where a terminal and tqdm are there."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, TextIO

from nn.parameters import count_parameters, ranks
from nn.runs import Run
from nn.train import Epoch, TrainingResult

__all__ = ["Display", "epoch_line"]


class Display:
    """Shows every result of a training; call it with each.

    Parameters
    ----------
    run : Run
    lines : text file
        Where the line of each epoch goes.
    bar : text file
        Where the bar goes, if it is a terminal.
    **options
        Of tqdm's bar.
    """

    def __init__(self, run: Run, lines: TextIO, bar: TextIO, **options: Any) -> None:
        self._run = run
        self._lines = lines
        self._options = {"unit": " images", "leave": False, "file": bar, "dynamic_ncols": True} | options
        self._tqdm: Any = _tqdm() if bar.isatty() else None
        self._bar: Any = None

    def __call__(self, result: TrainingResult) -> None:
        """Move the bar; at the end of an epoch, write its line."""
        if result.step == 0:
            self.close()
            line = epoch_line(result.history[-1], self._run.config.epochs, len(self._run.examples.x_train))
            print(line, file=self._lines, flush=True)
        elif self._tqdm is not None:
            self._move(result)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _move(self, result: TrainingResult) -> None:
        examples = len(self._run.examples.x_train)
        seen = min(result.step * self._run.config.batch_size, examples)
        if self._bar is None:
            title = f"epoch {len(result.history) + 1}/{self._run.config.epochs}"
            start = seen - min(self._run.config.batch_size, seen)
            self._bar = self._tqdm(total=examples, initial=start, desc=title, **self._options)
        accuracy = f"test {100 * result.history[-1].test_accuracy:.2f} %, " if result.history else ""
        size = _size(ranks(result.Y), count_parameters(result.Y).compression)
        self._bar.set_postfix_str(f"loss {result.loss_sum / seen:.4f}, {accuracy}{size}", refresh=False)
        self._bar.update(seen - self._bar.n)


def epoch_line(epoch: Epoch, epochs: int, examples: int) -> str:
    """Return what an epoch gave, for people."""
    held = "" if epoch.validation_accuracy is None else f"validation {100 * epoch.validation_accuracy:.2f} %  "
    speed = f"  {examples / epoch.seconds:.0f} images/s" if epoch.seconds > 0 else ""
    return (
        f"epoch {epoch.epoch:{len(str(epochs))}d}/{epochs}  loss {epoch.loss:.4f}  {held}"
        f"test {100 * epoch.test_accuracy:.2f} %  {_size(epoch.ranks, epoch.compression)}{speed}"
    )


def _size(found: Sequence[int], compression: float) -> str:
    share = f"compression {100 * compression:.1f} %"
    return f"ranks {' '.join(map(str, found))}, {share}" if found else share


def _tqdm() -> Any:
    """Return tqdm's bar, or None where it is not installed."""
    try:
        return importlib.import_module("tqdm").tqdm
    except ImportError:
        return None
