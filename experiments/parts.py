"""Long experiments in parts: each pair of a setting and a seed is a file of its own until all are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from experiments import tables
from experiments.progress import Progress, part

__all__ = ["collect"]

Rows = list[dict[str, Any]]


def collect(
    settings: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
    compute: Callable[[str, int, Progress], Rows],
    progress: Progress,
) -> dict[tuple[str, int], Rows]:
    """Compute what is not there yet, write all rows to ``epochs.csv``, and return them by setting and seed.

    Parameters
    ----------
    settings : sequence of str
        Names, fit for a file.
    seeds : sequence of int
        All settings of the first seed come first.
    folder : Path
        Parts that an interrupted run left are not computed again.
    compute : callable
        ``compute(setting, seed, progress) -> rows``; each row gets ``setting`` and ``seed`` as its first columns.
    progress : callable
        ``progress(fraction, note)``.
    """
    pairs = [(setting, seed) for seed in seeds for setting in settings]
    files = {pair: folder / f"{pair[0]}-{pair[1]}.part" for pair in pairs}
    for k, (setting, seed) in enumerate(pairs):
        if not files[setting, seed].exists():
            rows = compute(setting, seed, part(progress, k / len(pairs), (k + 1) / len(pairs)))
            draft = folder / "draft"
            tables.write(draft, rows)
            draft.rename(files[setting, seed])  # a part that is there is complete
    found = {
        pair: [{"setting": pair[0], "seed": pair[1], **row} for row in tables.read(file)]
        for pair, file in files.items()
    }
    tables.write(folder / "epochs.csv", [row for rows in found.values() for row in rows])
    for file in files.values():
        file.unlink()
    return found
