"""Runs in a folder: complete or absent, resumed bit for bit, and what people read of them."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from matode import KSL, AugmentedBUG, FullRank, Relative, euler, heun
from matode._array import get_backend
from nn import (
    Adam,
    BatchNorm,
    Conv2d,
    CoreOnly,
    Dropout,
    Epoch,
    Flatten,
    FrozenRank,
    GradientFlow,
    HeavyBall,
    Linear,
    Monitored,
    Parameters,
    Phases,
    Sequential,
    WeightDecay,
    alexnet,
    checkpoint,
    lenet5,
    mlp,
    resnet20,
    vgg16,
)
from nn.__main__ import main
from nn.config import Config, ConfigError
from nn.display import Display, epoch_line
from nn.runs import Run
from nn.train import accuracy, training
from tests import backends
from tests.nn.test_data import NAMES, idx

ROOT = Path(__file__).parents[2]
SMALL = "--model mlp --width 12 --depth 3 --rank 6 --epochs 3 --lr 0.2 --batch-size 32 --seed 3".split()
STEPS = 7  # of an epoch of 200 images


@pytest.fixture(autouse=True)
def few_images(tmp_path, monkeypatch):
    """An MNIST of 200 and 50 images, ten patterns under noise."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 200, (10, 28, 28))
    folder = tmp_path / "data" / "mnist"
    folder.mkdir(parents=True)
    for images, labels, count in ((*NAMES[:2], 200), (*NAMES[2:], 50)):
        y = rng.integers(0, 10, count)
        (folder / labels).write_bytes(idx(y))
        (folder / images).write_bytes(idx(patterns[y] + rng.integers(0, 56, (count, 28, 28))))
    monkeypatch.setenv("MATODE_DATA_DIR", str(tmp_path / "data"))
    return folder


@pytest.fixture
def out(tmp_path):
    return tmp_path / "run"


def train(out, *more):
    return main(["train", *SMALL, "--out", str(out), *more])


def resume(out):
    return main(["train", "--resume", str(out)])


def checkpoints(out):
    return {path.name: path.read_bytes() for path in out.iterdir() if "step-" in path.name}


