"""Nested values in one ``.npz`` file: no pickle, the same bytes for the same value, and never half a file.

A value is None, a number, a string, an array, a :class:`~matode.LowRank`, a :class:`~matode.State`, or a tuple, list or
dict (with strings as keys) of values. :func:`pack` takes it apart into a header, which JSON can hold, and host arrays;
:func:`unpack` puts it together again, on any backend. What comes back equals what was given to the last bit, memory
layout included, so that a computation continues as if it had never been interrupted.

The header is the member ``header.json`` of the file. Each array is a member whose name says where it sits in the value,
as a JSON pointer (RFC 6901) does: ``numpy.load`` reads them too.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Mapping
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, BinaryIO

from matode._array import Array, Backend, host, is_array, to_host
from matode.lowrank import LowRank
from matode.protocols import State

__all__ = ["StorageError", "load", "pack", "save", "unpack"]

VERSION = 1
_HEADER = "header.json"
_ROOT = "value"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time that every member bears: the earliest that a zip archive knows."""


class StorageError(ValueError):
    """A file that is there, but is damaged or was not written by this module."""


def pack(value: Any) -> tuple[Any, dict[str, host.ndarray]]:
    """Take a nested value apart.

    Returns
    -------
    header : object
        Dicts, lists, strings and finite numbers: what JSON can hold. Values that JSON knows stand for themselves, all
        others are dicts of one key, their type.
    arrays : dict of str to host array
        The arrays of all backends, copied to the host where they are not on it, by their place in the value.

    Raises
    ------
    TypeError
        If a part of the value is of another type; the message says which, and where.
    """
    arrays: dict[str, host.ndarray] = {}
    return _pack(value, _ROOT, arrays), arrays


def unpack(header: Any, arrays: Mapping[str, host.ndarray], like: Backend | None = None) -> Any:
    """Put together what :func:`pack` took apart.

    Parameters
    ----------
    header, arrays
        What :func:`pack` returned.
    like : Backend, optional
        Where to put the arrays; NumPy where not given. NumPy's own scalars stay on the host.

    Raises
    ------
    StorageError
        If header and arrays do not belong together.
    """
    try:
        return _unpack(header, arrays, like)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StorageError(f"header and arrays do not belong together: {error!r}") from error


def save(path: str | os.PathLike[str], value: Any) -> None:
    """Write a nested value to one ``.npz`` file.

    The same value gives the same bytes: there are no times and no paths in them. The file appears complete or not at
    all: it is written under another name, which does not end in ``.npz``, and then renamed.

    Raises
    ------
    TypeError
        If a part of the value cannot be stored; no file is left behind.
    """
    path = Path(path)
    header, arrays = pack(value)
    text = json.dumps({"format": "matode", "version": VERSION, "value": header}, allow_nan=False)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with open(unfinished, "wb") as file:
            _write(file, text, arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    _settle(path.parent)


def load(path: str | os.PathLike[str], backend: Backend | None = None) -> Any:
    """Read what :func:`save` wrote, and put its arrays on ``backend`` (NumPy where not given).

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    StorageError
        If it is damaged, or no file of this module; the message names it.
    """
    try:
        header, arrays = _read(path)
        return unpack(header, arrays, backend)
    except (zipfile.BadZipFile, EOFError, KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path} is damaged, or no file that matode wrote: {error}") from error


def _pack(value: Any, place: str, arrays: dict[str, host.ndarray]) -> Any:
    if value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value)):
        return value
    if type(value) is float:
        return {"float": str(value)}
    if isinstance(value, LowRank):
        return {"LowRank": _pack([list(term) for term in value.terms], place, arrays)}
    if isinstance(value, host.generic) or is_array(value):
        arrays[place] = _stored(value, place)
        return {"scalar" if isinstance(value, host.generic) else "array": place}
    if type(value) in (tuple, list, State):
        parts = [_pack(part, f"{place}/{k}", arrays) for k, part in enumerate(value)]
        return {type(value).__name__: parts}
    if type(value) is dict and all(type(key) is str for key in value):
        escaped = {key: key.replace("~", "~0").replace("/", "~1") for key in value}
        return {"dict": {key: _pack(part, f"{place}/{escaped[key]}", arrays) for key, part in value.items()}}
    expected = "None, numbers, strings, arrays, LowRank, State, and tuples, lists and dicts (with string keys) of them"
    raise TypeError(f"a {type(value).__name__} at {place} cannot be stored: expected {expected}")


def _stored(value: Array | host.generic, place: str) -> host.ndarray:
    array = host.asarray(value) if isinstance(value, host.generic) else to_host(value)
    if array.dtype.hasobject:
        raise TypeError(f"an array of Python objects at {place} cannot be stored: expected numbers")
    return array


def _unpack(header: Any, arrays: Mapping[str, host.ndarray], like: Backend | None) -> Any:
    if not isinstance(header, dict):
        return header
    ((kind, content),) = header.items()
    match kind:
        case "float":
            return float(content)
        case "scalar":
            return arrays[content][()]
        case "array":
            return arrays[content] if like is None else like.xp.asarray(arrays[content], device=like.device)
        case "LowRank":
            return reduce(add, (LowRank(*term) for term in _unpack(content, arrays, like)))
        case "dict":
            return {key: _unpack(part, arrays, like) for key, part in content.items()}
    return {"tuple": tuple, "list": list, "State": State}[kind](_unpack(part, arrays, like) for part in content)


def _write(file: BinaryIO, text: str, arrays: Mapping[str, host.ndarray]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_member(_HEADER), text)
        for name, array in arrays.items():
            with archive.open(_member(f"{name}.npy"), "w", force_zip64=True) as member:
                host.lib.format.write_array(member, array, allow_pickle=False)


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system = 3  # the same bytes on every system
    return info


def _read(path: str | os.PathLike[str]) -> tuple[Any, dict[str, host.ndarray]]:
    with zipfile.ZipFile(path) as archive:
        content = json.loads(archive.read(_HEADER))
        if not isinstance(content, dict) or content.get("format") != "matode":
            raise ValueError("its header is not ours")
        if content["version"] != VERSION:
            raise ValueError(f"its format has version {content['version']}, expected {VERSION}")
        arrays = {}
        for name in archive.namelist():
            if name != _HEADER:
                with archive.open(name) as member:
                    arrays[name.removesuffix(".npy")] = host.lib.format.read_array(member, allow_pickle=False)
        return content["value"], arrays


def _settle(folder: Path) -> None:
    """See to it that a rename survives a loss of power, where the system lets a folder be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
