"""The training step that rank-adaptive training is made of: its short ways give what the plain one gives."""

from __future__ import annotations

import numpy as np
import pytest

from matode import BUG, AugmentedBUG, LowRank, Rank, Relative, State
from matode._array import get_backend, to_host
from matode.evaluations import DenseEvaluation
from matode.integrators import basis_update
from matode.integrators.galerkin_euler import innovation
from matode.protocols import NonFiniteError
from matode.substeps import Repeated, euler
from nn import GradientFlow, mlp_of
from nn.factored import Outer
from tests.backends import send

NUMPY = get_backend()


def _problem(backend, rank, batch, dtype="float32", width=90, depth=4):
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((10, 40))
    labels = rng.integers(0, 10, batch)
    x = (centres[labels] + rng.standard_normal((batch, 40))) / 3
    model = mlp_of(width, depth, inputs=40, rank=rank)
    flow = GradientFlow(model, send(backend, x, dtype), send(backend, labels, "int64"))
    return flow, model.init(np.random.default_rng(1), backend, dtype)


def _trained(integrator, flow, Y, steps, h):
    """Return the weights and the losses of ``steps`` steps on one batch."""
    memory = None
    for _ in range(steps):
        step = integrator.step(flow, 0.0, h, Y, memory)
        Y, memory = step.Y, step.memory
    return Y, flow.losses


def _plain(flow):
    """The same field without the actions that save work: every gradient an m x n array."""
    return lambda t, Y: [DenseEvaluation(f.full()) for f in flow(t, Y)]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 2e-5)])
@pytest.mark.parametrize(("rank", "batch"), [(5, 40), (5, 4), (30, 12)])
def test_thin_gradients_give_the_step_of_dense_ones(backend, rank, batch, dtype, tolerance):
    flow, Y = _problem(backend, rank, batch, dtype)
    integrator = AugmentedBUG(euler, Rank(rank))
    for _ in range(2):  # the second starts from cores as they are in training
        expected = integrator.step(_plain(flow), 0.0, 0.3, Y).Y
        Y = integrator.step(flow, 0.0, 0.3, Y).Y
        for y, z in zip(Y, expected, strict=True):
            found, right = ((to_host(b.to_dense() if isinstance(b, LowRank) else b)) for b in (y, z))
            assert np.linalg.norm(found - right) <= tolerance * max(np.linalg.norm(right), 1e-2)


@pytest.mark.parametrize("method", [BUG, AugmentedBUG])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 2e-5)])
@pytest.mark.parametrize(("rank", "batch"), [(5, 40), (30, 12), (70, 12)])
def test_euler_steps_in_one_piece_are_those_of_the_three_flows(backend, method, rank, batch, dtype, tolerance):
    flow, Y = _problem(backend, rank, batch, dtype)
    for _ in range(2):
        expected = method(Repeated(euler, 1)).step(flow, 0.0, 0.3, Y).Y
        Y = method(euler).step(flow, 0.0, 0.3, Y).Y
        for y, z in zip(Y, expected, strict=True):
            found, right = ((to_host(b.to_dense() if isinstance(b, LowRank) else b)) for b in (y, z))
            assert np.linalg.norm(found - right) <= tolerance * max(np.linalg.norm(right), 1e-2)
            if isinstance(y, LowRank):
                for X in (to_host(y.U), to_host(y.V)):
                    assert np.linalg.norm(X.T @ X - np.eye(X.shape[1]), 2) <= tolerance


@pytest.mark.parametrize(("rank", "batch"), [(5, 40), (30, 12)])
def test_a_fixed_rank_step_in_single_precision_decomposes_once(monkeypatch, rank, batch):
    flow, Y = _problem(NUMPY, rank, batch)
    for spare in ("_by_complement", "repaired"):
        monkeypatch.setattr(basis_update, spare, None)
    _, losses = _trained(BUG(euler), flow, Y, 3, 0.05)
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize(("rank", "steps"), [(5, 299), (70, 111)])
def test_bases_stay_orthonormal_over_hundreds_of_steps(fixed, rank, steps):
    flow, Y = _problem(NUMPY, rank, 24)
    Y, losses = _trained(BUG(euler) if fixed else AugmentedBUG(euler, Rank(rank)), flow, Y, steps, 0.05)
    assert losses[-1] < 0.2 * losses[0]
    for y in Y:
        if isinstance(y, LowRank):
            for X in (y.U, y.V):
                assert np.linalg.norm(X.T @ X - np.eye(X.shape[1]), 2) <= 2e-6


