"""Command line of the experiments: ``python -m experiments list``, ``run NAME`` and ``sweep NAME``."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from experiments import backends, progress, runs, sweeps
from experiments.bench import command as bench
from experiments.bench.setting import Setting
from experiments.config import Config, resolve
from experiments.processes import TaskError, UnavailableError, cores
from experiments.registry import EXPERIMENTS, get
from experiments.settings import SettingError
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
        return _run(options) if options.command == "run" else _sweep(options)
    except (SettingError, runs.OtherSettingsError, UnavailableError) as error:
        print(f"experiments: {error}", file=sys.stderr)
        return 2
    except TaskError as error:
        print(*getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        print(f"experiments: {error}; the same command goes on from what was finished", file=sys.stderr)
        return 1


def _config(options: argparse.Namespace) -> Config:
    """Return what the command line asks for, computed where that is possible."""
    try:
        experiment = get(options.name)
    except ValueError as error:
        raise SettingError(str(error)) from error
    config = resolve(
        experiment,
        options.config,
        quick=options.quick,
        assignments=options.set,
        backend=options.backend,
        seeds=options.seeds,
        grid=getattr(options, "grid", ()),
        sweep=options.command == "sweep",
    )
    backend, sentence = backends.choose(config.backend)
    if sentence:
        print(sentence, file=sys.stderr)
    return dataclasses.replace(config, backend=backend)


def _run(options: argparse.Namespace) -> int:
    config = _config(options)
    experiment = config.experiment
    if options.jobs > 1 and not experiment.resumable:
        print(f"{experiment.name} is computed in one piece: --jobs changes nothing", file=sys.stderr)
    there = not options.again and runs.find(experiment, config.quick, options.out) is not None
    try:
        with progress.terminal(experiment.name) as report:
            run = runs.execute(
                experiment,
                config.settings,
                quick=config.quick,
                out=options.out,
                backend=config.backend,
                again=options.again,
                jobs=options.jobs,
                progress=report,
            )
    except KeyboardInterrupt:
        kept = "the same command goes on from here" if experiment.resumable else "nothing was stored"
        print(f"experiments: interrupted, {kept}", file=sys.stderr)
        return 130
    if there:
        print(f"{run.folder} is finished already (made {run.environment['date']}); --again makes it anew")
    else:
        print(f"{run.folder}: {', '.join(f'{name}.csv' for name in run.tables())} in {run.environment['seconds']:g} s")
    return 0


def _sweep(options: argparse.Namespace) -> int:
    config = _config(options)
    began = time.perf_counter()
    jobs = 1 if options.scheduler else options.jobs or cores()
    where = f"on the cluster at {options.scheduler}" if options.scheduler else f"{jobs} at a time"
    count, each = len(sweeps.points(config)), config.experiment.duration(config.quick)
    print(
        f"{sweeps.folder_of(config, options.out)}: {count} points, {where}; with the preset, one takes {each}",
        flush=True,
    )
    try:
        with progress.terminal(f"{config.experiment.name} sweep") as report:
            swept = sweeps.execute(
                config,
                out=options.out,
                again=options.again,
                jobs=jobs,
                scheduler=options.scheduler,
                progress=report,
            )
    except KeyboardInterrupt:
        print("experiments: interrupted, finished points are kept; the same command goes on from here", file=sys.stderr)
        return 130
    there = f", {swept.there} were there already" if swept.there else ""
    tables = ", ".join(f"{name}.csv" for name in swept.tables) or "no table"
    seconds = time.perf_counter() - began
    print(f"{swept.folder}: {tables} of {swept.there + swept.computed} points in {seconds:.1f} s{there}")
    for name, failure in swept.failures.items():
        print(f"experiments: {name} failed: {failure.sentence}", file=sys.stderr)
    if swept.failures:
        print(f"experiments: {swept.folder}/*.error say where; the same command goes on from here", file=sys.stderr)
    return 1 if swept.failures else 0


_EPILOG = """\
Ctrl-C stops a run with all its processes. Experiments of many minutes store each pair of a setting and a seed as soon
as it is there, and a sweep each of its points: the same command, given again, goes on from there. A process that is
killed is replaced.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m experiments", description="Run an experiment, store its numbers.", epilog=_EPILOG
    )
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="name the experiments, and how long they take")
    listing.add_argument("--settings", action="store_true", help="with the settings of both presets")
    run = commands.add_parser("run", help="run one experiment; a finished run is not repeated", epilog=_EPILOG)
    _common(run)
    run.add_argument("--seeds", type=int, metavar="N", help="the seeds 0 to N - 1")
    run.add_argument("--again", action="store_true", help="also where a finished run is there: replace it")
    run.add_argument(
        "--jobs",
        type=_count,
        default=1,
        metavar="N",
        help="processes for the parts of a long experiment; one where times matter",
    )
    sweep = commands.add_parser("sweep", help="run one experiment at all points of a grid of settings", epilog=_EPILOG)
    _common(sweep)
    sweep.add_argument(
        "--grid",
        action="append",
        default=[],
        metavar="KEY=VALUE,VALUE",
        help="a setting and its values (repeatable); the entries of a list are joined by +",
    )
    sweep.add_argument("--seeds", type=int, metavar="N", help="each point with each of the seeds 0 to N - 1")
    sweep.add_argument("--again", action="store_true", help="delete the sweep that is there, and begin anew")
    place = sweep.add_mutually_exclusive_group()
    place.add_argument("--jobs", type=_count, metavar="N", help="processes on this machine, default: one per core")
    place.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster, such as tcp://host:8786")
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


def _common(parser: argparse.ArgumentParser) -> None:
    """Add what a run and a sweep have in common."""
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="the small preset, stored in NAME-quick")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting (repeatable)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML, such as the config.toml of another run")
    parser.add_argument("--backend", choices=backends.NAMES, help="default: numpy")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="FOLDER", help="default: results")


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"expected a number of processes, at least 1; got {text!r}")
    return count


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
    width = max(map(len, EXPERIMENTS))
    for experiment in EXPERIMENTS.values():
        kept = ", in parts that an interruption keeps" if experiment.resumable else ""
        print(f"{experiment.name:{width}}  {experiment.summary}")
        print(f"{'':{width}}  quick: {experiment.duration(True)}, full: {experiment.duration(False)}{kept}")
        if with_settings:
            for field in dataclasses.fields(experiment.full):
                quick, full = (getattr(preset, field.name) for preset in (experiment.quick, experiment.full))
                print(f"{'':{width + 4}}{field.name} = {full!r}" + ("" if quick == full else f"  (quick: {quick!r})"))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)  # the batch system of a cluster ends a job so
    sys.exit(main())
