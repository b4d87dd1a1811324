"""One training of each model on a GPU; where there is none, the same code on the double of CuPy."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from matode._array import get_backend
from tests import backends
from tests.gpu.report import NEVER, PATH, report, versions
from tests.gpu.training import NAMES, Trained, train_once


@pytest.mark.gpu
@pytest.mark.parametrize("model", NAMES)
def test_training_on_a_card(model, record):
    trained = train_once(model, get_backend("cupy"), examples=2048, batch_size=64, epochs=3)
    record.append(trained)
    assert trained.losses[-1] < 0.9 * trained.losses[0]
    here = train_once(model, get_backend("cupy"), examples=128, batch_size=64, epochs=1)
    there = train_once(model, get_backend("numpy"), examples=128, batch_size=64, epochs=1)
    assert here.losses[0] == pytest.approx(there.losses[0], rel=1e-3)


@pytest.mark.parametrize("model", NAMES)
def test_training_on_the_double(model):
    """What it can show: names, arguments, hidden transfers. It computes with NumPy, so the numbers are NumPy's."""
    reason = backends.why_not("cupy-double")
    if reason:
        pytest.skip(reason)
    small = {"examples": 4, "batch_size": 2, "epochs": 1, "rank": 2, "width": 20}
    double = train_once(model, backends.get("cupy-double"), **small)
    assert double.losses == train_once(model, get_backend("numpy"), **small).losses
    assert double.ranks


def test_the_record_says_what_ran():
    runtime = SimpleNamespace(
        getDeviceProperties=lambda i: {"name": b"A card"},
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 12090,
    )
    about = versions(SimpleNamespace(cuda=SimpleNamespace(runtime=runtime), __version__="14.0"))
    trained = [Trained("lenet5", (2.3, 1.1, 0.5), (8, 9), 12345.6)]
    text = report("2026-01-02 03:04 UTC", about, {"passed": 7, "failed": 0}, trained)
    for line in (
        "| date | 2026-01-02 03:04 UTC |",
        "| card | A card |",
        "| CUDA driver | 13000 |",
        "| CUDA runtime | 12090 |",
        "| CuPy | 14.0 |",
        "| tests passed | 7 |",
        "| tests failed | 0 |",
        "| lenet5 | 2.3000 | 0.5000 | 8 9 | 12346 |",
    ):
        assert line in text.splitlines()


def test_the_record_is_there():
    """It says 'never run', or which card it was."""
    text = PATH.read_text(encoding="utf-8")
    assert text == NEVER or "| card | " in text


def test_the_gpu_marker_selects_the_suite(request):
    """With ``--backend cupy`` every test that runs on a backend is a GPU test, and with ``-m gpu`` nothing else is."""
    command = [sys.executable, "-m", "pytest", "tests/test_linalg.py", "tests/gpu", "--collect-only", "-q"]
    command += ["-m", "gpu", "--backend", "cupy", "-p", "no:cacheprovider"]
    found = subprocess.run(command, cwd=request.config.rootpath, capture_output=True, text=True, check=False)
    names = [line for line in found.stdout.splitlines() if "::" in line]
    assert any(name.startswith("tests/test_linalg.py") for name in names), found.stdout + found.stderr
    assert [name for name in names if name.startswith("tests/gpu")] == [
        f"tests/gpu/test_training.py::test_training_on_a_card[{model}]" for model in NAMES
    ]
    assert all("[cupy" in name or "-cupy" in name for name in names if name.startswith("tests/test_linalg.py"))
