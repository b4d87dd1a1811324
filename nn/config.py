"""The configuration of a run: plain values that name model, data, method and settings, and what they stand for."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from matode.integrators import INTEGRATORS, make_integrator
from matode.protocols import Integrator, Substep
from matode.substeps import euler, heun, midpoint, rk4
from matode.truncation import Relative
from nn import models
from nn.data import NAMES, Dataset, load
from nn.module import Module
from nn.monitors import Monitored, Observation
from nn.optim import Adam, HeavyBall
from nn.optim_phases import CoreOnly, FrozenRank, Phases, WeightDecay
from nn.schedules import Schedule, constant, cosine, steps

__all__ = ["INTEGRATOR_NAMES", "MODELS", "OPTIMIZERS", "SCHEDULES", "SUBSTEPS", "Config", "ConfigError"]


class ConfigError(ValueError):
    """A setting that makes no sense, or a name that nothing has."""


SUBSTEPS: Mapping[str, Substep] = {"euler": euler, "heun": heun, "midpoint": midpoint, "rk4": rk4}

SCHEDULES = ("constant", "cosine", "steps")

OPTIMIZERS = ("sgd", "adam")

INTEGRATOR_NAMES = (*INTEGRATORS, "dense")
"""The integrators of ``matode``, and ``dense``: gradient descent with dense weights."""


@dataclass(frozen=True)
class Config:
    """What a training is, resolved: everything that it depends on, but for the data and the version of the libraries.

    Attributes
    ----------
    model, data, integrator : str
        Names.
    tau : float
        Relative tolerance of the truncation, for methods that adapt the rank.
    rank : int, str or list
        Initial rank of the weights: one number for all layers but the last, cut to what fits each; ``"full"``; or a
        list with one entry per layer, ``"none"`` for a dense one.
    min_rank, max_rank : int or None
        Bounds of the adapted rank.
    epochs, batch_size, seed : int
    lr : float
    schedule : str
        ``"constant"``, ``"cosine"`` (to zero at the last epoch), or ``"steps"`` (times ``decay`` at each milestone).
    milestones : list of int
        Epochs after which ``"steps"`` decays.
    decay : float
    substep : str
        Solver of the small ODEs; ``"euler"`` is gradient descent.
    width, depth : int
        Features of a hidden layer and number of layers of the model ``"mlp"``.
    validation : int
        Training examples that are put aside.
    dtype, backend : str
    checkpoint_every : int
        Steps between checkpoints within an epoch; there is one after each epoch, too.
    optimizer : str
        ``"sgd"``, with ``momentum`` where that is positive, or ``"adam"``.
    momentum : float
        Of heavy ball, from 0 to below 1.
    weight_decay : float
        Rate of the decoupled decay, in the time of the gradient flow.
    freeze_rank_after, fine_tune_after : int or None
        Epochs after which the ranks stay, and after which only the cores and the dense blocks move.
    monitor_every : int
        Steps between two observations of what theory guarantees; 0 for none.
    """

    model: str = "lenet5"
    data: str = "mnist"
    integrator: str = "augmented-bug"
    tau: float = 0.1
    rank: int | str | list[int | str] = 32
    min_rank: int = 1
    max_rank: int | None = None
    epochs: int = 20
    lr: float = 0.05
    batch_size: int = 128
    schedule: str = "constant"
    milestones: list[int] = dataclasses.field(default_factory=list)
    decay: float = 0.2
    substep: str = "euler"
    seed: int = 0
    width: int = 500
    depth: int = 5
    validation: int = 0
    dtype: str = "float32"
    backend: str = "numpy"
    checkpoint_every: int = 500
    optimizer: str = "sgd"
    momentum: float = 0.0
    weight_decay: float = 0.0
    freeze_rank_after: int | None = None
    fine_tune_after: int | None = None
    monitor_every: int = 0

    def __post_init__(self) -> None:
        _known("model", self.model, MODELS)
        _known("data set", self.data, NAMES)
        _known("integrator", self.integrator, INTEGRATOR_NAMES)
        _known("schedule", self.schedule, SCHEDULES)
        _known("substep", self.substep, SUBSTEPS)
        _known("backend", self.backend, ("numpy", "cupy", "torch"))
        _known("optimizer", self.optimizer, OPTIMIZERS)
        _known("dtype", self.dtype, ("float32", "float64"))
        for name in ("epochs", "batch_size", "width", "depth", "checkpoint_every", "min_rank"):
            _demand(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        for name in ("seed", "validation", "weight_decay", "monitor_every"):
            _demand(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        for name in ("freeze_rank_after", "fine_tune_after"):
            epoch = getattr(self, name)
            _demand(epoch is None or epoch >= 1, name, "at least 1", epoch)
        _demand(0 <= self.momentum < 1, "momentum", "at least 0 and below 1", self.momentum)
        _demand(
            self.optimizer == "sgd" or self.momentum == 0,
            "momentum",
            "none with adam, which has its own",
            self.momentum,
        )
        for name in ("lr", "decay"):
            value = getattr(self, name)
            _demand(math.isfinite(value) and value > 0, name, "positive and finite", value)
        _demand(math.isfinite(self.tau) and self.tau >= 0, "tau", "finite and at least 0", self.tau)
        _demand(self.max_rank is None or self.max_rank >= self.min_rank, "max_rank", "at least min_rank", self.max_rank)
        _demand(self.schedule != "steps" or bool(self.milestones), "milestones", "some epochs", "none")
        for rank in self.rank if isinstance(self.rank, list) else [self.rank]:
            fits = rank in ("full", "none") if isinstance(rank, str) else rank >= 1
            _demand(fits, "rank", "at least 1, 'full' or 'none'", rank)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Config:
        """Return the configuration with these values, and the defaults for all others.

        Raises
        ------
        ConfigError
            If there is no such setting, or a value makes no sense.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            _known("setting", name, known)
        return cls(**values)

    def load_data(self) -> Dataset:
        """Return the data, with the validation part put aside."""
        examples = load(self.data)
        return examples.split(self.validation, seed=self.seed) if self.validation else examples

    def make_model(self, image: tuple[int, int, int], classes: int) -> Module:
        """Return the network for images (channels, height, width) and as many classes.

        Raises
        ------
        ConfigError
            If the model does not take such images, or a rank does not fit.
        """
        given = None if self.integrator == "dense" else self.rank
        rank = [_entry(r) for r in given] if isinstance(given, list) else _entry(given)
        try:
            return MODELS[self.model](self, image, classes, rank)
        except ValueError as error:
            hint = "; the model mlp takes images of any size" if "images" in str(error) else ""
            raise ConfigError(f"{self.model} on {self.data}: {error}{hint}") from error

    def make_integrator(self, per_epoch: int, record: Callable[[Observation], Any] | None = None) -> Integrator:
        """Return the training method.

        Parameters
        ----------
        per_epoch : int
            Steps of an epoch.
        record : callable, optional
            Gets the observations, where there are any.

        Raises
        ------
        ConfigError
            If the rank of a method that does not adapt it is to be frozen.
        """
        method: Any = make_integrator("full-rank" if self.integrator == "dense" else self.integrator)
        substep = SUBSTEPS[self.substep]
        method = dataclasses.replace(method, substep=substep)
        if hasattr(method, "truncation"):
            rule = Relative(min_rank=self.min_rank, max_rank=self.max_rank, tau=self.tau)
            method = dataclasses.replace(method, truncation=rule)
        phases: dict[int, Integrator] = {0: method}
        if self.freeze_rank_after is not None:
            if not hasattr(method, "truncation"):
                raise ConfigError(f"--freeze-rank-after: {self.integrator} keeps the ranks by itself")
            phases[self.freeze_rank_after] = FrozenRank(method)
        if self.fine_tune_after is not None:
            phases[self.fine_tune_after] = CoreOnly(substep)
        if len(phases) > 1:
            method = Phases.by_epoch(per_epoch, phases)
        if self.optimizer == "adam":
            method = Adam(method)
        elif self.momentum:
            method = HeavyBall(method, self.momentum)
        if self.weight_decay:
            method = WeightDecay(method, self.weight_decay)
        if self.monitor_every and record is not None:
            method = Monitored(method, record, every=self.monitor_every)
        return method

    def make_schedule(self) -> Schedule:
        """Return the schedule of the learning rate."""
        if self.schedule == "cosine":
            return cosine(self.epochs)
        if self.schedule == "steps":
            return steps(dict.fromkeys(self.milestones, self.decay))
        return constant


