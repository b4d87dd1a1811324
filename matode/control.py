"""Step-size and rank control around any integrator.

The error of a step is estimated, not guessed from h: by the method itself where it has an embedded solution, else by
step doubling. A PI controller turns the estimate into the next step. Where a step is rejected because the field leaves
the bases, the answer is a wider start, not a smaller step: the normal component's share of the error shrinks only
like h.

Source: E. Hairer, S. P. Norsett and G. Wanner, Solving Ordinary Differential Equations, volume I, section II.4 (step
doubling, extrapolation), and volume II, section IV.2 (PI control).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from matode._array import eps, mH, namespace
from matode.flows import k_rhs, l_rhs, reusing
from matode.integrators.augmenting import Augmented
from matode.integrators.truncating import truncated
from matode.linalg import complement, qr
from matode.lowrank import LowRank
from matode.normal import normal_size, probed_size, widened
from matode.protocols import Block, Evaluation, Field, NonFiniteError, State, Step
from matode.state import core_norm, norm
from matode.truncation import Absolute, PerBlock, Rank, Truncation, check_rank

__all__ = ["Advance", "Control", "ControlError", "Doubling", "Tolerances"]

_SAFETY = 0.9
_SHRINK, _GROW = 0.2, 5.0
_SHARE = 0.1  # of the tolerance that the estimate of one step may use
_TRUNCATION_SHARE = 0.05  # of the tolerance that all truncations of the interval together may use
_MOST_REJECTIONS = 60
_MOST_WIDENINGS = 3  # in one step
_LEAST_EMBEDDED = 2.0  # below, doubling takes so much longer steps that its threefold cost is worth it


class ControlError(RuntimeError):
    """The tolerance cannot be reached within the limits; the message says which one binds."""


@dataclass(frozen=True)
class Tolerances:
    """What a solve is asked for: an error of about ``rtol ||Y|| + atol`` at any time.

    Parameters
    ----------
    rtol, atol : float
        Relative and absolute tolerance, in the Frobenius norm of all blocks together.
    min_step, max_step : float
        Bounds of the step's length.
    max_steps : int
        Attempts, accepted and rejected, after which the solve gives up.
    max_rank : int or None
        The cap of every low-rank block, for methods whose truncation follows from the tolerance.
    """

    rtol: float = 1e-3
    atol: float = 0.0
    min_step: float = 0.0
    max_step: float = math.inf
    max_steps: int = 10_000
    max_rank: int | None = None

    def __post_init__(self) -> None:
        for name in ("rtol", "atol", "min_step"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be a finite number >= 0, got {value!r}")
        if self.rtol == self.atol == 0:
            raise ValueError("one of rtol and atol must be positive: both are 0")
        if not self.max_step > self.min_step:
            raise ValueError(f"max_step must be greater than min_step = {self.min_step:g}, got {self.max_step!r}")
        if self.max_steps < 1:
            raise ValueError(f"max_steps must be at least 1, got {self.max_steps}")
        if self.max_rank is not None:
            check_rank("max_rank", self.max_rank)

    def at(self, size: float) -> float:
        """Return the error that is allowed where ``||Y|| = size``."""
        return self.rtol * size + self.atol


@dataclass(frozen=True)
class Doubling:
    """An integrator with an error estimate made of any other: one step against two halves, and extrapolation.

    Parameters
    ----------
    method : Integrator
        Of order p.
    order : float
        p. The estimate is ``||Y_2 - Y_1|| / (2^p - 1)``, that of the two half steps; what is returned is the
        extrapolated ``Y_2 + (Y_2 - Y_1) / (2^p - 1)``, of order p + 1 on smooth solutions.
    truncation : Truncation or None
        For the extrapolated value; None cuts it to the ranks of ``Y_2``.
    """

    method: Any
    order: float
    truncation: Truncation | None = None

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state from t to t + h; ``memory`` is the method's own, from the half steps."""
        whole = self.method.step(field, t, h, Y, memory)
        half = self.method.step(field, t, h / 2, Y, memory)
        two = self.method.step(field, t + h / 2, h / 2, half.Y, half.memory)
        weight = 1.0 / (2.0**self.order - 1.0)
        moved = [_extrapolated(y, z, weight) for y, z in zip(two.Y, whole.Y, strict=True)]
        ranks = (Rank(y.rank) for y in two.Y if isinstance(y, LowRank))
        Y1, info = truncated([y for y, _ in moved], self.truncation or PerBlock(*ranks))
        for step in (half, two):
            lost = step.info.get("truncation_error")
            if lost is not None:
                info["truncation_error"] = tuple(map(sum, zip(info["truncation_error"], lost, strict=True)))
        return Step(Y1, math.hypot(*(change for _, change in moved)), info, two.memory)


