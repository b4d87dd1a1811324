"""Correct methods under another method's name: what a wrong line in a catalogue does."""

from __future__ import annotations

from matode.integrators import BUG, KSL, LSK, AugmentedBUG, KSLStrang
from matode.substeps import euler
from tests.mutants.parallel import ParallelBUG
from tests.mutants.registry import sold_as

sold_as("ksl", "adjoint", "sylvester", "transpose_denied", "symmetric_denied", "skew_symmetric_denied")(
    "BUGSoldAsKSL", BUG(), "The catalogue gives fixed-rank BUG the name of KSL."
)
sold_as("ksl", "descent_denied", "positive_semidefinite_denied", "rank_growth")(
    "AugmentedSoldAsKSL", AugmentedBUG(), "The catalogue gives augmented BUG the name of KSL."
)
sold_as("ksl", "reversible_denied", "adjoint")(
    "StrangSoldAsKSL", KSLStrang(), "The symmetric composition is taken where the Lie splitting is meant."
)
sold_as("ksl-strang", "reversible", "order")("KSLSoldAsStrang", KSL(), "Strang's second half is forgotten.")
sold_as("lsk", "adjoint")("KSLSoldAsLSK", KSL(), "The adjoint has the order of the method itself: K, S, L.")
sold_as("bug", "norm_kept_denied", "energy_kept_denied", "transpose", "symmetric", "positive_semidefinite")(
    "LSKSoldAsBUG", LSK(), "The catalogue gives LSK the name of BUG."
)
sold_as("augmented-bug", "exact", "norm_kept", "energy_kept", "positive_semidefinite", "norm_truncated")(
    "ParallelSoldAsAugmented", ParallelBUG(), "The (2, 2) block is left at zero: augmented BUG is parallel BUG."
)
sold_as("parallel-bug", "exact_denied", "norm_kept_denied", "energy_kept_denied", "positive_semidefinite_denied")(
    "AugmentedSoldAsParallel", AugmentedBUG(), "The three substeps are not parallel: parallel BUG is augmented BUG."
)
sold_as("parallel-bug", "exact_denied", "euler_identity")(
    "AugmentedEulerSoldAsParallel", AugmentedBUG(euler), "The same, with Euler substeps."
)
