"""Related: a column given other columns of the chunk."""

import math

import numpy as np

from . import elementary as fixed
from .context import RangeDecoder
from .fitted import occurring, of_rank
from .mixed import X_MOST, Counter, clamp_x, tables
from .wire import need, signed

MASK = (1 << 64) - 1
FUNCTIONS = [
    lambda x: x,
    lambda x: x * x,
    lambda x: 1 / x,
    lambda x: np.sqrt(np.abs(x)),
    fixed.sin,
    fixed.cos,
    fixed.exp,
    fixed.sinh,
    fixed.cosh,
    lambda x: fixed.ln(np.abs(x)),
    np.abs,
]
OUTER = [
    lambda x: x,
    lambda x: np.sqrt(np.where(x > 0, x, 0.0)),
    fixed.asinh,
    fixed.exp,
    fixed.ln,
    lambda x: 1 / x,
]


def binary64(column, k):
    """The values of column k of a chunk."""
    with np.errstate(invalid="ignore"):
        return column(k).astype("f8")


class Formula:
    def __init__(self, reader):
        self.outer, count = reader.u8(), reader.u8()
        need(self.outer < len(OUTER) and 1 <= count <= 32, "outer function or number of terms")
        self.terms = []
        for _ in range(count):
            coefficient, factors = reader.f64(), []
            need(math.isfinite(coefficient), "a coefficient that is not finite")
            need((n_factors := reader.u8()) <= 6, "more than 6 factors")
            for _ in range(n_factors):
                function, column = reader.u8(), reader.varint()
                need(function < len(FUNCTIONS), "unknown function")
                factors.append((function, column))
            self.terms.append((coefficient, factors))
        self.columns = sorted({column for _, factors in self.terms for _, column in factors})
        self.deltas = [reader.f64() for _ in self.columns]
        reader.end()

    def read(self, column):
        """The columns it is made of."""
        return {k: binary64(column, k) for k in self.columns}

    def value(self, columns, rows):
        total = np.zeros(rows)
        for coefficient, factors in self.terms:
            term = np.full(rows, coefficient)
            for function, column in factors:
                term = term * FUNCTIONS[function](columns[column])
            total = total + term
        return OUTER[self.outer](total)


def position(quantiser, v):
    """The position of binary64 values among the integers of a quantiser."""
    if quantiser.kind in (1, 2):
        return (v - float(quantiser.offset)) / float(quantiser.step)
    dtype = quantiser.dtype
    rounded = v.astype(dtype)
    bits = rounded.view(f"u{dtype.itemsize}").astype("u8")
    sign = np.uint64(1 << (8 * dtype.itemsize - 1))
    pattern = (bits & (sign - np.uint64(1))).astype("i8").astype("f8")
    pattern = np.where(bits & sign, -pattern, pattern)
    step = 2.0**quantiser.shift if quantiser.kind == 0 else float(quantiser.step)
    return np.where(np.isnan(v), np.nan, pattern / step)


def centres(formula, quantiser, columns, rows):
    """Centre, fraction and spread of each row."""
    p = position(quantiser, formula.value(columns, rows))
    good = np.abs(p) < 2.0**60
    centre = np.where(good, np.floor(np.where(good, p, 0) + 0.5), 0)
    fraction = np.where(good, np.clip((((p - centre) + 0.5) * 8), 0, 7), 0).astype("i8")
    total = np.zeros(rows)
    for column, delta in zip(formula.columns, formula.deltas):
        if delta != 0:
            moved = {**columns, column: columns[column] + delta}
            difference = position(quantiser, formula.value(moved, rows)) - p
            total = total + difference * difference
    s = np.sqrt(total)
    level = np.clip((s.view("u8") >> np.uint64(51)).astype("i8") - 2022, 1, 63)
    spread = np.where(good, np.where(np.isnan(s), 1, level), 0)
    return centre.astype("i8"), fraction, spread


