"""Long experiments in parts: each pair of a setting and a seed is a file of its own until all are there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

from experiments import processes, tables
from experiments.progress import Progress, part
from matode import storage

__all__ = ["among", "collect"]

Rows = list[dict[str, Any]]
Compute = Callable[[str, int, Progress], Rows | tuple[Rows, Any]]

LARGEST = 200_000
"""Bytes of the largest final state that is stored."""

_JOBS = ContextVar("jobs", default=1)


@contextmanager
def among(jobs: int) -> Iterator[None]:
    """Divide what is collected in this block among so many processes."""
    token = _JOBS.set(jobs)
    try:
        yield
    finally:
        _JOBS.reset(token)


def collect(
    settings: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    compute: Compute,
    progress: Progress,
) -> dict[tuple[str, int], Rows]:
    """Compute what is not there yet, write all rows to ``epochs.csv``, and return them by setting and seed.

    Within :func:`among`, parts are computed in several processes, with the same result.

    Parameters
    ----------
    settings : sequence of str
        Names, fit for a file.
    seeds : sequence of int
        All settings of the first seed come first.
    folder : Path
        Parts that an interrupted run left are not computed again.
    compute : callable
        ``compute(setting, seed, progress) -> rows``; each row gets ``setting`` and ``seed`` as its first columns. It is
        sent to other processes with all that it refers to; arrays may be read-only there. If it returns rows and a
        final state, that is stored in ``SETTING-SEED.npz``, for :func:`matode.storage.load`, where it is small.
    progress : callable
        ``progress(fraction, note)``.

    Raises
    ------
    experiments.processes.TaskError
        If a part failed in its process; the others are kept.
    """
    pairs = [(setting, seed) for seed in seeds for setting in settings]
    files = {pair: folder / f"{pair[0]}-{pair[1]}.part" for pair in pairs}
    missing = [pair for pair in pairs if not files[pair].exists()]
    there, jobs = len(pairs) - len(missing), min(_JOBS.get(), len(missing))
    if jobs <= 1:
        for k, pair in enumerate(missing, start=there):
            _store(compute, pair, files[pair], part(progress, k / len(pairs), (k + 1) / len(pairs)))
    else:
        tasks = {f"{pair[0]}-{pair[1]}": partial(_store, compute, pair, files[pair]) for pair in missing}
        _succeed(processes.each(tasks, folder, progress, jobs=jobs, done=there))
    found = {
        pair: [{"setting": pair[0], "seed": pair[1], **row} for row in tables.read(file)]
        for pair, file in files.items()
    }
    tables.write(folder / "epochs.csv", [row for rows in found.values() for row in rows])
    for file in files.values():
        file.unlink()
    return found


def _store(compute: Compute, pair: tuple[str, int], file: Path, progress: Progress) -> None:
    """Compute a part and store it; a part that is there is complete."""
    if file.exists():
        return
    result = compute(*pair, progress)
    rows, state = result if isinstance(result, tuple) else (result, None)
    with tempfile.TemporaryDirectory(prefix=".draft-", dir=file.parent) as folder:
        draft, weights = Path(folder) / "rows", Path(folder) / "state"
        tables.write(draft, rows)
        if state is not None:
            storage.save(weights, state)
            if weights.stat().st_size <= LARGEST:
                weights.rename(file.with_suffix(".npz"))
        draft.rename(file)


def _succeed(outcomes: Iterator[tuple[str, Any]]) -> None:
    """Wait for all parts, then raise if some of them failed."""
    failures = {name: outcome for name, outcome in outcomes if isinstance(outcome, processes.Failure)}
    if failures:
        error = processes.TaskError("; ".join(f"{name}: {failure.sentence}" for name, failure in failures.items()))
        for failure in failures.values():
            if failure.details:
                error.add_note(failure.details)
        raise error
