"""Hypothesis strategies: low-rank values, and random problems whose constants are known.

Sizes, ranks, dtypes and spectra are drawn by Hypothesis, so that a failing example shrinks to small and simple ones;
the random bases come from a drawn seed. The only module here that needs Hypothesis (``pip install hypothesis``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from matode._array import Backend, get_backend
from matode.lowrank import LowRank
from matode.problems import Problem, given_matrix, sylvester
from matode.problems.bounded import bounded
from matode.problems.completion import completion
from matode.testing.cases import Case, bounded_case, factors, gaussian

__all__ = [
    "bounded_cases",
    "bounded_problems",
    "completion_problems",
    "dtypes",
    "given_matrix_problems",
    "low_rank",
    "problems",
    "schroedinger_problems",
    "seeds",
    "shapes",
    "spectra",
    "sylvester_problems",
]

seeds = st.integers(0, 2**32 - 1)
"""Seeds of random bases."""

dtypes = st.sampled_from(["float64", "complex128"])
"""Real and complex, in double precision."""


def shapes(rank: int, largest: int = 24) -> st.SearchStrategy[tuple[int, int]]:
    """Draw (m, n) in [4 rank + 2, largest]^2: four times the rank does not fill the space."""
    sizes = st.integers(4 * rank + 2, max(largest, 4 * rank + 2))
    return st.tuples(sizes, sizes)


def spectra(rank: int, decades: float = 10.0, zero: bool = True) -> st.SearchStrategy[list[float]]:
    """Draw ``rank`` descending singular values ``10^-e``, e in [0, decades], or 0, of norm 1; the first is never 0."""
    exponents = st.floats(0.0, decades, width=32).map(lambda e: 10.0**-e)
    others = st.one_of(exponents, st.just(0.0)) if zero else exponents
    values = st.tuples(exponents, st.lists(others, min_size=rank - 1, max_size=rank - 1))
    return values.map(lambda v: _normalised([v[0], *v[1]]))


def _normalised(values: Sequence[float]) -> list[float]:
    s = np.sort(np.asarray(values))[::-1]
    return [float(x) for x in s / np.linalg.norm(s)]


@st.composite
def low_rank(
    draw: st.DrawFn,
    *,
    ranks: st.SearchStrategy[int] | None = None,
    decades: float = 10.0,
    backend: Backend | None = None,
    dtype: str | None = None,
) -> LowRank:
    """Draw a :class:`~matode.LowRank` of norm 1: rectangular, real or complex, spectrum down to 0, dense core.

    Parameters
    ----------
    ranks : strategy of int, optional
        Ranks; 1 to 3 where not given.
    decades : float
        Range of the singular values that are not 0.
    backend : Backend, optional
        Where it lives; NumPy where not given.
    dtype : str, optional
        One dtype; real or complex double precision where not given.
    """
    backend = get_backend() if backend is None else backend
    r = draw(st.integers(1, 3) if ranks is None else ranks)
    kind = draw(dtypes) if dtype is None else dtype
    rng = np.random.default_rng(draw(seeds))
    Y = factors(rng, draw(shapes(r)), draw(spectra(r, decades)), kind.startswith("complex"))
    return LowRank(*(backend.xp.asarray(X.astype(kind), device=backend.device) for X in Y))


@st.composite
def bounded_cases(draw: st.DrawFn, /, **given: Any) -> Case:
    """Draw one step of a bounded field with exact L, B and eps, on dense host arrays (P1); see ``bounded_case``."""
    r = draw(st.integers(1, 3))
    options: dict[str, Any] = {
        "sigma": draw(spectra(r)),
        "shape": draw(shapes(r)),
        "cplx": draw(st.booleans()),
        "omega": draw(st.sampled_from([0.0, 1.0, 3.0])),
    }
    return bounded_case(np.random.default_rng(draw(seeds)), **{**options, **given})


@st.composite
def bounded_problems(draw: st.DrawFn, backend: Backend | None = None) -> Problem:
    """Draw a bounded, globally Lipschitz problem with exact L, B and eps (P1)."""
    r = draw(st.integers(1, 3))
    return bounded(
        draw(shapes(r)),
        r,
        g1=draw(st.floats(0.3, 2.0)),
        g2=draw(st.floats(0.3, 2.0)),
        kappa=draw(st.floats(0.5, 3.0)),
        omega=draw(st.sampled_from([0.0, 1.0])),
        eps=draw(st.sampled_from([0.0, 1e-4, 1e-2])),
        smallest=draw(st.sampled_from([1.0, 1e-4, 1e-8, 1e-12])),
        seed=draw(seeds),
        dtype=draw(dtypes),
        backend=backend,
    )


@st.composite
def given_matrix_problems(draw: st.DrawFn, backend: Backend | None = None) -> Problem:
    """Draw A(t) of exact rank r with the field A'(t) (P2)."""
    r = draw(st.integers(1, 3))
    return given_matrix(
        draw(shapes(r)),
        r,
        smallest=draw(st.sampled_from([1.0, 1e-4, 1e-8, 1e-12])),
        seed=draw(seeds),
        dtype=draw(dtypes),
        backend=backend,
    )


