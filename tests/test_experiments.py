"""Experiments: the registry, settings, folders of runs, and what the tables hold."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest

from experiments import __main__ as cli
from experiments import (
    backends,
    certificate,
    convergence,
    mnist_mlp,
    progress,
    published_defect,
    recording,
    registry,
    runs,
    tables,
    tolerance,
)
from experiments.progress import silent
from experiments.settings import SettingError, override
from matode import LowRank, Relative, bounds, euler, problems
from nn.baselines_published import PublishedTruncation
from nn.data import Dataset

TINY = convergence.Settings(
    lyapunov_ranks=(3,), schroedinger_ranks=(3,), steps=(0.1, 0.05, 0.025), n=16, T=0.2, theta=1e-9, max_rank=16
)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Settings of the experiment that the tests of folders use."""

    value: int = 1
    factor: float = 0.5
    names: tuple[str, ...] = ("a",)
    ranks: tuple[int, ...] = (4, 8)
    flag: bool = False


@pytest.fixture
def counted():
    """An experiment that writes one table, and the list of the settings it was run with."""
    calls = []

    def run(settings, folder, report, backend):
        calls.append(settings)
        tables.write(folder / "numbers.csv", [{"value": settings.value}])

    return registry.Experiment("counted", "counts its runs", run, Wanted(), Wanted(value=9), (1, 2)), calls


@pytest.fixture
def digits(monkeypatch):
    """A data set like the digits, made up: classes are bright rows of an 8 x 8 image."""
    rng = np.random.default_rng(0)

    def part(count):
        labels = rng.integers(0, 8, count)
        images = 0.1 * rng.standard_normal((count, 1, 8, 8))
        images[np.arange(count), 0, labels, :] += 1.0
        return images.astype(np.float32), labels.astype(np.int64)

    made = Dataset("digits", *part(320), *part(80), "made up")
    monkeypatch.setattr("nn.data.load", lambda name: made)
    return made


# the registry and the command line


def test_every_experiment_has_two_presets_of_one_frozen_type():
    assert {"convergence", "mnist-mlp"} <= set(registry.EXPERIMENTS)
    for name, experiment in registry.EXPERIMENTS.items():
        assert experiment.name == name
        assert type(experiment.quick) is type(experiment.full)
        assert dataclasses.fields(experiment.quick)
        with pytest.raises(dataclasses.FrozenInstanceError):
            experiment.quick.seed = 1
        assert experiment.preset(True) is experiment.quick
        assert experiment.preset(False) is experiment.full


def test_list_names_every_experiment(capsys):
    assert cli.main(["list"]) == 0
    printed = capsys.readouterr().out
    for name, experiment in registry.EXPERIMENTS.items():
        assert name in printed
        assert experiment.duration(True) in printed


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["run", "convergense"], "did you mean 'convergence'?"),
        (["run", "convergence", "--set", "lyapunov_rank=4"], "did you mean 'lyapunov_ranks'?"),
        (["run", "convergence", "--set", "methods=kls2"], "expected some of ksl"),
    ],
)
def test_a_wrong_name_ends_with_one_sentence_and_computes_nothing(arguments, hint, tmp_path, capsys):
    assert cli.main([*arguments, "--out", str(tmp_path / "out")]) == 2
    captured = capsys.readouterr()
    assert hint in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_command_line_runs_skips_and_repeats(counted, monkeypatch, tmp_path, capsys):
    experiment, calls = counted
    monkeypatch.setattr(cli, "get", lambda name: experiment)
    command = ["run", "counted", "--quick", "--set", "value=3", "--out", str(tmp_path)]
    assert cli.main(command) == 0
    assert "numbers.csv" in capsys.readouterr().out
    assert cli.main(command) == 0
    assert "finished already" in capsys.readouterr().out
    assert calls == [Wanted(value=3)]
    assert cli.main([*command, "--again"]) == 0
    assert len(calls) == 2
    assert cli.main(["run", "counted", "--quick", "--out", str(tmp_path)]) == 2
    assert "value: 3, not 1" in capsys.readouterr().err
    assert len(calls) == 2


