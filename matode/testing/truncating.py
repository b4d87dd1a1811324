"""Checks of the truncation of rank-adaptive methods: optimal, minimal, reported, capped, and of the ranks."""

from __future__ import annotations

import math

import numpy as np

from matode.testing.cases import Case, bounded_case, norm
from matode.testing.claims import Claims
from matode.testing.registry import check
from matode.testing.trial import Trial
from matode.truncation import Absolute, Rank, Relative, Truncation

__all__: list[str] = []


def _adaptive(claims: Claims) -> str:
    if claims.rule_decides:
        return "the rule decides about the step itself"
    return "" if claims.adaptive else "keeps the rank"


def _case(rng: np.random.Generator) -> Case:
    """Draw a step whose result has several singular values of different size beyond the rank."""
    r = int(rng.integers(2, 4))
    return bounded_case(rng, sigma=(1.0, 0.3, 0.1)[:r], eps=1.0, hL=(0.03, 0.1))


@check(applies=_adaptive)
def truncation(trial: Trial) -> None:
    """Assert that the truncation is optimal and minimal: it discards the Frobenius tail, and as much as it may.

    The tolerance is set a hair above and a hair below the tail of each rank; the first must keep that rank, the second
    one more, for absolute and for relative tolerances.
    """
    for rng in trial.draws(4):
        case = _case(rng)
        whole = trial.step(case.F, case.t, case.h, case.Y0, integrator=trial.untruncated()).dense
        s = np.linalg.svd(whole, compute_uv=False)
        for k in range(1, case.Y0.rank + 1):
            tail = norm(s[k:])
            if tail < 1e-8 or s[k] < 1e-8:
                trial.pass_over("the step leaves nothing to truncate")
                continue
            for factor, rank in ((1 + 1e-6, k), (1 - 1e-6, k + 1)):
                rules: tuple[Truncation, ...] = (Absolute(tail * factor), Relative(tail * factor / norm(s)))
                for rule in rules:
                    Y1 = trial.step(case.F, case.t, case.h, case.Y0, integrator=trial.truncating(rule)).Y
                    trial.require(Y1.rank == rank, f"kept rank {Y1.rank}, expected {rank} with {type(rule).__name__}")
                    missed = abs(norm(whole - Y1.dense) - norm(s[rank:]))
                    trial.at_most(missed, 1e-11, "difference between what was discarded and the tail")


@check(applies=_adaptive)
def truncation_reported(trial: Trial) -> None:
    """Assert that ``info["truncation_error"]`` is the Frobenius norm of what the truncation discarded."""
    for rng in trial.draws(4):
        case = _case(rng)
        whole = trial.step(case.F, case.t, case.h, case.Y0, integrator=trial.untruncated()).dense
        cut = trial.step(case.F, case.t, case.h, case.Y0, integrator=trial.truncating(Absolute(0.05)))
        discarded = math.nan if cut.discarded is None else cut.discarded
        trial.at_most(abs(discarded - norm(whole - cut.dense)), 1e-11, "error of the reported norm")


@check(applies=_adaptive)
def rank_cap(trial: Trial) -> None:
    """Assert that the rank obeys ``Rank(r)``, ``max_rank`` and ``min_rank``, and that the cut stays optimal."""
    for rng in trial.draws(4):
        case = _case(rng)
        whole = trial.step(case.F, case.t, case.h, case.Y0, integrator=trial.untruncated()).dense
        s = np.linalg.svd(whole, compute_uv=False)
        rules = ((Rank(2), 2), (Absolute(1e-13, max_rank=2), 2), (Relative(0.9, min_rank=3), 3), (Absolute(10.0), 1))
        for rule, rank in rules:
            Y1 = trial.step(case.F, case.t, case.h, case.Y0, integrator=trial.truncating(rule)).Y
            trial.require(Y1.rank == rank, f"kept rank {Y1.rank}, expected {rank} with {rule}")
            missed = abs(norm(whole - Y1.dense) - norm(s[rank:]))
            trial.at_most(missed, 1e-11, "difference between what was discarded and the tail")


@check(applies=lambda claims: "" if math.isfinite(claims.widening) else "claims no bound of the rank after a step")
def rank_growth(trial: Trial) -> None:
    """Assert that the rank stays (fixed-rank methods), or grows at most by a known factor, up to full rank."""
    for k, rng in enumerate(trial.draws(6)):
        case = bounded_case(rng, eps=1.0) if k % 2 else bounded_case(rng, sigma=(1.0, 1e-8, 1e-12), eps=0.0)
        r, shape = case.Y0.rank, case.Y0.dense.shape
        Y1 = trial.step(case.F, case.t, case.h, case.Y0, integrator=trial.untruncated()).Y
        trial.require(max(Y1.S.shape) <= min(shape), f"a core of shape {Y1.S.shape} for a matrix of shape {shape}")
        if trial.claims.adaptive:
            trial.at_most(max(Y1.S.shape), trial.claims.widening * r, "rank after the step")
        else:
            trial.require(Y1.S.shape == (r, r), f"the rank changed from {r} to {Y1.S.shape}")
