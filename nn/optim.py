"""Momentum and adaptive step sizes, around any integrator, consistent when the bases of a weight change.

Each class wraps an integrator: it shows it a field whose value is not minus the gradient but the direction that the
optimiser makes of it, and keeps its own state in ``memory``. What is remembered lives in the m x n space of the weight,
never in the coordinates of its factors: a direction is a low-rank matrix that is tangent to the weight, and is
projected on the tangent space of the new weight after the step; scales belong to rows and columns. Hence nothing
depends on the gauge, and nothing is stale after a change of basis. Dense blocks get the textbook method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matode._array import Array, as_dtype, is_complex, namespace
from matode.evaluations import DenseEvaluation
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, Field, Integrator, State, Step
from nn.tangent import Direction, Remembered, tangent

__all__ = ["Adam", "HeavyBall"]


@dataclass(frozen=True)
class HeavyBall:
    """Heavy-ball momentum: the integrator moves along ``M <- beta M - grad`` instead of minus the gradient.

    A dense block moves as by stochastic gradient descent with momentum ``beta``. The momentum of a low-rank weight is a
    tangent matrix of width 2r, transported to the new weight by projection.

    Parameters
    ----------
    integrator : Integrator
        Any method; the momentum of a step is the same in all its substeps.
    beta : float
        From 0 (no momentum) to below 1. The step is ``1 / (1 - beta)`` times as large in the long run.

    Raises
    ------
    ValueError
        If beta is outside [0, 1).

    References
    ----------
    Polyak, "Some methods of speeding up the convergence of iteration methods", USSR Comp. Math. Math. Phys. 4 (1964);
    transport by projection: Absil, Mahony and Sepulchre, "Optimization algorithms on matrix manifolds" (2008), 8.1.3.
    """

    integrator: Integrator
    beta: float = 0.9

    def __post_init__(self) -> None:
        _check_rate("beta", self.beta)

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state; ``memory`` holds the integrator's own and the momentum of every block."""
        inner, momenta = (None, _zeros(Y)) if memory is None else memory
        shown = _Shown(field, lambda F, y, M: Direction(F, 1.0, _evaluation(M), self.beta), momenta)
        step = self.integrator.step(shown, t, h, Y, inner)
        moved = tuple(
            _averaged(F, M, y, new, 1.0, self.beta)
            for F, M, y, new in zip(shown.start(t, Y), momenta, Y, step.Y, strict=True)
        )
        return Step(step.Y, step.error, step.info, (step.memory, moved))


@dataclass(frozen=True)
class Adam:
    """Adam for low-rank weights: momentum as a tangent matrix, step sizes per row and per column.

    The second moment of a weight is kept as the means of squares of its rows, of its columns and of the whole, as seen
    through its bases: ``v_ij ~ R_i C_j / T`` with ``R_i = |(F V)_i|^2``, ``C_j = |(F* U)_j|^2``, ``T = |U* F V|^2``,
    which is exact for a gradient of rank one. The direction is then ``diag(R)^(-1/2) M diag(C)^(-1/2) T^(1/2)``: thin
    factors only, the same in every gauge, and a descent direction of the batch where M is minus its gradient. A dense
    block gets Adam itself.

    Parameters
    ----------
    integrator : Integrator
        Any method; the direction of a step is scaled alike in all its substeps.
    beta1, beta2 : float
        Rates of the first and the second moment.
    eps : float
        Added to the root of the second moment of a dense block.
    floor : float
        Share of their mean that is added to the means of squares of rows and columns: it limits how much faster
        quiet rows and columns may move.

    Raises
    ------
    ValueError
        If a rate is outside [0, 1), or ``eps`` or ``floor`` is not positive.

    References
    ----------
    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015; Shazeer and Stern, "Adafactor: adaptive
    learning rates with sublinear memory cost", ICML 2018, section 3 (rows and columns).
    """

    integrator: Integrator
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    floor: float = 1e-3

    def __post_init__(self) -> None:
        _check_rate("beta1", self.beta1)
        _check_rate("beta2", self.beta2)
        if not (self.eps > 0 and self.floor > 0):
            raise ValueError(f"Adam: eps and floor must be positive, got {self.eps} and {self.floor}")

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state; ``memory`` holds the number of steps, the integrator's own, and both moments per block."""
        steps, inner, momenta, squares = (0, None, _zeros(Y), None) if memory is None else memory
        k = steps + 1
        b1, correction = self.beta1, 1.0 - self.beta1**k
        start = tuple(Remembered(F, y) for F, y in zip(field(t, Y), Y, strict=True))
        present = tuple(_squares(F, y) for F, y in zip(start, Y, strict=True))
        if squares is None:
            squares = tuple(tuple(0.0 * v for v in block) for block in present)
        squares = tuple(
            tuple(self.beta2 * v + (1.0 - self.beta2) * w for v, w in zip(old, new, strict=True))
            for old, new in zip(squares, present, strict=True)
        )
        scales = tuple(self._scales(block, 1.0 - self.beta2**k) for block in squares)

        def direction(F: Evaluation, y: Block, kept: tuple[Any, Any]) -> Evaluation:
            M, scale = kept
            if isinstance(y, LowRank):
                return Direction(F, (1.0 - b1) / correction, M, b1 / correction, *scale)
            return DenseEvaluation(scale[0] * (((1.0 - b1) / correction) * F.full() + (b1 / correction) * M))

        shown = _Shown(field, direction, tuple(zip(momenta, scales, strict=True)), start)
        step = self.integrator.step(shown, t, h, Y, inner)
        moved = tuple(
            _averaged(F, M, y, new, 1.0 - b1, b1) for F, M, y, new in zip(start, momenta, Y, step.Y, strict=True)
        )
        return Step(step.Y, step.error, step.info, (k, step.memory, moved, squares))

    def _scales(self, squares: tuple[Array, ...], correction: float) -> tuple[Array, ...]:
        """Return what a direction is multiplied with: per row and per column, or per entry of a dense block."""
        xp = namespace(squares[0])
        if len(squares) == 1:
            return (1.0 / (xp.sqrt(squares[0] / correction) + self.eps),)
        rows, columns, total = (v / correction for v in squares)
        root = xp.sqrt(xp.sqrt(total))
        tiny = float(xp.finfo(total.dtype).smallest_normal)
        return tuple(root / xp.sqrt(x + (self.floor * xp.mean(x) + tiny)) for x in (rows, columns))