# settings


def test_override_reads_values_by_the_type_of_the_field():
    changed = override(Wanted(), ["value=7", "factor=2", "names=x,y", "ranks=5", "flag=True"])
    assert changed == Wanted(value=7, factor=2.0, names=("x", "y"), ranks=(5,), flag=True)
    assert isinstance(changed.factor, float)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("valeu=7", "did you mean 'value'?"),
        ("zzzzzz=7", "expected one of value, factor"),
        ("value=7.5", "takes an integer"),
        ("value=True", "takes an integer"),
        ("factor=big", "takes a number"),
        ("ranks=4,x", "takes an integer"),
        ("value", "expected key=value"),
    ],
)
def test_override_refuses_what_does_not_fit(assignment, message):
    with pytest.raises(SettingError, match=message.replace("?", r"\?")):
        override(Wanted(), [assignment])


# folders of runs


def test_a_finished_run_is_recognised_and_not_repeated(counted, tmp_path):
    experiment, calls = counted
    assert runs.find(experiment, True, tmp_path) is None
    first = runs.execute(experiment, experiment.quick, quick=True, out=tmp_path)
    second = runs.execute(experiment, experiment.quick, quick=True, out=tmp_path)
    assert calls == [experiment.quick]
    assert first == second == runs.find(experiment, True, tmp_path)
    assert first.folder == tmp_path / "counted-quick"
    assert first.settings == {"value": 1, "factor": 0.5, "names": ["a"], "ranks": [4, 8], "flag": False}
    assert first.table("numbers") == [{"value": 1}]
    assert {"python", "cpu_count", "date", "libraries", "blas", "commit", "seconds"} <= set(first.environment)
    assert [path.name for path in tmp_path.iterdir()] == ["counted-quick"]


def test_a_configuration_is_also_read_as_json(counted, tmp_path):
    experiment, calls = counted
    run = runs.execute(experiment, experiment.quick, quick=True, out=tmp_path)
    (run.folder / "config.toml").unlink()
    (run.folder / "config.json").write_text(json.dumps(run.config))
    assert runs.execute(experiment, experiment.quick, quick=True, out=tmp_path) == run
    assert len(calls) == 1


def test_results_of_an_older_version_do_not_count(counted, tmp_path):
    experiment, calls = counted
    runs.execute(experiment, experiment.quick, quick=True, out=tmp_path)
    newer = dataclasses.replace(experiment, version=2)
    assert runs.find(newer, True, tmp_path) is None
    assert runs.execute(newer, newer.quick, quick=True, out=tmp_path).config["version"] == 2
    assert len(calls) == 2


def test_other_settings_are_an_error_that_names_them(counted, tmp_path):
    experiment, _ = counted
    runs.execute(experiment, experiment.quick, out=tmp_path)
    with pytest.raises(runs.OtherSettingsError, match="value: 1, not 5"):
        runs.execute(experiment, Wanted(value=5), out=tmp_path)
    with pytest.raises(runs.OtherSettingsError, match="backend"):
        runs.execute(experiment, experiment.quick, out=tmp_path, backend="cupy")
    assert runs.execute(experiment, Wanted(value=5), out=tmp_path, again=True).settings["value"] == 5


def test_a_folder_appears_only_when_it_is_complete(counted, tmp_path):
    experiment, _ = counted
    seen = []

    def run(settings, folder, report, backend):
        seen.append((tmp_path / "counted").exists())
        assert folder.parent == tmp_path  # on one file system, so that the renaming is atomic

    runs.execute(dataclasses.replace(experiment, run=run), experiment.full, out=tmp_path)
    assert seen == [False]
    assert (tmp_path / "counted" / "config.toml").is_file()


def test_a_failed_run_is_kept_aside_and_is_not_finished(counted, tmp_path):
    experiment, calls = counted

    def run(settings, folder, report, backend):
        experiment.run(settings, folder, report, backend)
        raise ArithmeticError("no")

    with pytest.raises(ArithmeticError):
        runs.execute(dataclasses.replace(experiment, run=run), experiment.full, out=tmp_path)
    assert runs.find(experiment, False, tmp_path) is None
    assert tables.read(tmp_path / "counted.failed" / "numbers.csv") == [{"value": 9}]
    runs.execute(experiment, experiment.full, out=tmp_path)
    assert len(calls) == 2


