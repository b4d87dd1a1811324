"""A sweep: one experiment at all points of a grid of settings.

``NAME-sweep/config.toml`` is what was asked for, ``NAME-sweep/003-tau=0.1,seed=0/`` the run of one point, a folder like
that of any other run, and ``NAME-sweep/TABLE.csv`` holds the rows of that table of all points, with the settings of the
point as the first columns. A point that failed leaves what happened in ``NAME-sweep/POINT.error``. Finished points are
not computed again; a grid may grow.
"""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from experiments import processes, runs, tables, toml
from experiments.config import Config
from experiments.progress import Progress, silent
from experiments.settings import replaced

__all__ = ["Point", "Swept", "execute", "folder_of", "points"]


@dataclass(frozen=True)
class Point:
    """One point of the grid.

    Attributes
    ----------
    name : str
        Its number and its settings, fit for a folder.
    values : mapping
        What the grid says here.
    settings : frozen dataclass
        All settings.
    """

    name: str
    values: Mapping[str, Any]
    settings: Any


@dataclass(frozen=True)
class Swept:
    """What came of a sweep.

    Attributes
    ----------
    folder : Path
    tables : list of str
        The combined tables.
    there, computed : int
        How many points were finished before, and were finished now.
    failures : mapping
        The points that failed, each with what happened.
    """

    folder: Path
    tables: list[str]
    there: int
    computed: int
    failures: Mapping[str, processes.Failure]


def folder_of(config: Config, out: Path) -> Path:
    """Return where the sweep belongs."""
    folder = runs.folder_of(config.experiment, config.quick, out)
    return folder.with_name(f"{folder.name}-sweep")


def points(config: Config) -> list[Point]:
    """Return the points in order, the last setting of the grid varying fastest.

    Raises
    ------
    SettingError
        If the settings of a point are refused.
    """
    combinations = [dict(zip(config.grid, values, strict=True)) for values in itertools.product(*config.grid.values())]
    digits = max(2, len(str(len(combinations) - 1)))
    return [
        Point(f"{k:0{digits}}-{_label(values)}", values, replaced(config.settings, values))
        for k, values in enumerate(combinations)
    ]


def execute(
    config: Config,
    *,
    out: Path = Path("results"),
    again: bool = False,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: Progress = silent,
) -> Swept:
    """Compute the points that are not there, and combine their tables.

    Parameters
    ----------
    config : Config
        With a grid.
    out : Path
        Folder of all runs.
    again : bool
        Delete what is there, and begin anew.
    jobs : int
        Processes on this machine.
    scheduler : str, optional
        Address of a Dask cluster, which computes the points instead. It has to see the folder.
    progress : callable
        ``progress(fraction, note)`` over all points.

    Raises
    ------
    OtherSettingsError
        If another sweep is there, which this one does not continue, and ``again`` is not set.
    SettingError
        If the settings of a point are refused.
    """
    folder = folder_of(config, out)
    wanted = points(config)
    if again:
        shutil.rmtree(folder, ignore_errors=True)
    _prepare(folder, config, wanted)
    folder = folder.resolve()
    experiment = config.experiment
    common = {"quick": config.quick, "out": folder, "backend": config.backend}
    tasks = {}
    for point in wanted:
        if not _is_finished(config, folder, point):
            tasks[point.name] = partial(_compute, experiment, point.settings, name=point.name, **common)
    there = len(wanted) - len(tasks)
    failures = {}
    for name in tasks:
        (folder / f"{name}.error").unlink(missing_ok=True)
    try:
        for name, outcome in processes.each(tasks, folder, progress, jobs=jobs, scheduler=scheduler, done=there):
            if isinstance(outcome, processes.Failure):
                failures[name] = outcome
                (folder / f"{name}.error").write_text(f"{outcome.sentence}\n\n{outcome.details}", encoding="utf-8")
    finally:
        if not experiment.resumable:
            for left in folder.glob(".*.unfinished"):
                shutil.rmtree(left, ignore_errors=True)
    combined = _combine(folder, [point for point in wanted if point.name not in failures])
    return Swept(folder_of(config, out), combined, there, len(tasks) - len(failures), failures)


def _compute(experiment: Any, settings: Any, progress: Progress, **options: Any) -> None:
    runs.execute(experiment, settings, progress=progress, **options)


def _is_finished(config: Config, folder: Path, point: Point) -> bool:
    """Return whether the run of a point is there, in the experiment's present version."""
    stored = runs.read_config(folder / point.name)
    return stored is not None and stored["version"] == config.experiment.version


def _prepare(folder: Path, config: Config, wanted: Sequence[Point]) -> None:
    """Write the configuration; where a part of the same sweep is there, number its points as they are numbered now."""
    values = config.as_dict()
    stored = runs.read_config(folder)
    if stored is not None:
        grid, old = values["grid"], stored.get("grid", {})
        found = runs.differences(*(_without(both, {*grid, *old}) for both in (stored, values)))
        found += [f"{key} in the grid, which was not" for key in grid if key not in old]
        found += [f"{key} not in the grid, which was" for key in old if key not in grid]
        found += [
            f"{key} in the grid without {', '.join(map(str, gone))}"
            for key in old
            if (gone := [value for value in old[key] if value not in grid.get(key, old[key])])
        ]
        if found:
            raise runs.OtherSettingsError(
                f"{folder} holds a sweep that this one does not continue ({'; '.join(found)}): "
                "begin anew with --again, or store this one elsewhere with --out"
            )
        numbers = {_bare(point.name): point.name for point in wanted}
        for path in list(folder.iterdir()):
            hidden, name, ending = re.fullmatch(r"(\.?)(.*?)(\.unfinished|\.failed|\.error)?", path.name).groups(
                default=""
            )
            if _bare(name) in numbers and name not in numbers.values():
                path.rename(folder / f"{hidden}{numbers[_bare(name)]}{ending}")
    folder.mkdir(parents=True, exist_ok=True)
    for orphaned in folder.glob(".reports-*"):  # of a sweep that was killed; tasks of it that still run stop now
        shutil.rmtree(orphaned)
    toml.write(folder / "config.toml", values)


def _without(config: Mapping[str, Any], keys: set[str]) -> dict[str, Any]:
    return {**config, "settings": {key: value for key, value in config["settings"].items() if key not in keys}}


def _bare(name: str) -> str:
    """Return the name of a point without its number."""
    return name.partition("-")[2]


def _label(values: Mapping[str, Any]) -> str:
    text = ",".join(f"{key}={_cell(value)}" for key, value in values.items())
    return re.sub(r"[^\w.+=,-]", "_", text)


def _cell(value: Any) -> Any:
    """Return a value as it stands in names and tables: the entries of a list are joined by +."""
    if isinstance(value, tuple):
        return _cell(value[0]) if len(value) == 1 else "+".join(str(_cell(each)) for each in value)
    return value


def _combine(folder: Path, finished: Sequence[Point]) -> list[str]:
    """Write one table of each name from those of all points; a column that a point has not is empty there."""
    names = sorted({path.stem for point in finished for path in (folder / point.name).glob("*.csv")})
    for name in names:
        rows = []
        for point in finished:
            path = folder / point.name / f"{name}.csv"
            for row in tables.read(path) if path.exists() else []:
                here = {key if key not in row else f"grid_{key}": _cell(value) for key, value in point.values.items()}
                rows.append(here | row)
        columns = list(dict.fromkeys(column for row in rows for column in row))
        tables.write(folder / f"{name}.csv", [{column: row.get(column) for column in columns} for row in rows])
    return names
