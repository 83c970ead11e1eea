"""Writes small ONNX networks of every supported operator, with inputs and what ONNX Runtime makes of them.

    python codec/tests/inference_cases.py DIR
    BALER_TEST_NETWORKS=DIR cargo test -p baler-codec --test inference_onnxruntime

Needs numpy, onnx and onnxruntime. Each case is NAME.onnx, NAME.input and NAME.output (32-bit floats, little-endian).
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(1)


def weights(*shape):
    fan_in = max(1, int(np.prod(shape[1:])))
    return (rng.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32)


class Graph:
    """A chain of nodes; each takes the value before it."""

    def __init__(self, *shape, opset=18):
        self.shape, self.opset = shape, opset
        self.nodes, self.constants, self.value = [], [], "x"

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def add(self, op, *others, first=None, swapped=False, keep=True, **attributes):
        names = [o if isinstance(o, str) else self.constant(o) for o in others]
        inputs = [*names, first or self.value] if swapped else [first or self.value, *names]
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [out], name=out, **attributes))
        if keep:
            self.value = out
        return out

    def derive(self, op, *inputs, **attributes):
        """A node beside the chain, such as a conversion of a constant."""
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs]
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, [out], name=out, **attributes))
        return out

    def model(self):
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *self.shape])
        y = helper.make_tensor_value_info(self.value, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "g", [x], [y], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)
        return model


CASES = {}


def case(f):
    CASES[f.__name__] = f
    return f


def dense(sizes, activation="LeakyRelu", **attributes):
    g = Graph(sizes[0])
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        g.add("Gemm", weights(b, a), weights(b), transB=1)
        if i + 2 < len(sizes):
            g.add(activation, **attributes)
    return g


CASES["dense_deep"] = lambda: dense([24, 200, 100, 50, 14])
CASES["dense_small"] = lambda: dense([24, 16, 8], "Relu")
CASES["dense_wide"] = lambda: dense([8, 64, 256, 2500], "Tanh")
CASES["dense_large"] = lambda: dense([900, 700, 400], "Elu", alpha=0.7)
for op in ["Relu", "Tanh", "Sigmoid", "Elu", "Softplus", "LeakyRelu", "Identity", "Dropout"]:
    CASES[f"unary_{op}"] = lambda op=op: (g := Graph(33), g.add(op))[0]


@case
def gelu():
    g = Graph(40, opset=20)
    g.add("Gelu")
    g.add("Gelu", approximate="tanh")
    return g


@case
def gemm_alpha_beta():
    g = Graph(5)
    g.add("Gemm", weights(5, 19), weights(1, 19), alpha=0.5, beta=2.0)
    g.add("Gemm", weights(19, 3))
    g.add("Gemm", weights(3, 3), np.float32(0.25))
    return g


@case
def matmul_arithmetic():
    g = Graph(6, 10)
    g.add("MatMul", weights(10, 17))
    g.add("Add", weights(17))
    g.add("Mul", weights(6, 1), swapped=True)
    g.add("Sub", np.float32(0.5), swapped=True)
    g.add("Div", 2 + np.abs(weights(1, 6, 17)))
    g.add("Sub", weights(1))
    g.add("Clip", np.float32(-0.25), np.float32(0.5))
    before = g.add("PRelu", weights(6, 17))
    g.add("MatMul", weights(17, 17))
    g.add("Add", before)
    return g


@case
def shapes():
    g = Graph(4, 6, 5)
    a = g.add("Transpose", perm=[0, 3, 1, 2])
    b = g.add("Slice", np.array([100]), np.array([-100]), np.array([3]), np.array([-2]), keep=False)
    g.add("Concat", b, axis=3)
    g.add("Slice", np.array([1, -9]), np.array([4, 100]), np.array([1, -1]))
    g.add("Reshape", np.array([0, -1, 9]))
    g.add("Unsqueeze", np.array([1, -1]))
    g.add("Squeeze", np.array([4]))
    g.add("Reshape", np.array([-1, 108]))
    g.add("Flatten")
    assert a != b
    return g


@case
def quantised():
    g = Graph(12)
    q = rng.integers(-128, 128, (20, 12)).astype(np.int8)
    w = g.derive("DequantizeLinear", q, np.float32(0.01), np.int8(3))
    g.add("Gemm", w, weights(20), transB=1)
    q = rng.integers(0, 255, (20, 9)).astype(np.uint8)
    scale, zero = np.abs(weights(9)) / 50, rng.integers(100, 150, 9).astype(np.uint8)
    w = g.derive("DequantizeLinear", q, scale.astype(np.float32), zero, axis=1)
    g.add("Gemm", w)
    q = rng.integers(-30000, 30000, (7, 9)).astype(np.int32)
    w = g.derive("DequantizeLinear", q, np.full(7, 1e-5, np.float32), axis=0)
    w = g.derive("Transpose", w, perm=[1, 0])
    h = g.derive("Cast", weights(7).astype(np.float16), to=TensorProto.FLOAT)
    g.add("Gemm", w, h)
    return g


@case
def constants():
    g = Graph(5)
    c = g.derive("Constant", value_floats=[1.0, 2.0, 3.0, 4.0, 5.0])
    g.add("Mul", c)
    c = g.derive("Constant", value=numpy_helper.from_array(weights(5)))
    g.add("Add", c)
    return g


@case
def batch_norm():
    g = Graph(3, 4, 4)
    g.add("Conv", weights(6, 3, 3, 3), pads=[1, 1, 1, 1])
    g.add("BatchNormalization", weights(6), weights(6), weights(6), np.abs(weights(6)) + 0.1, epsilon=1e-3)
    g.add("Flatten")
    return g


@case
def divisive_normalisation():
    g = Graph(5, 6, 7)
    x = "x"
    g.add("Pow", np.float32(2))
    g.add("Conv", np.abs(weights(5, 5, 1, 1)), 0.1 + np.abs(weights(5)))
    g.add("Sqrt")
    y = g.add("Div", x, swapped=True)
    g.add("Mul", y)
    g.add("Conv", np.abs(weights(5, 5, 1, 1)), 0.1 + np.abs(weights(5)))
    g.add("Pow", np.float32(0.5))
    g.add("Mul", y)
    return g


def conv(name, op, shape, w, **attributes):
    bias = attributes.pop("bias", True)

    def build():
        g = Graph(*shape)
        group = attributes.get("group", 1)
        n_out = w[0] if op == "Conv" else w[1] * group
        g.add(op, weights(*w), *([weights(n_out)] if bias else []), **attributes)
        g.add("LeakyRelu", alpha=0.1)
        return g

    CASES[name] = build


conv("conv1d", "Conv", (2, 19), (5, 2, 3))
conv("conv1d_dilated", "Conv", (2, 19), (5, 2, 3), dilations=[4], pads=[3, 5], strides=[2])
conv("conv2d", "Conv", (3, 9, 8), (17, 3, 3, 3), pads=[1, 1, 1, 1], strides=[2, 2])
conv("conv2d_one_output", "Conv", (16, 9, 8), (1, 16, 3, 3), pads=[1, 0, 2, 1], bias=False)
conv("conv2d_two_outputs", "Conv", (4, 7, 5), (2, 4, 2, 3))
conv("conv2d_groups", "Conv", (6, 9, 8), (9, 2, 3, 2), group=3, pads=[1, 1, 0, 1])
conv("conv2d_depthwise", "Conv", (6, 9, 8), (6, 1, 5, 5), group=6, pads=[2, 2, 2, 2])
conv("conv2d_same_upper", "Conv", (2, 9, 8), (4, 2, 4, 3), auto_pad="SAME_UPPER", strides=[2, 3])
conv("conv2d_same_lower", "Conv", (2, 9, 8), (4, 2, 4, 3), auto_pad="SAME_LOWER", strides=[2, 3])
conv("conv2d_valid", "Conv", (2, 9, 8), (4, 2, 4, 3), auto_pad="VALID")
conv("conv2d_large_kernel", "Conv", (2, 5, 5), (4, 2, 9, 9), pads=[4, 4, 4, 4])
conv("conv3d", "Conv", (2, 5, 6, 7), (4, 2, 3, 2, 3), pads=[1, 0, 1, 1, 1, 1], strides=[2, 1, 2])
conv("deconv1d", "ConvTranspose", (3, 7), (3, 4, 4), strides=[2], pads=[1, 1])
conv("deconv1d_dilated", "ConvTranspose", (3, 7), (3, 4, 3), strides=[3], dilations=[2], output_padding=[2])
conv("deconv2d", "ConvTranspose", (8, 4, 5), (8, 3, 4, 4), strides=[2, 2], pads=[1, 1, 1, 1])
conv("deconv2d_one_output", "ConvTranspose", (8, 4, 5), (8, 1, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])
conv("deconv2d_groups", "ConvTranspose", (6, 4, 5), (6, 2, 3, 3), group=2, strides=[1, 2], pads=[0, 1, 2, 1])
conv("deconv2d_gaps", "ConvTranspose", (2, 3, 3), (2, 2, 2, 2), strides=[4, 3], bias=False)
conv("deconv2d_same_upper", "ConvTranspose", (2, 4, 5), (2, 3, 3, 4), strides=[2, 3], auto_pad="SAME_UPPER")
conv("deconv2d_same_lower", "ConvTranspose", (2, 4, 5), (2, 3, 4, 3), strides=[2, 2], auto_pad="SAME_LOWER")
conv("deconv2d_output_shape", "ConvTranspose", (2, 4, 5), (2, 3, 3, 3), strides=[2, 2], output_shape=[8, 10])
conv("deconv3d", "ConvTranspose", (3, 3, 2, 4), (3, 5, 2, 3, 2), strides=[2, 1, 2], pads=[0, 1, 0, 0, 1, 0])


@case
def conv_autoencoder():
    g = Graph(1, 16, 16)
    g.add("Conv", weights(8, 1, 3, 3), weights(8), strides=[2, 2], pads=[1, 1, 1, 1])
    g.add("Gelu" if g.opset >= 20 else "Relu")
    g.add("Conv", weights(16, 8, 3, 3), weights(16), strides=[2, 2], pads=[1, 1, 1, 1])
    g.add("Relu")
    g.add("Flatten")
    g.add("Gemm", weights(6, 256), weights(6), transB=1)
    g.add("Gemm", weights(256, 6), weights(256), transB=1)
    g.add("Reshape", np.array([-1, 16, 4, 4]))
    g.add("ConvTranspose", weights(16, 8, 4, 4), weights(8), strides=[2, 2], pads=[1, 1, 1, 1])
    g.add("Relu")
    g.add("ConvTranspose", weights(8, 1, 4, 4), weights(1), strides=[2, 2], pads=[1, 1, 1, 1])
    g.add("Sigmoid")
    return g


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Optimised, it computes layers with quantised weights in integers.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for name, build in CASES.items():
        graph = build()
        model = graph.model()
        rows = 70 if np.prod(graph.shape) < 500 else 37
        x = (2 * rng.standard_normal((rows, *graph.shape))).astype(np.float32)
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        y = session.run(None, {"x": x})[0]
        onnx.save(model, folder / f"{name}.onnx")
        x.astype("<f4").tofile(folder / f"{name}.input")
        y.astype("<f4").tofile(folder / f"{name}.output")
    print(f"{len(CASES)} cases in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
