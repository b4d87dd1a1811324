"""Data sets: MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100 from files or a checked download, and scikit-learn's digits.

A data set ``NAME`` is looked for in ``$MATODE_DATA_DIR/NAME``, then in the cache directory, then downloaded to it by
pooch and checked against its SHA-256.
"""

from __future__ import annotations

import difflib
from dataclasses import replace

from nn.data.dataset import DataError, Dataset
from nn.data.digits import digits
from nn.data.sources import CIFAR_10, CIFAR_100, FASHION_MNIST, MNIST, Source

__all__ = ["NAMES", "DataError", "Dataset", "digits", "load", "mnist"]

_SOURCES = {source.name: source for source in (MNIST, FASHION_MNIST, CIFAR_10, CIFAR_100)}

NAMES = (*_SOURCES, "digits")
"""The data sets by name, which is also the name of their folder in ``$MATODE_DATA_DIR``."""


def load(name: str = "auto") -> Dataset:
    """Return a data set.

    Parameters
    ----------
    name : str
        One of :data:`NAMES`, or ``"auto"``: MNIST where it can be had, else the digits; ``reason`` says why.

    Raises
    ------
    ValueError
        If the name is none of these.
    FileNotFoundError
        If the files are neither found nor downloaded; the message says where to put them.
    DataError
        If a file is there but damaged; the message names it.
    ImportError
        If a library that is needed is not installed; the message says how to get it.
    """
    if name == "digits":
        return digits()
    if name == "auto":
        try:
            return mnist()
        except FileNotFoundError as error:
            fallback = digits()
            return replace(fallback, reason=f"{fallback.reason}, instead of MNIST: {error}")
    return _source(name).load()


def mnist() -> Dataset:
    """Return MNIST: 60000 training and 10000 test images of 28 x 28, or as many as its files hold.

    Raises
    ------
    FileNotFoundError, DataError
        As :func:`load` does.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 86 (1998).
    """
    return _SOURCES["mnist"].load()


def _source(name: str) -> Source:
    if name not in _SOURCES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        known = ", ".join(map(repr, NAMES))
        raise ValueError(f"unknown data set {name!r}: {hint}expected one of {known}, or 'auto'")
    return _SOURCES[name]
