"""From a user's function F(t, Y) to a field: one evaluation per block, checked once per call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from matode._array import is_complex
from matode.evaluations import DenseEvaluation, Lazy, Operator, Sum, as_evaluation, is_evaluation
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, Field, State
from matode.reuse import Operators

__all__ = ["Counted", "DenseEvaluation", "Operator", "Sum", "UserField"]


@dataclass(frozen=True)
class UserField:
    """A field made of a plain function.

    Parameters
    ----------
    function : callable
        ``F(t, Y)``. For one matrix, Y is a :class:`~matode.LowRank` and the value is a LowRank, a lazy sum, a dense or
        sparse m x n matrix, a ``LinearOperator``, or any object with the actions of an
        :class:`~matode.protocols.Evaluation`. For a system, Y is the tuple of blocks and the value a sequence of such
        matrices, one per block.
    single : bool
        Whether the function takes and gives one matrix instead of a tuple.

    Raises
    ------
    TypeError
        If a value is no matrix, or complex where the state is real.
    ValueError
        If the number of values or a shape is not that of the state.
    """

    function: Callable[[float, Any], Any]
    single: bool = True
    operators: Operators = dataclass_field(default_factory=Operators, init=False, repr=False, compare=False)

    def __call__(self, t: float, Y: tuple[Block, ...]) -> Sequence[Evaluation]:
        """Evaluate F at (t, Y) and return one evaluation per block."""
        if self.single:
            value = self.function(t, Y[0])
            if not isinstance(value, Lazy) and isinstance(value, tuple | list) and len(value) == 1:
                value = value[0]
            return (_evaluation(value, Y[0], 0),)
        else:
            values = self.function(t, State(Y))
            if not isinstance(values, tuple | list) or len(values) != len(Y):
                given = f"{len(values)} values" if isinstance(values, tuple | list) else type(values).__name__
                raise ValueError(f"F must return one matrix per block: expected {len(Y)}, got {given}")
        return tuple([_evaluation(value, block, i) for i, (value, block) in enumerate(zip(values, Y, strict=True))])


class Counted:
    """A field that counts its evaluations in ``nfev``."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.operators = getattr(field, "operators", None)
        self.nfev = 0

    def __call__(self, t: float, Y: tuple[Block, ...]) -> Sequence[Evaluation]:
        """Count, and evaluate the field."""
        self.nfev += 1
        return self.field(t, Y)


def _evaluation(value: Any, block: Block, i: int) -> Evaluation:
    if isinstance(value, LowRank) and isinstance(block, LowRank) and value.shape == block.shape:
        head, own = value.head, block.head
        if type(head) is type(own) and head.dtype == own.dtype:
            return value
    shape = tuple(block.shape)
    where = f"F(t, Y) of block {i}"
    evaluation = as_evaluation(value, None)
    if evaluation is None:
        raise TypeError(
            f"{where} must be a LowRank, a sum of them, or a dense or sparse {' x '.join(map(str, shape))} matrix, got "
            f"{type(value).__name__}"
        )
    if tuple(evaluation.shape) != shape:
        raise ValueError(f"{where} must have the shape {shape} of its block, got {tuple(evaluation.shape)}")
    if not _is_complex_block(block) and _is_complex_value(value):
        raise TypeError(f"{where} is complex but the block is real: give Y0 a complex dtype")
    return evaluation


def _is_complex_block(block: Block) -> bool:
    return is_complex(block.U if isinstance(block, LowRank) else block)


def _is_complex_value(value: Any) -> bool:
    if isinstance(value, Sum):
        return any(_is_complex_value(term) for term in value.terms)
    if isinstance(value, DenseEvaluation):
        value = value.sample
    if isinstance(value, Operator):
        value = value.A
    if isinstance(value, LowRank):
        return is_complex(value.head)
    if is_evaluation(value):
        return False  # somebody else's evaluation: its actions are cast to the block's dtype
    return "complex" in str(getattr(value, "dtype", ""))