class _Shown:
    """A field that shows an integrator other directions, and remembers its first evaluation, at the start of the step.

    Parameters
    ----------
    field : Field
    direction : callable
        ``direction(F, y, kept) -> evaluation``, per block.
    kept : sequence
        What the optimiser knows of each block.
    start : sequence of evaluations, optional
        The first evaluation, where it is known already.
    """

    def __init__(
        self,
        field: Field,
        direction: Callable[[Evaluation, Block, Any], Evaluation],
        kept: Sequence[Any],
        start: tuple[Evaluation, ...] | None = None,
    ) -> None:
        self.field, self.direction, self.kept = field, direction, kept
        self._start = start
        self._known = start

    def __call__(self, t: float, Y: tuple[Block, ...]) -> Sequence[Evaluation]:
        """Evaluate the field and return the directions."""
        F, self._known = self._known, None
        if F is None:
            F = tuple(Remembered(f, y) for f, y in zip(self.field(t, Y), Y, strict=True))
        if self._start is None:
            self._start = F
        return tuple(self.direction(f, y, kept) for f, y, kept in zip(F, Y, self.kept, strict=True))

    def start(self, t: float, Y: tuple[Block, ...]) -> tuple[Evaluation, ...]:
        """Return the first evaluation; a method that made none gets it now."""
        if self._start is None:
            self(t, Y)
        assert self._start is not None
        return self._start


def _averaged(F: Evaluation, M: Block, y: Block, new: Block, a: float, b: float) -> Block:
    """Return ``a F + b M``, for a low-rank weight projected on the tangent space at y and then on that at the new."""
    if isinstance(y, LowRank) and isinstance(new, LowRank):
        return tangent(Direction(tangent(F, y), a, _evaluation(M), b), new)
    return a * F.full() + b * M


def _zeros(Y: Sequence[Block]) -> State:
    return State(0.0 * y for y in Y)


def _evaluation(M: Block) -> Evaluation:
    return M if isinstance(M, LowRank) else DenseEvaluation(M)


def _squares(F: Evaluation, y: Block) -> tuple[Array, ...]:
    """Return sums of squares of the rows, of the columns and of the whole as seen by a weight; or of every entry."""
    if not isinstance(y, LowRank):
        g = as_dtype(F.full(), y.dtype)
        return (_square(g),)
    xp = namespace(y.U)
    FV, FU, core = F.right(y.V), F.left(y.U), F.galerkin(y.U, y.V)
    return xp.sum(_square(FV), axis=1), xp.sum(_square(FU), axis=1), xp.sum(_square(core))


def _square(x: Array) -> Array:
    """Return the squares of the absolute values, which are real."""
    xp = namespace(x)
    return xp.real(x * xp.conj(x)) if is_complex(x) else x * x


def _check_rate(name: str, value: float) -> None:
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{name} must be at least 0 and below 1, got {value}")
