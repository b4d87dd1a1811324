"""Files in the binary version of CIFAR-10 and CIFAR-100: records of label bytes and 3 x 32 x 32 bytes of colour."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from matode._array import host
from nn.data.dataset import DataError

__all__ = ["extract", "parse_records"]

_PIXELS = 3 * 32 * 32


def parse_records(content: bytes, labels: int, classes: int, what: str) -> tuple[host.ndarray, host.ndarray]:
    """Return the images, (N, 3, 32, 32) bytes, and the classes, (N,), of one batch file.

    Parameters
    ----------
    content : bytes
    labels : int
        How many label bytes a record begins with; the last of them is the class: CIFAR-100 has a coarse label first.
    classes : int
        Number of classes.
    what : str
        What to call the file.

    Raises
    ------
    DataError
        If the file is empty, ends within a record, or a class is out of range; the message names it.
    """
    record = labels + _PIXELS
    if not content or len(content) % record:
        raise DataError(
            f"{what} is damaged: it has {len(content)} bytes, which is no positive multiple of {record}, the size of "
            "a record"
        )
    table = host.frombuffer(content, dtype=host.uint8).reshape(-1, record)
    found = table[:, labels - 1]
    if int(found.max()) >= classes:
        raise DataError(f"{what} has the label {int(found.max())}: expected 0 to {classes - 1}")
    return table[:, labels:].reshape(-1, 3, 32, 32), found


def extract(archive: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Return the contents of the files called ``names`` in a gzipped tar archive, whatever folders they are in.

    Raises
    ------
    DataError
        If the archive is damaged or lacks one of them; the message names it.
    """
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                file = tar.extractfile(member) if name in names and member.isfile() else None
                if file is not None:
                    contents[name] = file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{archive} is damaged: it cannot be unpacked ({error})") from error
    missing = [name for name in names if name not in contents]
    if missing:
        raise DataError(f"{archive} lacks {', '.join(missing)}")
    return contents
