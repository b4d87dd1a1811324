"""Networks as ONNX graphs: one function per kind of layer, and one table of them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from matode._array import host
from nn import activations, containers, image_layers, layers
from nn.module import Module

__all__ = ["optional", "write_onnx"]

OPSET, IR_VERSION = 20, 9


def write_onnx(path: Path, model: Module, named: Mapping[str, host.ndarray], image: Sequence[int]) -> None:
    """Write a network with the given arrays, see :func:`nn.export.named_arrays`, as an ONNX model.

    Its input ``images`` is (batch, channels, height, width), its output ``outputs`` is (batch, classes).

    Raises
    ------
    ImportError
        If onnx is not installed; the message says how to get it.
    ValueError
        If a layer has no form in ONNX.
    """
    onnx = optional("onnx")
    graph = Graph(onnx, named)
    graph.nodes.append(onnx.helper.make_node("Identity", [graph.layer(model, "images")], ["outputs"]))
    value = onnx.helper.make_tensor_value_info
    made = onnx.helper.make_graph(
        graph.nodes,
        "network",
        [value("images", onnx.TensorProto.FLOAT, ["batch", *image])],
        [value("outputs", onnx.TensorProto.FLOAT, ["batch", None])],
        graph.tensors,
    )
    content = onnx.helper.make_model(
        made,
        producer_name="matode",
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
    )
    onnx.checker.check_model(content, full_check=True)
    path.write_bytes(content.SerializeToString(deterministic=True))


def optional(module: str) -> Any:
    """Import a module that only exports need.

    Raises
    ------
    ImportError
        With the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(f"this needs {package}, which is not installed: pip install 'matode[export]'") from error


class Graph:
    """The nodes and constants of a model in the making.

    Parameters
    ----------
    onnx : module
    named : mapping
        The arrays of the network by name.
    """

    def __init__(self, onnx: Any, named: Mapping[str, host.ndarray]) -> None:
        self.onnx = onnx
        self.named = named
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        self._leaf = 0

    def layer(self, layer: Module, x: str) -> str:
        """Add a layer that is applied to the value ``x``; return the name of its output.

        Raises
        ------
        ValueError
            If ONNX has no form of it.
        """
        for kind, write in TABLE.items():
            if type(layer) is kind:
                if not isinstance(layer, containers.Sequential | containers.Residual):
                    self._leaf += 1
                return write(self, layer, x)
        raise ValueError(f"there is no ONNX form of {type(layer).__name__}")

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its output."""
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def array(self, name: str, *shape: int) -> str:
        """Add an array of the present layer as a constant, in another shape where one is given."""
        full = f"{self._leaf - 1}.{name}"
        values = self.named[full].astype(host.float32)
        return self.constant(full, values.reshape(shape) if shape else values)

    def constant(self, name: str, values: host.ndarray) -> str:
        """Add a constant."""
        self.tensors.append(self.onnx.numpy_helper.from_array(values, name))
        return name

    def has(self, name: str) -> bool:
        """Whether the present layer has an array of this name."""
        return f"{self._leaf - 1}.{name}" in self.named

    def integers(self, what: str, values: Sequence[int]) -> str:
        """Add integers as a constant."""
        return self.constant(f"{what}_{len(self.nodes)}", host.asarray(values, dtype=host.int64))


def _linear(g: Graph, layer: Any, x: str) -> str:
    bias = [g.array("bias")] if layer.bias else []
    if not g.has("weight.US"):
        return g.node("Gemm", x, g.array("weight"), *bias, transB=1)
    thin = g.node("Gemm", x, g.array("weight.Vh"), transB=1)
    return g.node("Gemm", thin, g.array("weight.US"), *bias, transB=1)


def _conv(g: Graph, layer: Any, x: str) -> str:
    k, p = layer.kernel, layer.padding
    bias = [g.array("bias")] if layer.bias else []
    options = {"kernel_shape": [k, k], "strides": [layer.stride] * 2, "pads": [p] * 4}
    if g.has("weight.US"):
        thin = g.node("Conv", x, g.array("weight.Vh", -1, layer.inputs, k, k), **options)
        y = g.node("Conv", thin, g.array("weight.US", layer.outputs, -1, 1, 1), *bias, kernel_shape=[1, 1])
    else:
        y = g.node("Conv", x, g.array("weight", layer.outputs, layer.inputs, k, k), *bias, **options)
    return y if layer.pool == 1 else g.node("MaxPool", y, kernel_shape=[layer.pool] * 2, strides=[layer.pool] * 2)


def _batch_norm(g: Graph, layer: Any, x: str) -> str:
    arrays = (g.array(name) for name in ("scale", "shift", "mean", "variance"))
    return g.node("BatchNormalization", x, *arrays, epsilon=layer.eps)


def _pool(op: str) -> Callable[[Graph, Any, str], str]:
    def write(g: Graph, layer: Any, x: str) -> str:
        return g.node(op, x, kernel_shape=[layer.size] * 2, strides=[layer.stride or layer.size] * 2)

    return write


def _subsample(g: Graph, layer: Any, x: str) -> str:
    cut = {"start": [0, 0], "stop": [2**31] * 2, "axes": [2, 3], "step": [layer.stride] * 2}
    y = g.node("Slice", x, *(g.integers(name, values) for name, values in cut.items()))
    channels = g.node("Shape", x, start=1, end=2)
    missing = g.node("Sub", g.integers("channels", [layer.channels]), channels)
    zeros = g.integers("none", [0])
    pads = g.node("Concat", g.integers("before", [0] * 5), missing, zeros, zeros, axis=0)
    return g.node("Pad", y, pads)


def _op(op: str, **options: Any) -> Callable[[Graph, Any, str], str]:
    return lambda g, layer, x: g.node(op, x, **options)


def _sequential(g: Graph, layer: Any, x: str) -> str:
    for inner in layer:
        x = g.layer(inner, x)
    return x


def _residual(g: Graph, layer: Any, x: str) -> str:
    parts: Iterator[Module] = iter(layer)
    body = g.layer(next(parts), x)
    shortcut = next(parts, None)
    return g.node("Add", body, x if shortcut is None else g.layer(shortcut, x))


TABLE: Mapping[type, Callable[[Graph, Any, str], str]] = {
    layers.Linear: _linear,
    layers.Conv2d: _conv,
    layers.Flatten: _op("Flatten"),
    activations.ReLU: _op("Relu"),
    activations.Tanh: _op("Tanh"),
    activations.Sigmoid: _op("Sigmoid"),
    activations.GELU: _op("Gelu", approximate="tanh"),
    activations.Dropout: _op("Identity"),
    image_layers.BatchNorm: _batch_norm,
    image_layers.MaxPool2d: _pool("MaxPool"),
    image_layers.AveragePool2d: _pool("AveragePool"),
    image_layers.GlobalAveragePool: lambda g, layer, x: g.node("Flatten", g.node("GlobalAveragePool", x)),
    image_layers.Subsample: _subsample,
    containers.Sequential: _sequential,
    containers.Residual: _residual,
}
"""How each kind of layer is written; one that is missing has no form in ONNX."""
