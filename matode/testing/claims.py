"""What an integrator claims: its family, order and guarantees, and the table of what theory says of the catalogue's.

The nine guarantees are properties of one step, up to the accuracy of the substeps and to the truncation:

=============  ========================================================================================================
name           meaning
=============  ========================================================================================================
exact          Y' = A'(t) with A(t) of rank r is solved exactly (Euler substeps: for constant A')
transpose      the step for F(Y*)* from Y0* is the conjugate transpose of the step for F from Y0
reversible     a step by h and a step by -h give the start back
norm           the norm is kept where Re <Y, F(Y)> = 0
energy         <Y, H Y> is kept by the Schroedinger equation Y' = -i H Y
descent        a gradient flow's loss falls by what the gradient in the augmented bases promises; this needs bases that
               contain F(Y0) V0 and F(Y0)* U0 (or F(Y0) V0 alone, for a method that projects on one side)
symmetric      Y0 = Y0* stays so where F(Y*) = F(Y)*
skew           Y0 = -Y0* stays so where F(-Y*) = -F(Y)*
psd            a Hermitian positive semidefinite Y0 stays so under a Lyapunov equation
=============  ========================================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from matode import bounds
from matode.substeps import Reference, Repeated, RungeKutta, rk4
from matode.testing.theory import ROWS, SubstepClass

__all__ = ["CATALOGUE_CLAIMS", "GUARANTEES", "Claims", "claims_of", "substep_class"]

GUARANTEES = frozenset({"exact", "transpose", "reversible", "norm", "energy", "descent", "symmetric", "skew", "psd"})
"""Names of the guarantees. All are those of a whole step; "norm", "energy", "psd" and "descent" are lost where it cuts
back to the old rank, and "descent" needs bases that contain F(Y0) V0 and F(Y0)* U0 (one-sided methods: F(Y0) V0)."""


def names_in(what: str, names: Iterable[str]) -> frozenset[str]:
    """Return names as a set; a lone string, or what is not a collection of strings, is a TypeError that says so."""
    if isinstance(names, str):
        raise TypeError(f"{what} must be a collection of names, got the string {names!r}")
    if not isinstance(names, Iterable):
        raise TypeError(f"{what} must be a collection of names, got {names!r}")
    names = list(names)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{what} must be a collection of names, got one that contains {name!r}")
    return frozenset(names)


def check_guarantees(names: Iterable[str]) -> None:
    """Raise a ValueError with the known names where one is not a guarantee."""
    unknown = sorted(set(names) - GUARANTEES)
    if unknown:
        raise ValueError(f"unknown guarantee {unknown[0]!r}: expected names out of {', '.join(sorted(GUARANTEES))}")


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What the checks hold an integrator to.

    Attributes
    ----------
    order : float
        Order of convergence on smooth problems whose solution has the rank; tested from below.
    guarantees : set of str
        Names out of :data:`GUARANTEES`.
    denied : set of str
        Guarantees that theory denies: the integrator must be *seen* to violate them. Never set for a stranger.
    substep : {"euler", "exact"}
        How the small ODEs are solved: by explicit Euler, or by order 4 or more (then h is chosen so that this counts as
        exact).
    family : str or None
        Catalogue name of the method whose local bound and identities hold; None asks for the loosest bound only.
    order_below : float
        Upper end of the window of observed orders, for the methods that have one.
    widening : float
        The rank after a step is at most this times the rank before.
    evaluations : int or None
        Evaluations of the field that a step costs, where that is part of the claim.
    tolerance : float
        Identities are asked for to this, relative to 1 + ||Y||; each check has its own floor.
    truncation : float
        What a step may discard, relative to ||Y||, where this cannot be set from outside.
    stranger : bool
        Somebody else's code: it is asked for its guarantees only in double precision, with h > 0 unless it claims to be
        reversible, on one block, at sizes where the augmented bases are not the whole space.
    random : bool
        Two steps with different memory differ: what compares two runs by their numbers is left out.
    formula : int
        Order of the formula that moves a dense block: that of the substeps, 4 or more, unless the method is a
        Runge-Kutta formula of its own.
    rule_decides : bool
        The truncation rule decides more than what is cut at the end, so that steps with two rules are not compared.
    """

    order: float = 1.0
    guarantees: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()
    substep: SubstepClass = "exact"
    family: str | None = None
    order_below: float = math.inf
    widening: float = math.inf
    evaluations: int | None = None
    tolerance: float = 0.0
    truncation: float = 1e-10
    stranger: bool = False
    random: bool = False
    formula: int = 4
    rule_decides: bool = False
    bound: Callable[..., float] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for name in ("guarantees", "denied"):
            object.__setattr__(self, name, names_in(name, getattr(self, name)))
        check_guarantees(self.guarantees | self.denied)
        if self.substep not in ("euler", "exact"):
            raise ValueError(f"substep must be 'euler' or 'exact', got {self.substep!r}")
        if self.family is not None and self.family not in ROWS:
            raise ValueError(f"unknown family {self.family!r}: expected one of {', '.join(sorted(ROWS))}")

    def local_bound(self, *, L: float, B: float, eps: float, h: float, rate: float = 0.0) -> float:
        """Return the bound of one step's error before truncation; ``rate`` is a bound of ``||dF/dt||``."""
        h = abs(h)
        bound = self.bound
        if bound is None:
            rows = bounds.LOCAL_BOUNDS.get(self.family or "", {})
            bound = rows.get(self.substep, bounds.any_euler if self.substep == "euler" else bounds.any_exact)
        return bound(L=L, B=B, eps=eps, h=h) + (0.5 * rate * h**2 if self.substep == "euler" else 0.0)

    @property
    def eps_at_start(self) -> bool:
        """Whether the local bound needs the normal component at Y0 alone, so that it can be measured."""
        return self.family in ("augmented-bug", "parallel-bug", "abc-psi")

    @property
    def adaptive(self) -> bool:
        """Whether the rank may grow."""
        return self.widening > 1