def bins(values):
    """The fine and coarse bin of each row of a column."""

    def ordered(v):
        b = v.view("i8")
        return b ^ ((b >> 63).view("u8") >> np.uint64(1)).view("i8")

    keys = ordered(values)
    sample = np.sort(keys[:: -(-len(keys) // 65536)])
    m = len(sample)
    thresholds = sorted({int(sample[i * m // 256]) for i in range(1, 256)} - {int(sample[0])})
    fine = np.searchsorted(thresholds, keys, side="right")
    count = len(thresholds) + 1
    return fine, fine if count <= 32 else 32 * fine // count


def contexts_of(i, last, before, guess, parents, pair, rows):
    """Number and value of each context."""
    first = parents[0][1][i] if parents else 0
    u = 32 * first + (pair[i] if pair is not None else 0)
    rows = rows or (guess is None and not parents)
    found = [(0, 0)] + [(1, last)] * rows
    if guess is not None:
        _, fraction, spread = guess
        found += [(2, 8 * spread[i] + fraction[i]), (3, spread[i]), (4, 32 * spread[i] + first)]
    else:
        found += [(2, (last >> 2) << 32 | before >> 2)] * rows
        if parents:
            found += [(3, u), (4, 32 * u + (parents[1][1][i] // 4 if len(parents) > 1 else 0))]
    return [(j, int(x)) for j, x in found + [(5 + k, fine[i]) for k, (fine, _) in enumerate(parents)]]


def hashed(j, x):
    h = (x + (j << 56) + 1) * 0xA0761D6478BD642F & MASK
    return (h << 29 | h >> 35) & MASK


def decode(chunk, reader, shape, column):
    from .part import Exceptions, Quantiser, Specials

    n = math.prod(shape)

    need((count := reader.u8()) <= 3, "more than 3 parents")
    parents = [bins(binary64(column, reader.varint())) for _ in range(count)]
    pair = reader.varint()
    need(not pair or parents, "a pair without a parent")
    pair = bins(binary64(column, pair - 1))[1] if pair else None
    formula = reader.block()
    formula = Formula(formula) if formula.data else None
    specials = Specials(reader, n, chunk.dtype)
    quantiser, exceptions = Quantiser(reader, chunk.dtype), Exceptions(reader, n, chunk.dtype)
    base, levels, raw = reader.svarint(), reader.u8(), reader.u8()
    grouped, levels = levels >> 7, levels & 127
    need(levels <= 64 and raw <= levels, "levels")
    rows, table, mode = 1, [], None
    if grouped:
        need((rows := reader.u8()) <= 1, "neither 0 nor 1 for the rows before")
        table = occurring(reader, n)
        mode = reader.varint() - 1
        mode = None if mode < 0 else mode
    with np.errstate(all="ignore"):
        guess = centres(formula, quantiser, formula.read(column), n) if formula else None
    decoder = RangeDecoder(reader.rest())
    kept = np.flatnonzero(~specials.out)
    size = min(20, max(12, max(1, len(kept)).bit_length() - 1 + 6))
    S, T = tables()
    slots, weights = {}, {}
    last = before = 0
    q = np.zeros(n, "i8")
    group = 8 if grouped else 1

    def places_of(hashes, path):
        turned = path * 0x9E3779B97F4A7C15 & MASK
        shift = 64 - size + group.bit_length() - 1
        return [(((h ^ turned) * 0xD6E8FEB86659FD93 & MASK) >> shift) * group for h in hashes]

    def decide(places, depth):
        counters = [slots.setdefault(place, Counter()) for place in places]
        mixing = weights.setdefault(depth, [98304 // len(places)] * len(places))
        logits = [(T[c.probability() >> 4] * (256 * c.n // (c.n + 3))) >> 8 for c in counters]
        probability = S[clamp_x(sum(w * x for w, x in zip(mixing, logits)) >> 16) + X_MOST]
        found = decoder.bit(probability)
        e = 65536 * found - probability
        for k, x in enumerate(logits):
            mixing[k] = min((1 << 31) - 1, max(-(1 << 31), mixing[k] + ((x * e + (1 << 14)) >> 15)))
        for counter in counters:
            counter.update(found)
        return found

    for i in kept:
        hashes = [hashed(j, x) for j, x in contexts_of(i, last, before, guess, parents, pair, rows)]
        node, at = 1, 1
        places = places_of(hashes, 1)
        if mode is not None and decide(places, 64):
            v = mode
        else:
            for bit in range(levels - 1, raw - 1, -1):
                depth = levels - 1 - bit
                if depth % 3 == 0 or not grouped:
                    path = node if depth < 14 else 1 << 32 | depth << 8 | node & 3
                    places, at = places_of(hashes, path & MASK), 1
                found = decide([place + at * grouped for place in places], depth)
                node, at = node << 1 | found, at << 1 | found
            v = (node - (1 << (levels - raw))) << raw | decoder.raw(raw)
        last, before = v, last
        q[i] = signed(base + of_rank(table, v) + (int(guess[0][i]) if guess else 0))
    decoder.end()
    return specials.put(exceptions.put(quantiser.values(q)))
