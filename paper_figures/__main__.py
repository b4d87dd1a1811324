"""Command line of the figures: ``python -m paper_figures [NAME ...] [--quick]``."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from experiments import backends, progress, registry, runs
from paper_figures import output, page, stored
from paper_figures.figure import Figure
from paper_figures.registry import FIGURES, get


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status: 1 where a figure that was named could not be drawn."""
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
        found = finished(figures, (options.results, options.committed), quick=options.quick, backend=backend)
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept, and the same command goes on from there", file=sys.stderr)
        return 130
    undrawn = [figure for figure in figures if stored.missing([figure], found)]
    for figure in figures:
        if figure not in undrawn:
            names = (*figure.experiments, *figure.optional)
            written = output.save(figure, {name: found[name] for name in names if name in found}, options.figures)
            print(f"{figure.name}: {', '.join(str(path) for path in written if path.suffix != '.json')}")
    for figure in undrawn:
        commands = "; ".join(stored.plan(name) for name in stored.missing([figure], found))
        print(f"{figure.name}: not drawn, it needs {commands}")
    index = page.write(FIGURES, options.figures, [sentence] if sentence else [])
    print(f"{index}: all of it on one page ({time.perf_counter() - began:.0f} s)")
    return 1 if undrawn and options.names else 0


def finished(figures: Sequence[Figure], folders: Sequence[Path], *, quick: bool, backend: str) -> dict[str, runs.Run]:
    """Return the runs of the experiments that the figures read.

    What is missing is run first: with ``quick`` the small preset, without asking; else the full one, where the user
    at the terminal says yes. New runs go to the first folder.
    """
    names = dict.fromkeys(name for figure in figures for name in (*figure.experiments, *figure.optional))
    found = {name: run for name in names if (run := stored.find(name, folders, quick=quick)) is not None}
    missing = stored.missing(figures, found)
    if missing and _wanted(missing, quick):
        for name in missing:
            experiment = registry.get(name)
            with progress.terminal(name) as report:
                found[name] = runs.execute(
                    experiment, experiment.preset(quick), quick=quick, out=folders[0], backend=backend, progress=report
                )
    return found


def _wanted(missing: Sequence[str], quick: bool) -> bool:
    """Say what is to be run, and return whether to do so."""
    print(f"To be run first, with the {'quick' if quick else 'full'} settings:")
    for name in missing:
        print(f"  {stored.plan(name, quick=quick)}", flush=True)
    if quick:
        return True
    if not sys.stdin.isatty():
        print("Not run without being asked; --quick runs small versions. The other figures are drawn.", flush=True)
        return False
    return input("Run them now? [y/N] ").strip().lower() in ("y", "yes")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m paper_figures",
        description="Draw figures from stored results, full runs first; what is missing is computed, if you say so.",
        epilog="Figures: " + ", ".join(name.removeprefix("fig_") for name in FIGURES),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures to draw; all of them where none is named")
    parser.add_argument("--quick", action="store_true", help="where no full run is found, compute the small one")
    parser.add_argument("--backend", choices=backends.NAMES, default="numpy", help="for what is still to be computed")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="FOLDER", help="default: results")
    parser.add_argument(
        "--committed", type=Path, default=stored.COMMITTED, metavar="FOLDER", help="full runs that come with the code"
    )
    parser.add_argument("--figures", type=Path, default=Path("figures"), metavar="FOLDER", help="default: figures")
    return parser


if __name__ == "__main__":
    sys.exit(main())
