"""Problems with references and known constants; each function returns a :class:`Problem`."""

from matode.problems.allen_cahn import allen_cahn
from matode.problems.bounded import bounded
from matode.problems.burgers import burgers
from matode.problems.completion import completion
from matode.problems.convection_diffusion import convection_diffusion
from matode.problems.data import given_data, snapshots
from matode.problems.given import given_matrix
from matode.problems.lyapunov import lyapunov
from matode.problems.nonlinear_schroedinger import nonlinear_schroedinger
from matode.problems.problem import Linear, Problem
from matode.problems.radiative_transfer import plane_source
from matode.problems.registry import PROBLEMS, make_problem
from matode.problems.riccati import riccati
from matode.problems.rotation import lubich_oseledets, rotation
from matode.problems.schroedinger import schroedinger
from matode.problems.sylvester import sylvester
from matode.problems.vlasov_poisson import landau_damping, landau_root, two_stream

__all__ = [
    "PROBLEMS",
    "Linear",
    "Problem",
    "allen_cahn",
    "bounded",
    "burgers",
    "completion",
    "convection_diffusion",
    "given_data",
    "given_matrix",
    "landau_damping",
    "landau_root",
    "lubich_oseledets",
    "lyapunov",
    "make_problem",
    "nonlinear_schroedinger",
    "plane_source",
    "riccati",
    "rotation",
    "schroedinger",
    "snapshots",
    "sylvester",
    "two_stream",
]
