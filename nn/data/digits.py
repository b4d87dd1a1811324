"""The 8 x 8 digits that scikit-learn ships: a data set that needs no file and no network."""

from __future__ import annotations

from matode._array import default_rng
from nn.data.dataset import Dataset, normalised
from nn.data.downloads import optional

__all__ = ["digits"]


def digits() -> Dataset:
    """Return the 1797 digits of 8 x 8 pixels that scikit-learn ships; 360 of them, always the same, are the test part.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.
    """
    bunch = optional("sklearn.datasets", "scikit-learn").load_digits()
    order = default_rng(0).permutation(len(bunch.target))
    images, labels = bunch.images[order], bunch.target[order]
    reason = "scikit-learn's 8 x 8 digits"
    return normalised("digits", (images[360:], labels[360:]), (images[:360], labels[:360]), reason)
