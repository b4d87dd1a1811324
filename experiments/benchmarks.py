"""All benchmarks as an experiment, for the figure: ``python -m experiments bench`` with its tables stored as a run."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from experiments.bench import command
from experiments.bench.setting import Setting
from experiments.progress import Progress
from matode._array import Backend, get_backend

__all__ = ["FULL", "QUICK", "Settings", "run"]


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment.

    Attributes
    ----------
    names : tuple of str
        Benchmarks and groups of them.
    small : bool
        Small sizes and few repetitions.
    torch : bool
        Whether PyTorch is compared with, where it is installed.
    """

    names: tuple[str, ...] = tuple(command.BENCHES)
    small: bool = False
    torch: bool = True

    def __post_init__(self) -> None:
        command.chosen(self.names)


FULL = Settings()
QUICK = Settings(("mlp", "inference", "orthonormal"), small=True)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Run the benchmarks; their tables and ``report.txt`` are what ``bench`` writes."""
    where = get_backend(backend) if isinstance(backend, str) else backend
    torch = settings.torch and importlib.util.find_spec("torch") is not None
    names = command.chosen(settings.names)

    def say(line: str) -> None:
        progress(0.0, line.strip().partition("\n")[0])

    command.run(names, Setting(settings.small, torch, where, say=say), folder)
    progress(1.0, "done")
