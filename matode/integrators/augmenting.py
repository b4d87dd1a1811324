"""Augmented bases: what the K- and L-step add to the old ones, and a block written in them."""

from __future__ import annotations

from typing import NamedTuple

from matode._array import Array, as_dtype, joined, mH, zeros_like_shape
from matode.linalg import complement
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation

__all__ = ["Augmented", "augmented"]


class Augmented(NamedTuple):
    """Orthonormal columns that extend the bases U and V of a block."""

    U1: Array
    V1: Array

    def value(self, y: LowRank) -> LowRank:
        """Return the block itself, written in the augmented bases: the core is padded with zeros.

        Inside a step, products with the augmented bases reuse those with the old ones.
        """
        S = y.S
        p, q = S.shape
        core = zeros_like_shape((p + self.U1.shape[1], q + self.V1.shape[1]), S)
        core[:p, :q] = S
        products = y.products
        if products is None:
            return self._wide(y, core)
        U, V = products.extended(y.U, self.U1), products.extended(y.V, self.V1)
        return LowRank.moving(U, core, V, products)

    def assembled(self, y: LowRank, S: Array, S12: Array, S21: Array, S22: Array) -> LowRank:
        """Return ``[U, U1] [[S, S12], [S21, S22]] [V, V1]*``."""
        return self._wide(y, _blocks(S, S12, S21, S22))

    def galerkin(self, f: Evaluation, y: LowRank, FV: Array, FU: Array, wide: LowRank | None = None) -> Array:
        """Return ``[U, U1]* F [V, V1]`` from the known F V and F* U; only ``U1* F V1`` acts with F again.

        A low-rank F has its own short way where ``wide`` is given, the block in the augmented bases: products with
        them, of which later stages reuse most.
        """
        if wide is not None and getattr(f, "products", None) is not None:
            return as_dtype(f.galerkin(wide.U, wide.V), FV.dtype)
        corner = as_dtype(f.galerkin(self.U1, self.V1), FV.dtype)
        return _blocks(mH(y.U) @ FV, mH(FU) @ self.V1, mH(self.U1) @ FV, corner)

    def _wide(self, y: LowRank, core: Array) -> LowRank:
        return LowRank(joined((y.U, self.U1), 1), core, joined((y.V, self.V1), 1))


def _blocks(S11: Array, S12: Array, S21: Array, S22: Array) -> Array:
    return joined((joined((S11, S12), 1), joined((S21, S22), 1)), 0)


def augmented(y: Block, K: Array, L: Array) -> Augmented | None:
    """Return what the columns of K and L add to the bases of a low-rank block; None for a dense one."""
    return Augmented(complement(y.U, K), complement(y.V, L)) if isinstance(y, LowRank) else None
