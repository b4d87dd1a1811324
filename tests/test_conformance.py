"""Our integrators do what theory says of them, on every backend; strangers' correct steps pass; the runner is sound."""

from __future__ import annotations

import os
import re
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
REST = [name for name, factory in matode.INTEGRATORS.items() if factory not in METHODS]
VARIANTS = {
    "midpoint-3r": matode.MidpointBUG(width=3),
    "strang-from-l": matode.KSLStrang(first="l"),
    "parallel-with-retries": matode.ParallelBUG(retries=2),
    "drsvd-not-augmented": matode.DRSVD(augment=False),
    "dgn-not-augmented": matode.DGN(augment=False),
    "drsvd-euler": matode.DRSVD(matode.euler),
    "dgn-euler": matode.DGN(matode.euler),
    "projected-midpoint": matode.ProjectedRungeKutta(matode.midpoint),
}
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
    "augmented-bug-heun": third_party(steps.augmented_bug_heun, order=1, guarantees={"exact", "transpose"}),
    "ksl-strang": third_party(
        steps.ksl_strang,
        order=2,
        guarantees={"exact", "reversible", "norm", "energy"},
        substep="exact",
        family="ksl-strang",
    ),
    "midpoint-bug": third_party(
        steps.midpoint_bug,
        order=2,
        guarantees={"transpose", "norm", "energy", "descent", "symmetric", "skew", "psd"},
        substep="exact",
    ),
    "parallel-bug-2": third_party(
        steps.parallel_bug_2, order=2, guarantees={"transpose", "symmetric", "skew"}, substep="exact"
    ),
    "dense-rk4": third_party(
        steps.dense_rk4,
        order=4,
        guarantees={"exact", "transpose", "norm", "energy", "symmetric", "skew", "psd"},
        substep="exact",
    ),
    "randomised": third_party(
        steps.randomised, order=1, guarantees={"exact", "norm", "energy"}, substep="exact", random=True
    ),
    "riemannian-euler": third_party(steps.riemannian_euler, order=1, guarantees={"transpose", "symmetric", "skew"}),
}


def name(integrator):
    return f"{type(integrator).__name__}-{integrator.substep.name}"


# Our own integrators


@parametrize_with_checks(OURS)
def test_our_integrator(integrator, check):
    check(integrator)


@pytest.mark.parametrize("method", REST)
def test_the_rest_of_the_catalogue(method):
    check_integrator(method, profile="quick")


@pytest.mark.skip_backend("numpy", reason="the whole catalogue runs on it above")
@pytest.mark.skip_backend("numpy-readonly", reason="the same arithmetic; test_solve runs every method on it")
@pytest.mark.parametrize("method", ["prk3", "rk-bug-3", "step-truncation", "drsvd", "dgn"])
def test_the_newer_methods_on_other_libraries(method, backend):
    slow = {"order", "plateau", "accumulated_bound", "small_singular_values", "truncation", "rank_cap"}
    assert check_integrator(method, xp=backend, profile="quick", only=set(check_names()) - slow).ran >= 14


@pytest.mark.parametrize("method", VARIANTS)
def test_variants(method):
    slow = {"order", "plateau", "accumulated_bound"} if "dgn" in method or "drsvd" in method else set()
    check_integrator(VARIANTS[method], profile="quick", only=set(check_names()) - slow)


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
@pytest.mark.parametrize("integrator", [*OURS, *REST, *STRANGERS.values()], ids=str)
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
        (steps.augmented_bug_heun, "exact", "exact"),
        (steps.midpoint_bug, "exact", "exact"),
        (steps.parallel_bug_2, "exact", "exact"),
        (steps.cut_to_the_rank, "norm", "norm_kept"),
        (steps.normalised, "norm", "norm_kept"),
        (steps.dense_euler, "psd", "positive_semidefinite"),
        (steps.small_entries_dropped, "exact", "zero_field"),
    ],
)
@pytest.mark.parametrize("profile", ["default", "quick"])
def test_a_false_claim_is_rejected(function, guarantee, check, profile):
    substep = "euler" if function in (steps.parallel_bug, steps.dense_euler) else "exact"
    results = check_integrator(
        third_party(function, order=1, guarantees={guarantee}, substep=substep),
        on_fail="report",
        only=[check],
        profile=profile,
    )
    assert [result.status for result in results] == ["failed"]
    assert results[0].measured > results[0].bound
    assert f"{results[0].measured:.3e} exceeds {results[0].bound:.3e}" in results[0].reason


@pytest.mark.parametrize(
    ("function", "claimed", "true"), [(steps.ksl, 2, 1), (steps.midpoint_bug, 3, 2), (steps.dense_rk4, 6, 4)]
)
def test_a_false_order_is_rejected(function, claimed, true):
    stranger = third_party(function, order=claimed, guarantees=(), substep="exact")
    (result,) = check_integrator(stranger, on_fail="report", only=["order"])
    assert result.status == "failed"
    assert result.measured == pytest.approx(true, abs=0.3)


@pytest.mark.parametrize("seed", range(6, 10))
def test_a_slope_at_coarse_steps_is_no_false_alarm(seed):
    (result,) = check_integrator(STRANGERS["midpoint-bug"], only=["order"], seed=seed, on_fail="report")
    assert result.status in ("passed", "skipped")


def test_what_cannot_be_measured_has_not_passed():
    stranger = third_party(steps.dense_rk4, order=1, guarantees=(), substep="exact")
    (result,) = check_integrator(stranger, on_fail="report", only=["order"])
    assert result.status == "skipped"
    assert "exact to rounding or to the truncation" in result.reason


