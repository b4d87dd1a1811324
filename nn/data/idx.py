"""Files in the IDX format, in which MNIST and Fashion-MNIST are distributed."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path

from matode._array import host
from nn.data.dataset import DataError

__all__ = ["read_idx"]


def read_idx(path: str | os.PathLike[str], shape: tuple[int | None, ...] | None = None) -> host.ndarray:
    """Read a file of unsigned bytes in the IDX format, raw or gzipped.

    Parameters
    ----------
    path : path
        Gzipped files are recognised by their content.
    shape : tuple of int or None, optional
        What the header must say; None stands for any number.

    Raises
    ------
    DataError
        If magic number, shape or length is wrong, or the compressed stream is damaged; the message names the file.
    """
    path = Path(path)
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(f"{path} is damaged: its gzip stream cannot be read ({error})") from error
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise DataError(f"{path} is no IDX file of unsigned bytes: it begins with {content[:4].hex() or 'nothing'}")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    found = tuple(int.from_bytes(content[4 + 4 * k : 8 + 4 * k], "big") for k in range(dimensions))
    if len(content) >= start and shape is not None and not _fits(found, shape):
        expected = ", ".join("any" if n is None else str(n) for n in shape)
        raise DataError(f"{path} has shape {found}, expected ({expected}{',' if len(shape) == 1 else ''})")
    size = start + math.prod(found)
    if len(content) != size:
        raise DataError(f"{path} is damaged: it has {len(content)} bytes, where its header asks for {size}")
    return host.frombuffer(content, dtype=host.uint8, offset=start).reshape(found)


def _fits(found: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    return len(found) == len(shape) and all(n in (None, k) for k, n in zip(found, shape, strict=True))
