"""Small pieces of text that several figures need."""

from __future__ import annotations

from experiments.runs import Run

__all__ = ["number", "paragraph", "run_settings"]


def paragraph(text: str) -> str:
    """Return a text that was written over several lines as one."""
    return " ".join(text.split())


def number(x: float) -> str:
    """Return a number for a sentence; what is rounding error of zero is called zero."""
    return "0 (to rounding)" if 0 < abs(x) < 1e-13 else f"{x:.3g}"


def run_settings(run: Run) -> dict[str, str]:
    """Say how and with what a run was made."""
    made = run.environment
    preset = "quick preset (--quick)" if run.config["quick"] else "full preset"
    commit = f", commit {made['commit']}" if made.get("commit") else ""
    return {
        "run": f"{run.config['experiment']}, {preset}, {run.config['backend']} backend, {made['seconds']:g} s on "
        f"{made['cpu_count']} cores, {made['date'][:10]}",
        "versions": f"matode {made['matode']}{commit}, Python {made['python']}, NumPy {made['libraries']['numpy']}",
    }
