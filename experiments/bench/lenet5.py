"""Time of one training step of LeNet5 and of inference, beside PyTorch in the same process; memory of a wide network.

PyTorch trains the dense network by automatic differentiation, and the low-rank one in the strongest form that it has:
factors K = U S and V share one forward and one backward pass, S takes a second one, at fixed rank.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.bench.ratios import Ratio
from experiments.bench.setting import Bench, Setting
from experiments.bench.timing import interleaved, settle
from matode import AugmentedBUG, LowRank, Rank, Relative, State
from matode._array import get_backend
from matode.substeps import euler
from nn import GradientFlow, lenet5

__all__ = ["GOALS", "memory_above_imports", "run"]

_RANKS = (7, 15, 40)
_BATCH = 128
_TAU = 0.11
_H = 0.05

GOALS = {"PyTorch, dense": 0.6, "PyTorch, low-rank": 0.36}
"""Of each rival, for our step."""


def run(setting: Setting) -> Bench:
    """Time everything in turn, so that the load of the machine is the same for all."""
    settle()
    rng = np.random.default_rng(0)
    x = rng.random((_BATCH, 1, 28, 28), dtype=np.float32) - 0.13
    labels = rng.integers(0, 10, _BATCH)
    images = rng.random((10_000, 1, 28, 28), dtype=np.float32) - 0.13
    model = lenet5((*_RANKS, None))
    Y = _start(model, x, labels)
    integrator = AugmentedBUG(euler, Relative(_TAU))
    jobs: dict[str, Callable[[], Any]] = {
        "augmented BUG": lambda: integrator.step(GradientFlow(model, x, labels), 0.0, _H, Y),
        "gradient alone": lambda: GradientFlow(model, x, labels)(0.0, Y),
    }
    jobs |= _torch_jobs(x, labels) if setting.torch else {}
    ms = {name: 1e3 * t for name, t in interleaved(jobs, 5 if setting.quick else 40, batch=0.03, pause=0.03).items()}
    work = f"LeNet5, batch {_BATCH}, ranks {', '.join(map(str, _RANKS))}, tau = {_TAU}"
    ratios = [
        Ratio(work, "augmented BUG", ms["augmented BUG"], name, t, GOALS.get(name))
        for name, t in ms.items()
        if name != "augmented BUG"
    ]
    setting.say(f"\n{work}")
    for ratio in ratios:
        setting.say(ratio.line())
    classify = {"inference": lambda: _inference(model, Y, images)}
    seconds = interleaved(classify, 1 if setting.quick else 7, warm_up=1)["inference"]
    setting.say(f"  inference of {len(images)} images: {seconds:.3f} s")
    rows = [{"what": name, "milliseconds": t} for name, t in ms.items()]
    return Bench([*rows, {"what": f"inference, {len(images)} images", "milliseconds": 1e3 * seconds}], ratios)


def memory_above_imports(width: int = 5120, rank: int = 20, batch: int = 256, steps: int = 5) -> float:
    """Return the peak of resident memory, in MB, that start and training steps add to imports and data.

    A process of its own measures it, by what Linux keeps of it; NaN elsewhere.
    """
    if sys.platform != "linux":
        return float("nan")
    code = f"""
import numpy as np
from matode import AugmentedBUG, Relative
from matode._array import get_backend
from matode.substeps import euler
from nn import GradientFlow, mlp_of
x = np.random.default_rng(0).random(({batch}, 784), dtype=np.float32)
labels = np.arange({batch}) % 10
np.linalg.qr(np.ones((9, 3)))
def kilobytes():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
before = kilobytes()
model = mlp_of({width}, 5, rank={rank})
Y, memory = model.init(np.random.default_rng(0), get_backend()), None
integrator = AugmentedBUG(euler, Relative(0.1, max_rank={rank}))
for _ in range({steps}):
    step = integrator.step(GradientFlow(model, x, labels), 0.0, 0.01, Y, memory)
    Y, memory = step.Y, step.memory
print(kilobytes() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout) / 1024


