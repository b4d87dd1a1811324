"""One run, one folder: written aside and renamed when it is complete, so that a folder that is there is a finished run.

``NAME/config.toml`` (experiment, version, preset, backend, settings), ``NAME/environment.json``, the CSV files of the
experiment, and final states where they are small; ``python -m experiments run NAME --config`` takes the first of them.
The folder of a quick run is called ``NAME-quick``. A run that fails leaves what it had in ``NAME.failed``. A resumable
experiment that fails or is interrupted leaves it in ``.NAME.unfinished``, and goes on from there when it is run again
with the same settings.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import environment, parts, tables, toml
from experiments.progress import Progress, silent
from experiments.registry import Experiment
from experiments.settings import SettingError, as_dict

__all__ = ["OtherSettingsError", "Run", "differences", "execute", "find", "folder_of", "read_config"]


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
        What it was made with, and the ``seconds`` it took, those of interrupted runs included.
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
    return _finished(experiment, folder_of(experiment, quick, out))


def read_config(folder: Path) -> dict[str, Any] | None:
    """Return the configuration that a folder holds, None where it holds none."""
    if (folder / "config.toml").is_file():
        return toml.read(folder / "config.toml")
    if (folder / "config.json").is_file():  # as it was stored before
        return dict(json.loads((folder / "config.json").read_text()))
    return None


def _finished(experiment: Experiment, folder: Path) -> Run | None:
    config = read_config(folder)
    if config is None or config["version"] != experiment.version or not (folder / "environment.json").is_file():
        return None
    return Run(folder, config, json.loads((folder / "environment.json").read_text()))


def execute(
    experiment: Experiment,
    settings: Any,
    *,
    quick: bool = False,
    out: Path = Path("results"),
    name: str | None = None,
    backend: str = "numpy",
    again: bool = False,
    jobs: int = 1,
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
    name : str, optional
        Name of the folder of this run in there, by default that of the experiment.
    backend : str
        Where to compute.
    again : bool
        Compute it anew, whatever is there.
    jobs : int
        Processes among which a resumable experiment divides its parts; the numbers are the same.
    progress : callable
        ``progress(fraction, note)``.

    Raises
    ------
    OtherSettingsError
        If a finished run is there, made with other settings, and ``again`` is not set.
    experiments.processes.TaskError
        If a part failed in its process.
    """
    config = {
        "experiment": experiment.name,
        "version": experiment.version,
        "quick": quick,
        "backend": backend,
        "settings": as_dict(settings),
    }
    folder = folder_of(experiment, quick, out) if name is None else out / name
    there = None if again else _finished(experiment, folder)
    if there is not None:
        if there.config == config:
            return there
        raise OtherSettingsError(
            f"{folder} holds a finished run with other settings ({', '.join(differences(there.config, config))}): "
            "compute it anew with --again, or store this one elsewhere with --out"
        )

    out.mkdir(parents=True, exist_ok=True)
    work = _workplace(folder, config, experiment.resumable)
    spent = work / ".seconds"  # by runs that were interrupted
    began = time.perf_counter() - (float(spent.read_text()) if spent.exists() else 0.0)
    try:
        with parts.among(jobs):
            experiment.run(settings, work, progress, backend)
        made_with = {**environment.describe(), "seconds": round(time.perf_counter() - began, 1)}
        (work / "environment.json").write_text(json.dumps(made_with, indent=2) + "\n", encoding="utf-8")
    except BaseException as error:
        if experiment.resumable:
            spent.write_text(str(time.perf_counter() - began))
        elif isinstance(error, Exception):
            _move(work, folder.with_name(f"{folder.name}.failed"))
        else:  # interrupted by the user
            shutil.rmtree(work, ignore_errors=True)
        raise
    spent.unlink(missing_ok=True)
    for scrap in work.glob(".*"):  # of processes that were killed
        shutil.rmtree(scrap)
    _move(work, folder)
    finished = _finished(experiment, folder)
    if finished is None:
        raise RuntimeError(f"{folder} vanished while it was written")
    return finished


def _workplace(folder: Path, config: dict[str, Any], resumable: bool) -> Path:
    """Return the folder that an interrupted run with the same configuration left, or a new one of that name."""
    work = folder.with_name(f".{folder.name}.unfinished")
    try:
        same = resumable and read_config(work) == config
    except (SettingError, json.JSONDecodeError):
        same = False
    if not same:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
    (work / "config.json").unlink(missing_ok=True)
    toml.write(work / "config.toml", config)
    return work


def _move(work: Path, folder: Path) -> None:
    """Put a complete folder in its place; what was there goes away at the last moment."""
    if folder.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
        folder.rename(old / folder.name)
        work.rename(folder)
        shutil.rmtree(old)
    else:
        work.rename(folder)


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Say which entries of two configurations differ."""
    found = [key for key in ("backend",) if a[key] != b[key]]
    old, new = a["settings"], b["settings"]
    found += [f"{key}: {old.get(key)!r}, not {new.get(key)!r}" for key in new if old.get(key) != new.get(key)]
    return found + [f"{key}, which is no setting any more" for key in old if key not in new]
