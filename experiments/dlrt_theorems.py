"""The two theorems of the DLRT paper, with explicit constants, beside what happens.

``error.csv`` (Theorem 1)
    Gradient flow of a linear least-squares problem, whose exact solution is known, by DLRT steps of size h, the
    learning rate. The error at the end, and the three terms of its bound ``c1 eps + c2 h + c3 theta / h``: once with
    ``theta = h^2``, where the bound falls with h, and once with the relative tolerance tau of the paper, where it
    grows. ``measured_bound`` has the measured normal component and the discarded norm of every step.
``descent.csv`` (Theorem 2)
    Training on scikit-learn's digits: the loss of the batch after each step and what it may not exceed,
    ``loss - alpha h + beta theta``. For softmax regression the Lipschitz constant of the gradient is known; for a net
    of three layers it is estimated along each step, so that a violation there would be a hint.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments import tables
from experiments.convergence import BoundViolatedError
from experiments.progress import Progress
from experiments.recording import measure
from matode import Absolute, AugmentedBUG, LowRank, Relative, Truncation, bounds, euler, solve
from matode._array import Backend, default_rng, get_backend, host, to_host
from nn import data, mlp, train
from nn.monitors import Monitored, Observation

__all__ = ["FULL", "QUICK", "Settings", "run"]


@dataclass(frozen=True)
class Settings:
    """Settings of the experiment.

    Attributes
    ----------
    steps : tuple of float
        Step sizes for Theorem 1; 0.05 is the learning rate of the paper's LeNet5.
    tau : float
        Relative tolerance of the paper, for both theorems.
    noise : float
        Norm of the part of the least-squares target that has full rank: nearly the normal component.
    outputs, inputs, rank : int
        Sizes of the least-squares problem, and rank of its noiseless solution.
    T : float
        Length of the interval.
    epochs, lr, batch_size, width : int, float, int, int
        For Theorem 2; ``width`` is that of the two hidden layers.
    seed : int
    """

    steps: tuple[float, ...] = (1e-1, 5e-2, 2e-2, 1e-2, 5e-3, 2e-3, 1e-3)
    tau: float = 0.1
    noise: float = 1e-3
    outputs: int = 30
    inputs: int = 20
    rank: int = 4
    T: float = 1.0
    epochs: int = 5
    lr: float = 0.05
    batch_size: int = 128
    width: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.steps or not min(self.steps) > 0 or not self.lr > 0:
            raise ValueError(f"steps and lr: expected positive numbers, got {self.steps} and {self.lr}")


FULL = Settings()
QUICK = Settings(steps=(1e-1, 5e-2, 2e-2, 1e-2, 5e-3), epochs=3)


def run(settings: Settings, folder: Path, progress: Progress, backend: str | Backend) -> None:
    """Write ``error.csv`` and ``descent.csv``.

    Raises
    ------
    BoundViolatedError
        If an error is above its bound, or a step with a known Lipschitz constant misses its descent; the tables are
        written nevertheless.
    """
    where = get_backend(backend) if isinstance(backend, str) else backend
    errors = _errors(settings, where, progress)
    tables.write(folder / "error.csv", errors)
    progress(0.5, "descent")
    descent = _descent(settings, where)
    tables.write(folder / "descent.csv", descent)
    progress(1.0, "")
    wrong = [f"error, {r['rule']}, h = {r['h']:g}" for r in errors if r["error"] > min(r["bound"], r["measured_bound"])]
    wrong += [f"descent, step {r['step']}" for r in descent if r["known"] and not r["holds"]]
    if wrong:
        raise BoundViolatedError("; ".join(wrong))


def _errors(s: Settings, where: Backend, progress: Progress) -> list[dict[str, Any]]:
    """Return one row per rule of truncation and step size."""
    rng = default_rng(s.seed)
    X = rng.standard_normal((s.inputs, 8 * s.inputs))
    C = X @ X.T
    C /= host.linalg.norm(C, 2)  # the Hessian of the loss: L = 1
    eigenvalues, Q = host.linalg.eigh(C)
    shape, values = (s.outputs, s.inputs), [10.0 ** (-k / 2) for k in range(s.rank)]
    true, start = (LowRank.random(shape, s.rank, singular_values=values, rng=rng) for _ in range(2))
    rest = rng.standard_normal((s.outputs, s.inputs))
    target = to_host(true.to_dense()) + rest * (s.noise / host.linalg.norm(rest))
    first = (start + true).truncate(Relative(1e-14))  # its bases hold the solution's, so that noise alone is normal
    exact = target + ((to_host(first.to_dense()) - target) @ Q) * host.exp(-s.T * eigenvalues) @ Q.T

    R, H = (where.xp.asarray(x, device=where.device) for x in (target @ C, C))
    Y0 = LowRank(*(where.xp.asarray(to_host(x), device=where.device) for x in (first.U, first.S, first.V)))

    def field(t: float, Y: LowRank) -> Any:
        return R - Y.to_dense() @ H

    rows = []
    for k, h in enumerate(s.steps):
        rules: dict[str, Truncation] = {"theta = h^2": Absolute(h**2), "tau": Relative(s.tau)}
        for name, rule in rules.items():
            progress(0.5 * k / len(s.steps), f"Theorem 1, {name}, h = {h:g}")
            solution = solve(field, (0.0, s.T), Y0, AugmentedBUG(euler), h=h, truncation=rule)
            seen = [measure(field(t, Y), Y) for t, Y in zip(solution.t[:-1], solution.Y[:-1], strict=True)]
            eps, B = (max(values) for values in zip(*seen, strict=True))
            discarded = solution.truncation_error
            # no step discards more than a tau of the largest matrix, which the truncated ones and these bound
            theta = h**2 if name != "tau" else s.tau * max((Y.norm() ** 2 + d**2) ** 0.5 for Y, d in _ends(solution))
            local = [bounds.augmented_bug_euler(L=1.0, B=B, eps=e, h=h) for e, _ in seen]
            c = bounds.dlrt_constants(L=1.0, B=B, T=s.T)
            rows.append(
                {
                    "rule": name,
                    "h": h,
                    "error": float(host.linalg.norm(to_host(solution.Y[-1].to_dense()) - exact)),
                    "eps": eps,
                    "theta": theta,
                    "eps_term": c.c1 * eps,
                    "h_term": c.c2 * h,
                    "theta_term": c.c3 * theta / h,
                    "bound": c.c1 * eps + c.c2 * h + c.c3 * theta / h,
                    "measured_bound": bounds.a_posteriori(local, discarded, L=1.0, h=h)[-1],
                    "size": float(host.linalg.norm(exact)),
                    "rank": solution.ranks[-1],
                }
            )
    return rows


def _ends(solution: Any) -> Any:
    """Return the result of every step with what the step discarded."""
    return zip(solution.Y[1:], solution.truncation_error, strict=True)


def _descent(s: Settings, where: Backend) -> list[dict[str, Any]]:
    """Return one row per net and step."""
    digits = data.load("digits")
    squares = (digits.x_train.reshape(len(digits.x_train), -1).astype(float) ** 2).sum(axis=1)
    # the Hessian of softmax regression is at most 1/2 of the mean of ||(x, 1)||^2 over the batch
    nets = {"softmax regression": ((), 0.5 * (float(squares.max()) + 1)), "three layers": ((s.width, s.width), None)}
    rows = []
    for name, (hidden, L) in nets.items():
        seen: list[Observation] = []
        sizes = (digits.features, *hidden, 10)
        train(
            mlp(sizes, rank=[10] if not hidden else [*[16] * len(hidden), None]),
            digits,
            Monitored(AugmentedBUG(euler, Relative(s.tau)), seen.append, lipschitz=L),
            epochs=s.epochs,
            lr=s.lr,
            batch_size=s.batch_size,
            seed=s.seed,
            dtype="float64",
            backend=where,
        )
        rows += [
            {
                "net": name,
                "known": L is not None,
                "step": o.step,
                "loss": o.loss,
                "loss_after": o.loss_after,
                "allowed": o.truncated_bound,
                "guaranteed": o.loss - o.descent_bound,
                "decrease": o.loss - o.loss_after,
                "lipschitz": o.lipschitz,
                "theta": o.truncation_error,
                "holds": o.truncated_holds,
            }
            for o in seen
        ]
    return rows
