"""The suite rejects every wrong integrator by the checks that should, and accepts the correct twins."""

from __future__ import annotations

from typing import Any

import pytest

from matode.__main__ import main
from matode.testing import check_names
from tests.mutants import MUTANTS, TWINS, Mutant, Twin, table


def _name(value: Any) -> str:
    return value.name


@pytest.mark.parametrize("mutant", MUTANTS, ids=_name)
def test_rejected_by_name(mutant: Mutant) -> None:
    for name in mutant.caught_by:
        (result,) = mutant.check(only=[name])
        assert result.status == ("error" if mutant.raises else "failed"), f"{mutant.mistake} {result}"


@pytest.mark.parametrize("twin", TWINS, ids=_name)
def test_correct_twin_accepted(twin: Twin) -> None:
    results = twin.check()
    assert results.success, results
    assert results.ran >= 15


def test_no_check_rejects_nothing() -> None:
    seen = {name for mutant in MUTANTS for name in mutant.caught_by}
    assert set(check_names()) - seen == set(), "write the mistake that these checks are for, or drop them"


def test_mistakes_are_said_in_one_sentence() -> None:
    assert len(MUTANTS) >= 25
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len({mutant.mistake for mutant in MUTANTS}) == len(MUTANTS)
    for mutant in MUTANTS:
        assert mutant.mistake.endswith("."), mutant.name
        assert ". " not in mutant.mistake, mutant.name


def test_table() -> None:
    named = {mutant.name: mutant for mutant in MUTANTS}
    rows = table(profile="quick", only=["zero_field", "sylvester"], mutants=[named["NoSStep"], named["NoM"]])
    assert [row["mutant"] for row in rows] == ["NoSStep", "NoM"]
    assert rows[0]["rejected_by"] == ("sylvester",)
    assert rows[0]["pretends_to_be"] == "ksl"
    assert rows[1]["rejected_by"] == ("zero_field",)


def test_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    named = {mutant.name: mutant for mutant in MUTANTS}
    rows = table(only=["sylvester"], mutants=[named["NoSStep"]])
    monkeypatch.setattr("tests.mutants.MUTANTS", [named["NoSStep"]])
    monkeypatch.setattr("tests.mutants.table", lambda **options: rows)
    assert main(["validate", "--mutants"]) == 0
    assert "NoSStep" in capsys.readouterr().out
