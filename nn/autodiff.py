"""Reverse-mode differentiation by hand: values on a tape, and one table of rules.

An operation is one entry of :data:`RULES`: how to compute it, and how a cotangent of its output becomes cotangents of
its inputs. The engine below is complete: a new operation adds a rule and changes nothing here. Cotangents only have
to know ``+``, so a rule may answer with an array or, for a low-rank weight, with an ``Evaluation`` that never forms
the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from matode._array import Array, as_dtype
from nn.deferred import formed

__all__ = ["RULES", "Rule", "Tape", "Var", "apply", "define", "masked", "value_of"]


class Rule(NamedTuple):
    """How one operation is computed and differentiated.

    Attributes
    ----------
    forward : callable
        ``forward(*values, **options) -> (value, saved)``, where ``saved`` is whatever the second half needs.
    vjp : callable
        ``vjp(cotangent, saved, wanted) -> cotangents``, one per input; an input that is not ``wanted`` may get None,
        one whose cotangent may never be needed a :class:`~nn.deferred.Deferred`.
    """

    forward: Callable[..., tuple[Any, Any]]
    vjp: Callable[[Any, Any, tuple[bool, ...]], tuple[Any, ...]]


RULES: dict[str, Rule] = {}
"""The table of all operations, by name."""


def define(name: str, forward: Callable[..., tuple[Any, Any]], vjp: Callable[..., tuple[Any, ...]]) -> None:
    """Enter the operation ``name`` in the table.

    Raises
    ------
    ValueError
        If the name is taken.
    """
    if name in RULES:
        raise ValueError(f"the operation {name!r} is already defined")
    RULES[name] = Rule(forward, vjp)


class Var:
    """A value that a tape follows; made by :meth:`Tape.variable` and by every operation on a ``Var``."""

    __slots__ = ("index", "tape", "value")

    def __init__(self, tape: Tape, index: int, value: Any) -> None:
        self.tape = tape
        self.index = index
        self.value = value

    def __repr__(self) -> str:
        return f"Var({self.value!r})"


class _Entry(NamedTuple):
    """One value on a tape: the operation that made it (None for a variable), its inputs and what was saved."""

    op: str | None
    inputs: tuple[int | None, ...]
    saved: Any


class Tape:
    """The record of one forward pass, in the order of computation."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def variable(self, value: Any) -> Var:
        """Return ``value`` as a variable that can be differentiated for."""
        return self._append(_Entry(None, (), None), value)

    def record(self, op: str, inputs: Sequence[Any], value: Any, saved: Any) -> Var:
        """Note that ``op`` made ``value`` from ``inputs``; an input that is no ``Var`` is a constant.

        Raises
        ------
        ValueError
            If an input belongs to another tape.
        """
        if any(isinstance(x, Var) and x.tape is not self for x in inputs):
            raise ValueError(f"{op}: the inputs are recorded on different tapes")
        indices = tuple(x.index if isinstance(x, Var) else None for x in inputs)
        return self._append(_Entry(op, indices, saved), value)

    def gradient(self, output: Var, variables: Sequence[Var], seed: Any, *, deferred: bool = False) -> list[Any]:
        """Run backwards once and return the cotangent of each of ``variables``.

        Parameters
        ----------
        output : Var
            What is differentiated, usually a scalar loss.
        variables : sequence of Var
            What it is differentiated for.
        seed : array
            The cotangent of ``output``, of its shape. For a scalar loss, 1 gives the gradient and -1 its negative.
        deferred : bool
            Whether cotangents may be :class:`~nn.deferred.Deferred`: formed when somebody asks for them.

        Returns
        -------
        list
            One cotangent per variable; None where ``output`` does not depend on it.
        """
        cotangents: dict[int, Any] = {output.index: seed}
        keep = {variable.index for variable in variables}
        for index in range(output.index, -1, -1):
            op, inputs, saved = self._entries[index]
            if op is None or index not in cotangents:
                continue
            cotangent = cotangents[index] if index in keep else cotangents.pop(index)
            wanted = tuple(i is not None for i in inputs)
            for i, part in zip(inputs, RULES[op].vjp(formed(cotangent), saved, wanted), strict=True):
                if i is not None:
                    cotangents[i] = formed(cotangents[i]) + formed(part) if i in cotangents else part
        found = [cotangents.get(variable.index) for variable in variables]
        return found if deferred else [formed(c) for c in found]

    def _append(self, entry: _Entry, value: Any) -> Var:
        self._entries.append(entry)
        return Var(self, len(self._entries) - 1, value)


def value_of(x: Any) -> Any:
    """Return the value of a ``Var``, and anything else as it is."""
    return x.value if isinstance(x, Var) else x


def apply(op: str, *inputs: Any, **options: Any) -> Any:
    """Compute the operation ``op``; record it where an input is a ``Var``, else save nothing.

    Parameters
    ----------
    op : str
        A name in :data:`RULES`.
    *inputs : Var or array or LowRank
        What the operation is differentiated for; inputs that are no ``Var`` are constants.
    **options
        Passed to the rule's forward half.

    Returns
    -------
    Var or array
        A ``Var`` if any input is one, else the bare value.
    """
    value, saved = RULES[op].forward(*map(value_of, inputs), **options)
    tape = next((x.tape for x in inputs if isinstance(x, Var)), None)
    return value if tape is None else tape.record(op, inputs, value, saved)


def masked(x: Array, mask: Array) -> Array:
    """Return ``x`` where the mask is true, else zero: a product, because `where` branches and is ten times slower.

    x may have one entry where the mask has many. The mask becomes numbers first, and then the result: that saves a
    conversion in small pieces, and one new array.
    """
    numbers = as_dtype(mask, x.dtype)
    numbers *= x
    return numbers
