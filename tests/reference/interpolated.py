"""Interpolated: values predicted from decoded ones on ever finer lattices."""

import math

import numpy as np

from . import integers
from .wire import need


def extents_of(reader, n):
    extents = [reader.varint() for _ in range(4)]
    need(math.prod(extents) == n, "extents of another number of values")
    return extents


def predict(values, index, axis, s, extent):
    """The predictions of the points `index` (slices; that of `axis` are odd multiples of s)."""

    def v(k, points):
        """The values k steps away from those of `points` along the axis."""
        return np.take(values[tuple(index[:axis] + [slice(None)] + index[axis + 1 :])], points + k * s, axis=axis)

    at = np.arange(extent)[index[axis]]
    found = np.empty([len(range(*i.indices(e))) for i, e in zip(index, values.shape)])
    before, after, far = at >= 3 * s, at + s < extent, at + 3 * s < extent
    cases = [
        (~after & before, lambda p: 1.5 * v(-1, p) - 0.5 * v(-3, p)),
        (~after & ~before, lambda p: v(-1, p)),
        (before & far, lambda p: (9 * (v(-1, p) + v(1, p)) - (v(-3, p) + v(3, p))) / 16),
        (after & before & ~far, lambda p: ((6 * v(-1, p) + 3 * v(1, p)) - v(-3, p)) / 8),
        (~before & far, lambda p: ((3 * v(-1, p) + 6 * v(1, p)) - v(3, p)) / 8),
        (after & ~before & ~far, lambda p: (v(-1, p) + v(1, p)) / 2),
    ]
    for chosen, formula in cases:
        if chosen.any():
            found[(slice(None),) * axis + (chosen,)] = formula(at[chosen])
    return np.where(np.isfinite(found), found, 0.0)


def decode(chunk, reader, shape, specials):
    from .part import Exceptions, round_to

    n = math.prod(shape)
    begin, step = reader.f64(), reader.f64()
    need(math.isfinite(begin) and 0 < step < math.inf, "begin or step")
    extents = extents_of(reader, n)
    order, levels = reader.u8(), reader.u8()
    first = order & 127
    need(first <= 3, "an axis above 3")
    least = 0
    while any(1 << least < e for e in extents[first:]):
        least += 1
    need(levels == least, "another number of levels")
    codes = reader.take(levels)
    exceptions = Exceptions(reader, n, chunk.dtype)
    residual = integers.decode(reader, n, specials.out).astype("f8").reshape(extents)
    out = specials.out.reshape(extents)
    values = np.zeros(extents)
    with np.errstate(over="ignore", invalid="ignore"):
        steps = [step / (1 + code / 16) for code in codes]

        def put(index, p, step):
            values[index] = np.where(out[index], p, p + residual[index] * step)

        put(tuple([slice(None)] * first + [slice(0, 1)] * (4 - first)), begin, steps[-1] if levels else step)
        axes = list(range(first, 4))
        if order & 128:
            axes.reverse()
        for level in range(levels, 0, -1):
            s = 1 << (level - 1)
            for k, axis in enumerate(axes):
                if s >= extents[axis]:
                    continue
                index = [slice(None)] * 4
                for done in axes[:k]:
                    index[done] = slice(0, None, s)
                index[axis] = slice(s, None, 2 * s)
                for later in axes[k + 1 :]:
                    index[later] = slice(0, None, 2 * s)
                put(tuple(index), predict(values, index, axis, s, extents[axis]), steps[level - 1])
    return exceptions.put(round_to(values.ravel(), chunk.dtype))
