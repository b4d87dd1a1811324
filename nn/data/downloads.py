"""Where files are looked for, and downloads by pooch: checked, from the first mirror that answers, and silent."""

from __future__ import annotations

import importlib
import logging
import os
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["download", "folders", "optional"]

_PROBE_SECONDS = 4.0
_READ_SECONDS = 20.0


def folders(name: str) -> list[Path]:
    """Return where to look for the data set ``name``: the data directory and the cache."""
    places = []
    if os.environ.get("MATODE_DATA_DIR"):
        places.append(Path(os.environ["MATODE_DATA_DIR"]) / name)
    try:
        places.append(_cache() / name)
    except ImportError:  # without pooch nothing was ever put there
        pass
    return places


def download(name: str, archives: Mapping[str, str], mirrors: Sequence[str]) -> tuple[Path | None, str]:
    """Fetch files to the cache.

    Parameters
    ----------
    name : str
        Of the data set, and of its folder in the cache.
    archives : mapping
        SHA-256 of each file, by its name.
    mirrors : sequence of str
        What stands before the name in the address. They are asked in this order.

    Returns
    -------
    folder : Path or None
    reason : str
        Why it is None.
    """
    try:
        pooch = optional("pooch", "pooch")
    except ImportError as error:
        return None, str(error)
    alive = _reachable(mirrors, next(iter(archives)))
    if not alive:
        return None, f"no mirror answered within {_PROBE_SECONDS:g} s"
    failure = ""
    for mirror in alive:
        try:
            with _quiet(pooch.get_logger()):
                for file, digest in archives.items():
                    pooch.retrieve(
                        url=f"{mirror}{file}",
                        known_hash=f"sha256:{digest}",
                        fname=file,
                        path=_cache() / name,
                        downloader=pooch.HTTPDownloader(timeout=_READ_SECONDS),
                    )
            return _cache() / name, ""
        except (OSError, ValueError) as error:  # requests' errors are OSError; a wrong checksum is ValueError
            failure = f"the download from {mirror} failed: {error}"
    return None, failure


def optional(module: str, package: str) -> Any:
    """Import a module that only data sets need.

    Raises
    ------
    ImportError
        With the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"this needs {package}, which is not installed: pip install 'matode[data]'") from error


def _cache() -> Path:
    return Path(optional("pooch", "pooch").os_cache("matode"))


def _reachable(mirrors: Sequence[str], file: str) -> list[str]:
    """Return the mirrors that answer in time.

    All are asked at once, in daemon threads: no timeout of a socket covers the look-up of its name.
    """
    answered: dict[str, bool] = {}

    def ask(mirror: str) -> None:
        request = urllib.request.Request(f"{mirror}{file}", method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=_PROBE_SECONDS) as response:
                answered[mirror] = response.status == 200
        except (OSError, ValueError):
            answered[mirror] = False

    threads = [threading.Thread(target=ask, args=(mirror,), daemon=True) for mirror in mirrors]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _PROBE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [mirror for mirror in mirrors if answered.get(mirror)]


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep pooch, which reports to the terminal by default, from writing there."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