def _extrapolated(y: Block, z: Block, weight: float) -> tuple[Block, float]:
    """Return ``y + D``, with orthonormal bases, and ``||D||`` for ``D = weight (y - z)``."""
    if not isinstance(y, LowRank):
        D = weight * (y - z)
        return y + D, norm([D])
    xp, (p, q) = namespace(y.U), y.S.shape
    U, R = qr(xp.concat([y.U, z.U], axis=1))
    V, T = qr(xp.concat([y.V, z.V], axis=1))
    S = R[:, :p] @ y.S @ mH(T[:, :q])
    D = weight * (S - R[:, p:] @ z.S @ mH(T[:, q:]))
    return LowRank(U, S + D, V), norm([D])


class Advance(NamedTuple):
    """An accepted step: where it ends, what it gave, and what it took."""

    t: float
    step: Step
    rejected: int
    widened: int


@dataclass
class Control:
    """The controller of one solve: the proposed step and the last error ratio are what it remembers.

    Parameters
    ----------
    method : Integrator
        Of any kind. One that estimates its error (``Step.error``) by an embedded solution of order 2 or more
        (``error_order``) is used as it is, any other is doubled, with its ``order`` (1 where it has none).
    tolerances : Tolerances
    length : float
        Of the interval: what truncations may add up to is spread over it.
    own_truncation : bool
        Whether the method's truncation was chosen by the user. Else it follows from the tolerance.
    h : float or None
        First step; None lets the field decide.
    """

    method: Any
    tolerances: Tolerances
    length: float
    own_truncation: bool = False
    h: float | None = None
    previous: float = 1.0
    attempts: int = 0

    def advance(self, field: Field, t: float, Y: State, memory: Any, target: float) -> Advance:
        """Make one step of acceptable error towards ``target``, and not beyond it.

        Raises
        ------
        ControlError
            If the step would have to be smaller than allowed, or the attempts are used up.
        """
        wide = reusing(Y, field)
        start = _Start(field, t, wide)
        if self.h is None:
            self.h = self._first_step(start)
        rejected = widenings = 0
        failure: NonFiniteError | None = None
        while True:
            h, t_next = self._towards(target, t)
            self._check(t, t_next, target, rejected, failure)
            self.attempts += 1
            size = core_norm(Y)
            method, order = self._configured(wide, size, h)
            blind = self._adaptive and not isinstance(method, Doubling)  # both its solutions live in the same bases
            try:
                step = method.step(start, t, h, wide, memory)
                unseen = abs(h) * (normal_size(start(t, wide), wide) if blind else self._left_out(start, step))
                error = max(float(step.error), unseen) if blind else float(step.error)
            except NonFiniteError as reason:
                failure, error = reason, math.inf
            tolerance = _SHARE * self.tolerances.at(size if error == math.inf else max(size, core_norm(step.Y)))
            if math.isfinite(error) and unseen > tolerance:
                error = max(error, unseen)
            ratio = 1e-10 if error == 0.0 else max(error / tolerance, 1e-10) if tolerance > 0 else math.inf
            if ratio <= 1.0:
                self._propose(abs(h), ratio, order)
                return Advance(t_next, step, rejected, widenings)
            rejected += 1
            if math.isfinite(ratio) and self._adaptive and widenings < _MOST_WIDENINGS:
                missing = unseen if blind else abs(h) * normal_size(start(t, wide), wide)
                if missing > max(0.25 * error, tolerance):
                    wide = reusing(widened(start(t, wide), wide, 0.1 * tolerance / abs(h)), field)
                    start, widenings = _Start(field, t, wide), widenings + 1
                    continue
            self.h = abs(h) * (max(_SHRINK, _SAFETY * ratio ** (-1 / (order + 1))) if math.isfinite(ratio) else _SHRINK)

    def state(self) -> dict[str, float]:
        """Return what a restart needs."""
        proposed = self.length / 100 if self.h is None else self.h
        return {"proposed": proposed, "previous": self.previous, "length": self.length}

    @property
    def _adaptive(self) -> bool:
        return dataclasses.is_dataclass(self.method) and hasattr(self.method, "truncation")

    def _configured(self, Y: State, size: float, h: float) -> tuple[Any, float]:
        """Return the method with the truncation of this step and an error estimate, and the order of that."""
        method, rule = self.method, None
        if self._adaptive:
            theta = _TRUNCATION_SHARE * self.tolerances.at(size) * abs(h) / self.length
            fine = Absolute(max(theta, 4 * size * max(eps(y.S if isinstance(y, LowRank) else y) for y in Y)))
            rule = method.truncation if self.own_truncation else fine.capped(self.tolerances.max_rank)
        embedded = float(getattr(method, "error_order", 0.0))
        if embedded >= _LEAST_EMBEDDED:
            return (method if rule is None else dataclasses.replace(method, truncation=rule)), embedded
        if rule is not None:  # what the user's rule or the cap cuts from the result is no error of the step
            method = dataclasses.replace(method, truncation=fine)
        order = float(getattr(method, "order", 1.0))
        return Doubling(method, order, rule), order

    def _left_out(self, start: _Start, step: Step) -> float:
        """Return the size of the part of F at the start that is in neither the start's bases nor the result's.

        Half a step is as blind to it as a whole one: doubling does not see it. What the user's truncation or the
        cap cut from the result is none of it.
        """
        if not self._adaptive or self.own_truncation or step.info.get("capped", False):
            return 0.0
        sizes = [
            probed_size(f, Augmented(complement(y.U, z.U), complement(y.V, z.V)).value(y))
            for f, y, z in zip(start(start.t, start.Y), start.Y, step.Y, strict=True)
            if isinstance(y, LowRank)
        ]
        return math.hypot(*sizes)

    def _towards(self, target: float, t: float) -> tuple[float, float]:
        """Return the signed step and its end: at the target where that is near, and never just short of it."""
        assert self.h is not None
        rest = target - t
        h = min(max(self.h, self.tolerances.min_step), self.tolerances.max_step)
        if h >= abs(rest) * (1 - 1e-10):
            return rest, target
        if h > abs(rest) / 2:
            return rest / 2, t + rest / 2
        signed = math.copysign(h, rest)
        return signed, t + signed

    def _propose(self, h: float, ratio: float, order: float) -> None:
        """Set the next step by the PI rule. A step that was shortened for a target does not shorten the next one."""
        k = order + 1
        factor = _SAFETY * ratio ** (-0.7 / k) * self.previous ** (0.4 / k)
        proposed = h * min(max(factor, _SHRINK), _GROW)
        assert self.h is not None
        self.h = max(proposed, self.h) if h < self.h and factor >= 1.0 else proposed
        self.previous = ratio

    def _check(self, t: float, t_next: float, target: float, rejected: int, failure: NonFiniteError | None) -> None:
        assert self.h is not None
        limits, h = self.tolerances, self.h
        if self.attempts >= limits.max_steps:
            raise ControlError(
                f"the budget of {limits.max_steps} steps is used up (the step is down to {h:.1e}): allow more with "
                "max_steps, a larger rtol, a method of higher order, or matode.Exponential substeps where F is stiff"
            )
        resolved = 16 * 2.3e-16 * abs(t)
        smallest = max(limits.min_step, resolved)
        asked = f"rtol = {limits.rtol:g}" if limits.rtol > 0 else f"atol = {limits.atol:g}"
        if rejected > _MOST_REJECTIONS:
            why = f"{asked} was not met in {rejected} attempts"
        elif rejected and h < smallest:
            why = f"{asked} would need one below {smallest:.1e}"
        elif t_next != target and abs(t_next - t) < resolved:
            why = "the solution changes faster than time is resolved; does it become infinite here?"
        else:
            return
        self.h = None  # a restart begins with a step that it can make
        raise ControlError(f"the step size fell to {h:.1e}: {why if failure is None else failure}")

    def _first_step(self, start: _Start) -> float:
        """Return a step over which Y changes by about a hundredth of itself; a hundredth of the interval from zero."""
        size = core_norm(start.Y)
        speed = _tangent_size(start(start.t, start.Y), start.Y)
        if not math.isfinite(speed):
            raise NonFiniteError(f"F returned NaN or inf at t = {start.t:g}")
        if size == 0.0 or speed == 0.0:
            return self.length / 100
        return min(0.01 * size / speed, self.length / 10)


class _Start:
    """A field that remembers its value at the start of a step, which trial steps ask for again."""

    def __init__(self, field: Field, t: float, Y: State) -> None:
        self.field, self.t, self.Y = field, t, Y
        self.operators = getattr(field, "operators", None)
        self._value: Any = None

    def __call__(self, t: float, Y: tuple[Block, ...]) -> Any:
        if t != self.t or any(a is not b for a, b in zip(Y, self.Y, strict=True)):
            return self.field(t, Y)
        if self._value is None:
            self._value = self.field(t, Y)
        return self._value


def _tangent_size(F: list[Evaluation], Y: State) -> float:
    """Return the norm of the field, of low-rank blocks the part that the bases see."""
    parts = [*k_rhs(F, Y), *l_rhs(F, Y)]
    return norm(parts) / math.sqrt(2)
