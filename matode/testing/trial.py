"""One check on one integrator: draws, steps on the backend, and what was measured against which bound."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import is_dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from matode._array import Backend, device_of, from_host, to_host
from matode.field import Counted, UserField
from matode.lowrank import LowRank
from matode.protocols import State, Step
from matode.testing.cases import Dense, Factors
from matode.testing.claims import Claims
from matode.testing.records import Skip
from matode.truncation import Absolute, Truncation

__all__ = ["DRAWS", "Outcome", "Trial"]

DRAWS = {"default": 1.0, "thorough": 8.0, "quick": 0.25}
"""Multiple of a check's own number of draws, by profile."""


class Outcome(NamedTuple):
    """One step, with its blocks, and those it started from, on the host: ``Factors`` or dense arrays."""

    blocks: tuple[Any, ...]
    start: tuple[Any, ...]
    step: Step
    nfev: int

    @property
    def Y(self) -> Factors:
        """The first block."""
        block = self.blocks[0]
        assert isinstance(block, Factors)
        return block

    @property
    def dense(self) -> np.ndarray:
        """The first block as an array."""
        return self.Y.dense

    @property
    def discarded(self) -> float | None:
        """What the step says that its truncation discarded, or None."""
        given = self.step.info.get("truncation_error")
        return None if given is None else float(np.linalg.norm(given))


