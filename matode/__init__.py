"""Matrix ODEs kept in low-rank form: dynamical low-rank approximation, its integrators, and their error bounds."""

from matode.evaluations import Operator
from matode.integrators import (
    ABCPSI,
    BUG,
    DGN,
    DRSVD,
    INTEGRATORS,
    KSL,
    LSK,
    AugmentedBUG,
    FullRank,
    KSLStrang,
    MidpointBUG,
    ParallelBUG,
    ParallelBUG2,
    ProjectedRungeKutta,
    RungeKuttaBUG,
    StepTruncation,
)
from matode.lowrank import LowRank
from matode.protocols import Evaluation, Field, Integrator, NonFiniteError, State, Step
from matode.solution import Solution
from matode.solve import solve
from matode.substeps import Adaptive, Exponential, Reference, Repeated, RungeKutta, euler, heun, heun3, midpoint, rk4
from matode.truncation import Absolute, PerBlock, Rank, Relative, Truncation

__version__ = "0.1.0"

__all__ = [
    "ABCPSI",
    "BUG",
    "DGN",
    "DRSVD",
    "INTEGRATORS",
    "KSL",
    "LSK",
    "Absolute",
    "Adaptive",
    "AugmentedBUG",
    "Evaluation",
    "Exponential",
    "Field",
    "FullRank",
    "Integrator",
    "KSLStrang",
    "LowRank",
    "MidpointBUG",
    "NonFiniteError",
    "Operator",
    "ParallelBUG",
    "ParallelBUG2",
    "PerBlock",
    "ProjectedRungeKutta",
    "Rank",
    "Reference",
    "Relative",
    "Repeated",
    "RungeKutta",
    "RungeKuttaBUG",
    "Solution",
    "State",
    "Step",
    "StepTruncation",
    "Truncation",
    "__version__",
    "euler",
    "heun",
    "heun3",
    "midpoint",
    "rk4",
    "solve",
]
