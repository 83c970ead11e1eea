"""Integers: differences along axes, and the coders of what they leave."""

import math

import numpy as np

from . import context, mixed, rans
from .wire import need


CODERS = {4: context.integers, 5: mixed.integers, 6: rans.integers, 7: mixed.sparse_integers}


def head(reader, n):
    """Width, extents and orders."""
    width = reader.u8()
    need(width in (4, 8), "a width other than 4 and 8")
    need((axes := reader.u8()) <= 4, "more than 4 axes")
    axes = [(reader.varint(), reader.u8()) for _ in range(axes)]
    need(all(order <= 2 for _, order in axes), "an order above 2")
    extents = [extent for extent, _ in axes]
    need(math.prod(extents) == n, "extents of another number of values")
    return width, extents, [order for _, order in axes]


def coded(reader, out, width, extents):
    """What the coder gives, as integers of that width; 0 where `out` marks what is left out."""
    from .part import bytes_field, numbers

    coder = reader.u8()
    need(coder <= 7, "unknown coder")
    dtype = np.dtype(f"<i{width}")
    kept = np.flatnonzero(~out)
    residual = np.zeros(len(out), dtype)
    if coder == 0:
        value = reader.svarint()
        need(-(1 << 8 * width - 1) <= value < 1 << 8 * width - 1, "a constant beyond its width")
        found = np.array([value], "i8")
        reader.end()
    elif coder == 1:
        found = numbers(reader.rest(), len(kept), dtype)
    elif coder in (2, 3):
        w, base = reader.u8(), reader.svarint()
        need(w in (1, 2, 4, 8), "a width other than 1, 2, 4, 8")
        data = bytes_field(reader, w * len(kept))
        need(len(data) == w * len(kept), "another number of integers")
        if coder == 3:
            data = np.frombuffer(data, "u1").reshape(w, -1).T.tobytes()
        found = (np.frombuffer(data, f"<u{w}").astype("u8") + np.uint64(base % 2**64)).view("i8")
    else:
        found = np.array(CODERS[coder](reader.rest(), extents, out), "i8")
    residual[kept] = found.astype(dtype)
    return residual


def decode(reader, n, out):
    """n integers as int64; `out` marks those that are left out (their residual is 0: they hold their prediction)."""
    width, extents, orders = head(reader, n)
    residual = coded(reader, out, width, extents).reshape(extents)
    for axis, order in enumerate(orders):
        for _ in range(order):
            residual = np.cumsum(residual, axis=axis, dtype=residual.dtype)
    return residual.ravel().astype("i8")
