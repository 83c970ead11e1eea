"""Fitted: integers predicted as weighted sums of their neighbours."""

import itertools
import math

import numpy as np

from . import integers
from .interpolated import extents_of
from .wire import Reader, need, signed

ALL = "0001 0010 0011 001-1 0002 0020 0012 001-2 0021 002-1 0003"
WITHIN = "0100 0101 010-1 0110 01-10 0111 011-1 01-11 01-1-1 0102 010-2 0120 01-20 0200"
ACROSS = "1000 1001 100-1 1010 10-10 1100 1-100 2000"


def steps(text):
    """Steps back along (a, b, c, d)."""
    found = []
    for word in text.split():
        step, sign = [], 1
        for character in word:
            if character == "-":
                sign = -1
            else:
                step.append(sign * int(character))
                sign = 1
        found.append(tuple(step))
    return found


def occurring(reader, n):
    """The integers that occur, if ranks stand for them."""
    from .part import bytes_field

    count = reader.varint()
    need(count <= n, "more integers than values")
    if not count:
        return []
    table = [reader.svarint()]
    gaps = Reader(bytes_field(reader.block(), 10 * (count - 1)))
    for _ in range(count - 1):
        table.append(signed(table[-1] + gaps.varint() + 1))
    gaps.end()
    return table


def of_rank(table, rank):
    """The integer of a rank among those that occur, or the rank itself without them."""
    return table[max(0, min(len(table) - 1, rank))] if table else rank


def weights(reader, extents):
    """Neighbours and weights of each set."""
    sets = {}
    for k in range(4):
        if (k & 1 and extents[1] <= 1) or (k & 2 and extents[0] <= 1):
            continue
        neighbours = steps(ALL) + (steps(WITHIN) if k & 1 else []) + (steps(ACROSS) if k & 2 else [])
        found = [reader.svarint() for _ in neighbours]
        need(all(-(1 << 31) <= w < 1 << 31 for w in found), "a weight beyond 32 bits")
        sets[k] = list(zip(neighbours, found))
    return sets


def predicted(q, i, at, strides, extents, sets):
    """The anchor, and one half and the sum of the weighted differences from it, in 2^-16."""
    anchor = next((q[i - s] for x, s in reversed(list(zip(at, strides))) if x), 0)
    total = 1 << 15
    for step, weight in sets[(at[1] > 0) + 2 * (at[0] > 0)]:
        if all(0 <= x - s < e for x, s, e in zip(at, step, extents)):
            total += weight * (q[i - sum(s * t for s, t in zip(step, strides))] - anchor)
    return anchor, signed(total)


def decode(chunk, reader, shape, specials):
    from .part import Exceptions, Quantiser

    n = math.prod(shape)
    quantiser, exceptions = Quantiser(reader, chunk.dtype), Exceptions(reader, n, chunk.dtype)
    extents = extents_of(reader, n)
    table = occurring(reader, n)
    sets = weights(reader, extents)
    residual = integers.decode(reader, n, specials.out)
    q = [0] * n
    strides = [extents[1] * extents[2] * extents[3], extents[2] * extents[3], extents[3], 1]
    for i, at in enumerate(itertools.product(*map(range, extents))):
        anchor, total = predicted(q, i, at, strides, extents, sets)
        q[i] = signed(anchor + (total >> 16) + (0 if specials.out[i] else int(residual[i])))
    q = [of_rank(table, rank) for rank in q]
    return exceptions.put(quantiser.values(np.array(q, "i8")))
