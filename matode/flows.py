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
from dataclasses import dataclass
from typing import Any, NamedTuple

from matode._array import Array, apply, as_dtype, eye_like, finite, mH, overflowing, zeros_like_shape
from matode.linalg import qr
from matode.lowrank import LowRank
from matode.protocols import Block, Evaluation, Field, NonFiniteError, State, Substep
from matode.reuse import Products

__all__ = [
    "Motion",
    "from_k",
    "from_l",
    "full_flow",
    "k_flow",
    "k_rhs",
    "l_flow",
    "l_rhs",
    "nonfinite_field",
    "released",
    "reusing",
    "run_away",
    "s_flow",
    "s_rhs",
    "with_cores",
]

Blocks = tuple[Array, ...]


def reusing(Y: Sequence[Block], field: Field | None = None) -> State:
    """Return the same state, whose products with its bases are formed once in the step that begins here.

    The bases must be orthonormal. A block that came back from this function stays as it is. A field that has
    ``operators`` recognises the matrices in it from step to step.
    """
    return State([_reusing(y, field) if isinstance(y, LowRank) and y.products is None else y for y in Y])


def _reusing(y: LowRank, field: Field | None) -> LowRank:
    products = Products(getattr(field, "operators", None))
    U, S, V = y.U, y.S, y.V
    return LowRank.moving(products.hold(U), S, products.hold(V), products)


def k_rhs(F: Sequence[Evaluation], Y: Sequence[Block]) -> Blocks:
    """Return F V per low-rank block, F itself per dense block."""
    return _moves(_K, F, _bases(Y), Y)


def l_rhs(F: Sequence[Evaluation], Y: Sequence[Block]) -> Blocks:
    """Return F* U per low-rank block, F itself per dense block."""
    return _moves(_L, F, _bases(Y), Y)


def s_rhs(F: Sequence[Evaluation], Y: Sequence[Block]) -> Blocks:
    """Return U* F V per low-rank block, F itself per dense block."""
    return _moves(_S, F, _bases(Y), Y)


def k_flow(
    field: Field, t: float, h: float, Y: Sequence[Block], substep: Substep, first: Blocks | None = None
) -> Blocks:
    """Solve ``K' = F(t, K V*) V`` from t to t + h and return K(t + h), or the dense block, per block."""
    return _moved(Motion(_K, field, reusing(Y, field)), t, h, substep, first)


def l_flow(
    field: Field, t: float, h: float, Y: Sequence[Block], substep: Substep, first: Blocks | None = None
) -> Blocks:
    """Solve ``L' = F(t, U L*)* U`` from t to t + h and return L(t + h), or the dense block, per block."""
    return _moved(Motion(_L, field, reusing(Y, field)), t, h, substep, first)


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
    return _moved(Motion(_S, field, reusing(Y, field), sign), t, h, substep, first)


def full_flow(
    field: Field, t: float, h: float, Y: Sequence[Block], substep: Substep, first: Blocks | None = None
) -> Blocks:
    """Solve ``Y' = F(t, Y)`` itself from t to t + h and return every block as a dense array: for baselines only."""
    return _moved(Motion(_FULL, field, State(Y)), t, h, substep, first)


@dataclass(frozen=True)
class _Flow:
    """What moves in a flow, and how.

    ``start(y)`` is the factor of a block that moves, ``lift(b, Z)`` the block with that factor in its place,
    ``action(f, b)`` the factor's derivative, both by what is ``fixed`` of the block; ``compressed`` is that of
    :class:`Motion`.
    """

    name: str
    start: Callable[[LowRank], Array]
    lift: Callable[[_Bases, Array], LowRank]
    action: Callable[[Evaluation, _Bases], Array]
    compressed: Callable[[LowRank, Any, Any], tuple[Any, Any]]


class _Bases(NamedTuple):
    """What a block keeps while a part of it moves."""

    U: Array
    V: Array
    products: Products | None


_K = _Flow(
    "K",
    lambda y: y.U @ y.S,
    lambda b, K: LowRank.moving(K, None, b.V, b.products),
    lambda f, b: f.right(b.V),
    lambda y, A, B: (None, _inner(y.V, B, y)),
)
_L = _Flow(
    "L",
    lambda y: y.V @ mH(y.S),
    lambda b, L: LowRank.moving(b.U, None, L, b.products),
    lambda f, b: f.left(b.U),
    lambda y, A, B: (_inner(y.U, A, y), None),
)
_S = _Flow(
    "S",
    lambda y: y.S,
    lambda b, S: LowRank.moving(b.U, S, b.V, b.products),
    lambda f, b: f.galerkin(b.U, b.V),
    lambda y, A, B: (_inner(y.U, A, y), _inner(y.V, B, y)),
)
_FULL = _Flow(
    "dense",
    LowRank.to_dense,
    lambda b, Z: LowRank(Z, None, eye_like(Z.shape[1], Z)),
    lambda f, b: f.full(),
    lambda y, A, B: (None, None),
)


def _inner(U: Array, A: Any, y: LowRank) -> Array:
    """Return ``U* A U``; None for A is zero."""
    if A is None:
        return zeros_like_shape((U.shape[1], U.shape[1]), U)
    products = y.products
    return as_dtype(mH(U) @ apply(A, U) if products is None else mH(products.gram(products.image(A, U), U)), U.dtype)


def _bases(Y: Sequence[Block]) -> list[_Bases | None]:
    """Return the bases of each low-rank block, None for a dense one."""
    return [_Bases(y.U, y.V, y.products) if isinstance(y, LowRank) else None for y in Y]


