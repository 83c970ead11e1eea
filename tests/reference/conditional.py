"""Conditional: a column given other columns of the chunk, by static tables."""

import math

import numpy as np

from . import rans
from .context import AdaptiveBits
from .fitted import occurring, of_rank
from .related import Formula, binary64, centres
from .wire import need, signed

CELLS = 1 << 14
CONTEXTS = 1 << 14
SHARES = 64


def cells(values):
    """The cell of each value."""
    bits = values.astype("f4").view("u4").astype("i8")
    place = np.where(bits >> 31, bits ^ 0xFFFFFFFF, bits ^ 0x80000000)
    place = np.where(np.isnan(values), 0xFFFFFFFF, place)
    place -= place.min()
    return place >> max(0, int(place.max()).bit_length() - (CELLS - 1).bit_length())


class Classes:
    """The class of each value of a parent, and the value's place within its class."""

    def __init__(self, values, most):
        of_value, counts = cells(values), {}
        for cell in of_value.tolist():
            counts[cell] = counts.get(cell, 0) + 1
        n, below, number, share, class_of = len(values), 0, -1, None, {}
        for cell in sorted(counts):
            if SHARES * below // n != share or SHARES * counts[cell] >= n:
                number += 1
            share = SHARES * below // n
            class_of[cell] = number
            below += counts[cell]
        m = number + 1
        self.count = min(m, most)
        self.of = np.array([class_of[cell] * self.count // m for cell in of_value.tolist()])

        least, largest = np.full(self.count, np.inf), np.full(self.count, -np.inf)
        finite = np.isfinite(values)
        np.minimum.at(least, self.of[finite], values[finite])
        np.maximum.at(largest, self.of[finite], values[finite])
        centre, width = least / 2 + largest / 2, largest / 2 - least / 2
        place = (values - centre[self.of]) * (1 / width)[self.of]
        wide = (width > 0) & np.isfinite(width)
        self.within = np.where(wide[self.of] & (np.abs(place) <= 2), place, 0.0)


def intervals(n_bits, data):
    """First number and bits of each interval."""
    bits, found = AdaptiveBits(data), []

    def split(first, size):
        if size and bits.adaptive(size):
            split(first, size - 1)
            split(first + (1 << size - 1), size - 1)
        else:
            need(size <= 44, "an interval wider than 2^44")
            need(len(found) < rans.N_TOKENS, "more intervals than tokens")
            found.append((first, size))

    need(n_bits <= 64, "integers of more than 64 bits")
    split(0, n_bits)
    bits.end()
    return found


def map_of(data, n_contexts, n_tables):
    """The table of each context."""
    bits, found, same = AdaptiveBits(data), [], 1
    for _ in range(n_contexts):
        same = bits.adaptive("same", same)
        if same:
            found.append(found[-1] if found else 0)
        else:
            found.append(bits.adaptive_number(5, "table"))
            need(found[-1] < n_tables, "a table that is not there")
    bits.end()
    return found


def planes(data, classes):
    """Height and slopes of each piece, the pieces of one first class in a row."""
    bits, rows = AdaptiveBits(data), []

    def number(models):
        size = 0
        while size < 64 and bits.adaptive(models, "above", size):
            size += 1
        if not size:
            return 0
        negative = bits.adaptive(models, "sign")
        magnitude = 1 << size - 1 | bits.raw(size - 1)
        return -magnitude if negative else magnitude

    for i in range(classes[0].count):
        row = []
        for j in range(classes[1].count if len(classes) > 1 else 1):
            height = s = t = 0
            if j:
                height, s, t = row[-1]
                height = saturated(height + saturated(2 * t))
            elif i:
                height, s, t = rows[-1][0]
                height = saturated(height + saturated(2 * s))
            s, t = signed(s + number("slope")), signed(t + number("slope"))
            row.append((signed(height + number("height")), s, t))
        rows.append(row)
    bits.end()
    return rows


def saturated(v):
    return min((1 << 63) - 1, max(-(1 << 63), v))


def surface(resolution, pieces, classes):
    """The centre of each row."""
    g = 2.0 ** (resolution - 3)
    at = tuple(c.of for c in classes) if len(classes) > 1 else (classes[0].of, 0)
    height, s, t = np.array(pieces, "i8")[at].T.astype("f8")
    v = classes[1].within if len(classes) > 1 else 0.0
    z = np.floor((((g * height + (g * s) * classes[0].within) + (g * t) * v) + 0.5))
    return np.clip(z, -(2.0**52), 2.0**52).astype("i8")


def decode(chunk, reader, shape, column):
    from .part import Exceptions, Quantiser, Specials

    n = math.prod(shape)
    kind = reader.u8()
    kind, differences = kind & 127, kind >> 7
    need(kind <= 2 and not (kind == 2 and differences), "unknown kind")
    need((count := reader.u8()) <= 2, "more than 2 parents")
    need(count or kind != 1, "a surface above nothing")
    parents = [(reader.varint(), reader.u8()) for _ in range(count)]
    need(all(1 <= most <= 128 for _, most in parents), "most classes beyond 1 to 128")
    formula = Formula(reader.block()) if kind == 2 else None
    specials = Specials(reader, n, chunk.dtype)
    quantiser, exceptions = Quantiser(reader, chunk.dtype), Exceptions(reader, n, chunk.dtype)
    if kind == 1:
        need((resolution := reader.u8()) <= 51, "a resolution above 51")
        coded_planes = reader.block().data
    n_coded = n - int(specials.out.sum())
    need(n_coded >> 16 <= len(reader.data) - reader.at, "too few bytes for so many values")
    base, table = reader.svarint(), occurring(reader, n)
    spans = intervals(reader.u8(), reader.block().data)
    need(1 <= (n_tables := reader.u8()) <= rans.TABLES, "a number of tables beyond 1 to 24")
    coded_map = reader.block().data
    tables = rans.frequencies(reader.block().data, n_tables)
    bits, states = rans.Bits(reader.block().data), rans.States(reader, tables)

    with np.errstate(all="ignore"):
        values = [binary64(column, k) for k, _ in parents]
        if differences:
            values = [v - np.concatenate([v[:1], v[:-1]]) for v in values]
        classes = [Classes(v, most) for v, (_, most) in zip(values, parents)]
        context, n_contexts, centre = np.zeros(n, "i8"), 1, np.zeros(n, "i8")
        if kind == 2:
            centre, fraction, spread = centres(formula, quantiser, formula.read(column), n)
            context, n_contexts = 8 * spread + fraction, 512
        for c in classes:
            context, n_contexts = context * c.count + c.of, n_contexts * c.count
        need(n_contexts <= CONTEXTS, "more than 2^14 contexts")
        if kind == 1:
            centre = surface(resolution, planes(coded_planes, classes), classes)

    table_of = map_of(coded_map, n_contexts, n_tables)
    q, total = np.zeros(n, "i8"), 0
    for i in np.flatnonzero(~specials.out):
        token = states.token(table_of[context[i]])
        first, size = spans[token] if token < len(spans) else (0, 0)
        c = of_rank(table, first + bits.take(size))
        found = int(centre[i]) + base + c
        total = signed(found + total * differences)
        q[i] = total
    states.end()
    bits.end()
    return specials.put(exceptions.put(quantiser.values(q)))
