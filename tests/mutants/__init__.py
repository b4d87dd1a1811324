"""Wrong integrators, one deliberate mistake each, and the correct twins of the families they belong to.

A suite is as good as the mistakes that it has been seen to reject. Every file is one family: first the correct method,
one short method per ingredient; then subclasses that get one of them wrong, as people do when they implement from the
papers. ``MUTANTS`` and ``TWINS`` list them; :func:`table` says which check rejects which.
"""

from __future__ import annotations

from typing import Any

from matode.testing import check_integrator
from tests.mutants import (  # noqa: F401
    abc_psi,
    augmented,
    bug,
    midpoint,
    mislabelled,
    parallel,
    projected,
    splitting,
    truncations,
)
from tests.mutants.registry import MUTANTS, TWINS, Mutant, Twin

__all__ = ["MUTANTS", "TWINS", "Mutant", "Twin", "table"]


def table(seed: int = 0, *, profile: str = "default", skip: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Return one row per mutant: ``mutant``, ``pretends_to_be``, ``mistake``, ``rejected_by`` (names of checks).

    Parameters
    ----------
    seed : int
        Seed of the checks.
    profile : str
        Number of draws, as for :func:`matode.testing.check_integrator`.
    skip : tuple of str
        Checks to leave out.
    """
    from matode.testing import check_names

    names = [name for name in check_names() if name not in skip]
    rows = []
    for mutant in MUTANTS:
        results = check_integrator(
            mutant.integrator, claims=mutant.pretends_to_be, on_fail="report", seed=seed, profile=profile, only=names
        )
        rows.append(
            {
                "mutant": mutant.name,
                "pretends_to_be": mutant.pretends_to_be,
                "mistake": mutant.mistake,
                "rejected_by": tuple(result.name for result in results.failures),
            }
        )
    return rows
