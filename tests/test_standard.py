"""The standard experiments of the literature: small runs of each, and what happens when a number is not met."""

from __future__ import annotations

import dataclasses

import pytest

from experiments import progress, standard
from matode import Absolute, problems

TINY = standard.Settings(
    data_methods=("bug", "augmented-bug", "drsvd", "prk2", "prk3"),
    rotation_ranks=(4,),
    block_ranks=(10,),
    data_steps=(0.1,),
    schroedinger_steps=(0.1,),
    path_step=0.05,
    second_order_n=30,
    second_order_ranks=(3,),
    second_order_steps=(0.1, 0.05),
)


@pytest.fixture
def results(standard_run):
    return {name: standard_run.table(name) for name in standard_run.tables()}


def test_stated_errors_are_met(results):
    rows = {(row["method"], row["rank"]): row for row in results["schroedinger"]}
    assert set(rows) == {*standard.STATED, ("ksl", 8), ("ksl-strang", 8)}
    for key, stated in standard.STATED.items():
        assert rows[key]["stated"] == stated[0]
        assert abs(rows[key]["error"] / stated[0] - 1) <= 0.05  # two digits are given


def test_norm_and_energy_are_kept_over_time_where_theory_says_so(results):
    ends = {(row["method"], row["start"]): row for row in results["schroedinger_paths"]}
    assert ends["bug", 30]["rank"] == 30
    for drift in ("norm_drift", "energy_drift"):
        kept = [ends[name, 8][drift] for name in ("ksl", "augmented-bug", "midpoint-bug")]
        lost = [ends[name, 8][drift] for name in ("bug", "parallel-bug")]
        assert max(kept) < 1e-4
        assert min(lost) > 5e-4


def test_rotating_frames_as_an_equation_show_the_order_of_the_method(results):
    error = {row["method"]: row["error"] / row["best"] for row in results["rotation_field"]}
    assert error["prk2"] == pytest.approx(1, abs=0.01)
    assert error["bug"] == pytest.approx(1.07, abs=0.01)  # first order, just above the plateau


def test_given_data_is_met_up_to_the_best_approximation(results):
    for name in ("rotation", "lubich_oseledets"):
        assert len(results[name]) == len(TINY.data_methods)
        for row in results[name]:
            assert row["best"] <= row["error"] <= 2 * row["best"]


def test_exactness_is_seen_where_it_is_claimed_and_orders_are_observed(results):
    for row in results["exactness"]:
        assert not row["exact_in_theory"] or row["relative_error"] <= 1e-12
    missed = {row["method"] for row in results["exactness"] if row["relative_error"] > 1e-3}
    assert missed == {"parallel-bug", "prk1", "step-truncation"}
    orders = {row["method"]: row["observed_order"] for row in results["second_order"] if row["observed_order"]}
    assert orders["parallel-bug"] == pytest.approx(1, abs=0.1)
    assert orders["rk-bug-2"] == pytest.approx(2, abs=0.1)


def test_first_order_part_of_the_parallel_method_is_the_normal_component_at_the_start():
    """At small steps nothing else is left of its error: h times that component, which is known beforehand."""
    problem = problems.schroedinger(60, 5, periodic=True, kinetic=-1.0)
    row = standard._solved(problem, "parallel-bug-2", 0.02, rule=Absolute(1e-8))
    assert row["error"] == pytest.approx(0.02 * standard._start_normal(problem), rel=0.1)


def test_a_number_that_is_not_met_is_an_error_after_the_tables_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(standard, "STATED", {("bug", 4): (1e-2,) * 4})
    tiny = dataclasses.replace(TINY, data_methods=(), second_order_ranks=())
    with pytest.raises(standard.NotReproducedError, match=r"bug, rank 4, h = 0\.1: 7\.51e-02 against 1\.0e-02"):
        standard.run(tiny, tmp_path, progress.silent, "numpy")
    assert len(list(tmp_path.glob("*.csv"))) >= 2


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"data_methods: expected some of ksl, .*, got kls2"):
        standard.Settings(data_methods=("kls2",))
    with pytest.raises(ValueError, match="schroedinger_steps: expected positive numbers"):
        standard.Settings(schroedinger_steps=(0.0,))
