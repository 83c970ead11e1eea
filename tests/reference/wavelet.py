"""Wavelet: the inverse transform of coefficients that are coded band by band, and corrections."""

import itertools
import math

import numpy as np

from . import integers, rans
from .context import g, token
from .interpolated import extents_of
from .mixed import MixedCoder, coarse, fine
from .wire import need

SCALE = 1.149604398860241
# (factor, whether at the place of L), in the order of the inverse.
STEPS = [
    (0.443506852043971, True),
    (0.882911075530934, False),
    (-0.052980118572961, True),
    (-1.586134342059924, False),
]


def levels_of(extents, axes, most):
    """For each level of a group: its box, the axes split."""
    box, found = list(extents), []
    while len(found) < most:
        split = [a for a in range(4) if axes >> a & 1 and box[a] >= 4]
        if not split:
            break
        found.append((tuple(box), split))
        for a in split:
            box[a] = (box[a] + 1) // 2
    return found, tuple(box)


def invert_lines(low_high):
    """The values of lines, along the first axis, from L and H one after the other."""
    m = len(low_high)
    h = (m + 1) // 2
    low, high = low_high[:h] * (1 / SCALE), low_high[h:] * SCALE
    for factor, at_low in STEPS:
        if at_low:
            k = np.arange(h)
            before, after = np.maximum(k - 1, 0), np.minimum(k, m - h - 1)
            low = low + -factor * (high[np.minimum(before, m - h - 1)] + high[after])
        else:
            k = np.arange(m - h)
            high = high + -factor * (low[k] + low[np.minimum(k + 1, h - 1)])
    values = np.empty_like(low_high)
    values[0::2], values[1::2] = low, high
    return values


def inverse(values, groups):
    for levels, _ in reversed(groups):
        for box, split in reversed(levels):
            inside = tuple(slice(0, e) for e in box)
            for a in split:
                lines = np.moveaxis(values[inside], a, 0)
                values[inside] = np.moveaxis(invert_lines(lines), 0, a)
    return values


