"""The vanilla factorisation, decaying starts, pruning, and the published forms that are wrong on purpose."""

import numpy as np
import pytest

from matode import storage
from matode._array import default_rng, get_backend, normal, to_host
from matode.integrators import AugmentedBUG, FullRank
from matode.lowrank import LowRank
from matode.protocols import State
from matode.substeps import euler
from matode.truncation import PerBlock, Rank, Relative
from nn import BatchNorm, Dropout, GradientFlow, Linear, Sequential, Tanh, count_parameters, lenet5, mlp
from nn.baselines import TwoFactors, decayed, prune, split, two_factors
from nn.baselines_published import FactorAdam, PublishedTruncation, published_pruned, published_truncated
from nn.module import initial_buffers
from nn.optim_phases import FrozenRank
from tests.backends import assert_at_home, send

SIZES = (8, 7, 9, 4)
LOW = mlp(SIZES, rank=(3, 4, None), activation=Tanh())
NETS = [(LOW, (12, 8)), (lenet5((2, 3, 4, None), image=(1, 16, 16)), (3, 1, 16, 16))]


@pytest.fixture(params=NETS, ids=["mlp", "lenet5"])
def net(request, backend):
    """Return a model, its start, and one batch."""
    model, shape = request.param
    x = normal(default_rng(1), shape, backend)
    labels = send(backend, [k % 4 for k in range(shape[0])], "int64")
    return model, model.init(default_rng(0), backend, "float64"), x, labels


def dense(y):
    return to_host(y.to_dense() if isinstance(y, LowRank) else y)


def test_two_factors_are_the_same_net_with_the_gradients_of_the_factors(net, backend):
    model, Y, x, labels = net
    vanilla = two_factors(model)
    Z = split(Y)
    assert len(Z) == vanilla.n_blocks == len(vanilla.init(default_rng(0), backend, "float64"))
    assert count_parameters(Z).evaluation == count_parameters(Y).evaluation
    np.testing.assert_allclose(to_host(vanilla.forward(Z, x)), to_host(model.forward(Y, x)), atol=1e-12)
    low = GradientFlow(model, x, labels).value_and_gradient(Y)[1]
    factors = iter(zip(Z, GradientFlow(vanilla, x, labels).value_and_gradient(Z)[1], strict=True))
    for y, g in zip(Y, low, strict=True):
        if not isinstance(y, LowRank):
            np.testing.assert_allclose(to_host(next(factors)[1].full()), to_host(g.full()), atol=1e-12)
            continue
        (A, dA), (B, dB) = next(factors), next(factors)
        assert_at_home(dA.full(), backend, "float64")
        np.testing.assert_allclose(to_host(A).T @ to_host(A), to_host(B).T @ to_host(B), atol=1e-12)  # an even split
        np.testing.assert_allclose(to_host(dA.full()), to_host(g.full()) @ to_host(B), atol=1e-12)
        np.testing.assert_allclose(to_host(dB.full()), to_host(g.full()).T @ to_host(A), atol=1e-12)


def test_two_factors_train(net):
    model, Y, x, labels = net
    flow = GradientFlow(two_factors(model), x, labels)
    Z = split(Y)
    for _ in range(10):
        Z = State(FullRank(euler).step(flow, 0.0, 0.01, Z).Y)
    assert flow.losses[-1] < 0.98 * flow.losses[0]


