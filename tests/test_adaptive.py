"""Error-controlled substeps: the tolerance is met, with few evaluations, on every backend."""

from __future__ import annotations

import math

import numpy as np
import pytest

from matode import Adaptive, LowRank, NonFiniteError, Reference
from matode._array import to_host
from matode.field import UserField
from matode.flows import k_flow
from matode.substeps import bogacki_shampine, dormand_prince, heun3, rk4
from tests.backends import assert_at_home, send


def _pendulum(t, Z):  # z'' = -4 sin z + cos t
    z, w = Z
    return (w, -4.0 * np.sin(z) + math.cos(t))


START = (np.array([1.0]), np.array([0.5]))


def _error(Z, T):
    return max(abs(a - b).item() for a, b in zip(Z, Reference()(_pendulum, 0.3, T, START), strict=True))


@pytest.mark.parametrize("pair", [bogacki_shampine, dormand_prince, heun3])
@pytest.mark.parametrize("T", [2.0, -2.0])
@pytest.mark.parametrize("rtol", [1e-3, 1e-5, 1e-7])
def test_the_error_follows_the_tolerance(pair, T, rtol):
    count, order = 0, pair.embedded_order + 1

    def counted(t, Z):
        nonlocal count
        count += 1
        return _pendulum(t, Z)

    Z = Adaptive(rtol, rtol, pair)(counted, 0.3, T, START)
    assert _error(Z, T) <= 30 * rtol
    assert count <= 40 * rtol ** (-1.0 / order)


@pytest.mark.parametrize("pair", [bogacki_shampine, dormand_prince, heun3])
def test_orders_and_nodes_of_the_pairs(pair):
    """One forced step: the new value and the estimate have the orders of the pair, for a field that depends on time."""

    def step(h):
        substep = Adaptive(1e6, 1e6, pair)
        new, k = substep._attempt(_pendulum, 0.3, h, START, _pendulum(0.3, START))
        return _error(new, h), substep._error(START, new, h, k)

    order = pair.embedded_order + 1
    (e1, r1), (e2, r2) = step(0.2), step(0.1)
    assert order + 0.6 <= math.log2(e1 / e2) <= order + 1.7
    assert order - 0.4 <= math.log2(r1 / r2) <= order + 0.5


def test_the_last_stage_is_the_first_of_the_next_step():
    times = []

    def f(t, Z):
        times.append(t)
        return _pendulum(t, Z)

    Adaptive(1e3)(f, 0.3, 0.2, START, _pendulum(0.3, START))
    assert len(times) == 6
    assert times[-1] == pytest.approx(0.5)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_stays_on_its_backend(backend, dtype):
    Z = (send(backend, np.ones((3, 2)), dtype), send(backend, np.ones((4,)), "float64"))
    moved = Adaptive()(lambda t, Z: (-2.0 * Z[0], 0.5 * Z[1]), 1.0, 0.5, Z)
    assert_at_home(moved[0], backend, dtype)
    assert_at_home(moved[1], backend, "float64")
    assert np.allclose(to_host(moved[0]), math.exp(-1.0), rtol=1e-4 if dtype == "float32" else 1e-7)
    assert np.allclose(to_host(moved[1]), math.exp(0.25), rtol=1e-7)


def test_an_unknown_that_stays_zero():
    (moved,) = Adaptive(atol=1e-8)(lambda t, Z: (0.0 * Z[0],), 0.0, 1.0, (np.zeros((2, 2)),))
    assert not moved.any()


def test_too_stiff_an_equation_ends_in_a_sentence():
    with pytest.raises(RuntimeError, match=r"steps below 0.01 of that.*Exponential"):
        Adaptive(smallest=1e-2)(lambda t, Z: (-1e4 * Z[0],), 0.0, 1.0, (np.ones((2, 2)),))


def test_nan_in_the_field_is_reported_as_ever():
    y = (LowRank.random((6, 5), 2, rng=0),)
    for field in (lambda t, Y: math.nan * Y, lambda t, Y: (math.nan if t > 0.05 else 1.0) * Y):
        with pytest.raises(NonFiniteError, match="F returned NaN"):
            k_flow(UserField(field), 0.0, 0.1, y, Adaptive())


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Adaptive(rtol=-1.0), "rtol must be"),
        (lambda: Adaptive(atol=math.nan), "atol must be"),
        (lambda: Adaptive(0.0, 0.0), "must be positive"),
        (lambda: Adaptive(smallest=0.0), "smallest step"),
        (lambda: Adaptive(pair=rk4), "embedded weights, which RK4 has not"),
    ],
)
def test_mistakes_give_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