def test_an_interrupt_ends_with_a_sentence(counted, monkeypatch, tmp_path, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.runs, "execute", interrupted)
    assert cli.main(["run", "convergence", "--quick", "--out", str(tmp_path)]) == 130
    assert "nothing was stored" in capsys.readouterr().err


def test_an_interrupted_run_leaves_nothing_and_the_old_one_stays(counted, tmp_path):
    experiment, _ = counted
    runs.execute(experiment, experiment.full, out=tmp_path)

    def run(settings, folder, report, backend):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runs.execute(dataclasses.replace(experiment, run=run), Wanted(value=4), out=tmp_path, again=True)
    assert [path.name for path in tmp_path.iterdir()] == ["counted"]
    assert runs.find(experiment, False, tmp_path).settings["value"] == 9


def test_an_interrupted_run_of_a_resumable_experiment_goes_on(counted, tmp_path, monkeypatch, capsys):
    experiment, _ = counted
    calls = []

    def run(settings, folder, report, backend):
        calls.append((settings.value, (folder / "half.csv").exists()))
        tables.write(folder / "half.csv", [{"value": settings.value}])
        if len(calls) < 4:
            raise KeyboardInterrupt

    now = itertools.count(0.0, 10.0)
    monkeypatch.setattr(runs.time, "perf_counter", lambda: next(now))
    experiment = dataclasses.replace(experiment, run=run, resumable=True)
    for value, again in ((1, False), (1, True), (2, False)):
        with pytest.raises(KeyboardInterrupt):
            runs.execute(experiment, Wanted(value=value), out=tmp_path, again=again)
    assert [path.name for path in tmp_path.iterdir()] == [".counted.unfinished"]
    finished = runs.execute(experiment, Wanted(value=2), out=tmp_path)
    assert finished.environment["seconds"] == 20.0  # ten of the interrupted run and ten of this one
    assert calls == [(1, False), (1, True), (2, False), (2, True)]
    assert [path.name for path in tmp_path.iterdir()] == ["counted"]
    monkeypatch.setattr(cli, "get", lambda name: dataclasses.replace(experiment, run=_interrupted))
    assert cli.main(["run", "counted", "--again", "--out", str(tmp_path)]) == 130
    assert "the same command goes on from here" in capsys.readouterr().err


def _interrupted(*arguments):
    raise KeyboardInterrupt


# small parts


def test_tables_come_back_as_they_were(tmp_path):
    rows = [
        {"name": "a, b", "x": 0.1 + 0.2, "n": 3, "ok": True, "none": None},
        {"name": "c", "x": float("inf"), "n": -1, "ok": False, "none": 2},
    ]
    tables.write(tmp_path / "t.csv", rows)
    assert tables.read(tmp_path / "t.csv") == rows
    tables.write(tmp_path / "numpy.csv", [{"x": np.float64(0.5), "n": np.int64(3)}])
    assert tables.read(tmp_path / "numpy.csv") == [{"x": 0.5, "n": 3}]
    with pytest.raises(ValueError, match="different columns"):
        tables.write(tmp_path / "t.csv", [{"a": 1}, {"b": 1}])


def test_progress_in_lines_reports_tenths(capsys):
    with progress.terminal("title") as report:
        half = progress.part(report, 0.0, 0.5)
        for k in range(101):
            half(k / 100, "first")
        report(1.0, "last")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 7
    assert lines[0].startswith("title:   0%")
    assert lines[-1].startswith("title: 100%")
    assert lines[-1].endswith("last")


@pytest.mark.parametrize("available", [False, True])
def test_cupy_is_chosen_where_it_computes_and_else_one_sentence_says_why_not(available, monkeypatch):
    monkeypatch.setattr(backends, "gpu_available", lambda: (available, "" if available else "no card"))
    name, sentence = backends.choose("cupy")
    assert name == ("cupy" if available else "numpy")
    assert ("no card" in sentence) is not available
    assert backends.choose("numpy") == ("numpy", "")


