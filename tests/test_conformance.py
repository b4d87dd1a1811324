"""Our integrators do what theory says of them, on every backend; strangers' correct steps pass; the runner is sound."""

from __future__ import annotations

import os
from dataclasses import replace
from types import SimpleNamespace

import pytest

import matode
from matode.protocols import Step
from matode.testing import (
    GUARANTEES,
    Claims,
    ConformanceError,
    bound_statistics,
    check_integrator,
    check_names,
    claims_of,
    parametrize_with_checks,
    third_party,
)
from tests import third_party_steps as steps

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"
METHODS = [matode.KSL, matode.LSK, matode.KSLStrang, matode.BUG, matode.AugmentedBUG]
OURS = [method(substep) for method in METHODS for substep in (matode.rk4, matode.euler)]
STRANGERS = {
    "augmented-bug": third_party(
        steps.augmented_bug,
        order=1,
        guarantees={"exact", "transpose", "norm", "energy", "descent", "symmetric", "skew", "psd"},
        substep="exact",
        family="augmented-bug",
    ),
    "augmented-bug-euler": third_party(
        steps.augmented_bug_euler,
        order=1,
        guarantees={"exact", "transpose", "descent", "symmetric", "skew"},
        family="augmented-bug",
    ),
    "parallel-bug-euler": third_party(
        steps.parallel_bug,
        order=1,
        guarantees={"transpose", "descent", "symmetric", "skew"},
        family="parallel-bug",
    ),
    "ksl": third_party(steps.ksl, order=1, guarantees={"exact", "norm", "energy"}, substep="exact", family="ksl"),
    "bug": third_party(
        steps.bug, order=1, guarantees={"exact", "transpose", "symmetric", "skew", "psd"}, substep="exact", family="bug"
    ),
    "abc-psi-euler": third_party(steps.abc_psi, order=1, guarantees={"exact", "descent"}, family="abc-psi"),
    "riemannian-euler": third_party(steps.riemannian_euler, order=1, guarantees={"transpose", "symmetric", "skew"}),
}


def name(integrator):
    return f"{type(integrator).__name__}-{integrator.substep.name}"


# Our own integrators


@parametrize_with_checks(OURS)
def test_our_integrator(integrator, check):
    check(integrator)


@pytest.mark.parametrize("method", METHODS)
def test_exact_substeps_conform_as_rk4_does(method):
    """A tight adaptive reference in place of one RK4 step: what holds does not hold because of RK4."""
    slow = {"order", "plateau", "accumulated_bound"}
    check_integrator(method(matode.Reference()), profile="quick", only=set(check_names()) - slow)


@pytest.mark.parametrize("integrator", OURS, ids=name)
def test_our_integrator_on_every_backend(integrator, backend):
    slow = set() if backend.name.startswith("numpy") else {"order", "plateau", "accumulated_bound"}
    results = check_integrator(integrator, xp=backend, profile="quick", only=set(check_names()) - slow)
    assert results.ran >= 17


@pytest.mark.parametrize("integrator", OURS, ids=name)
def test_no_bound_is_violated(integrator):
    statistics = bound_statistics(integrator, draws=2000 if THOROUGH else 60)
    assert statistics.violations == 0
    assert statistics.largest_ratio <= 1 + 1e-3
    if integrator == matode.AugmentedBUG(matode.euler):
        assert statistics.largest_ratio > 0.5, "the bound of the Euler form is tight"


@pytest.mark.skipif(not THOROUGH, reason="HYPOTHESIS_PROFILE=thorough runs all seeds")
@pytest.mark.parametrize("integrator", [*OURS, *STRANGERS.values()], ids=str)
def test_no_false_alarm_in_twenty_seeds(integrator):
    for seed in range(20):
        check_integrator(integrator, seed=seed)


# Strangers


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_strangers_correct_step_passes(stranger):
    check_integrator(STRANGERS[stranger])
    check_integrator(STRANGERS[stranger], seed=1, profile="quick")


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_may_claim_nothing(stranger):
    claims = replace(STRANGERS[stranger].claims, guarantees=frozenset(), family=None)
    results = check_integrator(STRANGERS[stranger], claims=claims, profile="quick")
    assert not any(result.name.endswith("_denied") and result.status != "skipped" for result in results)


@pytest.mark.parametrize(
    ("function", "guarantee", "check"),
    [
        (steps.parallel_bug, "exact", "exact"),
        (steps.bug, "norm", "norm_kept"),
        (steps.bug, "energy", "energy_kept"),
        (steps.bug, "descent", "descent"),
        (steps.ksl, "transpose", "transpose"),
        (steps.ksl, "symmetric", "symmetric"),
        (steps.ksl, "skew", "skew_symmetric"),
        (steps.ksl, "psd", "positive_semidefinite"),
        (steps.ksl, "reversible", "reversible"),
        (steps.augmented_bug, "reversible", "reversible"),
    ],
)
def test_a_false_claim_is_rejected(function, guarantee, check):
    substep = "euler" if function is steps.parallel_bug else "exact"
    results = check_integrator(
        third_party(function, order=1, guarantees={guarantee}, substep=substep), on_fail="report", only=[check]
    )
    assert [result.status for result in results] == ["failed"]


