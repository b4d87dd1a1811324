"""The three moves that every splitting and BUG method is made of: the K-, L- and S-flow.

For a state of several blocks all of them move at once, so that coupled blocks see each other. A dense block takes part
in every flow as it is: it moves by the field, with the flow's sign.

=====  ==============================  ================  ==================
flow   equation                        start             kept fixed
=====  ==============================  ================  ==================
K      K' = F(t, K V*) V               K(t) = U S        V
L      L' = F(t, U L*)* U              L(t) = V S*       U
S      S' = sign U* F(t, U S V*) V     S(t) = S          U and V
=====  ==============================  ================  ==================

Each flow accepts ``first``, the right-hand side at its start where that is known: the K- and L-flow, and the S-flow
of an augmented basis, all start from the same matrix, and one evaluation serves them all. ``k_rhs``, ``l_rhs`` and
``s_rhs`` give these values from an evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matode._array import Array, as_dtype, eye_like, finite, mH, overflowing
from matode.linalg import qr
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, Field, NonFiniteError, Rhs, State, Substep

__all__ = ["from_k", "from_l", "full_flow", "k_flow", "k_rhs", "l_flow", "l_rhs", "s_flow", "s_rhs", "with_cores"]

Blocks = tuple[Array, ...]


def k_rhs(F: Sequence[Evaluation], Y: Sequence[Block]) -> Blocks:
    """Return F V per low-rank block, F itself per dense block."""
    return tuple(_act(f, y, lambda f, y: f.right(y.V)) for f, y in zip(F, Y, strict=True))


def l_rhs(F: Sequence[Evaluation], Y: Sequence[Block]) -> Blocks:
    """Return F* U per low-rank block, F itself per dense block."""
    return tuple(_act(f, y, lambda f, y: f.left(y.U)) for f, y in zip(F, Y, strict=True))


def s_rhs(F: Sequence[Evaluation], Y: Sequence[Block]) -> Blocks:
    """Return U* F V per low-rank block, F itself per dense block."""
    return tuple(_act(f, y, lambda f, y: f.galerkin(y.U, y.V)) for f, y in zip(F, Y, strict=True))


def k_flow(
    field: Field, t: float, h: float, Y: Sequence[Block], substep: Substep, first: Blocks | None = None
) -> Blocks:
    """Solve ``K' = F(t, K V*) V`` from t to t + h and return K(t + h), or the dense block, per block."""
    return _flow("K", field, t, h, Y, substep, first, lambda y: y.U @ y.S, lambda y, K: LowRank(K, None, y.V), k_rhs)


def l_flow(
    field: Field, t: float, h: float, Y: Sequence[Block], substep: Substep, first: Blocks | None = None
) -> Blocks:
    """Solve ``L' = F(t, U L*)* U`` from t to t + h and return L(t + h), or the dense block, per block."""
    return _flow(
        "L", field, t, h, Y, substep, first, lambda y: y.V @ mH(y.S), lambda y, L: LowRank(y.U, None, L), l_rhs
    )


def s_flow(
    field: Field,
    t: float,
    h: float,
    Y: Sequence[Block],
    substep: Substep,
    first: Blocks | None = None,
    *,
    sign: float = 1.0,
) -> Blocks:
    """Solve ``S' = sign U* F(t, U S V*) V`` from t to t + h and return S(t + h), or the dense block, per block.

    ``sign=-1`` is the S-step of projector splitting: it runs against the field, while the time inside F goes forward.
    """

    def rhs(F: Sequence[Evaluation], Y: Sequence[Block]) -> Blocks:
        moves = s_rhs(F, Y)
        return moves if sign == 1.0 else tuple(sign * move for move in moves)

    return _flow("S", field, t, h, Y, substep, first, lambda y: y.S, lambda y, S: LowRank(y.U, S, y.V), rhs)


