"""The guide to the integrators says what is so: costs are counted, guarantees are those of the table of theory."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from matode import INTEGRATORS, Absolute, Rank, euler, problems, rk4, solve
from matode.integrators import make_integrator
from matode.testing.theory import ROWS

GUIDE = Path(__file__).parent.parent / "docs" / "choosing.md"
TEXT = GUIDE.read_text(encoding="utf-8")
TABLE = {cells[0]: cells[1:] for cells in re.findall(r"^\| `\"([\w-]+)\"` \|" + r" ?(.*?) ?\|" * 8 + "$", TEXT, re.M)}
RANK = 4


def solved(method, truncation, steps=1):
    problem = problems.bounded((60, 50), RANK, kappa=1.0, g1=0.5, g2=0.5)
    rule = truncation if hasattr(method, "truncation") else None
    return solve(problem.F, (0.0, 0.01 * steps), problem.Y0, method, h=0.01, truncation=rule)


def test_every_integrator_has_its_line():
    assert list(TABLE) == list(INTEGRATORS)


@pytest.mark.parametrize("name", INTEGRATORS)
def test_order_and_guarantees_are_those_of_the_table_of_theory(name):
    order, _, _, _, *guarantees = TABLE[name]
    assert float(order) == make_integrator(name).order
    row = ROWS[name]
    known = (row.exact or row.euler).split()
    assert guarantees == ["yes" if guarantee in known else "" for guarantee in ("exact", "norm", "symmetric", "psd")]


@pytest.mark.parametrize("name", INTEGRATORS)
def test_costs_are_those_of_a_step(name):
    _, with_euler, with_rk4, width, *_ = TABLE[name]
    method = make_integrator(name)
    substeps = {euler: with_euler, rk4: with_rk4} if hasattr(method, "substep") else {None: with_euler}
    for substep, said in substeps.items():
        chosen = method if substep is None else dataclasses.replace(method, substep=substep)
        assert solved(chosen, Rank(RANK), steps=3).nfev == 3 * int(said)
    multiple = re.fullmatch(r"(\d)r(?: \+ (\d))?", width)
    if multiple and hasattr(method, "truncation") and name != "dgn":  # which truncates its cores before they are wide
        assert solved(method, Absolute(0.0)).ranks[-1] == RANK * int(multiple[1]) + int(multiple[2] or 0)


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (GUIDE.parent / target).exists(), target


def test_names_are_those_of_the_catalogue():
    named = set(re.findall(r'`"([a-z][\w-]*)"`', TEXT))
    assert named == set(INTEGRATORS)
