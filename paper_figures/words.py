"""Small pieces of text that several figures need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments import registry
from experiments.runs import Run
from experiments.settings import as_dict
from paper_figures import stored

__all__ = ["kind", "machine", "number", "paragraph", "run_settings"]


def paragraph(text: str) -> str:
    """Return a text that was written over several lines as one."""
    return " ".join(text.split())


def number(x: float) -> str:
    """Return a number for a sentence; what is rounding error of zero is called zero."""
    return "0 (to rounding)" if 0 < abs(x) < 1e-13 else f"{x:.3g}"


def run_settings(run: Run) -> dict[str, str]:
    """Say how and with what a run was made."""
    made = run.environment
    commit = f", commit {made['commit']}" if made.get("commit") else ""
    return {
        "run": f"{run.config['experiment']}: {kind(run)}, made {made['date'][:10]} in {made['seconds']:g} s on "
        f"{machine(made)}, {run.config['backend']} backend{_changed(run)}",
        "versions": f"matode {made['matode']}{commit}, Python {made['python']}, NumPy {made['libraries']['numpy']}",
    }


def kind(run: Run) -> str:
    """Say whether a run is a quick or a full one, and whether it comes with the code."""
    preset = "quick run" if run.config["quick"] else "full run"
    return f"{preset} that comes with the code" if run.folder.parent == stored.COMMITTED else preset


def machine(made: Mapping[str, Any]) -> str:
    """Say what a run was made on, from its environment."""
    pools = made.get("blas") or ()
    kernels = next((f" ({pool['architecture']})" for pool in pools if pool.get("architecture")), "")
    return f"{made['cpu_count']} cores{kernels}, {made['system']}"


def _changed(run: Run) -> str:
    """Name the settings that are not those of the preset."""
    preset = as_dict(registry.get(run.config["experiment"]).preset(run.config["quick"]))
    changed = [key for key, value in run.settings.items() if preset.get(key, value) != value]
    return f"; set otherwise than in the preset: {', '.join(changed)}" if changed else ""
