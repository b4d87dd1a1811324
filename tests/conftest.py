"""What every test shares: the backends, the GPU marker, the Hypothesis profiles, and the header that says what ran."""

from __future__ import annotations

import importlib
import os
from typing import Any

import hypothesis
import pytest

from matode import _array
from matode._array import Backend
from tests import backends

COMMON: dict[str, Any] = {"deadline": None, "database": None, "print_blob": True}
hypothesis.settings.register_profile("ci", derandomize=True, max_examples=25, **COMMON)
hypothesis.settings.register_profile("thorough", max_examples=500, **COMMON)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        choices=[name.value for name in backends.Name],
        help="run only the tests that depend on a backend, and only on this one (repeatable); 'cupy' needs a GPU",
    )


def _selected(config: pytest.Config) -> tuple[str, ...]:
    return tuple(config.getoption("--backend") or backends.DEFAULT)


def pytest_report_header(config: pytest.Config) -> list[str]:
    profile = os.environ.get("HYPOTHESIS_PROFILE", "ci")
    available, reason = _array.gpu_available()
    return [
        *(f"backend: {backends.describe(name)}" for name in _selected(config)),
        f"gpu tests: {'run' if available else 'skipped: ' + reason}",
        f"hypothesis: profile {profile}",
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", _selected(metafunc.config), indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--backend``, keep only what runs on the chosen backends or, such as an oracle of gradients, needs one.

    What runs on CuPy itself needs a GPU, so that ``-m gpu --backend cupy`` is all that can be said of a card.
    """
    for item in items:
        if getattr(item, "callspec", None) is not None and item.callspec.params.get("backend") == "cupy":
            item.add_marker(pytest.mark.gpu)
    chosen = config.getoption("--backend")
    if not chosen:
        return

    def wanted(item: pytest.Item) -> bool:
        if item.get_closest_marker("gpu") is not None:
            return "cupy" in chosen
        return "backend" in getattr(item, "fixturenames", ()) or any(name in chosen for name in _needed(item))

    config.hook.pytest_deselected(items=[item for item in items if not wanted(item)])
    items[:] = [item for item in items if wanted(item)]


def _needed(item: pytest.Item) -> list[str]:
    """Return the backends without which a test means nothing, besides the one it is run on."""
    names = [backends.Name(marker.args[0]).value for marker in item.iter_markers("needs_backend")]
    return [*names, "torch"] if "torch" in getattr(item, "fixturenames", ()) else names


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here. Skips from this one place are summed up in one line for each reason."""
    if item.get_closest_marker("gpu") is not None and not _array.gpu_available()[0]:
        pytest.skip(_array.gpu_available()[1])
    name = getattr(getattr(item, "callspec", None), "params", {}).get("backend")
    for marker in item.iter_markers("skip_backend"):
        if backends.Name(marker.args[0]).value == name:
            pytest.skip(marker.kwargs["reason"])
    for needed in [*_needed(item), *([name] if name else [])]:
        reason = backends.why_not(needed)
        if reason:
            pytest.skip(reason)


@pytest.fixture(scope="session")
def backend(request: pytest.FixtureRequest) -> Backend:
    """An array library and one of its devices; a test that asks for it runs once for each of them."""
    return backends.get(request.param)


@pytest.fixture(scope="session")
def xp(backend: Backend) -> Any:
    """The namespace of ``backend``. Its arrays are on ``backend.device`` only where that is passed."""
    return backend.xp


@pytest.fixture(scope="session")
def torch() -> Any:
    """The torch module with one thread, as an oracle; the test is skipped where torch is absent."""
    module = importlib.import_module("torch")
    module.set_num_threads(1)
    return module


@pytest.fixture(scope="session")
def standard_run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A small finished run of the standard experiments of the literature, which two files of tests read."""
    from experiments import registry, runs
    from tests.test_standard import TINY

    return runs.execute(registry.get("standard"), TINY, quick=True, out=tmp_path_factory.mktemp("standard"))
