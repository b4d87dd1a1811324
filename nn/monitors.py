"""Theorems watched while a network trains: what each step guarantees, beside what it did.

:class:`Monitored` wraps an integrator. At every so many steps it computes both sides of the descent inequality, the
part of the gradient outside the tangent space, the truncation error, and a bound of the error so far, and hands them to
a callback. Between these steps it costs nothing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from matode import bounds
from matode._array import Array, as_dtype, eps, mH, namespace
from matode.evaluations import Sum
from matode.flows import k_rhs, l_rhs
from matode.integrators.augmenting import augmented
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, Integrator, Step
from matode.truncation import Absolute
from nn.optim_phases import FrozenRank, Phases

__all__ = ["Monitored", "Observation"]


class Observation(NamedTuple):
    """What one step guaranteed and did. All norms are Frobenius norms over all blocks together.

    Attributes
    ----------
    step : int
        From 1.
    t, h : float
        Start and size of the step.
    loss, loss_wide, loss_after : float
        Of the batch: before the step, after it without truncation, and after it.
    descent_bound : float
        ``loss - h (1 - h L/2) ||U^* G V^||^2``, which ``loss_wide`` may not exceed; the augmented bases are computed
        anew, not taken from the integrator.
    descent_holds : bool
        Whether it does not, up to rounding of the loss.
    truncated_bound : float
        What ``loss_after`` may not exceed: the same, plus ``(||G^|| + L theta/2) theta`` for what was discarded.
    truncated_holds : bool
        Whether it does not.
    lipschitz : float
        L: as given, or ``||G^ - G|| / ||Y^ - Y||`` along the step without truncation. The inequalities are theorems for
        the Lipschitz constant of the gradient; with the estimate, which a curved loss may exceed further on, a
        violation is a hint.
    gradient, tangent, normal : float
        Norms of the gradient, of its tangent part and of the rest; their squares add up.
    truncation_error : float
        What was discarded.
    error_bound : float
        A-posteriori bound of the distance to the exact gradient flow of the same batches since the first step:
        ``E <- e^(h L) E + eps h + L B h^2/2 + theta``. Steps between two observations count with the last measured
        values, and their own truncation errors.
    """

    step: int
    t: float
    h: float
    loss: float
    loss_wide: float
    loss_after: float
    descent_bound: float
    descent_holds: bool
    truncated_bound: float
    truncated_holds: bool
    lipschitz: float
    gradient: float
    tangent: float
    normal: float
    truncation_error: float
    error_bound: float


class Descending(Protocol):
    """A gradient flow that knows its loss, such as :class:`nn.flow.GradientFlow`."""

    def __call__(self, t: float, Y: tuple[Block, ...], /) -> Sequence[Evaluation]:
        """Return minus the gradient."""

    def value_and_gradient(self, Y: Sequence[Any]) -> tuple[float, Sequence[Evaluation]]:
        """Return the loss and its gradient."""


@dataclass(frozen=True)
class Monitored:
    """An integrator whose steps are held against the theorems.

    The inequalities are those of augmented BUG with Euler substeps on a gradient flow. Around another method, or one
    with momentum, they say how it compares.

    Parameters
    ----------
    integrator : Integrator
        Its step without truncation is had by setting every ``truncation`` in it to ``Absolute(0)``, on the evaluation
        that the step itself made.
    record : callable
        Called with an :class:`Observation`; ``list.append`` keeps them.
    every : int
        Steps between two observations. One costs two or three forward and backward passes.
    lipschitz : float, optional
        Lipschitz constant of the gradient; estimated along each step where not given.

    Raises
    ------
    ValueError
        If ``every`` is below 1.
    TypeError
        From a step along a field that is no gradient flow.
    """

    integrator: Integrator
    record: Callable[[Observation], Any]
    every: int = 1
    lipschitz: float | None = None

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"Monitored: expected every >= 1, got {self.every}")

    def step(self, field: Descending, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Make the integrator's step, and observe it where its turn has come.

        ``memory`` holds the number of steps, the integrator's own, and the error bound with the values it goes on with.
        """
        if not hasattr(field, "value_and_gradient"):
            raise TypeError(
                f"Monitored needs a gradient flow, which knows its loss, got {type(field).__name__}: put it outside of "
                "momentum and other optimisers"
            )
        steps, inner, (E, L, B, normal) = (0, None, (0.0, 0.0, 0.0, 0.0)) if memory is None else memory
        shown = _Recorded(field)
        step = self.integrator.step(shown, t, h, Y, inner)
        theta = math.hypot(*step.info.get("truncation_error", (0.0,)))
        seen = None
        if steps % self.every == 0:
            F = field(t, Y) if shown.first is None else shown.first
            seen = self._observed(field, t, h, Y, step, F, inner, theta)
            L, B, normal = seen.lipschitz, seen.gradient, seen.normal
        growth = math.exp(min(abs(h) * L, 700.0))
        E = growth * E + bounds.augmented_bug_euler(L=L, B=B, eps=normal, h=abs(h)) + theta
        if seen is not None:
            self.record(seen._replace(step=steps + 1, error_bound=E))
        return dataclasses.replace(step, memory=(steps + 1, step.memory, (E, L, B, normal)))

    def _observed(
        self,
        field: Descending,
        t: float,
        h: float,
        Y: tuple[Block, ...],
        step: Step,
        F: Sequence[Evaluation],
        inner: Any,
        theta: float,
    ) -> Observation:
        loss, _ = field.value_and_gradient(Y)
        wide = _untruncated(self.integrator).step(_Recorded(field, F), t, h, Y, inner).Y
        loss_wide, G = field.value_and_gradient(wide)
        loss_after = loss_wide if theta == 0.0 else field.value_and_gradient(step.Y)[0]
        L = self.lipschitz
        if L is None:
            moved = math.hypot(*(_size(z - y) for y, z in zip(Y, wide, strict=True)))
            L = math.hypot(*(_size(Sum((f, g))) for f, g in zip(F, G, strict=True))) / moved if moved > 0.0 else 0.0
        normal = math.hypot(*(_normal(f, y) for f, y in zip(F, Y, strict=True)))
        tangent, projected = _projections(F, Y)
        decrease = bounds.descent(L=L, h=h, projected_gradient=projected)
        allowed = loss - bounds.truncated_descent(
            L=L,
            h=h,
            projected_gradient=projected,
            gradient_after=math.hypot(*(_size(g) for g in G)) if theta > 0.0 else 0.0,
            discarded=theta,
        )
        rounding = 64 * max(eps(y.U if isinstance(y, LowRank) else y) for y in Y) * abs(loss)
        return Observation(
            step=0,
            t=t,
            h=h,
            loss=loss,
            loss_wide=loss_wide,
            loss_after=loss_after,
            descent_bound=loss - decrease,
            descent_holds=loss_wide <= loss - decrease + rounding,
            truncated_bound=allowed,
            truncated_holds=loss_after <= allowed + rounding,
            lipschitz=L,
            gradient=math.hypot(tangent, normal),
            tangent=tangent,
            normal=normal,
            truncation_error=theta,
            error_bound=0.0,
        )


