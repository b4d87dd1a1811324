"""Command line of the figures: ``python -m paper_figures [NAME ...] [--quick]``."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from experiments import backends, progress, registry, runs
from paper_figures import output, page
from paper_figures.figure import Figure
from paper_figures.registry import FIGURES, get


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    began = time.perf_counter()
    options = _parser().parse_args(arguments)
    try:
        figures = [get(name) for name in options.names] or [f for f in FIGURES.values() if f.default]
    except ValueError as error:
        print(f"paper_figures: {error}", file=sys.stderr)
        return 2
    if importlib.util.find_spec("matplotlib") is None:
        print("The figures need matplotlib, which is not installed: pip install 'matode[all]'", file=sys.stderr)
        return 1
    backend, sentence = backends.choose(options.backend)
    if sentence:
        print(sentence, flush=True)
    try:
        found = finished(figures, quick=options.quick, backend=backend, out=options.results)
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept, and the same command goes on from there", file=sys.stderr)
        return 130
    for figure in figures:
        written = output.save(figure, {name: found[name] for name in figure.experiments}, options.figures)
        print(f"{figure.name}: {', '.join(str(path) for path in written if path.suffix != '.json')}")
    index = page.write(FIGURES, options.figures, [sentence] if sentence else [])
    print(f"{index}: all of it on one page ({time.perf_counter() - began:.0f} s)")
    return 0


def finished(figures: Sequence[Figure], *, quick: bool, backend: str, out: Path) -> dict[str, runs.Run]:
    """Return the run of every experiment that the figures read; what is missing is run first."""
    names = list(dict.fromkeys(name for figure in figures for name in figure.experiments))
    found = {name: runs.find(registry.get(name), quick, out) for name in names}
    missing = [name for name, run in found.items() if run is None]
    if missing:
        plan = ", ".join(f"{name} ({registry.get(name).duration(quick)})" for name in missing)
        print(f"To be run first, with the {'quick' if quick else 'full'} settings: {plan}", flush=True)
    for name in missing:
        experiment = registry.get(name)
        with progress.terminal(name) as report:
            found[name] = runs.execute(
                experiment, experiment.preset(quick), quick=quick, out=out, backend=backend, progress=report
            )
    return {name: run for name, run in found.items() if run is not None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m paper_figures",
        description="Draw figures from stored results; what is missing is computed first.",
        epilog="Figures: " + ", ".join(name.removeprefix("fig_") for name in FIGURES),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to draw; all of them where none is named")
    parser.add_argument("--quick", action="store_true", help="read, or compute, the small runs: some minutes in total")
    parser.add_argument("--backend", choices=backends.NAMES, default="numpy", help="for what is still to be computed")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER", help="default: results")
    parser.add_argument("--figures", type=Path, default=Path("figures"), metavar="FOLDER", help="default: figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
