"""A run in a folder: its configuration, its metrics and its checkpoints; made in one piece, and resumed bit for bit.

::

    DIR/config.json       everything that was asked for, resolved
    DIR/metrics.csv       one row per finished epoch
    DIR/monitors.csv      what theory guarantees of steps, where that was asked for
    DIR/step-K.npz        the newest checkpoints, after K steps
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matode
from matode._array import get_backend, host
from nn import checkpoint
from nn.config import Config
from nn.data import Dataset
from nn.module import Module
from nn.monitors import Observation
from nn.train import Epoch, TrainingResult, steps_per_epoch, training

__all__ = ["Run", "RunError"]

_CONFIG = "config.json"
_METRICS = "metrics.csv"
_MONITORS = "monitors.csv"


class RunError(ValueError):
    """A folder that holds no run, or holds one already."""


@dataclass(frozen=True)
class Run:
    """A training with its folder.

    Attributes
    ----------
    folder : Path
    config : Config
    image : (channels, height, width)
        Size of the images.
    classes : int
        Number of classes.
    data_crc32 : int
        Checksum of the data: a resumed run must find the same.
    """

    folder: Path
    config: Config
    image: tuple[int, int, int]
    classes: int
    data_crc32: int

    @classmethod
    def create(cls, folder: str | os.PathLike[str], config: Config) -> Run:
        """Make a run; the folder appears complete with its configuration, or not at all.

        Raises
        ------
        RunError
            If the folder is there already, and not empty.
        ValueError, FileNotFoundError, RuntimeError, ImportError
            If the configuration, the data or the backend is no good; then there is no folder.
        """
        folder = Path(folder)
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise RunError(f"{folder} is there already: continue it with --resume {folder}, or name another --out")
        get_backend(config.backend)
        examples = config.load_data()
        run = cls(folder, config, examples.shape, examples.classes, _checksum(examples))
        run.__dict__["examples"] = examples
        run.model, config.make_integrator(1)
        about = {"matode": matode.__version__, "image": run.image, "classes": run.classes, "data_crc32": run.data_crc32}
        absolute = folder.absolute()
        unfinished = absolute.with_name(f".{absolute.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _write(unfinished / _CONFIG, json.dumps(about | dataclasses.asdict(config), indent=2) + "\n")
        os.rename(unfinished, absolute)
        return run

    @classmethod
    def open(cls, folder: str | os.PathLike[str], backend: str | None = None) -> Run:
        """Return the run in a folder, to be computed on ``backend`` (its own where not given).

        Raises
        ------
        RunError
            If there is none, or its configuration is damaged.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise RunError(f"{folder} is no folder: there is no run in it")
        try:
            values = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
            values.pop("matode")
            channels, height, width = values.pop("image")
            classes, crc = values.pop("classes"), values.pop("data_crc32")
            config = Config.of(values | ({} if backend is None else {"backend": backend}))
        except FileNotFoundError:
            raise RunError(f"{folder} holds no run: it has no {_CONFIG}") from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{folder / _CONFIG} is damaged: {error}") from error
        get_backend(config.backend)
        return cls(folder, config, (channels, height, width), classes, crc)

    @cached_property
    def examples(self) -> Dataset:
        """The data.

        Raises
        ------
        RunError
            If it is not the data that the run was made with.
        """
        examples = self.config.load_data()
        if _checksum(examples) != self.data_crc32:
            raise RunError(f"{self.folder} was made with other data than {examples.reason} holds now")
        return examples

    @cached_property
    def model(self) -> Module:
        """The network."""
        return self.config.make_model(self.image, self.classes)

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch."""
        return steps_per_epoch(self.examples, self.config.batch_size)

    def latest(self) -> tuple[TrainingResult | None, list[str]]:
        """Return the newest checkpoint that can be read, or None, and a sentence about each newer one that cannot."""
        where = get_backend(self.config.backend)
        return checkpoint.latest(self.folder, where, self._seconds())

    def finished(self, result: TrainingResult) -> bool:
        """Whether all epochs are made."""
        return len(result.history) >= self.config.epochs

    def save(self, result: TrainingResult) -> Path:
        """Write a checkpoint."""
        return checkpoint.write_checkpoint(self.folder, result, self._steps(result))

    def go_on(
        self, start: TrainingResult | None, seen: Callable[[TrainingResult], Any] = lambda result: None
    ) -> TrainingResult:
        """Train to the end, and write metrics and checkpoints on the way.

        Parameters
        ----------
        start : TrainingResult or None
            Where to go on; None begins.
        seen : callable
            Called with the result of every step.

        Raises
        ------
        KeyboardInterrupt
            If it was interrupted, after a checkpoint of the last step.
        NonFiniteError
            If the loss becomes NaN or inf.
        """
        observed: list[Mapping[str, Any]] = []
        if start is not None:
            self._write_metrics(start.history)
            observed += [row for row in self.rows(_MONITORS) if int(row["step"]) <= self._steps(start)]

        def save(result: TrainingResult) -> TrainingResult:
            """Write first what belongs to the checkpoint: what is there too much, a resumption takes away."""
            if result.step == 0:
                self._write_metrics(result.history)
            self._write_table(_MONITORS, observed)
            self.save(result)
            return result

        steps = self._training(start, lambda seen: observed.append(seen._asdict()))
        result = saved = next(steps)
        try:
            for result in steps:
                if result.step == 0 or result.step % self.config.checkpoint_every == 0:
                    saved = save(result)
                seen(result)
        except KeyboardInterrupt:
            if result is not saved:
                save(result)
            raise
        return result

    def rows(self, name: str) -> list[dict[str, str]]:
        """Return the rows of one of the tables, none where it is not there."""
        try:
            with open(self.folder / name, newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file))
        except FileNotFoundError:
            return []

    def _steps(self, result: TrainingResult) -> int:
        """Return the number of steps in all."""
        return len(result.history) * self.per_epoch + result.step

    def _training(self, start: TrainingResult | None, record: Callable[[Observation], Any]) -> Iterator[TrainingResult]:
        config = self.config
        return training(
            self.model,
            self.examples,
            config.make_integrator(self.per_epoch, record),
            epochs=config.epochs,
            lr=config.lr,
            batch_size=config.batch_size,
            seed=config.seed,
            schedule=config.make_schedule(),
            dtype=config.dtype,
            backend=config.backend,
            start=start,
        )

    def _write_metrics(self, history: tuple[Epoch, ...]) -> None:
        """Write all rows anew: after a resumption there is one for each epoch, as if nothing had happened."""
        rows = [_row(epoch, self.per_epoch, len(self.examples.x_train)) for epoch in history]
        self._write_table(_METRICS, rows)

    def _write_table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replace a table in one piece; without rows there is none."""
        path = self.folder / name
        if not rows:
            path.unlink(missing_ok=True)
            return
        table = io.StringIO()
        writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        unfinished = path.with_name(f".{name}.unfinished")
        _write(unfinished, table.getvalue())
        os.replace(unfinished, path)

    def _seconds(self) -> dict[int, float]:
        """Return how long the epochs took that are in the metrics."""
        try:
            return {int(row["epoch"]): float(row["seconds"]) for row in self.rows(_METRICS)}
        except (KeyError, TypeError, ValueError):  # somebody has edited it
            return {}


def _row(epoch: Epoch, per_epoch: int, examples: int) -> dict[str, Any]:
    return {
        "epoch": epoch.epoch,
        "step": epoch.epoch * per_epoch,
        "loss": epoch.loss,
        "test_accuracy": epoch.test_accuracy,
        "validation_accuracy": "" if epoch.validation_accuracy is None else epoch.validation_accuracy,
        "ranks": " ".join(map(str, epoch.ranks)),
        "evaluation_parameters": epoch.parameters.evaluation,
        "training_parameters": epoch.parameters.training,
        "dense_parameters": epoch.parameters.dense,
        "compression": epoch.compression,
        "learning_rate": epoch.learning_rate,
        "seconds": epoch.seconds,
        "images_per_second": examples / epoch.seconds if epoch.seconds > 0 else "",
    }


def _checksum(examples: Dataset) -> int:
    """Return a checksum of the data, which tells a resumed run whether it is still the same."""
    crc = 0
    for array in (examples.x_train, examples.y_train, examples.x_test, examples.y_test):
        crc = zlib.crc32(host.ascontiguousarray(array).view(host.uint8).data, crc)
    return crc


def _write(path: Path, text: str) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