def test_only_who_says_so_is_random():
    stranger = third_party(steps.randomised, order=1, guarantees=(), substep="exact")
    (result,) = check_integrator(stranger, on_fail="report", only=["unitary_equivariance"])
    assert result.status == "failed"
    (result,) = check_integrator(STRANGERS["randomised"], on_fail="report", only=["unitary_equivariance"])
    assert result.status == "skipped"


def test_third_party_says_what_is_wrong():
    with pytest.raises(TypeError, match="function"):
        third_party(3, order=1, guarantees=())
    with pytest.raises(ValueError, match="unknown guarantee 'exakt'"):
        third_party(steps.ksl, order=1, guarantees={"exakt"})
    with pytest.raises(ValueError, match="unknown family"):
        third_party(steps.ksl, order=1, guarantees=(), family="klx")
    with pytest.raises(ValueError, match="substep"):
        third_party(steps.ksl, order=1, guarantees=(), substep="heun")
    with pytest.raises(TypeError, match="guarantees must be a collection of names, got the string 'exact'"):
        third_party(steps.ksl, order=1, guarantees="exact")
    with pytest.raises(TypeError, match="guarantees must be a collection of names, got None"):
        third_party(steps.ksl, order=1, guarantees=None)
    with pytest.raises(TypeError, match="contains 1"):
        third_party(steps.ksl, order=1, guarantees=[1, "exact"])
    for order in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="order must be finite and greater than 0"):
            third_party(steps.ksl, order=order, guarantees=())
    for truncation in (-1.0, 0.01, float("nan")):
        with pytest.raises(ValueError, match="truncation must lie between 0 and 1e-3"):
            third_party(steps.ksl, order=1, guarantees=(), truncation=truncation)
    for wrong in ("1", None):
        with pytest.raises(TypeError, match="truncation must be a number"):
            third_party(steps.ksl, order=1, guarantees=(), truncation=wrong)
        with pytest.raises(TypeError, match="order must be a number"):
            third_party(steps.ksl, order=wrong, guarantees=())


def _reason(function):
    stranger = third_party(function, order=1, guarantees=())
    (result,) = check_integrator(stranger, on_fail="report", only=["zero_field"])
    assert result.failed
    return result.reason


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda F, t, h, U, S, V: None, r"the step must return \(U, S, V\) of shapes \(\d+, k\), .*, got None"),
        (lambda F, t, h, U, S, V: (U, S), "got 2 items"),
        (lambda F, t, h, U, S, V: (U, None, V), r"got an array of shape \(\d+, 3\), None, an array"),
        (lambda F, t, h, U, S, V: (U, S, V.T), r"got an array .*, an array of shape \(3, \d+\)"),
        (lambda F, t, h, U, S, V: (U, S.diagonal(), V), r"an array of shape \(3,\)"),
        (lambda F, t, h, U, S, V: (U, F(S, t), V), r"F\(t, Y\) takes a time and a dense \d+ x \d+ array, got an array"),
        (lambda F, t, h, U, S, V: (U, F(t, U), V), r"an array of shape \(\d+, 3\) "),
        (lambda F, t, h, U, S, V: (U, float("nan") * S, V), "nan is not finite"),
        (lambda F, t, h, U, S, V: 1 / 0, r"ZeroDivisionError: division by zero \(draw 0, test_conformance.py:\d+\)"),
    ],
)
def test_a_step_is_told_what_it_did(function, sentence):
    assert re.search(sentence, _reason(function)), _reason(function)


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
    with pytest.raises(ConformanceError, match=f"Raises: {results.ran} of {results.ran} checks failed") as caught:
        check_integrator(Raises(), profile="quick")
    assert isinstance(caught.value.__cause__, ArithmeticError)
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
    assert results.ran == sum(result.status == "passed" for result in results) == 29
    assert len(results) == len(check_names())
    assert "29 checks ran, 0 failed" in str(results)


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
    with pytest.raises(ValueError, match="on_fail must be 'raise' or 'report'"):
        check_integrator(Stands(), on_fail="rais")
    with pytest.raises(ValueError, match="unknown backend 'nunpy'"):
        check_integrator(Stands(), xp="nunpy")
    for seed in (-1, 0.5, None, "0"):
        with pytest.raises(ValueError, match="seed must be a non-negative integer"):
            check_integrator(Stands(), seed=seed)


def test_what_is_of_the_wrong_kind_is_said():
    with pytest.raises(TypeError, match=r"got bug: wrap it with third_party\(...\)"):
        check_integrator(steps.bug)
    with pytest.raises(TypeError, match="got the class KSL"):
        check_integrator(matode.KSL)
    with pytest.raises(TypeError, match="only must be a collection of names, got the string 'exact'"):
        check_integrator(Stands(), only="exact")
    with pytest.raises(TypeError, match="guarantees must be a collection of names"):
        check_integrator(Stands(), guarantees="exact")
    with pytest.raises(TypeError, match="expected_failures must be a mapping of names of checks to reasons, got list"):
        check_integrator(Stands(), expected_failures=["exact"])


def test_the_error_has_the_name_of_the_function():
    stranger = third_party(steps.small_entries_dropped, order=1, guarantees=(), substep="exact")
    with pytest.raises(ConformanceError, match="small_entries_dropped: 1 of 1 checks failed"):
        check_integrator(stranger, only=["zero_field"])
    assert check_integrator(matode.KSL(), xp="numpy", only=["zero_field"]).success


def test_nothing_ran_is_no_success():
    with pytest.raises(ConformanceError, match=r"(?s)no check ran.*projector splitting only"):
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
