"""The command line, as a person uses it."""

from __future__ import annotations

import re
import textwrap

import numpy as np
import pytest

from matode import Solution, problems
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


def test_solve_says_how_far_it_is_and_what_is_certified(tmp_path, capsys):
    file = tmp_path / "solution.npz"
    assert main(["solve", "lyapunov", "--rtol", "1e-4", "--save", str(file), "--quiet"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("Lyapunov equation, n = 64: reached t = 1 in")
    error = float(re.search(r"error (\S+), relative", output)[1])
    bound = float(re.search(r"certified: the error is at most (\S+)", output)[1])
    assert 0 < error <= bound <= 1e-2
    sol = Solution.load(file)
    exact = problems.make_problem("lyapunov").reference(1.0)
    assert np.linalg.norm(sol.Y[-1].to_dense() - exact) == pytest.approx(error, rel=1e-2)


def test_solve_with_equal_steps_a_cap_and_another_seed(capsys):
    assert main(["solve", "bounded", "--integrator", "ksl", "--h", "0.05", "--seed", "3"]) == 0
    assert "in 20 steps" in capsys.readouterr().out
    assert main(["solve", "lyapunov", "--max-rank", "6", "--rtol", "1e-6"]) == 1  # limited: not what was asked for
    assert "rank was held at its maximum" in capsys.readouterr().out


def test_compare_prints_work_and_precision(capsys):
    names, rtols = "augmented-bug,midpoint-bug", "1e-2,1e-4"
    assert main(["compare", "sylvester", "--integrators", names, "--rtols", rtols]) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()[3:]]
    assert [row[:2] for row in table] == [[n, r] for n in names.split(",") for r in ("1e-02", "1e-04")]
    assert all(float(row[2]) <= 10 * float(row[1]) for row in table)
    assert all(int(row[4]) > 0 for row in table)


def test_a_method_that_runs_out_of_steps_is_not_asked_for_more(capsys):
    assert main(["compare", "bounded", "--integrators", "bug", "--rtols", "1e-2,1e-7,1e-8", "--max-steps", "50"]) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()[3:]]
    assert [row[1] for row in table] == ["1e-02", "1e-07"]
    assert table[1][2] == "-"
    assert table[1][-1] == "failed"


def test_solve_and_compare_draw(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install 'matode[plots]'")
    solution, diagram = tmp_path / "solution.png", tmp_path / "diagram.png"
    assert main(["solve", "sylvester", "--plot", str(solution)]) == 0
    assert main(["compare", "sylvester", "--integrators", "ksl", "--rtols", "1e-2,1e-3", "--plot", str(diagram)]) == 0
    assert solution.stat().st_size > 20_000
    assert diagram.stat().st_size > 10_000
    assert str(diagram) in capsys.readouterr().out


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
        (["solve", "lyapnov"], "unknown problem 'lyapnov': did you mean 'lyapunov'?"),
        (["solve", "zzz"], "unknown problem 'zzz': expected one of allen-cahn,"),
        (["solve", "lyapunov", "--rtol", "-1"], "rtol must be a finite number >= 0"),
        (["solve", "lyapunov", "--integrator", "bugs"], "unknown integrator 'bugs'"),
        (["compare", "lyapunov", "--integrators", "bug,bugs"], "unknown integrator 'bugs'"),
        (["compare", "lyapunov", "--rtols", "small"], "--rtols must be numbers separated by commas, got 'small'"),
        (["validate", "nowhere.py:step"], "there is no file 'nowhere.py'"),
        (["validate", "{stranger}:missing"], "has no function 'missing'"),
        (["validate", "{stranger}:projected_euler", "--guarantees", "perfect"], "unknown guarantee 'perfect'"),
        (["validate", "{stranger}:projected_euler", "--family", "bugs"], "unknown family 'bugs'"),
        (["solve", "bounded", "--h", "0.5", "--quiet", "--save", "no-such-folder/x.npz"], "No such file or directory"),
    ],
)
def test_mistakes_end_with_one_sentence(arguments, sentence, stranger, capsys):
    assert main([a.replace("{stranger}", str(stranger)) for a in arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
