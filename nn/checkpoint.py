"""Checkpoints: a training after some step, in one ``.npz`` file without times, paths or pickle.

The names sort by age. A file is complete or not there; the newest and the one before are kept.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matode._array import Backend
from matode.protocols import State
from matode.storage import StorageError, load, save
from nn.parameters import Parameters
from nn.train import Epoch, TrainingResult

__all__ = ["latest", "names", "read_checkpoint", "write_checkpoint"]

KEPT = 2


def names(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the checkpoints in a folder, oldest first."""
    return sorted(Path(folder).glob("step-*.npz"))


def write_checkpoint(folder: str | os.PathLike[str], result: TrainingResult, steps: int) -> Path:
    """Store a training after ``steps`` steps in all, and delete all but the newest checkpoints.

    The same training gives the same bytes: how long the epochs took is left out.
    """
    path = Path(folder) / f"step-{steps:012d}.npz"
    content = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    save(path, content | {"history": [_record(epoch) for epoch in result.history]})
    for old in names(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def read_checkpoint(
    path: str | os.PathLike[str], backend: Backend | None = None, seconds: Mapping[int, float] | None = None
) -> TrainingResult:
    """Return the training that :func:`write_checkpoint` stored.

    Parameters
    ----------
    path : path
    backend : Backend, optional
        Where to put its arrays; NumPy where not given.
    seconds : mapping, optional
        How long each epoch took, where that is known.

    Raises
    ------
    StorageError
        If the file is damaged, or no checkpoint; the message names it.
    """
    content = load(path, backend)
    try:
        history = tuple(_epoch(record, seconds or {}) for record in content.pop("history"))
        return TrainingResult(history=history, **content | {"Y": State(content["Y"])})
    except (AttributeError, KeyError, TypeError) as error:
        raise StorageError(f"{path} is no checkpoint of a training: {error!r}") from error


def latest(
    folder: str | os.PathLike[str], backend: Backend | None = None, seconds: Mapping[int, float] | None = None
) -> tuple[TrainingResult | None, list[str]]:
    """Return the newest checkpoint that can be read, or None, and a sentence about each newer one that cannot."""
    complaints: list[str] = []
    for path in reversed(names(folder)):
        try:
            return read_checkpoint(path, backend, seconds), complaints
        except StorageError as error:
            complaints.append(str(error))
    return None, complaints


def _record(epoch: Epoch) -> dict[str, Any]:
    """Return what an epoch gave, without how long it took."""
    record = {field.name: getattr(epoch, field.name) for field in dataclasses.fields(epoch) if field.name != "seconds"}
    return record | {"parameters": tuple(epoch.parameters)}


def _epoch(record: dict[str, Any], seconds: Mapping[int, float]) -> Epoch:
    parameters = Parameters(*record.pop("parameters"))
    return Epoch(parameters=parameters, seconds=seconds.get(record["epoch"], float("nan")), **record)
