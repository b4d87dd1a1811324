"""Momentum and Adam around any integrator: equal to the dense methods at full rank, the same in every gauge."""

from dataclasses import dataclass

import numpy as np
import pytest

from matode import storage
from matode._array import default_rng, get_backend, normal, to_host
from matode.field import UserField
from matode.integrators import ABCPSI, BUG, KSL, AugmentedBUG, FullRank, ParallelBUG
from matode.lowrank import LowRank
from matode.protocols import State, Step
from matode.substeps import euler
from matode.truncation import Absolute, Relative
from nn import GradientFlow, Tanh, mlp
from nn.baselines_published import FactorAdam
from nn.optim import Adam, HeavyBall
from nn.optim_phases import CoreOnly, FrozenRank
from nn.tangent import tangent
from tests.backends import assert_at_home, send

SIZES = (8, 7, 9, 4)
LOW = mlp(SIZES, rank=(3, 4, None), activation=Tanh())
DLRT = AugmentedBUG(euler, Relative(0.02))


@pytest.fixture
def flow(backend):
    x = normal(default_rng(1), (12, 8), backend)
    return GradientFlow(LOW, x, send(backend, [0, 1, 2, 3, 3, 1] * 2, "int64"))


def here(model=LOW):
    """Return a flow on NumPy."""
    return GradientFlow(model, default_rng(1).standard_normal((12, 8)), np.asarray([0, 1, 2, 3, 3, 1] * 2))


def start(backend=None, model=LOW):
    return model.init(default_rng(0), get_backend() if backend is None else backend, "float64")


def steps(method, flow, Y, count, h=0.05):
    memory = None
    for k in range(count):
        step = method.step(flow, k * h, h, Y, memory)
        Y, memory = State(step.Y), step.memory
    return Y, memory


def dense(Y):
    return [to_host(y.to_dense()) if isinstance(y, LowRank) else to_host(y) for y in Y]