# convergence


def test_the_normal_component_is_the_part_outside_the_tangent_space():
    Y = LowRank.random((9, 7), 2, rng=1)
    stretched = LowRank(Y.U * np.asarray([2.0, 3.0]), Y.S, Y.V)  # columns need not be orthonormal
    U, V, F = Y.U, Y.V, np.random.default_rng(2).standard_normal((9, 7))
    tangent = U @ U.T @ F + F @ V @ V.T - U @ U.T @ F @ V @ V.T
    normal, size = recording.measure(F, stretched)
    assert normal == pytest.approx(np.linalg.norm(F - tangent), rel=1e-12)
    assert size == pytest.approx(np.linalg.norm(F), rel=1e-12)
    inside, _ = recording.measure(U @ F[:2] + F[:, :2] @ V.T, stretched)
    assert inside < 1e-14 * size


def test_recorded_keeps_the_largest_of_all_evaluations():
    Y = LowRank.random((6, 6), 2, rng=0)
    F = recorded = recording.Recorded(lambda t, Y: t * np.eye(6))
    for t in (1.0, 3.0, 2.0):
        F(t, Y)
    assert recorded.size == pytest.approx(3 * np.sqrt(6))
    assert recorded.eps == pytest.approx(3 * recording.measure(np.eye(6), Y)[0])


@pytest.fixture(scope="module")
def converged(tmp_path_factory):
    """The tables of a small run of the convergence experiment."""
    folder = tmp_path_factory.mktemp("convergence")
    convergence.run(TINY, folder, progress.silent, "numpy")
    return {path.stem: tables.read(path) for path in folder.glob("*.csv")}


@pytest.mark.parametrize("problem", TINY.problems)
def test_no_error_is_above_its_bound(converged, problem):
    rows = converged[problem]
    assert len(rows) == len(TINY.methods) * len(TINY.steps)
    for row in rows:
        assert 0 < row["error"] <= row["bound_one_sided"] <= row["bound"]
        assert row["violated"] is False
        assert 0 < row["largest_field"]
        assert row["theta"] <= TINY.theta or row["final_rank"] == TINY.max_rank
    assert all(row["violated"] is False for row in converged["constants"])


@pytest.mark.parametrize("problem", TINY.problems)
def test_errors_decrease_with_the_step_and_so_do_bounds(converged, problem):
    for method in TINY.methods:
        rows = [row for row in converged[problem] if row["method"] == method]
        assert [row["h"] for row in rows] == list(TINY.steps)
        for larger, smaller in itertools.pairwise(rows):
            assert smaller["error"] <= 1.0001 * larger["error"]
            assert smaller["bound"] < larger["bound"]
    bug = [row["error"] for row in converged[problem] if row["method"] == "bug"]
    assert bug[-1] < 0.75 * bug[0]


def test_the_stored_bound_is_the_theorems(converged):
    problem = problems.schroedinger(16, 3, T=0.2)
    row = next(row for row in converged["schroedinger"] if row["method"] == "ksl")
    local = bounds.ksl(L=problem.L, B=problem.B, eps=row["eps"], h=0.1)
    assert row["bound"] == pytest.approx(
        bounds.global_bound(local, L=problem.L, h=0.1, T=0.2, start_error=problem.start_error)
    )
    assert row["bound_one_sided"] == pytest.approx(problem.start_error + 2 * local)


def test_the_schroedinger_flow_is_an_isometry_and_the_lyapunov_flow_a_contraction(converged):
    lyapunov, schroedinger = converged["constants"]
    assert schroedinger["skew"] < 1e-14
    assert schroedinger["one_sided"] == 0
    assert lyapunov["skew"] > 0.1
    assert lyapunov["one_sided_seen"] <= lyapunov["one_sided"] < 0


