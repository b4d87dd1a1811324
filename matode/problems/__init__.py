"""Problems with references and known constants; each function returns a :class:`Problem`."""

from matode.problems.bounded import bounded
from matode.problems.completion import completion
from matode.problems.given import given_matrix
from matode.problems.lyapunov import lyapunov
from matode.problems.problem import Problem
from matode.problems.schroedinger import schroedinger
from matode.problems.sylvester import sylvester

__all__ = ["Problem", "bounded", "completion", "given_matrix", "lyapunov", "schroedinger", "sylvester"]
