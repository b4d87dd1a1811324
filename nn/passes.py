"""What a forward pass needs besides weights and input: is it training, which masks, which running statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matode._array import Array, default_rng, from_host

__all__ = ["Pass"]


class Pass:
    """One forward pass; a network without dropout and batch normalisation needs none.

    Layers hold no state: running statistics are arrays that are handed to a pass and come back from it, in the order of
    the layers, and a dropout mask follows from the pass's seed and its place in the network. Passes with one seed
    therefore see the same network, which is what the K-, L- and S-step of one batch have to do.

    Parameters
    ----------
    buffers : sequence of arrays
        Running statistics: at first ``model.buffers(backend, dtype)``, then what the last pass left in ``updated``.
    train : bool
        Whether values are normalised by the batch's statistics and dropout is active; else both use what was learned.
    seed : int or sequence of int
        Fixes the dropout masks, the same ones on every backend.

    Attributes
    ----------
    updated : list of arrays
        The running statistics after the pass.
    """

    def __init__(self, buffers: Sequence[Array] = (), *, train: bool = False, seed: Any = 0) -> None:
        self.train = train
        self.updated: list[Array] = []
        self._buffers = buffers
        self._seed = tuple(seed) if isinstance(seed, Sequence) else (seed,)
        self._masks = 0

    def take(self, count: int, layer: str) -> Sequence[Array]:
        """Return the next ``count`` running statistics; the layer must give as many back to ``updated``.

        Raises
        ------
        ValueError
            If there are not enough.
        """
        start = len(self.updated)
        taken = self._buffers[start : start + count]
        if len(taken) != count:
            raise ValueError(
                f"{layer}: the pass has {len(self._buffers)} running statistics and this layer needs numbers "
                f"{start + 1} to {start + count}: start with model.buffers(backend, dtype)"
            )
        return taken

    def mask(self, shape: Sequence[int], keep: float, like: Array) -> Array:
        """Draw zeros, and ``1 / keep`` with probability ``keep``, of the dtype and device of ``like``."""
        rng = default_rng((*self._seed, self._masks))
        self._masks += 1
        return from_host((rng.random(tuple(shape), dtype="float32") < keep) / keep, like, like.dtype)
