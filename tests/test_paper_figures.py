"""Figures: they are drawn from stored results, compute nothing themselves, and the page shows all of them."""

from __future__ import annotations

import csv
import importlib.util
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace
from urllib.parse import urlsplit

import numpy as np
import pytest

from experiments import (
    benchmarks,
    bounds,
    defects,
    dlrt_theorems,
    net_scaling,
    net_timing,
    registry,
    runs,
    scaling,
    tables,
    tolerance,
    work_precision,
)
from experiments.bench import ratios
from experiments.bench.ratios import Ratio
from experiments.convergence import BoundViolatedError
from experiments.convergence import Settings as ConvergenceSettings
from experiments.mnist_mlp import Settings as TrainingSettings
from experiments.published_defect import Settings as DefectSettings
from matode import INTEGRATORS
from paper_figures import __main__ as cli
from paper_figures import convergence_plot, fig_timing, fig_work_precision, page, published, style, training_plot
from paper_figures.figure import Description
from paper_figures.registry import FIGURES, get
from tests import paper_runs
from tests.test_experiments import TINY

REASON = "matplotlib is not installed: pip install 'matode[plots]'"
DIGITS = "the digits come with scikit-learn, which is not installed: pip install 'matode[data]'"
DEFAULT = [name for name, figure in FIGURES.items() if figure.default]


SMALL = {
    "tolerance": tolerance.Settings(
        ("bounded", "sylvester"), ("midpoint-bug", "rk-bug-2", "augmented-bug"), (1e-2, 1e-3)
    ),
    "work-precision": work_precision.Settings(
        ("lyapunov", "schroedinger"), ("augmented-bug", "full-rank"), n=16, rtols=(1e-2, 1e-3)
    ),
    "scaling": scaling.Settings((64, 256), (2, 3), 64),
    "timing": net_timing.Settings(16, 8, (2, 4), (2, 5), 20, 10, 2, torch=False, memory=False),
    "benchmarks": benchmarks.Settings(("orthonormal",), small=True, torch=False),
    "net-scaling": net_scaling.Settings(16, 2, 4, (2, 3), (8, 16), (2, 4), 8, 2, torch=False, memory=False),
    "bounds": bounds.Settings(eps=(1e-3, 1e-2), h=(1e-1, 5e-2), theta=(1e-6, 1e-2), sigma=(1e-1, 1e-12), fine_h=1e-2),
    "defects": defects.Settings(epochs=2),
    "dlrt-theorems": dlrt_theorems.Settings(steps=(5e-2, 2.5e-2), epochs=1),
}


@pytest.fixture
def matplotlib():
    """The module; what draws is skipped where it is absent."""
    return pytest.importorskip("matplotlib", reason=REASON)


@pytest.fixture(scope="session")
def results(standard_run):
    """A folder with small finished runs of all experiments; the training is made up, as if on MNIST."""
    pytest.importorskip("sklearn", reason=DIGITS)
    out = standard_run.folder.parent
    for name, tiny in SMALL.items():
        runs.execute(registry.get(name), tiny, quick=True, out=out)
    runs.execute(registry.get("convergence"), TINY, quick=True, out=out)
    fake = registry.Experiment("mnist-mlp", "", _trained, TrainingSettings(), TrainingSettings(), (1, 1))
    runs.execute(fake, TrainingSettings(epochs=2, dense_epochs=1), quick=True, out=out)
    fake = registry.Experiment("published-defect", "", _defective, DefectSettings(), DefectSettings(), (1, 1))
    runs.execute(fake, DefectSettings(epochs=1), quick=True, out=out)
    for name in paper_runs.MADE:
        paper_runs.store(out, name)
    return out


def _defective(settings, folder, report, backend):
    """Write what the experiment on the published truncation would: the trained nets under its names."""
    _trained(settings, folder, report, backend)
    for name in ("epochs", "steps"):
        rows = [row | {"net": {"dlrt": "correct", "dense": "published"}[row["net"]]} for row in TABLES[name]]
        tables.write(folder / f"{name}.csv", rows)
    checks = [("correct", "exact", "passed"), ("published", "exact", "failed"), ("published", "order", "passed")]
    tables.write(folder / "checks.csv", [{"net": n, "check": c, "status": s} for n, c, s in checks])
    errors = [("correct", 0.05, 0.04), ("correct", 0.2, 0.17), ("published", 0.05, 1.3), ("published", 0.2, 1.2)]
    tables.write(folder / "errors.csv", [{"net": n, "tau": t, "error": e} for n, t, e in errors])


