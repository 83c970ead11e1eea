"""Autoregressive: integers predicted by a small network of integers from those around."""

import itertools
import math

import numpy as np
import onnx
from onnx import numpy_helper

from . import fitted
from .context import CLAMP, token
from .interpolated import extents_of
from .mixed import MixedCoder, coarse, fine, low
from .wire import need, signed

NEIGHBOURS = fitted.steps(fitted.ALL)[1:] + fitted.steps(fitted.WITHIN)
N_INPUTS = len(NEIGHBOURS) + 2
RECIPROCALS = [(2 * (96 << 12) + 32 + m) // (2 * (32 + m)) for m in range(32)]


def wrap(v):
    """Modulo 2^32."""
    return (v + (1 << 31)) % (1 << 32) - (1 << 31)


def clamp(v, most):
    return max(-most, min(most, v))


def fixed(value, bits, most):
    """A binary32 number in 2^-bits, cut off; NaN is 0."""
    value = float(value)
    return 0 if math.isnan(value) else round(clamp(value, most) * (1 << bits))


class Layers:
    """The network's dense layers as integers."""

    def __init__(self, data):
        graph = onnx.load_from_string(data).graph
        known = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.layers, relu = [], True
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "DequantizeLinear":
                integers, scale = known[node.input[0]], known[node.input[1]]
                shape = [1] * integers.ndim
                shape[attributes.get("axis", 1) if scale.ndim and scale.size > 1 else 0] = scale.size
                scale = scale.reshape(shape) if integers.ndim else scale
                known[node.output[0]] = integers.astype("f4") * scale.astype("f4")
            elif node.op_type == "Gemm":
                need(relu, "two layers without ReLU between")
                weights, relu = known[node.input[1]], False
                weights = weights if attributes.get("transB", 0) else weights.T
                bias = known[node.input[2]] if len(node.input) > 2 else np.zeros(len(weights), "f4")
                rows = [[clamp(fixed(w, 12, 8.0), 32767) for w in row] for row in weights]
                self.layers.append((rows, [fixed(b, 20, 256.0) for b in bias]))
            else:
                need(node.op_type == "Relu" and not relu, "another operator than Gemm and ReLU")
                relu = True
        need(not relu and len(self.layers[0][0][0]) == N_INPUTS and len(self.layers[-1][0]) == 2, "another network")

    def run(self, x):
        for k, (rows, bias) in enumerate(self.layers):
            sums = [wrap(b + sum(w * v for w, v in zip(row, x))) for row, b in zip(rows, bias)]
            if k + 1 < len(self.layers):
                x = [max(0, min(32767, s >> 12)) for s in sums]
        return clamp(sums[0] >> 8, 32 << 12), clamp(sums[1] >> 12, 32 << 8)


def expected(scale):
    return token(((4 + scale % 4) << (scale // 4 - 4)) >> 2) if scale >= 16 else 0


def decode(chunk, reader, shape, specials):
    from .part import Exceptions, Quantiser

    need(chunk.bundle is not None, "a model whose bundle is not embedded")
    network = Layers(chunk.bundle.decoder)
    n = math.prod(shape)
    quantiser, exceptions = Quantiser(reader, chunk.dtype), Exceptions(reader, n, chunk.dtype)
    extents = extents_of(reader, n)
    sets = fitted.weights(reader, extents)
    coder = MixedCoder(reader.rest(), 5)
    strides = [extents[1] * extents[2] * extents[3], extents[2] * extents[3], extents[3], 1]
    q, residuals = [0] * n, {}
    columns, row = [0] * extents[3], 0
    for i, at in enumerate(itertools.product(*map(range, extents))):

        def before(step):
            """Where a neighbour is, if it is there."""
            if all(0 <= x - s < e for x, s, e in zip(at, step, extents)):
                return i - sum(s * t for s, t in zip(step, strides))
            return None

        anchor, total = fitted.predicted(q, i, at, strides, extents, sets)
        there = NEIGHBOURS if at[1] else NEIGHBOURS[:10]
        d = [0 if (k := before(step)) is None else clamp(signed(q[k] - anchor), 1 << 22) for step in there]
        parts = sum(map(abs, d)) * (4 if at[1] else 10) + 48
        exponent = parts.bit_length() - 1
        mantissa = parts >> (exponent - 5) & 31

        def scaled(v):
            return clamp(clamp(v >> (exponent - 5), 1 << 14) * RECIPROCALS[mantissa] >> 12, 8191)

        x = [scaled(v << 8) for v in d] + [0] * (24 - len(d))
        x += [scaled(signed(total - (1 << 15)) >> 8), ((exponent - 5) * 32 + mantissa) * 4]
        correction, log2_scale = network.run(x)
        steps = (((32 + mantissa) << (exponent - 5)) * 43691) >> 6
        total = signed(total + (steps * correction >> 12))
        nearest = signed(anchor + (total >> 16))
        rest = total % 65536 - 32768
        fraction, sign = min(3, abs(rest) >> 13), -1 if rest < 0 else 1
        if at[3] == 0:
            row = 0
        if specials.out[i]:
            q[i] = nearest
            continue
        log2 = (exponent * 32 + mantissa) * 8 - 1686 + log2_scale
        scale = max(0, min(95, (log2 + 1024) >> 6))
        near = lambda *step: residuals.get(before(step), 0)
        plane = at[0] or at[1]
        W, WW = near(0, 0, 0, 1), near(0, 0, 0, 2)
        N, NW, NE = near(0, 0, 1, 0), near(0, 0, 1, 1), near(0, 0, 1, -1)
        B = residuals.get(i - strides[1], 0) if plane else 0
        size = {name: abs(v) for name, v in dict(W=W, WW=WW, N=N, NW=NW, NE=NE, B=B).items()}
        energy = 3 * size["W"] + 2 * size["N"] + 2 * size["B"] + size["NW"]
        broad = 2 * (size["W"] + size["N"] + size["B"]) + size["WW"] + size["NW"] + size["NE"]
        contexts = (
            4 * scale + fraction,
            20 * (scale // 2) + coarse(energy >> 2),
            4 * fine(broad) + fraction,
            20 * coarse(columns[at[3]] >> 2) + coarse(row >> 2),
            (16 * low(size["W"]) + low(size["N"])) * 16 + low(size["B"]),
        )
        west = sign * ((W > 0) - (W < 0))
        value = sign * coder.value(contexts, expected(scale), (12 * fraction + min(11, scale // 4)) * 3 + west + 1)
        q[i] = signed(nearest + value)
        residuals[i] = clamp(value, CLAMP)
        m = abs(residuals[i])
        columns[at[3]] += -(columns[at[3]] >> 3) + 2 * m
        row += -(row >> 2) + 4 * m
    coder.decoder.end()
    return exceptions.put(quantiser.values(np.array(q, "i8")))
