"""Layers that act on every entry, without weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nn import ops
from nn.autodiff import value_of
from nn.module import Stateless
from nn.passes import Pass

__all__ = ["GELU", "Dropout", "ReLU", "Sigmoid", "Tanh"]


@dataclass(frozen=True)
class ReLU(Stateless):
    """The positive part."""

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return max(x, 0)."""
        return ops.relu(x)


@dataclass(frozen=True)
class Tanh(Stateless):
    """The hyperbolic tangent."""

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return tanh(x)."""
        return ops.tanh(x)


@dataclass(frozen=True)
class Sigmoid(Stateless):
    """The logistic function."""

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return 1 / (1 + exp(-x))."""
        return ops.sigmoid(x)


@dataclass(frozen=True)
class GELU(Stateless):
    """The Gaussian error linear unit, in its form with a hyperbolic tangent."""

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return x times the normal distribution function at x, nearly."""
        return ops.gelu(x)


@dataclass(frozen=True)
class Dropout(Stateless):
    """Zeros at random places while training, and nothing else.

    Parameters
    ----------
    rate : float
        Share of the entries that become zero; the others grow by 1 / (1 - rate).

    Raises
    ------
    ValueError
        Unless 0 <= rate < 1.

    References
    ----------
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout", JMLR 15 (2014).
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ValueError(f"Dropout: the rate must be at least 0 and below 1, got {self.rate}")

    def forward(self, blocks: Sequence[Any], x: Any, context: Pass | None = None) -> Any:
        """Return ``x`` with the mask of this place in the pass; ``x`` itself outside of training."""
        if context is None or not context.train or self.rate == 0:
            return x
        value = value_of(x)
        return ops.multiply(x, context.mask(value.shape, 1.0 - self.rate, value))
