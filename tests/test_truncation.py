"""The truncation rules as functions of singular values: the smallest rank whose Frobenius tail is tolerated."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matode.truncation import Absolute, Rank, Relative, Truncation, tails


def tail(s: list[float] | np.ndarray, r: int) -> float:
    """Return the norm of what rank r discards, by a routine that shares nothing with the one under test."""
    return math.hypot(*map(float, s[r:]))


def descending(max_size: int = 12) -> st.SearchStrategy[np.ndarray]:
    """Singular values of every size: ties, zeros, and a few hundred orders of magnitude."""
    exponents = st.lists(st.one_of(st.floats(-300, 150), st.floats(-16, 2), st.just(-math.inf)), max_size=max_size)
    return exponents.map(lambda e: np.sort(10.0 ** np.array(e, dtype=float))[::-1])


SLACK = 1e-12


def assert_smallest(s: np.ndarray, r: int, theta: float) -> None:
    """Assert that r has a tail within theta and r - 1 has not, up to rounding of the tail itself."""
    assert tail(s, r) <= theta * (1 + SLACK)
    assert r <= 1 or tail(s, r - 1) >= theta * (1 - SLACK)


@given(s=descending(), theta=st.floats(0, 1e160))
@example(s=np.array([1.0]), theta=0.0)
def test_absolute_keeps_the_smallest_rank(s, theta):
    assert_smallest(s, Absolute(theta).rank(s), theta)


@given(s=descending(), position=st.integers(0, 12), factor=st.floats(0.5, 2))
def test_absolute_near_the_tails(s, position, factor):
    """A tolerance drawn near one of the tails decides what a tolerance drawn at large seldom does."""
    theta = tail(s, position) * factor
    assert_smallest(s, Absolute(theta).rank(s), theta)


@given(s=descending(), tau=st.floats(0, 2))
def test_relative_is_absolute_times_the_norm(s, tau):
    theta = tau * tail(s, 0)
    assert_smallest(s, Relative(tau).rank(s), theta)


@given(s=descending(), tau=st.floats(1e-15, 1), power=st.integers(-30, 30))
def test_relative_does_not_see_the_scale(s, tau, power):
    s = s[s > 1e-290]
    assert Relative(tau).rank(s * 2.0**power) == Relative(tau).rank(s)


@given(s=descending(), r=st.integers(1, 20))
def test_rank_keeps_r_or_what_is_there(s, r):
    assert Rank(r).rank(s) == min(r, len(s))


@given(
    s=descending(),
    theta=st.floats(0, 1e160),
    low=st.integers(1, 6),
    room=st.one_of(st.none(), st.integers(0, 6)),
)
def test_limits_win_over_the_tolerance(s, theta, low, room):
    free = Absolute(theta).rank(s)
    high = None if room is None else low + room
    r = Absolute(theta, min_rank=low, max_rank=high).rank(s)
    expected = max(free, low)
    if high is not None:
        expected = min(expected, high)
    assert r == min(expected, len(s))


@pytest.mark.parametrize(
    ("s", "theta", "r"),
    [
        ([4.0, 3.0], 3.0, 1),
        ([4.0, 3.0], np.nextafter(3.0, 0), 2),
        ([5.0, 4.0, 3.0], 5.0, 1),  # the tail is exactly 5: at most theta
        ([5.0, 4.0, 3.0], np.nextafter(5.0, 0), 2),
        ([13.0, 12.0, 5.0], 13.0, 1),
        ([7.0, 0.25, 0.1875], 0.3125, 1),  # exact again, beside a value that is no power of two
        ([1.0, 1.0, 1.0, 1.0], 1.0, 3),
        ([1.0, 1.0, 1.0, 1.0], 2.0, 1),
        ([1.0, 0.0, 0.0], 0.0, 1),
        ([1.0, 1e-200, 0.0], 0.0, 2),
        ([1e200, 1e199], 1e199, 1),
        ([1e-200, 1e-201], 1e-201, 1),
        ([0.0, 0.0], 0.0, 1),
        ([2.0], 3.0, 1),
    ],
)
def test_absolute_by_hand(s, theta, r):
    assert Absolute(theta).rank(np.array(s)) == r


def test_the_tail_is_the_frobenius_norm_and_not_its_largest_value():
    """A hundred values of 0.1 have a tail of 1: a rule that looks at single values would discard them all."""
    s = np.array([10.0] + [0.1] * 100)
    assert Absolute(0.5).rank(s) == 76  # the 25 last values have norm 0.5
    assert Absolute(0.11).rank(s) == 100


def test_single_precision_values_are_summed_in_double():
    """Summed in float32, the tail of a hundred thousand equal values is off by far more than one of them."""
    s = np.array([1.0, *[1e-4] * 100_000], dtype=np.float32)
    theta = float(s[1]) * math.sqrt(60_000.5)
    assert Absolute(theta).rank(s) == 40_001


def test_no_values_leave_nothing_to_keep():
    for rule in (Absolute(1.0), Relative(0.1), Rank(3), Absolute(1.0, min_rank=2)):
        assert rule.rank(np.array([])) == 0


def test_rank_takes_limits_too():
    s = np.ones(9)
    assert Rank(5, max_rank=3).rank(s) == 3
    assert Rank(2, min_rank=4).rank(s) == 4


@given(s=descending())
def test_tails(s):
    computed = tails(s)
    assert computed.shape == (len(s) + 1,)
    np.testing.assert_allclose(computed, [tail(s, r) for r in range(len(s) + 1)], rtol=1e-12, atol=1e-160)


def test_is_capped_says_who_decided():
    s = np.array([3.0, 2.0, 1.0])
    rule = Absolute(0.5, max_rank=2)
    assert rule.is_capped(s[:2], discarded=1.0)
    assert not rule.is_capped(s[:2], discarded=0.1)
    assert not rule.is_capped(s[:1], discarded=1.0)
    assert not Absolute(0.5).is_capped(s[:2], discarded=1.0)
    relative = Relative(0.2, max_rank=2)
    assert relative.is_capped(s[:2], discarded=1.0)  # 0.2 sqrt(14) = 0.75
    assert not relative.is_capped(s[:2], discarded=0.7)


def test_rules_are_values():
    assert Absolute(0.1) == Absolute(0.1, min_rank=1)
    assert Absolute(0.1) != Relative(0.1)
    assert Absolute(0.1) != Absolute(0.1, max_rank=4)
    assert len({Rank(2), Rank(2), Rank(3)}) == 2
    assert all(isinstance(rule, Truncation) for rule in (Rank(2), Absolute(0.1), Relative(0.1)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        Rank(2).r = 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Absolute(-1e-3), "theta must be a finite number >= 0, got -0.001"),
        (lambda: Absolute(math.nan), "theta must be a finite number"),
        (lambda: Absolute(math.inf), "theta must be a finite number"),
        (lambda: Relative(-1e-3), "tau must be a finite number >= 0"),
        (lambda: Relative(math.nan), "tau must be a finite number"),
        (lambda: Rank(0), "at least 1, got 0"),
        (lambda: Rank(-2), "at least 1, got -2"),
        (lambda: Absolute(0.1, min_rank=0), "min_rank must be at least 1, got 0"),
        (lambda: Absolute(0.1, min_rank=3, max_rank=2), "max_rank must be at least min_rank = 3, got 2"),
        (lambda: Relative(0.1, max_rank=0), "max_rank must be at least"),
        (lambda: Rank(2, min_rank=0), "min_rank must be at least 1"),
    ],
)
def test_impossible_rules_are_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("r", [2.5, "2", None])
def test_a_rank_is_a_whole_number(r):
    with pytest.raises((TypeError, ValueError), match="rank"):
        Rank(r)


def test_numpy_integers_are_whole_numbers():
    assert Rank(np.int64(2)).rank(np.ones(3)) == 2


def test_the_base_is_no_rule():
    with pytest.raises(TypeError, match="use Rank, Absolute or Relative"):
        Truncation().rank(np.ones(2))
