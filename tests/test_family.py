"""What single methods promise beyond conformance: step truncation, sketches, step rejection, variants, and orders."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import diags_array
from scipy.sparse.linalg import aslinearoperator

import matode
from matode import INTEGRATORS, Absolute, LowRank, ParallelBUG, PerBlock, Rank, Relative, StepTruncation, euler
from matode._array import get_backend, to_host
from matode.field import UserField
from matode.testing import CATALOGUE_CLAIMS
from tests.backends import assert_at_home, send

NUMPY = get_backend()


def _curved(backend=NUMPY, dtype="float64", seed=0):
    """A nonlinear field of full rank, whose normal component is large."""
    rng = np.random.default_rng(seed)
    A, B, C = rng.standard_normal((14, 14)), rng.standard_normal((11, 11)), rng.standard_normal((14, 11))
    A, B, C = (send(backend, X + 1j * X[::-1] if dtype == "complex128" else X, dtype) for X in (A, B, C))
    return UserField(lambda t, Y: A @ Y + Y @ B + float(np.cos(t)) * C)


def _start(backend=NUMPY, dtype="float64"):
    return LowRank.random((14, 11), 2, singular_values=[1.0, 0.3], rng=1, dtype=dtype, backend=backend)


@pytest.mark.parametrize("name", list(INTEGRATORS))
def test_order_is_a_constant_of_the_method_and_what_the_claims_say(name):
    assert INTEGRATORS[name]().order == CATALOGUE_CLAIMS[name, "exact"].order
    assert isinstance(INTEGRATORS[name]().order, float)


@pytest.mark.parametrize("name", [name for name in INTEGRATORS if name != "full-rank"])
def test_large_matrices_are_never_formed(name):
    n = 20_000  # an n x n array would take 3.2 GB
    A = diags_array([-2.0 + np.linspace(0, 1, n), np.ones(n - 1)], offsets=[0, 1], format="csr")
    c = np.sin(np.arange(n))[:, None] / n**0.5
    Y0 = LowRank.random((n, n), 2, singular_values=[1.0, 0.5], rng=0)
    field = UserField(lambda t, Y: A @ Y + Y @ A.T + LowRank(c, None, c))
    Y1 = INTEGRATORS[name]().step(field, 0.0, 0.01, (Y0,)).Y[0]
    h = 0.01
    change = (A @ Y0 + Y0 @ A.T + LowRank(c, None, c)).norm()
    assert 0.5 * h * change <= (Y1 - Y0).norm() <= 1.5 * h * change


# Step truncation


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("wide", [False, True])
def test_step_truncation_of_low_rank_and_of_dense_fields(backend, dtype, wide):
    shape = (9, 13) if wide else (13, 9)
    Y0 = LowRank.random(shape, 2, rng=0, dtype=dtype, backend=backend)
    C = LowRank.random(shape, 3, rng=1, dtype=dtype, backend=backend)
    expected = to_host((Y0 - 0.1 * C).to_dense())
    for value in (C, C + 0.0 * Y0, C.to_dense(), matode.Operator(C.to_dense()), 0.5 * C + 0.5 * C.to_dense()):
        Y1 = StepTruncation().step(UserField(lambda t, Y, value=value: value), 0.0, -0.1, (Y0,)).Y[0]
        assert Y1.rank == 5
        assert np.linalg.norm(to_host(Y1.to_dense()) - expected) <= 1e-13
        for X in (Y1.U, Y1.S, Y1.V):
            assert_at_home(X, backend, dtype)


@pytest.mark.parametrize("make", [lambda A: A, aslinearoperator, lambda A: LowRank.random((8, 8), 1, rng=0) + A])
def test_step_truncation_says_that_products_are_not_enough(make):
    A = diags_array([np.ones(8)], offsets=[0], format="csr")
    sol = matode.solve(lambda t, Y: make(A) if t >= 0 else Y, (-0.1, 0), LowRank.random((8, 8), 2, rng=0), h=0.05)
    assert sol.success  # the default method takes it
    with pytest.raises(TypeError, match=r"of block 0 as low-rank factors or as a dense array, .* such as 'prk1'"):
        StepTruncation().step(UserField(lambda t, Y: make(A)), 0.0, 0.1, (LowRank.random((8, 8), 2, rng=0),))


# Randomised methods


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("name", ["drsvd", "dgn"])
def test_sketches_are_the_same_on_every_backend(backend, name, dtype):
    method = INTEGRATORS[name]()
    Y1 = replace(method, oversampling=0).step(_curved(backend, dtype), 0.1, 0.05, (_start(backend, dtype),)).Y[0]
    expected = replace(method, oversampling=0).step(_curved(NUMPY, dtype), 0.1, 0.05, (_start(NUMPY, dtype),)).Y[0]
    assert np.linalg.norm(to_host(Y1.to_dense()) - expected.to_dense()) <= 1e-12


@pytest.mark.parametrize("name", ["drsvd", "dgn"])
def test_the_memory_of_a_random_method_is_json_and_decides_the_next_sketch(name):
    method = replace(INTEGRATORS[name](), oversampling=0, power=0, truncation=Rank(2))
    field, Y0 = _curved(), _start()
    first = method.step(field, 0.0, 0.05, (Y0,))
    memory = json.loads(json.dumps(first.memory))
    assert memory == 1
    assert method.step(field, 0.0, 0.05, (Y0,), memory).memory == 2
    again, other_step, other_seed = (
        method.step(field, 0.0, 0.05, (Y0,)).Y[0],
        method.step(field, 0.0, 0.05, (Y0,), memory).Y[0],
        replace(method, seed=1).step(field, 0.0, 0.05, (Y0,)).Y[0],
    )
    assert (again.to_dense() == first.Y[0].to_dense()).all()
    assert (other_step - first.Y[0]).norm() > 1e-6
    assert (other_seed - first.Y[0]).norm() > 1e-6


@pytest.mark.parametrize("name", ["drsvd", "dgn"])
def test_power_iterations_and_oversampling_bring_the_result_closer(name):
    """Without a power iteration F is evaluated at a random part of the start."""
    rng = np.random.default_rng(3)
    A, B, C = (rng.standard_normal((30, 30)) / 5 for _ in range(3))
    Y0, h = LowRank.random((30, 30), 3, rng=4), 0.02

    def F(t, Y):
        return A @ Y + Y @ B + 0.2 * C

    exact = matode.Reference()(lambda t, Z: (F(t, Z[0]),), 0.0, h, (Y0.to_dense(),))[0]
    best = np.linalg.norm(np.linalg.svd(exact, compute_uv=False)[3:])

    def excess(power, oversampling):
        method = replace(INTEGRATORS[name](), power=power, oversampling=oversampling, augment=False, truncation=Rank(3))
        draws = [replace(method, seed=k).step(UserField(F), 0.0, h, (Y0,)).Y[0].to_dense() for k in range(5)]
        return np.median([np.linalg.norm(Y - exact) for Y in draws]) / best - 1

    assert 0 <= excess(1, 5) <= 1e-3
    assert excess(0, 0) >= 50 * excess(1, 5)


def test_options_of_random_methods_are_checked():
    for name in ("oversampling", "power", "seed"):
        for value in (-1, 0.5, None):
            with pytest.raises(ValueError, match=f"{name} must be a whole number >= 0, got"):
                matode.DGN(**{name: value})


# Variants


def _range(X):
    U, s, _ = np.linalg.svd(X, full_matrices=False)
    return U[:, s > 1e-10]


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_a_rejected_parallel_step_starts_from_bases_that_know_the_field(backend, dtype):
    field, Y0, h = _curved(backend, dtype), _start(backend, dtype), 0.05
    Y, G = to_host(Y0.to_dense()), to_host(field(0.2, (Y0,))[0].full())
    U, V = to_host(Y0.U), to_host(Y0.V)
    for k in range(3):
        step = ParallelBUG(euler, Absolute(1e-13), retries=k).step(field, 0.2, h, (Y0,))
        assert step.info["rejections"] == k
        N = G - U @ (U.conj().T @ G)
        N = N - N @ V @ V.conj().T
        error = np.linalg.norm(to_host(step.Y[0].to_dense()) - (Y + h * (G - N)))
        assert error <= 1e-12, "an Euler step projects F on the tangent space in the bases at hand"
        U, V = (_range(np.hstack([X, Z])) for X, Z in ((U, G @ V), (V, G.conj().T @ U)))


def test_parallel_steps_are_rejected_for_either_reason_and_only_then():
    field, Y0 = _curved(), _start()

    def rejections(truncation, h=0.05, **options):
        return ParallelBUG(euler, truncation, retries=3, **options).step(field, 0.0, h, (Y0,)).info["rejections"]

    assert rejections(Rank(2)) == 0  # a fixed rank has no tolerance to compare with
    assert ParallelBUG(euler, Absolute(1e-13)).step(field, 0.0, 0.05, (Y0,)).info["rejections"] == 0
    assert rejections(Absolute(1e-13)) >= 1  # all singular values are kept
    missed = ParallelBUG(euler, Absolute(0.2))
    wide = missed.step(field, 0.0, 0.05, (Y0,)).Y[0]
    assert wide.rank < 4
    assert rejections(Absolute(0.2), factor=0.1) >= 1  # what the zero block leaves out
    assert rejections(Absolute(0.2), factor=1e3) == 0
    tangent = UserField(lambda t, Y: LowRank(Y.U, None, np.ones((11, 2))))
    assert ParallelBUG(euler, Absolute(0.0), retries=3).step(tangent, 0.0, 0.1, (Y0,)).info["rejections"] == 0


def test_only_the_block_that_needs_it_is_widened():
    narrow = LowRank.random((14, 11), 2, singular_values=[1.0, 0.3], rng=2)
    field = _curved()
    both = UserField(lambda t, Y: [field(t, (Y[0],))[0], -1.0 * Y[1], -1.0 * Y[2]], single=False)
    bias = np.ones(3)
    rules = PerBlock(Absolute(1e-13), Rank(4))
    step = ParallelBUG(euler, rules, retries=1).step(both, 0.0, 0.05, matode.State((_start(), narrow, bias)))
    assert step.info["rejections"] == 1
    assert step.Y[0].rank > 4
    assert step.Y[1].rank == 2
    assert np.allclose(step.Y[2], 0.95 * bias, rtol=1e-14)


def test_options_of_variants_are_checked():
    for value in (-1, 0.5, None):
        with pytest.raises(ValueError, match="retries must be a whole number >= 0, got"):
            ParallelBUG(retries=value)
    with pytest.raises(ValueError, match="factor must be a positive number, got 0"):
        ParallelBUG(factor=0)
    with pytest.raises(ValueError, match="3 or 4 times the rank, got width=2"):
        matode.MidpointBUG(width=2)
    with pytest.raises(ValueError, match="first must be 'k' or 'l', got 's'"):
        matode.KSLStrang(first="s")


def test_the_width_of_midpoint_bases():
    for width in (3, 4):
        method = matode.MidpointBUG(truncation=Relative(0.0), width=width)
        assert method.step(_curved(), 0.0, 0.05, (_start(),)).Y[0].rank == 2 * width


def test_strang_from_the_other_side_is_strang_of_the_transposed_matrix():
    field, Y0, h = _curved(dtype="complex128"), _start(dtype="complex128"), 0.05
    mirror = UserField(lambda t, Y: matode.Operator(field(t, (Y.mH,))[0].full().conj().T))
    one = matode.KSLStrang(first="l").step(field, 0.2, h, (Y0,)).Y[0]
    other = matode.KSLStrang().step(mirror, 0.2, h, (Y0.mH,)).Y[0].mH
    assert (one - other).norm() <= 1e-13
    assert (one - matode.KSLStrang().step(field, 0.2, h, (Y0,)).Y[0]).norm() >= 1e-8