def test_a_false_order_is_rejected():
    stranger = third_party(steps.ksl, order=2, guarantees=(), substep="exact")
    (result,) = check_integrator(stranger, on_fail="report", only=["order"])
    assert result.status == "failed"
    assert result.measured == pytest.approx(1, abs=0.2)


def test_third_party_says_what_is_wrong():
    with pytest.raises(TypeError, match="function"):
        third_party(3, order=1, guarantees=())
    with pytest.raises(ValueError, match="unknown guarantee 'exakt'"):
        third_party(steps.ksl, order=1, guarantees={"exakt"})
    with pytest.raises(ValueError, match="unknown family"):
        third_party(steps.ksl, order=1, guarantees=(), family="klx")
    with pytest.raises(ValueError, match="substep"):
        third_party(steps.ksl, order=1, guarantees=(), substep="heun")


# The runner


class Raises:
    def step(self, field, t, h, Y, memory=None):
        raise ArithmeticError("no")


class Stands:
    """Does nothing, which is right only where the field is zero."""

    def step(self, field, t, h, Y, memory=None):
        return Step(Y)


def test_any_exception_is_an_error_and_fails():
    results = check_integrator(Raises(), on_fail="report", profile="quick")
    assert results.ran > 10
    assert {result.status for result in results} == {"error", "skipped"}
    assert "ArithmeticError: no" in results.failures[0].reason
    assert not results.success
    with pytest.raises(ConformanceError, match=f"{results.ran} of {results.ran} checks failed") as caught:
        check_integrator(Raises(), profile="quick")
    assert caught.value.results == results


def test_a_violation_has_numbers_and_a_seed_that_reproduces_it():
    (result,) = check_integrator(Stands(), on_fail="report", only=["local_bound"], seed=5)
    assert result.status == "failed"
    assert result.seed == 5
    assert result.measured > result.bound
    assert check_integrator(Stands(), on_fail="report", only=["local_bound"], seed=result.seed) == [result]
    assert check_integrator(Stands(), on_fail="report", only=["local_bound"], seed=6) != [result]


def test_the_count_is_part_of_the_result():
    results = check_integrator(matode.KSL(), profile="quick")
    assert results.ran == sum(result.status == "passed" for result in results) == 28
    assert len(results) == len(check_names())
    assert "28 checks ran, 0 failed" in str(results)


def test_expected_failures():
    expected = {"local_bound": "it does not move"}
    results = check_integrator(
        Stands(), expected_failures=expected, on_fail="report", only=["local_bound", "zero_field"]
    )
    assert [result.status for result in results] == ["xfail", "passed"]
    assert results.success
    assert "it does not move" in results[0].reason


def test_an_unexpected_pass_fails():
    with pytest.raises(ConformanceError, match="xpass"):
        check_integrator(Stands(), expected_failures={"zero_field": "why not"}, only=["zero_field"])


def test_unknown_names_are_errors():
    with pytest.raises(ValueError, match="'local_bond': did you mean 'local_bound'"):
        check_integrator(Stands(), expected_failures={"local_bond": ""})
    with pytest.raises(ValueError, match="unknown guarantee"):
        check_integrator(Stands(), guarantees={"exactness"})
    with pytest.raises(ValueError, match="unknown method 'kls2'"):
        check_integrator(Stands(), claims="kls2")
    with pytest.raises(ValueError, match="unknown profile"):
        check_integrator(Stands(), profile="fast")


def test_nothing_ran_is_no_success():
    with pytest.raises(ConformanceError):
        check_integrator(Stands(), only=["sylvester"])


def test_claims_are_looked_up_declared_or_given():
    class Ours(matode.BUG):
        pass

    assert claims_of(Ours()).family == "bug"
    assert claims_of(matode.BUG(matode.euler)).substep == "euler"
    assert claims_of(matode.BUG(matode.Repeated(matode.rk4, 2))).substep == "exact"
    declared = Claims(order=3)
    assert claims_of(SimpleNamespace(claims=declared)) is declared
    assert claims_of(Stands()).stranger
    assert claims_of(Stands(), "ksl").family == "ksl"
    given = claims_of(matode.BUG(), guarantees={"exact"})
    assert given.guarantees == {"exact"}
    assert given.denied == frozenset()


def test_parametrize_gives_ids_and_marks():
    mark = parametrize_with_checks([matode.KSL()], expected_failures={"order": "to see"})
    ids = {parameter.id: parameter for parameter in mark.args[1]}
    assert "KSL-local_bound" in ids
    assert "KSL-euler_identity" not in ids
    assert ids["KSL-order"].marks[0].kwargs == {"reason": "to see", "strict": True}
    assert GUARANTEES >= claims_of(matode.KSL()).guarantees
