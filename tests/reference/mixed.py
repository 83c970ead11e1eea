"""The mixed coder: each decision has several contexts, whose probabilities are mixed."""

from decimal import Decimal, localcontext
from functools import cache

from .context import CLAMP, Lattice, Neighbours, RangeDecoder, magnitude, token, walk

X_MOST = 3071


@cache
def tables():
    """S, from -3071 on, and T."""
    with localcontext() as ctx:
        ctx.prec = 30
        s = [min(65535, max(1, int(65536 / (1 + (Decimal(-x) / 256).exp())))) for x in range(-X_MOST, X_MOST + 1)]
    t, x = [], 0
    for k in range(4096):
        while s[x] < 16 * k + 8:
            x += 1
        t.append(x - X_MOST)
    return s, t


class Counter:
    __slots__ = ("p", "n")

    def __init__(self):
        self.p, self.n = 1 << 21, 0

    def probability(self):
        return self.p >> 6

    def update(self, bit):
        self.p += ((bit * ((1 << 22) - 1) - self.p) * (131072 // (2 * self.n + 3))) >> 16
        self.n = min(255, self.n + 1)


def clamp_x(x):
    return max(-X_MOST, min(X_MOST, x))


class MixedCoder:
    """Decodes values given a context in each set."""

    def __init__(self, data, sets):
        self.decoder, self.sets = RangeDecoder(data), sets
        self.counters, self.weights = {}, {}
        self.s, self.t = tables()

    def counter(self, *name):
        if name not in self.counters:
            self.counters[name] = Counter()
        return self.counters[name]

    def single(self, *name):
        counter = self.counter(*name)
        bit = self.decoder.bit(max(1, counter.probability()))
        counter.update(bit)
        return bit

    def mix(self, counters, weights):
        xs = [self.t[counter.probability() >> 4] for counter in counters]
        probability = self.s[clamp_x(sum(x * w for x, w in zip(xs, weights)) >> 16) + X_MOST]
        bit = self.decoder.bit(probability)
        e = 65536 * bit - probability
        for i, x in enumerate(xs):
            weights[i] = max(-(1 << 20), min(1 << 20, weights[i] + ((x * e + (1 << 15)) >> 16)))
        for counter in counters:
            counter.update(bit)
        return bit

    def value(self, contexts, expected, sign):
        def above(j, step):
            counters = [self.counter(k, c, step == "down", min(j, 47)) for k, c in enumerate(contexts)]
            return self.mix(counters, self.weights.setdefault((step, min(expected, 23)), [16000] * self.sets))

        value = magnitude(self.decoder, walk(expected, above), lambda t: self.single("top", t))
        return -value if value and self.single("sign", sign) else value


def fine(v):
    if v < 8:
        return v
    t = v.bit_length() - 1
    return min(95, 4 * t + (v >> (t - 2) & 3) - 4)


def coarse(v):
    return min(19, token(v))


def low(v):
    return min(15, token(v))


def z(v):
    return 2 if v % 4 == 0 else 1 - v % 2


class Blocks:
    """Which stretches of the rows have anything but zeros in them."""

    LENGTH = 16

    def __init__(self, lattice, coder, out):
        self.lattice, self.coder, self.out, self.full = lattice, coder, out, {}

    def decide(self, x, y, plane):
        k, first = x // self.LENGTH, plane * self.lattice.plane + y * self.lattice.nx + x
        width = min(self.LENGTH, self.lattice.nx - x, len(self.out) - first)
        near = ((plane, y, k - 1), (plane, y - 1, k), (plane, y - 1, k - 1), (plane, y - 1, k + 1), (plane - 1, y, k))
        context = sum(self.full.get(place, 0) << 4 - i for i, place in enumerate(near))
        is_coded = not all(self.out[first : first + width])
        self.full[plane, y, k] = self.coder.single("block", context) if is_coded else 0

    def is_full(self, x, y, plane):
        if x % self.LENGTH == 0:
            self.decide(x, y, plane)
        return self.full[plane, y, x // self.LENGTH]


def sparse_integers(data, extents, out):
    return integers(data, extents, out, are_blocks=True)


def integers(data, extents, out, are_blocks=False):
    lattice, found = Lattice(extents, len(out)), []
    coder = MixedCoder(data, 6)
    col, row = [0] * lattice.nx, 0
    blocks = Blocks(lattice, coder, out)
    for i in range(len(out)):
        x, y, plane = i % lattice.nx, i % lattice.plane // lattice.nx, i // lattice.plane
        if x == 0:
            row = 0
        is_full = not are_blocks or blocks.is_full(x, y, plane)
        if out[i]:
            continue
        if not is_full:
            lattice.put(i, 0)
            found.append(0)
            continue
        near = Neighbours(lattice, i)
        v = near.v
        W, WW, WWW, N, NW, NE, B, BE, BS = (
            abs(getattr(near, name)) for name in ("W", "WW", "WWW", "N", "NW", "NE", "B", "BE", "BS")
        )
        NN, NEE, BW, BN = abs(v(0, -2, 0)), abs(v(0, -1, 2)), abs(v(-1, 0, -1)), abs(v(-1, -1, 0))
        wide = 2 * W + WW + WWW
        if lattice.rows:
            wide += 2 * N + NW + NE + NN + NEE
        if lattice.planes:
            wide += 2 * B + BE + BS + BW + BN
        a, b, c = map(abs, near.nearest)
        behind = BW + BE + BS + BN if lattice.planes else WW + NEE
        contexts = (
            near.context,
            fine(wide),
            (16 * low(a) + low(b)) * 16 + low(c),
            20 * coarse(col[x] >> 2) + coarse(row >> 2),
            24 * ((3 * z(plane) + z(y)) * 3 + z(x)) + min(23, near.expected),
            (16 * low(NW + NE) + low(behind)) * 16 + low(W + N),
        )
        value = coder.value(contexts, near.expected, near.sign)
        lattice.put(i, value)
        m = min(CLAMP, abs(value))
        col[x] += -(col[x] >> 3) + 2 * m
        row += -(row >> 2) + 4 * m
        found.append(value)
    coder.decoder.end()
    return found