class Trial:
    """What a check is given.

    Attributes
    ----------
    integrator, claims, backend
        What is tested, what it claims, where it runs.
    """

    def __init__(
        self, integrator: Any, claims: Claims, backend: Backend, *, name: str, profile: str, seed: int
    ) -> None:
        self.integrator = integrator
        self.claims = claims
        self.backend = backend
        self.measured: float | None = None
        self.bound: float | None = None
        self.passed_over = ""
        self.exception: Exception | None = None
        self._name, self._profile, self._seed = name, profile, seed
        self._ratio = -np.inf
        self._draw = 0
        self._exceeded = self._unmet = ""
        self._asked = False

    def draws(self, count: int) -> Iterator[np.random.Generator]:
        """Yield the random generators of ``count`` draws (more or fewer by profile)."""
        key = zlib.crc32(self._name.encode())
        for k in range(max(min(count, 3), round(count * DRAWS[self._profile]))):
            self._draw = k
            yield np.random.default_rng([self._seed, key, k])

    def tolerance(self, floor: float) -> float:
        """Return the tolerance of an identity: the check's own floor, or the integrator's, whichever is larger."""
        return max(floor, self.claims.tolerance)

    # measuring

    @property
    def draw(self) -> int:
        """Number of the draw that is under way."""
        return self._draw

    @property
    def judged(self) -> bool:
        """Whether anything was measured or required."""
        return self.measured is not None or self._asked

    @property
    def violation(self) -> str:
        """The violation furthest beyond its bound, else the first requirement that was not met, in one sentence."""
        return self._exceeded or self._unmet

    @property
    def numbers(self) -> tuple[float, float] | tuple[None, None]:
        """What was measured and its bound, unless the violation is one that has no numbers."""
        if self.measured is None or self.bound is None or (self._unmet and not self._exceeded):
            return None, None
        return self.measured, self.bound

    def pass_over(self, reason: str) -> None:
        """Note why a draw cannot be judged; a check that judges none is reported as skipped, with this reason."""
        self.passed_over = reason

    def at_most(self, value: float, bound: float, what: str = "") -> None:
        """Record that ``value`` must not exceed ``bound``; NaN does."""
        ratio = value / bound if bound > 0 else (np.inf if value > bound else 0.0)
        self._record(value, bound, np.inf if np.isnan(ratio) else ratio, not value <= bound, "exceeds", what)

    def at_least(self, value: float, bound: float, what: str = "") -> None:
        """Record that ``value`` must reach ``bound``."""
        ratio = bound / value if value > 0 else (np.inf if bound > 0 or np.isnan(value) else 0.0)
        self._record(value, bound, ratio, not value >= bound, "is below", what)

    def require(self, condition: bool, sentence: str) -> None:
        """Record a violation, said in ``sentence``, unless the condition holds."""
        self._asked = True
        if not condition and not self._unmet:
            self._unmet = f"{sentence} (draw {self._draw})"

    def _record(self, value: float, bound: float, ratio: float, violated: bool, verb: str, what: str) -> None:
        if not (ratio > self._ratio or (violated and not self._exceeded)):
            return
        self._ratio, self.measured, self.bound = ratio, float(value), float(bound)
        if violated:
            number = f"{value:.3e} {verb} {bound:.3e}" if np.isfinite(value) else f"{value} is not finite"
            self._exceeded = f"{what or self._name}: {number} (draw {self._draw})"

    # stepping

    def step(
        self,
        F: Dense,
        t: float,
        h: float,
        Y: Factors,
        *,
        integrator: Any = None,
        dtype: str | None = None,
        memory: Any = None,
    ) -> Outcome:
        """Make one step of a single matrix, for a field on dense host arrays."""
        return self.step_blocks(
            lambda t, blocks: (F(t, blocks[0]),), t, h, (Y,), integrator=integrator, dtype=dtype, memory=memory
        )

    def step_blocks(
        self,
        F: Callable[[float, Sequence[np.ndarray]], Sequence[Any]],
        t: float,
        h: float,
        blocks: Sequence[Any],
        *,
        integrator: Any = None,
        dtype: str | None = None,
        memory: Any = None,
    ) -> Outcome:
        """Make one step of several blocks; F takes and returns all of them as dense host arrays."""
        integrator = self.integrator if integrator is None else integrator

        def on_backend(t: float, Y: Sequence[Any]) -> list[Any]:
            dense = [y.to_dense() if isinstance(y, LowRank) else y for y in Y]
            values = F(float(t), [to_host(y) for y in dense])
            return [from_host(value, y, y.dtype) for value, y in zip(values, dense, strict=True)]

        state = State(
            LowRank(*(self.send(X, dtype) for X in block)) if isinstance(block, Factors) else self.send(block, dtype)
            for block in blocks
        )
        field = Counted(UserField(on_backend, single=False))
        step = integrator.step(field, t, h, state, memory)
        if len(step.Y) != len(state):
            raise ValueError(f"the step returned {len(step.Y)} blocks, expected {len(state)}")
        return Outcome(tuple(map(_fetched, step.Y)), tuple(map(_fetched, state)), step, field.nfev)

    def send(self, X: np.ndarray, dtype: str | None = None) -> Any:
        """Return a host array on the backend; on NumPy the copy refuses to be written to."""
        xp = self.backend.xp
        X = np.array(X, dtype=dtype)
        sent = xp.asarray(X, dtype=getattr(xp, X.dtype.name), device=self.backend.device)
        if isinstance(sent, np.ndarray):
            sent.flags.writeable = False
        return sent

    def at_home(self, X: Any) -> bool:
        """Whether an array belongs to the namespace and device of the backend."""
        like = self.backend.xp.zeros(1, device=self.backend.device)
        return type(X) is type(like) and device_of(X) == device_of(like)

    # what can be set from outside

    def configurable(self) -> bool:
        """Whether the integrator has a truncation rule that can be set."""
        return is_dataclass(self.integrator) and hasattr(self.integrator, "truncation") and self.claims.adaptive

    def truncating(self, rule: Truncation) -> Any:
        """Return the integrator with another truncation rule.

        Raises
        ------
        Skip
            If it has none that can be set.
        """
        if not self.configurable():
            raise Skip("its truncation cannot be set")
        return replace(self.integrator, truncation=rule)

    def untruncated(self) -> Any:
        """Return the integrator without truncation, where that can be set, else as it is."""
        return self.truncating(Absolute(0.0)) if self.configurable() else self.integrator


def _fetched(block: Any) -> Any:
    if isinstance(block, LowRank):
        return Factors(*(np.asarray(to_host(X)) for X in (block.U, block.S, block.V)))
    return np.asarray(to_host(block))
