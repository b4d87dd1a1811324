"""The package as others meet it: what it declares, what it imports, and what its files say."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", requirement)[0] for requirement in requirements}


def test_the_core_needs_three_packages():
    assert names(PROJECT["project"]["dependencies"]) == {"numpy", "scipy", "array-api-compat"}


def test_plain_cupy_is_never_asked_for():
    """It compiles itself, and needs a CUDA toolkit for that; the wheels carry the CUDA version in their name."""
    assert all("cupy" not in names(extra) for extra in EXTRAS.values())


def test_all_is_everything_but_gpu_torch_onnx_and_numba():
    assert EXTRAS["all"] == ["matode[plots,data,cli,sweep]"]
    others = {"backends", "dev", "export", "fast", "gpu", "gpu12", "test"}
    assert set(EXTRAS) == {"all", "cli", "data", "plots", "sweep"} | others


@pytest.mark.parametrize("package", ["matode", "nn"])
def test_the_installed_packages_are_typed(package):
    assert (ROOT / package / "py.typed").is_file()
    assert package in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def test_only_the_toolkit_and_the_networks_are_installed():
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["matode", "nn"]


OPTIONAL = [
    *("cupy", "cupyx", "dask", "hypothesis", "joblib", "matplotlib", "msgspec", "numba", "onnx", "pooch", "pytest"),
    *("safetensors", "sklearn", "torch", "tqdm"),
]


@pytest.mark.parametrize("package", ["matode", "nn"])
def test_importing_needs_the_core_only(package):
    """Also where the extras are installed, importing the package loads none of them."""
    script = f"import sys, {package}; print(*sorted(set({OPTIONAL!r}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
    assert done.stderr == ""


def test_the_readme_prints_both_commands_that_ci_runs():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert 'python -m pip install -e ".[test]" && python -m pytest\n' in readme
    assert 'python -m pip install -e ".[all]" && python -m paper_figures --quick\n' in readme


def test_version_is_the_same_wherever_it_is_written():
    version = PROJECT["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(
        rf"^## \[?{re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
