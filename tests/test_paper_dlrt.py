"""The figures of the DLRT paper: what they say follows from the numbers of the runs, and every claim can fail."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import cifar, progress, pruning, tables, tau_mlp
from matode import LowRank, Rank
from nn import count_parameters
from nn.baselines import prune
from paper_figures import (
    fig_cifar,
    fig_decay,
    fig_defect_seeds,
    fig_lenet5,
    fig_pruning,
    fig_rank_evolution,
    fig_tau,
    paper_rows,
    published,
    registry,
    tau_plot,
)
from tests import paper_runs


@pytest.fixture
def images(monkeypatch):
    """MNIST, made up."""
    made = paper_runs.bars()
    monkeypatch.setattr(tau_mlp.data, "load", lambda name: made)
    return made


def verdicts_of(figure, tmp_path, name, **how):
    """Return the verdicts by row of the paper, from a made-up run."""
    described = figure.describe({name: paper_runs.store(tmp_path, name, **how)})
    found = {}
    for comparison in described.comparisons:
        paper_rows.check(comparison.rows)
        for row in comparison.rows:
            found.setdefault(row, []).append(str(comparison.verdict.status))
    return found


def test_every_tolerance_is_compared_at_its_size(tmp_path):
    good = verdicts_of(fig_tau.FIGURE, tmp_path / "a", "tau-mlp")
    assert set(good) == {"fig3-500", "fig3-784", "supplement-tau-500", "supplement-tau-784"}
    assert good["fig3-500"] == ["better"] * 8 + ["reproduced"] * 2
    assert "differs" not in good["fig3-784"]
    large = verdicts_of(fig_tau.FIGURE, tmp_path / "b", "tau-mlp", factor=1.3)
    assert large["fig3-500"][:8] == ["differs"] * 8
    poor = verdicts_of(fig_tau.FIGURE, tmp_path / "c", "tau-mlp", points=-0.4)
    assert poor["fig3-500"][:9] == ["differs"] * 9
    just = verdicts_of(fig_tau.FIGURE, tmp_path / "d", "tau-mlp", points=-0.3, factor=1.1)
    assert just["fig3-500"][:8] == ["reproduced"] * 8


def test_seeds_are_those_that_each_width_has(tmp_path):
    run = paper_runs.store(tmp_path, "tau-mlp")
    assert tau_plot.settings(run)["seeds"] == "width 500: 0, 1; width 784: 0, 1"
    rows = [row for row in run.table("epochs") if (row["width"], row["seed"]) != (784, 1)]
    tables.write(run.folder / "epochs.csv", rows)
    assert tau_plot.settings(run)["seeds"] == "width 500: 0, 1; width 784: 0"


def test_ranks_are_compared_at_every_tolerance(tmp_path):
    good = verdicts_of(fig_rank_evolution.FIGURE, tmp_path / "a", "tau-mlp")
    assert good == {"fig2": ["reproduced"] * 3, "supplement-ranks": ["reproduced"] * 8}
    bad = verdicts_of(fig_rank_evolution.FIGURE, tmp_path / "b", "tau-mlp", left=0.6)
    assert bad["fig2"] == ["differs", "differs", "reproduced"]


def test_pruned_nets_are_compared_before_and_after_retraining(tmp_path):
    good = verdicts_of(fig_pruning.FIGURE, tmp_path / "a", "pruning")
    assert good["pruning-svd"] == ["reproduced", "better", "better"]
    assert good["pruning-retrained"] == ["reproduced"] * 3
    bad = verdicts_of(fig_pruning.FIGURE, tmp_path / "b", "pruning", retrained=96.0)
    assert bad["pruning-retrained"] == ["differs"] * 3


def test_decaying_starts_are_compared_with_undecayed_ones(tmp_path):
    good = fig_decay.FIGURE.describe({fig_decay.EXPERIMENT: paper_runs.store(tmp_path / "a", fig_decay.EXPERIMENT)})
    verdicts = {c.what: str(c.verdict.status) for c in good.comparisons}
    assert verdicts["what DLRT loses by the decay 10^-k"] == "reproduced"
    assert verdicts["what U V* loses by the decay 10^-k"] == "reproduced"
    assert verdicts["DLRT above U V*, decay 10^-k"] == "reproduced"
    assert verdicts["DLRT above U V*, no decay"] == "differs"
    assert verdicts["U V*, no decay"] == "better"
    run = paper_runs.store(tmp_path / "b", fig_decay.EXPERIMENT, gap=1.1)
    bad = {c.what: str(c.verdict.status) for c in fig_decay.FIGURE.describe({fig_decay.EXPERIMENT: run}).comparisons}
    assert bad["what DLRT loses by the decay 10^-k"] == "differs"
    assert bad["DLRT, decay 10^-k"] == "reproduced"


def test_the_defect_costs_in_nine_of_ten_seeds(tmp_path):
    assert verdicts_of(fig_defect_seeds.FIGURE, tmp_path / "a", "defect-seeds")["defect1"] == ["reproduced"] * 2
    bad = verdicts_of(fig_defect_seeds.FIGURE, tmp_path / "b", "defect-seeds", lower=0.5)
    assert bad["defect1"] == ["differs", "reproduced"]


def test_every_row_of_table_1_meets_the_best_net_within_its_budget(tmp_path):
    run = paper_runs.store(tmp_path / "a", "lenet5", points=0.1)  # 98.1 % at 15,020 and 99.07 % at 29,500
    made = {c.what: c for c in fig_lenet5.FIGURE.describe({"lenet5": run}).comparisons}
    assert made["DLRT, tau = 0.3"].ours == "98.10 % with 15,020 parameters"
    assert made["DLRT, tau = 0.11"].ours == "99.07 % with 29,500 parameters"
    words = {name: str(comparison.verdict.status) for name, comparison in made.items()}
    assert words["LRNN"] == "differs"
    assert words["GAL"] == "better"
    assert words["SSL"] == "reproduced"
    assert words["DLRT of the repository, tau = 0.4"] == "not run here"
    assert words["largest standard deviation between runs"] == "reproduced"
    assert len(made) == 4 + 5 + 8 + 1
    run = paper_runs.store(tmp_path / "b", "lenet5", points=-0.4)
    made = {c.what: c for c in fig_lenet5.FIGURE.describe({"lenet5": run}).comparisons}
    assert str(made["GAL"].verdict.status) == "differs"


def test_what_needs_a_gpu_says_so_with_its_command(tmp_path):
    described = fig_cifar.FIGURE.describe({})
    assert {c.verdict.status for c in described.comparisons} == {"not run here"}
    assert sum("python -m experiments run cifar --backend cupy" in c.verdict.why for c in described.comparisons) == 8
    assert {row for c in described.comparisons for row in c.rows} == {
        "table2-cifar10",
        "cifar100",
        "cifar-all-layers",
        "table2-imagenet",
    }
    settings = dataclasses.asdict(cifar.FULL)
    summary = [
        {"model": "alexnet", "adaptive_percent": 80.0, "test_percent": 84.5, "compression": 0.85, "ranks": "60-70"},
        {"model": "vgg16", "adaptive_percent": 80.0, "test_percent": 90.5, "compression": 0.5, "ranks": "6-6"},
    ]
    run = SimpleNamespace(settings=settings, table=lambda name: summary)
    rows = {(r["data"], r["model"]): r for r in fig_cifar._rows({"cifar": run})}
    assert rows["CIFAR-10", "AlexNet"]["ranks"] == "60 70"
    assert str(fig_cifar._compared(rows["CIFAR-10", "AlexNet"]).verdict.status) == "reproduced"
    assert str(fig_cifar._compared(rows["CIFAR-10", "VGG16"]).verdict.status) == "differs"
    assert rows["CIFAR-100", "VGG16"]["test_percent"] is None
    made_up = SimpleNamespace(settings=settings | {"data": "synthetic"}, table=lambda name: summary)
    assert all(row["test_percent"] is None for row in fig_cifar._rows({"cifar": made_up}))


@pytest.mark.parametrize("label", ["fig2", "fig3", "fig4", "table1", "table2", "pruning"])
def test_figures_answer_to_the_names_of_the_paper(label):
    assert registry.get(label).label.lower().replace(".", "").replace(" ", "").startswith(label)


def test_unknown_sizes_are_interpolated_and_never_helpful():
    by = {row.tau: published.parameters_at(row) for row in published.WIDTH_784}
    assert by[0.03] == by[0.05] == 495 * 1568 + 7840
    assert by[0.05] > by[0.07] > by[0.09] > by[0.11] > by[0.13] > by[0.15] > by[0.17]
    assert by[0.11] == pytest.approx(np.exp(np.interp(np.log(0.11), *np.log([[0.09, 0.15], [by[0.09], by[0.15]]]))))


def test_both_phases_of_every_tolerance_are_recorded(images, tmp_path):
    settings = tau_mlp.Settings(widths=(24,), taus=(0.1, 0.6), depth=3, rank=12, seeds=(0, 1), adaptive=2, fixed=2)
    settings = dataclasses.replace(settings, batch_size=8, lr=0.05)
    tau_mlp.run(settings, tmp_path, progress.silent, "numpy")
    rows = tables.read(tmp_path / "epochs.csv")
    assert len(rows) == 3 * 2 * 5
    mine = {t: [r for r in rows if (r["tau"], r["seed"]) == (t, 0)] for t in (0.1, 0.6, None)}
    assert [r["epoch"] for r in mine[0.1]] == [0, 1, 2, 3, 4]
    assert mine[0.1][0]["rank_1"] == 12
    assert mine[0.1][0]["test_accuracy"] is None
    ranks = {t: [r["rank_2"] for r in mine[t]] for t in (0.1, 0.6)}
    assert ranks[0.6][2] < ranks[0.1][2]
    assert all(r[2] == r[3] == r[4] for r in ranks.values()), "the second phase keeps the ranks"
    last = mine[0.6][-1]
    assert last["parameters"] == last["rank_1"] * (784 + 24) + last["rank_2"] * 48 + 240
    assert mine[None][-1]["parameters"] == 784 * 24 + 24 * 24 + 240
    summary = {row["tau"]: row for row in tables.read(tmp_path / "summary.csv")}
    ends = [[100 * r["test_accuracy"] for r in rows if (r["tau"], r["epoch"]) == (0.6, k)] for k in (2, 4)]
    assert summary[0.6]["adaptive_percent"] == pytest.approx(np.mean(ends[0]))
    assert summary[0.6]["test_percent"] == pytest.approx(np.mean(ends[1]))
    assert summary[0.6]["worst"] == min(ends[1])
    assert summary[None]["rank_1"] is None
    with pytest.raises(ValueError, match="a seed, a width and a tolerance"):
        tau_mlp.Settings(taus=())


def test_pruning_starts_from_one_net_and_retrains_at_its_rank(images, tmp_path, monkeypatch):
    starts = {}

    def train(model, data, integrator, **options):
        result = original(model, data, integrator, **options)
        starts[options["start"] and options["start"][0].rank] = (options["start"], result)
        return result

    original = pruning.train
    monkeypatch.setattr(pruning, "train", train)
    settings = pruning.Settings(width=784, depth=2, ranks=(3, 8), seeds=(0,), epochs=2, retraining=1, batch_size=10)
    pruning.run(settings, tmp_path, progress.silent, "numpy")
    _, dense = starts[None]
    for rank in (3, 8):
        start, retrained = starts[rank]
        best = prune(dense.Y, Rank(rank))
        np.testing.assert_allclose(start[0].to_dense(), best[0].to_dense(), atol=1e-5)
        assert isinstance(retrained.Y[0], LowRank)
        assert retrained.Y[0].rank == rank
        assert (retrained.Y[0] - start[0]).norm() > 1e-3
    rows = {row["rank"]: row for row in tables.read(tmp_path / "epochs.csv")}
    assert rows[8]["retrained"] == starts[8][1].history[-1].test_accuracy
    assert rows[8]["parameters"] == count_parameters(starts[8][1].Y, biases=False).evaluation
    assert rows[None]["pruned"] == dense.history[-1].test_accuracy
    assert rows[8]["published"] < rows[8]["pruned"]
    summary = {row["rank"]: row for row in tables.read(tmp_path / "summary.csv")}
    assert summary[3]["retrained_percent"] == 100 * rows[3]["retrained"]
    with pytest.raises(ValueError, match="ranks between 1 and the width"):
        pruning.Settings(ranks=(1000,))


@pytest.mark.parametrize("name", cifar.MODELS)
def test_networks_for_cifar_take_steps_of_both_phases(name, tmp_path):
    settings = dataclasses.replace(cifar.QUICK, models=(name,), batch_size=2, train_examples=4, test_examples=2)
    cifar.run(settings, tmp_path, progress.silent, "numpy")
    first, second = tables.read(tmp_path / "epochs.csv")
    assert [first["phase"], second["phase"]] == ["adaptive", "tuning"]
    assert first["ranks"] == second["ranks"], "the cores alone move in the second phase"
    layers = {"alexnet": 2, "vgg16": 2, "alexnet-all": 7, "vgg16-all": 15, "lenet5-all": 3, "resnet20-all": 19}
    assert len(str(first["ranks"]).split("-")) == layers[name]
    (row,) = tables.read(tmp_path / "summary.csv")
    assert row["test_percent"] == 100 * second["test_accuracy"]
    assert np.isfinite(second["loss"])


def test_settings_for_cifar_are_checked():
    with pytest.raises(ValueError, match="expected cifar-10, cifar-100 or synthetic, got 'cifar'"):
        cifar.Settings(data="cifar")
    with pytest.raises(ValueError, match="there is no 'vgg'"):
        cifar.Settings(models=("vgg",))