TABLES = {}
"""What the made-up training wrote last."""


def _trained(settings, folder, report, backend):
    """Write what the training experiment would."""
    epochs, steps = [], []
    for net, count in (("dlrt", 2), ("dense", 1)):
        for k in range(1, count + 1):
            ranks = {f"rank_{i}": 40 + i if net == "dlrt" else None for i in range(1, 5)}
            epochs.append(
                {
                    "net": net,
                    "epoch": k,
                    "loss": 1 / k,
                    "test_accuracy": 0.9 + 0.01 * k,
                    **ranks,
                    "evaluation_parameters": 190000,
                    "training_parameters": 400000,
                    "dense_parameters": 1149010,
                    "compression": 0.83 if net == "dlrt" else 0.0,
                    "learning_rate": 0.1,
                    "seconds": 2.0,
                }
            )
        for step in (0, 1, 2, 20, 40, 469 * count):
            steps.append({"net": net, "step": step, "epoch": step / 469, "loss": 2 / (1 + step), **ranks})
    TABLES.update(epochs=epochs, steps=steps)
    tables.write(folder / "epochs.csv", epochs)
    tables.write(folder / "steps.csv", steps)
    data = {"data": "mnist", "train_examples": 60000, "test_examples": 10000, "layers": "784-500-10", "batch_size": 128}
    tables.write(folder / "data.csv", [data])


@contextmanager
def refusing():
    """Make every attempt to run an experiment an error."""

    def refuse(*arguments, **options):
        raise AssertionError("a figure computed something")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "execute", refuse)
        patch.setattr(registry.Experiment, "run", property(refuse), raising=False)
        yield


@pytest.fixture
def no_computing():
    """Make every attempt to run an experiment an error."""
    with refusing():
        yield


@pytest.fixture(scope="session")
def drawn(results, tmp_path_factory):
    """A folder with all default figures, and whether matplotlib's settings stayed what they were."""
    matplotlib = pytest.importorskip("matplotlib", reason=REASON)
    folder = tmp_path_factory.mktemp("figures")
    before = dict(matplotlib.rcParams)
    with refusing():
        assert draw(results, folder) == 0
    return folder, dict(matplotlib.rcParams) == before


def draw(results, folder, *arguments):
    nothing = results / "nothing-comes-with-the-code"
    folders = ["--results", str(results), "--committed", str(nothing), "--figures", str(folder)]
    return cli.main([*arguments, "--quick", *folders])


