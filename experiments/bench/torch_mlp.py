"""Fully connected nets in PyTorch, in its strongest forms: what our training and inference is compared with.

Imported only when a comparison is asked for. Plain gradient descent throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, pairwise
from typing import Any

import numpy as np
import torch

__all__ = ["dense_inference", "dense_step", "low_rank_inference", "low_rank_step"]

_H = 1e-2
_F = torch.nn.functional


class _SharedProduct(torch.autograd.Function):
    """The layer ``x (U S V*)* + b`` with gradients for K = U S and L = V S*: both out of one backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Any, b: Any, U: Any, V: Any, K: Any, L: Any) -> Any:
        x_V = x @ V
        ctx.save_for_backward(x, U, L, x_V)
        return torch.addmm(b, x_V, K.T)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (delta,) = gradients
        x, U, L, x_V = ctx.saved_tensors
        delta_U = delta @ U
        dx = delta_U @ L.T if ctx.needs_input_grad[0] else None
        return dx, None, None, None, delta.T @ x_V, x.T @ delta_U


def dense_step(sizes: Sequence[int], batches: Sequence[tuple[np.ndarray, np.ndarray]]) -> Callable[[], float]:
    """Return a call that makes one step of the dense net with the next batch and returns the loss."""
    weights, biases = _dense(sizes)
    leaves = [p.requires_grad_(True) for p in (*weights, *biases)]
    data = _cycle(batches)

    def step() -> float:
        x, labels = next(data)
        loss = _F.cross_entropy(_network(x, [_by(_linear, w) for w in weights], biases), labels)
        _descend(leaves, torch.autograd.grad(loss, leaves))
        return float(loss.detach())

    return step


def low_rank_step(
    sizes: Sequence[int], rank: int, batches: Sequence[tuple[np.ndarray, np.ndarray]]
) -> Callable[[], float]:
    """Return a call that makes one fixed-rank step, dense head.

    K and L share one forward and one backward pass, S takes a second one with the biases and the head; the new bases
    are those of ``torch.linalg.qr``.
    """
    factors, (head, biases) = _factors(sizes, rank), _others(sizes)
    for p in (head, *biases):
        p.requires_grad_(True)
    data = _cycle(batches)

    def step() -> float:
        x, labels = next(data)
        K = [(U @ S).requires_grad_(True) for U, S, _ in factors]
        L = [(V @ S.T).requires_grad_(True) for _, S, V in factors]
        maps = [_by(_shared, U, V, k, m) for (U, _, V), k, m in zip(factors, K, L, strict=True)]
        frozen = [b.detach() for b in biases]
        loss = _F.cross_entropy(_network(x, [*maps, _by(_linear, head.detach())], frozen), labels)
        moved = torch.autograd.grad(loss, [*K, *L])
        with torch.no_grad():
            for i, (U, S, V) in enumerate(factors):
                U1, _ = torch.linalg.qr(K[i].add_(moved[i], alpha=-_H))
                V1, _ = torch.linalg.qr(L[i].add_(moved[len(K) + i], alpha=-_H))
                factors[i] = (U1, (U1.T @ U) @ S @ (V.T @ V1), V1)
        cores = [S.requires_grad_(True) for _, S, _ in factors]
        maps = [_by(_factored, *f) for f in factors]
        second = _F.cross_entropy(_network(x, [*maps, _by(_linear, head)], biases), labels)
        leaves = [*cores, head, *biases]
        _descend(leaves, torch.autograd.grad(second, leaves))
        for S in cores:
            S.requires_grad_(False)
        return float(loss.detach())

    return step


def dense_inference(sizes: Sequence[int], x: np.ndarray, size: int) -> Callable[[], int]:
    """Return a call that classifies all rows of x, ``size`` at a time."""
    weights, biases = _dense(sizes)
    return _inference([_by(_linear, w) for w in weights], biases, x, size)


def low_rank_inference(sizes: Sequence[int], rank: int, x: np.ndarray, size: int) -> Callable[[], int]:
    """Return a call that classifies all rows of x with weights ``K V*``, two products a layer, and a dense head."""
    head, biases = _others(sizes)
    maps = [_by(_two_factors, U @ S, V) for U, S, V in _factors(sizes, rank)]
    return _inference([*maps, _by(_linear, head)], biases, x, size)


def _inference(
    maps: Sequence[Callable[[Any, Any], Any]], biases: Sequence[Any], x: np.ndarray, size: int
) -> Callable[[], int]:
    rows = torch.tensor(x)

    def classify() -> int:
        with torch.inference_mode():
            parts = rows.split(size)
            return sum(int(_network(part, maps, biases).argmax(1).sum()) for part in parts)

    return classify


def _network(x: Any, maps: Sequence[Callable[[Any, Any], Any]], biases: Sequence[Any]) -> Any:
    last = len(maps) - 1
    for k, (layer, b) in enumerate(zip(maps, biases, strict=True)):
        x = layer(x, b)
        x = x if k == last else torch.relu(x)
    return x


def _by(layer: Callable[..., Any], *weights: Any) -> Callable[[Any, Any], Any]:
    return lambda x, b: layer(x, b, *weights)


def _linear(x: Any, b: Any, W: Any) -> Any:
    return _F.linear(x, W, b)


def _shared(x: Any, b: Any, U: Any, V: Any, K: Any, L: Any) -> Any:
    return _SharedProduct.apply(x, b, U, V, K, L)


def _factored(x: Any, b: Any, U: Any, S: Any, V: Any) -> Any:
    return torch.addmm(b, (x @ V) @ S.T, U.T)


def _two_factors(x: Any, b: Any, K: Any, V: Any) -> Any:
    return torch.addmm(b, x @ V, K.T)


def _descend(leaves: Sequence[Any], gradients: Sequence[Any]) -> None:
    with torch.no_grad():
        for leaf, g in zip(leaves, gradients, strict=True):
            leaf.add_(g, alpha=-_H)


def _dense(sizes: Sequence[int]) -> tuple[list[Any], list[Any]]:
    """Return weights (out, in) of He's size, and zero biases."""
    generator = torch.Generator().manual_seed(0)
    hidden = [(2.0 / n) ** 0.5 * torch.randn(m, n, generator=generator) for n, m in pairwise(sizes[:-1])]
    head, biases = _others(sizes)
    return [*hidden, head], biases


def _others(sizes: Sequence[int]) -> tuple[Any, list[Any]]:
    """Return what is dense in a low-rank net too: the weight of the head, and the biases."""
    generator = torch.Generator().manual_seed(1)
    head = (2.0 / sizes[-2]) ** 0.5 * torch.randn(sizes[-1], sizes[-2], generator=generator)
    return head, [torch.zeros(m) for m in sizes[1:]]


def _factors(sizes: Sequence[int], rank: int) -> list[tuple[Any, Any, Any]]:
    """Return U, S and V of all weights but the head, of the rank or as much of it as fits."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for n, m in pairwise(sizes[:-1]):
        r = min(rank, m, n)
        U, _ = torch.linalg.qr(torch.randn(m, r, generator=generator))
        V, _ = torch.linalg.qr(torch.randn(n, r, generator=generator))
        found.append((U, (2.0 * m / r) ** 0.5 * torch.eye(r), V))
    return found


def _cycle(batches: Sequence[tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[Any, Any]]:
    return cycle([(torch.tensor(x), torch.tensor(labels)) for x, labels in batches])
