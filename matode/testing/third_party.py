"""Test somebody else's step: a plain function on plain factors, in any code base."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

from matode._array import eye_like
from matode.lowrank import LowRank
from matode.protocols import Block, Field, State, Step
from matode.testing.claims import Claims

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

        def F(t: float, X: Any) -> Any:
            (value,) = field(t, State((LowRank(X, None, eye_like(X.shape[1], X)),)))
            return value.full()

        result = self.function(F, t, h, y.U, y.S, y.V)
        if not isinstance(result, tuple | list) or len(result) != 3:
            raise TypeError(f"the step must return three factors (U, S, V), got {type(result).__name__}")
        return Step(State((LowRank(*result),)))

    def __repr__(self) -> str:
        return f"third_party({self.__name__})"


def third_party(
    step: Callable[..., Any],
    *,
    order: float,
    guarantees: Iterable[str],
    substep: Literal["euler", "exact"] = "euler",
    truncation: float = 1e-10,
    family: str | None = None,
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
        enough.
    truncation : float
        What a step may discard, relative to ||Y||. Identities are asked for to ten times that, and never below 1e-9 nor
        above 1e-8.
    family : {"ksl", "lsk", "ksl-strang", "bug", "augmented-bug", "parallel-bug", "abc-psi"}, optional
        The method that it claims to be, for the identities and the bound of that method. Where not given, the loosest
        bound of the substeps is used.

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
    if not truncation >= 0:
        raise ValueError(f"truncation must be at least 0, got {truncation}")
    claims = Claims(
        order=order,
        guarantees=frozenset(guarantees),
        substep=substep,
        family=family,
        tolerance=min(max(10 * truncation, 1e-9), 1e-8),
        truncation=truncation,
        stranger=True,
    )
    return ThirdParty(step, claims)
