"""LeNet5 in PyTorch, in its strongest forms: what our training and inference is compared with.

Imported only when a comparison is asked for. Plain gradient descent throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

__all__ = ["dense_step", "inference", "low_rank_step"]

_H = 1e-3
_SIZES = ((20, 25), (50, 500), (500, 800), (10, 500))
_F = torch.nn.functional


def dense_step(x: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    """Return a call that makes one step of the dense net and returns the loss."""
    weights, biases = _dense()
    leaves = [p.requires_grad_(True) for p in (*weights, *biases)]
    batch, targets = torch.tensor(x), torch.tensor(labels)

    def step() -> float:
        loss = _F.cross_entropy(_network(batch, [(w,) for w in weights], biases), targets)
        _descend(leaves, torch.autograd.grad(loss, leaves))
        return float(loss.detach())

    return step


def low_rank_step(ranks: Sequence[int], x: np.ndarray, labels: np.ndarray) -> Callable[[], float]:
    """Return a call that makes one fixed-rank step, dense head.

    K = U S and V share one forward and one backward pass, S takes a second one with the biases and the head. The
    gradient for V is G* U S, of which a small solve makes the G* U of L = V S*. The new bases are those of
    ``torch.linalg.qr``.
    """
    factors = _factors(ranks)
    weights, biases = _dense()
    head = weights[3].requires_grad_(True)
    for b in biases:
        b.requires_grad_(True)
    batch, targets = torch.tensor(x), torch.tensor(labels)

    def step() -> float:
        K = [(U @ S).requires_grad_(True) for U, S, _ in factors]
        Vt = [V.T.contiguous().requires_grad_(True) for _, _, V in factors]
        frozen = [b.detach() for b in biases]
        first = _network(batch, [*zip(K, Vt, strict=True), (head.detach(),)], frozen)
        loss = _F.cross_entropy(first, targets)
        gradients = torch.autograd.grad(loss, [*K, *Vt])
        with torch.no_grad():
            for i, (U, S, V) in enumerate(factors):
                U1, _ = torch.linalg.qr(K[i] - _H * gradients[i])
                V1, _ = torch.linalg.qr(V @ S.T - _H * torch.linalg.solve(S.T, gradients[3 + i]).T)
                factors[i] = (U1, (U1.T @ U) @ S @ (V.T @ V1), V1)
        cores = [S.requires_grad_(True) for _, S, _ in factors]
        second = _network(batch, [*[(U, S, V.T) for U, S, V in factors], (head,)], biases)
        leaves = [*cores, head, *biases]
        _descend(leaves, torch.autograd.grad(_F.cross_entropy(second, targets), leaves))
        for S in cores:
            S.requires_grad_(False)
        return float(loss.detach())

    return step


def inference(ranks: Sequence[int] | None, images: np.ndarray, size: int) -> Callable[[], int]:
    """Return a call that classifies all images, ``size`` at a time; without ranks the net is dense."""
    weights, biases = _dense()
    layers = [(w,) for w in weights] if ranks is None else [*[(U @ S, V.T) for U, S, V in _factors(ranks)], weights[3:]]
    x = torch.tensor(images)

    def classify() -> int:
        with torch.inference_mode():
            return sum(int(_network(part, layers, biases).argmax(1).sum()) for part in x.split(size))

    return classify


def _network(x: Any, layers: Sequence[Sequence[Any]], biases: Sequence[Any]) -> Any:
    x = _convolved(_convolved(x, layers[0], biases[0]), layers[1], biases[1]).flatten(1)
    return _linear(torch.relu(_linear(x, layers[2], biases[2])), layers[3], biases[3])


def _convolved(x: Any, factors: Sequence[Any], b: Any) -> Any:
    """Convolve by the last factor of a weight, mix the channels by those before it."""
    last = factors[-1]
    x = _F.conv2d(x, last.reshape(last.shape[0], -1, 5, 5), b if len(factors) == 1 else None)
    for k in range(len(factors) - 2, -1, -1):
        x = _F.conv2d(x, factors[k][:, :, None, None], b if k == 0 else None)
    return torch.relu(_F.max_pool2d(x, 2))


def _linear(x: Any, factors: Sequence[Any], b: Any) -> Any:
    for k in range(len(factors) - 1, -1, -1):
        x = _F.linear(x, factors[k], b if k == 0 else None)
    return x


def _descend(leaves: Sequence[Any], gradients: Sequence[Any]) -> None:
    with torch.no_grad():
        for leaf, g in zip(leaves, gradients, strict=True):
            leaf.add_(g, alpha=-_H)


def _dense() -> tuple[list[Any], list[Any]]:
    """Return weights of He's size, and zero biases."""
    generator = torch.Generator().manual_seed(0)
    weights = [(2.0 / n) ** 0.5 * torch.randn(m, n, generator=generator) for m, n in _SIZES]
    return weights, [torch.zeros(m) for m, _ in _SIZES]


def _factors(ranks: Sequence[int]) -> list[tuple[Any, Any, Any]]:
    """Return U, S and V of all weights but the head."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for (m, n), r in zip(_SIZES, ranks, strict=False):
        U, _ = torch.linalg.qr(torch.randn(m, r, generator=generator))
        V, _ = torch.linalg.qr(torch.randn(n, r, generator=generator))
        found.append((U, (2.0 * m / r) ** 0.5 * torch.eye(r), V))
    return found
