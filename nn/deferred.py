"""Gradients of dense weights and biases that are formed when somebody asks for them.

The K- and L-step of a low-rank network need none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matode._array import Array
from matode.evaluations import DenseEvaluation, Lazy

__all__ = ["Deferred", "formed"]


class Deferred(Lazy):
    """A dense array that is formed at most once.

    Parameters
    ----------
    form : callable
        Returns it.
    shape : tuple of int
    """

    __slots__ = ("_form", "_value", "shape")

    def __init__(self, form: Callable[[], Array], shape: tuple[int, ...]) -> None:
        self._form: Callable[[], Array] | None = form
        self._value: DenseEvaluation | None = None
        self.shape = shape  # type: ignore[assignment]

    @property
    def value(self) -> DenseEvaluation:
        """The array, and what acts with it."""
        if self._value is None:
            assert self._form is not None
            self._value, self._form = DenseEvaluation(self._form()), None
        return self._value

    def right(self, V: Array) -> Array:
        """Return ``F @ V``."""
        return self.value.right(V)

    def left(self, U: Array) -> Array:
        """Return ``F* @ U``."""
        return self.value.left(U)

    def full(self) -> Array:
        """Return the array."""
        return self.value.array

    def _scaled(self, c: Any) -> DenseEvaluation:
        return self.value._scaled(c)

    def _multiplied_left(self, A: Any) -> DenseEvaluation:
        return self.value._multiplied_left(A)

    def _multiplied_right(self, B: Any) -> DenseEvaluation:
        return self.value._multiplied_right(B)

    def _hadamard(self, other: Any) -> DenseEvaluation:
        return self.value._hadamard(other)


def formed(cotangent: Any) -> Any:
    """Return the array of a deferred cotangent, and anything else as it is."""
    return cotangent.full() if isinstance(cotangent, Deferred) else cotangent