class _Recorded:
    """A field that keeps its first evaluation, or begins with one that is given."""

    def __init__(self, field: Descending, given: Sequence[Evaluation] | None = None) -> None:
        self.field, self.given = field, given
        self.first: Sequence[Evaluation] | None = None

    def __call__(self, t: float, Y: tuple[Block, ...]) -> Sequence[Evaluation]:
        F, self.given = self.given, None
        if F is None:
            F = self.field(t, Y)
        if self.first is None:
            self.first = F
        return F


def _untruncated(integrator: Any) -> Any:
    """Return the integrator with every truncation in it, however deeply wrapped, set to discard nothing."""
    if isinstance(integrator, FrozenRank):
        return _untruncated(integrator.integrator)
    if isinstance(integrator, Phases):
        return Phases(tuple((start, _untruncated(phase)) for start, phase in integrator.phases))
    if not dataclasses.is_dataclass(integrator):
        return integrator
    changes: dict[str, Any] = {}
    if hasattr(integrator, "truncation"):
        changes["truncation"] = Absolute(0.0)
    if hasattr(integrator, "integrator"):
        changes["integrator"] = _untruncated(integrator.integrator)
    return dataclasses.replace(integrator, **changes)  # type: ignore[type-var]


def _projections(F: Sequence[Evaluation], Y: Sequence[Block]) -> tuple[float, float]:
    """Return the norms of the tangent part of F and of its part in the augmented bases."""
    tangent, projected = [], []
    for f, y, FV, FU in zip(F, Y, k_rhs(F, Y), l_rhs(F, Y), strict=True):
        basis = augmented(y, FV, FU)
        if basis is None or not isinstance(y, LowRank):
            tangent.append(_norm(FV))
            projected.append(tangent[-1])
        else:
            tangent += [_norm(FV), _norm(FU - y.V @ (mH(FV) @ y.U))]
            projected.append(_norm(basis.galerkin(f, y, FV, FU)))
    return math.hypot(*tangent), math.hypot(*projected)


def _normal(f: Evaluation, y: Block) -> float:
    """Return ``||(I - U U*) F (I - V V*)||``; zero for a dense block."""
    if not isinstance(y, LowRank):
        return 0.0
    low = f.factors()
    if low is not None:
        return LowRank(_outside(low.U, y.U), low.S, _outside(low.V, y.V)).norm()
    dense = _outside(as_dtype(f.full(), y.dtype), y.U)
    return _norm(_outside(mH(dense), y.V))


def _outside(X: Array, U: Array) -> Array:
    return X - U @ (mH(U) @ X)


def _size(value: Any) -> float:
    """Return the norm of a block, or of an evaluation.

    An evaluation that has no low-rank form comes from a batch with more rows than the matrix: forming it needs less
    memory than the batch.
    """
    if hasattr(value, "factors"):
        low = value.factors()
        return _norm(value.full()) if low is None else low.norm()
    return _norm(value)


def _norm(X: Array) -> float:
    return float(namespace(X).linalg.vector_norm(X))
