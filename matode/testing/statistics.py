"""How close an integrator comes to its local bound, over many random problems."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from matode._array import get_backend
from matode.testing.accuracy import allowance, local_bound_of
from matode.testing.cases import Case, bounded_case, flow, norm
from matode.testing.claims import Claims, claims_of
from matode.testing.trial import Trial

__all__ = ["BoundStatistics", "bound_statistics"]


class BoundStatistics(NamedTuple):
    """Error of one step against its bound, over random problems.

    Attributes
    ----------
    draws : int
        Problems that were drawn.
    violations : int
        Draws whose error exceeds the bound plus what is allowed for rounding and for the truncation.
    largest_ratio : float
        Largest error divided by the bound alone.
    median_ratio : float
        Median of these ratios.
    worst : Case
        The problem with the largest ratio.
    """

    draws: int
    violations: int
    largest_ratio: float
    median_ratio: float
    worst: Case


def bound_statistics(
    integrator: Any, draws: int = 2000, seed: int = 0, *, claims: Claims | str | None = None
) -> BoundStatistics:
    """Compare the error of one step with the explicit bound on many random problems.

    Parameters
    ----------
    integrator : Integrator
        Of the catalogue, or with claims.
    draws : int
        Number of problems; those of the check ``local_bound``, with singular values down to 0 in one of ten.
    seed : int
        The same seed draws the same problems.
    claims : Claims or str, optional
        As for :func:`matode.testing.check_integrator`.
    """
    trial = Trial(
        integrator, claims_of(integrator, claims), get_backend(), name="bound_statistics", profile="default", seed=seed
    )
    ratios: list[float] = []
    violations, worst = 0, None
    for k in range(draws):
        rng = np.random.default_rng([seed, k])
        sigma = (1.0, 10.0 ** -rng.uniform(0, 12), 0.0) if k % 10 == 9 else None
        case = bounded_case(rng, sigma=sigma, backward=not trial.claims.stranger)
        Y1 = trial.step(case.F, case.t, case.h, case.Y0).Y
        error = norm(Y1.dense - flow(case.F, case.t, case.h, case.Y0.dense))
        bound = local_bound_of(trial, case, Y1)
        violations += not error <= bound + allowance(trial)
        if not ratios or error / bound > max(ratios):
            worst = case
        ratios.append(error / bound)
    assert worst is not None
    return BoundStatistics(draws, violations, max(ratios), float(np.median(ratios)), worst)
