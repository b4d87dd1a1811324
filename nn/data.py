"""Data sets: MNIST from files or a checked download, and the 8 x 8 digits that scikit-learn ships.

MNIST is looked for in ``$MATODE_DATA_DIR/mnist``, then in the cache directory, then downloaded to it by pooch.
"""

from __future__ import annotations

import importlib
import logging
import math
import os
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matode._array import default_rng, host
from nn.idx import DataError, read_idx

__all__ = ["DataError", "Dataset", "digits", "load", "mnist"]

_ARCHIVES = {
    "train-images-idx3-ubyte": (
        (60000, 28, 28),
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "train-labels-idx1-ubyte": ((60000,), "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    "t10k-images-idx3-ubyte": (
        (10000, 28, 28),
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "t10k-labels-idx1-ubyte": ((10000,), "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
}
"""The four files: their shapes, and the SHA-256 of the gzipped archive that the mirrors serve."""

_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_PROBE_SECONDS = 4.0
_READ_SECONDS = 20.0


@dataclass(frozen=True)
class Dataset:
    """Labelled images on the host.

    Attributes
    ----------
    name : str
        ``"mnist"`` or ``"digits"``.
    x_train, x_test : (N, 1, height, width) float32 arrays
        Grey values between 0 (background) and 1, with the mean image of the training part taken out.
    y_train, y_test : (N,) int64 arrays
        Classes, 0 to 9.
    reason : str
        One sentence: where the data came from, and why where it is not what was asked for first.
    """

    name: str
    x_train: host.ndarray
    y_train: host.ndarray
    x_test: host.ndarray
    y_test: host.ndarray
    reason: str

    @property
    def features(self) -> int:
        """Number of pixels of an image."""
        return math.prod(self.x_train.shape[1:])

    def head(self, train: int, test: int) -> Dataset:
        """Return the first examples of each part, as views."""
        return replace(
            self,
            x_train=self.x_train[:train],
            y_train=self.y_train[:train],
            x_test=self.x_test[:test],
            y_test=self.y_test[:test],
        )


def load(name: str = "auto") -> Dataset:
    """Return a data set.

    Parameters
    ----------
    name : str
        ``"mnist"``, ``"digits"``, or ``"auto"``: MNIST where it can be had, else the digits; ``reason`` says why.

    Raises
    ------
    ValueError
        If the name is none of these.
    FileNotFoundError
        If MNIST is asked for and neither found nor downloaded.
    DataError
        If a file is there but damaged.
    ImportError
        If a library that is needed is not installed; the message says how to get it.
    """
    if name == "mnist":
        return mnist()
    if name == "digits":
        return digits()
    if name != "auto":
        raise ValueError(f"unknown data set {name!r}: expected 'mnist', 'digits' or 'auto'")
    try:
        return mnist()
    except FileNotFoundError as error:
        fallback = digits()
        return replace(fallback, reason=f"{fallback.reason}, instead of MNIST: {error}")


def mnist() -> Dataset:
    """Return MNIST: 60000 training and 10000 test images of 28 x 28.

    Raises
    ------
    FileNotFoundError
        If it is neither found nor downloaded; the message says where it was looked for.
    DataError
        If a file is there but damaged; the message names it.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86 (1998).
    """
    tried: list[str] = []
    for folder in _folders():
        files = _files_in(folder)
        if files is not None:
            return _mnist_from(files, f"MNIST from {folder}")
        tried.append(str(folder))
    looked = f"MNIST is not in {' nor in '.join(tried)}" if tried else "$MATODE_DATA_DIR is not set"
    files, why_not = _download()
    if files is None:
        raise FileNotFoundError(f"{looked}, and {why_not}")
    return _mnist_from(files, "MNIST, downloaded")


def digits() -> Dataset:
    """Return the 1797 digits of 8 x 8 pixels that scikit-learn ships; 360 of them, always the same, are the test part.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    """
    bunch = _optional("sklearn.datasets", "scikit-learn").load_digits()
    order = default_rng(0).permutation(len(bunch.target))
    images, labels = bunch.images[order], bunch.target[order]
    return _normalised("digits", images[360:], labels[360:], images[:360], labels[:360], "scikit-learn's 8 x 8 digits")


def _folders() -> list[Path]:
    """Return where to look: the data directory and the cache."""
    folders = []
    if os.environ.get("MATODE_DATA_DIR"):
        folders.append(Path(os.environ["MATODE_DATA_DIR"]) / "mnist")
    try:
        folders.append(_cache())
    except ImportError:  # without pooch nothing was ever put there
        pass
    return folders


def _cache() -> Path:
    return Path(_optional("pooch", "pooch").os_cache("matode")) / "mnist"


def _files_in(folder: Path) -> list[Path] | None:
    """Return the four files of a folder, raw or gzipped, or None where one is missing."""
    files = []
    for name in _ARCHIVES:
        path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
        if path is None:
            return None
        files.append(path)
    return files


def _mnist_from(files: list[Path], reason: str) -> Dataset:
    arrays = [read_idx(path, shape) for path, (shape, _) in zip(files, _ARCHIVES.values(), strict=True)]
    for path, labels in zip(files[1::2], arrays[1::2], strict=True):
        if int(labels.max()) > 9:
            raise DataError(f"{path} has the label {int(labels.max())}: expected 0 to 9")
    x_train, y_train, x_test, y_test = arrays
    return _normalised("mnist", x_train, y_train, x_test, y_test, reason)


def _normalised(
    name: str,
    x_train: host.ndarray,
    y_train: host.ndarray,
    x_test: host.ndarray,
    y_test: host.ndarray,
    reason: str,
) -> Dataset:
    """Return the data set with grey values scaled to [0, 1], less the mean image of the training part.

    The mean image is by far the largest principal component of the raw values: without it gradient descent is stable
    for larger steps.
    """
    white = host.float32(x_train.max())
    parts = [x.astype(host.float32)[:, None, :, :] / white for x in (x_train, x_test)]
    mean = parts[0].mean(axis=0, dtype=host.float64).astype(host.float32)
    for values in parts:
        values -= mean
    labels = [y.astype(host.int64) for y in (y_train, y_test)]
    return Dataset(name, parts[0], labels[0], parts[1], labels[1], reason)


def _download() -> tuple[list[Path] | None, str]:
    """Fetch the archives to the cache; return their paths, or None and the reason."""
    try:
        pooch = _optional("pooch", "pooch")
    except ImportError as error:
        return None, str(error)
    mirrors = _reachable(next(iter(_ARCHIVES)))
    if not mirrors:
        return None, f"no mirror answered within {_PROBE_SECONDS:g} s"
    failure = ""
    for mirror in mirrors:
        try:
            with _quiet(pooch.get_logger()):
                return [
                    Path(
                        pooch.retrieve(
                            url=f"{mirror}{name}.gz",
                            known_hash=f"sha256:{digest}",
                            fname=f"{name}.gz",
                            path=_cache(),
                            downloader=pooch.HTTPDownloader(timeout=_READ_SECONDS),
                        )
                    )
                    for name, (_, digest) in _ARCHIVES.items()
                ], ""
        except (OSError, ValueError) as error:  # requests' errors are OSError; a wrong checksum is ValueError
            failure = f"the download from {mirror} failed: {error}"
    return None, failure


def _reachable(name: str) -> list[str]:
    """Return the mirrors that answer in time.

    All are asked at once, in daemon threads: no timeout of a socket covers the look-up of its name.
    """
    answered: dict[str, bool] = {}

    def ask(mirror: str) -> None:
        request = urllib.request.Request(f"{mirror}{name}.gz", method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=_PROBE_SECONDS) as response:
                answered[mirror] = response.status == 200
        except (OSError, ValueError):
            answered[mirror] = False

    threads = [threading.Thread(target=ask, args=(mirror,), daemon=True) for mirror in _MIRRORS]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _PROBE_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [mirror for mirror in _MIRRORS if answered.get(mirror)]


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep pooch, which reports to the terminal by default, from writing there."""
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _optional(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"this needs {package}, which is not installed: pip install 'matode[data]'") from error
