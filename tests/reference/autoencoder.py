"""Autoencoder: latents of tiles, which the bundle's decoder network turns into predictions."""

import math

import numpy as np

from . import integers
from .bundle import column_value
from .network import Network
from .wire import need


def decode(chunk, reader, shape, specials):
    from .part import Exceptions, round_to

    bundle = chunk.bundle
    need(bundle is not None, "a model whose bundle is not embedded")
    n = math.prod(shape)
    offset, scale, step, mean_step, factor = (reader.f64() for _ in range(5))
    need(all(map(math.isfinite, (offset, scale, step, mean_step, factor))), "a number that is not finite")
    exceptions = Exceptions(reader, n, chunk.dtype)
    kind = bundle.normalisation["kind"]
    means = kind == "tile"
    need(means == (mean_step > 0), "means where there are none, or none where there are")
    need(kind != "columns" or (offset, scale) == (0, 1), "offset and scale beside columns")
    tile = bundle.tile
    need(len(tile) <= len(shape), "a tile of more axes than the array")
    cut = len(shape) - len(tile)
    counts = list(shape[:cut]) + [-(-e // t) for e, t in zip(shape[cut:], tile)]
    n_tiles, n_latents = math.prod(counts), len(bundle.steps)
    n_components = n_latents + means
    none_out = lambda k: np.zeros(k, bool)
    need((layout := reader.u8()) <= 1, "unknown layout")
    if layout == 0:
        components = [integers.decode(reader.block(), n_tiles, none_out(n_tiles)) for _ in range(n_components)]
    else:
        found = integers.decode(reader.block(), n_tiles * n_components, none_out(n_tiles * n_components))
        components = list(found.reshape(n_components, n_tiles))
    latents = np.stack(
        [(q.astype("f8") * (float(s) * factor)).astype("f4") for q, s in zip(components, bundle.steps)], axis=1
    )
    y = Network(bundle.decoder).run(latents).astype("f8").reshape(n_tiles, -1)
    with np.errstate(all="ignore"):
        if kind == "columns":
            columns = bundle.normalisation["columns"]
            p = np.stack([column_value(columns[k % tile[-1]], y[:, k]) for k in range(y.shape[1])], axis=1)
        else:
            o = (offset + components[-1].astype("f8") * mean_step)[:, None] if means else offset
            p = o + y * scale
    p = np.where(np.isfinite(p), p, 0.0)
    # Tiles beside each other, cut to the array.
    d = len(tile)
    p = p.reshape(shape[:cut] + counts[cut:] + list(tile))
    order = list(range(cut)) + [axis for k in range(d) for axis in (cut + k, cut + d + k)]
    p = p.transpose(order).reshape(shape[:cut] + [c * t for c, t in zip(counts[cut:], tile)])
    p = p[tuple(slice(0, e) for e in shape)].ravel()
    if step > 0:
        p = p + integers.decode(reader, n, specials.out).astype("f8") * step
    reader.end()
    return exceptions.put(round_to(p, chunk.dtype))