def metrics(out):
    """The rows of the metrics without what depends on the clock."""
    with open(out / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert float(row.pop("seconds")) > 0
        assert float(row.pop("images_per_second")) > 0
    return rows


@pytest.fixture
def whole(tmp_path):
    """An uninterrupted run."""
    assert train(tmp_path / "whole") == 0
    return tmp_path / "whole"


def interrupt_at(step, monkeypatch, how):
    """Do something after so many steps of whatever is trained."""
    shown = Display.__call__

    def watched(self, result):
        shown(self, result)
        if len(result.history) * STEPS + result.step == step:
            how()

    monkeypatch.setattr(Display, "__call__", watched)


def raise_interrupt():
    raise KeyboardInterrupt


# Bit for bit.


@pytest.mark.parametrize("step", [3, STEPS, STEPS + 5, 3 * STEPS - 1])
def test_an_interrupted_run_goes_on_to_the_same_bits(step, out, whole, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        interrupt_at(step, patch, raise_interrupt)
        assert train(out) == 130
    assert f"python -m nn train --resume {out}" in capsys.readouterr().err
    assert max(checkpoints(out)) == f"step-{step:012d}.npz"
    assert resume(out) == 0
    newest = max(checkpoints(whole))
    assert checkpoints(out)[newest] == checkpoints(whole)[newest]
    assert metrics(out) == metrics(whole)


METHODS = {
    "momentum": "--momentum 0.9 --weight-decay 0.1 --schedule cosine --monitor-every 2",
    "adam": "--optimizer adam --lr 0.01 --tau 0.05 --monitor-every 3",
    "phases": "--momentum 0.5 --freeze-rank-after 1 --fine-tune-after 2 --schedule steps --milestones 1,2",
}


@pytest.mark.parametrize("method", METHODS)
def test_every_kind_of_training_goes_on_to_the_same_bits(method, tmp_path, out, monkeypatch):
    """Momenta, moments, phases and monitors are in the checkpoints, or beside them."""
    options = METHODS[method].split()
    assert train(tmp_path / "whole", *options) == 0
    with monkeypatch.context() as patch:
        interrupt_at(STEPS + 2, patch, raise_interrupt)
        assert train(out, *options) == 130
    assert resume(out) == 0
    newest = max(checkpoints(out))
    assert checkpoints(out)[newest] == checkpoints(tmp_path / "whole")[newest]
    assert metrics(out) == metrics(tmp_path / "whole")
    tables = [folder / "monitors.csv" for folder in (out, tmp_path / "whole")]
    assert tables[0].exists() == ("--monitor-every" in options)
    if tables[0].exists():
        assert tables[0].read_bytes() == tables[1].read_bytes()
        steps = [int(row["step"]) for row in Run.open(out).rows("monitors.csv")]
        assert steps == list(range(1, 3 * STEPS + 1, int(options[-1])))


def test_observations_after_the_checkpoint_are_made_again(out, monkeypatch):
    assert train(out, "--monitor-every", "1") == 0
    (out / max(checkpoints(out))).unlink()
    before = (out / "monitors.csv").read_bytes()
    assert resume(out) == 0
    assert (out / "monitors.csv").read_bytes() == before


def test_methods_are_put_together_from_outside_to_inside():
    made = Config.of(
        {
            "momentum": 0.9,
            "weight_decay": 0.1,
            "monitor_every": 5,
            "tau": 0.2,
            "min_rank": 2,
            "freeze_rank_after": 3,
            "fine_tune_after": 4,
            "substep": "heun",
        }
    ).make_integrator(10, print)
    method = AugmentedBUG(heun, Relative(tau=0.2, min_rank=2))
    phases = Phases(((0, method), (30, FrozenRank(method)), (40, CoreOnly(heun))))
    assert made == Monitored(WeightDecay(HeavyBall(phases, 0.9), 0.1), print, every=5)
    assert Config.of({"optimizer": "adam", "integrator": "ksl"}).make_integrator(1) == Adam(KSL(euler))
    assert Config.of({"integrator": "dense"}).make_integrator(1) == FullRank(euler, Relative(tau=0.1))


def test_schedules_by_name():
    made = Config.of({"schedule": "steps", "milestones": [2, 3], "decay": 0.5}).make_schedule()
    assert [made(epoch) for epoch in (1.9, 2, 3)] == [1.0, 0.5, 0.25]
    assert Config.of({"schedule": "cosine", "epochs": 4}).make_schedule()(2) == pytest.approx(0.5)
    assert Config.of({}).make_schedule()(7) == 1.0


@pytest.mark.parametrize(
    ("settings", "image", "classes", "expected"),
    [
        ({"model": "mlp", "width": 9, "depth": 3, "rank": 4}, (1, 5, 4), 7, mlp((20, 9, 9, 7), rank=4)),
        ({"model": "mlp", "width": 9, "depth": 2, "rank": [3, "none"]}, (1, 5, 4), 7, mlp((20, 9, 7), rank=[3, None])),
        ({"model": "mlp", "depth": 2, "integrator": "dense"}, (1, 5, 4), 7, mlp((20, 500, 7))),
        ({"model": "lenet5", "rank": "full"}, (1, 28, 28), 10, lenet5("full")),
        ({"model": "alexnet", "rank": 8}, (3, 32, 32), 100, alexnet(8, classes=100)),
        ({"model": "vgg16", "rank": "none"}, (3, 32, 32), 10, vgg16()),
        ({"model": "resnet20", "rank": 5}, (3, 32, 32), 10, resnet20(5)),
    ],
)
def test_models_by_name(settings, image, classes, expected):
    assert Config.of(settings).make_model(image, classes) == expected


def test_a_terminated_run_is_saved(out, whole, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_at(4, patch, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert train(out) == 143
    assert resume(out) == 0
    assert metrics(out) == metrics(whole)


@pytest.mark.parametrize("integrator", ["ksl", "lsk", "bug", "parallel-bug", "parallel-bug-2", "abc-psi", "dense"])
def test_every_method_goes_on_to_the_same_bits(integrator, out):
    config = Config.of({"model": "mlp", "width": 12, "depth": 3, "rank": 6, "integrator": integrator, "epochs": 2})
    run = Run.create(out, config)
    options = {"epochs": 2, "lr": 0.1, "batch_size": 64}
    for k, result in enumerate(training(run.model, run.examples, config.make_integrator(STEPS), **options)):
        if k == 5:
            path = run.save(result)
    whole = run.save(result).read_bytes()
    start = checkpoint.read_checkpoint(path)
    assert start.step == 1
    *_, resumed = training(run.model, run.examples, config.make_integrator(STEPS), start=start, **options)
    assert run.save(resumed).read_bytes() == whole


def test_checkpoints_go_on_on_every_backend(backend, out):
    config = Config.of({"model": "mlp", "width": 12, "depth": 3, "rank": 6, "epochs": 2})
    run = Run.create(out, config)
    options = {"epochs": 2, "lr": 0.1, "batch_size": 64, "backend": backend}
    for k, result in enumerate(training(run.model, run.examples, config.make_integrator(STEPS), **options)):
        if k == 5:
            path = run.save(result)
    whole = run.save(result).read_bytes()
    start = checkpoint.read_checkpoint(path, backend)
    *_, resumed = training(run.model, run.examples, config.make_integrator(STEPS), start=start, **options)
    assert run.save(resumed).read_bytes() == whole


def test_the_command_line_runs_on_cupy(out, whole, monkeypatch, capsys):
    """On its double, which computes with NumPy: names and transfers are CuPy's, numbers are NumPy's."""
    reason = backends.why_not("cupy-double")
    if reason:
        pytest.skip(reason)
    double = backends.get("cupy-double")
    for module in ("runs", "train", "__main__"):  # `nn.train` is a function, too
        chosen = {"cupy": double, "numpy": get_backend("numpy")}
        monkeypatch.setattr(sys.modules[f"nn.{module}"], "get_backend", chosen.__getitem__)
    with monkeypatch.context() as patch:
        interrupt_at(STEPS + 3, patch, raise_interrupt)
        assert train(out, "--backend", "cupy") == 130
    assert resume(out) == 0
    newest = max(checkpoints(whole))
    assert checkpoints(out)[newest] == checkpoints(whole)[newest]
    assert metrics(out) == metrics(whole)
    capsys.readouterr()
    said = []
    for arguments in ([out], [whole], [out, "--backend", "numpy"]):
        assert main(["evaluate", *map(str, arguments)]) == 0
        said.append(capsys.readouterr().out.splitlines()[:4])
    assert said[0] == said[1] == said[2]
    assert main(["export", str(out)]) == 0


def test_two_runs_give_the_same_files(out, whole):
    """There are no times and no paths in them."""
    assert train(out) == 0
    assert checkpoints(out) == checkpoints(whole)
    assert (out / "config.json").read_text() == (whole / "config.json").read_text()
    assert metrics(out) == metrics(whole)


# Killed.

KILLED = """
import os, signal, sys
from matode import storage
from nn import runs
from nn.__main__ import main

writes = 0

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

def half(file, text, arrays, write=storage._write):
    global writes
    writes += 1
    if writes == int(sys.argv[2]):
        file.write(b"PK" + bytes(1000))
        file.flush()
        die()
    write(file, text, arrays)

storage._write = half
if sys.argv[1] == "before":
    runs.os.rename = die
main(sys.argv[3:])
"""


def killed(out, when, write=0, arguments=None):
    """Train in another process, which dies in the middle of a write."""
    arguments = ["train", *SMALL, "--out", str(out), "--checkpoint-every", "2"] if arguments is None else arguments
    command = [sys.executable, "-c", KILLED, when, str(write), *arguments]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == -signal.SIGKILL, found.stderr


def test_killed_in_the_middle_of_a_checkpoint(out, whole):
    killed(out, "during", 7)
    unfinished = [name for name in checkpoints(out) if "unfinished" in name]
    assert len(unfinished) == 1
    assert not unfinished[0].endswith(".npz")
    assert sorted(set(checkpoints(out)) - set(unfinished)) == ["step-000000000009.npz", "step-000000000011.npz"]
    killed(out, "during", 2, ["train", "--resume", str(out)])
    assert resume(out) == 0
    newest = max(checkpoints(whole))
    assert checkpoints(out)[newest] == checkpoints(whole)[newest]
    assert metrics(out) == metrics(whole)
    assert all(name.endswith(".npz") for name in checkpoints(out))


def test_killed_before_the_first_checkpoint_is_complete(out, whole, capsys):
    killed(out, "during", 1)
    assert resume(out) == 0
    assert "no checkpoint yet: starting over" in capsys.readouterr().out
    assert checkpoints(out)[max(checkpoints(whole))] == checkpoints(whole)[max(checkpoints(whole))]
    assert metrics(out) == metrics(whole)


def test_killed_before_the_folder_is_there(out):
    killed(out, "before")
    assert not out.exists()
    assert train(out) == 0
    assert sorted(path.name for path in out.parent.iterdir()) == ["data", "run"]


# What is on disk.


def test_a_finished_run_is_left_alone(whole, capsys):
    before = checkpoints(whole), (whole / "metrics.csv").read_bytes()
    assert resume(whole) == 0
    assert "finished already: 3 epochs" in capsys.readouterr().out
    assert (checkpoints(whole), (whole / "metrics.csv").read_bytes()) == before


def test_what_is_in_a_folder(whole):
    names = ["config.json", "metrics.csv", "step-000000000014.npz", "step-000000000021.npz"]
    assert sorted(path.name for path in whole.iterdir()) == names
    config = json.loads((whole / "config.json").read_text())
    assert config | {"model": "mlp", "width": 12, "rank": 6, "lr": 0.2, "tau": 0.1, "substep": "euler"} == config
    rows = metrics(whole)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["step"] for row in rows] == ["7", "14", "21"]
    result, _ = Run.open(whole).latest()
    for row, epoch in zip(rows, result.history, strict=True):
        assert float(row["loss"]) == epoch.loss
        assert float(row["test_accuracy"]) == epoch.test_accuracy
        assert row["ranks"] == " ".join(map(str, epoch.ranks))
        assert int(row["evaluation_parameters"]) == epoch.parameters.evaluation
        assert epoch.seconds > 0


def test_names_of_checkpoints_sort_by_age(tmp_path):
    for steps in (9, 10, 123456, 99):
        (tmp_path / f"step-{steps:012d}.npz").touch()
    assert [int(path.stem[5:]) for path in checkpoint.names(tmp_path)] == [9, 10, 99, 123456]


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(out, whole, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        interrupt_at(2 * STEPS, patch, raise_interrupt)
        train(out)
    newest = out / max(checkpoints(out))
    newest.write_bytes(newest.read_bytes()[:-50])
    capsys.readouterr()
    assert resume(out) == 0
    said = capsys.readouterr()
    assert f"{newest} is damaged" in said.err
    assert "going on in epoch 2 after 0 of 7 steps" in said.out
    assert metrics(out) == metrics(whole)
    assert checkpoints(out) == checkpoints(whole)


def test_metrics_never_know_more_than_the_checkpoint(whole, monkeypatch):
    """A row is written before its checkpoint is: a run that died in between makes that epoch again."""
    (whole / max(checkpoints(whole))).unlink()
    interrupt_at(2 * STEPS + 2, monkeypatch, raise_interrupt)
    assert resume(whole) == 130
    assert [row["epoch"] for row in metrics(whole)] == ["1", "2"]


def test_validation_part_has_its_column(out, capsys):
    assert train(out, "--validation", "40") == 0
    rows = metrics(out)
    assert all(0 <= float(row["validation_accuracy"]) <= 1 for row in rows)
    assert rows[-1]["step"] == "15"
    assert "validation " in capsys.readouterr().out


# What people read.


def test_one_line_for_each_epoch(out, capsys):
    train(out)
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert len(lines) == 4
    for k, line in enumerate(lines[1:], 1):
        assert line.startswith(f"epoch {k}/3  loss ")
        for word in ("test ", " %", "ranks ", "compression ", " images/s"):
            assert word in line
    assert said.err == ""


class Terminal:
    """A stream that says it is a terminal, and keeps what it got."""

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_a_terminal_gets_a_bar(out):
    pytest.importorskip("tqdm")
    run = Run.create(out, Config.of({"model": "mlp", "width": 12, "depth": 3, "rank": 6, "epochs": 2}))
    lines, bar = Terminal(), Terminal()
    run.go_on(None, Display(run, lines, bar, mininterval=0.0, dynamic_ncols=False, ncols=200))
    for word in ("epoch 1/2", "loss ", "ranks ", "compression ", "images/s", "test "):
        assert word in bar.text
    assert [line[:9] for line in lines.text.splitlines()] == ["epoch 1/2", "epoch 2/2"]


def test_a_terminal_without_tqdm_gets_the_lines(out, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    run = Run.create(out, Config.of({"model": "mlp", "width": 12, "depth": 3, "rank": 6, "epochs": 2}))
    lines, bar = Terminal(), Terminal()
    run.go_on(None, Display(run, lines, bar))
    assert len(lines.text.splitlines()) == 2
    assert bar.text == ""


def test_evaluate_prints_the_accuracy_first(whole, capsys):
    capsys.readouterr()
    assert main(["evaluate", str(whole)]) == 0
    lines = capsys.readouterr().out.splitlines()
    last = metrics(whole)[-1]
    assert lines[0].startswith(f"{100 * float(last['test_accuracy']):.2f} % of the 50 test images of mnist")
    assert [line.split()[0] for line in lines[1:]] == ["parameters", "compression", "ranks", "inference"]
    assert f"{last['evaluation_parameters']} in evaluation" in lines[1]
    assert lines[2].endswith(f"{100 * float(last['compression']):.2f} %")
    assert lines[3].endswith(last["ranks"])


@pytest.mark.parametrize("more", [[], ["--to", "other.npz"]], ids=["default", "to"])
def test_export_writes_the_newest_weights(more, whole, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["export", str(whole), *more]) == 0
    path = tmp_path / "other.npz" if more else whole / "model.npz"
    said = capsys.readouterr().out
    assert said.startswith(f"{more[-1] if more else path}: mlp after 3 of 3 epochs")
    result, _ = Run.open(whole).latest()
    with np.load(path) as file:
        np.testing.assert_allclose(file["1.weight.US"] @ file["1.weight.Vh"], result.Y[0].to_dense(), atol=1e-6)
        np.testing.assert_array_equal(file["5.bias"], result.Y[5])


def test_plot_draws_metrics_and_monitors(out, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'matode[plots]'")
    assert train(out, "--monitor-every", "2", "--validation", "20") == 0
    capsys.readouterr()
    assert main(["plot", str(out), "--format", "svg"]) == 0
    names = ["metrics.svg", "monitors.svg"]
    assert capsys.readouterr().out.splitlines() == [f"drawn: {out / name}" for name in names]
    for name in names:
        assert (out / name).stat().st_size > 10_000
    assert main(["plot", str(out), "--format", "bmpx"]) == 2
    assert "bmpx" in capsys.readouterr().err


def test_there_is_nothing_to_plot_yet(out, capsys):
    Run.create(out, Config.of({"model": "mlp"}))
    assert main(["plot", str(out)]) == 2
    assert "has no metrics yet" in capsys.readouterr().err


def test_plots_of_dense_nets_and_without_matplotlib(out, capsys, monkeypatch):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'matode[plots]'")
    assert train(out, "--integrator", "dense") == 0
    assert main(["plot", str(out)]) == 0
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["plot", str(out)]) == 2
    assert "drawing needs matplotlib: pip install 'matode[plots]'" in capsys.readouterr().err


def test_unknown_format_is_explained(whole, capsys):
    assert main(["export", str(whole), "--format", "onxx"]) == 2
    assert "unknown format 'onxx': did you mean 'onnx'? expected one of npz, " in capsys.readouterr().err


def test_an_interruption_before_there_is_a_run_needs_no_advice(out, monkeypatch, capsys):
    monkeypatch.setattr(Config, "load_data", lambda config: raise_interrupt())
    assert train(out) == 130
    assert capsys.readouterr().err == "nn: interrupted\n"
    assert not out.exists()


def test_it_runs_in_any_thread(out):
    codes = []
    thread = threading.Thread(target=lambda: codes.append(train(out)))
    thread.start()
    thread.join()
    assert codes == [0]


def test_networks_with_masks_and_running_statistics_go_on_to_the_same_bits(out, few_images):
    """Batch normalisation and dropout: their state is in the checkpoint, too."""
    run = Run.create(out, Config.of({"model": "mlp"}))
    model = Sequential(Conv2d(1, 4, 5, 3, stride=4, bias=False), BatchNorm(4), Dropout(0.5), Flatten(), Linear(144, 10))
    options = {"epochs": 2, "lr": 0.1, "batch_size": 64}
    results = list(training(model, run.examples, AugmentedBUG(euler), **options))
    path = run.save(results[5])
    start = checkpoint.read_checkpoint(path)
    assert len(start.buffers) == 2
    assert not np.array_equal(start.buffers[0], results[-1].buffers[0])
    last = results[-1]
    test = run.examples.x_test, run.examples.y_test
    assert last.history[-1].test_accuracy == accuracy(model, last.Y, *test, buffers=last.buffers)
    *_, resumed = training(model, run.examples, AugmentedBUG(euler), start=start, **options)
    assert run.save(resumed).read_bytes() == run.save(results[-1]).read_bytes()
    masked = [
        GradientFlow(model, run.examples.x_train, run.examples.y_train, seed=s, buffers=start.buffers) for s in (1, 2)
    ]
    assert len({flow.value_and_gradient(start.Y)[0] for flow in masked}) == 2


def test_lines_of_a_dense_net():
    assert "ranks" not in epoch_line(_epoch(ranks=()), 10, 100)
    assert epoch_line(_epoch(ranks=(3, 4)), 10, 100).startswith("epoch  2/10  loss 0.5000  test 97.00 %  ranks 3 4, ")


def _epoch(**changes):
    values = {
        "epoch": 2,
        "loss": 0.5,
        "test_accuracy": 0.97,
        "ranks": (),
        "parameters": Parameters(5, 6, 10),
        "compression": 0.5,
        "learning_rate": 0.1,
        "seconds": 2.0,
    }
    return Epoch(**values | changes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--model lenet", "unknown model 'lenet': did you mean 'lenet5'? expected one of"),
        ("--data mnits", "unknown data set 'mnits': did you mean 'mnist'?"),
        ("--integrator augmented_bug", "unknown integrator 'augmented_bug': did you mean 'augmented-bug'?"),
        ("--schedule cosin", "unknown schedule 'cosin': did you mean 'cosine'?"),
        ("--substep rk", "unknown substep 'rk': did you mean 'rk4'?"),
        ("--backend abacus", "unknown backend 'abacus': expected one of numpy, cupy, torch"),
        ("--lr 0", "--lr: expected positive and finite, got 0.0"),
        ("--tau nan", "--tau: expected finite and at least 0, got nan"),
        ("--batch-size 0", "--batch-size: expected at least 1, got 0"),
        ("--seed -1", "--seed: expected at least 0, got -1"),
        ("--rank 0", "--rank: expected at least 1, 'full' or 'none', got 0"),
        ("--max-rank 2 --min-rank 3", "--max-rank: expected at least min_rank, got 2"),
        ("--schedule steps", "--milestones: expected some epochs, got none"),
        ("--model resnet20", "resnet20 on mnist: it takes images of 3 x 32 x 32, got 1 x 28 x 28; the model mlp"),
        ("--integrator bug --freeze-rank-after 2", "--freeze-rank-after: bug keeps the ranks by itself"),
        ("--optimizer adam --momentum 0.5", "--momentum: expected none with adam, which has its own, got 0.5"),
        ("--momentum 1", "--momentum: expected at least 0 and below 1, got 1.0"),
        ("--fine-tune-after 0", "--fine-tune-after: expected at least 1, got 0"),
        ("--rank 5,6", "mlp on mnist: mlp: expected 3 ranks, one per layer, got 2"),
        ("--validation 200", "mnist has 200 training examples: cannot put 200 of them aside"),
        ("--data fashion-mnist", "Fashion-MNIST is not in"),
    ],
)
def test_mistakes_are_explained_and_leave_nothing_behind(arguments, message, out, capsys, monkeypatch):
    monkeypatch.setattr("nn.data.downloads._PROBE_SECONDS", 0.0)
    assert train(out, *arguments.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("nn: ")
    assert message in said
    assert len(said.splitlines()) == 1
    assert sorted(path.name for path in out.parent.iterdir()) == ["data"]


def test_a_gpu_that_is_not_there_is_named(out, capsys, monkeypatch):
    monkeypatch.setattr("matode._array.gpu_available", lambda: (False, "there is no GPU"))
    assert train(out, "--backend", "cupy") == 2
    assert capsys.readouterr().err == "nn: there is no GPU\n"
    assert not out.exists()


def test_folders_that_do_not_fit_are_explained(out, whole, tmp_path, capsys):
    for arguments, message in (
        (["train", *SMALL], "name a new folder with --out DIR, or go on with a run by --resume DIR"),
        (["train", "--out", str(out), "--resume", str(whole)], "name a new folder with --out DIR"),
        (["train", *SMALL, "--out", str(whole)], f"{whole} is there already: continue it with --resume {whole}"),
        (["train", "--resume", str(whole), "--lr", "3"], f"--resume takes everything from {whole}: leave out --lr"),
        (["train", "--resume", str(out)], f"{out} is no folder: there is no run in it"),
        (["evaluate", str(tmp_path)], f"{tmp_path} holds no run: it has no config.json"),
    ):
        capsys.readouterr()
        assert main(arguments) == 2
        assert message in capsys.readouterr().err


def test_an_empty_folder_may_be_there(out):
    out.mkdir()
    assert train(out) == 0


def test_a_run_without_a_checkpoint_cannot_be_evaluated(out, capsys):
    Run.create(out, Config.of({"model": "mlp"}))
    assert main(["evaluate", str(out)]) == 2
    assert "has no checkpoint yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"matode": "1", "image": [1, 2], "classes": 3, "data_crc32": 1}'], ids=range(4)
)
def test_a_damaged_configuration_is_named(content, whole, capsys):
    (whole / "config.json").write_text(content)
    assert resume(whole) == 2
    assert "config.json is damaged" in capsys.readouterr().err


def test_other_data_than_before_is_refused(whole, few_images, capsys):
    path = few_images / NAMES[3]
    path.write_bytes(idx(np.zeros(50)))
    assert main(["evaluate", str(whole)]) == 2
    assert "was made with other data" in capsys.readouterr().err


def test_settings_that_do_not_exist_are_refused():
    with pytest.raises(ConfigError, match="unknown setting 'batchsize': did you mean 'batch_size'"):
        Config.of({"batchsize": 3})


def test_a_loss_that_is_not_finite_names_step_and_layer(out, capsys):
    assert train(out, "--lr", "1e30") == 1
    said = capsys.readouterr().err
    assert "training stopped in epoch 1, step " in said
    assert " of 7: the loss is " in said
    assert "layer " in said
    assert "(Linear)" in said
