"""Gradient flow of a network's loss, as a field that the integrators of ``matode`` move along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from matode._array import Array, device_of, namespace, zeros_like_shape
from matode.evaluations import DenseEvaluation
from matode.lowrank import LowRank
from matode.protocols import Evaluation, NonFiniteError
from nn.autodiff import Tape
from nn.deferred import Deferred
from nn.diagnosis import first_non_finite
from nn.factored import Outer
from nn.losses import Loss, cross_entropy
from nn.module import Module
from nn.passes import Pass

__all__ = ["GradientFlow"]


@dataclass
class GradientFlow:
    """The field ``Y' = -grad loss(Y)`` of one batch: all substeps of a step see the same data.

    One call runs one forward and one backward pass. The gradient of a low-rank weight is an
    :class:`~nn.factored.Outer`, that of low-rank filters a :class:`~nn.conv.FilterGradient`: both serve the K-, L- and
    S-step alike and form no m x n array.

    Parameters
    ----------
    model : Module
    x, targets : arrays
        The batch.
    loss : callable
        ``loss(outputs, targets)``, a scalar made of operations of :mod:`nn.ops`.
    buffers : sequence of arrays, optional
        Running statistics, for a network with batch normalisation: ``model.buffers(backend, dtype)`` at first, then
        ``updated`` of the flow before.
    seed : int or sequence of int, optional
        Fixes the dropout masks: all evaluations of one flow draw the same. Without buffers and seed, the network is
        evaluated as after training.

    Attributes
    ----------
    updated : tuple of arrays
        The running statistics after the first evaluation, the one at the start of the step: a step counts the batch
        once, however many evaluations it makes.
    losses : list of float
        The loss at every evaluation so far, in order: the first entry belongs to the start of the step, and the
        length counts the passes.
    """

    model: Module
    x: Array
    targets: Array
    loss: Loss = cross_entropy
    buffers: Sequence[Array] | None = None
    seed: Any = None
    updated: tuple[Array, ...] = field(default=(), init=False, repr=False)
    losses: list[float] = field(default_factory=list, init=False, repr=False)

    def __call__(self, t: float, Y: Sequence[Any]) -> tuple[Evaluation, ...]:
        """Return minus the gradient, one evaluation per block.

        Raises
        ------
        NonFiniteError
            If the loss is NaN or inf; the message names the first layer that is not finite.
        """
        value, evaluations, updated = self._differentiate(Y, -1.0)
        if not self.losses:
            self.updated = updated
        self.losses.append(value)
        if not -float("inf") < value < float("inf"):
            raise NonFiniteError(f"the loss is {value}: {first_non_finite(self.model, Y, self.x, self._pass())}")
        return evaluations

    def value_and_gradient(self, Y: Sequence[Any]) -> tuple[float, tuple[Evaluation, ...]]:
        """Return the loss and its gradient, one evaluation per block."""
        value, evaluations, _ = self._differentiate(Y, 1.0)
        return value, evaluations

    def _differentiate(self, Y: Sequence[Any], sign: float) -> tuple[float, tuple[Evaluation, ...], tuple[Array, ...]]:
        """Return the loss, ``sign`` times its gradient, and the running statistics after this pass.

        The sign enters as the seed of the backward pass, so it costs nothing.
        """
        tape = Tape()
        blocks = [tape.variable(block) for block in Y]
        context = self._pass()
        outputs = self.model.forward(blocks, self.x, *(() if context is None else (context,)))
        loss = self.loss(outputs, self.targets)
        xp = namespace(loss.value)
        seed = xp.asarray(sign, dtype=loss.value.dtype, device=device_of(loss.value))
        cotangents = tape.gradient(loss, blocks, seed, deferred=True)
        evaluations = tuple(_evaluation(block, c) for block, c in zip(Y, cotangents, strict=True))
        return float(loss.value), evaluations, () if context is None else tuple(context.updated)

    def _pass(self) -> Pass | None:
        if self.buffers is None and self.seed is None:
            return None
        return Pass(self.buffers or (), train=True, seed=0 if self.seed is None else self.seed)


def _evaluation(block: Any, cotangent: Any) -> Evaluation:
    """Return a cotangent as an evaluation; zero where the loss does not depend on the block."""
    if isinstance(block, LowRank):
        if cotangent is None:
            m, n = block.shape
            return Outer(zeros_like_shape((0, m), block.U), zeros_like_shape((0, n), block.U))
        return cotangent
    if isinstance(cotangent, Deferred):
        return cotangent
    return DenseEvaluation(zeros_like_shape(block.shape, block) if cotangent is None else cotangent)
