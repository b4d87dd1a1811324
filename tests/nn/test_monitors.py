"""Theorem monitors: the inequalities hold with the true constant, and wrong steps are reported."""

import dataclasses

import numpy as np
import pytest

from matode import storage
from matode._array import default_rng, get_backend, normal, to_host
from matode.integrators import BUG, AugmentedBUG, ParallelBUG
from matode.lowrank import LowRank
from matode.protocols import State, Step
from matode.substeps import euler
from matode.truncation import Absolute, Relative
from nn import GradientFlow, Linear, Sequential, mlp
from nn.monitor_plot import plot_monitor
from nn.monitors import Monitored, Observation
from nn.optim import HeavyBall
from nn.optim_phases import FrozenRank, Phases
from tests.backends import send

LOGISTIC = Sequential(Linear(9, 6, 2))
DLRT = AugmentedBUG(euler, Relative(0.01))


def problem(backend=None):
    """Return logistic regression with a low-rank weight, its start, and the Lipschitz constant of its gradient.

    The Hessian of the logarithm of a sum of exponentials is at most 1/2, and W enters through x, the bias through 1.
    """
    backend = get_backend() if backend is None else backend
    x = normal(default_rng(1), (40, 9), backend)
    flow = GradientFlow(LOGISTIC, x, send(backend, [k % 6 for k in range(40)], "int64"))
    ones = np.concatenate([to_host(x), np.ones((40, 1))], axis=1)
    return flow, LOGISTIC.init(default_rng(0), backend, "float64"), float(0.5 * np.linalg.norm(ones, 2) ** 2 / 40)


def watch(method, flow, Y, h, count, **options):
    seen, memory = [], None
    monitor = Monitored(method, seen.append, **options)
    for k in range(count):
        step = monitor.step(flow, k * h, h, Y, memory)
        Y, memory = State(step.Y), step.memory
    return seen, Y, memory


@pytest.mark.parametrize("share", [0.2, 1.0, 1.9])
def test_inequalities_hold_with_the_true_constant(share, backend):
    flow, Y, L = problem(backend)
    seen, _, _ = watch(DLRT, flow, Y, share / L, 12, lipschitz=L)
    assert [o.step for o in seen] == list(range(1, 13))
    for o in seen:
        assert o.descent_holds
        assert o.truncated_holds
        assert o.loss_wide <= o.descent_bound < o.loss
        assert o.loss_after <= o.truncated_bound
        assert o.lipschitz == L
        assert o.normal > 0


def test_observation_is_what_it_says():
    flow, Y, _ = problem()
    seen, (W, b), _ = watch(AugmentedBUG(euler, Relative(0.3)), flow, Y, 0.4, 1)
    (o,) = seen
    (f0, gradient), wide = flow.value_and_gradient(Y), AugmentedBUG(euler, Absolute(0.0)).step(flow, 0.0, 0.4, Y).Y
    G, g = (x.full() for x in gradient)
    y = Y[0]
    P, Q = y.U @ y.U.T, y.V @ y.V.T
    N = G - P @ G - G @ Q + P @ G @ Q
    f1, after = flow.value_and_gradient(wide)
    G1, g1 = (x.full() for x in after)
    size = np.hypot(np.linalg.norm(G), np.linalg.norm(g))
    moved = np.hypot(np.linalg.norm(wide[0].to_dense() - y.to_dense()), np.linalg.norm(wide[1] - Y[1]))
    L = np.hypot(np.linalg.norm(G1 - G), np.linalg.norm(g1 - g)) / moved
    theta = np.linalg.norm(wide[0].to_dense() - W.to_dense())
    projected = (moved / 0.4) ** 2  # an Euler step moves by h times the projected gradient
    expected = {
        "loss": f0,
        "loss_wide": f1,
        "loss_after": flow.value_and_gradient((W, b))[0],
        "descent_bound": f0 - 0.4 * (1 - 0.2 * L) * projected,
        "lipschitz": L,
        "gradient": size,
        "normal": np.linalg.norm(N),
        "tangent": np.hypot(np.linalg.norm(G - N), np.linalg.norm(g)),
        "truncation_error": theta,
        "error_bound": 0.5 * L * size * 0.16 + np.linalg.norm(N) * 0.4 + theta,
    }
    beta = np.hypot(np.linalg.norm(G1), np.linalg.norm(g1)) + L * theta / 2
    expected["truncated_bound"] = expected["descent_bound"] + beta * theta
    assert theta > 0
    assert o.descent_bound < o.loss_after
    assert o.truncated_holds
    for name, value in expected.items():
        assert getattr(o, name) == pytest.approx(value, rel=1e-9), name


class Ascending:
    """Augmented BUG with the sign of the field lost."""

    def step(self, field, t, h, Y, memory=None):
        return DLRT.step(lambda t, Y: tuple(-1.0 * f for f in field(t, Y)), t, h, Y, memory)


@dataclasses.dataclass(frozen=True)
class Lazy:
    """Moves only the cores, and only half the way."""

    def step(self, field, t, h, Y, memory=None):
        step = BUG(euler).step(field, t, h / 2, Y, memory)
        return Step(step.Y)