def assert_close(Y, Z, tolerance):
    for a, b in zip(dense(Y), dense(Z), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("optimiser", [HeavyBall, Adam])
def test_optimisers_learn_on_every_backend(optimiser, flow, backend):
    Y0 = start(backend)
    Y, memory = steps(optimiser(DLRT), flow, Y0, 25, 0.02)
    assert flow.value_and_gradient(Y)[0] < 0.6 * flow.value_and_gradient(Y0)[0]
    assert len(flow.losses) == 25, "one pass a step"
    for before, after in zip(Y0, Y, strict=True):
        assert not np.allclose(dense([before])[0], dense([after])[0])
        assert_at_home(after.U if isinstance(after, LowRank) else after, backend, "float64")
    header, arrays = storage.pack(memory)
    again = storage.unpack(header, arrays, backend)
    assert_close(*(optimiser(DLRT).step(flow, 0.0, 0.02, Y, m).Y for m in (memory, again)), 0.0)


@pytest.mark.parametrize("optimiser", [lambda method: method, HeavyBall, Adam], ids=["plain", "heavy-ball", "adam"])
@pytest.mark.parametrize(
    "integrator",
    [DLRT, BUG(euler), KSL(euler), ParallelBUG(euler, Relative(0.02)), ABCPSI(euler, Relative(0.02)), CoreOnly(),
     FrozenRank(DLRT)],
    ids=lambda i: type(i).__name__,
)  # fmt: skip
def test_every_method_trains_every_block(integrator, optimiser):
    flow, Y0 = here(), start()
    Y, _ = steps(optimiser(integrator), flow, Y0, 40, 0.02)
    assert flow.value_and_gradient(Y)[0] < 0.9 * flow.value_and_gradient(Y0)[0]
    for before, after in zip(Y0, Y, strict=True):
        assert not np.allclose(dense([before])[0], dense([after])[0])
        assert dense([after])[0].dtype == np.float64


def full(Y):
    """Return the state with every low-rank block in bases of the whole space."""
    blocks = []
    for y in Y:
        if isinstance(y, LowRank):
            y = LowRank(np.eye(y.shape[0]), y.to_dense(), np.eye(y.shape[1]))
            y = y.truncate(Absolute(0.0, min_rank=min(y.shape)))
        blocks.append(y)
    return State(blocks)


@pytest.mark.parametrize("integrator", [AugmentedBUG(euler, Absolute(0.0)), ParallelBUG(euler, Absolute(0.0))])
def test_heavy_ball_at_full_rank_is_the_dense_heavy_ball(integrator):
    flow, Y0 = here(), full(start())
    low, _ = steps(HeavyBall(integrator, 0.8), flow, Y0, 10, 0.1)
    other, _ = steps(HeavyBall(FullRank(euler), 0.8), here(mlp(SIZES, activation=Tanh())), State(dense(Y0)), 10, 0.1)
    W, M = dense(Y0), [0.0] * len(Y0)
    for _ in range(10):
        gradient = flow.value_and_gradient(tuple(W))[1]
        M = [0.8 * m - g.full() for m, g in zip(M, gradient, strict=True)]
        W = [w + 0.1 * m for w, m in zip(W, M, strict=True)]
    assert_close(other, W, 1e-13)
    assert_close(low, W, 1e-12)


def test_momentum_is_tangent_to_the_weight_it_belongs_to():
    Y, (_, momenta) = steps(HeavyBall(DLRT), here(), start(), 5)
    for y, M in zip(Y, momenta, strict=True):
        if isinstance(y, LowRank):
            assert (tangent(M, y) - M).norm() <= 1e-13 * M.norm()
            assert M.rank == 2 * y.rank


def test_projection_on_the_tangent_space():
    rng = default_rng(0)
    y = LowRank.random((9, 7), 3, rng=rng)
    F = LowRank.random((9, 7), 5, rng=rng)
    P, Q = y.U @ y.U.T, y.V @ y.V.T
    Z = F.to_dense()
    np.testing.assert_allclose(tangent(F, y).to_dense(), P @ Z + Z @ Q - P @ Z @ Q, atol=1e-14)


def regauged(Y, seed):
    """Return the same weights in other bases, with cores that are not diagonal."""
    rng = default_rng(seed)
    blocks = []
    for y in Y:
        if isinstance(y, LowRank):
            A, B = (np.linalg.qr(rng.standard_normal((k, k)))[0] for k in y.S.shape)
            y = LowRank(y.U @ A, A.T @ y.S @ B, y.V @ B)
        blocks.append(y)
    return State(blocks)


def gauge_defect(method):
    """Return how far 12 steps from the same weights end apart when the gauge is changed before each of them."""
    flow = here()
    Y, memory = start(), None
    Z, other = start(), None
    for k in range(12):
        step, twin = method.step(flow, 0.0, 0.05, Y, memory), method.step(flow, 0.0, 0.05, regauged(Z, k), other)
        (Y, memory), (Z, other) = (State(step.Y), step.memory), (State(twin.Y), twin.memory)
    return max(np.abs(a - b).max() for a, b in zip(dense(Y), dense(Z), strict=True))


@pytest.mark.parametrize("integrator", [DLRT, KSL(euler), CoreOnly()], ids=lambda i: type(i).__name__)
@pytest.mark.parametrize("optimiser", [HeavyBall, Adam])
def test_gauge_of_the_factors_does_not_matter(optimiser, integrator):
    assert gauge_defect(optimiser(integrator)) <= 1e-10


def test_gauge_of_the_factors_matters_for_factor_wise_adam():
    assert gauge_defect(FactorAdam(Relative(0.02))) >= 1e-3


def test_adam_of_dense_blocks_is_that_of_torch(torch):
    model = mlp((8, 5, 4), activation=Tanh())
    flow = here(model)
    Y0 = start(model=model)
    Y, _ = steps(Adam(FullRank(euler)), flow, Y0, 6, 0.01)
    weights = [torch.tensor(y, requires_grad=True) for y in Y0]
    oracle = torch.optim.Adam(weights, lr=0.01)
    x, labels = torch.tensor(flow.x), torch.tensor(flow.targets)
    for _ in range(6):
        oracle.zero_grad()
        z = torch.tanh(torch.nn.functional.linear(x, weights[0], weights[1]))
        z = torch.nn.functional.linear(z, weights[2], weights[3])
        torch.nn.functional.cross_entropy(z, labels).backward()
        oracle.step()
    assert_close(Y, [w.detach().numpy() for w in weights], 1e-10)


@dataclass
class Spy:
    """Moves nothing and keeps the directions it is shown."""

    def __post_init__(self):
        self.seen = []

    def step(self, field, t, h, Y, memory=None):
        self.seen.append(field(t, Y))
        return Step(Y)


def test_adam_makes_a_gradient_of_rank_one_into_its_signs():
    """With one example the gradient has rank one, and the estimate of its squares from rows and columns is exact."""
    flow = GradientFlow(LOW, default_rng(3).standard_normal((1, 8)), np.asarray([2]))
    spy, Y = Spy(), start()
    Adam(spy, eps=1e-12, floor=1e-12).step(flow, 0.0, 0.1, Y)
    F = flow(0.0, Y)
    for y, f, shown in zip(Y, F, spy.seen[0], strict=True):
        np.testing.assert_allclose(shown.full(), np.sign(f.full()), rtol=1e-6)
        if isinstance(y, LowRank):
            np.testing.assert_allclose(shown.right(y.V), shown.full() @ y.V, atol=1e-12)
            np.testing.assert_allclose(shown.left(y.U), shown.full().T @ y.U, atol=1e-12)
            np.testing.assert_allclose(shown.galerkin(y.U, y.V), y.U.T @ shown.full() @ y.V, atol=1e-12)


def test_complex_matrices(backend):
    """Constant fields of rank one: the momentum sums up, and the first step of Adam has entries of size one."""
    Y = LowRank.random((6, 5), 2, rng=0, dtype="complex128", backend=backend)
    C = LowRank.random((6, 5), 1, rng=1, dtype="complex128", backend=backend)
    field, method = UserField(lambda t, Y: C), AugmentedBUG(euler, Absolute(0.0))
    spy = Spy()
    Adam(spy, floor=1e-12).step(field, 0.0, 0.1, (Y,))
    np.testing.assert_allclose(np.abs(to_host(spy.seen[0][0].full())), 1.0, rtol=1e-6)
    (moved,), memory = steps(HeavyBall(method, 0.5), field, (Y,), 2, 0.1)
    tangent_part = to_host(tangent(C, Y).to_dense())
    first = method.step(field, 0.0, 0.1, (Y,)).Y[0]
    kept = to_host(tangent(tangent(C, Y), first).to_dense())
    step = to_host(moved.to_dense()) - to_host(first.to_dense())
    np.testing.assert_allclose(step, 0.1 * (to_host(C.to_dense()) + 0.5 * kept), atol=1e-12)
    assert np.abs(tangent_part - to_host(C.to_dense())).max() > 1e-3
    assert memory[1][0].dtype == Y.dtype
    (after,) = Adam(method).step(field, 0.0, 0.1, (Y,)).Y
    assert_at_home(after.U, backend, "complex128")


def test_adam_does_not_depend_on_the_scale_of_the_loss():
    flow, Y0 = here(), start()

    def scaled(t, Y):
        return tuple(1e3 * f for f in flow(t, Y))

    moved, twin = (Adam(DLRT, eps=1e-14).step(f, 0.0, 0.05, Y0).Y for f in (flow, scaled))
    assert_close(moved, twin, 1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HeavyBall(DLRT, 1.0), "beta must be at least 0 and below 1"),
        (lambda: Adam(DLRT, beta1=-0.1), "beta1 must be at least 0"),
        (lambda: Adam(DLRT, beta2=1.0), "beta2 must be at least 0"),
        (lambda: Adam(DLRT, floor=0.0), "eps and floor must be positive"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
