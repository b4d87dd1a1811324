"""What the public codes of the DLRT paper do instead, as named baselines: wrong on purpose, never for use.

Three of their defects are kept here to be measured: the right basis after the truncation is multiplied by columns of
``V*`` where ``V`` belongs; the moments of Adam are kept for factors whose basis has changed since; and the pruned nets
have rows of the left basis for the right one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matode._array import Array, from_host, host, mH, namespace, to_host, zeros_like_shape
from matode.flows import k_rhs, l_rhs
from matode.integrators import AugmentedBUG
from matode.integrators.augmenting import augmented
from matode.integrators.truncating import truncated
from matode.linalg import truncated_svd
from matode.lowrank import LowRank
from matode.protocols import Block, Field, State, Step
from matode.truncation import Relative, Truncation

__all__ = ["FactorAdam", "PublishedTruncation", "published_pruned", "published_truncated"]


class PublishedTruncation(AugmentedBUG):
    """Augmented BUG whose right basis is multiplied by columns of V*, as in the public codes. Wrong on purpose."""

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Make the step, and truncate it wrongly."""
        Y, info = published_truncated(self.untruncated(field, t, h, Y), self.truncation)
        return Step(Y, info=info)


def published_truncated(Y: Sequence[Block], rule: Truncation | None) -> tuple[State, dict[str, Any]]:
    """Return the state with every low-rank block cut as in the public codes, and the step's ``info``.

    The decomposition of a core is ``S = P diag(s) Q*``. Library functions return ``Q*``; the codes take its columns as
    if they were those of Q. The result is right only where S is nearly diagonal.
    """
    rule = Relative(1e-10) if rule is None else rule
    blocks: list[Block] = []
    errors: list[float] = []
    for y in Y:
        discarded = 0.0
        if isinstance(y, LowRank):
            P, s, _, discarded = truncated_svd(y.S, rule)
            _, _, Vh = namespace(y.S).linalg.svd(y.S, full_matrices=True)
            y = LowRank(y.U @ P, from_host(host.diag(s), P, P.dtype), y.V @ Vh[:, : len(s)])
        blocks.append(y)
        errors.append(discarded)
    return State(blocks), {"truncation_error": tuple(errors)}


def published_pruned(Y: Sequence[Block], rank: int) -> State:
    """Return a trained dense net pruned as in the public codes: ``W = U diag(s) V*`` becomes ``U diag(s) U`` cut.

    The right basis is made of the first rows of U, so that nothing of V is left, whatever the rank. The last matrix,
    the head, stays as it is. :func:`nn.baselines.prune` is the correct form.

    Raises
    ------
    ValueError
        If a weight is not square, where the published form makes no sense at all, or has no such rank.
    """
    chosen = [i for i, y in enumerate(Y) if len(y.shape) == 2][:-1]
    blocks: list[Block] = list(Y)
    for i in chosen:
        m, n = Y[i].shape
        if m != n or rank > m:
            raise ValueError(f"published_pruned: expected square weights with a rank of {rank}, got {m} x {n}")
        U, s, _ = namespace(Y[i]).linalg.svd(Y[i])
        s = to_host(s[:rank])
        blocks[i] = LowRank(U[:, :rank], from_host(host.diag(s), U, U.dtype), U[:rank, :].mT)
    return State(blocks)


@dataclass(frozen=True)
class FactorAdam:
    """Adam on the factors K, L and S, with moments kept by position whatever the basis: the method of the public codes.

    Not equivariant: the result depends on the gauge of the factors, and after every step the moments belong to columns
    that exist no longer. :class:`nn.optim.Adam` is the consistent form. One evaluation a step; dense blocks get Adam.

    Parameters
    ----------
    truncation : Truncation or None
        None is ``Relative(1e-10)``.
    beta1, beta2, eps : float
        As of Adam.
    published : bool
        Whether the truncation is the published one too, see :func:`published_truncated`.
    """

    truncation: Truncation | None = None
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    published: bool = False

    def step(self, field: Field, t: float, h: float, Y: tuple[Block, ...], memory: Any = None) -> Step:
        """Advance the state; ``memory`` holds the number of steps and the moments of every factor."""
        steps, moments = (0, [{} for _ in Y]) if memory is None else memory
        F = field(t, Y)
        wide: list[Block] = []
        kept: list[dict[str, tuple[Array, Array]]] = []
        for f, y, FV, FU, old in zip(F, Y, k_rhs(F, Y), l_rhs(F, Y), moments, strict=True):
            adam = _Moments(self, steps + 1, h, old)
            if isinstance(y, LowRank):
                basis = augmented(y, adam.moved("K", y.U @ y.S, FV), adam.moved("L", y.V @ mH(y.S), FU))
                assert basis is not None
                z = basis.value(y)
                wide.append(LowRank(z.U, adam.moved("S", z.S, basis.galerkin(f, y, FV, FU)), z.V))
            else:
                wide.append(adam.moved("W", y, FV))
            kept.append(adam.new)
        cut = published_truncated if self.published else truncated
        Y, info = cut(wide, self.truncation)
        return Step(Y, info=info, memory=(steps + 1, kept))


class _Moments:
    """The moments of one block's factors, by name."""

    def __init__(self, method: FactorAdam, step: int, h: float, old: dict[str, tuple[Array, Array]]) -> None:
        self.method, self.step, self.h, self.old = method, step, h, old
        self.new: dict[str, tuple[Array, Array]] = {}

    def moved(self, name: str, x: Array, g: Array) -> Array:
        """Return a factor moved along g, and keep its moments."""
        b1, b2 = self.method.beta1, self.method.beta2
        m, v = (_fitted(z, g) for z in self.old.get(name, (0.0 * g, 0.0 * g)))
        m, v = b1 * m + (1.0 - b1) * g, b2 * v + (1.0 - b2) * g * g
        self.new[name] = (m, v)
        m, v = m / (1.0 - b1**self.step), v / (1.0 - b2**self.step)
        return x + self.h * m / (namespace(v).sqrt(v) + self.method.eps)


def _fitted(moment: Array, like: Array) -> Array:
    """Return the moment cut, or padded with zeros, to the shape of another array."""
    if moment.ndim != 2:
        return moment
    xp = namespace(moment)
    (m, n), (p, q) = like.shape, moment.shape
    moment = moment[: min(m, p), : min(n, q)]
    p, q = moment.shape
    moment = xp.concat([moment, zeros_like_shape((m - p, q), like)], axis=0)
    return xp.concat([moment, zeros_like_shape((m, n - q), like)], axis=1)
