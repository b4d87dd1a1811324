"""The small protocol in which problems, integrators and the loop meet.

A *state* is a tuple of blocks that move together. A block is a :class:`~matode.LowRank` or a dense array. One matrix
ODE is a state of one block; a network is one block per weight, with dense blocks for the biases.

What an implementer of :class:`Integrator` must keep to:

1. ``step`` is pure: it changes neither its arguments nor the integrator. What must persist from step to step travels
   in ``memory``: ``None`` before the first step, afterwards whatever the last step returned.
2. It returns the state at ``t + h``; ``h`` may be negative.
3. Bases come back orthonormal: ``U* U = I`` and ``V* V = I`` to rounding, for every low-rank block.
4. Nothing may depend on the signs or the gauge of the factors, or on S being diagonal.
5. All blocks move together, so that coupled blocks see each other.
6. The field is used only through the actions of its evaluations, never through an m x n array, except for the dense
   blocks of the state.
7. dtype, namespace and device of every block stay what they were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from matode._array import Array

if TYPE_CHECKING:
    from matode.lowrank import LowRank

__all__ = [
    "Array",
    "Block",
    "Evaluation",
    "Field",
    "Integrator",
    "NonFiniteError",
    "Rhs",
    "State",
    "Step",
    "Substep",
]

Block: TypeAlias = "LowRank | Array"


class State(tuple[Any, ...]):
    """The blocks of a state, in order. Any tuple with a :class:`~matode.LowRank` in it is taken for a state too.

    ``State`` is needed only where a plain tuple would be ambiguous, that is for a state of dense blocks alone.
    """

    __slots__ = ()


@runtime_checkable
class Evaluation(Protocol):
    """F(t, Y) of one m x n block, known by its actions. Evaluate once, act many times.

    ``full`` is used for dense blocks and in tests only. An evaluation whose products pass over much data may also have
    ``foreseeing(U1)``, which returns the same F, told that ``galerkin(U1, V)`` will follow the next ``left(U)``: one
    pass, for ``F* [U, U1]``, then serves both.
    """

    shape: tuple[int, int]

    def right(self, V: Array) -> Array:
        """Return ``F @ V``, (m, k), for ``V`` of shape (n, k)."""

    def left(self, U: Array) -> Array:
        """Return ``F* @ U``, (n, k), for ``U`` of shape (m, k)."""

    def galerkin(self, U: Array, V: Array) -> Array:
        """Return ``U* @ F @ V``, (k, l)."""

    def factors(self) -> LowRank | None:
        """Return F as a low-rank value where it is one, else None."""

    def full(self) -> Array:
        """Return F as a dense array."""


class Field(Protocol):
    """The right-hand side: one evaluation per block, all computed together."""

    def __call__(self, t: float, Y: tuple[Block, ...], /) -> Sequence[Evaluation]:
        """Evaluate F at (t, Y)."""


Rhs: TypeAlias = Callable[[float, tuple[Array, ...]], tuple[Array, ...]]
"""The right-hand side of a substep: ``f(t, Z) -> Z'`` on a tuple of plain arrays.

The flows hand over a :class:`matode.flows.Motion`, which can be asked for more than values: ``compressed(i, A, B)``
says how a linear part of the field moves the unknown of block i, for substeps that treat it on its own.
"""


class Substep(Protocol):
    """Solves one of the small ODEs of a step: ``Z' = f(t, Z)`` from t to t + h.

    ``first`` may carry ``f(t, Z)``, which is then not evaluated again.
    """

    def __call__(
        self, f: Rhs, t: float, h: float, Z: tuple[Array, ...], first: tuple[Array, ...] | None = None
    ) -> tuple[Array, ...]:
        """Return Z at t + h."""


@dataclass(frozen=True)
class Step:
    """What one step returns.

    Attributes
    ----------
    Y : tuple of blocks
        The state at ``t + h``.
    error : float or None
        An estimate of the local error before the truncation, in the Frobenius norm over all blocks, where the method
        has an embedded solution: that of the lower order ``error_order`` p, so that it falls like ``h^(p + 1)``.
    info : mapping
        What the step measured. Rank-adaptive methods report ``truncation_error``, the Frobenius norm of what the
        truncation discarded, one float per block.
    memory : object
        To be handed to the next step.
    """

    Y: tuple[Block, ...]
    error: float | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    memory: Any = None


class Integrator(Protocol):
    """A frozen configuration with a pure ``step``; the obligations are numbered in this module's docstring.

    Ours also say their ``order`` (with substeps of order 4 or more, on smooth problems), and ``error_order`` where a
    step estimates its error.
    """

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h."""


class NonFiniteError(FloatingPointError):
    """The field, or a step, gave NaN or inf.

    Attributes
    ----------
    block : int or None
        The block of the state where it was seen first, if one is to blame.
    """

    def __init__(self, message: str, block: int | None = None) -> None:
        super().__init__(message)
        self.block = block
