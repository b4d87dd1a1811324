"""Training: descent, records, reproducibility, and what is refused."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from matode._array import default_rng, get_backend, to_host
from matode.integrators import AugmentedBUG
from matode.lowrank import LowRank
from matode.protocols import NonFiniteError
from matode.substeps import euler
from matode.truncation import Relative
from nn import GradientFlow, accuracy, count_parameters, mlp, train
from nn.diagnosis import first_non_finite, layer_of
from nn.schedules import constant, cosine, steps
from nn.train import steps_per_epoch, training
from tests.backends import assert_at_home

DLRT = AugmentedBUG(euler, Relative(0.1))
LOW_RANK = mlp((12, 16, 16, 3), rank=6)
DENSE = mlp((12, 16, 16, 3))


@pytest.fixture(scope="module")
def blobs():
    """Three noisy classes in twelve dimensions."""
    rng = np.random.default_rng(0)
    centres = 2 * rng.standard_normal((3, 12))
    labels = rng.integers(0, 3, 260)
    x = (centres[labels] + rng.standard_normal((260, 12))).astype("float32")
    return SimpleNamespace(x_train=x[:200], y_train=labels[:200], x_test=x[200:], y_test=labels[200:])


def run(model, data, **options):
    settings = {"epochs": 3, "lr": 0.1, "batch_size": 32, "seed": 1} | options
    return train(
        model, data, options.pop("integrator", DLRT), **{k: v for k, v in settings.items() if k != "integrator"}
    )


@pytest.mark.parametrize("model", [LOW_RANK, DENSE], ids=["low-rank", "dense"])
def test_training_learns(model, blobs, backend):
    result = run(model, blobs, backend=backend)
    losses = [epoch.loss for epoch in result.history]
    assert losses[2] < losses[1] < losses[0]
    assert result.history[-1].test_accuracy > 0.9
    for block in result.Y:
        assert_at_home(block.U if isinstance(block, LowRank) else block, backend, "float32")


def test_record_of_an_epoch(blobs):
    result = run(LOW_RANK, blobs, epochs=2)
    assert [epoch.epoch for epoch in result.history] == [1, 2]
    last = result.history[-1]
    assert last.ranks == (result.Y[0].rank, result.Y[2].rank)
    assert last.parameters == count_parameters(result.Y)
    assert last.compression == last.parameters.compression
    assert last.test_accuracy == accuracy(LOW_RANK, result.Y, blobs.x_test, blobs.y_test)
    assert last.learning_rate == 0.1
    assert last.seconds > 0


def test_accuracy_counts_every_example_once(blobs):
    Y = run(DENSE, blobs, epochs=1).Y
    hits = DENSE.forward(Y, blobs.x_test).argmax(axis=1) == blobs.y_test
    for batch_size in (7, 60, 1000):
        assert accuracy(DENSE, Y, blobs.x_test, blobs.y_test, batch_size=batch_size) == hits.mean()


def test_the_same_seed_gives_the_same_training(blobs):
    first, second, other = (run(LOW_RANK, blobs, seed=seed) for seed in (4, 4, 5))
    assert [e.loss for e in first.history] == [e.loss for e in second.history]
    assert np.array_equal(first.Y[0].to_dense(), second.Y[0].to_dense())
    assert [e.loss for e in first.history] != [e.loss for e in other.history]
    assert not np.array_equal(*(run(DENSE, blobs, seed=seed, epochs=0).Y[0] for seed in (4, 5)))


def test_the_same_seed_gives_the_same_training_on_every_backend(blobs, backend):
    here = run(LOW_RANK, blobs, backend=backend, dtype="float64", epochs=1)
    there = run(LOW_RANK, blobs, dtype="float64", epochs=1)
    assert here.history[0].loss == pytest.approx(there.history[0].loss, rel=1e-9)
    assert here.history[0].ranks == there.history[0].ranks
    np.testing.assert_allclose(to_host(here.Y[0].to_dense()), there.Y[0].to_dense(), atol=1e-9)


def test_epochs_are_shuffled_differently_and_cover_all_examples(blobs):
    class Recorder:
        """Moves nothing and keeps the inputs it saw."""

        def __init__(self):
            self.seen = []

        def step(self, field, t, h, Y, memory=None):
            field(t, Y)
            self.seen.append(np.asarray(field.x))
            return SimpleNamespace(Y=Y, memory=(memory or 0) + 1)

    recorder = Recorder()
    result = run(DENSE, blobs, integrator=recorder, epochs=2)
    assert result.memory == 14
    everything = GradientFlow(DENSE, blobs.x_train, blobs.y_train).value_and_gradient(result.Y)[0]
    assert [epoch.loss for epoch in result.history] == pytest.approx([everything] * 2, rel=1e-6)
    assert [len(x) for x in recorder.seen] == [32] * 6 + [8] + [32] * 6 + [8]
    first, second = (np.concatenate(recorder.seen[k : k + 7]) for k in (0, 7))
    assert not np.array_equal(first, second)
    for seen in (first, second):
        assert np.array_equal(np.unique(seen, axis=0), np.unique(blobs.x_train, axis=0))


def test_step_size_is_the_learning_rate_times_the_schedule(blobs):
    sizes, times = [], []

    class Spy:
        def step(self, field, t, h, Y, memory=None):
            sizes.append(h)
            times.append(t)
            return DLRT.step(field, t, h, Y, memory)

    run(DENSE, blobs, integrator=Spy(), epochs=2, batch_size=100, schedule=lambda epoch: 1.0 / (1.0 + epoch))
    assert sizes == pytest.approx([0.1, 0.1 / 1.5, 0.05, 0.1 / 2.5])
    assert times == pytest.approx([0.0, *np.cumsum(sizes)[:-1]])


def test_training_goes_on_where_it_stopped(blobs):
    whole = run(LOW_RANK, blobs, epochs=3, schedule=cosine(3))
    half = run(LOW_RANK, blobs, epochs=1, schedule=cosine(3))
    rest = run(LOW_RANK, blobs, epochs=2, schedule=cosine(3), start=half)
    assert [e.loss for e in rest.history] == [e.loss for e in whole.history]
    assert [e.epoch for e in rest.history] == [1, 2, 3]
    assert np.array_equal(rest.Y[0].to_dense(), whole.Y[0].to_dense())


def test_training_goes_on_in_the_middle_of_an_epoch(blobs, backend):
    options = {"epochs": 2, "lr": 0.1, "batch_size": 32, "seed": 1, "backend": backend}
    results = list(training(LOW_RANK, blobs, DLRT, **options))
    assert [(len(r.history), r.step) for r in results] == [*((k // 7, k % 7) for k in range(15))]
    for k in (0, 3, 7, 9):
        *_, last = training(LOW_RANK, blobs, DLRT, start=results[k], **options)
        assert [e.loss for e in last.history] == [e.loss for e in results[-1].history]
        assert last.t == results[-1].t
        assert np.array_equal(*(to_host(r.Y[0].to_dense()) for r in (last, results[-1])))
    rest = train(LOW_RANK, blobs, DLRT, start=results[9], **options | {"epochs": 1})
    assert rest.history[-1].loss == results[-1].history[-1].loss


def test_shuffles_are_the_same_on_every_backend(blobs, backend):
    """The order of the examples, in every epoch."""
    seen = []

    class Watch:
        def step(self, field, t, h, Y, memory=None):
            field(t, Y)
            seen.append(to_host(field.targets))
            return SimpleNamespace(Y=Y, memory=None)

    run(DENSE, blobs, integrator=Watch(), epochs=2, backend=backend, seed=5)
    expected = [blobs.y_train[default_rng((5, 1, epoch)).permutation(200)] for epoch in range(2)]
    assert np.array_equal(np.concatenate(seen), np.concatenate(expected))


def test_validation_accuracy_is_recorded(blobs):
    held = SimpleNamespace(**vars(blobs), x_validation=blobs.x_test[:13], y_validation=blobs.y_test[:13])
    result = run(LOW_RANK, held, epochs=1)
    assert result.history[0].validation_accuracy == accuracy(LOW_RANK, result.Y, blobs.x_test[:13], blobs.y_test[:13])
    assert run(LOW_RANK, blobs, epochs=1).history[0].validation_accuracy is None


def test_training_starts_from_given_weights(blobs):
    Y = LOW_RANK.init(default_rng(9), get_backend(), "float32")
    result = run(LOW_RANK, blobs, epochs=0, start=Y)
    assert result.Y == Y
    assert result.history == ()


def test_callback_sees_each_epoch_and_can_stop(blobs):
    seen = []
    result = run(DENSE, blobs, epochs=5, callback=lambda epoch, Y: seen.append((epoch, Y)) or len(seen) == 2)
    assert [epoch for epoch, _ in seen] == list(result.history)
    assert len(result.history) == 2
    assert seen[-1][1] is result.Y


def test_progress_wraps_the_batches(blobs, capfd):
    counts = []

    def progress(batches):
        counts.append(len(batches))
        yield from batches

    run(DENSE, blobs, epochs=2, progress=progress)
    assert counts == [7, 7]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("model", [LOW_RANK, DENSE], ids=["low-rank", "dense"])
@pytest.mark.parametrize("lr", [1e2, 1e6])
def test_divergence_names_epoch_and_step(model, lr, blobs):
    with (
        np.errstate(all="ignore"),
        pytest.raises(NonFiniteError, match=r"stopped in epoch \d, step \d of 7: the loss is .*learning") as caught,
    ):
        run(model, blobs, lr=lr)
    assert re.search(r"the output of layer \d \(Linear\) is not finite", str(caught.value))


def test_the_first_layer_that_is_not_finite_is_named(blobs):
    x = blobs.x_train[:4]
    Y = list(LOW_RANK.init(default_rng(0), get_backend(), "float32"))
    assert first_non_finite(LOW_RANK, Y, x).startswith("the outputs of all layers are finite")
    assert first_non_finite(LOW_RANK, Y, x * np.float32("nan")) == "the input is not finite"
    bad = LowRank(Y[2].U, Y[2].S * np.float32("inf"), Y[2].V)
    with np.errstate(all="ignore"):
        assert first_non_finite(LOW_RANK, [*Y[:2], bad, *Y[3:]], x) == "a weight of layer 4 (Linear) is not finite"
    huge = 1e30 * Y[2]
    with np.errstate(all="ignore"):
        found = first_non_finite(LOW_RANK, [1e30 * Y[0], Y[1], huge, *Y[3:]], x)
    assert found == "the output of layer 4 (Linear) is not finite"


def test_layers_own_their_blocks():
    assert [layer_of(LOW_RANK, i) for i in range(6)] == [f"layer {k} (Linear)" for k in (2, 2, 4, 4, 6, 6)]
    assert layer_of(LOW_RANK, None) is None
    assert layer_of(LOW_RANK.layers[1], 0) == "layer 1 (Linear)"


def test_a_gradient_that_is_not_finite_names_its_layer(blobs):
    class Broken:
        def step(self, field, t, h, Y, memory=None):
            raise NonFiniteError("F returned NaN or inf", 4)

    with pytest.raises(NonFiniteError, match=r"step 1 of 7: F returned NaN or inf \(a weight of layer 6 \(Linear\)\)"):
        run(LOW_RANK, blobs, integrator=Broken())


def test_steps_of_an_epoch(blobs):
    assert [steps_per_epoch(blobs, size) for size in (32, 100, 199, 200, 999)] == [7, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, "learning rate must be positive"),
        ({"lr": float("nan")}, "learning rate must be positive"),
        ({"batch_size": 0}, "batch_size >= 1"),
        ({"epochs": -1}, "epochs >= 0"),
        ({"backend": "abacus"}, "unknown backend 'abacus'"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options, message, blobs):
    with pytest.raises(ValueError, match=message):
        run(DENSE, blobs, **options)


def test_data_that_does_not_fit_is_refused(blobs):
    short = SimpleNamespace(**vars(blobs) | {"y_train": blobs.y_train[:-1]})
    with pytest.raises(ValueError, match="training data has 200 inputs and 199 labels"):
        run(DENSE, short)


def test_schedules():
    assert constant(3.7) == 1.0
    assert [cosine(4, final=0.2)(e) for e in (0, 2, 4, 9)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    warm = cosine(6, warmup=2, initial=0.2)
    assert [warm(e) for e in (0, 1, 2, 4, 6)] == pytest.approx([0.2, 0.6, 1.0, 0.5, 0.0])
    assert [steps({12: 0.2, 16: 0.5})(e) for e in (0, 11.9, 12, 16)] == pytest.approx([1.0, 1.0, 0.2, 0.1])
    with pytest.raises(ValueError, match="0 <= warmup < epochs"):
        cosine(2, warmup=2)
