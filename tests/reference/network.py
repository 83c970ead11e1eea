"""Exact inference (docs/inference.md): an ONNX graph in binary32, every operation in its place."""

import itertools

import numpy as np
import onnx
from onnx import numpy_helper

from .wire import need

F = np.float32


def fma(a, b, c):
    """a * b + c rounded once to binary32: the product is exact in binary64, the sum rounded to odd there."""
    with np.errstate(all="ignore"):
        p, c = a.astype("f8") * b, np.asarray(c).astype("f8")
        s = np.atleast_1d(p + c)
        # What the sum lost (Knuth), exactly.
        t = s - p
        lost = np.atleast_1d((p - (s - t)) + (c - t))
        bits = s.view("i8")
        odd = np.isfinite(s) & (lost != 0) & (bits & 1 == 0)
        # Away from zero if what was lost has the sign of the sum, otherwise towards it.
        bits = bits + np.where(odd, np.where((lost > 0) == (s > 0), 1, -1), 0)
        return bits.view("f8").astype(F).reshape(np.broadcast_shapes(np.shape(a), np.shape(b), np.shape(c)))


def exp_parts(x):
    x = np.where(x > F(88), F(88), x)
    x = np.where(x < F(-87), F(-87), x)
    log2_e, magic = np.uint32(0x3FB8AA3B).view(F), F(12582912)
    n = (x * log2_e + magic) - magic
    r = (x - n * np.uint32(0x3F318000).view(F)) - n * F(-2.1219444e-4)
    q = ((((F(0.0013942161) * r + F(0.008363776)) * r + F(0.041666362)) * r + F(0.16666573)) * r) + F(0.5)
    return np.ldexp(F(1), np.nan_to_num(n).astype("i4")), r + (r * r) * q


def exp(x):
    scale, p = exp_parts(x)
    return scale + scale * p


def expm1(x):
    scale, p = exp_parts(x)
    return (scale - F(1)) + scale * p


def log1p(u):
    s = u / (F(2) + u)
    z = s * s
    q = ((F(0.134418) * z + F(0.1411564)) * z + F(0.20003891)) * z + F(0.3333332)
    return F(2) * (s + s * (z * q))


def phi(x):
    t = F(1) / (F(1) + F(0.3275911) * (np.abs(x) * F(0.70710677)))
    P = F(-0.1416624)
    for c in (0.4988778, -0.40959874, 0.45656052, 0.023717275, 0.20639749, 0.18065007, 0.18505807):
        P = P * t + F(c)
    tail = (F(0.5) * (t * P)) * exp(F(-0.5) * (x * x))
    return np.where(x > 0, F(1) - tail, tail)


def relu(x):
    return np.where(x <= 0, F(0), x)


def tanh(x):
    e = F(2) * np.abs(x)
    e = np.where(e > F(20), F(20), e)
    e = expm1(np.where(e < F(0), F(0), e))
    return np.copysign(e / (e + F(2)), x)


def sigmoid(x):
    return F(1) / (F(1) + exp(-x))


def gelu(x, approximate):
    if approximate == "tanh":
        value = x * sigmoid(F(1.5957691) * (x + F(0.044715) * ((x * x) * x)))
    else:
        value = x * phi(x)
    return np.where(x < F(-13), F(-0.0), value)


def gemm(node, x, b, c=None):
    a = node.get
    w = b.T if a("transB", 0) else b
    w = w * F(a("alpha", 1.0))
    need(not a("transA", 0), "Gemm with transA")
    total = np.broadcast_to(F(0) if c is None else F(a("beta", 1.0)) * c, (len(x), w.shape[1]))
    for k in range(w.shape[0]):
        total = fma(x[:, k : k + 1], w[k], total)
    return total


def matmul(x, w):
    total = np.zeros((*x.shape[:-1], w.shape[1]), F)
    for k in range(w.shape[0]):
        total = fma(x[..., k : k + 1], w[k], total)
    return total


