"""Training: gradient flow of minibatch losses, one step of an integrator per batch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from matode._array import Array, Backend, default_rng, get_backend, host
from matode.protocols import Integrator, NonFiniteError, State
from nn.flow import GradientFlow
from nn.losses import Loss, correct, cross_entropy
from nn.module import Module
from nn.parameters import Parameters, count_parameters, ranks
from nn.schedules import Schedule, constant

__all__ = ["Epoch", "Examples", "TrainingResult", "accuracy", "train"]


class Examples(Protocol):
    """Labelled examples on the host, split into a training and a test part."""

    @property
    def x_train(self) -> host.ndarray:
        """Training inputs, examples first."""
        ...

    @property
    def y_train(self) -> host.ndarray:
        """Their targets."""
        ...

    @property
    def x_test(self) -> host.ndarray:
        """Test inputs."""
        ...

    @property
    def y_test(self) -> host.ndarray:
        """Their classes."""
        ...


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training data gave.

    Attributes
    ----------
    epoch : int
        From 1.
    loss : float
        Mean over the training examples, each batch taken before its step.
    test_accuracy : float
        Share of the test examples classified correctly after the pass.
    ranks : tuple of int
        One per low-rank weight.
    parameters : Parameters
        Numbers in evaluation, in training, and of the dense network.
    compression : float
        1 - evaluation / dense parameters.
    learning_rate : float
        Of the last step.
    seconds : float
        Wall time of the pass, without the test.
    """

    epoch: int
    loss: float
    test_accuracy: float
    ranks: tuple[int, ...]
    parameters: Parameters
    compression: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class TrainingResult:
    """A trained network.

    Attributes
    ----------
    Y : State
        The weights.
    history : tuple of Epoch
        One record per epoch.
    memory : object
        What the integrator keeps from step to step; hand it to :func:`train` to go on.
    """

    Y: State
    history: tuple[Epoch, ...]
    memory: Any = None


def train(
    model: Module,
    data: Examples,
    integrator: Integrator,
    *,
    epochs: int,
    lr: float,
    batch_size: int,
    seed: int = 0,
    schedule: Schedule | None = None,
    loss: Loss = cross_entropy,
    dtype: str = "float32",
    backend: str | Backend = "numpy",
    start: TrainingResult | Sequence[Any] | None = None,
    callback: Callable[[Epoch, State], Any] | None = None,
    progress: Callable[[Sequence[slice]], Iterable[slice]] | None = None,
) -> TrainingResult:
    """Train a network: each batch is one step of the integrator, of size h = learning rate.

    Parameters
    ----------
    model : Module
    data : Examples
        With ``x_train, y_train, x_test, y_test`` on the host, such as :func:`nn.data.load` returns.
    integrator : Integrator
        Any method of ``matode``. It moves dense blocks by its substep: with Euler substeps that is gradient descent.
    epochs, batch_size : int
        The last batch of an epoch may be smaller.
    lr : float
        Step size in the time of the gradient flow.
    seed : int
        Fixes the initial weights and the order of the data, on every backend alike.
    schedule : callable, optional
        From the epoch (a real number, from 0) to a factor of ``lr``; see :mod:`nn.schedules`.
    loss : callable
        ``loss(outputs, targets)``.
    dtype : str
        Of weights and inputs.
    backend : str or Backend
        Where to compute: "numpy", "cupy" or "torch".
    start : TrainingResult or sequence of blocks, optional
        Where to go on from, instead of drawing new weights. A result brings the integrator's memory, and its epochs
        count on.
    callback : callable, optional
        Called as ``callback(epoch, Y)`` after each epoch; training stops when it returns something true.
    progress : callable, optional
        Wraps the batches of an epoch, as ``tqdm`` does.

    Returns
    -------
    TrainingResult

    Raises
    ------
    ValueError
        If an argument makes no sense.
    NonFiniteError
        If the loss becomes NaN or inf; the message names epoch and step.
    """
    _check(epochs, lr, batch_size, data)
    where = get_backend(backend) if isinstance(backend, str) else backend
    result = _start(model, start, seed, where, dtype)
    Y, memory = result.Y, result.memory
    real = getattr(where.xp, dtype)
    x_train, x_test = (where.xp.asarray(x, dtype=real, device=where.device) for x in (data.x_train, data.x_test))
    y_train, y_test = (where.xp.asarray(y, device=where.device) for y in (data.y_train, data.y_test))
    factor = constant if schedule is None else schedule
    history: list[Epoch] = []
    examples = int(x_train.shape[0])
    batches = _batches(examples, batch_size)
    t = 0.0

    done = len(result.history)
    for epoch in range(done, done + epochs):
        began = time.perf_counter()
        order = where.xp.asarray(default_rng((seed, 1, epoch)).permutation(examples), device=where.device)
        total = 0.0
        for k, part in enumerate(batches if progress is None else progress(batches)):
            rows = order[part]
            x, targets = where.xp.take(x_train, rows, axis=0), where.xp.take(y_train, rows, axis=0)
            flow = GradientFlow(model, x, targets, loss)
            h = lr * factor(epoch + k / len(batches))
            try:
                step = integrator.step(flow, t, h, Y, memory)
            except NonFiniteError as error:
                raise NonFiniteError(
                    f"training stopped in epoch {epoch + 1}, step {k + 1} of {len(batches)}: {error}; a smaller "
                    f"learning rate than {h:g} may help"
                ) from error
            Y, memory = State(step.Y), step.memory
            total += flow.losses[0] * int(rows.shape[0])
            t += h
        seconds = time.perf_counter() - began
        parameters = count_parameters(Y)
        record = Epoch(
            epoch=epoch + 1,
            loss=total / examples,
            test_accuracy=accuracy(model, Y, x_test, y_test),
            ranks=ranks(Y),
            parameters=parameters,
            compression=parameters.compression,
            learning_rate=h,
            seconds=seconds,
        )
        history.append(record)
        if callback is not None and callback(record, Y):
            break
    return TrainingResult(Y, (*result.history, *history), memory)


def accuracy(model: Module, Y: Sequence[Any], x: Array, labels: Array, *, batch_size: int = 1000) -> float:
    """Return the share of examples whose largest output is at their label; nothing is recorded for gradients."""
    parts = _batches(int(x.shape[0]), batch_size)
    return sum(correct(model.forward(Y, x[part, ...]), labels[part]) for part in parts) / int(x.shape[0])


def _batches(examples: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, examples)) for start in range(0, examples, size)]


def _start(
    model: Module, start: TrainingResult | Sequence[Any] | None, seed: int, backend: Backend, dtype: str
) -> TrainingResult:
    """Return what to go on from: given weights, or new ones."""
    if isinstance(start, TrainingResult):
        return start
    if start is not None:
        return TrainingResult(State(start), ())
    return TrainingResult(model.init(default_rng((seed, 0)), backend, dtype), ())


def _check(epochs: int, lr: float, batch_size: int, data: Examples) -> None:
    if epochs < 0 or batch_size < 1:
        raise ValueError(f"train: expected epochs >= 0 and batch_size >= 1, got {epochs} and {batch_size}")
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"train: the learning rate must be positive and finite, got {lr}")
    for name, x, y in (("training", data.x_train, data.y_train), ("test", data.x_test, data.y_test)):
        if len(x) != len(y) or len(x) == 0:
            raise ValueError(f"train: the {name} data has {len(x)} inputs and {len(y)} labels")