def test_two_factors_hand_on_masks_and_running_statistics():
    model = Sequential(Linear(8, 7, 3), BatchNorm(7), Dropout(0.5), Linear(7, 4))
    backend = get_backend()
    Y = model.init(default_rng(0), backend, "float64")
    x = default_rng(1).standard_normal((6, 8))
    flows = []
    for net, Z in ((model, Y), (two_factors(model), split(Y))):
        flow = GradientFlow(net, x, np.arange(6) % 4, buffers=initial_buffers(net, backend, "float64"), seed=3)
        flow(0.0, Z)
        flows.append(flow)
    assert flows[0].losses == pytest.approx(flows[1].losses, rel=1e-12)
    assert len(flows[0].updated) > 0
    for a, b in zip(flows[0].updated, flows[1].updated, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_two_factors_need_a_rank_and_all_their_blocks():
    with pytest.raises(ValueError, match="no low-rank weight"):
        two_factors(mlp(SIZES))
    vanilla = two_factors(LOW)
    assert isinstance(vanilla, TwoFactors)
    with pytest.raises(ValueError, match="has 8 blocks, got 2"):
        vanilla.forward((None, None), None)


@pytest.mark.parametrize("base", [1, 2, 10])
def test_singular_values_decay_in_the_same_bases_with_the_same_norm(base, net):
    _, Y, _, _ = net
    for y, z in zip(Y, decayed(Y, base), strict=True):
        if not isinstance(y, LowRank):
            assert z is y
            continue
        s = z.singular_values()
        np.testing.assert_allclose(s / s[0], float(base) ** -np.arange(y.rank), rtol=1e-10)
        assert z.norm() == pytest.approx(y.norm(), rel=1e-12)
        for a, b in ((y.U, z.U), (y.V, z.V)):
            np.testing.assert_allclose(to_host(a @ a.mT), to_host(b @ b.mT), atol=1e-12)
    assert decayed(Y, base, norm=3.0)[0].norm() == pytest.approx(3.0, rel=1e-12)


def test_growing_singular_values_are_refused():
    with pytest.raises(ValueError, match="base must be at least 1"):
        decayed((), 0.5)


def test_pruning_is_the_best_approximation():
    Y = mlp(SIZES).init(default_rng(0), get_backend(), "float64")
    pruned = prune(Y, Rank(3))
    for i, (y, z) in enumerate(zip(Y, pruned, strict=True)):
        if i in (0, 2):
            tail = np.sqrt((np.linalg.svd(y, compute_uv=False)[3:] ** 2).sum())
            assert np.linalg.norm(y - z.to_dense()) == pytest.approx(tail, rel=1e-10)
            assert z.rank == 3
        else:
            assert z is y  # biases and the head
    assert [y.rank for y in prune(Y, PerBlock(Rank(2), Rank(4)), (2, 4)) if isinstance(y, LowRank)] == [2, 4]
    assert prune(LOW.init(default_rng(0), get_backend()), Rank(2))[2].rank == 2
    with pytest.raises(ValueError, match=r"a weight of shape \(7, 8\) has no rank 8"):
        prune(Y, Rank(8))


def test_a_pruned_net_keeps_its_rank_in_retraining():
    model = mlp(SIZES, activation=Tanh())
    flow = GradientFlow(model, default_rng(1).standard_normal((12, 8)), np.arange(12) % 4)
    Y = prune(model.init(default_rng(0), get_backend(), "float64"), Rank(2))
    for _ in range(40):
        Y = State(FrozenRank(AugmentedBUG(euler)).step(flow, 0.0, 0.2, Y).Y)
    assert flow.losses[-1] < 0.8 * flow.losses[0]
    assert [y.rank for y in Y if isinstance(y, LowRank)] == [2, 2]


def test_the_published_truncation_is_wrong_unless_the_core_is_diagonal():
    y = LowRank.random((12, 9), 4, singular_values=[1.0, 0.5, 0.25, 0.125], rng=0)
    (wrong,), info = published_truncated((y,), Rank(3))
    assert info["truncation_error"] == pytest.approx((0.125,))
    assert (wrong - y).norm() > 0.5
    (right,), _ = published_truncated((y.truncate(Relative(0.0)),), Rank(3))
    assert (right - y).norm() == pytest.approx(0.125)


def moved(method, count=4, h=0.02):
    flow = GradientFlow(LOW, default_rng(1).standard_normal((12, 8)), np.arange(12) % 4)
    Y, memory = LOW.init(default_rng(0), get_backend(), "float64"), None
    for _ in range(count):
        step = method.step(flow, 0.0, h, Y, memory)
        Y, memory = State(step.Y), step.memory
    return Y, memory, flow


def test_published_pruning_loses_the_right_basis_whatever_the_rank():
    rng = default_rng(0)
    W, b, head = (rng.standard_normal(shape) for shape in ((8, 8), (8,), (3, 8)))
    U, s, _ = np.linalg.svd(W)
    for rank in (2, 8):
        wrong = published_pruned((W, b, head), rank)
        np.testing.assert_allclose(wrong[0].to_dense(), (U[:, :rank] * s[:rank]) @ U[:rank, :], atol=1e-12)
        assert wrong[0].rank == rank
        assert wrong[1] is b
        assert wrong[2] is head
        right = prune((W, b, head), Rank(rank))[0]
        assert np.linalg.norm(right.to_dense() - W) <= np.linalg.norm(s[rank:]) + 1e-12
        assert np.linalg.norm(wrong[0].to_dense() - W) > 0.8 * np.linalg.norm(W)
    with pytest.raises(ValueError, match="square weights with a rank of 2, got 8 x 5"):
        published_pruned((W[:, :5], head), 2)


def test_factor_wise_adam_moves_each_factor_by_adam():
    """The first step of Adam is the sign of the gradient, in whichever coordinates it is taken."""
    Y0 = LOW.init(default_rng(0), get_backend(), "float64")
    flow = GradientFlow(LOW, default_rng(1).standard_normal((12, 8)), np.arange(12) % 4)
    F = flow(0.0, Y0)
    Y, (count, moments) = FactorAdam(Relative(0.0), eps=1e-14).step(flow, 0.0, 0.01, Y0).Y, (1, None)
    y, G = Y0[0], F[0].full()
    (U, _), (V, _) = (
        np.linalg.qr(np.concatenate([B, X + 0.01 * np.sign(D)], axis=1))
        for B, X, D in ((y.U, y.U @ y.S, G @ y.V), (y.V, y.V @ y.S.T, G.T @ y.U))
    )
    # the old columns of the core are in the old bases; the new bases are fixed up to rotations by the spans alone
    inside = Y[0].to_dense()
    np.testing.assert_allclose(U @ (U.T @ inside @ V) @ V.T, inside, atol=1e-12)
    np.testing.assert_allclose(y.U.T @ inside @ y.V, y.S + 0.01 * np.sign(y.U.T @ G @ y.V), atol=1e-8)
    np.testing.assert_allclose(Y[1], Y0[1] + 0.01 * np.sign(F[1].full()), atol=1e-8)
    assert (count, moments) == (1, None)


@pytest.mark.parametrize("published", [False, True])
def test_factor_wise_adam_trains_and_its_memory_can_be_stored(published):
    method = FactorAdam(Relative(0.3), published=published)
    Y, memory, flow = moved(method, 30)
    assert len(flow.losses) == 30
    assert flow.losses[-1] < 0.7 * flow.losses[0]
    again = storage.unpack(*storage.pack(memory))
    for a, b in zip(*(method.step(flow, 0.0, 0.02, Y, m).Y for m in (memory, again)), strict=True):
        np.testing.assert_array_equal(dense(a), dense(b))


def test_factor_wise_adam_can_truncate_as_published():
    right, wrong = (moved(FactorAdam(Relative(0.3), published=published))[0] for published in (False, True))
    assert (right[0] - wrong[0]).norm() > 0.1 * right[0].norm()


def test_the_published_step_costs_one_evaluation_and_reports_what_it_cut():
    y = PublishedTruncation(euler, Relative(0.3))
    _, _, flow = moved(y, 3)
    assert len(flow.losses) == 3
