"""Configurations from files, sweeps over grids and seeds, and computing in several processes."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from experiments import __main__ as cli
from experiments import parts, processes, progress, registry, reports, runs, sweeps, tables, toml
from experiments.config import resolve
from experiments.settings import SettingError, as_dict, override, replaced
from tests.tiny_experiment import TINY, Settings

ROOT = Path(__file__).parent.parent
COLUMNS = ["factor", "seeds", "setting", "seed", "x", "threads"]


@pytest.fixture(autouse=True)
def only_tiny(monkeypatch):
    """Let the command line know the tiny experiment as well."""
    monkeypatch.setattr(cli, "get", lambda name: TINY if name == "tiny" else registry.get(name))


@pytest.fixture(scope="module", autouse=True)
def no_process_is_left():
    yield
    if "joblib" in sys.modules:
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True)


def counting(limit=None):
    """Return the tiny experiment, and the list of what it computes; after so many parts it is interrupted."""
    computed = []

    def part(settings, name, seed, report):
        if len(computed) == limit:
            raise KeyboardInterrupt
        computed.append((settings.factor, seed))
        return [{"x": settings.factor * seed}]

    def run(settings, folder, report, backend):
        parts.collect(settings.names, settings.seeds, folder, lambda *rest: part(settings, *rest), report)

    return dataclasses.replace(TINY, run=run), computed


# configurations


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", registry.EXPERIMENTS)
def test_every_preset_comes_back_from_its_file(name, quick, tmp_path):
    experiment = registry.get(name)
    config = resolve(experiment, quick=quick)
    toml.write(tmp_path / "config.toml", config.as_dict())
    assert resolve(experiment, tmp_path / "config.toml") == config
    assert toml.read(tmp_path / "config.toml")["settings"] == as_dict(experiment.preset(quick))


def test_every_committed_run_can_be_repeated():
    files = list((ROOT / "experiments" / "results").glob("*/config.toml"))
    assert len(files) >= 10
    for file in files:
        stored = toml.read(file)
        assert resolve(registry.get(stored["experiment"]), file).as_dict() == stored, file


def test_toml_keeps_every_value(tmp_path):
    values = {
        "text": 'a "quoted" \\ line\n\tü 𝄞',
        "numbers": [1e-300, 1e22, -0.0, 0.1, float("inf")],
        "whole": -3,
        "flag": True,
        "table": {"nested": [[1, 2], []], "off": False},
    }
    toml.write(tmp_path / "t.toml", values)
    assert toml.read(tmp_path / "t.toml") == values


@dataclasses.dataclass(frozen=True)
class Loose:
    """Settings with the types that no experiment has yet."""

    limit: int | None = None
    sides: tuple[tuple[int, ...], ...] = ((1, 2),)
    flag: bool = False


def test_none_and_nested_lists_go_through_both_doors():
    made = override(Loose(), ["limit=3", "flag=true"])
    assert made == replaced(Loose(), {"limit": 3, "flag": True}) == Loose(limit=3, flag=True)
    assert replaced(made, {"limit": "none", "sides": [[4], [5, 6]]}) == Loose(None, ((4,), (5, 6)), True)
    assert as_dict(Loose()) == {"limit": "none", "sides": [[1, 2]], "flag": False}
    with pytest.raises(SettingError, match=r"'limit' takes an integer or 'none', such as 'none'; got 0\.5"):
        replaced(Loose(), {"limit": 0.5})
    with pytest.raises(SettingError, match=r"'sides' takes a list of integers, such as \[\[1, 2\]\]; got 3"):
        replaced(Loose(), {"sides": [3]})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[settings]\nfactr = 1.0", "unknown setting 'factr': did you mean 'factor'?"),
        ("[settngs]\nfactor = 1.0", "unknown key 'settngs': did you mean 'settings'?"),
        ("factor = 1.0", "'factor' is a setting of tiny: it belongs below a line [settings]"),
        ("[settings]\nfactor = '1'", "setting 'factor' takes a number, such as 1.0; got '1'"),
        ("[settings]\nseeds = 3", "setting 'seeds' takes a list of integers, such as [0, 1, 2]; got 3"),
        ("[settings]\nseeds = [0, 1.5]", "takes an integer in every place, such as [0, 1, 2]; got 1.5"),
        ("[settings]\nfactor = true", "setting 'factor' takes a number, such as 1.0; got True"),
        ("quick = 'yes'", "'quick' takes true or false; got 'yes'"),
        ("backend = 'jax'", "'backend' takes one of numpy, cupy; got 'jax'"),
        ("experiment = 'lenet5'", "is about lenet5, not tiny"),
        ("settings = [", "is no TOML: "),
        ("[grid]\nfactor = [1, 2]", "has a [grid]: python -m experiments sweep tiny --config"),
    ],
)
def test_a_wrong_file_ends_with_one_sentence_that_names_it(text, message, tmp_path, capsys):
    (tmp_path / "c.toml").write_text(text)
    assert cli.main(["run", "tiny", "--config", str(tmp_path / "c.toml"), "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert str(tmp_path / "c.toml") in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run tolerance --seeds 2", "tolerance has no setting 'seeds' or 'seed': leave --seeds out"),
        ("run mnist-mlp --seeds 2", "one seed a run: python -m experiments sweep mnist-mlp --seeds 2"),
        ("run tiny --seeds 0", "at least 1; got 0"),
        ("run tiny --seeds 2 --set seeds=7", "both say what 'seeds' is"),
        ("run tiny --config nowhere.toml", "cannot read nowhere.toml: No such file"),
        ("sweep tiny", "a sweep needs --grid key=value,value or --seeds"),
        ("sweep tiny --grid facter=1", "did you mean 'factor'?"),
        ("sweep tiny --grid factor=1,b", "takes a number, such as 1.0; got 'b'"),
        ("sweep tiny --grid factor=1,2,1.0", "has the value 1.0 for 'factor' twice"),
        ("sweep tiny --grid factor=", "no value for 'factor'"),
        ("sweep tiny --grid factor", "expects key=value,value, got 'factor'"),
        ("sweep tiny --grid factor=1 --grid factor=2", "comes twice"),
        ("sweep tiny --grid factor=1 --set factor=2", "'factor' is both set and in the grid"),
        ("sweep tiny --grid seeds=1 --seeds 2", "both say what 'seeds' is"),
        ("sweep convergence --quick --grid steps=0.1,-1", "expected positive numbers"),
    ],
)
def test_a_wrong_command_ends_with_one_sentence(arguments, message, tmp_path, capsys):
    assert cli.main([*arguments.split(), "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err.splitlines()
    assert message in error[-1]
    assert not list(tmp_path.rglob("*.csv"))


def test_a_full_configuration_is_not_stored_as_quick(tmp_path, capsys):
    (tmp_path / "c.toml").write_text("quick = false")
    assert cli.main(["run", "tiny", "--quick", "--config", str(tmp_path / "c.toml")]) == 2
    assert "c.toml says quick = false, the command line --quick" in capsys.readouterr().err


def test_a_run_is_repeated_from_its_configuration(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    command = ["run", "tiny", "--quick", "--set", "factor=2.5", "--seeds", "2"]
    assert cli.main([*command, "--out", str(first)]) == 0
    stored = first / "tiny-quick" / "config.toml"
    assert cli.main(["run", "tiny", "--config", str(stored), "--out", str(second)]) == 0
    for name in ("config.toml", "epochs.csv", "total.csv"):
        assert (first / "tiny-quick" / name).read_bytes() == (second / "tiny-quick" / name).read_bytes()
    assert runs.find(TINY, True, second).settings == as_dict(Settings(factor=2.5, seeds=(0, 1)))
    changed = ["run", "tiny", "--config", str(stored), "--set", "factor=3", "--out", str(second)]
    assert cli.main(changed) == 2
    assert cli.main([*changed, "--again"]) == 0
    assert runs.find(TINY, True, second).settings["factor"] == 3.0


# sweeps


def test_a_sweep_is_a_folder_of_runs_and_a_table_of_all(tmp_path, capsys):
    command = ["sweep", "tiny", "--grid", "factor=10,2", "--seeds", "2", "--jobs", "1", "--out", str(tmp_path)]
    assert cli.main(command) == 0
    assert "epochs.csv, total.csv of 4 points" in capsys.readouterr().out
    folder = tmp_path / "tiny-sweep"
    names = ["00-factor=10.0,seeds=0", "01-factor=10.0,seeds=1", "02-factor=2.0,seeds=0", "03-factor=2.0,seeds=1"]
    assert sorted(path.name for path in folder.iterdir()) == [*names, "config.toml", "epochs.csv", "total.csv"]
    assert toml.read(folder / names[1] / "config.toml")["settings"] == as_dict(Settings(factor=10.0, seeds=(1,)))
    assert toml.read(folder / "config.toml")["grid"] == {"factor": [10.0, 2.0], "seeds": [[0], [1]]}
    rows = tables.read(folder / "epochs.csv")
    assert list(rows[0]) == COLUMNS
    assert [(row["factor"], row["seeds"], row["x"]) for row in rows[2:6]] == [
        (10.0, 1, 10.0),
        (10.0, 1, 10.0 + 1 / 3),
        (2.0, 0, 0.0),
        (2.0, 0, 1 / 3),
    ]
    assert cli.main(["sweep", "tiny", "--config", str(folder / "config.toml"), "--out", str(tmp_path)]) == 0
    assert "4 were there already" in capsys.readouterr().out


def test_an_interrupted_sweep_goes_on_and_a_grid_may_grow(tmp_path):
    def sweep(limit, grid, **options):
        experiment, computed = counting(limit)
        config = resolve(experiment, grid=[grid], assignments=["seeds=0,1"], sweep=True)
        try:
            return sweeps.execute(config, out=tmp_path, **options), computed
        except KeyboardInterrupt:
            return None, computed

    assert sweep(3, "factor=1,2") == (None, [(1.0, 0), (1.0, 1), (2.0, 0)])
    assert (tmp_path / "tiny-sweep" / ".01-factor=2.0.unfinished").is_dir()
    swept, computed = sweep(None, "factor=5,1,2")  # both points have other numbers now
    assert computed == [(5.0, 0), (5.0, 1), (2.0, 1)]
    assert (swept.there, swept.computed) == (1, 2)
    assert sweep(None, "factor=5,1,2")[1] == []
    names = sorted(path.name for path in swept.folder.iterdir())
    assert names == ["00-factor=5.0", "01-factor=1.0", "02-factor=2.0", "config.toml", "epochs.csv"]
    with pytest.raises(runs.OtherSettingsError, match=r"factor in the grid without 5\.0"):
        sweep(None, "factor=1,2")
    another = resolve(TINY, grid=["factor=5,1,2", "names=a"], sweep=True)
    with pytest.raises(runs.OtherSettingsError, match=r"seeds: .*names in the grid, which was not"):
        sweeps.execute(another, out=tmp_path)
    swept, computed = sweep(None, "factor=1,2", again=True)
    assert len(computed) == 4
    assert [row["factor"] for row in tables.read(swept.folder / "epochs.csv")] == [1.0, 1.0, 2.0, 2.0]


def test_points_of_an_older_version_are_computed_again(tmp_path):
    experiment, computed = counting()
    for version in (1, 2):
        config = resolve(dataclasses.replace(experiment, version=version), grid=["factor=1"], sweep=True)
        sweeps.execute(config, out=tmp_path)
    assert len(computed) == 6


def test_columns_that_some_points_lack_are_empty_there(tmp_path):
    def run(settings, folder, report, backend):
        rows = [{"factor": "mine", **({"more": 1} if settings.factor > 1 else {})}]
        tables.write(folder / "t.csv", rows)

    config = resolve(dataclasses.replace(TINY, run=run), grid=["factor=1,2", "names=a+b"], sweep=True)
    swept = sweeps.execute(config, out=tmp_path)
    assert tables.read(swept.folder / "t.csv") == [
        {"grid_factor": 1.0, "names": "a+b", "factor": "mine", "more": None},
        {"grid_factor": 2.0, "names": "a+b", "factor": "mine", "more": 1},
    ]


def test_a_point_that_fails_is_named_and_the_others_are_kept(tmp_path, capsys):
    command = ["sweep", "tiny", "--seeds", "3", "--set", "trouble=raise", "--jobs", "1", "--out", str(tmp_path)]
    assert cli.main(command) == 1
    captured = capsys.readouterr()
    assert "of 2 points" in captured.out
    assert "01-seeds=1 failed: ArithmeticError: no seed 1 today" in captured.err
    assert "in _trouble" in (tmp_path / "tiny-sweep" / "01-seeds=1.error").read_text()
    assert [row["seed"] for row in tables.read(tmp_path / "tiny-sweep" / "epochs.csv")] == [0, 0, 2, 2]


# processes


def test_parts_in_two_processes_make_the_same_tables(tmp_path, monkeypatch):
    def pool(tasks, jobs, folder):
        pools.append((sorted(tasks), jobs))
        (folder.parent / ".draft-of-a-process-that-was-killed").mkdir()
        yield from original(tasks, jobs, folder)

    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")  # told otherwise, each process has not one thread
    original, pools = processes._pool, []
    monkeypatch.setattr(processes, "_pool", pool)
    settings = Settings(names=("b", "a"), seeds=(3, 0, 2), factor=0.1)
    alone = runs.execute(TINY, settings, out=tmp_path / "1")
    assert pools == []
    shared = runs.execute(TINY, settings, out=tmp_path / "2", jobs=2)
    assert pools == [(["a-0", "a-2", "a-3", "b-0", "b-2", "b-3"], 2)]
    assert alone.tables() == shared.tables() == ["epochs", "total"]
    assert {row["threads"] for row in shared.table("epochs")} == {3}
    for name in ("config.toml", "epochs.csv", "total.csv"):
        assert (alone.folder / name).read_bytes() == (shared.folder / name).read_bytes()
    assert sorted(os.listdir(shared.folder)) == sorted(os.listdir(alone.folder))


def test_a_part_that_fails_in_its_process_is_named_and_the_others_are_kept(tmp_path, capsys):
    command = ["run", "tiny", "--set", "trouble=raise", "--jobs", "2", "--out", str(tmp_path)]
    assert cli.main(command) == 1
    error = capsys.readouterr().err
    assert "a-1: ArithmeticError: no seed 1 today; the same command goes on" in error
    assert "in _trouble" in error
    assert {"a-0.part", "a-2.part"} <= set(os.listdir(tmp_path / ".tiny.unfinished"))


def test_a_sweep_survives_the_death_of_a_process(tmp_path):
    config = resolve(TINY, assignments=[f"trouble={tmp_path / 'mark'}"], seeds=4, sweep=True)
    told = []
    swept = sweeps.execute(config, out=tmp_path, jobs=2, progress=lambda fraction, note: told.append(fraction))
    assert (tmp_path / "mark").exists()
    assert (swept.computed, swept.failures) == (4, {})
    assert [row["seed"] for row in tables.read(swept.folder / "epochs.csv")] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert not list(swept.folder.rglob(".*"))
    assert told[0] == 0.0
    assert told[-1] == 1.0
    assert told == sorted(told)


def test_the_task_at_fault_is_found_and_no_other_is_given_up(tmp_path, monkeypatch):
    rounds = []

    def pool(tasks, jobs, folder):
        names = list(tasks)
        rounds.append(names)
        for name in names[:2]:  # two at a time, and the first of them ends the second
            (folder / name).write_text("0 begins")
        if "bad" in names[:2]:
            raise BrokenProcessPool
        for name in names:
            yield name, "done"

    monkeypatch.setattr(processes, "_pool", pool)
    tasks = dict.fromkeys(["a", "bad", "b", "c"], None)
    outcomes = dict(processes._local(tasks, 2, tmp_path))
    assert rounds == [["a", "bad", "b", "c"], ["a", "bad", "b", "c"], ["b", "c"], ["a"], ["bad"]]
    assert outcomes.pop("bad") == processes.Failure("its process died 3 times: killed, or out of memory")
    assert outcomes == dict.fromkeys("abc", "done")


def test_a_pool_that_dies_before_it_begins_is_given_up(tmp_path, monkeypatch):
    def pool(tasks, jobs, folder):
        raise BrokenProcessPool
        yield

    monkeypatch.setattr(processes, "_pool", pool)
    with pytest.raises(processes.TaskError, match="is memory short"):
        list(processes._local({"a": None}, 2, tmp_path))


def _parts(folder):
    """Count finished parts, while folders come and go."""
    return sum(name.endswith(".part") for _, folders, files in os.walk(folder) for name in (*folders, *files))


def test_an_interrupt_stops_all_processes_and_keeps_what_is_finished(tmp_path):
    script = (
        "import sys; from experiments import __main__ as cli; from tests.tiny_experiment import TINY; "
        "cli.get = lambda name: TINY; sys.exit(cli.main(sys.argv[1:]))"
    )
    settings = ["--set", "pause=0.3", "--set", "names=a,b,c,d,e,f,g,h,i,j,k,l,m,n"]
    command = ["run", "tiny", *settings, "--jobs", "2", "--out", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *command], cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while _parts(tmp_path) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert error.splitlines()[-1] == "experiments: interrupted, the same command goes on from here"
    assert "Traceback" not in error
    kept = _parts(tmp_path)
    time.sleep(0.7)
    assert 2 <= _parts(tmp_path) == kept < 42
    assert not list(tmp_path.rglob(".reports-*"))


def test_what_is_not_installed_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(processes, "find_spec", lambda name: None)
    assert processes.cores() == 1
    for option, package in ((["--jobs", "2"], "joblib"), (["--scheduler", "tcp://host:1"], "distributed")):
        assert cli.main(["sweep", "tiny", "--seeds", "2", *option, "--out", str(tmp_path)]) == 2
        assert f"needs {package}, which is not installed: pip install 'matode[sweep]'" in capsys.readouterr().err


def test_more_jobs_than_parts_are_worth_a_sentence(tmp_path, monkeypatch, capsys):
    whole = dataclasses.replace(TINY, resumable=False)
    monkeypatch.setattr(cli, "get", lambda name: whole)
    monkeypatch.setattr(cli.runs, "execute", lambda *args, **options: runs.Run(tmp_path, {}, {"seconds": 1}))
    assert cli.main(["run", "tiny", "--jobs", "2", "--out", str(tmp_path)]) == 0
    assert "tiny is computed in one piece: --jobs changes nothing" in capsys.readouterr().err


# progress


def test_reports_of_several_tasks_add_up(tmp_path):
    told = []
    with reports.watching(tmp_path, ["a", "b", "c"], 1, lambda *values: told.append(values)) as finished:
        assert told == [(0.25, "1 of 4 done")]
        reports.Report(tmp_path / "a")(1.0, "done")
        reports.Report(tmp_path / "b")(0.5, "half")
        finished("a")
    assert told[-1] == (0.625, "2 of 4 done; b: half")


def test_a_task_that_nobody_waits_for_stops(tmp_path):
    with pytest.raises(reports.StoppedError):
        reports.Report(tmp_path / "gone" / "a")(0.5, "")
    reports.Report(tmp_path / "a", os.getppid())(0.5, "")
    with pytest.raises(reports.StoppedError):
        reports.Report(tmp_path / "a", os.getppid() + 1)(0.5, "")


def test_the_rest_is_estimated_from_what_was_computed_now(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.terminal("title") as report:
        report(0.6, "as it was")
        now[0] += 60.0
        report(0.7, "a tenth in a minute")
        now[0] += 60.0
        report(0.98, "nearly")
        report(1.0, "")
    lines = capsys.readouterr().err.splitlines()
    assert [("left" in line) for line in lines] == [False, True, True, False]
    assert "about 3 min left, a tenth in a minute" in lines[1]
    assert "about 6 s left, nearly" in lines[2]
