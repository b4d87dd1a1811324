"""What a run was made with: versions, BLAS, cores, date, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import matode

__all__ = ["describe"]


def describe() -> dict[str, Any]:
    """Return the environment as JSON data, without paths or names of machines."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "matode": matode.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu_count": os.cpu_count(),
        "libraries": {name: _version(name) for name in ("numpy", "scipy", "array-api-compat", "numba", "cupy-cuda13x")},
        "blas": _blas(),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _blas() -> list[dict[str, Any]] | None:
    """Return the thread pools of the linear-algebra libraries that are loaded; None without threadpoolctl."""
    try:
        import threadpoolctl  # type: ignore[import-untyped]
    except ImportError:
        return None
    keys = ("internal_api", "version", "architecture", "num_threads")
    return [{key: pool.get(key) for key in keys} for pool in threadpoolctl.threadpool_info()]


def _commit() -> str | None:
    """Return the commit of this checkout, with "+" where files differ from it; None where git cannot say."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).resolve().parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None