@st.composite
def sylvester_problems(draw: st.DrawFn, backend: Backend | None = None) -> Problem:
    """Draw a nonsymmetric, rectangular Sylvester flow (P3)."""
    r = draw(st.integers(1, 3))
    return sylvester(draw(shapes(r)), r, seed=draw(seeds), dtype=draw(dtypes), backend=backend)


@st.composite
def schroedinger_problems(draw: st.DrawFn, backend: Backend | None = None) -> Problem:
    """Draw a complex Schroedinger equation ``Y' = -i (D Y + Y E)`` with ``||D||_2 + ||E||_2 = 1`` (P4)."""
    r = draw(st.integers(1, 3))
    m, n = draw(shapes(r))
    rng = np.random.default_rng(draw(seeds))
    backend = get_backend() if backend is None else backend
    D, E = (_hermitian(rng, k) for k in (m, n))
    Y0 = factors(rng, (m, n), draw(spectra(r, 2.0, zero=False)), True)
    on_backend = [backend.xp.asarray(X, device=backend.device) for X in (D, E)]

    def reference(t: float) -> np.ndarray:
        from scipy.linalg import expm

        return expm(-1j * t * D) @ Y0.dense @ expm(-1j * t * E)

    return Problem(
        name=f"Schroedinger equation, {m} x {n}",
        F=lambda t, Y: -1j * (on_backend[0] @ Y) - 1j * (Y @ on_backend[1]),
        t_span=(0.0, 0.5),
        Y0=LowRank(*(backend.xp.asarray(X, device=backend.device) for X in Y0)),
        reference=reference,
        L=1.0,
        B=1.0,
        eps=0.0,
        one_sided=0.0,
    )


def _hermitian(rng: np.random.Generator, k: int) -> np.ndarray:
    A = gaussian(rng, k, k, True)
    A = A + A.conj().T
    return A * (0.5 / np.linalg.norm(A, 2))


@st.composite
def completion_problems(draw: st.DrawFn, backend: Backend | None = None) -> Problem:
    """Draw a gradient flow of matrix completion (P5)."""
    r = draw(st.integers(1, 3))
    return completion(
        draw(shapes(r)),
        r,
        observed=draw(st.sampled_from([0.3, 0.6, 1.0])),
        noise=draw(st.sampled_from([0.0, 0.1])),
        T=0.5,
        seed=draw(seeds),
        dtype=draw(dtypes),
        backend=backend,
    )


def problems(backend: Backend | None = None) -> st.SearchStrategy[Problem]:
    """Draw a problem of any of the five families; each has an exact reference and the constants it is known to have."""
    return st.one_of(
        bounded_problems(backend),
        given_matrix_problems(backend),
        sylvester_problems(backend),
        schroedinger_problems(backend),
        completion_problems(backend),
    )