def test_every_backend_gives_the_numbers_of_numpy(converged, backend, tmp_path):
    settings = dataclasses.replace(TINY, steps=TINY.steps[:1])
    convergence.run(settings, tmp_path, progress.silent, backend)
    for problem in TINY.problems:
        expected = [row for row in converged[problem] if row["h"] == TINY.steps[0]]
        for row, other in zip(tables.read(tmp_path / f"{problem}.csv"), expected, strict=True):
            for key in ("error", "bound", "bound_one_sided", "eps"):
                assert row[key] == pytest.approx(other[key], rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("change", [{"L": 1.0}, {"one_sided": -1e-3}])
def test_a_constant_that_does_not_hold_is_seen(change):
    case = certificate.Case.of(problems.schroedinger(8, 2, T=0.1))
    backend = convergence.get_backend()
    assert certificate.check_constants(case, backend, 0)["violated"] is False
    assert certificate.check_constants(dataclasses.replace(case, **change), backend, 0)["violated"] is True


def test_an_error_above_its_bound_fails_loudly_and_leaves_the_numbers(monkeypatch, tmp_path):
    monkeypatch.setattr(certificate.Case, "bounds_of_stages", lambda *arguments: (1e-9, 1e-9))
    experiment = dataclasses.replace(registry.get("convergence"), quick=TINY)
    with pytest.raises(convergence.BoundViolatedError, match=r"lyapunov, bug, rank 3, h = 0\.1"):
        runs.execute(experiment, TINY, quick=True, out=tmp_path)
    assert runs.find(experiment, True, tmp_path) is None
    assert any(row["violated"] for row in tables.read(tmp_path / "convergence-quick.failed" / "lyapunov.csv"))


def test_substeps_of_rk4_are_bounded_by_the_series_that_they_cut():
    """One RK4 step of z' = L z misses the exponential by less than the bound, which is not much larger."""
    case = certificate.Case.of(problems.schroedinger(8, 2, T=0.1))
    h = 0.01
    z = h * case.L
    missed = case.B / case.L * sum(z**k / math.factorial(k) for k in range(5, 15))
    passed_on = (4 + 2 * z) * math.exp(z) * missed / bounds.ksl(L=case.L, B=case.B, eps=0.1, h=h)
    assert passed_on < case.substep_share("ksl", 0.1, h, 1) < 1.2 * passed_on
    assert passed_on / 300 < case.substep_share("ksl", 0.1, h, 4) < passed_on / 200


# training


def test_training_stores_every_epoch_and_the_ranks_from_the_start_on(digits, tmp_path):
    settings = mnist_mlp.Settings(width=16, hidden=2, rank=12, small_epochs=3, small_batch_size=32, every=4, lr=0.5)
    mnist_mlp.run(settings, tmp_path, progress.silent, "numpy")
    (used,) = tables.read(tmp_path / "data.csv")
    assert used == {
        "data": "digits",
        "train_examples": 320,
        "test_examples": 80,
        "layers": "64-16-16-10",
        "batch_size": 32,
    }
    epochs = tables.read(tmp_path / "epochs.csv")
    assert [(row["net"], row["epoch"]) for row in epochs] == [(net, k) for net in ("dlrt", "dense") for k in (1, 2, 3)]
    for net in ("dlrt", "dense"):
        first, *_, last = [row for row in epochs if row["net"] == net]
        assert last["loss"] < first["loss"]
        assert last["test_accuracy"] > 0.5
        assert (last["rank_1"] is None) is (net == "dense")
    steps = [row for row in tables.read(tmp_path / "steps.csv") if row["net"] == "dlrt"]
    assert [row["step"] for row in steps] == [0, 1, 2, 3, *range(4, 31, 4)]
    assert (steps[0]["rank_1"], steps[0]["rank_2"]) == (12, 12)
    assert steps[-1]["epoch"] == pytest.approx(2.8)


def test_the_gain_scales_hidden_weights_and_nothing_else():
    model = mnist_mlp.mlp((6, 5, 4, 3), rank=[2, 2, None])
    one, half = (
        mnist_mlp.start(model, mnist_mlp.Settings(hidden=2, gain=gain), convergence.get_backend())
        for gain in (1.0, 0.5)
    )
    for i, (a, b) in enumerate(zip(one, half, strict=True)):
        a, b = (np.asarray(block.to_dense() if isinstance(block, LowRank) else block) for block in (a, b))
        np.testing.assert_allclose(b, 0.5 * a if i in (0, 2) else a, rtol=1e-6)


def test_the_gain_reaches_the_training(digits, tmp_path):
    """With hidden weights close to zero the first outputs are zero, so that the first loss is log 10."""
    for gain, expected in ((1e-6, True), (2.0, False)):
        settings = mnist_mlp.Settings(width=12, hidden=2, rank=8, small_epochs=1, gain=gain, lr=1e-3)
        mnist_mlp.run(settings, tmp_path, progress.silent, "numpy")
        first = [row["loss"] for row in tables.read(tmp_path / "steps.csv") if row["step"] == 0]
        assert [loss == pytest.approx(math.log(10), rel=1e-4) for loss in first] == [expected] * 2


def test_the_environment_names_no_path(counted, tmp_path):
    experiment, _ = counted
    run = runs.execute(experiment, experiment.full, out=tmp_path)
    text = json.dumps(run.environment)
    assert "/" not in text.replace("\\/", "/")


def test_the_published_truncation_is_rejected_and_does_not_learn(digits, tmp_path):
    settings = published_defect.Settings(
        width=24, hidden=2, rank=16, small_epochs=6, small_batch_size=16, every=4, lr=0.5, tau=0.1
    )
    published_defect.run(settings, tmp_path, progress.silent, "numpy")
    checks = tables.read(tmp_path / "checks.csv")
    failed = {net: {row["check"] for row in checks if row["net"] == net and row["status"] == "failed"} for net in NETS}
    assert failed["correct"] == set()
    assert {"exact", "descent", "local_bound", "gauge_invariance"} <= failed["published"]
    errors = tables.read(tmp_path / "errors.csv")
    assert all(row["error"] <= row["tau"] for row in errors if row["net"] == "correct")
    assert all(row["error"] >= 1 for row in errors if row["net"] == "published")
    epochs = tables.read(tmp_path / "epochs.csv")
    end = {net: [row for row in epochs if row["net"] == net][-1] for net in NETS}
    assert end["published"]["loss"] > 1.2 * end["correct"]["loss"]
    assert end["published"]["test_accuracy"] < end["correct"]["test_accuracy"] - 0.1


NETS = ("correct", "published")


def test_the_published_truncation_is_harmless_for_a_diagonal_core():
    Y = LowRank.random((12, 9), 3, singular_values=[1.0, 0.5, 0.25], rng=0).truncate(Relative(0.0))
    end = PublishedTruncation(euler).step(published_defect._still, 0.0, 0.1, (Y,)).Y[0]
    assert (end - Y).norm() <= 1e-14


# tolerance


def test_tolerances_are_kept_and_bounds_hold(tmp_path):
    settings = tolerance.Settings(("sylvester", "schroedinger"), ("midpoint-bug", "bug"), rtols=(1e-2, 1e-5))
    tolerance.run(settings, tmp_path, silent, "numpy")
    solves, summary = (tables.read(tmp_path / f"{name}.csv") for name in ("solves", "summary"))
    assert len(solves) == 2 * (2 + 1)  # a method of first order is asked for 1e-2 alone
    for row in summary:
        assert row["within_10_rtol"] == row["reached"] == row["solves"]
        assert row["violations"] == 0
    assert [row["certified"] for row in summary] == [2, 2]
    wrong = [{**row, "error": 20 * row["rtol"], "bound": row["end_error"] / 2} for row in solves]
    assert all(row["within_10_rtol"] == 0 and row["violations"] for row in tolerance.summary(wrong))


def test_a_wrong_problem_or_method_is_refused():
    with pytest.raises(ValueError, match="unknown problem 'lyapnov'"):
        tolerance.Settings(problems=("lyapnov",))
    with pytest.raises(ValueError, match="unknown integrator 'bugs'"):
        tolerance.Settings(methods=("bugs",))
