"""The rANS coder: static tables, one for each class of the values around."""

from .context import AdaptiveBits, Lattice
from .wire import Reader, need, unzigzag

N_TOKENS = 188
TABLES = 24
TOTAL = 4096
CLAMP = 1 << 20


def frequencies(data, n_tables):
    """The tables: 188 frequencies each."""
    decoder, tables, before = AdaptiveBits(data), [], None
    bit = decoder.adaptive
    for _ in range(n_tables):
        m = decoder.adaptive_number(8, "tokens")
        need(1 <= m <= N_TOKENS, "a number of tokens beyond 1 to 188")
        table, rest, last = [0] * N_TOKENS, None, 0
        for t in range(m):
            if rest is None and (t == m - 1 or bit("rest", last > 0)):
                rest, last = t, 12
                continue
            expected = before[t].bit_length() if before else 0
            s = last if before is None else min(expected, 12)
            if s < 12 and bit("up", expected, last, s):
                s += 1
                while s < 12 and bit("up", expected, last, s):
                    s += 1
            else:
                while s > 0 and not bit("down", expected, last, s - 1):
                    s -= 1
            f = int(s > 0)
            if s > 1:
                f = 2 * f + bit("below", 0)
            if s > 2:
                f = 2 * f + bit("below", 1 + (f & 1))
            table[t] = f << max(0, s - 3)
            last = s
        need(sum(table) < TOTAL, "frequencies that leave nothing to the rest")
        table[rest] = TOTAL - sum(table)
        tables.append(table)
        before = table
    decoder.end()
    return tables


class Bits:
    """Numbers of some bits, the least significant bit of each byte first."""

    def __init__(self, data):
        self.value, self.size, self.at = int.from_bytes(data, "little"), len(data), 0

    def take(self, count):
        value = self.value >> self.at & ((1 << count) - 1)
        self.at += count
        return value

    def end(self):
        need((self.at + 7) // 8 == self.size, "extra bytes missing or left over")


class States:
    """Four states in turn, and the words they take in."""

    def __init__(self, reader, tables):
        self.reader, self.count = reader, 0
        self.states = [int.from_bytes(reader.take(4), "little") for _ in range(4)]
        need(min(self.states) >= 1 << 16, "a state below 2^16")
        # For each table, token and its first slot by slot.
        self.slots = []
        for table in tables:
            row, start = [], 0
            for token, frequency in enumerate(table):
                row += [(token, frequency, start)] * frequency
                start += frequency
            self.slots.append(row)

    def token(self, table):
        x = self.states[self.count % 4]
        token, frequency, start = self.slots[table][x % TOTAL]
        x = frequency * (x >> 12) + x % TOTAL - start
        if x < 1 << 16:
            x = x << 16 | int.from_bytes(self.reader.take(2), "little")
        self.states[self.count % 4] = x
        self.count += 1
        return token

    def end(self):
        need(self.states == [1 << 16] * 4, "states that do not end at 65536")
        self.reader.end()


def value_of(token, bits):
    """z of a token and its extra bits."""
    if token < 32:
        return token
    t, top = 5 + (token - 32) // 4, 4 + (token - 32) % 4
    return top << (t - 2) | bits.take(t - 2)


class Values:
    """n values, one after the other, whoever knows what lies around them."""

    def __init__(self, data, n):
        need(n >> 16 <= len(data), "too few bytes for so many values")
        reader = Reader(data)
        n_tables = reader.u8()
        need(1 <= n_tables <= TABLES, "a number of tables beyond 1 to 24")
        self.firsts = [0] + [reader.u8() for _ in range(n_tables - 1)]
        rise = all(a < b for a, b in zip(self.firsts, self.firsts[1:]))
        need(rise and self.firsts[-1] <= 86, "classes that do not rise")
        tables = frequencies(reader.block().data, n_tables)
        self.bits, self.states = Bits(reader.block().data), States(reader, tables)

    def next(self, e, around):
        log = (e + 4).bit_length() - 1
        of = 4 * log + (e + 4 >> (log - 2) & 3) - 8
        table = max(k for k, first in enumerate(self.firsts) if first <= of)
        value = unzigzag(value_of(self.states.token(table), self.bits))
        return -value if around < 0 else value

    def end(self):
        self.states.end()
        self.bits.end()


def integers(data, extents, out):
    values = Values(data, len(out) - sum(map(bool, out)))
    lattice, found = Lattice(extents, len(out)), []
    for i in range(len(out)):
        if out[i]:
            continue
        v = lattice.at(i)
        clamped = lambda *step: max(-CLAMP, min(CLAMP, v(*step)))  # noqa: E731
        W, N, B = clamped(0, 0, -1), clamped(0, -1, 0), clamped(-1, 0, 0)
        e, around = 3 * abs(W) + abs(clamped(0, 0, -2)), W
        if lattice.rows:
            e += 2 * abs(N) + abs(clamped(0, -1, -1)) + abs(clamped(0, -1, 1))
            around += N
        if lattice.planes:
            e += 2 * abs(B) + abs(clamped(-1, 0, 1)) + abs(clamped(-1, 1, 0))
            around += B
        found.append(values.next(e, around))
        lattice.put(i, found[-1])
    values.end()
    return found
