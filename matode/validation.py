"""A person's view of the checks: tables of what is claimed and measured, and errors against their bounds."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matode import problems
from matode._array import host, mH, to_host
from matode.integrators import make_integrator
from matode.lowrank import LowRank
from matode.plots import Series
from matode.solve import solve
from matode.testing import Claims, claims_of
from matode.testing.records import CheckResult, CheckResults

__all__ = ["BOUND_PROBLEMS", "bound_series", "load_function", "rows", "verdict"]

BOUND_PROBLEMS: Mapping[str, Callable[..., problems.Problem]] = {
    name: problems.PROBLEMS[name] for name in ("bounded", "lyapunov", "schroedinger", "sylvester")
}
"""Problems with known constants on which ``bound_series`` can be drawn."""

_VERDICTS = {
    "passed": "holds",
    "failed": "VIOLATED",
    "error": "ERROR",
    "xfail": "fails, as expected",
    "xpass": "HOLDS UNEXPECTEDLY",
}


def verdict(result: CheckResult) -> str:
    """Return one or two words for the status of a check."""
    if result.name.endswith("_denied") and result.status in ("passed", "failed"):
        return "seen to fail, as theory says" if result.status == "passed" else "NOT SEEN TO FAIL"
    return _VERDICTS.get(result.status, result.status)


def rows(results: CheckResults) -> list[tuple[str, str, str, str, str]]:
    """Return ``(property, claimed, measured, bound, verdict)`` of every check that ran."""
    table = []
    for result in results:
        if result.status == "skipped":
            continue
        denied = result.name.endswith("_denied")
        relation = ">=" if denied or result.name == "order" else "<="
        bound = "" if result.bound is None else f"{relation} {result.bound:.2e}"
        measured = "" if result.measured is None else f"{result.measured:.2e}"
        name = result.name.removesuffix("_denied").replace("_", " ")
        table.append((name, "no" if denied else "yes", measured, bound, verdict(result)))
    return table


def load_function(target: str) -> Callable[..., Any]:
    """Return the function that ``path/to/file.py:name`` names.

    Raises
    ------
    ValueError
        If the file or the name in it does not exist.
    """
    path, _, name = target.rpartition(":")
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"there is no file {path!r}: expected path/to/file.py:function")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise ValueError(f"{path!r} has no function {name!r}")
    return function


def bound_series(
    integrator: Any, problem: str = "bounded", *, steps: Sequence[int] = (8, 16, 32, 64, 128), eps: Sequence[float] = ()
) -> tuple[Series, Series | None]:
    """Return the error at the end against h, and against eps where the problem has that parameter, with global bounds.

    Parameters
    ----------
    integrator : Integrator or str
        What to run.
    problem : str
        A name out of :data:`BOUND_PROBLEMS`.
    steps : sequence of int
        Numbers of steps.
    eps : sequence of float
        Normal components for the second series, run with the last number of steps.
    """
    if problem not in BOUND_PROBLEMS:
        raise ValueError(f"unknown problem {problem!r}: expected one of {', '.join(sorted(BOUND_PROBLEMS))}")
    method = make_integrator(integrator) if isinstance(integrator, str) else integrator
    make = BOUND_PROBLEMS[problem]
    points = [_error_and_bound(method, make(), n) for n in steps]
    span = make().t_span
    over_h = Series([(span[1] - span[0]) / n for n in steps], *map(list, zip(*points, strict=True)))
    if problem != "bounded" or not eps:
        return over_h, None
    points = [_error_and_bound(method, make(eps=e), steps[-1]) for e in eps]
    return over_h, Series(list(eps), *map(list, zip(*points, strict=True)))


def _error_and_bound(method: Any, problem: problems.Problem, count: int) -> tuple[float, float]:
    """Solve with ``count`` steps; the bound is the a-posteriori recursion with measured truncation errors."""
    from matode.bounds import a_posteriori

    if problem.reference is None or problem.L is None or problem.B is None:
        raise ValueError(f"{problem.name} has no reference or no constants to compute a bound with")
    claims: Claims = replace(claims_of(method), stranger=False)
    t0, t1 = problem.t_span
    h = (t1 - t0) / count
    normal: list[float] = [0.0]

    def F(t: float, Y: Any) -> Any:
        value = problem.F(t, Y)
        if problem.eps is None:
            normal[0] = max(normal[0], _normal_component(value, Y))
        return value

    sol = solve(F, problem.t_span, problem.Y0, method, h=h)
    error = float(host.linalg.norm(to_host(sol.Y[-1].to_dense()) - problem.reference(t1)))
    eps = normal[0] if problem.eps is None else problem.eps
    local = claims.local_bound(L=problem.L, B=problem.B, eps=eps, h=h)
    bound = a_posteriori([local] * sol.nsteps, sol.truncation_error, L=problem.L, h=h, start_error=problem.start_error)[
        -1
    ]
    return error, bound if math.isfinite(bound) else float("inf")


def _normal_component(value: Any, Y: LowRank) -> float:
    """Return ``||(I - P_U) F (I - P_V)||`` of a value that has low-rank factors, at a Y with any factors."""
    Z = Y.orthonormal()
    F = value.factors()
    U = F.U - Z.U @ (mH(Z.U) @ F.U)
    V = F.V - Z.V @ (mH(Z.V) @ F.V)
    return LowRank(U, F.S, V).norm()
