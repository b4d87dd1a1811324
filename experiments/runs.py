"""One run, one folder: written aside and renamed when it is complete, so that a folder that is there is a finished run.

``NAME/config.json`` (experiment, version, preset, backend, settings), ``NAME/environment.json`` and the CSV files
of the experiment. The folder of a quick run is called ``NAME-quick``. A run that fails leaves what it had in
``NAME.failed``. A resumable experiment that was interrupted leaves it in ``.NAME.unfinished``, and goes on from there
when it is run again with the same settings.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import environment, tables
from experiments.progress import Progress, silent
from experiments.registry import Experiment
from experiments.settings import as_dict

__all__ = ["OtherSettingsError", "Run", "execute", "find", "folder_of"]


class OtherSettingsError(RuntimeError):
    """The folder holds a finished run with other settings."""


@dataclass(frozen=True)
class Run:
    """A finished run, read from its folder.

    Attributes
    ----------
    folder : Path
    config : dict
        ``experiment, version, quick, backend, settings``.
    environment : dict
        What it was made with, and the ``seconds`` it took.
    """

    folder: Path
    config: dict[str, Any]
    environment: dict[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """The resolved settings."""
        return dict(self.config["settings"])

    def table(self, name: str) -> list[dict[str, Any]]:
        """Read the rows of ``name.csv``."""
        return tables.read(self.folder / f"{name}.csv")

    def tables(self) -> list[str]:
        """Return the names of the tables that are there."""
        return sorted(path.stem for path in self.folder.glob("*.csv"))


def folder_of(experiment: Experiment, quick: bool, out: Path) -> Path:
    """Return where the run belongs."""
    return out / (experiment.name + ("-quick" if quick else ""))


def find(experiment: Experiment, quick: bool, out: Path) -> Run | None:
    """Return the finished run, or None where there is none of the experiment's present version."""
    folder = folder_of(experiment, quick, out)
    try:
        config, made_with = (json.loads((folder / f"{name}.json").read_text()) for name in ("config", "environment"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Run(folder, config, made_with) if config["version"] == experiment.version else None


def execute(
    experiment: Experiment,
    settings: Any,
    *,
    quick: bool = False,
    out: Path = Path("results"),
    backend: str = "numpy",
    again: bool = False,
    progress: Progress = silent,
) -> Run:
    """Return the finished run with these settings, computing it where it is not there.

    Parameters
    ----------
    experiment : Experiment
    settings : frozen dataclass
        A preset of the experiment, or what became of it.
    quick : bool
        Whether the folder is that of the quick run.
    out : Path
        Folder of all runs.
    backend : str
        Where to compute.
    again : bool
        Compute it anew, whatever is there.
    progress : callable
        ``progress(fraction, note)``.

    Raises
    ------
    OtherSettingsError
        If a finished run is there, made with other settings, and ``again`` is not set.
    """
    config = {
        "experiment": experiment.name,
        "version": experiment.version,
        "quick": quick,
        "backend": backend,
        "settings": as_dict(settings),
    }
    folder = folder_of(experiment, quick, out)
    there = None if again else find(experiment, quick, out)
    if there is not None:
        if there.config == config:
            return there
        raise OtherSettingsError(
            f"{folder} holds a finished run with other settings ({', '.join(_differences(there.config, config))}): "
            "compute it anew with --again, or store this one elsewhere with --out"
        )

    out.mkdir(parents=True, exist_ok=True)
    work = _workplace(folder, config) if experiment.resumable else _temporary(folder)
    began = time.perf_counter()
    try:
        experiment.run(settings, work, progress, backend)
        seconds = round(time.perf_counter() - began, 1)
        _write_json(work / "environment.json", {**environment.describe(), "seconds": seconds})
        _write_json(work / "config.json", config)
    except Exception:
        _move(work, folder.with_name(f"{folder.name}.failed"))
        raise
    except BaseException:  # interrupted by the user
        if not experiment.resumable:
            shutil.rmtree(work, ignore_errors=True)
        raise
    _move(work, folder)
    finished = find(experiment, quick, out)
    if finished is None:
        raise RuntimeError(f"{folder} vanished while it was written")
    return finished


def _temporary(folder: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))


def _workplace(folder: Path, config: dict[str, Any]) -> Path:
    """Return the folder that an interrupted run with the same configuration left, or a new one of that name."""
    work = folder.with_name(f".{folder.name}.unfinished")
    try:
        same = json.loads((work / "config.json").read_text()) == config
    except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
        same = False
    if not same:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        _write_json(work / "config.json", config)
    return work


def _move(work: Path, folder: Path) -> None:
    """Put a complete folder in its place; what was there goes away at the last moment."""
    work.chmod(0o755)
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
        folder.rename(old / folder.name)
        work.rename(folder)
        shutil.rmtree(old)
    else:
        work.rename(folder)


def _differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Say which entries differ."""
    found = [key for key in ("backend",) if a[key] != b[key]]
    old, new = a["settings"], b["settings"]
    found += [f"{key}: {old.get(key)!r}, not {new.get(key)!r}" for key in new if old.get(key) != new.get(key)]
    return found + [f"{key}, which is no setting any more" for key in old if key not in new]


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
