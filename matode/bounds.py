"""Explicit error bounds of low-rank integrators, as functions of measured or given constants.

Notation, in the Frobenius norm: ``Y' = F(t, Y)`` has the exact flow Phi; F has the Lipschitz constant L and the bound
B, ``||F(t, Y)|| <= B``, at the matrices that are met; the normal component, what F has outside the tangent space,
``N(Y) = (I - P_U) F(t, Y) (I - P_V)``, is at most eps there; h is the step, theta the truncation tolerance, ``q =
e^(L h)``. Every local bound is on ``||Y1^ - Phi_h(Y0)||``, one step from a point *before* truncation, and contains no
singular value: that is what "robust to small singular values" means.

``LOCAL_BOUNDS[name][substep]`` is the bound of the catalogue's method ``name`` with ``substep`` "exact" (the small
ODEs are solved exactly) or "euler". :func:`global_bound` adds the steps up, :func:`a_posteriori` does so with
measured numbers.

The "exact" rows whose bound needs eps only at Y0 take the normal component there; for F that depends on t, take its
supremum over the step. The "euler" rows assume an autonomous F; otherwise add ``h^2/2 sup ||dF/dt||``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

__all__ = [
    "LOCAL_BOUNDS",
    "DLRTConstants",
    "a_posteriori",
    "abc_psi",
    "abc_psi_euler",
    "any_euler",
    "any_exact",
    "augmented_bug",
    "augmented_bug_euler",
    "bug",
    "bug_euler",
    "descent",
    "descent_exact",
    "dlrt_constants",
    "global_bound",
    "ksl",
    "ksl_euler",
    "ksl_strang",
    "ksl_strang_euler",
    "parallel_bug",
    "parallel_bug_2",
    "parallel_bug_euler",
    "projected_euler",
    "step_truncation_euler",
    "truncated_descent",
]


def ksl(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one step of projector splitting with exact subflows: ``q (eps h + 3 L B h^2)``.

    Hypotheses: L, B and eps hold at every matrix of the step, K- and S-stages included. The adjoint (L-, S-, K-step)
    has the same bound, by transposition.

    Proof sketch: after the S-step, ``X = P_U1 Y0 + int P_U1 (F(Z) - F(X)) P_V0`` with ``||Z - X|| <= B h``, so X is
    within ``L B h^2`` of ``P_U1 Y0``; the range of the new U misses ``Phi_h`` by ``eps h + 3/2 L B h^2`` (see
    :func:`bug`); the L-step is a one-sided Galerkin method, to which Gronwall's lemma applies.
    """
    return math.exp(L * h) * (eps * h + 3 * L * B * h**2)


