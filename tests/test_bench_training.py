"""The benchmark of training: its parts do what they say; how fast is no business of a test."""

import sys

import numpy as np
import pytest

from experiments.bench import training
from matode import LowRank
from nn import lenet5


def test_start_has_the_ranks_and_is_trained():
    x = np.random.default_rng(0).random((6, 1, 28, 28), dtype=np.float32)
    Y = training._start(lenet5((3, 4, 5, None)), x, np.arange(6))
    blocks = [y for y in Y if isinstance(y, LowRank)]
    assert [y.rank for y in blocks] == [3, 4, 5]
    for y in blocks:
        np.testing.assert_allclose(y.S, np.diag(np.diag(y.S)), atol=1e-6)


def test_both_steps_of_torch_run(torch):
    x = np.random.default_rng(0).random((4, 1, 28, 28), dtype=np.float32)
    jobs = training._torch_jobs(x, np.arange(4))
    assert list(jobs) == ["PyTorch, dense", "PyTorch, low-rank"]
    for job in jobs.values():
        job()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_follows_the_factors():
    """A wide network asks for less than two of its three middle layers would as dense arrays."""
    small, large = (training.memory_above_imports(width, rank=4, batch=16, steps=1) for width in (500, 2000))
    assert 0 <= small <= large < 2000 * 2000 * 4 * 2 / 2**20
