"""Runge-Kutta substeps: orders, time nodes, the shared first stage, and the reference on the host."""

from __future__ import annotations

import math

import numpy as np
import pytest

from matode import Reference, Repeated, RungeKutta, euler, heun, midpoint, rk4
from matode._array import to_host
from tests.backends import assert_at_home, send

ORDERS = [(euler, 1), (midpoint, 2), (heun, 2), (rk4, 4)]


def _rhs(t, Z):  # z' = t z + w, w' = -w + cos t: coupled, and dependent on time
    z, w = Z
    return (t * z + w, -w + math.cos(t))


def _error(substep, n, t0=0.3, T=0.8):
    Z = (np.array([1.0]), np.array([0.5]))
    reference = Reference()(_rhs, t0, T, Z)
    for k in range(n):
        Z = substep(_rhs, t0 + k * T / n, T / n, Z)
    return max(abs(a - b).item() for a, b in zip(Z, reference, strict=True))


@pytest.mark.parametrize(("substep", "order"), ORDERS, ids=lambda x: getattr(x, "name", x))
def test_order_on_a_time_dependent_system(substep, order):
    slope = math.log2(_error(substep, 16) / _error(substep, 32))
    assert order - 0.15 <= slope <= order + 0.25


def test_nodes_default_to_the_row_sums():
    ralston = RungeKutta(((), (0.5,), (0.0, 0.75)), (2 / 9, 1 / 3, 4 / 9))
    assert ralston.c == (0.0, 0.5, 0.75)
    assert 2.85 <= math.log2(_error(ralston, 16) / _error(ralston, 32)) <= 3.25


@pytest.mark.parametrize("substep", [euler, heun, rk4, Repeated(rk4, 3)])
def test_known_first_stage_is_not_evaluated_again(substep):
    times = []

    def f(t, Z):
        times.append(t)
        return _rhs(t, Z)

    Z = (np.array([1.0]), np.array([0.5]))
    plain = substep(f, 0.2, 0.1, Z)
    without = len(times)
    times.clear()
    shared = substep(f, 0.2, 0.1, Z, _rhs(0.2, Z))
    assert len(times) == without - 1
    assert 0.2 not in times
    assert [x.tolist() for x in shared] == [x.tolist() for x in plain]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (((((), (1.0, 2.0)), (0.5, 0.5)),), "rows of 0, 1"),
        (((((), (1.0,)), (0.5, 0.6)),), "sum to 1"),
        (((((), (1.0,)), (0.5, 0.5), (0.0,)),), "2 time nodes"),
    ],
)
def test_a_wrong_tableau_is_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        RungeKutta(*arguments[0])


def test_repeated_needs_at_least_one():
    with pytest.raises(ValueError, match="at least 1"):
        Repeated(euler, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_reference_keeps_dtype_device_and_shape_and_runs_backward(backend, dtype):
    Z = (send(backend, np.ones((3, 2)), dtype), send(backend, np.ones((4,)), "float64"))
    forward = Reference()(lambda t, Z: (-2.0 * Z[0], 0.5 * Z[1]), 1.0, 0.5, Z)
    assert_at_home(forward[0], backend, dtype)
    assert_at_home(forward[1], backend, "float64")
    assert np.allclose(to_host(forward[0]), math.exp(-1.0), rtol=1e-6 if dtype == "float32" else 1e-11)
    back = Reference()(lambda t, Z: (-2.0 * Z[0], 0.5 * Z[1]), 1.5, -0.5, forward)
    assert np.allclose(to_host(back[1]), 1.0, rtol=1e-10)