def _claims(name: str, substep: SubstepClass) -> Claims:
    row = ROWS[name]
    substep = row.always or substep
    euler = substep == "euler"
    return Claims(
        order=min(row.order, 1.0) if euler else row.order,
        order_below=math.inf if euler else row.order_below,
        guarantees=frozenset((row.euler if euler else row.exact).split()),
        denied=frozenset((row.denied_euler if euler else row.denied).split()),
        substep=substep,
        family=name,
        widening=row.widening,
        evaluations=row.euler_evaluations if euler else None,
        random=row.random,
        formula=row.formula,
    )


_SUBSTEPS: tuple[SubstepClass, ...] = ("euler", "exact")

CATALOGUE_CLAIMS: Mapping[tuple[str, str], Claims] = MappingProxyType(
    {(name, substep): _claims(name, substep) for name in ROWS for substep in _SUBSTEPS}
)
"""Claims by catalogue name and class of substep."""


def claims_of(integrator: Any, claims: Claims | str | None = None, guarantees: Iterable[str] | None = None) -> Claims:
    """Return what an integrator is held to.

    Parameters
    ----------
    integrator : Integrator
        One of the catalogue, or a subclass of one, is looked up; an attribute ``claims`` is taken; anything else claims
        order 1 and the loosest bound of its substeps.
    claims : Claims or str, optional
        Claims, or the catalogue name of the method that this one says it is; they win.
    guarantees : iterable of str, optional
        Replaces the guarantees (and drops those that are denied).
    """
    if isinstance(claims, str):
        if claims not in ROWS:
            raise ValueError(f"unknown method {claims!r}: expected one of {', '.join(sorted(ROWS))}")
        claims = CATALOGUE_CLAIMS[claims, substep_class(integrator)]
    if claims is None:
        claims = getattr(integrator, "claims", None)
    if claims is None:
        name = _catalogue_name(integrator)
        if name is not None:
            claims = _configured(CATALOGUE_CLAIMS[name, substep_class(integrator)], integrator)
        else:
            claims = Claims(substep=substep_class(integrator), tolerance=1e-9, stranger=True)
    if guarantees is not None:
        claims = replace(claims, guarantees=names_in("guarantees", guarantees), denied=frozenset())
    return claims


def substep_class(integrator: Any) -> SubstepClass:
    """Return "exact" where the integrator's substep has order 4 or more, or is not known; else "euler"."""
    substep = getattr(integrator, "substep", getattr(integrator, "tableau", rk4))
    while isinstance(substep, Repeated):
        substep = substep.substep
    if isinstance(substep, Reference) or not isinstance(substep, RungeKutta):
        return "exact"
    return "exact" if len(substep.b) >= 4 else "euler"


def _catalogue_name(integrator: Any) -> str | None:
    """Return the catalogue name of an integrator whose class, or base class, is in the catalogue."""
    from matode.integrators import INTEGRATORS

    for cls in type(integrator).__mro__:
        matches = {name: entry for name, factory in INTEGRATORS.items() if type(entry := factory()) is cls}
        if len(matches) == 1:
            return next(iter(matches))
        for name, entry in matches.items():
            if _configuration(entry) == _configuration(integrator):
                return name
    return None


def _configured(claims: Claims, integrator: Any) -> Claims:
    """Return the claims of a method of the catalogue that has options switched: some are given up by that."""
    if not getattr(integrator, "augment", True):
        claims = replace(claims, guarantees=claims.guarantees - {"norm", "energy"})
    if getattr(integrator, "retries", 0):
        none: frozenset[str] = frozenset()
        claims = replace(
            claims, guarantees=none, denied=none, family=None, widening=math.inf, evaluations=None, rule_decides=True
        )
    return claims


def _configuration(integrator: Any) -> dict[str, Any]:
    """Return the fields that tell methods of one class apart."""
    fields = getattr(integrator, "__dataclass_fields__", {})
    return {key: getattr(integrator, key) for key in fields if key not in ("substep", "truncation", "seed")}
