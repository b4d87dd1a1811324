"""Products of tall matrices: blocks of rows give what the plain products give."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from matode import AugmentedBUG, LowRank, Rank, State, euler
from matode._array import to_host
from matode.field import UserField
from matode.linalg import complement, reorthonormalise
from matode.rows import combined, inner
from tests.backends import assert_at_home, send

TOLERANCE = {"float64": 1e-14, "complex128": 1e-14, "complex64": 1e-5, "float32": 1e-5}
ROWS = (1, 6, 100)  # of 13: a single row is left over of blocks of 6


def _drawn(rng: np.random.Generator, shape: tuple[int, int], dtype: str) -> np.ndarray:
    X = rng.standard_normal(shape)
    return (X + 1j * rng.standard_normal(shape) if dtype.startswith("complex") else X).astype(dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("columns", [(3, 2), (0, 2), (3, 0)])
def test_inner_products_in_blocks_are_those_at_once(backend, dtype, rows, columns):
    rng = np.random.default_rng(1)
    U, X = (_drawn(rng, (13, k), dtype) for k in columns)
    G = inner(send(backend, U), send(backend, X), rows=rows)
    assert_at_home(G, backend, dtype)
    assert np.linalg.norm(to_host(G) - U.conj().T @ X) <= TOLERANCE[dtype] * 13


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("widths", [(3,), (3, 2), (2, None), (None, 0, 2), (0,)])
def test_sums_of_products_in_blocks_are_those_at_once(backend, dtype, rows, widths):
    """A width of None stands for a part without a core."""
    rng = np.random.default_rng(2)
    parts = [_drawn(rng, (13, 4 if p is None else p), dtype) for p in widths]
    cores = [None if p is None else _drawn(rng, (p, 4), dtype) for p in widths]
    expected = sum(X if C is None else X @ C for X, C in zip(parts, cores, strict=True))
    given = [send(backend, X) for X in parts], [None if C is None else send(backend, C) for C in cores]
    made = combined(*given, rows=rows)
    assert_at_home(made, backend, dtype)
    assert np.linalg.norm(to_host(made) - expected) <= TOLERANCE[dtype] * 13
    for X, untouched in zip(parts, given[0], strict=True):
        assert np.array_equal(to_host(untouched), X)


@pytest.mark.parametrize("rows", ROWS)
def test_a_sum_of_products_may_take_the_place_of_its_first_part(backend, rows):
    rng = np.random.default_rng(3)
    X, U, C, D = (_drawn(rng, shape, "float64") for shape in ((13, 3), (13, 2), (3, 3), (2, 3)))
    mine = 1.0 * send(backend, X)
    made = combined([mine, send(backend, U)], [send(backend, C), send(backend, D)], into=mine, rows=rows)
    assert np.linalg.norm(to_host(made) - (X @ C + U @ D)) <= 1e-13
    assert (made is mine) == (rows < 13)


def test_parts_without_cores_alone_are_added(backend):
    X, Y = (_drawn(np.random.default_rng(4), (13, 3), "float64") for _ in range(2))
    made = combined([send(backend, X), send(backend, Y)], [None, None], rows=4)
    assert np.array_equal(to_host(made), X + Y)


@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32"])
def test_what_is_large_is_as_orthonormal_as_what_is_small(backend, dtype):
    """Beyond a million numbers the blocks are taken without being asked for."""
    rng = np.random.default_rng(5)
    tolerance = 1e-4 if dtype == "float32" else 1e-12
    U = np.linalg.qr(_drawn(rng, (130_001, 8), dtype))[0]
    X = _drawn(rng, (130_001, 9), dtype)
    W = to_host(complement(send(backend, U), send(backend, X), inside=send(backend, U.conj().T @ X)))
    assert W.shape == (130_001, 9)
    Q = np.concatenate([U, W], axis=1)
    assert np.linalg.norm(Q.conj().T @ Q - np.eye(17)) <= tolerance
    assert np.linalg.norm(X - Q @ (Q.conj().T @ X)) <= tolerance * np.linalg.norm(X)
    drifted = (U + 1e-10 * X[:, :8]).astype(dtype)
    V, R = (to_host(A) for A in reorthonormalise(send(backend, drifted)))
    assert np.linalg.norm(V.conj().T @ V - np.eye(8)) <= tolerance
    assert np.linalg.norm(V @ R - drifted) <= tolerance


@pytest.mark.parametrize("n", [100_001, 110_000])
def test_a_step_of_a_large_equation_finds_all_of_a_field_inside_of_its_bases(n):
    """F V spans, with the old basis, all columns of F: an Euler step is then exact."""
    rng = np.random.default_rng(6)
    Y0 = LowRank.random((100_001, n), 10, singular_values=list(2.0 ** -np.arange(10)), rng=7)
    A, B = (sparse.diags_array(1.0 + rng.random(k), format="csr") for k in Y0.shape)
    C = LowRank(A @ Y0.U[:, :2], None, B @ Y0.V[:, 1:3])
    field = UserField(lambda t, Y: A @ Y + Y @ B + C)
    Y1 = AugmentedBUG(euler, Rank(20)).step(field, 0.0, 0.5, State((Y0,))).Y[0]
    assert (Y1 - (Y0 + 0.5 * (A @ Y0 + Y0 @ B + C))).norm() <= 1e-13
    for Q in (Y1.U, Y1.V):
        assert np.linalg.norm(Q.T @ Q - np.eye(20)) <= 1e-14
