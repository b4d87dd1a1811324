"""The same sweep on a Dask cluster, of which a worker is killed on the way."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

pytest.importorskip("distributed", reason="a cluster needs dask[distributed]: pip install 'matode[sweep]'")

from distributed import LocalCluster

from experiments import processes, sweeps, tables
from experiments.cluster import _portable as portable
from experiments.config import resolve
from tests.tiny_experiment import TINY


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        yield cluster


def test_a_sweep_survives_the_death_of_a_worker(cluster, tmp_path):
    config = resolve(TINY, assignments=["pause=0.5", "names=a,b,c"], seeds=4, sweep=True)
    pids = [worker.pid for worker in cluster.workers.values()]
    killed = []

    def kill():
        while not list(tmp_path.rglob("*.part")):
            time.sleep(0.05)
        os.kill(pids[0], signal.SIGKILL)
        killed.append(pids[0])

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    swept = sweeps.execute(config, out=tmp_path, scheduler=cluster.scheduler_address)
    assert killed
    assert killed[0] not in [worker.pid for worker in cluster.workers.values()]
    assert (swept.computed, swept.failures) == (4, {})
    rows = tables.read(swept.folder / "epochs.csv")
    assert [row["seed"] for row in rows] == [seed for seed in range(4) for _ in range(6)]
    assert {row["backend"] for row in tables.read(swept.folder / "total.csv")} == {"numpy"}
    assert not list(swept.folder.rglob(".*"))


def test_a_point_that_fails_on_a_worker_is_named(cluster, tmp_path):
    config = resolve(TINY, assignments=["trouble=raise"], seeds=2, sweep=True)
    swept = sweeps.execute(config, out=tmp_path, scheduler=cluster.scheduler_address)
    assert swept.computed == 1
    assert swept.failures["01-seeds=1"].sentence == "ArithmeticError: no seed 1 today"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tcp://127.0.0.1:1", r"no scheduler answers at tcp://127\.0\.0\.1:1: "),
        ("host", "takes an address such as tcp://host:8786, got 'host'"),
    ],
)
def test_a_scheduler_that_is_not_there_is_named(address, message, tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.cluster.TIMEOUT", 0.5)
    config = resolve(TINY, seeds=2, sweep=True)
    with pytest.raises(processes.UnavailableError, match=message):
        sweeps.execute(config, out=tmp_path, scheduler=address)


def test_a_folder_that_the_workers_do_not_see_is_named(cluster, tmp_path, monkeypatch):
    blind = tmp_path / "elsewhere"
    monkeypatch.setattr("experiments.cluster._portable", lambda name, task, reports: portable(name, task, blind))
    swept = sweeps.execute(resolve(TINY, seeds=1, sweep=True), out=tmp_path, scheduler=cluster.scheduler_address)
    assert "which a cluster must share with this machine" in swept.failures["00-seeds=0"].sentence
