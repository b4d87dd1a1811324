"""Command line of the experiments: ``python -m experiments list`` and ``python -m experiments run NAME``."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments import backends, progress, runs
from experiments.bench import command as bench
from experiments.bench.setting import Setting
from experiments.registry import EXPERIMENTS, get
from experiments.settings import SettingError, override
from matode._array import get_backend


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    options = _parser().parse_args(arguments)
    if options.command == "list":
        _list(options.settings)
        return 0
    if options.command == "bench":
        return _bench(options)
    try:
        experiment = get(options.name)
        settings = override(experiment.preset(options.quick), options.set)
    except (SettingError, ValueError) as error:
        print(f"experiments: {error}", file=sys.stderr)
        return 2
    backend, sentence = backends.choose(options.backend)
    if sentence:
        print(sentence, file=sys.stderr)
    there = runs.find(experiment, options.quick, options.out) is not None
    try:
        with progress.terminal(experiment.name) as report:
            run = runs.execute(
                experiment,
                settings,
                quick=options.quick,
                out=options.out,
                backend=backend,
                again=options.again,
                progress=report,
            )
    except runs.OtherSettingsError as error:
        print(f"experiments: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        kept = "the same command goes on from here" if experiment.resumable else "nothing was stored"
        print(f"experiments: interrupted, {kept}", file=sys.stderr)
        return 130
    if there and not options.again:
        print(f"{run.folder} is finished already (made {run.environment['date']}); --again makes it anew")
    else:
        print(f"{run.folder}: {', '.join(f'{name}.csv' for name in run.tables())} in {run.environment['seconds']:g} s")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m experiments", description="Run an experiment, store its numbers.")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="name the experiments, and how long they take")
    listing.add_argument("--settings", action="store_true", help="with the settings of both presets")
    run = commands.add_parser("run", help="run one experiment; a finished run is not repeated")
    run.add_argument("name", metavar="NAME")
    run.add_argument("--quick", action="store_true", help="the small preset, stored in NAME-quick")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting (repeatable)")
    run.add_argument("--backend", choices=backends.NAMES, default="numpy")
    run.add_argument("--out", type=Path, default=Path("results"), metavar="FOLDER", help="default: results")
    run.add_argument("--again", action="store_true", help="also where a finished run is there: replace it")
    timing = commands.add_parser("bench", help="time the integrators against the kernels that a step needs")
    timing.add_argument("name", nargs="*", metavar="NAME", help=f"{', '.join(bench.NAMES)}; default: all")
    timing.add_argument("--against", choices=["torch"], help="compare with PyTorch, in the same process")
    timing.add_argument("--backend", choices=backends.NAMES, default="numpy", help="where the nets compute")
    timing.add_argument("--ranks", type=int, nargs="+", help="of the wide net: these only, without the dense nets")
    timing.add_argument("--quick", action="store_true", help="small sizes and few repetitions, below a minute")
    timing.add_argument(
        "--out", type=Path, default=Path("results/bench"), metavar="FOLDER", help="default: results/bench"
    )
    return parser


def _bench(options: argparse.Namespace) -> int:
    try:
        names = bench.chosen(options.name)
    except ValueError as error:
        print(f"experiments: {error}", file=sys.stderr)
        return 2
    if options.against == "torch" and importlib.util.find_spec("torch") is None:
        print("experiments: PyTorch is not installed: pip install torch", file=sys.stderr)
        return 2
    backend, sentence = backends.choose(options.backend)
    if sentence:
        print(sentence, file=sys.stderr)
    ranks = tuple(options.ranks) if options.ranks else None
    setting = Setting(options.quick, options.against == "torch", get_backend(backend), ranks)
    bench.run(names, setting, options.out)
    return 0


def _list(with_settings: bool) -> None:
    for experiment in EXPERIMENTS.values():
        print(f"{experiment.name:12}  {experiment.summary}")
        print(f"{'':12}  quick: {experiment.duration(True)}, full: {experiment.duration(False)}")
        if with_settings:
            for field in dataclasses.fields(experiment.full):
                quick, full = (getattr(preset, field.name) for preset in (experiment.quick, experiment.full))
                print(f"{'':14}{field.name} = {full!r}" + ("" if quick == full else f"  (quick: {quick!r})"))


if __name__ == "__main__":
    sys.exit(main())