def ksl_strang(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one Strang step with exact subflows: ``(1 + e^(L h/2)) e^(L h/2) (eps h/2 + 3/4 L B h^2)``.

    Hypotheses: as for :func:`ksl`. The robust bound is of first order; second order is observed, not proven.

    Proof sketch: two half steps, each bounded by :func:`ksl` (the second by its transpose); the error of the first is
    carried through the exact flow, which stretches it by at most ``e^(L h/2)``.
    """
    half = ksl(L=L, B=B, eps=eps, h=h / 2)
    return (1 + math.exp(L * h / 2)) * half


def ksl_euler(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one step of projector splitting with Euler substeps: ``eps h + 7/2 L B h^2 + L^2 B h^3``.

    Hypotheses: F is autonomous; L, B and eps hold at every matrix of the step. The adjoint has the same bound.

    Proof sketch: with ``Z = Y0 + h F(Y0) P_V0`` and X the end of the S-step, the step is
    ``P_U1 (Y0 + h F(Y0)) + h P_U1 (F(Y0) - F(Z)) P_V0 + h P_U1 (F(X) - F(Y0))``, where ``||Z - Y0|| <= B h`` and
    ``||X - Y0|| <= B h + L B h^2``; the range of U1 misses ``Y0 + h F(Y0)`` by ``h (I - P_U1) F(Y0) (I - P_V0)``, at
    most ``eps h + L B h^2`` by comparison with the normal component at Z; Euler's own local error is ``L B h^2 / 2``.
    """
    return eps * h + 3.5 * L * B * h**2 + L**2 * B * h**3


def ksl_strang_euler(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one Strang step with Euler substeps: ``1 + e^(L h/2)`` times :func:`ksl_euler` of half the step.

    Hypotheses and proof sketch: as for :func:`ksl_strang`, with :func:`ksl_euler` for the halves.
    """
    return (1 + math.exp(L * h / 2)) * ksl_euler(L=L, B=B, eps=eps, h=h / 2)


def bug(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one fixed-rank BUG step with exact subflows: ``q (sqrt2 eps h + (3/2 sqrt2 + 1/2) L B h^2)``.

    Hypotheses: L, B and eps hold at every matrix of the step.

    Proof sketch: ``(I - P_U1) Phi_h = (I - P_U1) (Phi_h - Z_K(h))``, since the K-step's end has the range of U1; the
    difference is at most ``eps h + 3/2 L B h^2``. Both sides together give ``sqrt2`` times that for ``||Phi_h - P_U1
    Phi_h P_V1||``; the Galerkin step adds ``L B h^2 / 2`` by Gronwall's lemma, started at the projection.
    """
    return math.exp(L * h) * (math.sqrt(2) * eps * h + (1.5 * math.sqrt(2) + 0.5) * L * B * h**2)


def bug_euler(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one fixed-rank BUG step with Euler substeps: ``sqrt2 eps h + (2 sqrt2 + 1/2) L B h^2``.

    Hypotheses: F is autonomous; L, B and eps hold at every matrix of the step.

    Proof sketch: either new basis misses ``Y0 + h F(Y0)`` by at most ``eps h + L B h^2`` (see :func:`ksl_euler`), the
    two together by ``sqrt2`` times that; the Galerkin step evaluates F at ``P1 Y0 P2``, within ``sqrt2 B h`` of Y0;
    Euler's own local error is ``L B h^2 / 2``.
    """
    return math.sqrt(2) * eps * h + (2 * math.sqrt(2) + 0.5) * L * B * h**2


def augmented_bug(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one augmented BUG step with exact subflows: ``eps h + (sqrt13/2 + q/2) L B h^2``, eps at Y0 alone.

    Hypotheses: L and B hold at every matrix of the step; eps is the normal component at Y0.

    Proof sketch: the result of :func:`parallel_bug` lies in ``{P1 X P2}`` of the augmented bases, so the projection
    of ``Phi_h`` misses it by at most that bound; the Galerkin solution W starts at Y0 itself, and ``D = P1 Phi P2 -
    W`` obeys ``D' <= L (D + B t)``.
    """
    return eps * h + (math.sqrt(13) + math.exp(L * h)) / 2 * L * B * h**2


def augmented_bug_euler(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one augmented BUG step with Euler substeps (the DLRT step): ``eps h + L B h^2 / 2``, eps at Y0 alone.

    Hypotheses: F is autonomous, L and B hold along the exact flow; eps is the normal component at Y0.

    Proof sketch: P1 contains U0 and the range of F V0, P2 contains V0 and the range of F* U0, so that the step is
    ``Y0 + h P1 F P2`` with ``F - P1 F P2 = N - P1 N P2``, of norm at most ``||N||``; Euler's own local error is
    ``L B h^2 / 2``.
    """
    return eps * h + 0.5 * L * B * h**2


def parallel_bug(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one parallel BUG step with exact subflows: ``eps h + sqrt13/2 L B h^2``, eps at Y0 alone.

    Hypotheses: L and B hold at every matrix of the step; eps is the normal component at Y0.

    Proof sketch: the assembled step is Y0 plus the integral of three mutually orthogonal parts of F along the K-, L-
    and S-solutions, each within ``2 L B t`` of the same part of F along ``Phi``; the missing fourth part is at most
    ``eps + L B t``. Pythagoras, then integrate ``eps + sqrt13 L B t``.
    """
    return eps * h + math.sqrt(13) / 2 * L * B * h**2


def parallel_bug_euler(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one parallel BUG step with Euler substeps: ``eps h + L B h^2 / 2``, eps at Y0 alone.

    Hypotheses: as for :func:`augmented_bug_euler`. Proof sketch: the step is ``Y0 + h P_T F`` exactly, and ``F - P_T
    F = N``.
    """
    return eps * h + 0.5 * L * B * h**2


def parallel_bug_2(*, L: float, B: float, eps: float, eps_wide: float, h: float) -> float:
    """Bound one second-order parallel BUG step with exact subflows: ``eps_wide h + L q (eps h^2 + L B h^3 / 3)``.

    Hypotheses: F is autonomous; ``eps`` is the normal component at Y0 for the rank r, ``eps_wide`` that of the bases of
    width 2r, along the step.

    Proof sketch: the bases contain ``F V0`` and ``F* U0``, so the K-, L- and S-solutions stay within ``a = e^(L t)
    (eps t + L B t^2 / 2)`` of the exact flow; the step's defect is at most ``eps_wide + 2 L a``; integrate.
    """
    return eps_wide * h + L * math.exp(L * h) * (eps * h**2 + L * B * h**3 / 3)


def projected_euler(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one projected Euler (PRK1) step, after its truncation to rank r: ``(2 + q) eps h + L B h^2``.

    Hypotheses: L, B and eps hold along the exact low-rank solution y as well.

    Proof sketch: the best rank-r approximation of X is no further away than y, ``||T_r X - X|| <= ||X - y||``; the
    distance of y from ``Phi_h`` is at most ``eps (q - 1) / L <= q eps h``, the projected Euler step's own error ``eps
    h + L B h^2/2``.
    """
    return (2 + math.exp(L * h)) * eps * h + L * B * h**2


def step_truncation_euler(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one step-truncation Euler step, after its truncation to rank r: ``q eps h + L B h^2``.

    Hypotheses and proof sketch: as for :func:`projected_euler`, without the projection's share.
    """
    return math.exp(L * h) * eps * h + L * B * h**2


def abc_psi(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one augmented backward-corrected step with exact subflows: ``eps h + (sqrt5/2 + q/2) L B h^2``, eps at Y0.

    Hypotheses: L and B hold at every matrix of the step; eps is the normal component at Y0.

    Proof sketch: one-sided version of :func:`augmented_bug`: ``(I - P1) (Phi_h - Z_K(h))`` is at most the integral of
    ``((2 L B t)^2 + (eps + L B t)^2)^(1/2)``, and the Galerkin step starts at Y0 itself.
    """
    return eps * h + (math.sqrt(5) + math.exp(L * h)) / 2 * L * B * h**2


def abc_psi_euler(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one augmented backward-corrected step with Euler substeps: ``eps h + L B h^2 / 2``, eps at Y0 alone.

    Hypotheses: as for :func:`augmented_bug_euler`. Proof sketch: the step is ``Y0 + h P1 F``, and ``(I - P1) F = (I -
    P1) N``.
    """
    return eps * h + 0.5 * L * B * h**2


def any_exact(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one step of any method here with exact subflows, also where it is cut back to the rank of its start.

    Statement: ``q ((2 sqrt2 + 1) eps h + (sqrt13 + 1) L B h^2)``, hypotheses as for :func:`ksl`.

    Proof sketch: cutting Y1^ to its best rank-r approximation moves it no further than its distance from the exact
    rank-r solution y, ``||Phi_h - y|| <= q eps h``, so that the error is at most twice the local bound plus ``q eps
    h``. :func:`augmented_bug` has the largest second-order term of the methods that are cut, :func:`bug` the largest
    first one; :func:`ksl` and :func:`projected_euler` stay below the sum.
    """
    q = math.exp(L * h)
    return q * ((2 * math.sqrt(2) + 1) * eps * h + (math.sqrt(13) + 1) * L * B * h**2)


def any_euler(*, L: float, B: float, eps: float, h: float) -> float:
    """Bound one step of any method here with Euler substeps, also where it is cut back to the rank of its start.

    Statement: ``(2 + q) eps h + 7/2 L B h^2 + L^2 B h^3``, hypotheses as for :func:`ksl_euler`.

    Proof sketch: :func:`ksl_euler` and :func:`bug_euler` are below it, and so is twice :func:`augmented_bug_euler` plus
    ``q eps h``, see :func:`any_exact`.
    """
    return (2 + math.exp(L * h)) * eps * h + 3.5 * L * B * h**2 + L**2 * B * h**3


LOCAL_BOUNDS: Mapping[str, Mapping[str, Callable[..., float]]] = MappingProxyType(
    {
        "ksl": {"exact": ksl, "euler": ksl_euler},
        "lsk": {"exact": ksl, "euler": ksl_euler},
        "ksl-strang": {"exact": ksl_strang, "euler": ksl_strang_euler},
        "bug": {"exact": bug, "euler": bug_euler},
        "augmented-bug": {"exact": augmented_bug, "euler": augmented_bug_euler},
        "parallel-bug": {"exact": parallel_bug, "euler": parallel_bug_euler},
        "abc-psi": {"exact": abc_psi, "euler": abc_psi_euler},
        "prk1": {"euler": projected_euler},
        "step-truncation": {"euler": step_truncation_euler},
    }
)
"""Local bounds by catalogue name and class of substep; all take ``L, B, eps, h`` as keywords."""


def global_bound(local: float, *, L: float, h: float, T: float, start_error: float = 0.0, theta: float = 0.0) -> float:
    """Bound the error at time T: ``e^(L T) start_error + (e^(L T) - 1) / (L h) (local + theta)``, with T/h for L = 0.

    Statement: if every step has the local error ``local`` and discards at most ``theta``, then ``e_(n+1) <= e^(L h)
    e_n + local + theta``, whose sum this is. The steps are T/h; ``(e^(L T) - 1) / (L h)`` is at least the geometric
    sum, since ``e^(L h) - 1 >= L h``.

    Parameters
    ----------
    local : float
        A local bound, from one of this module's functions.
    L : float
        Lipschitz constant. A one-sided one may be given, where F has it: only the growth of errors under the exact flow
        is used here; with L <= 0 the sum of T/h steps is taken, which is then an upper bound too.
    h, T : float
        Step and length of the interval, both positive.
    start_error : float
        ``||Y_0 - A(0)||``.
    theta : float
        Largest Frobenius norm that a step discards.
    """
    if L <= 0:
        return start_error + T / h * (local + theta)
    return math.exp(L * T) * start_error + math.expm1(L * T) / (L * h) * (local + theta)


def a_posteriori(
    local: Sequence[float],
    discarded: Sequence[float],
    *,
    L: float,
    h: float | Sequence[float],
    start_error: float = 0.0,
) -> list[float]:
    """Bound the error after every step, from measured numbers: ``E <- e^(L h) E + local_n + discarded_n``.

    Parameters
    ----------
    local : sequence of float
        The local bound of each step, with the *measured* normal component: for Euler substeps
        ``augmented_bug_euler(L=L, B=B, eps=eps_n, h=h)``.
    discarded : sequence of float
        What the truncation of each step discarded (``Solution.truncation_error``).
    L : float
        Lipschitz constant of F, or a one-sided one.
    h : float or sequence of float
        Step, or the steps.
    start_error : float
        ``||Y_0 - A(0)||``.

    Returns
    -------
    list of float
        One more than there are steps; the first is ``start_error``.

    Notes
    -----
    Proof sketch: triangle inequality between the step and the exact flow from the same point, and the flow's growth
    ``e^(L h)`` of the difference that was there before.
    """
    if len(local) != len(discarded):
        raise ValueError(f"expected one discarded norm per step, got {len(local)} steps and {len(discarded)} norms")
    steps = [float(h)] * len(local) if isinstance(h, int | float) else list(h)
    bounds = [start_error]
    for step, e, tau in zip(steps, local, discarded, strict=True):
        bounds.append(math.exp(L * abs(step)) * bounds[-1] + e + tau)
    return bounds


class DLRTConstants(NamedTuple):
    """Constants of ``||Y_n - A(t_n)|| <= c1 eps + c2 h + c3 theta / h``."""

    c1: float
    c2: float
    c3: float


def dlrt_constants(*, L: float, B: float, T: float) -> DLRTConstants:
    """Return the constants of the DLRT error theorem, ``||W_n - W(t_n)|| <= c1 eps + c2 h + c3 theta / h``.

    Statement (Theorem 1 of the DLRT paper, with explicit constants for SGD, that is augmented BUG with Euler substeps
    on a gradient flow): ``c1 = c3 = (e^(L T) - 1) / L`` and ``c2 = B (e^(L T) - 1) / 2``; L is the Lipschitz constant
    of the gradient, B its bound, T the time. They do not depend on singular values.

    Proof sketch: :func:`global_bound` of :func:`augmented_bug_euler`.
    """
    growth = math.expm1(L * T) / L if L > 0 else T
    return DLRTConstants(c1=growth, c2=0.5 * B * L * growth, c3=growth)


def descent(*, L: float, h: float, projected_gradient: float) -> float:
    """Return the least decrease of the loss in one augmented step before truncation: ``h (1 - h L/2) ||g||^2``.

    Statement: if f is L-smooth and ``h L <= 2``, a BUG step with augmented bases and Euler substeps ends at Y1^ with
    ``f(Y1^) <= f(Y0) - h (1 - h L/2) ||U^* G V^||^2``, where G is the gradient at Y0 and ``||U^* G V^|| >= ||P_T
    G||``: either norm may be given as ``projected_gradient``. It is sharp: methods without augmentation violate it.

    Proof sketch: the step is ``Y1^ = Y0 - h P1 G P2``; insert it in ``f(Y + D) <= f(Y) + <G, D> + L/2 ||D||^2``.
    """
    return h * (1 - h * L / 2) * projected_gradient**2


def descent_exact(*, L: float, B: float, h: float, tangent_gradient: float) -> float:
    """Return the least decrease of the loss in one augmented step with exact subflows, before truncation.

    Statement: if f is L-smooth and its gradient at most B along the step, a BUG step with augmented bases and exact
    substeps has ``f(Y1^) <= f(Y0) - (1 - e^(-2 L h)) / (2 L) max(0, ||P_T G|| - L B h/sqrt2)^2``, where
    ``tangent_gradient`` is ``||P_T G||`` at Y0. The form of :func:`descent` fails for such a step.

    Proof sketch: the Galerkin solution W loses ``||g||^2`` per unit of time, ``g = P1 grad f(W) P2``, and ``||g||``
    shrinks no faster than ``e^(-L t)``. The new bases miss ``G V0`` and ``G* U0`` by at most ``L B h/2`` each, since
    they contain the integral of ``grad f V0`` along the K-step, and of its counterpart along the L-step.
    """
    seen = max(0.0, tangent_gradient - L * B * h / math.sqrt(2))
    return -math.expm1(-2 * L * h) / (2 * L) * seen**2


def truncated_descent(
    *, L: float, h: float, projected_gradient: float, gradient_after: float, discarded: float
) -> float:
    """Return the least decrease of the loss in one full DLRT step, truncation included: ``alpha h - beta discarded``.

    Statement (Theorem 2 of the DLRT paper, with explicit constants): ``f(Y1) <= f(Y0) - alpha h + beta theta`` with
    ``alpha = (1 - h L/2) ||U^* G V^||^2`` and ``beta = ||grad f(Y1^)|| + L theta / 2``; ``discarded``, at most theta,
    may stand for theta. A negative value allows the loss to rise by as much.

    Proof sketch: :func:`descent`, then smoothness from Y1^ to its truncation.
    """
    beta = gradient_after + L * discarded / 2
    return descent(L=L, h=h, projected_gradient=projected_gradient) - beta * discarded