def _start(model: Any, x: np.ndarray, labels: np.ndarray) -> State:
    """Return weights after some steps at fixed rank: cores as they are in training, not those of the start."""
    Y = model.init(np.random.default_rng(0), get_backend())
    ranks = [y.rank for y in Y if isinstance(y, LowRank)]
    for _ in range(10):
        wide = AugmentedBUG(euler).untruncated(GradientFlow(model, x, labels), 0.0, _H, Y)
        kept = iter(ranks)
        Y = State(y.truncate(Rank(next(kept))) if isinstance(y, LowRank) else y for y in wide)
    return Y


def _inference(model: Any, Y: Sequence[Any], images: np.ndarray, size: int = 250) -> int:
    return sum(int(model.forward(Y, images[i : i + size]).argmax(1).sum()) for i in range(0, len(images), size))


def _torch_jobs(x: np.ndarray, labels: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Return a dense step and a low-rank step of PyTorch, each with plain gradient descent."""
    torch = importlib.import_module("torch")
    f = torch.nn.functional
    batch, targets = torch.tensor(x), torch.tensor(labels)
    rng = np.random.default_rng(0)
    sizes = ((20, 25), (50, 500), (500, 800), (10, 500))

    def tensor(*shape: int) -> Any:
        values = rng.standard_normal(shape) * np.sqrt(2.0 / shape[-1])
        return torch.tensor(values.astype(np.float32), requires_grad=True)

    weights, biases = [tensor(*s) for s in sizes], [torch.zeros(s[0], requires_grad=True) for s in sizes]

    def convolved(z: Any, left: Sequence[Any], b: Any) -> Any:
        """Convolve by the last factor of a weight, mix the channels by those before it."""
        first = left[-1]
        side = 5
        z = f.conv2d(z, first.reshape(first.shape[0], -1, side, side), b if len(left) == 1 else None)
        for k in range(len(left) - 2, -1, -1):
            z = f.conv2d(z, left[k][:, :, None, None], b if k == 0 else None)
        return torch.relu(f.max_pool2d(z, 2))

    def linear(z: Any, left: Sequence[Any], b: Any) -> Any:
        for k in range(len(left) - 1, -1, -1):
            z = f.linear(z, left[k], b if k == 0 else None)
        return z

    def loss(factors: Sequence[Sequence[Any]], b: Sequence[Any]) -> Any:
        z = convolved(convolved(batch, factors[0], b[0]), factors[1], b[1]).flatten(1)
        z = torch.relu(linear(z, factors[2], b[2]))
        return f.cross_entropy(linear(z, factors[3], b[3]), targets)

    def descend(leaves: Sequence[Any], value: Any) -> None:
        for leaf, g in zip(leaves, torch.autograd.grad(value, leaves), strict=True):
            leaf.data.add_(g, alpha=-1e-3)

    def dense() -> None:
        leaves = [*weights, *biases]
        descend(leaves, loss([[w] for w in weights], biases))

    bases = [
        (torch.linalg.qr(tensor(m, r).detach())[0], torch.eye(r), torch.linalg.qr(tensor(n, r).detach())[0])
        for (m, n), r in zip(sizes[:3], _RANKS, strict=True)
    ]
    head = weights[3].detach().clone().requires_grad_(True)

    def low_rank() -> None:
        K = [(U @ S).requires_grad_(True) for U, S, _ in bases]
        Vt = [V.T.contiguous().requires_grad_(True) for _, _, V in bases]
        value = loss([*zip(K, Vt, strict=True), (head,)], biases)
        gradients = torch.autograd.grad(value, [*K, *Vt])
        cores, new = [], []
        for i, (U, S, V) in enumerate(bases):
            U1, _ = torch.linalg.qr(K[i].detach() - 1e-3 * gradients[i])
            # the gradient for V is G* U S: that for L = V S* is G* U
            L = V @ S.T - 1e-3 * torch.linalg.solve(S.T, gradients[3 + i]).T
            V1, _ = torch.linalg.qr(L)
            new.append((U1, V1))
            cores.append(((U1.T @ U) @ S @ (V.T @ V1)).requires_grad_(True))
        factors = [(U1, S1, V1.T) for (U1, V1), S1 in zip(new, cores, strict=True)]
        descend([*cores, head, *biases], loss([*factors, (head,)], biases))

    return {"PyTorch, dense": dense, "PyTorch, low-rank": low_rank}
