"""Checks of the contract of a step: purity, types, orthonormal bases, shapes, and states of several blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from matode.testing.cases import (
    Dense,
    Factors,
    bounded_case,
    constant,
    factors,
    flow,
    gaussian,
    norm,
    rank_data,
    shape_for,
    stiefel,
)
from matode.testing.claims import Claims
from matode.testing.registry import check
from matode.testing.trial import Trial

__all__: list[str] = []

System = Callable[[float, Sequence[np.ndarray]], list[np.ndarray]]


@check()
def orthonormal_factors(trial: Trial) -> None:
    """Assert that ``U* U = I`` and ``V* V = I`` to 1e-13, also where the new directions vanish or nearly do."""
    for k, rng in enumerate(trial.draws(12)):
        cplx = bool(rng.integers(2))
        r = int(rng.integers(1, 4))
        shape = shape_for(rng, r)
        sigma = [(1.0, 0.5, 0.2), (1.0, 1e-6, 1e-12), (1.0, 0.0, 0.0)][k % 3][:r]
        Y0 = factors(rng, shape, sigma, cplx)
        tangent = Y0.U @ gaussian(rng, shape[1], r, cplx).conj().T
        noise = gaussian(rng, *shape, cplx)
        F = [noise, tangent, tangent + 1e-11 * noise, 1e6 * tangent + noise][k % 4]
        Y1 = trial.step(constant(F), 0.0, 0.1, Y0).Y
        for X in (Y1.U, Y1.V):
            trial.at_most(norm(X.conj().T @ X - np.eye(X.shape[1])), trial.tolerance(1e-13), "||U* U - I||")


@check()
def inputs_untouched(trial: Trial) -> None:
    """Assert that a step writes into none of its arguments (on NumPy they refuse to be written to)."""
    for rng in trial.draws(3):
        case = bounded_case(rng)
        outcome = trial.step(case.F, case.t, case.h, case.Y0)
        for given, before in zip(outcome.start[0], case.Y0, strict=True):
            trial.at_most(norm(given - before), 0.0, "change of an input")


@check()
def type_kept(trial: Trial) -> None:
    """Assert that dtype, namespace and device of the factors stay: complex, single precision, on their device."""
    dtypes = ("float64", "complex128") if trial.claims.stranger else ("float32", "float64", "complex64", "complex128")
    for k, rng in enumerate(trial.draws(len(dtypes))):
        dtype = dtypes[k % len(dtypes)]
        case = bounded_case(rng, cplx=dtype.startswith("complex"), sigma=(1.0, 0.5, 0.2))
        Y1 = trial.step(case.F, case.t, case.h, case.Y0, dtype=dtype).step.Y[0]
        for name in ("U", "S", "V"):
            X = getattr(Y1, name)
            trial.require(X.dtype == getattr(trial.backend.xp, dtype), f"{name} has dtype {X.dtype}, not {dtype}")
            trial.require(trial.at_home(X), f"{name} is not on the namespace and device of the start")


@check(applies=lambda claims: "a stranger's step may draw random numbers" if claims.stranger else "")
def repeatable(trial: Trial) -> None:
    """Assert that a step gives the same numbers again and after another step: it remembers only ``memory``.

    The step is made three times, with another one before the second only: who counts the steps in the object to take
    turns is seen as well.
    """
    for rng in trial.draws(3):
        case, other = bounded_case(rng), bounded_case(rng)
        first = trial.step(case.F, case.t, case.h, case.Y0).dense
        trial.step(other.F, other.t, other.h, other.Y0)
        for _ in range(2):
            again = trial.step(case.F, case.t, case.h, case.Y0).dense
            trial.at_most(norm(again - first), 0.0, "difference of two runs")


def _memory(claims: Claims) -> str:
    if claims.stranger:
        return "a stranger's step has no memory"
    return "its steps are random" if claims.random else ""


@check(applies=_memory)
def restartable(trial: Trial) -> None:
    """Assert that a step with the memory of the step before it is what a fresh start at the same matrix gives."""
    for rng in trial.draws(3):
        case = bounded_case(rng, sigma=(1.0, 0.4, 0.1), eps=0.1, hL=(0.02, 0.05))
        before = trial.step(case.F, case.t, case.h, case.Y0)
        t = case.t + case.h
        fresh = trial.step(case.F, t, case.h, before.Y).dense
        continued = trial.step(case.F, t, case.h, before.Y, memory=before.step.memory).dense
        trial.at_most(norm(continued - fresh), trial.tolerance(1e-11) * (1 + norm(fresh)), "what the memory changes")


@check()
def extreme_shapes(trial: Trial) -> None:
    """Assert that bounds hold for very tall and wide matrices; for ours also at full rank, one row, one entry."""
    shapes = [((40, 9), 2), ((9, 40), 2), ((30, 5), 1)]
    if not trial.claims.stranger:
        shapes += [((12, 4), 4), ((4, 12), 3), ((6, 6), 6), ((7, 1), 1), ((1, 7), 1), ((1, 1), 1)]
    for k, rng in enumerate(trial.draws(len(shapes))):
        shape, r = shapes[k % len(shapes)]
        case = bounded_case(rng, shape=shape, sigma=np.linspace(1.0, 0.3, r), eps=1e-5)
        Y1 = trial.step(case.F, case.t, case.h, case.Y0).Y
        error = norm(Y1.dense - flow(case.F, case.t, case.h, case.Y0.dense))
        bound = trial.claims.local_bound(L=case.L, B=case.B, eps=case.eps, h=case.h, rate=case.rate)
        trial.at_most(error, bound + trial.claims.truncation + 2e-9, f"error for shape {shape} and rank {r}")
        trial.require(max(Y1.S.shape) <= min(shape), f"a core of shape {Y1.S.shape} for a matrix of shape {shape}")


def _systems(claims: Claims) -> str:
    if claims.stranger:
        return "a stranger's step takes one matrix"
    return "its steps are random" if claims.random else ""


def _clocks(claims: Claims) -> str:
    if claims.substep == "euler" and claims.family in ("ksl", "lsk", "ksl-strang"):
        return "the S-step runs a clock backward, which Euler substeps see"
    return _systems(claims)


def _timed(F: Dense, u: np.ndarray, v: np.ndarray) -> System:
    """Return the field of a clock ``s u v*``, a matrix that moves by F at the clocks' time, and a dense clock."""

    def coupled(t: float, Y: Sequence[np.ndarray]) -> list[np.ndarray]:
        low_rank, dense = float((u.conj().T @ Y[0] @ v)[0, 0].real), float(Y[2][0, 0].real)
        return [u @ v.conj().T, F((2 * low_rank + dense) / 3, Y[1]), np.ones_like(Y[2])]

    return coupled


