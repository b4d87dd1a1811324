"""Bounds of a whole solve, from a problem's constants and from measured normal components."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

from experiments.recording import frobenius, measure
from matode import LowRank, Solution
from matode._array import Backend, default_rng, host, to_host
from matode.bounds import LOCAL_BOUNDS, a_posteriori, global_bound
from matode.problems import Problem

__all__ = ["Case", "check_constants"]

Bounds = tuple[float, float]
"""The bound whose growth factor has the Lipschitz constant, and the one that has the one-sided constant."""


@dataclass(frozen=True)
class Case:
    """A problem of which everything is known that a bound needs.

    Attributes
    ----------
    problem : Problem
    L, B : float
        Lipschitz constant and bound of F.
    one_sided : float
        One-sided Lipschitz constant; L where the problem gives none.
    T : float
        Length of the interval.
    end : array
        The exact solution at its end, on the host.
    """

    problem: Problem
    L: float
    B: float
    one_sided: float
    T: float
    end: host.ndarray

    @classmethod
    def of(cls, problem: Problem) -> Case:
        """Collect the constants.

        Raises
        ------
        ValueError
            If the problem does not give L, B or a reference.
        """
        if problem.L is None or problem.B is None or problem.reference is None:
            raise ValueError(f"{problem.name}: a bound needs L, B and a reference")
        t0, t1 = problem.t_span
        one_sided = problem.L if problem.one_sided is None else problem.one_sided
        return cls(problem, problem.L, problem.B, one_sided, t1 - t0, problem.reference(t1))

    @property
    def growth_rates(self) -> Bounds:
        """Rates at which the differences of exact solutions grow at most: L, and the one-sided constant or 0."""
        return self.L, max(self.one_sided, 0.0)

    def bounds_of_stages(self, eps: float, method: str, h: float) -> Bounds:
        """Return the bounds at the end for a method whose normal component is at most eps at every matrix met."""
        local = LOCAL_BOUNDS[method]["exact"](L=self.L, B=self.B, eps=eps, h=h)
        first, second = (
            global_bound(local, L=rate, h=h, T=self.T, start_error=self.problem.start_error)
            for rate in self.growth_rates
        )
        return first, second

    def bounds_of_iterates(self, solution: Solution, method: str) -> tuple[float, Bounds]:
        """Return the largest normal component at an iterate, and the bounds at the end from those of all iterates."""
        F, rule = self.problem.F, LOCAL_BOUNDS[method]["exact"]
        steps = [b - a for a, b in itertools.pairwise(solution.t)]
        eps = [measure(F(t, Y), Y)[0] for t, Y in zip(solution.t[:-1], solution.Y[:-1], strict=True)]
        local = [rule(L=self.L, B=self.B, eps=e, h=h) for e, h in zip(eps, steps, strict=True)]
        first, second = (
            a_posteriori(local, solution.truncation_error, L=rate, h=steps, start_error=self.problem.start_error)[-1]
            for rate in self.growth_rates
        )
        return max(eps), (first, second)

    def substep_share(self, method: str, eps: float, h: float, count: int) -> float:
        """Return what the error of ``count`` RK4 steps per flow may add to the local bound, as a share of that bound.

        The bound is for exact flows. For an affine F, one RK4 step of length k misses a flow by at most
        ``k B (k L)^4 e^(k L) / 120``, the rest of the exponential series, and a step of any of the methods passes on at
        most ``(4 + 2 h L) e^(h L)`` times what its flows miss.
        """
        k, q = h / count, math.exp(h * self.L)
        defect = count * q * k * self.B * (k * self.L) ** 4 / 120
        local = LOCAL_BOUNDS[method]["exact"](L=self.L, B=self.B, eps=eps, h=h)
        return (4 + 2 * h * self.L) * q * defect / local


def check_constants(case: Case, backend: Backend, seed: int, pairs: int = 20) -> dict[str, Any]:
    """Check L and the one-sided constant on random pairs of matrices, and return them with what was seen.

    ``skew`` is the largest ``|Re <F(Y) - F(Z), Y - Z>| / ||Y - Z||^2``: zero where F is affine with a skew-adjoint
    linear part, so that its flow is an isometry. ``violated`` says whether a constant does not hold.
    """
    rng = default_rng((seed, 1))
    Y0 = case.problem.Y0
    dtype = str(Y0.dtype).rpartition(".")[2]
    stretch, quotient = [], []
    for k in range(pairs):
        step, Z = (LowRank.random(Y0.shape, rank, rng=rng, dtype=dtype, backend=backend) for rank in (1 + k % 3, 3))
        D = step.to_dense()
        G = _dense(case, Z + step) - _dense(case, Z)
        stretch.append(frobenius(G) / frobenius(D))
        quotient.append(_real_inner(G, D) / frobenius(D) ** 2)
    return {
        "L": case.L,
        "L_seen": max(stretch),
        "B": case.B,
        "one_sided": case.one_sided,
        "one_sided_seen": max(quotient),
        "skew": max(abs(q) for q in quotient),
        "start_error": case.problem.start_error,
        "violated": max(stretch) > case.L * (1 + 1e-12) or max(quotient) > case.one_sided + 1e-12,
    }


def _dense(case: Case, Y: LowRank) -> Any:
    return case.problem.F(case.problem.t_span[0], Y).full()


def _real_inner(X: Any, Y: Any) -> float:
    """Return ``Re <X, Y>``, summed on the host."""
    return float(host.real(host.vdot(to_host(X), to_host(Y))))
