"""The command line: ``python -m nn train``, ``evaluate``, ``export`` and ``plot``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from matode._array import get_backend, host
from matode.protocols import NonFiniteError
from nn.config import INTEGRATOR_NAMES, MODELS, OPTIMIZERS, SCHEDULES, SUBSTEPS, Config, ConfigError
from nn.data import NAMES
from nn.display import Display
from nn.export import FORMATS, export
from nn.metric_plot import plot_metrics
from nn.monitor_plot import plot_monitor
from nn.parameters import count_parameters, ranks
from nn.runs import Run, RunError
from nn.train import TrainingResult, accuracy

INTERRUPTED, TERMINATED = 130, 143  # what a shell reports of a program that a signal ended


class _Terminated(KeyboardInterrupt):
    """The system asked the program to end."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0: done, also where there was nothing left to do; 1: the loss became NaN or inf; 2: an argument is wrong, or a file
    or library is missing; 130 and 143: interrupted or terminated, after a checkpoint.
    """
    options = _parser().parse_args(arguments)
    try:
        with _terminable(), host.errstate(all="ignore"):  # what is not finite is an error of ours, with a sentence
            return int(options.command(options))
    except KeyboardInterrupt as signalled:
        terminated = isinstance(signalled, _Terminated)
        print(f"nn: {'terminated' if terminated else 'interrupted'}{_advice(signalled)}", file=sys.stderr)
        return TERMINATED if terminated else INTERRUPTED
    except BrokenPipeError:  # whoever reads this has seen enough, as with "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except NonFiniteError as error:
        print(f"nn: {error}", file=sys.stderr)
        return 1
    except (ValueError, TypeError, ImportError, OSError, RuntimeError) as error:
        print(f"nn: {error}", file=sys.stderr)
        return 2


@contextmanager
def _terminable() -> Iterator[None]:
    """Take SIGTERM like Ctrl-C; only the main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(number: int, frame: Any) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _advice(signalled: KeyboardInterrupt) -> str:
    return "".join(f"; {note}" for note in getattr(signalled, "__notes__", ()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m nn", description="Train, evaluate and export low-rank networks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser(
        "train",
        help="train a network",
        description="Train a network. DIR gets the configuration, metrics.csv and checkpoints; Ctrl-C saves, and "
        "--resume DIR goes on from there to the same numbers, bit for bit.",
        argument_default=argparse.SUPPRESS,
    )
    where = command.add_argument_group("where")
    where.add_argument("--out", metavar="DIR", help="a new folder for the run")
    where.add_argument("--resume", metavar="DIR", help="go on with the run in DIR; needs nothing else")
    what = command.add_argument_group("what")
    default = Config()

    def add(group: Any, name: str, kind: Any, about: str, **options: Any) -> None:
        value = getattr(default, name)
        shown = "none" if value in (None, []) else value
        group.add_argument(f"--{name.replace('_', '-')}", type=kind, help=f"{about} (default: {shown})", **options)

    add(what, "model", str, f"one of {', '.join(MODELS)}", metavar="NAME")
    add(what, "data", str, f"one of {', '.join(NAMES)}, looked for in $MATODE_DATA_DIR/NAME", metavar="NAME")
    add(what, "integrator", str, f"one of {', '.join(INTEGRATOR_NAMES)}", metavar="NAME")
    add(what, "width", int, "features of a hidden layer of the mlp", metavar="N")
    add(what, "depth", int, "layers of the mlp", metavar="N")
    add(
        what,
        "rank",
        _rank,
        "initial rank of all layers but the last, or 'full', or of each: 10,20,none",
        metavar="R",
    )
    how = command.add_argument_group("how")
    add(how, "tau", float, "relative tolerance of the truncation", metavar="X")
    add(how, "min_rank", int, "smallest rank that the truncation leaves", metavar="R")
    add(how, "max_rank", int, "largest", metavar="R")
    add(how, "epochs", int, "passes over the data", metavar="N")
    add(how, "lr", float, "learning rate", metavar="X")
    add(how, "batch_size", int, "images of a step", metavar="N")
    add(how, "schedule", str, f"of the learning rate: {', '.join(SCHEDULES)}", metavar="NAME")
    add(how, "milestones", _epochs, "epochs after which 'steps' decays, as in 12,16", metavar="N,N")
    add(how, "decay", float, "factor of 'steps'", metavar="X")
    add(how, "optimizer", str, f"one of {', '.join(OPTIMIZERS)}", metavar="NAME")
    add(how, "momentum", float, "of heavy ball", metavar="X")
    add(how, "weight_decay", float, "decoupled, in the time of the gradient flow", metavar="X")
    add(how, "freeze_rank_after", int, "epochs after which the ranks stay", metavar="N")
    add(how, "fine_tune_after", int, "epochs after which only cores and dense weights move", metavar="N")
    add(how, "monitor_every", int, "steps between observations of what theory guarantees", metavar="N")
    add(how, "substep", str, f"solver of the small ODEs: {', '.join(SUBSTEPS)}", metavar="NAME")
    add(how, "validation", int, "training images to put aside", metavar="N")
    add(how, "seed", int, "of weights, shuffles and splits", metavar="N")
    add(how, "backend", str, "numpy, cupy or torch", metavar="NAME")
    add(how, "dtype", str, "float32 or float64", metavar="NAME")
    add(how, "checkpoint_every", int, "steps between checkpoints within an epoch", metavar="N")
    command.set_defaults(command=_train)

    command = commands.add_parser("evaluate", help="test accuracy, parameters, compression and ranks of a run")
    command.add_argument("folder", metavar="DIR")
    command.add_argument("--backend", metavar="NAME", help="numpy, cupy or torch; the run's own by default")
    command.set_defaults(command=_evaluate)

    command = commands.add_parser("export", help="weights of a run for other programs; low-rank ones as two factors")
    command.add_argument("folder", metavar="DIR")
    command.add_argument("--format", default="npz", metavar="NAME", help=f"{', '.join(FORMATS)} (default: npz)")
    command.add_argument("--to", metavar="FILE", help="DIR/model.FORMAT by default")
    command.set_defaults(command=_export)

    command = commands.add_parser("plot", help="draw the metrics of a run, and what its monitors saw")
    command.add_argument("folder", metavar="DIR")
    command.add_argument("--format", default="png", metavar="NAME", help="png, pdf or svg (default: png)")
    command.set_defaults(command=_plot)
    return parser


def _rank(text: str) -> int | str | list[int | str]:
    parts = [part.strip() for part in text.split(",")]
    found: list[int | str] = [part if part in ("full", "none") else int(part) for part in parts]
    return found if len(found) > 1 else found[0]


def _epochs(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _train(options: argparse.Namespace) -> int:
    given = {name: value for name, value in vars(options).items() if name != "command"}
    out, resume = given.pop("out", None), given.pop("resume", None)
    if (out is None) == (resume is None):
        raise RunError("name a new folder with --out DIR, or go on with a run by --resume DIR")
    if resume is None:
        run, start = Run.create(out, Config.of(given)), None
        print(run.examples.reason, flush=True)
    elif given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ConfigError(f"--resume takes everything from {resume}: leave out {names}")
    else:
        run = Run.open(resume)
        start, complaints = run.latest()
        for complaint in complaints:
            print(f"nn: {complaint}", file=sys.stderr)
        if start is None:
            print("no checkpoint yet: starting over", flush=True)
        elif run.finished(start):
            print(f"finished already: {len(start.history)} epochs, {_percent(start.history[-1].test_accuracy)}")
            return 0
        else:
            print(f"going on in epoch {len(start.history) + 1} after {start.step} of {run.per_epoch} steps", flush=True)
    display = Display(run, sys.stdout, sys.stderr)
    try:
        run.go_on(start, display)
    except KeyboardInterrupt as signalled:
        signalled.add_note(f"go on with: python -m nn train --resume {run.folder}")
        raise
    finally:
        display.close()
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    run = Run.open(options.folder, options.backend)
    result = _newest(run)
    where = get_backend(run.config.backend)
    real = getattr(where.xp, run.config.dtype)
    images = where.xp.asarray(run.examples.x_test, dtype=real, device=where.device)
    labels = where.xp.asarray(run.examples.y_test, device=where.device)
    began = time.perf_counter()
    found = accuracy(run.model, result.Y, images, labels, buffers=result.buffers)
    seconds = time.perf_counter() - began
    parameters = count_parameters(result.Y)
    epochs = f"{len(result.history)} of {run.config.epochs} epochs"
    print(f"{_percent(found)} of the {len(labels)} test images of {run.config.data}, after {epochs}")
    print(
        f"parameters   {parameters.evaluation} in evaluation, {parameters.training} in training, {parameters.dense} "
        "dense (biases count)"
    )
    print(f"compression  {_percent(parameters.compression)}")
    print(f"ranks        {' '.join(map(str, ranks(result.Y))) or 'all weights are dense'}")
    print(f"inference    {seconds:.2f} s")
    return 0


def _export(options: argparse.Namespace) -> int:
    run = Run.open(options.folder, "numpy")
    result = _newest(run)
    path = options.to or run.folder / f"model.{options.format}"
    export(path, run.model, result.Y, result.buffers, format=options.format, image=run.image)
    print(f"{path}: {run.config.model} after {len(result.history)} of {run.config.epochs} epochs")
    return 0


def _plot(options: argparse.Namespace) -> int:
    run = Run.open(options.folder, "numpy")
    title = f"{run.config.model} on {run.config.data}, {run.config.integrator}"
    metrics, monitors = run.rows("metrics.csv"), run.rows("monitors.csv")
    if not metrics and not monitors:
        raise RunError(f"{run.folder} has no metrics yet: train it with --resume {run.folder}")
    if metrics:
        print(f"drawn: {plot_metrics(metrics, run.folder / f'metrics.{options.format}', title=title)}")
    if monitors:
        print(f"drawn: {plot_monitor(monitors, run.folder / f'monitors.{options.format}', title=title)}")
    return 0


def _newest(run: Run) -> TrainingResult:
    result, complaints = run.latest()
    for complaint in complaints:
        print(f"nn: {complaint}", file=sys.stderr)
    if result is None:
        raise RunError(f"{run.folder} has no checkpoint yet: train it with --resume {run.folder}")
    return result


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


if __name__ == "__main__":
    raise SystemExit(main())
