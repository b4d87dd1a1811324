"""Many tasks at once, in processes of this machine (joblib) or of a Dask cluster; when one dies, none of them is lost.

A task is a function of a progress. It stores what it computes, and stops at once where that is stored already: a task
that is begun again, because its process was killed, goes on from its files.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from experiments.progress import Progress, part
from experiments.reports import Report, StoppedError, watching

__all__ = ["Failure", "TaskError", "UnavailableError", "cores", "each"]

Task = Callable[[Progress], Any]

ATTEMPTS = 2
"""How often a task may be among those whose pool died; its last attempt it then makes alone."""


class TaskError(RuntimeError):
    """A task failed in its process, or the process died; the message is one sentence."""


class UnavailableError(RuntimeError):
    """What is to be computed with is not there: a package, or a scheduler; the message is one sentence."""


@dataclass(frozen=True)
class Failure:
    """A task without a result.

    Attributes
    ----------
    sentence : str
        What happened.
    details : str
        The traceback, where there is one.
    """

    sentence: str
    details: str = ""


def cores() -> int:
    """Return how many processes make sense on this machine; one without joblib."""
    if find_spec("joblib") is None:
        return 1
    from joblib import cpu_count

    return int(cpu_count())


def each(
    tasks: Mapping[str, Task],
    folder: Path,
    progress: Progress,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    done: int = 0,
) -> Iterator[tuple[str, Any]]:
    """Carry out all tasks and give name and result of each, in the order in which they end.

    The result of a task that failed is a :class:`Failure`. With one job and no scheduler they run in this process.

    Parameters
    ----------
    tasks : mapping of callables
        ``task(progress)``; names are fit for a file. Closures will do.
    folder : Path
        Where the processes can tell how far they are; a cluster must see it as well.
    progress : callable
        ``progress(fraction, note)`` over all tasks.
    jobs : int
        Number of processes.
    scheduler : str, optional
        Address of a Dask cluster, which is used instead.
    done : int
        How many tasks there were before, of which nothing is left to do.

    Raises
    ------
    UnavailableError
        If joblib, or dask.distributed, is not installed, or no scheduler answers.
    """
    if not tasks:
        return
    if jobs == 1 and scheduler is None:
        total = done + len(tasks)
        for k, (name, task) in enumerate(tasks.items(), start=done):
            yield attempt(name, task, part(progress, k / total, (k + 1) / total))
        return
    _needs(*("joblib", "computing in several processes") if scheduler is None else ("distributed", "--scheduler"))
    reports = Path(tempfile.mkdtemp(prefix=".reports-", dir=folder))
    try:
        with watching(reports, list(tasks), done, progress) as finished:
            if scheduler is None:
                outcomes = _local(tasks, jobs, reports)
            else:
                from experiments.cluster import outcomes_of

                outcomes = outcomes_of(tasks, scheduler, reports)
            for name, outcome in outcomes:
                finished(name)
                yield name, outcome
    finally:
        shutil.rmtree(reports, ignore_errors=True)  # whatever still runs stops when it finds no place to report to


def _needs(package: str, option: str) -> None:
    if find_spec(package) is None:
        raise UnavailableError(f"{option} needs {package}, which is not installed: pip install 'matode[sweep]'")


def attempt(name: str, task: Task, progress: Progress) -> tuple[str, Any]:
    """Carry out one task; an exception becomes a :class:`Failure`."""
    try:
        return name, task(progress)
    except Exception as error:
        return name, Failure(f"{type(error).__name__}: {error}", traceback.format_exc())


def reporting(name: str, task: Task, report: Report) -> tuple[str, Any]:
    """Carry out one task in a process of its own; that it has begun is to be seen from its report."""
    try:
        report(0.0, "begins")
        return attempt(name, task, report)
    except StoppedError:
        return name, Failure("it was stopped")


def _local(tasks: Mapping[str, Task], jobs: int, reports: Path) -> Iterator[tuple[str, Any]]:
    """Carry out the tasks in a pool, which breaks as a whole when one of its processes is killed.

    Those that were running then are begun again, in company at first and, when that has happened too often, each alone:
    so that the one at fault, and no other, is given up.
    """
    waiting, deaths, futile = dict(tasks), Counter[str](), 0
    while waiting:
        company = [name for name in waiting if deaths[name] < ATTEMPTS]
        names = company or list(waiting)[:1]
        try:
            for name, outcome in _pool({name: waiting[name] for name in names}, jobs, reports):
                futile = 0
                del waiting[name]
                (reports / name).unlink(missing_ok=True)
                yield name, outcome
        except BrokenProcessPool:
            running = [name for name in names if (reports / name).exists()]
            futile = 0 if running else futile + 1
            if futile > ATTEMPTS:
                raise TaskError("the processes of the pool die before they begin: is memory short?") from None
            for name in running:
                deaths[name] += 1
                (reports / name).unlink()
            if not company and running:
                del waiting[names[0]]
                yield names[0], Failure(f"its process died {deaths[names[0]]} times: killed, or out of memory")


def _in_pool(name: str, task: Task, report: Report) -> tuple[str, Any]:
    """Carry out one task in a process that Ctrl-C reaches as well: to stop it is the business of its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return reporting(name, task, report)


def _pool(tasks: Mapping[str, Task], jobs: int, reports: Path) -> Iterator[tuple[str, Any]]:
    from joblib import Parallel, delayed

    calls = (delayed(_in_pool)(name, task, Report(reports / name, os.getpid())) for name, task in tasks.items())
    processes = max(2, min(jobs, len(tasks)))  # a single one would be this process
    pool = Parallel(n_jobs=processes, backend="loky", batch_size=1, return_as="generator_unordered")
    yield from pool(calls)
