"""The benchmarks of nets: their parts do what they say; how fast is no business of a test."""

import sys

import numpy as np
import pytest

from experiments.bench import lenet5 as bench_lenet5
from experiments.bench import mlp, mlp_limit
from experiments.bench.setting import Setting
from matode import LowRank
from nn import lenet5


def test_start_has_the_ranks_and_is_trained():
    x = np.random.default_rng(0).random((6, 1, 28, 28), dtype=np.float32)
    Y = bench_lenet5._start(lenet5((3, 4, 5, None)), x, np.arange(6))
    blocks = [y for y in Y if isinstance(y, LowRank)]
    assert [y.rank for y in blocks] == [3, 4, 5]
    for y in blocks:
        np.testing.assert_allclose(y.S, np.diag(np.diag(y.S)), atol=1e-6)


def test_both_steps_of_torch_run(torch):
    x = np.random.default_rng(0).random((4, 1, 28, 28), dtype=np.float32)
    jobs = bench_lenet5._torch_jobs(x, np.arange(4))
    assert list(jobs) == ["PyTorch, dense", "PyTorch, low-rank"]
    for job in jobs.values():
        job()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_follows_the_factors():
    """A wide network asks for less than two of its three middle layers would as dense arrays."""
    small, large = (bench_lenet5.memory_above_imports(width, rank=4, batch=16, steps=1) for width in (500, 2000))
    assert 0 <= small <= large < 2000 * 2000 * 4 * 2 / 2**20


SIZES = (784, 24, 24, 10)


@pytest.fixture
def small(monkeypatch):
    """Quick sizes that take no time."""
    monkeypatch.setattr(mlp, "_QUICK", (24, (2, 3)))
    monkeypatch.setattr(mlp.batches, "images", lambda count, say: mlp.batches.clouds(count))


def said(**options):
    lines = []
    return Setting(quick=True, say=lines.append, **options), lines


def test_the_wide_net_without_a_rival(small):
    setting, lines = said()
    bench = mlp.run(setting)
    assert [(x.ours, x.against) for x in bench.ratios] == 2 * [("augmented BUG", "limit")] + [
        ("augmented BUG", "the faster dense step (ours)")
    ]
    assert {row["rank"] for row in bench.rows} == {2, 3, None}
    assert all(row["milliseconds"] > 0 for row in bench.rows)
    assert any("passes" in line for line in lines)


def test_the_wide_net_against_pytorch(small, torch):
    setting, _ = said(torch=True, ranks=(2,))
    (augmented, bug, limit) = mlp.run(setting).ratios
    assert [x.against for x in (augmented, bug)] == 2 * ["PyTorch, low-rank"]
    assert augmented.reference == bug.reference
    assert limit.against == "limit"
    assert augmented.value == limit.value
    assert all(x.goal is None for x in (augmented, bug, limit))  # goals are for width 5120


def test_training_goes_downhill_for_ours_and_for_both_of_pytorch(torch):
    from experiments.bench import torch_mlp

    x, labels = mlp.batches.clouds(64)
    batch = [(x, labels)]
    nets = [torch_mlp.dense_step(SIZES, batch), torch_mlp.low_rank_step(SIZES, 4, batch)]
    for net in nets:
        losses = [net() for _ in range(12)]
        assert losses[-1] < losses[0]
    ours = mlp.low_rank(mlp.BUG(mlp.euler), 24, 4, batch, Setting().backend)
    for _ in range(12):
        ours()
    assert ours.losses[-1] < ours.losses[0]


def test_one_pass_of_pytorch_has_the_gradients_for_k_and_l(torch):
    """The shared product's gradients are those of the weight, G V and G* U, in double precision."""
    from experiments.bench.torch_mlp import _shared

    generator = torch.Generator().manual_seed(0)
    x, U, S, V = (
        torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((5, 7), (6, 2), (2, 2), (7, 2))
    )
    K, L = (U @ S).requires_grad_(True), (V @ S.T).requires_grad_(True)
    W = (U @ S @ V.T).requires_grad_(True)
    weights = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    (G,) = torch.autograd.grad(((x @ W.T) * weights).sum(), W)
    b = torch.zeros(6, dtype=torch.float64)
    found = torch.autograd.grad((_shared(x, b, U, V, K, L) * weights).sum(), [K, L])
    np.testing.assert_allclose(found[0], G @ V, atol=1e-13)
    np.testing.assert_allclose(found[1], G.T @ U, atol=1e-13)


def test_the_limit_of_a_wide_step_can_be_timed_also_beyond_the_batch():
    for rank in (2, 5):
        kernels = mlp_limit.kernels(SIZES, rank, batch=4)
        assert list(kernels) == ["passes", "complements", "cores", "updates"]
        for kernel in kernels.values():
            kernel()