@pytest.mark.parametrize("method", [Ascending(), Lazy()], ids=lambda m: type(m).__name__)
def test_wrong_steps_are_reported(method):
    flow, Y, L = problem()
    seen, _, _ = watch(method, flow, Y, 0.2 / L, 8, lipschitz=L)
    assert any(not o.descent_holds for o in seen)


def test_a_wrong_constant_is_reported():
    flow, Y, L = problem()
    seen, _, _ = watch(DLRT, flow, Y, 1.0 / L, 8, lipschitz=L / 20)
    assert any(not o.descent_holds for o in seen)


def test_too_large_a_step_loses_the_guarantee():
    flow, Y, L = problem()
    seen, _, _ = watch(DLRT, flow, Y, 30.0 / L, 8, lipschitz=L)
    assert all(o.descent_bound > o.loss for o in seen)
    assert all(o.descent_holds for o in seen), "the inequality itself is true for any step"


def test_monitor_changes_nothing_and_looks_only_in_its_turn():
    flow, Y, _ = problem()
    method = HeavyBall(DLRT, 0.5)
    seen, watched, memory = watch(method, flow, Y, 0.2, 7, every=3)
    assert [o.step for o in seen] == [1, 4, 7]
    passes = len(flow.losses)
    assert passes == 7, "an observation does not count as a step's evaluation"
    plain, kept = Y, None
    for _ in range(7):
        step = method.step(flow, 0.0, 0.2, plain, kept)
        plain, kept = State(step.Y), step.memory
    np.testing.assert_array_equal(watched[0].to_dense(), plain[0].to_dense())
    storage.pack(memory)
    bound = [o.error_bound for o in seen]
    assert bound[0] < bound[1] < bound[2]


@pytest.mark.parametrize(
    "method", [FrozenRank(DLRT), Phases(((0, DLRT), (5, DLRT))), HeavyBall(Phases(((0, FrozenRank(DLRT)),)))]
)
def test_truncation_is_left_out_however_deeply_wrapped(method):
    flow, Y, _ = problem()
    (o,), _, _ = watch(method, flow, Y, 0.2, 1)
    wide = AugmentedBUG(euler, Absolute(0.0)).step(flow, 0.0, 0.2, Y).Y
    assert o.loss_wide == pytest.approx(flow.value_and_gradient(wide)[0], rel=1e-12)
    assert o.truncation_error > 0
    assert abs(o.loss_wide - o.loss_after) > 1e-12


def test_gradient_of_a_large_batch_and_of_a_small_one():
    """The normal part comes from thin factors where the batch is small, and from the matrix where it is not."""
    model = mlp((8, 7, 9, 4), rank=(3, 4, None))
    for batch in (3, 30):
        flow = GradientFlow(model, default_rng(1).standard_normal((batch, 8)), np.arange(batch) % 4)
        Y = model.init(default_rng(0), get_backend(), "float64")
        (o,), _, _ = watch(DLRT, flow, Y, 0.1, 1)
        dense = [g.full() for g in flow.value_and_gradient(Y)[1]]
        assert o.gradient == pytest.approx(np.sqrt(sum((g**2).sum() for g in dense)), rel=1e-12)
        P, Q = (B @ B.T for B in (Y[0].U, Y[0].V))
        parts = [o.normal]
        assert parts[0] >= np.linalg.norm(dense[0] - P @ dense[0] - dense[0] @ Q + P @ dense[0] @ Q) > 0


def test_bound_of_a_diverging_run_is_infinite_and_not_an_error():
    flow, Y, _ = problem()
    seen, _, _ = watch(DLRT, flow, Y, 0.1, 5, lipschitz=1e5)
    assert seen[-1].error_bound == float("inf")


def test_step_that_measures_no_truncation():
    flow, Y, L = problem()
    (o,), _, _ = watch(ParallelBUG(euler, Absolute(0.0)), flow, Y, 0.1, 1, lipschitz=L)
    assert o.truncation_error == 0.0
    assert o.loss_after == o.loss_wide
    with pytest.raises(ValueError, match="every >= 1, got 0"):
        Monitored(DLRT, print, every=0)
    with pytest.raises(TypeError, match="put it outside of momentum"):
        HeavyBall(Monitored(DLRT, print)).step(flow, 0.0, 0.1, Y)


def test_picture_of_observations(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    flow, Y, L = problem()
    rows = [o._asdict() for o in watch(DLRT, flow, Y, 0.5 / L, 5, lipschitz=L / 20)[0]]
    text = [{name: str(value) for name, value in row.items()} for row in rows]
    for k, given in enumerate((rows, text)):
        path = plot_monitor(given, tmp_path / f"{k}.png", title="steps")
        assert path.stat().st_size > 10_000
    with pytest.raises(ValueError, match="no observations"):
        plot_monitor([], tmp_path / "none.png")
    assert set(rows[0]) == set(Observation._fields)


def test_low_rank_and_dense_blocks_are_both_observed():
    flow, Y, _ = problem()
    assert isinstance(Y[0], LowRank)
    (o,), _, _ = watch(DLRT, flow, Y, 0.1, 1)
    bias = np.linalg.norm(flow.value_and_gradient(Y)[1][1].full())
    assert o.tangent > bias > 0
