"""The benchmarks run: their kernels exist, their counts name kernels, the command writes its files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from experiments import tables
from experiments.__main__ import main
from experiments.bench import batches, by_hand, command, integrators, limits, profiles, ratios, scaling, timing
from experiments.bench.cases import allen_cahn, lyapunov
from experiments.bench.ratios import Ratio
from experiments.bench.setting import Bench, Setting
from matode import INTEGRATORS
from nn.compiled import kernels


@pytest.mark.parametrize("case", [lyapunov(36, 2), allen_cahn(36, 2)], ids=lambda case: case.name)
def test_every_counted_kernel_can_be_timed(case):
    known = limits.kernels(case)
    for kernel in known.values():
        kernel()
    counted = {name: limits.counts(name, case) for name in INTEGRATORS}
    assert counted["augmented-bug"] is not None
    for needed in counted.values():
        assert needed is None or set(needed) <= set(known)


def test_rows_have_their_ratio(monkeypatch):
    monkeypatch.setattr(
        integrators, "interleaved", lambda calls, n: {name: call() and 1.0 for name, call in calls.items()}
    )
    monkeypatch.setattr(integrators, "kernels", lambda case: {name: lambda: 2.0 for name in limits.kernels(case)})
    rows = integrators._rows(lyapunov(36, 2), 1)
    assert {row["integrator"] for row in rows} == set(INTEGRATORS)
    row = next(row for row in rows if row["integrator"] == "augmented-bug")
    needed = limits.counts("augmented-bug", lyapunov(36, 2))
    blas = sum(count for name, count in needed.items() if name not in limits.ELEMENTWISE)
    assert row["ratio"] == pytest.approx(1.0 / blas)
    assert row["ratio_elementwise"] == pytest.approx(1.0 / sum(needed.values()))


@pytest.mark.parametrize(("n", "r"), [(36, 3), (144, 8)])
def test_the_step_by_hand_is_the_step_of_the_integrator(n, r):
    case = lyapunov(n, r)
    A = case.A + sparse.diags_array([np.linspace(0.0, 1.0, n - 1)], offsets=[1])  # not symmetric
    case = replace(case, A=A, F=lambda t, Y: A @ Y + Y @ A + case.C)
    U, S, V = by_hand.step(case, 0.01)()
    ours = integrators.step("augmented-bug", case, 0.01)().Y[0]
    difference = U @ S @ V.T - ours.U @ ours.S @ ours.V.T
    assert S.shape == ours.S.shape == (r, r)
    assert np.linalg.norm(difference) <= 1e-12 * np.linalg.norm(S)


def test_medians_of_interleaved_calls():
    order = []
    seconds = timing.interleaved({name: lambda name=name: order.append(name) for name in "ab"}, 3, warm_up=1, batch=0.0)
    assert order[-6:] == list("ababab")
    assert set(seconds) == {"a", "b"}


@pytest.mark.parametrize(
    ("batch", "lead", "calls"),
    [(0.9, 0.0, 1), (1.5, 0.0, 1 + 1), (2.5, 0.0, 1 + 2), (0.9, 0.5, 1 + 1), (0.9, 2.5, 3 + 1), (2.5, 2.5, 3 + 2)],
)
def test_short_calls_and_those_after_a_lead_are_measured_after_some_that_are_not(batch, lead, calls):
    made = []

    def clock(call):  # a second each
        before = len(made)
        call()
        return float(len(made) - before)

    seconds = timing.interleaved({"a": lambda: made.append("a")}, 4, warm_up=0, batch=batch, lead=lead, clock=clock)
    assert len(made) == 1 + 4 * calls
    assert seconds == {"a": 1.0}


@pytest.mark.parametrize("quick", [False, True])
def test_between_two_libraries_there_is_a_pause_and_a_lead(monkeypatch, quick):
    asked = []
    monkeypatch.setattr(timing, "interleaved", lambda calls, rounds, **pace: asked.append((rounds, pace)) or {"a": 2.0})
    assert timing.milliseconds(Setting(quick=quick), {"a": int}, 7, warm_up=2, batch=0.5) == {"a": 2000.0}
    ((rounds, pace),) = asked
    assert pace.pop("clock")(int) >= 0.0
    assert rounds == 7
    assert pace == ({"warm_up": 1, "batch": 0.0} if quick else {"warm_up": 2, "batch": 0.5, "pause": 0.3, "lead": 0.2})


def test_what_a_second_thread_brings_is_measured_where_there_is_one(monkeypatch):
    limits = pytest.importorskip("threadpoolctl").threadpool_limits
    asked = []
    monkeypatch.setattr("threadpoolctl.threadpool_limits", lambda n, user_api: asked.append(n) or limits(n, user_api))

    def timed(*_, **pace):
        if asked != [1]:
            return {"both": 2.0}
        asked.append(0)
        return {"both": 3.0}

    monkeypatch.setattr(timing, "interleaved", timed)
    monkeypatch.setattr(timing, "threads", lambda: (1, "BLAS"))
    assert timing.speedup() is None
    assert asked == []
    monkeypatch.setattr(timing, "threads", lambda: (2, "BLAS"))
    assert timing.speedup() == 1.5
    assert asked == [1, 0]


def test_exponent_of_a_power_law():
    rows = [{"substep": "Euler", "n": n, "seconds": 3e-9 * n**1.5} for n in (10, 100, 1000)]
    assert scaling.exponent(rows, "Euler") == pytest.approx(1.5)


def test_the_command_writes_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(scaling, "interleaved", lambda calls, n, **pace: dict.fromkeys(calls, 1.0))
    monkeypatch.setattr(scaling, "QUICK_SIZES", (1000, 10000))
    assert main(["bench", "scaling", "--quick", "--out", str(tmp_path)]) == 0
    rows = tables.read(tmp_path / "scaling.csv")
    assert {row["n"] for row in rows} == {1000, 10000}
    assert all(row["numbers_per_factor_entry"] <= 12.0 for row in rows if row["substep"] == "Euler")
    said = capsys.readouterr().out
    assert "BLAS" in said
    assert f"compiled passes of convolutions: {'by Numba' if kernels(np.ones(1)) else 'none'}\n" in said


def test_names_of_benchmarks(capsys, tmp_path):
    assert command.chosen(["scaling", "training"]) == ["mlp", "lenet5", "scaling"]
    assert command.chosen([]) == list(command.BENCHES)
    assert main(["bench", "integrator", "--out", str(tmp_path)]) == 2
    assert "did you mean 'integrators'?" in capsys.readouterr().err


def test_ratios_say_whether_their_goal_is_met():
    met, missed, free = (Ratio("work", "ours", 2.0, "theirs", 4.0, goal) for goal in (0.5, 0.4, None))
    assert [x.met for x in (met, missed, free)] == [True, False, None]
    assert [row["ratio"] for row in ratios.rows([met, missed])] == [0.5, 0.5]
    table = ratios.markdown([met, missed, free]).splitlines()
    assert table[2] == "| work | ours | 2 ms | theirs | 4 ms | 0.50 | 0.5, met |"
    assert table[3] == "|  | ours | 2 ms | theirs | 4 ms | 0.50 | 0.4, not met |"
    assert table[4].endswith("| 0.50 |  |")


def test_goals_of_large_sizes():
    rows = [
        {"n": n, "r": 10, "substep": "Euler", "seconds": t, "numbers_per_factor_entry": 8.0}
        for n, t in ((10**5, 0.1), (10**6, 1.2), (10**7, 13.2))
    ]
    found = scaling.ratios(rows)
    assert [round(x.ratio, 3) for x in found] == [0.8, 0.667, 1.1, 0.667]
    assert [x.met for x in found] == 4 * [True]
    assert scaling.ratios(rows[:1]) == []


def test_beyond_a_million_only_euler_substeps_are_timed(monkeypatch):
    monkeypatch.setattr(scaling, "lyapunov", lambda n, r, five_point: lyapunov(36, 2))
    lines = []
    rows = scaling.measured((10**6, 10**7), lines.append)
    assert [(row["n"], row["substep"]) for row in rows] == [(10**6, "Euler"), (10**6, "RK4"), (10**7, "Euler")]
    assert "Euler: time grows" in lines[-1]


def test_room_in_memory(tmp_path):
    file = tmp_path / "meminfo"
    for gigabytes, enough in ((22, True), (14, False)):
        file.write_text(f"MemTotal: 1 kB\nMemAvailable:   {gigabytes * 2**20} kB\n")
        assert (scaling.room(file) >= scaling.LARGEST) == enough
    assert scaling.room(tmp_path / "none") == 10**6


def test_benchmarks_of_small_matrices_run_with_one_thread(tmp_path, monkeypatch):
    limits = pytest.importorskip("threadpoolctl").threadpool_limits
    lines, seen = [], []
    found = Bench([{"a": 1}])
    for name in ("integrators", "mlp"):
        monkeypatch.setitem(command.BENCHES, name, lambda setting: seen.append(timing.threads()[0]) or found)
    with limits(2, user_api="blas"):
        command.run(["integrators", "mlp"], Setting(say=lines.append), tmp_path)
    assert seen == [1, 2]


def test_profiles_share_out_all_of_the_time(monkeypatch):
    cases = {"case": (lambda: timing._repeated(len, 1) and sorted(range(1000)), 3)}
    monkeypatch.setattr(profiles, "_cases", lambda setting: cases)
    rows = profiles.run(Setting(quick=True, say=lambda line: None)).rows
    assert {"timing", profiles._BUILT_IN} < {row["module"] for row in rows}
    assert sum(row["share"] for row in rows) == pytest.approx(1.0)
    assert next(row["calls"] for row in rows if row["module"] == "timing") == 1


def test_every_profiled_case_runs(monkeypatch):
    monkeypatch.setattr(batches, "images", lambda count, say: batches.clouds(count))
    for call, _ in profiles._cases(Setting(quick=True, say=lambda line: None)).values():
        call()