Image = tuple[int, int, int]


def _mlp(config: Config, image: Image, classes: int, rank: Any) -> Module:
    return models.mlp_of(config.width, config.depth, inputs=math.prod(image), outputs=classes, rank=rank)


def _lenet5(config: Config, image: Image, classes: int, rank: Any) -> Module:
    return models.lenet5(rank, image=image, classes=classes)


def _for_colour(make: Callable[..., Module]) -> Callable[[Config, Image, int, Any], Module]:
    def made(config: Config, image: Image, classes: int, rank: Any) -> Module:
        if image != (3, 32, 32):
            raise ValueError(f"it takes images of 3 x 32 x 32, got {' x '.join(map(str, image))}")
        return make(rank, classes=classes)

    return made


MODELS: Mapping[str, Callable[[Config, Image, int, Any], Module]] = {
    "mlp": _mlp,
    "lenet5": _lenet5,
    "alexnet": _for_colour(models.alexnet),
    "vgg16": _for_colour(models.vgg16),
    "resnet20": _for_colour(models.resnet20),
}
"""The models by name: each takes the configuration, the size of an image, the number of classes and the ranks."""


def _entry(rank: int | str | None) -> int | str | None:
    return None if rank == "none" else rank


def _known(what: str, name: Any, names: Iterable[str]) -> None:
    names = list(names)
    if name not in names:
        near = difflib.get_close_matches(str(name), names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(f"unknown {what} {name!r}: {hint}expected one of {', '.join(names)}")


def _demand(holds: bool, name: str, expected: str, got: Any) -> None:
    if not holds:
        raise ConfigError(f"--{name.replace('_', '-')}: expected {expected}, got {got}")
