"""Exports: names, two thin factors, and the same outputs from another program."""

import sys

import numpy as np
import pytest

from matode import LowRank, State
from matode._array import default_rng, get_backend, to_host
from nn import (
    GELU,
    AveragePool2d,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAveragePool,
    Linear,
    MaxPool2d,
    Pass,
    Residual,
    Sequential,
    Sigmoid,
    Subsample,
    Tanh,
    initial_buffers,
    lenet5,
    mlp,
    resnet20,
)
from nn.export import FORMATS, export, named_arrays
from nn.onnx_graph import TABLE

NORMAL = Sequential(
    Conv2d(2, 6, 3, rank=3, padding=1, stride=2),
    BatchNorm(6),
    Tanh(),
    Residual(Sequential(Conv2d(6, 6, 3, padding=1, bias=False), BatchNorm(6), GELU())),
    Residual(Sequential(Conv2d(6, 8, 3, rank=2, padding=1, stride=2), Sigmoid()), Subsample(2, 8)),
    MaxPool2d(3, 1),
    Dropout(0.3),
    GlobalAveragePool(),
    Linear(8, 5, rank=3, bias=False),
)
POOLED = Sequential(Conv2d(2, 4, 3, pool=2), AveragePool2d(2), Flatten(), Linear(4 * 2 * 2, 3))
NETS = {
    "mlp": (mlp((50, 12, 9, 4), rank=3), (2, 5, 5)),
    "lenet5": (lenet5(5, image=(1, 18, 17)), (1, 18, 17)),
    "resnet20": (resnet20(4), (3, 32, 32)),
    "normal": (NORMAL, (2, 13, 12)),
    "pooled": (POOLED, (2, 11, 11)),
}


def drawn(model, backend=None, seed=0):
    """Weights, biases and running statistics with nothing special about them."""
    backend = get_backend() if backend is None else backend
    rng = default_rng(seed)

    def shaken(x):
        noise = rng.standard_normal(tuple(x.shape)) * 0.3
        return x + backend.xp.asarray(noise.astype("float32"), device=backend.device)

    Y = model.init(rng, backend)
    Y = State(y if isinstance(y, LowRank) or y.ndim > 1 else shaken(y) for y in Y)
    return Y, tuple(abs(shaken(b)) for b in initial_buffers(model, backend))


def outputs(model, Y, buffers, x):
    return model.forward(Y, x, Pass(buffers))


@pytest.mark.parametrize("name", NETS)
def test_onnxruntime_gives_our_outputs(name, tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed: pip install 'matode[export]'")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install onnxruntime")
    model, image = NETS[name]
    Y, buffers = drawn(model)
    export(tmp_path / "model.onnx", model, Y, buffers, format="onnx", image=image)
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        x = default_rng(batch).standard_normal((batch, *image)).astype("float32")
        expected = outputs(model, Y, buffers, x)
        (found,) = session.run(["outputs"], {"images": x})
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5 * np.abs(expected).max())


def test_every_kind_of_layer_was_tried():
    """Each entry of the table is in one of the nets above."""

    def kinds(layer):
        yield type(layer)
        for inner in layer if hasattr(layer, "__iter__") else ():
            yield from kinds(inner)

    assert {kind for model, _ in NETS.values() for kind in kinds(model)} == set(TABLE)


def test_low_rank_weights_are_two_thin_factors(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'matode[export]'")
    model, image = NETS["lenet5"]
    Y, _ = drawn(model)
    export(tmp_path / "model.onnx", model, Y, format="onnx", image=image)
    sizes = [np.prod(t.dims) for t in onnx.load(tmp_path / "model.onnx").graph.initializer]
    assert sum(sizes) == sum(y.rank * sum(y.shape) if isinstance(y, LowRank) else y.size for y in Y)


def test_names_and_factors(backend):
    Y, buffers = drawn(NORMAL, backend)
    named = named_arrays(NORMAL, Y, buffers)
    assert list(named) == [
        *("0.weight.US", "0.weight.Vh", "0.bias"),
        *("1.scale", "1.shift", "1.mean", "1.variance"),
        "3.weight",
        *("4.scale", "4.shift", "4.mean", "4.variance"),
        *("6.weight.US", "6.weight.Vh", "6.bias"),
        *("12.weight.US", "12.weight.Vh"),
    ]
    np.testing.assert_allclose(named["0.weight.US"] @ named["0.weight.Vh"], to_host(Y[0].to_dense()), atol=1e-6)
    assert named["0.weight.US"].shape == (6, 3)
    np.testing.assert_array_equal(named["4.variance"], to_host(buffers[3]))
    assert all(type(array) is np.ndarray and array.dtype == np.float32 for array in named.values())


@pytest.mark.parametrize("format", ["npz", "safetensors"])
def test_arrays_come_back(format, tmp_path):
    if format == "safetensors":
        pytest.importorskip("safetensors", reason="safetensors is not installed: pip install 'matode[export]'")
    Y, buffers = drawn(NORMAL)
    path = tmp_path / f"model.{format}"
    export(path, NORMAL, Y, buffers, format=format, image=(2, 13, 12))
    if format == "npz":
        with np.load(path, allow_pickle=False) as file:
            found = dict(file)
    else:
        found = pytest.importorskip("safetensors.numpy").load_file(path)
    expected = named_arrays(NORMAL, Y, buffers)
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_what_does_not_fit_is_refused(tmp_path):
    Y, buffers = drawn(NORMAL)
    with pytest.raises(ValueError, match="more than the 9 blocks and 4 running statistics"):
        named_arrays(NORMAL, Y[:-1], buffers)
    with pytest.raises(ValueError, match="fewer than the 10 blocks and 5 running statistics"):
        named_arrays(NORMAL, Y, (*buffers, Y[1]))
    with pytest.raises(ValueError, match=r"unknown format 'onxx': did you mean 'onnx'\? expected one of"):
        export(tmp_path / "a", NORMAL, Y, buffers, format="onxx", image=(2, 13, 12))


def test_layers_without_a_form_in_onnx_are_named(tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed: pip install 'matode[export]'")

    class Twice(Tanh):
        pass

    with pytest.raises(ValueError, match="there is no ONNX form of Twice"):
        export(tmp_path / "a", Sequential(Twice()), (), format="onnx", image=(1, 2, 2))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("format", "package"), [("onnx", "onnx"), ("safetensors", "safetensors")])
def test_missing_libraries_are_named(format, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, f"{package}.numpy", None)
    model, image = NETS["mlp"]
    with pytest.raises(ImportError, match=rf"needs {package}, which is not installed: pip install 'matode\[export\]'"):
        export(tmp_path / "a", model, drawn(model)[0], format=format, image=image)


def test_formats():
    assert list(FORMATS) == ["npz", "safetensors", "onnx"]
