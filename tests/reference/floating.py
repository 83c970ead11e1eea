"""Floating: floats predicted from their neighbours in their own arithmetic, exactly."""

import itertools
import math

import numpy as np

from . import integers
from .wire import need


def key(bits, width):
    """The integer that grows with the float of these bits, and back; both signed."""
    return bits if bits >= 0 else bits ^ ((1 << width - 1) - 1)


def wrapped(v, width):
    """v modulo 2^width, signed."""
    return (v + (1 << width - 1)) % (1 << width) - (1 << width - 1)


def decode(chunk, reader, shape, specials):
    dtype, n = chunk.dtype, math.prod(shape)
    need(dtype in (np.float32, np.float64), "floats of another dtype")
    most, first_field = (23, 24) if dtype == np.float32 else (52, 53)
    shift = reader.u8()
    need(shift <= most, "a shift beyond the mantissa")
    size, extents, orders = integers.head(reader, n)
    need(size == dtype.itemsize and all(order <= 1 for order in orders), "another width, or an order above 1")
    residual = integers.coded(reader, specials.out, size, extents)

    width, zero = 8 * size, dtype.type(0)
    words = np.zeros(n, f"<i{size}")
    values = words.view(dtype)

    def counted(value):
        field = (int(value.view(f"<u{size}")) & (1 << width - 1) - 1) >> most
        return value if first_field <= field < (1 << width - 1 - most) - 1 else zero

    strides = [math.prod(extents[axis + 1 :]) for axis in range(len(extents))]
    *others, near = [axis for axis, order in enumerate(orders) if order] or [None]
    others.reverse()
    sets = [[b for j, b in enumerate(others) if m >> j & 1] for m in range(1, 1 << len(others))]

    with np.errstate(over="ignore", invalid="ignore"):
        for i, at in enumerate(itertools.product(*map(range, extents))):

            def v(*axes):
                if any(at[axis] == 0 for axis in axes):
                    return zero
                return counted(values[i - sum(strides[axis] for axis in axes)])

            prediction = zero
            if near is not None:
                total = zero
                for steps in sets:
                    d = v(*steps) - v(*steps, near)
                    total = total + d if len(steps) % 2 else total - d
                prediction = counted(v(near) + total)
            if specials.out[i]:
                values[i] = prediction
                continue
            p = key(int(prediction.view(f"<i{size}")), width)
            k = wrapped((wrapped(p + ((1 << shift) >> 1), width) >> shift) + int(residual[i]), width)
            bits = key(k, width)
            below_sign = bits << shift & (1 << width - 1) - 1
            words[i] = below_sign - (1 << width - 1) if bits < 0 else below_sign
    return values
