"""Trained networks as files for others: arrays by name (npz, safetensors), and ONNX models.

A low-rank weight leaves as what evaluation needs of it, two thin factors: ``US`` (m, r) and ``Vh`` (r, n), whose
product is the weight.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matode._array import Array, host, mH, to_host
from matode.lowrank import LowRank
from nn.image_layers import BatchNorm
from nn.module import Module, leaves
from nn.onnx_graph import optional, write_onnx

__all__ = ["FORMATS", "export", "named_arrays"]


def named_arrays(model: Module, Y: Sequence[Any], buffers: Sequence[Array] = ()) -> dict[str, host.ndarray]:
    """Return the weights of a network as host arrays.

    The names are ``K.weight``, or ``K.weight.US`` and ``K.weight.Vh`` for a low-rank one, and ``K.bias``, where K is
    the number of the layer among those that contain no others, from 0. Batch normalisation has ``K.scale``,
    ``K.shift``, ``K.mean`` and ``K.variance``.

    Parameters
    ----------
    model : Module
    Y : sequence of blocks
    buffers : sequence of arrays
        Running statistics of batch normalisation.

    Raises
    ------
    ValueError
        If the number of blocks or of running statistics is not that of the network.
    """
    named: dict[str, host.ndarray] = {}
    blocks, statistics = iter(Y), iter(buffers)
    given = f"the {len(Y)} blocks and {len(buffers)} running statistics that were given"
    try:
        for k, layer in enumerate(leaves(model)):
            owned = [next(blocks) for _ in range(layer.n_blocks)]
            names: tuple[str, ...] = ("weight", "bias")
            if isinstance(layer, BatchNorm):
                names = ("scale", "shift", "mean", "variance")
                owned += [next(statistics), next(statistics)]
            for name, block in zip(names, owned, strict=False):
                if isinstance(block, LowRank):
                    named[f"{k}.{name}.US"] = _host(block.U @ block.S)
                    named[f"{k}.{name}.Vh"] = _host(mH(block.V))
                else:
                    named[f"{k}.{name}"] = _host(block)
    except StopIteration:
        raise ValueError(f"export: the network needs more than {given}") from None
    if [*blocks, *statistics]:
        raise ValueError(f"export: the network needs fewer than {given}")
    return named


def export(
    path: str | os.PathLike[str],
    model: Module,
    Y: Sequence[Any],
    buffers: Sequence[Array] = (),
    *,
    format: str,
    image: tuple[int, int, int],
) -> None:
    """Write a trained network to a file, which appears complete or not at all.

    Parameters
    ----------
    path : path
    model, Y, buffers
        As in :func:`named_arrays`.
    format : str
        One of :data:`FORMATS`. ONNX models are in single precision, and take as many images as they are given.
    image : (channels, height, width)
        Size of the images that an ONNX model takes.

    Raises
    ------
    ValueError
        If there is no such format, or a layer that it cannot express.
    ImportError
        If a library that is needed is not installed; the message says how to get it.
    """
    if format not in FORMATS:
        near = difflib.get_close_matches(format, FORMATS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(f"unknown format {format!r}: {hint}expected one of {', '.join(FORMATS)}")
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        FORMATS[format](unfinished, model, named_arrays(model, Y, buffers), image)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _npz(path: Path, model: Module, named: Mapping[str, host.ndarray], image: Sequence[int]) -> None:
    with open(path, "wb") as file:
        host.savez(file, allow_pickle=False, **named)


def _safetensors(path: Path, model: Module, named: Mapping[str, host.ndarray], image: Sequence[int]) -> None:
    optional("safetensors.numpy").save_file(dict(named), path, metadata={"low_rank": "weight = US @ Vh"})


def _onnx(path: Path, model: Module, named: Mapping[str, host.ndarray], image: Sequence[int]) -> None:
    write_onnx(path, model, named, image)


FORMATS: Mapping[str, Callable[[Path, Module, Mapping[str, host.ndarray], Sequence[int]], None]] = {
    "npz": _npz,
    "safetensors": _safetensors,
    "onnx": _onnx,
}
"""The formats by name."""


def _host(array: Array) -> host.ndarray:
    return host.ascontiguousarray(to_host(array))
