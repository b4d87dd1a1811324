"""Writes the record of a run on a GPU when its session ends."""

from __future__ import annotations

import datetime
import importlib

import pytest

from matode import _array
from tests.gpu.report import PATH, report, versions
from tests.gpu.training import Trained

TRAINED = pytest.StashKey[list[Trained]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TRAINED] = []


@pytest.fixture
def record(request: pytest.FixtureRequest) -> list[Trained]:
    """The trainings on a card of this session."""
    return request.config.stash.setdefault(TRAINED, [])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the record, if models were trained on a card."""
    trained = session.config.stash.get(TRAINED, [])
    if not trained or not _array.gpu_available()[0]:
        return
    stats = session.config.pluginmanager.get_plugin("terminalreporter").stats
    counts = {name: len(stats.get(name, ())) for name in ("passed", "failed", "error", "skipped")}
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    PATH.write_text(report(date, versions(importlib.import_module("cupy")), counts, trained), encoding="utf-8")