def _moves(flow: _Flow, F: Sequence[Evaluation], bases: Sequence[_Bases | None], like: Sequence[Any]) -> Blocks:
    """Return the action on each low-rank block, or the values of a dense block, in the dtype of its ``like``."""
    return tuple(
        [
            as_dtype(f.full() if b is None else flow.action(f, b), x.dtype)
            for f, b, x in zip(F, bases, like, strict=True)
        ]
    )


class Motion:
    """The right-hand side ``f(t, Z)`` of one flow, Z being what moves of each block.

    A substep calls it; one that treats a linear part of the field on its own also asks for ``compressed``.
    """

    def __init__(self, flow: _Flow, field: Field, Y: State, sign: float = 1.0) -> None:
        self._flow, self._field, self._sign = flow, field, sign
        self.name, self.Y = flow.name, Y
        self._bases = _bases(Y)

    def start(self) -> Blocks:
        """Return what moves, at the start."""
        return tuple([self._flow.start(y) if isinstance(y, LowRank) else y for y in self.Y])

    def __call__(self, t: float, Z: Blocks) -> Blocks:
        """Return the derivative of Z at time t."""
        lift = self._flow.lift
        state = State([z if b is None else lift(b, z) for b, z in zip(self._bases, Z, strict=True)])
        moves = _moves(self._flow, self._field(t, state), self._bases, Z)
        return moves if self._sign == 1.0 else tuple(self._sign * move for move in moves)

    def compressed(self, i: int, A: Any, B: Any) -> tuple[Any, Any]:
        """Return the small matrices (a, b) by which a part ``A Y + Y B`` of the field moves the unknown Z of block i.

        In the K-flow they are (None, b), and the action is ``A Z + Z b``; in the L-flow (a, None) and ``B* Z + Z a*``;
        in the S-flow (a, b) and ``a Z + Z b``; for a dense block (None, None) and ``A Z + Z B``; with ``a = U* A U``
        and ``b = V* B V``. None for A or B is zero.
        """
        y = self.Y[i]
        pair = self._flow.compressed(y, A, B) if isinstance(y, LowRank) else (None, None)
        if self._sign == 1.0:
            return pair
        a, b = (None if M is None else self._sign * M for M in pair)
        return a, b

    @property
    def sign(self) -> float:
        """The factor of the field: -1 in the S-step of projector splitting."""
        return self._sign


def with_cores(Y: Sequence[Block], S: Sequence[Array]) -> State:
    """Return the state with the cores, or dense blocks, that an S-flow gave, in the bases of Y."""
    return State(
        [LowRank.moving(y.U, s, y.V, y.products) if isinstance(y, LowRank) else s for y, s in zip(Y, S, strict=True)]
    )


def from_k(Y: Sequence[Block], K: Sequence[Array]) -> State:
    """Return the state ``(Q, R, V)`` with ``K = Q R``."""
    blocks = []
    for y, moved in zip(Y, K, strict=True):
        if isinstance(y, LowRank):
            U, R = qr(moved)
            moved = LowRank.moving(_held(U, y), R, y.V, y.products)
        blocks.append(moved)
    return State(blocks)


def from_l(Y: Sequence[Block], L: Sequence[Array]) -> State:
    """Return the state ``(U, R*, Q)`` with ``L = Q R``."""
    blocks = []
    for y, moved in zip(Y, L, strict=True):
        if isinstance(y, LowRank):
            V, R = qr(moved)
            moved = LowRank.moving(y.U, mH(R), _held(V, y), y.products)
        blocks.append(moved)
    return State(blocks)


def _held(U: Array, y: LowRank) -> Array:
    """Return a new basis, with which the step that moves y is to remember products too."""
    return U if y.products is None else y.products.hold(U)


def released(Y: Sequence[Block]) -> State:
    """Return the state at the end of a step, without the products that the step remembers."""
    return State([LowRank.moving(y.U, y.S, y.V) if isinstance(y, LowRank) else y for y in Y])


def _moved(f: Motion, t: float, h: float, substep: Substep, first: Blocks | None) -> Blocks:
    """Run one substep on what moves."""
    Z = f.start()
    moved = substep(f, t, h, Z, first)
    if not all(finite(z) for z in moved):
        raise _diagnosis(f, t, h, Z, substep)
    return moved


def nonfinite_field(t: float, i: int, y: Block) -> NonFiniteError:
    """Return the error that says where F gave NaN or inf."""
    return NonFiniteError(f"F returned NaN or inf at t = {t:g}, in block {i} ({_size(y)})", i)


def _diagnosis(f: Motion, t: float, h: float, Z: Blocks, substep: Substep) -> NonFiniteError:
    """Run the substep once more, watching F, and say whether F gave NaN or inf or the step ran away."""
    try:
        moved = substep(_Watched(f._flow, f._field, f.Y, f._sign), t, h, Z)
    except NonFiniteError as error:
        return error
    i = next((i for i, z in enumerate(moved) if not finite(z)), 0)
    return run_away(f.name, t, h, i, f.Y[i])


def run_away(name: str, t: float, h: float, i: int, y: Block) -> NonFiniteError:
    """Return the error that says in which block a flow left the finite numbers."""
    return NonFiniteError(
        f"the {name}-step from t = {t:g} with h = {h:g} ran away to NaN or inf in block {i} ({_size(y)}): it is "
        "unstable, try a smaller h",
        i,
    )


class _Watched(Motion):
    """A right-hand side that stops where F gives NaN or inf at finite values."""

    def __call__(self, t: float, Z: Blocks) -> Blocks:
        values = super().__call__(t, Z)
        for i, value in enumerate(values):
            if not finite(value) and not overflowing(Z):
                raise nonfinite_field(t, i, self.Y[i])
        return values


def _size(y: Block) -> str:
    return " x ".join(map(str, y.shape))
