"""Wrong integrators, one deliberate mistake each, and the correct twins of the families they belong to.

A suite is as good as the mistakes that it has been seen to reject. Every file is one family: first the correct method,
one short method per ingredient; then subclasses that get one of them wrong, as people do when they implement from the
papers. ``MUTANTS`` and ``TWINS`` list them; :func:`table` says which check rejects which.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from matode.testing import check_names
from tests.mutants import (  # noqa: F401
    abc_psi,
    augmented,
    bug,
    midpoint,
    mislabelled,
    parallel,
    projected,
    randomized,
    runge_kutta,
    splitting,
    strangers,
    truncations,
)
from tests.mutants.registry import MUTANTS, TWINS, Mutant, Twin

__all__ = ["MUTANTS", "TWINS", "Mutant", "Twin", "table"]


def table(
    seed: int = 0, *, profile: str = "default", only: Iterable[str] | None = None, mutants: Iterable[Mutant] = MUTANTS
) -> list[dict[str, Any]]:
    """Return one row per mutant: ``mutant``, ``pretends_to_be``, ``mistake``, ``rejected_by`` (a tuple of names).

    Every check gets a new object, so that what one check did to it does not hide what the next would see.

    Parameters
    ----------
    seed : int
        Seed of the checks.
    profile : {"default", "thorough", "quick"}
        Number of draws.
    only : iterable of str, optional
        Names of the checks to run; all of them where not given.
    mutants : iterable of Mutant
        The wrong integrators.
    """
    names = list(check_names() if only is None else only)
    with np.errstate(all="ignore"):  # some of them run away
        return [
            {
                "mutant": mutant.name,
                "pretends_to_be": mutant.pretends_to_be,
                "mistake": mutant.mistake,
                "rejected_by": tuple(
                    name for name in names if mutant.check(seed=seed, profile=profile, only=[name]).failures
                ),
            }
            for mutant in mutants
        ]
