"""Verdicts on claims: each follows from numbers and a threshold, and says by how much.

A figure never writes a verdict by hand; it calls the function that fits the claim:

* :func:`value` for a published number, with how far ours may be from it;
* :func:`trade_off` for an accuracy at a number of parameters;
* :func:`at_least` and :func:`at_most` for a statement that is a number with a threshold;
* :func:`not_run` and :func:`out_of_scope` where there is no number of ours, with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Status", "Verdict", "at_least", "at_most", "not_run", "out_of_scope", "overall", "trade_off", "value"]


class Status(StrEnum):
    """What a verdict can be; the words are those of the page."""

    REPRODUCED = "reproduced"
    BETTER = "better"
    DIFFERS = "differs"
    NOT_RUN = "not run here"
    OUT_OF_SCOPE = "out of scope"


@dataclass(frozen=True)
class Verdict:
    """A status, and why.

    Attributes
    ----------
    status : Status
    why : str
        By how much, and what was allowed; or why there is no number.
    """

    status: Status
    why: str


def value(
    ours: float | None,
    published: float,
    *,
    within: float | None = None,
    factor: float | None = None,
    better: str | None = None,
    form: str = ".2f",
    unit: str = "",
) -> Verdict:
    """Judge a number against a published one.

    Parameters
    ----------
    ours : float or None
        None where there is no such number yet.
    published : float
    within : float, optional
        Largest difference that counts as reproduced. Exactly one of ``within`` and ``factor`` is given.
    factor : float, optional
        Largest quotient, either way, that counts as reproduced; above 1. Both numbers must then be positive.
    better : {"larger", "smaller"}, optional
        Which direction is an improvement; none where only agreement counts.
    form, unit : str
        How to print the difference, or the quotient.

    Raises
    ------
    ValueError
        If not exactly one of ``within`` and ``factor`` is given, or ``better`` is neither of its words.
    """
    if (within is None) == (factor is None):
        raise ValueError("value: expected one of within and factor")
    if better not in (None, "larger", "smaller"):
        raise ValueError(f"value: expected better to be 'larger' or 'smaller', got {better!r}")
    if ours is None or math.isnan(ours):
        return not_run("no finished run has this number")
    if within is not None:
        difference = ours - published
        close = abs(difference) <= within * (1 + 1e-12)
        why = f"{difference:+{form}}{unit}, {within:{form}}{unit} allowed"
    else:
        assert factor is not None
        quotient = ours / published
        close = 1 / factor <= quotient <= factor
        why = f"{quotient:{form}} times the published one, {factor:g} times allowed"
    if close:
        return Verdict(Status.REPRODUCED, why)
    improved = better is not None and (ours > published) == (better == "larger")
    return Verdict(Status.BETTER if improved else Status.DIFFERS, why)


def trade_off(
    accuracy: float | None,
    parameters: float | None,
    published_accuracy: float,
    published_parameters: float,
    *,
    points: float = 0.3,
    factor: float = 1.15,
) -> Verdict:
    """Judge an accuracy (in %) at a number of parameters.

    Better means better on both. Reproduced means at most ``points`` below the published accuracy, with at most
    ``factor`` times the published parameters.
    """
    if accuracy is None or parameters is None:
        return not_run("no finished run has this number")
    gained, more = accuracy - published_accuracy, parameters / published_parameters
    why = f"{gained:+.2f} points ({-points:g} allowed) with {more:.2f} times the parameters ({factor:g} allowed)"
    if gained > 0 and more < 1:
        return Verdict(Status.BETTER, why)
    close = gained >= -points - 1e-9 and more <= factor * (1 + 1e-12)
    return Verdict(Status.REPRODUCED if close else Status.DIFFERS, why)


def at_least(ours: float | None, threshold: float, *, form: str = ".3g", unit: str = "") -> Verdict:
    """Judge a claim that holds where a number is at least the threshold."""
    return _threshold(ours, threshold, 1, "at least", form, unit)


def at_most(ours: float | None, threshold: float, *, form: str = ".3g", unit: str = "") -> Verdict:
    """Judge a claim that holds where a number is at most the threshold."""
    return _threshold(ours, threshold, -1, "at most", form, unit)


def _threshold(ours: float | None, threshold: float, sign: int, words: str, form: str, unit: str) -> Verdict:
    if ours is None or math.isnan(ours):
        return not_run("no finished run has this number")
    holds = sign * (ours - threshold) >= 0
    why = f"{ours:{form}}{unit}, {words} {threshold:{form}}{unit} expected"
    return Verdict(Status.REPRODUCED if holds else Status.DIFFERS, why)


def not_run(why: str) -> Verdict:
    """Say why there is no number of ours."""
    return Verdict(Status.NOT_RUN, why)


def out_of_scope(why: str) -> Verdict:
    """Say why no number of ours is to be expected."""
    return Verdict(Status.OUT_OF_SCOPE, why)


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """Return one verdict for several claims: the worst status, with how many claims have which.

    A claim that differs comes first, then one that was not run; better counts as reproduced unless all are better.
    Claims that were not run for one and the same reason keep it.

    Raises
    ------
    ValueError
        If there is none.
    """
    given = list(verdicts)
    if not given:
        raise ValueError("overall: expected at least one verdict")
    if len(set(given)) == 1 and (len(given) == 1 or given[0].status == Status.NOT_RUN):
        return given[0]
    counts = {status: sum(v.status == status for v in given) for status in Status}
    order = (Status.DIFFERS, Status.NOT_RUN, Status.REPRODUCED, Status.BETTER, Status.OUT_OF_SCOPE)
    worst = next(status for status in order if counts[status])
    return Verdict(worst, ", ".join(f"{count} {status}" for status, count in counts.items() if count))