class Links(HTMLParser):
    """Collects what a page shows and links to."""

    def __init__(self, text):
        super().__init__()
        self.images, self.links, self.ids, self.open = [], [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.images += [values["src"]] if tag == "img" else []
        self.links += [values["href"]] if tag == "a" else []
        self.ids |= {values["id"]} if "id" in values else set()
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_every_default_figure_is_drawn_from_results_alone(drawn):
    folder, same_settings = drawn
    for name in DEFAULT:
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        with (folder / f"{name}.csv").open(newline="") as file:
            assert len(list(csv.DictReader(file))) > 2
    assert same_settings
    assert not list(folder.glob(".*"))


def test_pdfs_are_vectors_with_embedded_fonts_no_wider_than_the_text(drawn):
    for name in DEFAULT:
        text = (drawn[0] / f"{name}.pdf").read_bytes()
        width = float(re.search(rb"/MediaBox \[ 0 0 ([0-9.]+) ", text)[1])
        assert width <= 72 * style.TEXT + 0.01, f"{name} is {width / 72:.2f} in wide"
        assert b"/FontFile2" in text  # TrueType outlines
        assert b"/Type3" not in text
        assert b"/Subtype /Image" not in text


def test_the_page_shows_every_picture_and_every_link_leads_somewhere(drawn):
    folder, _ = drawn
    text = (folder / "index.html").read_text(encoding="utf-8")
    found = Links(text)
    assert not found.open
    assert found.images == [f"{name}.png" for name in DEFAULT]
    for link in [*found.links, *found.images]:
        parts = urlsplit(link)
        assert not parts.scheme
        assert not parts.netloc
        assert not parts.path.startswith("/")
        if parts.path:
            assert (folder / parts.path).stat().st_size > 0
        else:
            assert parts.fragment in found.ids
    assert "<script" not in text
    assert "url(" not in text
    for name in DEFAULT:
        assert f"{name}.pdf" in found.links
        assert f"{name}.csv" in found.links


def test_the_page_says_what_was_used_and_sets_published_beside_ours(drawn):
    text = (drawn[0] / "index.html").read_text(encoding="utf-8")
    assert "MNIST: 60,000 training and 10,000 test images" in text
    assert "quick run, made 20" in text
    assert "98.11%, ranks 27 40 37 38" in text
    assert "92.00%" in text


def test_naming_one_figure_draws_it_alone_and_keeps_the_others_on_the_page(matplotlib, no_computing, results, tmp_path):
    assert draw(results, tmp_path, "ranks") == 0
    assert {path.stem for path in tmp_path.glob("*.png")} == {"fig_ranks"}
    assert draw(results, tmp_path, "fig_lyapunov") == 0
    assert Links((tmp_path / "index.html").read_text()).images == ["fig_lyapunov.png", "fig_ranks.png"]


def test_the_overview_is_drawn_when_named(matplotlib, no_computing, results, tmp_path, monkeypatch):
    monkeypatch.setattr("paper_figures.overview._RANK", TINY.schroedinger_ranks[0])
    assert draw(results, tmp_path, "overview") == 0
    assert (tmp_path / "overview.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("name", "size"),
    [("benchmarks", 5_000), ("net_scaling", 10_000), ("scaling", 20_000), ("work_precision", 20_000)],
)
def test_figures_of_measurements_are_drawn_when_named(name, size, matplotlib, no_computing, results, tmp_path):
    assert draw(results, tmp_path, name) == 0
    assert (tmp_path / f"fig_{name}.png").stat().st_size > size


def described(name, results):
    figure = FIGURES[name]
    found = {name: runs.find(registry.get(name), True, results) for name in figure.experiments}
    return figure.describe(found).caption


def test_captions_say_what_the_numbers_say(results):
    assert "are within 1.3 times that of the best approximation" in described("fig_rotation", results)
    assert "12 solves" in described("fig_tolerance", results)
    assert "12 reached the end, 12 of them within 10 rtol" in described("fig_tolerance", results)
    assert "0 of 12 are below it" in described("fig_tolerance", results)
    assert "err are parallel BUG, PRK1, PRK2, PRK3, step truncation." in described("fig_exactness", results)
    assert "lyapunov, rtol 0.001: " in described("fig_work_precision", results)
    assert re.search(r"ours are within [0-4]\.\d% of them", described("fig_schroedinger_ranks", results))


def verdicts_of(name, results):
    figure = FIGURES[name]
    found = {name: runs.find(registry.get(name), True, results) for name in figure.experiments}
    return {claim.what: claim.verdict for claim in figure.describe(found).comparisons}


def test_claims_about_bounds_follow_from_the_numbers(results):
    found = verdicts_of("fig_bounds", results)
    assert found["errors above their bound"].why == "0, at most 0 expected"
    assert {v.status for v in found.values()} == {"reproduced"}
    assert {v.status for v in verdicts_of("fig_theorem1", results).values()} == {"reproduced"}
    found = verdicts_of("fig_theorem2", results)
    assert list(found) == [
        "steps that miss the descent, softmax regression",
        "steps that miss the descent, three layers",
    ]
    assert {v.status for v in found.values()} == {"reproduced"}


def test_the_published_defects_show_in_numbers(results):
    found = verdicts_of("fig_defects", results)
    assert len(found) == 18
    assert {v.status for v in found.values()} == {"reproduced"}
    assert found["error of the published rule over the tolerance: 40 equal values, tau = 0.1"].why.startswith("7.07, ")
    assert found["forward and backward passes a step"].why == "1, at most 1 expected"


def test_the_published_rank_leaves_out_the_last_value_and_is_at_most_half():
    assert defects.published_rank(np.ones(40), 0.1) == 20
    assert defects.published_rank(np.asarray([1.0, 1.0, *[0.09] * 6]), 0.145) == 2
    assert defects.published_rank(np.asarray([3.0, 2.0, 1.0, 1e-3]), 0.9) == 2
    assert defects.published_rank(np.asarray([3.0, 2.0, 1.0, *[1e-3] * 5]), 0.1) == 3


@pytest.mark.parametrize(
    ("module", "table", "name", "wrong", "message"),
    [
        (bounds, bounds.FIXED, "bug", lambda **constants: 1e-9, "bug, sigma = 1e-12"),
        (
            dlrt_theorems.bounds,
            None,
            "augmented_bug_euler",
            lambda **constants: 1e-9,
            r"error, theta = h\^2, h = 0.025",
        ),
        (dlrt_theorems.bounds, None, "truncated_descent", lambda **constants: 1.0, "descent, step 3"),
    ],
)
def test_an_experiment_fails_where_a_bound_does(module, table, name, wrong, message, tmp_path, monkeypatch):
    if not table:
        pytest.importorskip("sklearn", reason=DIGITS)
    monkeypatch.setitem(table, name, wrong) if table else monkeypatch.setattr(module, name, wrong)
    experiment = "bounds" if table else "dlrt-theorems"
    with pytest.raises(BoundViolatedError, match=message):
        registry.get(experiment).run(SMALL[experiment], tmp_path, lambda *report: None, "numpy")


def test_the_fastest_method_is_one_that_keeps_the_tolerance():
    row = {"problem": "p", "rtol": 1e-3, "error": 1e-4, "seconds": 2.0, "integrator": "bug"}
    wrong = row | {"error": 0.1, "seconds": 1.0, "integrator": "ksl"}
    failed = row | {"error": None, "seconds": 0.1, "integrator": "lsk"}
    easier = row | {"rtol": 1e-2, "seconds": 0.5, "integrator": "prk1"}
    assert fig_work_precision.fastest([wrong, row, failed, easier]).endswith("p, rtol 0.001: BUG.")


@pytest.mark.parametrize(
    ("ratios", "rank"),
    [
        ({5: 0.1, 10: 0.5, 20: 2.0}, 14.14),
        ({5: 0.1, 20: 1.5, 80: 0.9, 320: 1.0 / 0.9}, 160.0),
        ({5: 0.1, 10: 0.9}, float("inf")),
        ({5: 1.1, 10: 3.0}, 0.0),
    ],
)
def test_break_even_is_between_the_last_faster_rank_and_the_next(ratios, rank):
    assert fig_timing.break_even(ratios) == pytest.approx(rank, rel=1e-3)


def test_published_times_are_compared_by_their_ratio_to_dense(results):
    """What is published breaks even at the ranks that are read off the figure."""
    training, inference = (fig_timing._ratios(t) for t in (published.TRAINING_SECONDS, published.INFERENCE_SECONDS))
    assert fig_timing.break_even(training) == pytest.approx(131, abs=1)
    assert fig_timing.break_even(inference) == pytest.approx(2180, abs=20)
    run = runs.find(registry.get("timing"), True, results)
    own = run.table("training")
    description = FIGURES["fig_timing"].describe({"timing": run})
    rows = [row for row in description.rows if row["task"] == "training"]
    assert [row["over_dense"] for row in rows] == [row["median"] / own[0]["median"] for row in own]
    assert {row["published"] for row in rows} == {0.32, None}  # no rank of the small run is one of the paper's
    (even, inferred) = [c for c in description.comparisons if "as slow as dense" in c.what]
    assert (even.published, inferred.published) == ("131", "2178")


def test_benchmarks_name_the_goals_that_are_not_met(tmp_path):
    """A goal met, a goal missed, and a comparison without one."""
    run = SimpleNamespace(table=lambda name: tables.read(tmp_path / f"{name}.csv"))
    found = [Ratio("work", "BUG", 1.0, "the limit", 2.0, goal) for goal in (0.5, 0.4, None)]
    tables.write(tmp_path / "ratios.csv", ratios.rows(found))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("paper_figures.fig_benchmarks.run_settings", lambda run: {})
        caption = FIGURES["fig_benchmarks"].describe({"benchmarks": run}).caption
    assert caption.endswith("1 of 2 goals are met; not met: work: BUG, against the limit.")


def test_the_timing_experiments_check_their_settings():
    with pytest.raises(ValueError, match=r"from 1 to the width 16, got \(2, 17, 2\)"):
        net_timing.Settings(16, training_ranks=(2, 17), inference_ranks=(2,))
    with pytest.raises(ValueError, match="repetitions at least 2"):
        net_timing.Settings(repetitions=1)
    with pytest.raises(ValueError, match="no rank may be above the smallest width"):
        net_scaling.Settings(widths=(16,))
    with pytest.raises(ValueError, match="from 1 to half of n = 100, got"):
        scaling.Settings(ranks=(51,), n=100)
    with pytest.raises(ValueError, match="did you mean 'memory'"):
        benchmarks.Settings(("memroy",))


def test_an_interrupted_net_scaling_goes_on(tmp_path, monkeypatch):
    measured = []

    def measure(point, *arguments):
        if len(measured) == 3:
            raise KeyboardInterrupt
        measured.append(point[:2])
        return [{"varies": point[0], "value": point[1], "what": "dense", "seconds": 1.0, "megabytes": None}]

    monkeypatch.setattr(net_scaling, "_measured", measure)
    settings, report = SMALL["net-scaling"], lambda *progress: None
    with pytest.raises(KeyboardInterrupt):
        net_scaling.run(settings, tmp_path, report, "numpy")
    del measured[:2]
    with pytest.raises(KeyboardInterrupt):
        net_scaling.run(settings, tmp_path, report, "numpy")
    assert measured == [("width", 8), ("width", 16), ("batch", 2)]
    measured.clear()
    net_scaling.run(settings, tmp_path, report, "numpy")
    assert measured == [("batch", 4)]
    assert [row["value"] for row in tables.read(tmp_path / "points.csv")] == [2, 3, 8, 16, 2, 4]
    assert not list(tmp_path.glob("*.part"))


def test_methods_have_looks_of_their_own():
    assert set(INTEGRATORS) == set(style.METHODS)
    looks = [(look.color, look.marker, look.line) for look in style.METHODS.values()]
    assert len(set(looks)) == len({look.label for look in style.METHODS.values()}) == len(looks)


def test_the_work_precision_experiment_checks_its_settings():
    with pytest.raises(ValueError, match=r"problems: expected some of lyapunov, .*, got lyapunof"):
        work_precision.Settings(problems=("lyapunof",))
    with pytest.raises(ValueError, match="repetitions: expected at least 1, got 0"):
        work_precision.Settings(repetitions=0)
    with pytest.raises(ValueError, match=r"an exponent needs at least two up to a million, got \(64,\)"):
        scaling.Settings(sizes=(64,))


def test_what_is_missing_is_run_first_and_only_that(matplotlib, results, tmp_path, monkeypatch, capsys):
    asked = []

    def execute(experiment, settings, **options):
        asked.append((experiment.name, settings, options["quick"], options["backend"]))
        return runs.find(experiment, True, results)

    monkeypatch.setattr(cli.runs, "execute", execute)
    assert draw(tmp_path / "empty", tmp_path / "figures", "training", "ranks") == 0
    training = registry.get("mnist-mlp")
    assert asked == [("mnist-mlp", training.quick, True, "numpy")]
    assert training.duration(True) in capsys.readouterr().out


def test_full_runs_are_not_mistaken_for_quick_ones(results):
    assert cli.runs.find(registry.get("convergence"), True, results) is not None
    assert cli.runs.find(registry.get("convergence"), False, results) is None


def test_an_interrupt_ends_with_a_sentence(matplotlib, tmp_path, monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.runs, "execute", interrupted)
    assert draw(tmp_path, tmp_path / "figures") == 130
    assert "interrupted" in capsys.readouterr().err


def test_without_a_gpu_numpy_is_used_and_one_sentence_says_why(
    matplotlib, no_computing, results, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("experiments.backends.gpu_available", lambda: (False, "there is no card"))
    assert draw(results, tmp_path, "lyapunov", "--backend", "cupy") == 0
    sentence = "NumPy is used instead of CuPy: there is no card."
    assert capsys.readouterr().out.count(sentence) == 1
    assert sentence in (tmp_path / "index.html").read_text()


def test_without_matplotlib_one_sentence_says_how_to_get_it(no_computing, results, tmp_path, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    assert draw(results, tmp_path / "figures") == 1
    message = capsys.readouterr().err
    assert "pip install 'matode[all]'" in message
    assert message.count("\n") == 1
    assert not (tmp_path / "figures").exists()


@pytest.mark.parametrize(
    ("name", "hint"), [("schroedigner", "did you mean 'schroedinger'?"), ("xyz", "expected one of")]
)
def test_an_unknown_figure_is_an_error_that_names_the_nearest(name, hint, tmp_path, capsys):
    assert draw(tmp_path, tmp_path, name) == 2
    assert hint in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_names_may_leave_out_the_prefix_or_be_what_the_paper_says(monkeypatch):
    assert get("ranks") is get("fig_ranks") is FIGURES["fig_ranks"]
    labelled = replace(FIGURES["fig_ranks"], label="Fig. 99")
    monkeypatch.setattr("paper_figures.registry.FIGURES", {"fig_ranks": labelled})
    assert get("fig99") is get("Fig. 99") is labelled
    assert labelled.heading.startswith("Fig. 99: Training")


def test_published_parameters_are_counted_as_the_paper_does():
    row = next(row for row in published.WIDTH_500 if row.tau == 0.11)
    assert row.parameters == 27 * (784 + 500) + (40 + 37 + 38) * 1000 + 5000
    assert [row.tau for row in published.WIDTH_500] == [0.03, 0.05, 0.07, 0.09, 0.11, 0.13, 0.15, 0.17]


def test_published_numbers_stand_beside_mnist_only(results):
    run = runs.find(registry.get("mnist-mlp"), True, results)
    assert [c.what for c in training_plot.comparisons(run)] == [
        "test accuracy, tau = 0.09",
        "test accuracy, tau = 0.11",
        "the same before fine-tuning",
        "test accuracy, dense net",
    ]

    class Digits:
        def table(self, name):
            return [{"data": "digits"}]

    assert training_plot.comparisons(Digits()) == []


def test_the_caption_counts_violations(results):
    run = runs.find(registry.get("convergence"), True, results)
    caption = convergence_plot.describe(run, "lyapunov", "Caption.", "equation").caption
    assert f"{len(TINY.methods) * len(TINY.steps)} solves, 0 errors above a bound" in caption


def test_text_is_escaped_and_long_tables_are_folded(tmp_path, monkeypatch):
    section = {
        "title": "a < b",
        "caption": "c & d",
        "settings": {"e": "<f>"},
        "rows": [{"x": 0.5, "y": None}] * 20,
        "columns": {"x": ("x", ".2e"), "y": ("y", "d")},
        "comparisons": [],
    }
    monkeypatch.setattr(page.output, "load", lambda name, folder: section if name == "one" else None)
    text = page.write(["one", "two"], tmp_path).read_text()
    assert "a &lt; b" in text
    assert "<f>" not in text
    assert "<details>" in text
    assert "5.00e-01" in text
    assert not Links(text).open


def test_settings_of_figures_are_those_of_the_run(results):
    run = runs.find(registry.get("convergence"), True, results)
    description = FIGURES["fig_schroedinger"].describe({"convergence": run})
    assert isinstance(description, Description)
    assert description.settings["size"].startswith(f"{TINY.n} x {TINY.n}")
    assert ConvergenceSettings(**{k: tuple(v) if isinstance(v, list) else v for k, v in run.settings.items()}) == TINY


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "chrome-headless-shell")


def browsed(folder, where, width):
    """Show the page in a browser: the natural width of every picture, how wide the page is, and a screenshot of it."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no browser: one of chromium and google-chrome is needed, apt-get install chromium")
    script = """addEventListener("load", () => Object.assign(document.body.dataset, {
        pictures: [...document.images].map(picture => picture.naturalWidth).join(" "),
        wide: document.documentElement.scrollWidth}))"""
    page = folder / "in-a-browser.html"
    text = (folder / "index.html").read_text(encoding="utf-8")
    page.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        f"--user-data-dir={where / 'profile'}",
    )
    picture = where / "page.png"
    asked = (f"--window-size={width},1600", f"--screenshot={picture}", "--dump-dom", "--virtual-time-budget=5000")
    done = subprocess.run([browser, *options, *asked, page.as_uri()], capture_output=True, text=True, timeout=60)
    page.unlink()
    assert done.returncode == 0, done.stderr
    widths, wide = (re.search(rf'data-{name}="([^"]*)"', done.stdout)[1] for name in ("pictures", "wide"))
    return [int(w) for w in widths.split()], int(wide), picture


@pytest.mark.parametrize("width", [1200, 500])
def test_a_browser_loads_every_picture_and_shows_the_page(width, drawn, tmp_path):
    widths, wide, picture = browsed(drawn[0], tmp_path, width)
    assert len(widths) == len(DEFAULT)
    assert min(widths) > 0
    assert wide <= width
    from PIL import Image

    screen = np.asarray(Image.open(picture).convert("L"), dtype=float)
    assert screen.shape == (1600, width)
    assert 0.01 < np.mean(screen < 128) < 0.5  # text, and more paper than text
    assert all(strip.std() > 1 for strip in np.array_split(screen, 4))


def test_a_browser_sees_a_missing_picture(drawn, tmp_path):
    for name in DEFAULT[:2]:
        shutil.copy(drawn[0] / f"{name}.png", tmp_path)
    shutil.copy(drawn[0] / "index.html", tmp_path)
    widths, _, _ = browsed(tmp_path, tmp_path, 800)
    assert [w > 0 for w in widths] == [True] * 2 + [False] * (len(DEFAULT) - 2)