@pytest.mark.parametrize("rank", [8, 40])
def test_negligible_innovation_changes_the_loss_by_less_than_a_percent(rank):
    losses, width = {}, {}
    for negligible in (0.0, 0.1):
        flow, Y = _problem(NUMPY, rank, 30)
        integrator = AugmentedBUG(euler, Rank(rank), negligible=negligible)
        width[negligible] = [y.rank for y in integrator.untruncated(flow, 0.0, 0.1, Y) if isinstance(y, LowRank)]
        flow.losses.clear()
        losses[negligible] = np.array(_trained(integrator, flow, Y, 60, 0.1)[1])
    assert losses[0.0][-1] < 0.3 * losses[0.0][0]
    assert np.abs(losses[0.1] - losses[0.0]).max() <= 0.01 * losses[0.0][0]
    assert losses[0.1][-5:].mean() == pytest.approx(losses[0.0][-5:].mean(), rel=0.01)
    assert sum(width[0.1]) < 0.9 * sum(width[0.0])


@pytest.mark.parametrize(("rank", "batch"), [(5, 40), (30, 12)])
def test_negligible_bounds_what_is_lost_of_the_innovation(rank, batch):
    flow, Y = _problem(NUMPY, rank, batch, "float64")
    wide = AugmentedBUG(euler, Relative(0.0), negligible=0.2).untruncated(flow, 0.0, 0.3, Y)
    dropped = 0
    for y, z, f in zip(Y, wide, flow(0.0, Y), strict=True):
        if isinstance(y, LowRank):
            for old, new, acted in ((y.U, z.U, f.right(y.V)), (y.V, z.V, f.left(y.U))):
                innovation = acted - old @ (old.T @ acted)
                lost = np.linalg.norm(innovation - new @ (new.T @ innovation))
                assert lost <= 0.2 * np.linalg.norm(innovation)
                dropped += np.linalg.matrix_rank(innovation, tol=1e-10) + rank - new.shape[1]
    assert dropped > rank


@pytest.mark.parametrize("negligible", [-0.1, 1.0, float("nan")])
def test_the_share_that_is_negligible_is_checked(negligible):
    with pytest.raises(ValueError, match="negligible is the share of the new directions that may be left out"):
        AugmentedBUG(negligible=negligible)


@pytest.mark.parametrize("batch", [40, 4])
def test_gradients_of_another_precision_leave_that_of_the_weights(batch):
    """Rows in double precision, weights in single."""
    flow, Y = _problem(NUMPY, 5, batch)
    double = [Outer(*(X.astype("float64") for X in (f.delta, f.x))) if isinstance(f, Outer) else f for f in flow(0, Y)]
    moved, expected = (AugmentedBUG(euler).step(field, 0.0, 0.1, Y).Y for field in (lambda t, Z: double, flow))
    for y, z in zip(moved, expected, strict=True):
        if isinstance(y, LowRank):
            assert {X.dtype.name for X in (y.U, y.S, y.V)} == {"float32"}
            assert np.linalg.norm(y.to_dense() - z.to_dense()) <= 1e-5 * np.linalg.norm(y.S)


@pytest.mark.parametrize("method", [BUG, AugmentedBUG])
@pytest.mark.parametrize("batch", [40, 4])
@pytest.mark.parametrize("thin", [True, False])
def test_a_gradient_that_is_not_finite_is_named(backend, method, batch, thin):
    flow, Y = _problem(backend, 5, batch)
    whole = flow if thin else _plain(flow)
    wrong = lambda t, Z: [f if i != 2 else float("nan") * f for i, f in enumerate(whole(t, Z))]  # noqa: E731
    with pytest.raises(NonFiniteError, match="F returned NaN or inf at t = 0, in block 2") as caught:
        method(euler).step(wrong, 0.0, 0.1, State(Y))
    assert caught.value.block == 2


@pytest.mark.parametrize("batch", [40, 4])
def test_a_step_that_runs_away_is_named(batch):
    flow, Y = _problem(NUMPY, 5, batch)
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(NonFiniteError, match=r"K-step .* ran away") as caught,
    ):
        BUG(euler).step(flow, 0.0, 1e39, Y)
    assert caught.value.block == 0


@pytest.mark.parametrize(("rank", "batch"), [(20, 60), (60, 30)])
def test_the_new_bases_lose_one_rounding_of_the_whole(rank, batch):
    """A direction is left out where it is below eps ||K||, not where it is below what all columns could round."""
    flow, Y = _problem(NUMPY, rank, batch, width=120)
    h, eps, left_out = 1e-4, np.finfo("float32").eps, 0
    for y, f in zip(Y, flow(0.0, Y), strict=True):
        if isinstance(y, LowRank):
            found = innovation(f, h, y)
            for old, new, acted in ((y.U, found.U1, f.right(y.V)), (y.V, found.V1, f.left(y.U))):
                X, Q = acted.astype("float64"), np.concatenate([old, new], axis=1).astype("float64")
                floor = eps * (np.linalg.norm(y.S) / h + 2 * np.sqrt(y.rank) * np.linalg.norm(X))
                assert np.linalg.norm(X - Q @ (Q.T @ X), 2) <= 1.1 * floor
                left_out += min(batch, y.rank) - new.shape[1]
    assert left_out > 0
