"""Wrong truncations of an augmented BUG step that is otherwise correct, the published ones among them."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from matode._array import mH
from matode.lowrank import LowRank
from matode.truncation import Absolute, Relative, tails
from tests.mutants.augmented import Augmented
from tests.mutants.parts import diagonal, rule_or_default
from tests.mutants.registry import mutant


class _Kept(Augmented):
    """A truncation that decides the rank in ``kept``; ``half`` is half the width, the rank before the step."""

    def kept(self, s: np.ndarray, half: int) -> int:
        raise NotImplementedError

    def tolerance(self, s: np.ndarray) -> float:
        return rule_or_default(self.truncation).tolerance(s)

    def clip(self, r: int, s: np.ndarray) -> int:
        return rule_or_default(self.truncation).clip(r, len(s))

    def cut(self, y: LowRank) -> tuple[LowRank, float]:
        P, s, Qh = np.linalg.svd(y.S, full_matrices=False)
        r = self.kept(s.astype(np.float64), max(1, len(s) // 2))
        value = LowRank(y.U @ P[:, :r], diagonal(s[:r], P), y.V @ mH(Qh[:r]))
        return value, float(np.linalg.norm(s[r:]))


@mutant("augmented-bug", "gauge_invariance", "exact", "zero_field", "transpose")
class VStarInsteadOfV(Augmented):
    """The right basis is multiplied by columns of the V* that the SVD returns: the published DLRT code."""

    def cut(self, y: LowRank) -> tuple[LowRank, float]:
        P, s, Qh = np.linalg.svd(y.S, full_matrices=False)
        r = rule_or_default(self.truncation).rank(s)
        return LowRank(y.U @ P[:, :r], diagonal(s[:r], P), y.V @ Qh[:, :r]), float(np.linalg.norm(s[r:]))


@mutant("augmented-bug", "tangent_field", "exact", "energy_kept")
class PlainTransposeAfterSVD(Augmented):
    """The right basis is multiplied by (V*)^T, without the conjugate."""

    def cut(self, y: LowRank) -> tuple[LowRank, float]:
        P, s, Qh = np.linalg.svd(y.S, full_matrices=False)
        r = rule_or_default(self.truncation).rank(s)
        return LowRank(y.U @ P[:, :r], diagonal(s[:r], P), y.V @ Qh[:r].T), float(np.linalg.norm(s[r:]))


@mutant("augmented-bug", "truncation")
class SumInsteadOfRootOfSquares(_Kept):
    """The tail is the sum of the singular values, not the root of the sum of their squares (as in one public code)."""

    def kept(self, s: np.ndarray, half: int) -> int:
        sums = np.append(np.cumsum(s[::-1])[::-1], 0.0)
        return self.clip(int((sums <= self.tolerance(s)).argmax()), s)


@mutant("augmented-bug", "truncation")
class SquaresNotRooted(_Kept):
    """The sum of squares is compared with the tolerance, without the root."""

    def kept(self, s: np.ndarray, half: int) -> int:
        return self.clip(int((tails(s) ** 2 <= self.tolerance(s)).argmax()), s)


@mutant("augmented-bug", "truncation", "truncation_reported")
class OneTooMany(_Kept):
    """Off by one: the first value that must stay is dropped too."""

    def kept(self, s: np.ndarray, half: int) -> int:
        return self.clip(int((tails(s) <= self.tolerance(s)).argmax()) - 1, s)


@mutant("augmented-bug", "truncation")
class OneExtra(_Kept):
    """Off by one: the largest value that may be discarded is kept."""

    def kept(self, s: np.ndarray, half: int) -> int:
        return self.clip(int((tails(s) <= self.tolerance(s)).argmax()) + 1, s)


@mutant("augmented-bug", "truncation")
class LargestInsteadOfTail(_Kept):
    """Every singular value below the tolerance is discarded, whatever they add up to."""

    def kept(self, s: np.ndarray, half: int) -> int:
        return self.clip(int((s > self.tolerance(s)).sum()), s)


@mutant("augmented-bug", "truncation")
class RelativeWhereAbsoluteIsMeant(_Kept):
    """An absolute tolerance is multiplied by the norm."""

    def tolerance(self, s: np.ndarray) -> float:
        rule = rule_or_default(self.truncation)
        return rule.theta * float(np.linalg.norm(s)) if isinstance(rule, Absolute) else rule.tolerance(s)

    def kept(self, s: np.ndarray, half: int) -> int:
        return self.clip(int((tails(s) <= self.tolerance(s)).argmax()), s)


@mutant("augmented-bug", "truncation")
class RelativeToTheLargest(_Kept):
    """A relative tolerance is relative to the largest singular value instead of the norm."""

    def tolerance(self, s: np.ndarray) -> float:
        rule = rule_or_default(self.truncation)
        return rule.tau * float(s[0]) if isinstance(rule, Relative) else rule.tolerance(s)

    def kept(self, s: np.ndarray, half: int) -> int:
        return self.clip(int((tails(s) <= self.tolerance(s)).argmax()), s)


@mutant("augmented-bug", "truncation_reported", "tangent_field", "rank_cap")
class LastValueLeftOut(_Kept):
    """The last singular value is left out of every tail: the published DLRT code."""

    def kept(self, s: np.ndarray, half: int) -> int:
        short = np.append(tails(s[:-1]), 0.0)
        return self.clip(int((short <= self.tolerance(s)).argmax()), s)


@mutant("augmented-bug", "truncation", "truncation_reported", "tangent_field")
class FallsToTheOldRank(_Kept):
    """Where no tail but the empty one is within the tolerance, the rank falls from 2 r to r: the published code."""

    def kept(self, s: np.ndarray, half: int) -> int:
        met = tails(s)[:-1] <= self.tolerance(s)
        return self.clip(int(met.argmax()) if met.any() else half, s)


@mutant("augmented-bug", "extreme_shapes")
class CappedAtHalfTheSide(Augmented):
    """The rank is capped at half the smaller side of the matrix: the published DLRT code."""

    def cut(self, y: LowRank) -> tuple[LowRank, float]:
        z, discarded = super().cut(y)
        r = max(1, min(z.S.shape[0], min(y.shape) // 2))
        return LowRank(z.U[:, :r], z.S[:r, :r], z.V[:, :r]), discarded


@mutant("augmented-bug", "rank_cap")
class CapIgnored(_Kept):
    """``max_rank`` is not looked at."""

    def kept(self, s: np.ndarray, half: int) -> int:
        rule = rule_or_default(self.truncation)
        return max(min(int((tails(s) <= self.tolerance(s)).argmax()), len(s)), rule.min_rank)


@mutant("augmented-bug", "rank_cap")
class MinimumIgnored(_Kept):
    """``min_rank`` is not looked at: a matrix below the tolerance is left with one column."""

    def kept(self, s: np.ndarray, half: int) -> int:
        rule = rule_or_default(self.truncation)
        r = max(1, int((tails(s) <= self.tolerance(s)).argmax()))
        return r if rule.max_rank is None else min(r, rule.max_rank)


@mutant("augmented-bug", "rank_cap")
class RankZero(_Kept):
    """A matrix below the tolerance keeps no column at all."""

    def kept(self, s: np.ndarray, half: int) -> int:
        r = int((tails(s) <= self.tolerance(s)).argmax())
        return r if r == 0 else self.clip(r, s)


@mutant("augmented-bug", "truncation_reported", "norm_truncated")
class ReportsTheNextValue(Augmented):
    """The step reports the first singular value that it discarded instead of the norm of all."""

    def cut(self, y: LowRank) -> tuple[LowRank, float]:
        z, _ = super().cut(y)
        s = np.linalg.svd(y.S, compute_uv=False)
        r = z.S.shape[0]
        return z, float(s[r]) if r < len(s) else 0.0


@mutant("augmented-bug", "truncation_reported", "norm_truncated")
class ReportsTheSquare(Augmented):
    """The step reports the square of what it discarded."""

    def cut(self, y: LowRank) -> tuple[LowRank, float]:
        z, discarded = super().cut(y)
        return z, discarded**2


@mutant("augmented-bug", "norm_truncated", "truncation")
class NormRestored(Augmented):
    """After the truncation the core is scaled back to the norm that it had before."""

    def cut(self, y: LowRank) -> tuple[LowRank, float]:
        z, discarded = super().cut(y)
        return LowRank(z.U, z.S * (np.linalg.norm(y.S) / max(np.linalg.norm(z.S), 1e-300)), z.V), discarded


@mutant("augmented-bug", "inputs_untouched")
class OverwrittenByLAPACK(Augmented):
    """The core of the start is factorised with ``overwrite_a``, which does not ask whether it may be written to."""

    def widened(self, y: LowRank, K: np.ndarray, L: np.ndarray) -> LowRank:
        wide = super().widened(y, K, L)
        scipy.linalg.qr(y.S.T, overwrite_a=True)
        return wide


@mutant("augmented-bug", "orthonormal_factors")
class SingularValuesOfTheGram(Augmented):
    """The SVD is taken from the eigenvalues of S* S, which loses half of the digits."""

    def cut(self, y: LowRank) -> tuple[LowRank, float]:
        w, W = np.linalg.eigh(mH(y.S) @ y.S)
        s, Q = np.sqrt(np.maximum(w[::-1], 0.0)), W[:, ::-1]
        r = rule_or_default(self.truncation).rank(s)
        kept = np.where(s[:r] > 0, s[:r], 1)
        P = (y.S @ Q[:, :r]) / kept
        return LowRank(y.U @ P, diagonal(s[:r], y.S), y.V @ Q[:, :r]), float(np.linalg.norm(s[r:]))
