"""The experiments on LeNet5: budgets, caps, starts, and that they go on where they were interrupted."""

import dataclasses

import numpy as np
import pytest

from experiments import adam_mlp, defect_seeds, lenet5, parts, progress, small_singular_values, tables
from matode import LowRank, storage
from matode._array import default_rng, get_backend
from nn import count_parameters
from nn import lenet5 as network
from nn.train import accuracy
from tests import paper_runs

TINY = lenet5.Settings(recipes=("15520", "dense"), seeds=(0, 1), epochs=2, batch_size=16)


@pytest.fixture
def images(monkeypatch):
    """MNIST, made up."""
    made = paper_runs.bars()
    monkeypatch.setattr(lenet5.data, "load", lambda name: made)
    return made


@pytest.mark.parametrize("name", [name for name in lenet5.RECIPES if name != "dense"])
def test_recipes_stay_within_the_budget_that_names_them(name):
    recipe = lenet5.RECIPES[name]
    Y = network(recipe.ranks).init(default_rng(0), get_backend())
    assert count_parameters(Y, biases=False).evaluation <= int(name) == recipe.published[0]
    assert all(a >= b for a, b in zip(recipe.start, recipe.ranks, strict=True))
    network(recipe.start)  # raises where a rank does not fit


def test_caps_fall_from_the_start_to_the_end():
    assert lenet5.caps((16, 4), (4, 4), 4) == {0: (16, 4), 1: (11, 4), 2: (8, 4), 3: (6, 4), 4: (4, 4)}
    assert lenet5.caps((5,), (5,), 100) == {0: (5,)}


def test_run_trains_every_pair_at_the_ranks_of_its_recipe(images, tmp_path):
    lenet5.run(TINY, tmp_path, progress.silent, "numpy")
    rows = tables.read(tmp_path / "epochs.csv")
    assert [(str(row["setting"]), row["seed"], row["epoch"]) for row in rows] == [
        (name, seed, epoch) for seed in (0, 1) for name in ("15520", "dense") for epoch in (1, 2)
    ]
    low, dense = ([row for row in rows if str(row["setting"]) == name][1] for name in ("15520", "dense"))
    assert tuple(low[f"rank_{i}"] for i in (1, 2, 3, 4)) == lenet5.RECIPES["15520"].ranks
    assert dense["rank_1"] is None
    assert dense["parameters"] == 430_500
    summary = tables.read(tmp_path / "summary.csv")
    assert [row["seeds"] for row in summary] == [2, 2]
    assert summary[0]["parameters"] == low["parameters"] <= 15_520
    ends = [100 * row["test_accuracy"] for row in rows if row["epoch"] == 2 and str(row["setting"]) == "15520"]
    assert summary[0]["test_percent"] == pytest.approx(sum(ends) / 2)
    weights = ["15520-0.npz", "15520-1.npz"]  # those of the dense net are too large
    assert sorted(path.name for path in tmp_path.iterdir()) == [*weights, "epochs.csv", "summary.csv"]
    stored = storage.load(tmp_path / weights[1])
    net = network(lenet5.RECIPES["15520"].start)
    assert accuracy(net, stored, images.x_test, images.y_test) == pytest.approx(ends[1] / 100)


def test_parts_go_on_where_they_were_interrupted(tmp_path):
    computed, told = [], []

    def compute(setting, seed, report):
        computed.append((setting, seed))
        report(1.0, setting)
        if len(computed) == 3:
            raise KeyboardInterrupt
        return [{"epoch": k, "value": 0.1 * k} for k in (1, 2)]

    def collect():
        return parts.collect(("7", "b"), (0, 1), tmp_path, compute, lambda fraction, note: told.append(fraction))

    with pytest.raises(KeyboardInterrupt):
        collect()
    found = collect()
    assert computed == [("7", 0), ("b", 0), ("7", 1), ("7", 1), ("b", 1)]
    assert told == [0.25, 0.5, 0.75, 0.75, 1.0]
    assert found["7", 1] == [{"setting": "7", "seed": 1, "epoch": k, "value": 0.1 * k} for k in (1, 2)]
    assert [row["seed"] for row in tables.read(tmp_path / "epochs.csv")] == [0] * 4 + [1] * 4
    assert [path.name for path in tmp_path.iterdir()] == ["epochs.csv"]