def group_bands(extents, levels, last):
    """Of one group: (begin, end, bits, level)."""
    found = [((0,) * 4, last, 0, len(levels))]
    for level in range(len(levels) - 1, -1, -1):
        box, split = levels[level]
        for bits in range(1, 16):
            if any(bits >> a & 1 and a not in split for a in range(4)):
                continue
            half = [(e + 1) // 2 for e in box]
            begin = tuple(half[a] if bits >> a & 1 else 0 for a in range(4))
            end = tuple(half[a] if a in split and not bits >> a & 1 else box[a] for a in range(4))
            found.append((begin, end, bits, level))
    return found


class Band:
    def __init__(self, parts):
        self.key = tuple((bits, level) for _, _, bits, level in parts)
        self.begin = tuple(max(p[0][a] for p in parts) for a in range(4))
        self.end = tuple(min(p[1][a] for p in parts) for a in range(4))
        self.bits = sum(p[2] for p in parts)
        self.level = sum(p[3] for p in parts)
        self.size = tuple(max(0, e - b) for b, e in zip(self.begin, self.end))
        self.values = np.zeros(self.size, "i8")


def row(values, at):
    """Twice the magnitude at a place, and those before and after along axis 3 (the ends repeat)."""
    a, b, c, d = at
    line = values[a, b, c]
    m = lambda k: min(1 << 20, abs(int(line[max(0, min(len(line) - 1, k))])))
    return 2 * m(d) + m(d - 1) + m(d + 1)


def coefficients(data, extents, groups, is_rans):
    all_parts = [group_bands(extents, levels, last) for levels, last in groups]
    bands = [Band(parts) for parts in itertools.product(*all_parts)]
    by_key = {band.key: band for band in bands}
    coder = rans.Values(data, math.prod(extents)) if is_rans else MixedCoder(data, 6)
    l = lambda v: min(11, token(v))
    for number, band in enumerate(bands):
        parents = []
        for k in range(len(groups) - 1, -1, -1):
            bits, level = band.key[k]
            parent = by_key.get((*band.key[:k], (bits, level + 1), *band.key[k + 1 :]))
            if parent and 0 not in parent.size:
                parents.append((parent, groups[k][0][level + 1][1]))
        siblings = [
            other
            for other in bands[:number]
            if groups
            and other.key[:-1] == band.key[:-1]
            and other.key[-1][1] == band.key[-1][1]
            and 0 not in other.size
        ]
        values = band.values

        def v(a, b, c, d):
            inside = all(0 <= i < e for i, e in zip((a, b, c, d), band.size))
            return int(values[a, b, c, d]) if inside else 0

        m = lambda *at: min(1 << 20, abs(v(*at)))
        for a, b, c, d in np.ndindex(band.size):
            W, N = v(a, b, c, d - 1), v(a, b, c - 1, d)
            W_, WW, N_, B_ = m(a, b, c, d - 1), m(a, b, c, d - 2), m(a, b, c - 1, d), m(a, b - 1, c, d)
            around = 2 * N_ + m(a, b, c - 1, d - 1) + m(a, b, c - 1, d + 1)
            around += 2 * B_ + m(a, b - 1, c, d - 1) + m(a, b - 1, c, d + 1)
            around += m(a, b - 1, c + 1, d) + m(a, b - 1, c - 1, d) + m(a - 1, b, c, d) + m(a, b, c - 2, d)
            local = 3 * W_ + WW + around
            up = beside = 0
            for parent, split in parents:
                at = [i >> 1 if k in split else i for k, i in enumerate((a, b, c, d))]
                at = [min(i, e - 1) for i, e in zip(at, parent.size)]
                up += 2 * row(parent.values, at)
                for axis in (1, 2):
                    for step in (-1, 1):
                        there = list(at)
                        there[axis] += step
                        if 0 <= there[axis] < parent.size[axis]:
                            up += row(parent.values, there)
            for other in siblings:
                beside += row(other.values, [min(i, e - 1) for i, e in zip((a, b, c, d), other.size)])
            if is_rans:
                clamped = lambda v: max(-(1 << 20), min(1 << 20, v))  # noqa: E731
                base = min(8 << 20, (4 * around + up + 2 * beside) // 4)
                values[a, b, c, d] = coder.next(3 * W_ + WW + base, clamped(W) + clamped(N))
                need(-(1 << 31) <= values[a, b, c, d] < 1 << 31, "a coefficient beyond 32 bits")
                continue
            every = 4 * local + up + 2 * beside
            contexts = (
                fine(every >> 2),
                (12 * l(W_) + l(N_)) * 12 + l(B_),
                16 * fine(up) + band.bits,
                20 * coarse(local) + coarse(up),
                20 * coarse(local) + coarse(beside),
                (16 * min(11, band.level) + band.bits) * 16 + min(15, coarse(every >> 3)),
            )
            values[a, b, c, d] = coder.value(contexts, token(every >> 6), 9 * band.bits + 3 * g(W) + g(N))
    coder.end() if is_rans else coder.decoder.end()
    found = np.zeros(extents, "i8")
    for band in bands:
        if 0 not in band.size:
            found[tuple(slice(b, e) for b, e in zip(band.begin, band.end))] = band.values
    return found.astype("i4")


def decode(chunk, reader, shape, specials):
    from .part import Exceptions, round_to

    n = math.prod(shape)
    offset, step, coefficient_step = reader.f64(), reader.f64(), reader.f64()
    need(all(map(math.isfinite, (offset, step, coefficient_step))), "offset or step")
    extents = extents_of(reader, n)
    count = reader.u8()
    is_rans, count = count >> 7 == 1, count & 127
    need(count <= 4, "more than 4 groups")
    groups, seen = [], 0
    for _ in range(count):
        axes, levels = reader.u8(), reader.u8()
        need(axes < 16 and not axes & seen, "axes of groups")
        seen |= axes
        groups.append(levels_of(extents, axes, levels))
    exceptions = Exceptions(reader, n, chunk.dtype)
    found = coefficients(reader.block().data, extents, groups, is_rans)
    residual = integers.decode(reader, n, specials.out)
    with np.errstate(over="ignore", invalid="ignore"):
        w = inverse(found.astype("f8") * coefficient_step, groups).ravel()
        r = np.where(specials.out, 0, residual)
        values = (offset + w) + r.astype("f8") * step
    return exceptions.put(round_to(values, chunk.dtype))
