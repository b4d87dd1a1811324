"""Training: gradient flow of minibatch losses, one step of an integrator per batch.

:func:`training` is the loop, one result per step; each result is all that is needed to go on from it, bit for bit.
:func:`train` runs it to its end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from matode._array import Array, Backend, default_rng, get_backend, host
from matode.protocols import Integrator, NonFiniteError, State
from nn.activations import Dropout
from nn.diagnosis import layer_of
from nn.flow import GradientFlow
from nn.losses import Loss, correct, cross_entropy
from nn.module import Module, initial_buffers, leaves
from nn.parameters import Parameters, count_parameters, ranks
from nn.passes import Pass
from nn.schedules import Schedule, constant

__all__ = ["Epoch", "Examples", "TrainingResult", "accuracy", "steps_per_epoch", "train", "training"]


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
        Wall time of the pass, without the test; extrapolated from its rest where training went on in the middle of it.
    validation_accuracy : float or None
        As ``test_accuracy``, where the data has a validation part.
    """

    epoch: int
    loss: float
    test_accuracy: float
    ranks: tuple[int, ...]
    parameters: Parameters
    compression: float
    learning_rate: float
    seconds: float
    validation_accuracy: float | None = None


@dataclass(frozen=True)
class TrainingResult:
    """A network in training, or trained: all that is needed to go on.

    Attributes
    ----------
    Y : State
        The weights.
    history : tuple of Epoch
        One record per finished epoch.
    memory : object
        What the integrator keeps from step to step.
    t : float
        Time of the gradient flow, the sum of all step sizes.
    step : int
        Steps made in the epoch that is not finished yet.
    loss_sum : float
        Sum of the losses of the examples seen in that epoch.
    buffers : tuple of arrays
        Running statistics of batch normalisation.
    """

    Y: State
    history: tuple[Epoch, ...]
    memory: Any = None
    t: float = 0.0
    step: int = 0
    loss_sum: float = 0.0
    buffers: tuple[Array, ...] = ()


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
        count on: ``epochs`` more are made, the one that it is in the middle of being the first.
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
        If the loss becomes NaN or inf; the message names epoch, step and layer.
    """
    done = len(start.history) if isinstance(start, TrainingResult) else 0
    result = None
    for result in training(
        model,
        data,
        integrator,
        epochs=done + epochs,
        lr=lr,
        batch_size=batch_size,
        seed=seed,
        schedule=schedule,
        loss=loss,
        dtype=dtype,
        backend=backend,
        start=start,
        progress=progress,
    ):
        finished = len(result.history) > done
        done = len(result.history)
        if finished and callback is not None and callback(result.history[-1], result.Y):
            break
    assert result is not None
    return result


def training(
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
    progress: Callable[[Sequence[slice]], Iterable[slice]] | None = None,
) -> Iterator[TrainingResult]:
    """Train a network step by step: yield the start, then the result of every step.

    The result of the last step of an epoch has the record of the epoch, and none of its steps. Whatever is yielded can
    be stored (:mod:`nn.checkpoint`) and given back as ``start``: the numbers that follow are the same to the last bit.

    Parameters
    ----------
    epochs : int
        When to stop: the epochs that ``start`` has behind it count.
    model, data, integrator, lr, batch_size, seed, schedule, loss, dtype, backend, start, progress
        As in :func:`train`.

    Raises
    ------
    ValueError, NonFiniteError
        As :func:`train` does.
    """
    _check(epochs, lr, batch_size, data)
    where = get_backend(backend) if isinstance(backend, str) else backend
    result = _start(model, start, seed, where, dtype)
    yield result
    real = getattr(where.xp, dtype)

    def sent(x: host.ndarray, y: host.ndarray) -> tuple[Array, Array]:
        return where.xp.asarray(x, dtype=real, device=where.device), where.xp.asarray(y, device=where.device)

    x_train, y_train = sent(data.x_train, data.y_train)
    test = sent(data.x_test, data.y_test)
    aside: Any = data  # a validation part may be there
    held = sent(aside.x_validation, aside.y_validation) if len(getattr(data, "x_validation", ())) else None
    factor = constant if schedule is None else schedule
    drops = any(isinstance(layer, Dropout) for layer in leaves(model))
    examples = int(x_train.shape[0])
    batches = _batches(examples, batch_size)
    seconds = 0.0

    for epoch in range(len(result.history), epochs):
        order = where.xp.asarray(default_rng((seed, 1, epoch)).permutation(examples), device=where.device)
        left = batches[result.step :]
        for k, part in enumerate(left if progress is None else progress(left), result.step):
            began = time.perf_counter()
            rows = order[part]
            x, targets = where.xp.take(x_train, rows, axis=0), where.xp.take(y_train, rows, axis=0)
            masks = (seed, 3, epoch, k) if drops else None
            flow = GradientFlow(model, x, targets, loss, buffers=result.buffers or None, seed=masks)
            h = lr * factor(epoch + k / len(batches))
            try:
                step = integrator.step(flow, result.t, h, result.Y, result.memory)
            except NonFiniteError as error:
                layer = layer_of(model, error.block)
                owner = f" (a weight of {layer})" if layer else ""
                raise NonFiniteError(
                    f"training stopped in epoch {epoch + 1}, step {k + 1} of {len(batches)}: {error}{owner}; a smaller "
                    f"learning rate than {h:g} may help",
                    error.block,
                ) from error
            total = result.loss_sum + flow.losses[0] * int(rows.shape[0])
            t, buffers = result.t + h, flow.updated or result.buffers
            result = TrainingResult(State(step.Y), result.history, step.memory, t, k + 1, total, buffers)
            seconds += time.perf_counter() - began
            if k + 1 == len(batches):
                seconds *= len(batches) / len(left)
                parameters = count_parameters(result.Y)
                record = Epoch(
                    epoch=epoch + 1,
                    loss=total / examples,
                    test_accuracy=accuracy(model, result.Y, *test, buffers=buffers),
                    ranks=ranks(result.Y),
                    parameters=parameters,
                    compression=parameters.compression,
                    learning_rate=h,
                    seconds=seconds,
                    validation_accuracy=held and accuracy(model, result.Y, *held, buffers=buffers),
                )
                result = replace(result, history=(*result.history, record), step=0, loss_sum=0.0)
                seconds = 0.0
            yield result


def steps_per_epoch(data: Examples, batch_size: int) -> int:
    """Return how many batches one pass over the training data has."""
    return -(-len(data.x_train) // batch_size)


def accuracy(
    model: Module,
    Y: Sequence[Any],
    x: Array,
    labels: Array,
    *,
    batch_size: int = 250,
    buffers: Sequence[Array] = (),
) -> float:
    """Return the share of examples whose largest output is at their label; nothing is recorded for gradients.

    A network with batch normalisation needs its running statistics as ``buffers``, see :class:`TrainingResult`.
    """
    parts = _batches(int(x.shape[0]), batch_size)

    def outputs(part: slice) -> Any:
        return model.forward(Y, x[part, ...], *([Pass(buffers)] if buffers else []))

    return sum(correct(outputs(part), labels[part]) for part in parts) / int(x.shape[0])


def _batches(examples: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, examples)) for start in range(0, examples, size)]


def _start(
    model: Module, start: TrainingResult | Sequence[Any] | None, seed: int, backend: Backend, dtype: str
) -> TrainingResult:
    """Return what to go on from: given weights, or new ones."""
    if not isinstance(start, TrainingResult):
        Y = model.init(default_rng((seed, 0)), backend, dtype) if start is None else State(start)
        start = TrainingResult(Y, ())
    return start if start.buffers else replace(start, buffers=initial_buffers(model, backend, dtype))


def _check(epochs: int, lr: float, batch_size: int, data: Examples) -> None:
    if epochs < 0 or batch_size < 1:
        raise ValueError(f"train: expected epochs >= 0 and batch_size >= 1, got {epochs} and {batch_size}")
    if not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"train: the learning rate must be positive and finite, got {lr}")
    for name, x, y in (("training", data.x_train, data.y_train), ("test", data.x_test, data.y_test)):
        if len(x) != len(y) or len(x) == 0:
            raise ValueError(f"train: the {name} data has {len(x)} inputs and {len(y)} labels")
