"""Does an integrator do what it claims? Checks for ours and for anyone's.

:func:`check_integrator` runs them, :func:`parametrize_with_checks` hands them to pytest, :func:`third_party` wraps a
plain step function. The error bounds are those of :mod:`matode.bounds`, asserted as inequalities on random problems
whose constants are known. Hypothesis strategies for the same problems are in :mod:`matode.testing.strategies`.
"""

from matode.testing.claims import CATALOGUE_CLAIMS, GUARANTEES, Claims, claims_of
from matode.testing.records import CheckResult, CheckResults, ConformanceError
from matode.testing.runner import check_integrator, check_names, parametrize_with_checks
from matode.testing.statistics import BoundStatistics, bound_statistics
from matode.testing.third_party import third_party

__all__ = [
    "CATALOGUE_CLAIMS",
    "GUARANTEES",
    "BoundStatistics",
    "CheckResult",
    "CheckResults",
    "Claims",
    "ConformanceError",
    "bound_statistics",
    "check_integrator",
    "check_names",
    "claims_of",
    "parametrize_with_checks",
    "third_party",
]