def geometry(node, extents, kernel, transposed):
    """Strides, dilations, padding at the begin, output extents."""
    n = len(extents)
    strides, dilations = node.get("strides", [1] * n), node.get("dilations", [1] * n)
    pads = node.get("pads", [0] * 2 * n)
    auto, extra = node.get("auto_pad", "NOTSET"), node.get("output_padding", [0] * n)
    begin, outputs = [], []
    for a in range(n):
        reach = (kernel[a] - 1) * dilations[a] + 1
        first, last = pads[a], pads[n + a]
        if auto == "VALID":
            first = last = 0
        if not transposed:
            if auto.startswith("SAME"):
                out = -(-extents[a] // strides[a])
                total = max(0, (out - 1) * strides[a] + reach - extents[a])
                first = total // 2 if auto == "SAME_UPPER" else total - total // 2
                last = total - first
            outputs.append((extents[a] + first + last - reach) // strides[a] + 1)
        else:
            full = strides[a] * (extents[a] - 1) + extra[a] + reach
            wanted = node.get("output_shape", None)
            if wanted is not None or auto.startswith("SAME"):
                out = wanted[-n:][a] if wanted is not None else extents[a] * strides[a]
                total = max(0, full - out)
                first = total // 2 if auto == "SAME_UPPER" else total - total // 2
                outputs.append(out)
            else:
                outputs.append(full - first - last)
        begin.append(first)
    return strides, dilations, begin, outputs


def conv(node, x, w, b=None, transposed=False):
    groups, kernel = node.get("group", 1), w.shape[2:]
    strides, dilations, begin, outputs = geometry(node, x.shape[2:], kernel, transposed)
    channels_in = x.shape[1] // groups
    channels_out = w.shape[1] if transposed else w.shape[0] // groups
    y = np.zeros((len(x), groups * channels_out, *outputs), F)
    if b is not None:
        y[:] = b.reshape(-1, *[1] * len(outputs))
    for g, o in itertools.product(range(groups), range(channels_out)):
        out = y[:, g * channels_out + o]
        for c in range(channels_in):
            weights = w[g * channels_in + c, o] if transposed else w[g * channels_out + o, c]
            image = x[:, g * channels_in + c]
            for q in np.ndindex(*kernel):
                places, sources = [], []
                for a, k in enumerate(q):
                    p = np.arange(outputs[a])
                    if transposed:
                        i = p + begin[a] - k * dilations[a]
                        inside = i % strides[a] == 0
                        i = i // strides[a]
                    else:
                        i = p * strides[a] - begin[a] + k * dilations[a]
                        inside = np.full(len(p), True)
                    inside &= (i >= 0) & (i < x.shape[2 + a])
                    places.append(p[inside])
                    sources.append(i[inside])
                there = (slice(None), *np.ix_(*places))
                if out[there].size:
                    out[there] = fma(image[(slice(None), *np.ix_(*sources))], weights[q], out[there])
    return y


def batch_normalisation(node, x, scale, bias, mean, variance):
    s = scale.astype("f8") / np.sqrt(variance.astype("f8") + np.float64(node.get("epsilon", F(1e-5))))
    a, b = s.astype(F), (bias.astype("f8") - mean.astype("f8") * s).astype(F)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return x * a.reshape(shape) + b.reshape(shape)


def clip(x, low=None, high=None):
    if high is not None:
        x = np.where(x > high, high, x)
    return x if low is None else np.where(x < low, low, x)


def power(x, exponent):
    if exponent == 2:
        return x * x
    need(exponent == 0.5, "Pow by other than 2 and 0.5")
    return np.sqrt(x)


def slices(x, starts, ends, axes=None, steps=None):
    starts, ends = starts.tolist(), ends.tolist()
    axes = list(range(len(starts))) if axes is None else axes.tolist()
    index = [slice(None)] * x.ndim
    for k, axis in enumerate(axes):
        step = 1 if steps is None else int(steps[k])
        end = ends[k] if not (step < 0 and ends[k] < -x.shape[axis]) else None
        index[axis] = slice(starts[k], end, step)
    return x[tuple(index)]


def reshape(node, x, shape):
    shape = [x.shape[k] if e == 0 and not node.get("allowzero", 0) else int(e) for k, e in enumerate(shape)]
    if shape and shape[0] == 1 and x.shape[0] != 1:
        shape[0] = x.shape[0]
    return x.reshape(shape)


def slope(x, alpha):
    alpha = np.asarray(alpha, F)
    return np.where(x < 0, alpha * x, x)


def dequantize(node, q, scale, zero=None):
    axis = node.get("axis", 1)
    shape = [1] * q.ndim
    if scale.ndim and scale.size > 1:
        shape[axis] = -1
        scale = scale.reshape(shape)
        zero = None if zero is None else zero.reshape(shape)
    exact = q.astype("i8") - (0 if zero is None else zero.astype("i8"))
    return exact.astype(F) * scale


def constant(node):
    ((kind, value),) = node.items()
    if kind == "value":
        return numpy_helper.to_array(value)
    return np.array(value, F if kind.startswith("value_float") else "i8")


OPERATORS = {
    "Gemm": gemm,
    "MatMul": lambda node, x, w: matmul(x, w),
    "Conv": conv,
    "ConvTranspose": lambda node, *inputs: conv(node, *inputs, transposed=True),
    "Add": lambda node, a, b: a + b,
    "Sub": lambda node, a, b: a - b,
    "Mul": lambda node, a, b: a * b,
    "Div": lambda node, a, b: a / b,
    "Sqrt": lambda node, x: np.sqrt(x),
    "Pow": lambda node, x, e: power(x, float(e.ravel()[0])),
    "BatchNormalization": batch_normalisation,
    "Relu": lambda node, x: relu(x),
    "LeakyRelu": lambda node, x: slope(x, node.get("alpha", 0.01)),
    "PRelu": lambda node, x, alpha: slope(x, alpha),
    "Clip": lambda node, *inputs: clip(*inputs),
    "Tanh": lambda node, x: tanh(x),
    "Sigmoid": lambda node, x: sigmoid(x),
    "Elu": lambda node, x: np.where(x > 0, x, F(node.get("alpha", 1.0)) * expm1(x)),
    "Softplus": lambda node, x: relu(x) + log1p(exp(-np.abs(x))),
    "Gelu": lambda node, x: gelu(x, node.get("approximate", "none")),
    "Flatten": lambda node, x: x.reshape(len(x), -1),
    "Reshape": reshape,
    "Transpose": lambda node, x: x.transpose(node.get("perm", list(range(x.ndim))[::-1])),
    "Concat": lambda node, *inputs: np.concatenate(inputs, axis=node["axis"]),
    "Slice": lambda node, *inputs: slices(*inputs),
    "Squeeze": lambda node, x, axes: np.squeeze(x, axis=tuple(axes.tolist())),
    "Unsqueeze": lambda node, x, axes: np.expand_dims(x, axis=tuple(axes.tolist())),
    "Identity": lambda node, x: x,
    "Dropout": lambda node, x, *rest: x,
    "Cast": lambda node, x: x.astype(onnx.helper.tensor_dtype_to_np_dtype(node["to"])),
    "Constant": constant,
    "DequantizeLinear": dequantize,
}


def attribute(value):
    value = onnx.helper.get_attribute_value(value)
    return value.decode() if isinstance(value, bytes) else F(value) if isinstance(value, float) else value


class Network:
    def __init__(self, data):
        self.graph = onnx.load_from_string(data).graph
        self.constants = {t.name: numpy_helper.to_array(t) for t in self.graph.initializer}

    def run(self, rows):
        """The output for rows of latents (binary32), in any shape."""
        (given,) = (i for i in self.graph.input if i.name not in self.constants)
        extents = [d.dim_value for d in given.type.tensor_type.shape.dim][1:]
        values = {**self.constants, given.name: rows.reshape(-1, *extents)}
        with np.errstate(all="ignore"):
            for node in self.graph.node:
                need(node.op_type in OPERATORS, f"operator {node.op_type}")
                inputs = [values[name] if name else None for name in node.input]
                attributes = {a.name: attribute(a) for a in node.attribute}
                found = OPERATORS[node.op_type](attributes, *inputs)
                values[node.output[0]] = found.astype(F) if np.asarray(found).dtype == "f8" else found
        output = np.array(values[self.graph.output[0].name])
        output.view("u4")[np.isnan(output)] = 0x7FC00000
        return output
