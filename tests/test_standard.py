"""The standard experiments of the literature: small runs of each, and what happens when a number is not met."""

from __future__ import annotations

import dataclasses

import pytest

from experiments import progress, standard, tables

TINY = standard.Settings(
    data_methods=("bug", "prk2"),
    rotation_ranks=(4,),
    block_ranks=(10,),
    data_steps=(0.1,),
    schroedinger_steps=(0.1,),
    second_order_n=30,
    second_order_ranks=(3,),
    second_order_steps=(0.1, 0.05),
)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("standard")
    standard.run(TINY, folder, progress.silent, "numpy")
    return {path.stem: tables.read(path) for path in folder.glob("*.csv")}


def test_stated_errors_are_met(results):
    rows = {(row["method"], row["rank"]): row for row in results["schroedinger"]}
    assert set(rows) == {*standard.STATED, ("ksl", 8), ("ksl-strang", 8)}
    for key, stated in standard.STATED.items():
        assert rows[key]["stated"] == stated[0]
        assert abs(rows[key]["error"] / stated[0] - 1) <= 0.05  # two digits are given


def test_given_data_is_met_up_to_the_best_approximation(results):
    for name in ("rotation", "lubich_oseledets"):
        assert len(results[name]) == 2
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
