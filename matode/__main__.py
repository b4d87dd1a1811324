"""The command line: ``python -m matode list``, ``solve``, ``compare`` and ``validate``."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from matode._array import host, to_host
from matode.comparison import work_precision
from matode.integrators import ALIASES, INTEGRATORS, make_integrator
from matode.plots import plot_bounds, plot_solution, plot_work_precision
from matode.problems import PROBLEMS, Problem, make_problem
from matode.solve import solve
from matode.testing import GUARANTEES, check_integrator, claims_of, third_party
from matode.truncation import Relative
from matode.validation import BOUND_PROBLEMS, bound_series, load_function, rows

_COMPARED = ("augmented-bug", "parallel-bug", "abc-psi", "midpoint-bug", "parallel-bug-2", "rk-bug-2", "rk-bug-3")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 if a check failed, 2 if an argument is wrong."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except BrokenPipeError:  # whoever reads this has seen enough, as with "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, TypeError, ImportError, OSError) as error:
        print(f"matode: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m matode", description="Low-rank integrators of matrix ODEs.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("list", help="list the integrators and the problems")
    command.set_defaults(command=_list)

    command = commands.add_parser(
        "solve",
        help="solve a problem of the library",
        description="Solve a problem of the library, and say how far it is from the reference and what is certified.",
    )
    command.add_argument("problem", metavar="PROBLEM", help="a name that 'list' shows")
    command.add_argument("--integrator", default="augmented-bug", metavar="NAME", help="default: augmented-bug")
    command.add_argument("--rtol", type=float, help="relative error to aim at (default 1e-3, unless --h is given)")
    command.add_argument("--atol", type=float, help="absolute error to add to that")
    command.add_argument("--h", type=float, help="equal steps of this length instead; with --rtol the first step")
    command.add_argument("--max-rank", type=int, help="the cap of the rank")
    command.add_argument("--truncation", type=float, metavar="TAU", help="relative truncation tolerance of each step")
    command.add_argument("--seed", type=int, default=0, help="of the problem's random numbers")
    command.add_argument("--plot", metavar="FILE", help="draw ranks, singular values, steps and errors (png, pdf, svg)")
    command.add_argument("--save", metavar="FILE", help="store the solution (.npz); matode.Solution.load reads it")
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.set_defaults(command=_solve)

    command = commands.add_parser(
        "compare",
        help="work and precision of several integrators on one problem",
        description="Solve a problem at falling tolerances by several integrators: error against seconds and against "
        "evaluations of the field.",
    )
    command.add_argument("problem", metavar="PROBLEM", help="a name that 'list' shows")
    command.add_argument(
        "--integrators", metavar="NAMES", help="comma-separated; default: the rank-adaptive deterministic ones"
    )
    command.add_argument("--rtols", default="1e-2,1e-3,1e-4,1e-5,1e-6", metavar="LIST", help="comma-separated")
    command.add_argument("--max-steps", type=int, default=1000, help="budget of each solve (default 1000)")
    command.add_argument("--seed", type=int, default=0, help="of the problem's random numbers")
    command.add_argument("--plot", metavar="FILE", help="draw the work-precision diagram (png, pdf, svg)")
    command.set_defaults(command=_compare)

    command = commands.add_parser(
        "validate",
        help="check integrators against what theory says of them",
        description="Check integrators against what theory says of them: ours by name, or a stranger's function "
        "step(F, t, h, U, S, V) -> (U, S, V) as path/to/file.py:step. Exit status 1 means that a check failed.",
    )
    command.add_argument(
        "integrators", nargs="*", metavar="INTEGRATOR", help="names, or file.py:function; all by default"
    )
    command.add_argument("--problem", default="bounded", choices=sorted(BOUND_PROBLEMS), help="problem of the plot")
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
    for name, make in PROBLEMS.items():
        print(f"  {name:24s}{make().name}")
    return 0


def _problem(options: argparse.Namespace) -> Problem:
    near = difflib.get_close_matches(options.problem, PROBLEMS, n=1)
    if options.problem not in PROBLEMS and near:
        raise ValueError(f"unknown problem {options.problem!r}: did you mean {near[0]!r}?")
    return make_problem(options.problem, seed=options.seed) if options.seed else make_problem(options.problem)


def _solve(options: argparse.Namespace) -> int:
    problem = _problem(options)
    constant = problem.one_sided if problem.one_sided is not None else problem.L
    sol = solve(
        problem.F,
        problem.t_span,
        problem.Y0,
        options.integrator,
        h=options.h,
        rtol=options.rtol,
        atol=options.atol,
        max_rank=options.max_rank,
        truncation=None if options.truncation is None else Relative(options.truncation),
        lipschitz=constant,
        progress=not options.quiet and sys.stderr.isatty(),
    )
    sol.start_error = max(sol.start_error, problem.start_error)
    print(f"{problem.name}: {sol.message}")
    print(f"  rank {sol.ranks[-1]}, {sol.nfev} evaluations, norm {sol.Y[-1].norm():.6g}")
    if problem.reference is not None:
        exact = problem.reference(sol.t[-1])
        error, size = host.linalg.norm(to_host(sol.Y[-1].to_dense()) - exact), host.linalg.norm(exact)
        print(f"  error {error:.2e}, relative {error / size:.2e} (the start is off by {problem.start_error:.2e})")
    if constant is not None:
        print(f"  certified: the error is at most {sol.error_bound(sol.t[-1]):.2e}")
    if options.save:
        sol.save(options.save)
        print(f"  stored: {options.save}")
    if options.plot:
        print(f"  drawn: {plot_solution(sol, problem, options.plot)}")
    return 0 if sol.success else 1


def _compare(options: argparse.Namespace) -> int:
    problem = _problem(options)
    if problem.reference is None:
        raise ValueError(f"{options.problem} has no reference to compare with")
    try:
        rtols = [float(rtol) for rtol in options.rtols.split(",")]
    except ValueError:
        raise ValueError(f"--rtols must be numbers separated by commas, got {options.rtols!r}") from None
    names = list(_COMPARED) if options.integrators is None else options.integrators.split(",")
    for name in names:
        make_integrator(name)
    curves = {}
    head = ("integrator", "rtol", "error", "seconds", "evaluations", "steps", "rejected", "rank", "")
    rows = []
    for name in names:
        curves.update(work_precision(problem, [name], rtols, max_steps=options.max_steps))
        for m in curves[name]:
            error = "-" if m.error is None else f"{m.error:.1e}"
            counts = (str(m.nfev), str(m.nsteps), str(m.rejected), str(m.rank))
            note = "" if m.status == "finished" else m.status
            rows.append((name, f"{m.rtol:.0e}", error, f"{m.seconds:.3f}", *counts, note))
    print(problem.name)
    _print_table(head, rows)
    if options.plot:
        print(f"drawn: {plot_work_precision(curves, options.plot, title=problem.name)}")
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
    return plot_bounds(panels, options.plot, title=BOUND_PROBLEMS[options.problem]().name)


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
