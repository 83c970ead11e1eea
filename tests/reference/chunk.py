"""Chunk: header, parts, checksum."""

import math

import numpy as np
import xxhash

from . import part
from .wire import Reader, need

DTYPES = [None, "f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]


class Chunk:
    """What a chunk says about itself; `blocks` are its parts, not yet decoded."""

    def __init__(self, data):
        need(len(data) >= 8, "too short for a checksum")
        need(xxhash.xxh3_64_intdigest(data[:-8]) == int.from_bytes(data[-8:], "little"), "wrong checksum")
        reader = Reader(data[:-8])
        need(reader.take(4) == b"BALR", "another magic")
        need(reader.u8() == 1, "another version")
        flags = reader.u8()
        need(flags < 32, "unknown flags")
        self.big_endian, self.columnar = bool(flags & 1), bool(flags & 2)
        need(not flags & 8 or flags & 4, "a decoder without a model id")
        dtype = reader.u8()
        need(1 <= dtype <= 11, "unknown dtype")
        self.dtype = np.dtype("<" + DTYPES[dtype])
        bound, value = reader.u8(), reader.f64()
        need(bound <= 5, "unknown bound")
        if bound in (1, 2, 3, 4):
            most = {1: math.inf, 2: 1, 3: 1, 4: 400}[bound]
            need(0 < value < most, "a bound outside of its range")
        rank = reader.u8()
        need(rank <= 32, "rank above 32")
        self.shape = [reader.varint() for _ in range(rank)]
        need(not self.columnar or rank, "columns of a scalar")
        model = reader.take(16) if flags & 4 else None
        self.bundle = None
        if flags & 8:
            from .bundle import Bundle

            self.bundle = Bundle(reader.block().data)
            need(self.bundle.id == model, "another bundle than the one named")
        self.n = math.prod(self.shape)
        self.part_shape = self.shape[:-1] if self.columnar else self.shape
        count = (self.shape[-1] if self.columnar else 1) if self.n else 0
        self.blocks = [reader.block() for _ in range(count)]
        reader.end()


def decode(data):
    """The array's bytes, in its own byte order."""
    chunk = Chunk(data)
    parts = {}

    def column(k, asked=()):
        """The values of part k; a column that others are needed for asks for those first."""
        need(k < len(chunk.blocks), "a column that is not there")
        need(k not in asked, "columns in a circle")
        if k not in parts:
            block = Reader(chunk.blocks[k].data)
            parts[k] = part.decode(chunk, block, lambda other: column(other, (*asked, k)))
        return parts[k]

    values = [column(k) for k in range(len(chunk.blocks))]
    values = np.stack(values, axis=-1).ravel() if values else np.zeros(0, chunk.dtype)
    return (values.byteswap() if chunk.big_endian else values).tobytes()
