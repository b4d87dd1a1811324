"""Tasks on a Dask cluster, whose workers share a file system with this machine."""

from __future__ import annotations

import os
import pickle
import re
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from experiments.progress import Progress

__all__ = ["outcomes_of"]

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 10.0
"""Seconds until a scheduler has to answer."""


def outcomes_of(
    tasks: Mapping[str, Callable[[Progress], Any]], address: str, reports: Path
) -> Iterator[tuple[str, Any]]:
    """Give name and outcome of every task, in the order in which they end.

    Dask begins a task again elsewhere when its worker dies, and gives it up when that has happened four times.

    Parameters
    ----------
    tasks : mapping of callables
        ``task(progress)``.
    address : str
        Of the scheduler, ``"tcp://host:8786"``.
    reports : Path
        Folder for the progress; it has to be seen by the workers.

    Raises
    ------
    UnavailableError
        If no scheduler answers.
    """
    from distributed import Client, KilledWorker, as_completed

    from experiments.processes import Failure, UnavailableError

    if not re.fullmatch(r"(\w+://)?[^/]+:\d+", address):
        raise UnavailableError(f"--scheduler takes an address such as tcp://host:8786, got {address!r}")
    try:
        client = Client(address, timeout=TIMEOUT, set_as_default=False)
    except OSError as error:
        raise UnavailableError(f"no scheduler answers at {address}: {error}") from error
    futures: dict[Any, str] = {}
    try:
        if not client.scheduler_info()["workers"]:
            print(f"the cluster at {address} has no worker yet: waiting for one", file=sys.stderr)
        for name, task in tasks.items():
            key = f"{name}-{uuid4().hex[:8]}"
            futures[client.submit(_portable(name, task, reports), key=key, pure=False)] = name
        for future in as_completed(futures, loop=client.loop):
            name = futures.pop(future)
            try:
                yield future.result()
            except KilledWorker as error:
                yield name, Failure(f"its worker died again and again, {error.last_worker.address} at last")
            except Exception as error:
                yield name, Failure(f"{type(error).__name__}: {error}")
    finally:
        client.cancel(list(futures))
        client.close()


def _portable(name: str, task: Callable[[Progress], Any], reports: Path) -> Callable[[], Any]:
    """Return the task as a function that travels by value, to workers that were started anywhere."""
    import cloudpickle

    packed, root, folder = cloudpickle.dumps((name, task)), str(ROOT), str(reports.resolve())

    def carry_out() -> Any:
        if not os.path.isdir(folder):
            raise FileNotFoundError(
                f"{socket.gethostname()} does not see {folder}, which a cluster must share with this machine"
            )
        if root not in sys.path:
            sys.path.insert(0, root)
        from experiments.processes import reporting
        from experiments.reports import Report

        name, task = pickle.loads(packed)
        return reporting(name, task, Report(Path(folder) / name))

    return carry_out
