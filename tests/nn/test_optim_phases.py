"""Weight decay, frozen ranks, frozen bases, and switching integrators."""

import math

import numpy as np
import pytest

from matode._array import default_rng, get_backend, to_host
from matode.integrators import BUG, AugmentedBUG
from matode.lowrank import LowRank
from matode.protocols import State, Step
from matode.substeps import euler
from matode.truncation import PerBlock, Rank, Relative
from nn import GradientFlow, mlp
from nn.optim_phases import CoreOnly, FrozenRank, Phases, WeightDecay

MODEL = mlp((8, 7, 9, 4), rank=(3, 4, None))
DLRT = AugmentedBUG(euler, Relative(0.3))


@pytest.fixture
def flow():
    return GradientFlow(MODEL, default_rng(1).standard_normal((12, 8)), np.asarray([0, 1, 2, 3] * 3))


@pytest.fixture
def Y0():
    return MODEL.init(default_rng(0), get_backend(), "float64")


class Still:
    """Moves nothing; its memory counts."""

    def __init__(self, name=""):
        self.name = name

    def step(self, field, t, h, Y, memory=None):
        return Step(Y, memory=(memory or 0) + 1, info={"name": self.name})


def test_weights_shrink_and_biases_do_not(Y0):
    moved = State(y if len(y.shape) > 1 else y + 1.0 for y in Y0)
    step = WeightDecay(Still(), 0.5).step(None, 0.0, 0.1, moved)
    assert step.memory == 1
    for before, after in zip(moved, step.Y, strict=True):
        factor = math.exp(-0.05) if len(before.shape) > 1 else 1.0
        a, b = (y.to_dense() if isinstance(y, LowRank) else y for y in (before, after))
        np.testing.assert_allclose(b, factor * a, rtol=1e-14, atol=1e-15)


def test_cores_move_and_bases_stay(flow, Y0):
    gradient = flow.value_and_gradient(Y0)[1]
    Y = CoreOnly().step(flow, 0.0, 0.1, Y0).Y
    assert len(flow.losses) == 1
    for y, g, z in zip(Y0, gradient, Y, strict=True):
        if isinstance(y, LowRank):
            assert z.U is y.U
            assert z.V is y.V
            np.testing.assert_allclose(z.S, y.S - 0.1 * y.U.T @ g.full() @ y.V, rtol=1e-12, atol=1e-14)
        else:
            np.testing.assert_allclose(z, y - 0.1 * g.full(), rtol=1e-12, atol=1e-14)


def test_ranks_stay_while_bases_move(flow, Y0):
    adaptive, frozen = (method.step(flow, 0.0, 0.1, Y0) for method in (DLRT, FrozenRank(DLRT)))
    ranks = [[y.rank for y in step.Y if isinstance(y, LowRank)] for step in (adaptive, frozen)]
    assert ranks[0] != [3, 4]
    assert ranks[1] == [3, 4]
    assert len(flow.losses) == 2
    assert np.linalg.norm(frozen.Y[0].U @ frozen.Y[0].U.T - Y0[0].U @ Y0[0].U.T) > 1e-3


def test_a_method_without_truncation_needs_no_freezing():
    with pytest.raises(TypeError, match="BUG has no truncation to replace"):
        FrozenRank(BUG(euler))


def test_each_block_has_its_own_rule(flow, Y0):
    step = AugmentedBUG(euler, PerBlock(Rank(2), Relative(1e-12, max_rank=5))).step(flow, 0.0, 0.1, Y0)
    assert [y.rank for y in step.Y if isinstance(y, LowRank)] == [2, 5]
    assert step.info["truncation_error"][0] > 0
    with pytest.raises(ValueError, match="1 rules, but the state has 2 low-rank blocks"):
        AugmentedBUG(euler, PerBlock(Rank(2))).step(flow, 0.0, 0.1, Y0)


def test_phases_follow_one_another_and_begin_without_memory():
    phases = Phases.by_epoch(3, {1: Still("b"), 0: Still("a"), 2: Still("c")})
    seen, memory = [], None
    for _ in range(8):
        step = phases.step(None, 0.0, 0.1, (), memory)
        memory = step.memory
        seen.append((step.info["name"], memory[1]))
    assert seen == [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("b", 2), ("b", 3), ("c", 1), ("c", 2)]


@pytest.mark.parametrize("phases", [(), ((1, Still()),), ((0, Still()), (0, Still()))])
def test_phases_that_do_not_follow_are_refused(phases):
    with pytest.raises(ValueError, match="begin at step 0 and follow"):
        Phases(phases)


def test_dense_blocks_of_another_dtype_keep_it(flow, Y0):
    single = State(y.astype(np.float32) for y in Y0)
    for method in (WeightDecay(CoreOnly(), 0.1), FrozenRank(DLRT)):
        for y in method.step(flow, 0.0, 0.1, single).Y:
            assert to_host(y.S if isinstance(y, LowRank) else y).dtype == np.float32
