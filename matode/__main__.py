"""The command line: ``python -m matode list`` and ``python -m matode validate``."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from matode import problems
from matode.integrators import ALIASES, INTEGRATORS, make_integrator
from matode.plots import plot_bounds
from matode.testing import GUARANTEES, check_integrator, claims_of, third_party
from matode.validation import PROBLEMS, bound_series, load_function, rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 if a check failed, 2 if an argument is wrong."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except BrokenPipeError:  # whoever reads this has seen enough, as with "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, ImportError) as error:
        print(f"matode: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m matode", description="Low-rank integrators of matrix ODEs.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("list", help="list the integrators and the problems")
    command.set_defaults(command=_list)

    command = commands.add_parser(
        "validate",
        help="check integrators against what theory says of them",
        description="Check integrators against what theory says of them: ours by name, or a stranger's function "
        "step(F, t, h, U, S, V) -> (U, S, V) as path/to/file.py:step. Exit status 1 means that a check failed.",
    )
    command.add_argument(
        "integrators", nargs="*", metavar="INTEGRATOR", help="names, or file.py:function; all by default"
    )
    command.add_argument("--problem", default="bounded", choices=sorted(PROBLEMS), help="problem of the plot")
    command.add_argument("--plot", metavar="FILE", help="draw error against h and eps with the bounds (png, pdf, svg)")
    command.add_argument("--profile", default="default", choices=["quick", "default", "thorough"])
    command.add_argument("--seed", type=int, default=0, help="draws the same random problems again")
    command.add_argument("--mutants", action="store_true", help="show which check rejects which wrong integrator")
    stranger = command.add_argument_group("for a function of your own")
    stranger.add_argument("--order", type=float, default=1.0, help="order of convergence that it claims")
    stranger.add_argument("--guarantees", default="", help=f"comma-separated, out of {', '.join(sorted(GUARANTEES))}")
    stranger.add_argument("--substep", default="euler", choices=["euler", "exact"])
    stranger.add_argument("--family", help="the method that it is: ksl, bug, augmented-bug, parallel-bug, abc-psi")
    stranger.add_argument("--truncation", type=float, default=1e-10, help="relative truncation inside the step")
    command.set_defaults(command=_validate)
    return parser


def _list(options: argparse.Namespace) -> int:
    print("integrators")
    for name, factory in INTEGRATORS.items():
        aliases = [alias for alias, target in ALIASES.items() if target == name]
        also = f" (= {', '.join(aliases)})" if aliases else ""
        print(f"  {name + also:24s}{_plain((factory.__doc__ or '').splitlines()[0])}")
    print("problems")
    for name, make in problems.PROBLEMS.items():
        print(f"  {name:24s}{make().name}")
    return 0


def _validate(options: argparse.Namespace) -> int:
    if options.mutants:
        return _mutants(options)
    failed = False
    names = options.integrators or list(INTEGRATORS)
    methods = {name: _method(name, options) for name in names}
    for name, method in methods.items():
        results = check_integrator(method, on_fail="report", profile=options.profile, seed=options.seed)
        claims = claims_of(method)
        print(f"{name}: order {claims.order:g}, {claims.substep} substeps, claims {_words(claims.guarantees)}")
        _print_table(("property", "claimed", "measured", "bound", "verdict"), rows(results))
        for result in results.failures:
            print(f"  {result.name}: {result.reason} (seed {result.seed})")
        print(f"  {results.ran} checks ran, {len(results.failures)} failed\n")
        failed = failed or not results.success
    if options.plot:
        print(f"drawn: {_plot(methods, options)}")
    return int(failed)


def _method(name: str, options: argparse.Namespace) -> Any:
    if ":" not in name:
        return make_integrator(name)
    return third_party(
        load_function(name),
        order=options.order,
        guarantees=[word.strip() for word in options.guarantees.split(",") if word.strip()],
        substep=options.substep,
        truncation=options.truncation,
        family=options.family,
    )


def _plot(methods: dict[str, Any], options: argparse.Namespace) -> Any:
    panels: dict[str, dict[str, Any]] = {"step size h": {}, "normal component eps": {}}
    for name, method in methods.items():
        over_h, over_eps = bound_series(method, options.problem, eps=[1e-6, 1e-5, 1e-4, 1e-3, 1e-2])
        panels["step size h"][name] = over_h
        if over_eps is not None:
            panels["normal component eps"][name] = over_eps
    panels = {label: series for label, series in panels.items() if series}
    return plot_bounds(panels, options.plot, title=PROBLEMS[options.problem]().name)


def _mutants(options: argparse.Namespace) -> int:
    try:
        mutants = importlib.import_module("tests.mutants")
    except ModuleNotFoundError:
        raise ValueError("the wrong integrators are part of the checkout: run this from its root folder") from None
    survivors = 0
    print(f"  {'mutant':32s}{'pretends to be':18s}rejected by")
    for mutant in mutants.MUTANTS:  # row by row: the whole table takes minutes
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # wrong integrators overflow
            (row,) = mutants.table(seed=options.seed, profile=options.profile, mutants=[mutant])
        names = ", ".join(row["rejected_by"]) or "NOTHING"
        print(f"  {row['mutant']:32s}{row['pretends_to_be']:18s}{names}", flush=True)
        survivors += not row["rejected_by"]
    print(f"  {len(mutants.MUTANTS)} wrong integrators, {survivors} not rejected")
    return int(survivors > 0)


def _print_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> None:
    widths = [max(len(line[k]) for line in (head, *body)) for k in range(len(head))]
    for line in (head, ["-" * width for width in widths], *body):
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _plain(text: str) -> str:
    """Return a docstring's line without its markup."""
    return re.sub(r":\w+:`([^`]*)`", r"\1", text).replace("``", "")


def _words(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "nothing more"


if __name__ == "__main__":
    raise SystemExit(main())