@check(applies=_clocks)
def coupled_blocks(trial: Trial) -> None:
    """Assert that blocks move together: a field that reads the time from clock blocks acts as the one that is given it.

    One clock is a low-rank block ``s u v*`` with s' = 1, the other a dense one. Whoever moves the blocks one after the
    other, or leaves one behind, misses the times inside the step.
    """
    for k, rng in enumerate(trial.draws(4)):
        cplx = bool(k % 2)
        _, F, t, h, Y0 = rank_data(rng, smallest=0.1, cplx=cplx)
        u, v = stiefel(rng, 6, 1, cplx), stiefel(rng, 7, 1, cplx)
        clock, dense = Factors(u, np.asarray([[t + 0j * cplx]]), v), np.full((2, 3), t + 0j * cplx)
        integrator = trial.untruncated()
        together = trial.step_blocks(_timed(F, u, v), 0.0, h, [clock, Y0, dense], integrator=integrator).blocks
        alone = trial.step(F, t, h, Y0, integrator=integrator).dense
        trial.at_most(norm(together[1].dense - alone), 1e-10, "difference from the time-dependent field")
        trial.at_most(norm(together[0].dense - (t + h) * u @ v.conj().T), 1e-10, "error of the low-rank clock")
        trial.at_most(norm(together[2] - (t + h)), 1e-10, "error of the dense clock")


def _separate(F: Dense, A: np.ndarray, G: Dense) -> System:
    return lambda t, Y: [F(t, Y[0]), A @ Y[1], G(t, Y[2])]


@check(applies=_systems)
def uncoupled_blocks(trial: Trial) -> None:
    """Assert that blocks that do not feel each other move as they would alone, dense ones included."""
    from scipy.linalg import expm

    for rng in trial.draws(4):
        a, b = (
            bounded_case(rng, cplx=False, sigma=(1.0, 0.5, 0.2)[: int(rng.integers(1, 4))], omega=1.0) for _ in "ab"
        )
        A = gaussian(rng, 3, 3)
        A, Z0 = A / np.linalg.norm(A, 2), gaussian(rng, 3, 2)
        Z0 = Z0 / norm(Z0)
        h, integrator = min(a.h, b.h), trial.untruncated()
        Y1, Z1, Y2 = trial.step_blocks(_separate(a.F, A, b.F), a.t, h, [a.Y0, Z0, b.Y0], integrator=integrator).blocks
        for case, Y in ((a, Y1), (b, Y2)):
            alone = trial.step(case.F, a.t, h, case.Y0, integrator=integrator).dense
            trial.at_most(norm(Y.dense - alone), 1e-10, "difference from the block alone")
        error = norm(Z1 - expm(h * A) @ Z0)
        trial.at_most(error, _taylor_remainder(trial, h) + 1e-9, "error of the dense block")


def _taylor_remainder(trial: Trial, h: float) -> float:
    """Return what a formula of low order may miss of ``e^(h A)``, ``||A|| = 1``, from a start of norm 1."""
    if trial.claims.substep == "euler":
        return trial.claims.local_bound(L=1.0, B=float(np.exp(h)), eps=0.0, h=h)
    p = trial.claims.formula
    return 0.0 if p >= 4 else h ** (p + 1) / math.factorial(p + 1) * math.exp(h)
