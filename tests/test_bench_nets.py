"""The benchmarks of nets: their parts do what they say; how fast is no business of a test."""

import sys

import numpy as np
import pytest

from experiments.bench import batches, inference, lenet5, memory, mlp, mlp_limit, nets, orthonormal
from experiments.bench.setting import Setting
from matode import LowRank
from nn import lenet5 as lenet5_model
from tests import backends

SIZES = (784, 24, 24, 10)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Quick sizes that take no time."""
    monkeypatch.setattr(mlp, "_QUICK", (24, (2, 3)))
    monkeypatch.setattr(mlp, "_NARROW", (20, 2))
    monkeypatch.setattr(mlp, "BATCH", 8)
    monkeypatch.setattr(lenet5, "_BATCH", 4)
    monkeypatch.setattr(inference, "_QUICK", (24, 20))
    monkeypatch.setattr(orthonormal, "_QUICK", (40, 8))
    monkeypatch.setattr(batches, "images", lambda count, say: batches.clouds(count))


def said(**options):
    lines = []
    return Setting(quick=True, say=lines.append, **options), lines


def compared(bench):
    """Return which of ours is compared with what."""
    assert all(x.value > 0 and x.reference > 0 and x.goal is None for x in bench.ratios)  # goals are for full sizes
    return [(x.ours, x.against) for x in bench.ratios]


def test_the_wide_net_without_a_rival():
    setting, lines = said()
    bench = mlp.run(setting)
    limits = 2 * [("augmented BUG", "limit")]
    dense = [("augmented BUG", "the faster dense step (ours)"), ("augmented BUG", "dense")]
    assert compared(bench) == limits + dense
    assert {row["rank"] for row in bench.rows} == {2, 3, None}
    parts = {row["what"]: row["milliseconds"] for row in bench.rows if row["rank"] == 3}
    assert bench.ratios[1].reference == pytest.approx(
        sum(parts[kind] for kind in ("passes", "complements", "cores", "updates"))
    )
    assert any("passes" in line for line in lines)


def test_the_wide_net_against_pytorch(torch):
    bench = mlp.run(said(torch=True)[0])
    rank = [("augmented BUG", "PyTorch, low-rank"), ("BUG", "PyTorch, low-rank"), ("augmented BUG", "limit")]
    dense, *narrow = compared(bench)[6:]
    assert compared(bench)[:6] == 2 * rank
    assert dense[1] in ("the faster dense step (ours)", "the faster dense step (PyTorch)")
    assert [against for _, against in narrow] == ["dense", "PyTorch, dense", "PyTorch, low-rank"]


def test_some_ranks_of_the_wide_net_alone():
    bench = mlp.run(said(ranks=(4,))[0])
    assert {row["rank"] for row in bench.rows} == {4}


def test_negligible_innovation_is_left_out_where_the_rank_exceeds_the_batch():
    bench = mlp.run(said(ranks=(8,))[0])
    losses = {row["what"]: row["loss"] for row in bench.rows if row["loss"] is not None}
    assert list(losses) == ["loss, augmented BUG", "loss, without the negligible"]
    ratio = bench.ratios[-1]
    assert ratio.ratio == losses["loss, without the negligible"] / losses["loss, augmented BUG"]
    assert "without the negligible" in {row["what"] for row in bench.rows}


def test_goals_are_for_the_full_sizes(monkeypatch):
    monkeypatch.setattr(mlp, "_WIDTH", 24)
    assert [x.goal for x in mlp.run(said(ranks=(5,), torch=False)[0]).ratios] == [None]
    groups = mlp._Groups(said()[0], batches.clouds(1)[:0])
    groups._compare("work", "BUG", {"BUG": 1.0, "PyTorch, low-rank": 2.0}, "PyTorch, low-rank", 0.4, 24)
    groups._compare("work", "BUG", {"BUG": 1.0, "PyTorch, low-rank": 2.0}, "PyTorch, low-rank", 0.4, 25)
    assert [x.goal for x in groups.ratios] == [0.4, None]


def test_lenet5_in_training_and_inference(torch):
    setting, _ = said(torch=True)
    bench = lenet5.run(setting)
    assert [x.against for x in bench.ratios] == ["gradient alone", "PyTorch, dense", "PyTorch, low-rank"]
    assert [x.goal for x in bench.ratios] == [None, 0.6, 0.36]
    found = compared(inference.run(setting))
    assert found == 2 * [("low-rank", "PyTorch, low-rank"), ("low-rank", "PyTorch, dense")]


def test_inference_without_a_rival():
    assert compared(inference.run(said()[0])) == [("low-rank", "dense")]


def test_orthonormalising_is_compared_with_its_products():
    bench = orthonormal.run(said()[0])
    products = "its matrix products"
    assert [x.against for x in bench.ratios] == [products, products, "QR of both side by side"]
    full, deficient, *_ = bench.rows
    assert (full["columns"], deficient["columns"]) == (8, 6)
    assert max(full["defect"], deficient["defect"]) < 1e-5


class Event:
    """The double of an event of the device: the time is a count."""

    now = 0

    def record(self):
        Event.now += 1
        self.time = Event.now

    def synchronize(self):
        self.waited = True


@pytest.mark.needs_backend("cupy-double")
def test_on_a_device_its_events_measure(monkeypatch):
    import cupy

    asked = []

    def elapsed(start, end):
        asked.append(end.waited)
        return 5.0 * (end.time - start.time)

    monkeypatch.setattr(cupy.cuda, "Event", Event)
    monkeypatch.setattr(cupy.cuda, "get_elapsed_time", elapsed)
    device = backends.get("cupy-double")._replace(name="cupy")
    for bench in (mlp, lenet5, inference, orthonormal):
        found = bench.run(said(backend=device)[0])
        assert {row["milliseconds"] for row in found.rows} == {5.0}
    assert all(asked)


def test_training_goes_downhill_for_ours_and_for_both_of_pytorch(torch):
    batch = [batches.clouds(64)] * 12
    for what in ("dense", "low-rank"):
        step = nets.torch_step(what, 24, 4, batch)
        losses = [step() for _ in range(12)]
        assert losses[-1] < losses[0]
    for what in ("augmented BUG", "BUG", "dense"):
        ours = nets.training(what, 24, 4, batch, Setting().backend)
        for _ in range(12):
            ours()
        assert ours.losses[-1] < ours.losses[0]


def test_training_starts_anew_after_the_last_batch():
    data = [(x, labels % 7) for x, labels in (batches.clouds(16), batches.clouds(32), batches.clouds(48))]
    ours = nets.training("augmented BUG", 24, 4, data, Setting().backend)
    for _ in range(7):
        ours()
    assert ours.losses[:3] == ours.losses[3:6]
    assert ours.losses[6] == ours.losses[0]
    assert len(set(ours.losses)) == 3


def test_points_are_as_long_as_the_images_that_nets_get():
    x, labels = batches.clouds(512)
    assert x.dtype == np.float32
    assert set(labels) == set(range(10))
    assert 7.0 <= np.sqrt(np.mean(np.sum(x**2, axis=1))) <= 7.5


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
    for rank in (2, 3, 5, 9):
        kernels = mlp_limit.kernels(SIZES, rank, 4)
        assert list(kernels) == ["passes", "complements", "cores", "updates"]
        for kernel in kernels.values():
            kernel()


def test_the_start_of_lenet5_has_the_ranks_and_is_trained():
    x = np.random.default_rng(0).random((6, 1, 28, 28), dtype=np.float32)
    Y = lenet5.start(lenet5_model((3, 4, 5, None)), x, np.arange(6), Setting().backend)
    blocks = [y for y in Y if isinstance(y, LowRank)]
    assert [y.rank for y in blocks] == [3, 4, 5]
    for y in blocks:
        np.testing.assert_allclose(y.S, np.diag(np.diag(y.S)), atol=1e-6)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_follows_the_factors():
    """A wide network asks for less than two of its three middle layers would as dense arrays."""
    small, large = (memory.peak("augmented BUG", width, rank=4, batch=16, steps=1) for width in (500, 2000))
    assert 0 <= small <= large < 2000 * 2000 * 4 * 2 / 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_a_dense_net_is_that_of_its_weights_and_gradients():
    """At least two arrays, less than five, of the size of all weights."""
    weights = 4 * (784 * 1000 + 3 * 1000**2) / 2**20
    assert 2 * weights < memory.peak("dense", 1000, rank=4, batch=16, steps=2) < 5 * weights


def test_memory_is_compared(monkeypatch):
    monkeypatch.setattr(memory, "peak", lambda what, *sizes: {"augmented BUG": 10.0}.get(what, 200.0))
    monkeypatch.setattr(memory.sys, "platform", "linux")
    bench = memory.run(Setting(torch=True, say=lambda line: None))
    assert [(x.against, x.ratio, x.goal) for x in bench.ratios] == [
        ("PyTorch, dense", 0.05, 0.1),
        ("PyTorch, low-rank", 0.05, None),
    ]
    monkeypatch.setattr(memory.sys, "platform", "darwin")
    assert not memory.run(Setting(say=lambda line: None)).ratios
