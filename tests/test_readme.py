"""The examples of the README run as they are printed, and say something sensible."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


def _run(code: str) -> str:
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_matrix_ode():
    output = _run(next(code for code in EXAMPLES if "matode.solve" in code))
    pattern = r"reached t = 1 in (\d+) steps.*: rank \d+, norm \d+\.\d{4}, error at most (\de-\d+)\n"
    steps, bound = re.fullmatch(pattern, output).groups()
    assert int(steps) <= 100
    assert float(bound) <= 1e-4


def test_a_step_function_of_your_own():
    output = _run(next(code for code in EXAMPLES if "third_party" in code))
    assert re.match(r"\d\d checks ran, 0 failed", output), output


def test_network():
    pytest.importorskip("sklearn", reason="scikit-learn's digits are not installed: pip install 'matode[data]'")
    output = _run(next(code for code in EXAMPLES if "nn.train" in code))
    accuracy, compression = map(float, re.findall(r"([\d.]+)%", output))
    assert accuracy >= 90
    assert compression >= 20


def test_pictures_and_documents_that_the_readme_links_to_exist():
    text = README.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (README.parent / target).exists(), target
