"""The page of the figures: verdicts follow from numbers, every row of the paper is there, and runs are looked up."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from experiments import registry, runs
from paper_figures import __main__ as cli
from paper_figures import output, page, paper_rows, stored, verdicts
from paper_figures.figure import Comparison, Description, Figure
from paper_figures.registry import FIGURES, get
from paper_figures.verdicts import Status, Verdict

ROWS = """fig1-training fig1-inference fig2 fig3-500 fig3-784 fig4 table1-dlrt table1-competitors table1-repository
    table2-cifar10 table2-imagenet cifar100 cifar-all-layers pruning-svd pruning-retrained supplement-timing
    supplement-tau-500 supplement-tau-784 supplement-lenet5 supplement-ranks theorem1 theorem2 defect1 defect2
    defect3 defect4 defect5 defect6 defect7 defect8 codes-s-step codes-nodes codes-transpose codes-adjoint
    codes-cube repository-small-timing repository-transformer supplement-proofs""".split()


@pytest.mark.parametrize(
    ("verdict", "status", "why"),
    [
        (verdicts.value(98.3, 98.5, within=0.3), "reproduced", "-0.20, 0.30 allowed"),
        (verdicts.value(98.1, 98.5, within=0.3, unit=" points"), "differs", "-0.40 points, 0.30 points allowed"),
        (verdicts.value(98.9, 98.5, within=0.3, better="larger"), "better", "+0.40, 0.30 allowed"),
        (verdicts.value(98.9, 98.5, within=0.3), "differs", "+0.40, 0.30 allowed"),
        (verdicts.value(98.9, 98.5, within=0.3, better="smaller"), "differs", "+0.40, 0.30 allowed"),
        (verdicts.value(1.9, 2.0, factor=1.2), "reproduced", "0.95 times the published one, 1.2 times allowed"),
        (verdicts.value(1.0, 2.0, factor=1.2), "differs", "0.50 times the published one, 1.2 times allowed"),
        (verdicts.value(1.0, 2.0, factor=1.2, better="smaller"), "better", "0.50 times the"),
        (verdicts.value(None, 2.0, factor=1.2), "not run here", "no finished run has this number"),
        (verdicts.value(float("nan"), 2.0, within=1), "not run here", "no finished run has this number"),
        (verdicts.trade_off(98.6, 100, 98.5, 110), "better", "+0.10 points (-0.3 allowed) with 0.91 times"),
        (verdicts.trade_off(98.2, 115, 98.5, 100), "reproduced", "-0.30 points (-0.3 allowed) with 1.15 times"),
        (verdicts.trade_off(98.19, 90, 98.5, 100), "differs", "-0.31 points"),
        (
            verdicts.trade_off(99.9, 116, 98.5, 100),
            "differs",
            "+1.40 points (-0.3 allowed) with 1.16 times the parameters (1.15 allowed)",
        ),
        (verdicts.trade_off(None, None, 98.5, 100), "not run here", "no finished run"),
        (verdicts.at_least(3, 3), "reproduced", "3, at least 3 expected"),
        (verdicts.at_least(2.9, 3), "differs", "2.9, at least 3 expected"),
        (verdicts.at_most(3, 3), "reproduced", "3, at most 3 expected"),
        (verdicts.at_most(3.1, 3, unit=" s"), "differs", "3.1 s, at most 3 s expected"),
        (verdicts.at_most(None, 3), "not run here", "no finished run"),
        (verdicts.out_of_scope("no"), "out of scope", "no"),
    ],
)
def test_a_verdict_follows_from_numbers_and_a_threshold(verdict, status, why):
    assert (verdict.status, verdict.why[: len(why)]) == (status, why)


def test_a_verdict_needs_one_kind_of_threshold():
    with pytest.raises(ValueError, match="one of within and factor"):
        verdicts.value(1, 1)
    with pytest.raises(ValueError, match="'larger' or 'smaller', got 'higher'"):
        verdicts.value(1, 1, within=1, better="higher")


def test_several_verdicts_are_as_good_as_the_worst():
    good, best, bad, no = (Verdict(Status(s), "") for s in ("reproduced", "better", "differs", "not run here"))
    assert verdicts.overall([best, best]) == Verdict(Status.BETTER, "2 better")
    assert verdicts.overall([best, good]) == Verdict(Status.REPRODUCED, "1 reproduced, 1 better")
    assert verdicts.overall([best, no, good]).status == Status.NOT_RUN
    assert verdicts.overall([no, bad, good, good]) == Verdict(Status.DIFFERS, "2 reproduced, 1 differs, 1 not run here")
    assert verdicts.overall([best]) is best
    assert verdicts.overall([Verdict(Status.NOT_RUN, "why")] * 2) == Verdict(Status.NOT_RUN, "why")
    with pytest.raises(ValueError, match="at least one"):
        verdicts.overall([])


def section(*comparisons):
    """Return what is stored about a drawn figure."""
    return {
        "title": "Fig. 3: the figure",
        "short": "Fig. 3",
        "caption": "",
        "settings": {},
        "rows": [{"x": 1}],
        "columns": {"x": ("x", "d")},
        "comparisons": comparisons,
    }


def comparison(status, rows=("fig3-500",), **changes):
    verdict = {"status": status, "why": "by 1"}
    base = {"what": "w", "published": "p", "ours": "o", "differs": "d", "verdict": verdict, "rows": rows}
    return base | {"experiment": "", "quick": False} | changes


def test_every_row_of_the_paper_is_on_the_page_with_a_verdict(tmp_path, monkeypatch):
    assert [row.key for row in paper_rows.ROWS] == ROWS
    monkeypatch.setattr(page.output, "load", lambda name, folder: section(comparison("better", quick=True)))
    text = page.write(["fig_three"], tmp_path).read_text(encoding="utf-8")
    table = text[text.index('<section id="paper">') : text.index("<nav>")]
    lines = re.findall(r"<tr><td>.*?</tr>", table, flags=re.DOTALL)
    assert len(lines) == len(ROWS)
    words = "|".join(Status)
    found = [re.findall(rf'<span class="[a-z-]+">({words})</span>', line) for line in lines]
    assert all(len(status) == 1 for status in found)
    lines_of = Counter(status for (status,) in found)
    (ours,) = (line for line in lines if "Fig. 3, accuracy against parameters, width 500" in line)
    assert '<span class="better">better</span> (quick settings)' in ours
    assert '<a href="#fig_three">Fig. 3</a>' in ours
    assert sum("out of scope" in line for line in lines) == 3
    assert sum("not run here" in line for line in lines) == len(ROWS) - 4
    assert "python -m paper_figures fig4" in table
    counted = {
        status: int(re.search(rf'(\d+) <span class="[a-z-]+">{status}</span>', table)[1]) for status in set(lines_of)
    }
    assert counted == lines_of


def test_a_row_is_as_good_as_the_worst_of_its_claims():
    nothing = comparison("not run here", what="c", ours="")
    drawn = {"one": section(comparison("better", what="a")), "two": section(comparison("differs", what="b"), nothing)}
    (row,) = (row for row in paper_rows.judged(drawn) if row.row.key == "fig3-500")
    assert row.verdict == Verdict(Status.DIFFERS, "1 better, 1 differs, 1 not run here")
    assert (row.ours, row.section, row.quick) == (["a: o", "b: o"], "one", False)


def test_a_claim_for_a_row_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no row 'fig3-5000': did you mean 'fig3-500'"):
        paper_rows.check(["fig4", "fig3-5000"])


def made(experiment, out, quick):
    """Write what a finished run leaves."""
    folder = runs.folder_of(registry.get(experiment), quick, out)
    folder.mkdir(parents=True)
    config = {"experiment": experiment, "version": registry.get(experiment).version, "quick": quick}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "environment.json").write_text("{}")
    return folder


def test_full_runs_come_before_quick_ones_and_the_users_before_the_committed(tmp_path):
    own, committed = tmp_path / "own", tmp_path / "committed"
    for quick in (False, True):
        assert stored.find("standard", (own, committed), quick=quick) is None
    small = made("standard", own, True)
    assert stored.find("standard", (own, committed), quick=True).folder == small
    assert stored.find("standard", (own, committed), quick=False) is None
    full = made("standard", committed, False)
    assert stored.find("standard", (own, committed), quick=True).folder == full
    assert stored.find("standard", (own, committed), quick=False).folder == full
    newer = made("standard", own, False)
    assert stored.find("standard", (own, committed), quick=False).folder == newer


@pytest.fixture
def two_figures(monkeypatch):
    """Two figures, of which one needs a run that is missing and the other one draws an optional one."""
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'matode[plots]'")
    drawn = []
    description = Description("caption", {}, [{"x": 1}], {"x": ("x", "d")})
    there = Figure("fig_there", "There", ("standard",), drawn.append, lambda runs: description, optional=("lenet5",))
    lacking = Figure("fig_lacking", "Lacking", ("scaling",), drawn.append, lambda runs: description, label="Fig. 7")
    figures = {figure.name: figure for figure in (there, lacking)}
    monkeypatch.setattr(cli, "FIGURES", figures)
    monkeypatch.setattr("paper_figures.registry.FIGURES", figures)

    def save(figure, found, folder):
        figure.draw(sorted(found))
        return []

    monkeypatch.setattr(output, "save", save)
    monkeypatch.setattr(cli.runs, "execute", lambda experiment, settings, **options: executed.append(experiment.name))
    executed = []
    return SimpleNamespace(drawn=drawn, executed=executed)


@pytest.mark.parametrize(("terminal", "answer", "run"), [(False, "y", False), (True, "n", False), (True, "y", True)])
def test_full_runs_are_made_after_asking_only(terminal, answer, run, two_figures, tmp_path, monkeypatch, capsys):
    made("standard", tmp_path, False)
    monkeypatch.setattr(cli.sys, "stdin", SimpleNamespace(isatty=lambda: terminal))
    monkeypatch.setattr("builtins.input", lambda prompt: answer)
    folders = ["--results", str(tmp_path), "--committed", str(tmp_path / "none"), "--figures", str(tmp_path / "f")]
    (tmp_path / "f").mkdir()
    assert cli.main(folders) == 0
    assert two_figures.executed == (["scaling"] if run else [])
    assert two_figures.drawn[0] == ["standard"]
    said = capsys.readouterr().out
    assert "python -m experiments run scaling  (about 4 min)" in said
    assert ("fig_lacking: not drawn" in said) is not run
    if not run:
        assert cli.main(["fig7", *folders]) == 1
        made("lenet5", tmp_path, False)
        assert cli.main(["there", *folders]) == 0
        assert two_figures.drawn[-1] == ["lenet5", "standard"]


def test_numbers_of_a_quick_run_are_marked(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'matode[plots]'")
    from matplotlib.figure import Figure as Picture

    claims = [
        Comparison("a", "", "", "", verdicts.at_least(1, 0), ("fig4",), name) for name in ("", "standard", "scaling")
    ]
    description = Description("caption", {}, [{"x": 1}], {"x": ("x", "d")}, claims)
    figure = Figure("fig_x", "X", ("standard", "scaling"), lambda runs: Picture(), lambda runs: description)
    found = {"standard": SimpleNamespace(config={"quick": True}), "scaling": SimpleNamespace(config={"quick": False})}
    output.save(figure, found, tmp_path)
    stored_claims = output.load("fig_x", tmp_path)["comparisons"]
    assert [claim["quick"] for claim in stored_claims] == [True, True, False]
    assert stored_claims[0]["verdict"] == {"status": "reproduced", "why": "1, at least 0 expected"}


def test_the_rows_name_figures_that_exist():
    for row in paper_rows.ROWS:
        if row.figure:
            assert get(row.figure).name in FIGURES


def test_no_large_file_is_stored():
    root = Path(__file__).parent.parent
    stored_files = [
        path
        for folder in ("docs", "experiments", "matode", "nn", "paper_figures", "tests")
        for path in (root / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert len(stored_files) > 200
    assert not [path.name for path in stored_files if path.stat().st_size > 200_000]


def test_verdicts_are_computed_never_typed():
    folder = Path(verdicts.__file__).parent
    typed = [path.name for path in folder.glob("*.py") if re.search(r"\bVerdict\(|\bStatus\.", path.read_text("utf-8"))]
    assert sorted(typed) == ["paper_rows.py", "verdicts.py"]  # the rows read back what the figures stored
