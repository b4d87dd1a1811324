"""The experiment on LeNet5: its budgets, its caps, and that it goes on where it was interrupted."""

import dataclasses

import numpy as np
import pytest

from experiments import lenet5, progress, tables
from matode import LowRank
from matode._array import default_rng, get_backend
from nn import count_parameters
from nn import lenet5 as network
from nn.data import Dataset

TINY = lenet5.Settings(recipes=("15520", "dense"), seeds=(0, 1), epochs=2, batch_size=16)


@pytest.fixture
def images(monkeypatch):
    """Forty bright rows or columns of 28 x 28 pixels."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 40)
    x = 0.1 * rng.standard_normal((40, 1, 28, 28)).astype("float32")
    for image, label in zip(x, y, strict=True):
        image[0, 2 * label + 4 : 2 * label + 6] += 1.0
    made = Dataset("mnist", x, y, x[:20], y[:20], "made up")
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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epochs.csv", "summary.csv"]


def test_run_goes_on_where_it_was_interrupted(images, tmp_path, monkeypatch):
    settings = dataclasses.replace(TINY, recipes=("15520",), epochs=1)
    whole, rest = tmp_path / "whole", tmp_path / "rest"
    whole.mkdir()
    rest.mkdir()
    lenet5.run(settings, whole, progress.silent, "numpy")
    trained = []

    def train(*arguments, **options):
        trained.append(options["seed"])
        if len(trained) == 2:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    original = lenet5.train
    monkeypatch.setattr(lenet5, "train", train)
    with pytest.raises(KeyboardInterrupt):
        lenet5.run(settings, rest, progress.silent, "numpy")
    lenet5.run(settings, rest, progress.silent, "numpy")
    assert trained == [0, 1, 1]

    def results(folder):
        return [{k: v for k, v in row.items() if k != "seconds"} for row in tables.read(folder / "epochs.csv")]

    assert results(whole) == results(rest)


def test_method_is_at_its_ranks_when_the_shrinking_ends():
    recipe = lenet5.RECIPES["18075"]
    phases = lenet5.method(recipe, 100).integrator.phases
    assert phases[-1][0] <= 50
    assert tuple(rule.r for rule in phases[-1][1].truncation.rules) == recipe.ranks
    assert isinstance(network(recipe.start).init(default_rng(0), get_backend())[0], LowRank)


@pytest.mark.parametrize(
    ("changes", "message"), [({"recipes": ("1",)}, "there is no '1'"), ({"seeds": ()}, "must be a seed")]
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TINY, **changes)
