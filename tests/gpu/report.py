"""The record of the last run on a GPU, ``LAST_RUN.md``: date, card, versions, figures."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.gpu.training import Trained

__all__ = ["NEVER", "PATH", "report", "versions"]

PATH = Path(__file__).with_name("LAST_RUN.md")

NEVER = """# The last run on a GPU

never run

`python -m pytest -m gpu --backend cupy`, on a machine with a card, runs the suite and one training of each model there,
and writes date, card, versions and figures here.
"""


def versions(cupy: Any) -> dict[str, str]:
    """Return the card, and the versions of everything that a result may depend on."""
    runtime = cupy.cuda.runtime
    name = runtime.getDeviceProperties(0)["name"]
    return {
        "card": name.decode() if isinstance(name, bytes) else str(name),
        "CUDA driver": str(runtime.driverGetVersion()),
        "CUDA runtime": str(runtime.runtimeGetVersion()),
        "CuPy": cupy.__version__,
        "NumPy": __import__("numpy").__version__,
        "Python": platform.python_version(),
        "commit": _commit(),
    }


def report(date: str, about: Mapping[str, str], counts: Mapping[str, int], trained: Sequence[Trained]) -> str:
    """Return the text of the record."""
    lines = ["# The last run on a GPU", "", "| | |", "|---|---|", f"| date | {date} |"]
    lines += [f"| {name} | {value} |" for name, value in about.items()]
    lines += [f"| tests {name} | {count} |" for name, count in counts.items()]
    lines += ["", "| model | first loss | last loss | ranks | images/s |", "|---|---|---|---|---|"]
    for t in trained:
        ranks = " ".join(map(str, t.ranks))
        lines.append(f"| {t.model} | {t.losses[0]:.4f} | {t.losses[-1]:.4f} | {ranks} | {t.images_per_second:.0f} |")
    lines += ["", "Written by `python -m pytest -m gpu --backend cupy`.", ""]
    return "\n".join(lines)


def _commit() -> str:
    """Return the commit of the checkout, if it is one."""
    command = ["git", "-C", str(PATH.parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
