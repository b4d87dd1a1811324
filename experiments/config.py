"""What is to be computed: an experiment, a preset, what was changed in it, and for a sweep the grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments import backends, toml
from experiments.registry import Experiment
from experiments.settings import SettingError, as_dict, fitted, nearest, override, parsed, replaced, seeded

__all__ = ["Config", "resolve"]

Grid = Mapping[str, tuple[Any, ...]]

KEYS: Mapping[str, tuple[type, str]] = {
    "experiment": (str, "the name of an experiment"),
    "version": (int, "an integer"),
    "quick": (bool, "true or false"),
    "backend": (str, f"one of {', '.join(backends.NAMES)}"),
    "settings": (dict, "a table, [settings]"),
    "grid": (dict, "a table, [grid]"),
}
"""What a file may hold, and what each of it is."""


@dataclass(frozen=True)
class Config:
    """What is to be computed, all of it checked.

    Attributes
    ----------
    experiment : Experiment
    settings : frozen dataclass
    quick : bool
        Whether it is stored as the quick run.
    backend : str
    grid : mapping of tuples
        The values of each setting that a sweep varies; empty for a single run.
    """

    experiment: Experiment
    settings: Any
    quick: bool
    backend: str
    grid: Grid = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return what a file holds from which :func:`resolve` makes this again."""
        values = {
            "experiment": self.experiment.name,
            "version": self.experiment.version,
            "quick": self.quick,
            "backend": self.backend,
            "settings": {k: v for k, v in as_dict(self.settings).items() if k not in self.grid},
        }
        if self.grid:
            values["grid"] = {key: [_listed(value) for value in entries] for key, entries in self.grid.items()}
        return values


def resolve(
    experiment: Experiment,
    file: Path | None = None,
    *,
    quick: bool = False,
    assignments: Iterable[str] = (),
    backend: str | None = None,
    grid: Sequence[str] = (),
    seeds: int | None = None,
    sweep: bool = False,
) -> Config:
    """Return what a file and a command line ask for; where both speak, the command line counts.

    Parameters
    ----------
    experiment : Experiment
    file : Path, optional
        TOML, as :meth:`Config.as_dict` says.
    quick : bool
        Begin with the quick preset.
    assignments : iterable of str
        ``"key=value"``.
    backend : str, optional
    grid : sequence of str
        ``"key=value,value"``; the entries of a list are joined by ``+``.
    seeds : int, optional
        Seeds from 0 on: a setting of a single run, one more direction of the grid of a sweep.
    sweep : bool
        Whether there has to be a grid; else there must be none.

    Raises
    ------
    SettingError
        If something is unknown, of another type, or refused by the settings; the message is one sentence.
    """
    stored = {} if file is None else _read(file, experiment)
    if quick and not stored.get("quick", True):
        raise SettingError(f"{file} says quick = false, the command line --quick: leave one of them out")
    quick = quick or stored.get("quick", False)
    try:
        settings = replaced(experiment.preset(quick), stored.get("settings", {}))
        directions = _grid_of_file(settings, stored.get("grid", {}))
    except SettingError as error:
        raise SettingError(f"{file}: {error}") from error
    assignments = list(assignments)
    set_here = {assignment.partition("=")[0].strip() for assignment in assignments}
    settings = override(settings, assignments)
    for key, values in _grid_of_words(settings, grid).items():
        directions[key] = values
    if seeds is not None:
        name, values = _seeds(experiment, settings, seeds)
        if name in set_here or any(word.partition("=")[0].strip() == name for word in grid):
            raise SettingError(f"--seeds and another option both say what {name!r} is: leave one of them out")
        if sweep:
            directions[name] = tuple(fitted(settings, name, [k] if name == "seeds" else k) for k in values)
        elif name == "seed":
            raise SettingError(
                f"{experiment.name} has one seed a run: python -m experiments sweep {experiment.name} --seeds {seeds}"
            )
        else:
            settings = replaced(settings, {name: values})
    if sweep and not directions:
        raise SettingError("a sweep needs --grid key=value,value or --seeds, or a file with a [grid]")
    if directions and not sweep:
        raise SettingError(f"{file} has a [grid]: python -m experiments sweep {experiment.name} --config {file}")
    if twice := sorted(set_here & set(directions)):
        raise SettingError(f"{twice[0]!r} is both set and in the grid: leave one of them out")
    chosen = backend or stored.get("backend", "numpy")
    return Config(experiment, settings, quick, chosen, directions)


def _read(file: Path, experiment: Experiment) -> dict[str, Any]:
    """Return what a file holds, its outer keys checked."""
    stored = toml.read(file)
    known = as_dict(experiment.full)
    for key, value in stored.items():
        if key in known and key not in KEYS:
            raise SettingError(f"{file}: {key!r} is a setting of {experiment.name}: it belongs below a line [settings]")
        if key not in KEYS:
            raise SettingError(f"{file}: unknown key {key!r}: {nearest(key, KEYS)}")
        kind, expected = KEYS[key]
        if type(value) is not kind:
            raise SettingError(f"{file}: {key!r} takes {expected}; got {value!r}")
    if stored.get("experiment", experiment.name) != experiment.name:
        raise SettingError(f"{file} is about {stored['experiment']}, not {experiment.name}")
    if stored.get("backend", "numpy") not in backends.NAMES:
        raise SettingError(f"{file}: 'backend' takes {KEYS['backend'][1]}; got {stored['backend']!r}")
    return stored


def _seeds(experiment: Experiment, settings: Any, count: int) -> tuple[str, list[int]]:
    """Return the setting that holds the seeds, and the first so many."""
    name = seeded(settings)
    if name is None:
        raise SettingError(f"{experiment.name} has no setting 'seeds' or 'seed': leave --seeds out")
    if count < 1:
        raise SettingError(f"--seeds takes a number of seeds, at least 1; got {count}")
    return name, list(range(count))


def _grid_of_file(settings: Any, table: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    grid = {}
    for key, values in table.items():
        fitted_is_list = isinstance(getattr(settings, key, None), tuple)
        if not isinstance(values, list):
            values = [values]
        grid[key] = _distinct(
            key, [fitted(settings, key, [v] if fitted_is_list and not isinstance(v, list) else v) for v in values]
        )
    return grid


def _grid_of_words(settings: Any, words: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    grid: dict[str, tuple[Any, ...]] = {}
    for word in words:
        key, equals, text = (piece.strip() for piece in word.partition("="))
        if not equals:
            raise SettingError(f"--grid expects key=value,value, got {word!r}")
        if key in grid:
            raise SettingError(f"--grid {key}=... comes twice: put all values into one, separated by commas")
        parsed(settings, key, "")  # an unknown key is an error before its values are looked at
        is_list = isinstance(getattr(settings, key), tuple)
        pieces = [piece.replace("+", ",") if is_list else piece for piece in text.split(",") if piece.strip()]
        grid[key] = _distinct(key, [fitted(settings, key, parsed(settings, key, piece)) for piece in pieces])
    return grid


def _distinct(key: str, values: list[Any]) -> tuple[Any, ...]:
    if not values:
        raise SettingError(f"the grid has no value for {key!r}")
    for k, value in enumerate(values):
        if value in values[:k]:
            raise SettingError(f"the grid has the value {value!r} for {key!r} twice")
    return tuple(values)


def _listed(value: Any) -> Any:
    return [_listed(each) for each in value] if isinstance(value, tuple) else value
