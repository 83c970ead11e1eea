"""The context coder: a binary range decoder whose probabilities follow the integers around."""

import math

from .wire import need

MASK = (1 << 64) - 1
CLAMP = 1 << 26


class RangeDecoder:
    def __init__(self, data):
        self.data, self.at = data, 8
        self.code = int.from_bytes(data[:8].ljust(8, b"\0"), "big")
        self.range = MASK

    def renormalise(self):
        if self.range < 1 << 32:
            more = self.data[self.at : self.at + 4].ljust(4, b"\0")
            self.at += 4
            self.code = (self.code << 32 | int.from_bytes(more, "big")) & MASK
            self.range = (self.range << 32) & MASK

    def bit(self, probability):
        ones = (self.range >> 16) * probability
        bit = self.code < ones
        if bit:
            self.range = ones
        else:
            self.code -= ones
            self.range -= ones
        self.renormalise()
        return int(bit)

    def raw(self, count):
        """`count` raw bits, from the top, 16 at a time and the rest last."""
        value = 0
        while count:
            k = min(count, 16)
            self.range >>= k
            bits = min(self.code // self.range, (1 << k) - 1)
            self.code -= bits * self.range
            self.renormalise()
            value, count = value << k | bits, count - k
        return value

    def end(self):
        need(self.at >= len(self.data), "bytes left over")
        need(self.at <= len(self.data) + 16, "read beyond the end")


class AdaptiveBit:
    __slots__ = ("fast", "slow", "seen")

    def __init__(self):
        self.fast = self.slow = 32768
        self.seen = 0

    def decode(self, decoder):
        bit = decoder.bit(max(1, (self.fast + self.slow) >> 1))
        s = 2 + max(self.seen, 1).bit_length() - 1
        a, b = min(s, 4), min(s, 8)
        if bit:
            self.fast += (65535 - self.fast) >> a
            self.slow += (65535 - self.slow) >> b
        else:
            self.fast -= self.fast >> a
            self.slow -= self.slow >> b
        self.seen = min(64, self.seen + 1)
        return bit


class AdaptiveBits(RangeDecoder):
    """A range decoder with one adaptive bit for each name."""

    def __init__(self, data):
        super().__init__(data)
        self.models = {}

    def adaptive(self, *name):
        if name not in self.models:
            self.models[name] = AdaptiveBit()
        return self.models[name].decode(self)

    def adaptive_number(self, count, *name):
        """`count` bits from the top, each under the model numbered by a 1 and the bits before it."""
        number = 1
        for _ in range(count):
            number = 2 * number + self.adaptive(*name, number)
        return number - (1 << count)


def token(m):
    if m < 4:
        return m
    t = m.bit_length() - 1
    return 2 * t + (m >> (t - 1) & 1)


def g(v):
    return (v > 0) - (v < 0) + 1


class Lattice:
    """Coded values, clamped, by position; what lies outside, or is left out, is 0."""

    def __init__(self, extents, n):
        self.nx = extents[-1] if extents else 1
        self.ny = extents[-2] if len(extents) > 1 else 1
        self.plane = self.nx * self.ny
        self.rows, self.planes = self.ny > 1, n > self.plane
        self.values = [0] * n

    def put(self, i, value):
        self.values[i] = max(-CLAMP, min(CLAMP, value))

    def at(self, i):
        """A function of steps (back in planes, rows down, columns right) from position i to the value there."""
        y, x = i % self.plane // self.nx, i % self.nx
        p = i // self.plane

        def value(dp, dy, dx):
            if p + dp < 0 or not 0 <= y + dy < self.ny or not 0 <= x + dx < self.nx:
                return 0
            return self.values[i + dp * self.plane + dy * self.nx + dx]

        return value


class Neighbours:
    """Those of one position, and what follows from them."""

    def __init__(self, lattice, i):
        v = self.v = lattice.at(i)
        self.W, self.WW, self.WWW = v(0, 0, -1), v(0, 0, -2), v(0, 0, -3)
        self.N, self.NW, self.NE = v(0, -1, 0), v(0, -1, -1), v(0, -1, 1)
        self.B, self.BE, self.BS = v(-1, 0, 0), v(-1, 0, 1), v(-1, 1, 0)
        e = 3 * abs(self.W) + abs(self.WW)
        if lattice.rows:
            e += 2 * abs(self.N) + abs(self.NW) + abs(self.NE)
        if lattice.planes:
            e += 2 * abs(self.B) + abs(self.BE) + abs(self.BS)
        if lattice.rows and lattice.planes:
            e = e - (e >> 2) - (e >> 4)
        s = e >> 2 if lattice.rows or lattice.planes else e >> 1
        if lattice.rows:
            nearest = (self.W, self.N, self.B if lattice.planes else self.NE)
        else:
            nearest = (self.W, self.B, self.BE) if lattice.planes else (self.W, self.WW, self.WWW)
        self.nearest = nearest
        a, b, c = map(abs, nearest)
        if s <= 3 and max(a, b, c) <= 2:
            self.context, self.expected = 9 * a + 3 * b + c, 0
        else:
            self.context, self.expected = 27 + min(47, token(s)), token(s >> 1)
        self.sign = 9 * g(nearest[0]) + 3 * g(nearest[1]) + g(nearest[2])


def magnitude(decoder, t, top_bit):
    """The magnitude of token t; `top_bit` decodes its first extra bit."""
    if t < 4:
        return t
    extra = t // 2 - 1
    bits = top_bit(t) << (extra - 1) | decoder.raw(extra - 1)
    return (2 + t % 2 << extra) + bits


def walk(expected, above):
    """The token found from the expected one; `above(j, step)` decodes "above j" at steps first, up, down."""
    t = expected
    if above(t, "first"):
        t += 1
        while t < 127 and above(t, "up"):
            t += 1
    else:
        while t > 0 and not above(t - 1, "down"):
            t -= 1
    return t


def integers(data, extents, out):
    decoder, lattice, found = AdaptiveBits(data), Lattice(extents, len(out)), []
    bit = decoder.adaptive
    for i in range(len(out)):
        if out[i]:
            continue
        near = Neighbours(lattice, i)
        t = walk(near.expected, lambda j, step: bit(near.context, step == "down", j))
        value = magnitude(decoder, t, lambda t: bit("top", t))
        if value and bit("sign", near.sign):
            value = -value
        lattice.put(i, value)
        found.append(value)
    decoder.end()
    return found