def test_a_final_state_is_stored_where_it_is_small(tmp_path, monkeypatch):
    def compute(setting, seed, report):
        return [{"epoch": 1}], {"Y": LowRank.random((30, 20), int(setting), rng=seed)}

    monkeypatch.setattr(parts, "LARGEST", 2500)  # bytes; a matrix of rank r takes some hundred, and 400 r + 8 r^2
    parts.collect(("2", "9"), (0, 1), tmp_path, compute, progress.silent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2-0.npz", "2-1.npz", "epochs.csv"]
    stored = storage.load(tmp_path / "2-1.npz")["Y"]
    np.testing.assert_array_equal(stored.to_dense(), LowRank.random((30, 20), 2, rng=1).to_dense())


def test_both_forms_start_from_the_same_decayed_matrices(images, tmp_path, monkeypatch):
    settings = small_singular_values.Settings(bases=(1.0, 10.0), rank=6, seeds=(0, 1), epochs=1, batch_size=20)
    starts = {}

    def train(model, data, integrator, **options):
        Y = options["start"]
        W = Y[0] if isinstance(Y[0], LowRank) else Y[0] @ Y[1].T
        starts.setdefault(options["seed"], []).append(W.to_dense() if isinstance(W, LowRank) else W)
        return original(model, data, integrator, **options)

    original = small_singular_values.train
    monkeypatch.setattr(small_singular_values, "train", train)
    small_singular_values.run(settings, tmp_path, progress.silent, "numpy")
    for flat, same, steep, twin in starts.values():
        np.testing.assert_allclose(flat, same, atol=1e-5)
        np.testing.assert_allclose(steep, twin, atol=1e-5)
        for W, ratio in ((flat, 1.0), (steep, 0.1)):
            s = np.linalg.svd(W, compute_uv=False)
            assert s[1] / s[0] == pytest.approx(ratio, rel=1e-3)
            assert s[6] <= 1e-5 * s[0]
    rows = tables.read(tmp_path / "epochs.csv")
    assert len(rows) == 8
    end = {(row["setting"], row["seed"]): 100 * row["test_accuracy"] for row in rows}
    summary = {(row["method"], row["base"]): row for row in tables.read(tmp_path / "summary.csv")}
    gaps = [end["dlrt-1", s] - end["dlrt-10", s] for s in (0, 1)]
    assert summary["dlrt", 10.0]["gap"] == pytest.approx(sum(gaps) / 2)
    assert summary["dlrt", 10.0]["gap_half_width"] == pytest.approx(12.7062 * abs(gaps[0] - gaps[1]) / 2, abs=1e-4)
    assert summary["factors", 1.0]["gap"] == 0.0
    assert summary["factors", 1.0]["test_percent"] == pytest.approx((end["factors-1", 0] + end["factors-1", 1]) / 2)


def test_forms_of_adam_start_alike_and_end_in_a_summary(images, tmp_path):
    settings = adam_mlp.Settings(width=24, depth=3, rank=12, seeds=(0, 1), epochs=3, batch_size=8, lr=0.01)
    adam_mlp.run(settings, tmp_path, progress.silent, "numpy")
    rows = tables.read(tmp_path / "epochs.csv")
    assert len(rows) == 3 * 2 * 3
    for row in tables.read(tmp_path / "summary.csv"):
        curves = [
            [100 * r["test_accuracy"] for r in rows if (r["setting"], r["seed"]) == (row["method"], s)] for s in (0, 1)
        ]
        assert row["last_percent"] == pytest.approx((curves[0][-1] + curves[1][-1]) / 2)
        assert row["worst_last_percent"] == min(curve[-1] for curve in curves)
        assert row["largest_drop_from_best"] == pytest.approx(max(max(curve) - curve[-1] for curve in curves))
    end = {row["setting"]: row["loss"] for row in rows if (row["seed"], row["epoch"]) == (0, 3)}
    assert len(set(end.values())) == 3
    with pytest.raises(ValueError, match="there is no 'sgd'"):
        adam_mlp.Settings(methods=("sgd",))


def test_truncations_are_compared_seed_by_seed(images, tmp_path):
    settings = defect_seeds.Settings(
        data="mnist", width=24, hidden=2, rank=16, small_epochs=4, small_batch_size=8, lr=0.2, tau=0.1, seeds=(3, 4)
    )
    defect_seeds.run(settings, tmp_path, progress.silent, "numpy")
    rows = tables.read(tmp_path / "epochs.csv")
    loss = {(row["setting"], row["seed"], row["epoch"]): row["loss"] for row in rows}
    assert len(loss) == 2 * 2 * 4
    for row in tables.read(tmp_path / "seeds.csv"):
        pairs = [[loss[name, row["seed"], k] for name in ("correct", "published")] for k in (1, 2, 3, 4)]
        assert row["lower_in_every_epoch"] is all(a < b for a, b in pairs)
        assert [row["loss_correct"], row["loss_published"]] == pairs[-1]
        assert row["loss_published"] > 1.2 * row["loss_correct"]
    assert loss["correct", 3, 1] != loss["correct", 4, 1]
    curves = [[{"loss": x, "test_accuracy": 0.5} for x in values] for values in ((0.9, 0.5, 0.3), (1.0, 0.4, 0.6))]
    assert not defect_seeds._compared(0, *curves)["lower_in_every_epoch"], "a curve that is above once is not below"


def test_method_is_at_its_ranks_when_the_shrinking_ends():
    recipe = lenet5.RECIPES["18075"]
    decaying = lenet5.method(recipe, 100)
    assert decaying.rate == recipe.decay
    assert lenet5.method(dataclasses.replace(recipe, decay=0.0), 100) == decaying.integrator
    phases = decaying.integrator.integrator.phases
    assert phases[-1][0] <= 50
    assert tuple(rule.r for rule in phases[-1][1].truncation.rules) == recipe.ranks
    assert isinstance(network(recipe.start).init(default_rng(0), get_backend())[0], LowRank)


@pytest.mark.parametrize(
    ("changes", "message"), [({"recipes": ("1",)}, "there is no '1'"), ({"seeds": ()}, "must be a seed")]
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **changes)
    with pytest.raises(ValueError, match="expected 1 and numbers above it"):
        small_singular_values.Settings(bases=(2.0,))
