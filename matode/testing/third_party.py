"""Test somebody else's step: a plain function on plain factors, in any code base."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterable
from typing import Any, Literal

from matode._array import eye_like
from matode.lowrank import LowRank
from matode.protocols import Block, Field, State, Step
from matode.testing.claims import Claims, names_in

__all__ = ["ThirdParty", "third_party"]


class ThirdParty:
    """A plain step function behind the protocol of an integrator; ``claims`` is what it claims."""

    def __init__(self, function: Callable[..., Any], claims: Claims) -> None:
        self.function = function
        self.claims = claims
        self.__name__ = getattr(function, "__name__", type(function).__name__)

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance one matrix from t to t + h."""
        (y,) = Y
        m, n = y.U.shape[0], y.V.shape[0]

        def F(t: float, Y: Any) -> Any:
            if getattr(t, "ndim", 0) != 0 or getattr(Y, "shape", None) != (m, n):
                given = f"{_described(t)} and {_described(Y)}"
                raise TypeError(f"F(t, Y) takes a time and a dense {m} x {n} array, got {given}")
            (value,) = field(t, State((LowRank(Y, None, eye_like(n, Y)),)))
            return value.full()

        result = self.function(F, t, h, y.U, y.S, y.V)
        _check_result(result, m, n)
        return Step(State((LowRank(*result),)))

    def __repr__(self) -> str:
        return f"third_party({self.__name__})"


def _described(x: Any) -> str:
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return f"an array of shape {tuple(x.shape)}"
    return "None" if x is None else f"an object of type {type(x).__name__}"


def _check_result(result: Any, m: int, n: int) -> None:
    """Raise an error that says what a step returned, and what it should have."""
    expected = f"the step must return (U, S, V) of shapes ({m}, k), (k, l), ({n}, l)"
    if not isinstance(result, tuple | list):
        raise TypeError(f"{expected}, got {_described(result)}")
    if len(result) != 3:
        raise ValueError(f"{expected}, got {len(result)} items")
    given = ", ".join(_described(x) for x in result)
    if not all(hasattr(x, "shape") and hasattr(x, "dtype") for x in result):
        raise TypeError(f"{expected}, got {given}")
    U, S, V = (tuple(x.shape) for x in result)
    if len(S) != 2 or U != (m, S[0]) or V != (n, S[1]):
        raise ValueError(f"{expected}, got {given}")


def third_party(
    step: Callable[..., Any],
    *,
    order: float,
    guarantees: Iterable[str],
    substep: Literal["euler", "exact"] = "euler",
    truncation: float = 1e-10,
    family: str | None = None,
    random: bool = False,
) -> ThirdParty:
    """Wrap a plain function so that :func:`check_integrator` can test it.

    Parameters
    ----------
    step : callable
        ``step(F, t, h, U, S, V) -> (U, S, V)`` for one matrix ``Y = U S V*`` (V, not its conjugate transpose), where
        ``F(t, Y)`` takes and returns a dense m x n array. It may keep the rank or change it.
    order : float
        Order of convergence that it claims; tested from below.
    guarantees : iterable of str
        What else it claims, out of :data:`matode.testing.GUARANTEES`.
    substep : {"euler", "exact"}
        How it solves its small ODEs: explicit Euler, or order 4 or more, where one Runge-Kutta step of length h is
        enough. Anything between Euler and order 4, such as Heun's method: declare "euler", and no family.
    truncation : float
        What a step may discard, relative to ||Y||, at most 1e-3. Identities are asked for to ten times that, but never
        below 1e-9 nor above 1e-8, which a step that discards much more can hardly keep.
    family : {"ksl", "lsk", "ksl-strang", "bug", "augmented-bug", "parallel-bug", "abc-psi"}, optional
        The method that it claims to be, for the identities and the bound of that method. Where not given, the loosest
        bound of the substeps is used; so it is for the steps of a rank-adaptive family that kept the rank, since these
        have cut their result.
    random : bool
        Whether it draws random numbers, be it from a generator with a fixed seed: two runs on the same matrix in other
        bases then differ, and are not compared.

    Returns
    -------
    ThirdParty
        An integrator with the attribute ``claims``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not as described.

    Examples
    --------
    >>> import numpy as np
    >>> def projected_euler(F, t, h, U, S, V):
    ...     Y = U @ S @ V.conj().T
    ...     G = F(t, Y)
    ...     G = U @ (U.conj().T @ G) + ((G - U @ (U.conj().T @ G)) @ V) @ V.conj().T
    ...     P, s, Qh = np.linalg.svd(Y + h * G, full_matrices=False)
    ...     r = len(S)
    ...     return P[:, :r], np.diag(s[:r]), Qh[:r].conj().T
    >>> from matode.testing import check_integrator
    >>> check_integrator(third_party(projected_euler, order=1, guarantees={"transpose"}), profile="quick").success
    True
    """
    if not callable(step):
        raise TypeError(f"step must be a function step(F, t, h, U, S, V), got {type(step).__name__}")
    given: dict[str, Any] = {"order": order, "truncation": truncation}
    for name, value in given.items():
        if not isinstance(value, numbers.Real):
            raise TypeError(f"{name} must be a number, got {value!r}")
    if not 0 < order < math.inf:
        raise ValueError(f"order must be finite and greater than 0, got {order}")
    if not 0 <= truncation <= 1e-3:
        raise ValueError(f"truncation must lie between 0 and 1e-3, got {truncation}")
    claims = Claims(
        order=order,
        guarantees=names_in("guarantees", guarantees),
        substep=substep,
        family=family,
        tolerance=min(max(10 * truncation, 1e-9), 1e-8),
        truncation=truncation,
        stranger=True,
        random=random,
    )
    return ThirdParty(step, claims)