def with_cores(Y: Sequence[Block], S: Sequence[Array]) -> State:
    """Return the state with the cores, or dense blocks, that an S-flow gave, in the bases of Y."""
    return State(LowRank(y.U, s, y.V) if isinstance(y, LowRank) else s for y, s in zip(Y, S, strict=True))


def from_k(Y: Sequence[Block], K: Sequence[Array]) -> State:
    """Return the state ``(Q, R, V)`` with ``K = Q R``."""
    return State(LowRank(*qr(k), y.V) if isinstance(y, LowRank) else k for y, k in zip(Y, K, strict=True))


def from_l(Y: Sequence[Block], L: Sequence[Array]) -> State:
    """Return the state ``(U, R*, Q)`` with ``L = Q R``."""
    blocks = []
    for y, moved in zip(Y, L, strict=True):
        if isinstance(y, LowRank):
            V, R = qr(moved)
            moved = LowRank(y.U, mH(R), V)
        blocks.append(moved)
    return State(blocks)


def full_flow(
    field: Field, t: float, h: float, Y: Sequence[Block], substep: Substep, first: Blocks | None = None
) -> Blocks:
    """Solve ``Y' = F(t, Y)`` itself from t to t + h and return every block as a dense array: for baselines only."""

    def rhs(F: Sequence[Evaluation], Y: Sequence[Block]) -> Blocks:
        return tuple(as_dtype(f.full(), y.dtype) for f, y in zip(F, Y, strict=True))

    def lift(y: LowRank, Z: Array) -> LowRank:
        return LowRank(Z, None, eye_like(Z.shape[1], Z))

    return _flow("dense", field, t, h, Y, substep, first, LowRank.to_dense, lift, rhs)


def _act(f: Evaluation, y: Block, action: Callable[[Evaluation, LowRank], Array]) -> Array:
    """Return the action on a low-rank block, or the values of a dense block, in the block's dtype."""
    return as_dtype(action(f, y) if isinstance(y, LowRank) else f.full(), y.dtype)


def _flow(
    name: str,
    field: Field,
    t: float,
    h: float,
    Y: Sequence[Block],
    substep: Substep,
    first: Blocks | None,
    start: Callable[[LowRank], Array],
    lift: Callable[[LowRank, Array], LowRank],
    rhs: Callable[[Sequence[Evaluation], Sequence[Block]], Blocks],
) -> Blocks:
    """Run one substep on the moving factors; everything a flow is, is in ``start``, ``lift`` and ``rhs``."""

    def f(s: float, Z: Blocks) -> Blocks:
        state = State(lift(y, z) if isinstance(y, LowRank) else z for y, z in zip(Y, Z, strict=True))
        return rhs(field(s, state), Y)

    Z = tuple(start(y) if isinstance(y, LowRank) else y for y in Y)
    moved = substep(f, t, h, Z, first)
    if not all(finite(z) for z in moved):
        raise _diagnosis(name, f, t, h, Y, Z, substep)
    return moved


def _diagnosis(
    name: str, f: Rhs, t: float, h: float, Y: Sequence[Block], Z: Blocks, substep: Substep
) -> NonFiniteError:
    """Run the substep once more, watching F, and say whether F gave NaN or inf or the step ran away."""

    def watched(s: float, W: Blocks) -> Blocks:
        values = f(s, W)
        for i, value in enumerate(values):
            if not finite(value) and not overflowing(W):
                raise NonFiniteError(f"F returned NaN or inf at t = {s:g}, in block {i} ({shape(Y[i])})", i)
        return values

    def shape(y: Block) -> str:
        return " x ".join(map(str, y.shape))

    try:
        moved = substep(watched, t, h, Z)
    except NonFiniteError as error:
        return error
    i = next((i for i, z in enumerate(moved) if not finite(z)), 0)
    return NonFiniteError(
        f"the {name}-step from t = {t:g} with h = {h:g} ran away to NaN or inf in block {i} ({shape(Y[i])}): it is "
        "unstable, try a smaller h",
        i,
    )
