"""The command line, as a person uses it."""

from __future__ import annotations

import textwrap

import pytest

from matode import problems
from matode.__main__ import main
from matode.integrators import INTEGRATORS
from matode.validation import bound_series

STRANGER = """
import numpy as np


def projected_euler(F, t, h, U, S, V):
    Y = U @ S @ V.conj().T
    G = F(t, Y)
    left = U @ (U.conj().T @ G)
    P, s, Qh = np.linalg.svd(Y + h * (left + (G - left) @ V @ V.conj().T), full_matrices=False)
    r = len(S)
    return P[:, :r], np.diag(s[:r]), Qh[:r].conj().T


def wrong_sign(F, t, h, U, S, V):
    return projected_euler(F, t, -h, U, S, V)
"""


@pytest.fixture
def stranger(tmp_path):
    file = tmp_path / "stranger.py"
    file.write_text(textwrap.dedent(STRANGER), encoding="utf-8")
    return file


def test_list_names_every_integrator(capsys):
    assert main(["list"]) == 0
    output = capsys.readouterr().out
    assert all(name in output for name in INTEGRATORS)
    assert ":class:" not in output
    assert all(name in output for name in problems.PROBLEMS)


def test_validate_prints_a_table(capsys):
    assert main(["validate", "ksl", "--profile", "quick"]) == 0
    output = capsys.readouterr().out
    assert "property" in output
    assert "seen to fail, as theory says" in output
    assert "29 checks ran, 0 failed" in output


def test_validate_draws_errors_below_their_bounds(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'matode[plots]'")
    picture = tmp_path / "bounds.png"
    assert main(["validate", "bug", "--profile", "quick", "--plot", str(picture), "--problem", "lyapunov"]) == 0
    assert picture.stat().st_size > 10_000
    assert str(picture) in capsys.readouterr().out


@pytest.mark.parametrize("problem", ["bounded", "lyapunov", "schroedinger", "sylvester"])
@pytest.mark.parametrize("name", ["ksl", "bug", "augmented-bug"])
def test_errors_are_below_their_bounds(name, problem):
    over_h, over_eps = bound_series(name, problem, steps=(8, 32), eps=(1e-5, 1e-2))
    assert all(e <= b for e, b in zip(over_h.error, over_h.bound, strict=True))
    assert over_h.bound[1] < over_h.bound[0]
    assert (over_eps is not None) == (problem == "bounded")
    if over_eps is not None:
        assert all(e <= b for e, b in zip(over_eps.error, over_eps.bound, strict=True))
        assert over_eps.error[1] > over_eps.error[0]


def test_validate_a_stranger(stranger, capsys):
    assert main(["validate", f"{stranger}:projected_euler", "--profile", "quick", "--guarantees", "transpose"]) == 0
    assert "0 failed" in capsys.readouterr().out


def test_validate_rejects_a_wrong_stranger(stranger, capsys):
    assert main(["validate", f"{stranger}:wrong_sign", "--profile", "quick"]) == 1
    assert "VIOLATED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["validate", "bugs"], "unknown integrator 'bugs'"),
        (["validate", "nowhere.py:step"], "there is no file 'nowhere.py'"),
        (["validate", "{stranger}:missing"], "has no function 'missing'"),
        (["validate", "{stranger}:projected_euler", "--guarantees", "perfect"], "unknown guarantee 'perfect'"),
        (["validate", "{stranger}:projected_euler", "--family", "bugs"], "unknown family 'bugs'"),
    ],
)
def test_mistakes_end_with_one_sentence(arguments, sentence, stranger, capsys):
    assert main([a.replace("{stranger}", str(stranger)) for a in arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
