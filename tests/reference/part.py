"""Part: the fields that methods share, and the methods that are nothing but fields."""

import math

import numpy as np
import zstandard
from pcodec import standalone as pco

from . import autoencoder, autoregressive, conditional, fitted, floating, integers, interpolated, related, wavelet
from .wire import Reader, need, signed


def bytes_field(reader, most):
    """*Bytes*, up to the end of the reader."""
    length, coder = reader.varint(), reader.u8()
    need(length <= most, f"{length} bytes where {most} can be needed")
    need(coder <= 1, "unknown coder of bytes")
    data = reader.rest()
    if coder == 1:
        data = zstandard.ZstdDecompressor().decompress(data, max_output_size=length + 1)
    need(len(data) == length, "another length than stated")
    return data


class Specials:
    """Which values are taken out: `classes` has 0 for those that are not."""

    def __init__(self, reader, n, dtype):
        self.patterns = [reader.take(dtype.itemsize) for _ in range(reader.u8())]
        need(len(self.patterns) <= 15, "more than 15 patterns")
        self.classes = np.zeros(n, np.uint8)
        if self.patterns:
            runs, at = Reader(bytes_field(reader.block(), 11 * n)), 0
            while runs.at < len(runs.data):
                kind, length = runs.u8(), runs.varint()
                need(kind <= len(self.patterns) and length <= n - at, "a run of no class or beyond the values")
                self.classes[at : at + length] = kind
                at += length
            need(at == n, "runs of fewer values")
        self.out = self.classes != 0

    def put(self, values):
        # As bit patterns: a NaN's payload must not be touched.
        bits = f"<u{values.dtype.itemsize}"
        for k, pattern in enumerate(self.patterns):
            values.view(bits)[self.classes == k + 1] = np.frombuffer(pattern, bits)[0]
        return values


class Exceptions:
    """Values kept as they were."""

    def __init__(self, reader, n, dtype):
        count = reader.varint()
        need(count <= n, "more exceptions than values")
        self.at, self.elements = [], np.zeros(0, dtype)
        if count:
            positions = Reader(bytes_field(reader.block(), 10 * count))
            at = -1
            for _ in range(count):
                at += positions.varint() + 1
                need(at < n, "an exception beyond the values")
                self.at.append(at)
            positions.end()
            self.elements = np.frombuffer(bytes_field(reader.block(), count * dtype.itemsize), dtype)
            need(len(self.elements) == count, "another number of exceptions")

    def put(self, values):
        bits = f"<u{values.dtype.itemsize}"
        values.view(bits)[self.at] = self.elements.view(bits)
        return values


def from_patterns(patterns, dtype):
    """Floats of sign-magnitude patterns."""
    bits = 8 * dtype.itemsize
    mask = (1 << (bits - 1)) - 1
    found = []
    for pattern in map(signed, patterns):
        found.append((abs(pattern) & mask) | (1 << (bits - 1) if pattern < 0 else 0))
    return np.array(found, f"<u{dtype.itemsize}").view(dtype)


def round_to(values, dtype):
    """binary64 to the dtype, to nearest, ties to even."""
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    info = np.iinfo(dtype)
    return np.clip(np.rint(values), info.min, info.max).astype(dtype)


class Quantiser:
    """How an integer stands for a value."""

    def __init__(self, reader, dtype):
        self.dtype, self.kind = dtype, reader.u8()
        need(self.kind <= 3, "unknown quantiser")
        need((self.kind == 2) == (dtype.kind != "f"), "a quantiser of another kind of numbers")
        if self.kind == 0:
            self.shift = reader.u8()
            need(self.shift < 64, "a shift above 63")
        elif self.kind == 1:
            self.offset, self.step = reader.f64(), reader.f64()
            need(math.isfinite(self.offset) and 0 < self.step < math.inf, "offset or step")
        else:
            self.offset = reader.svarint() if self.kind == 2 else 0
            self.step = reader.varint()
            need(self.step > 0, "a step of 0")

    def values(self, q):
        """The values of integers `q` (int64)."""
        if self.kind == 0:
            return from_patterns((int(v) << self.shift for v in q), self.dtype)
        if self.kind == 1:
            with np.errstate(over="ignore", invalid="ignore"):
                return round_to(self.offset + q.astype("f8") * self.step, self.dtype)
        if self.kind == 3:
            return from_patterns((int(v) * self.step for v in q), self.dtype)
        info = np.iinfo(self.dtype)
        shift = 1 << 63 if self.dtype == np.uint64 else 0
        exact = (min(max(self.offset + int(v) * self.step + shift, info.min), info.max) for v in q)
        return np.array(list(exact), self.dtype)


def numbers(data, n, dtype):
    """A pcodec standalone stream of n numbers."""
    found = pco.simple_decompress(data)
    need(found is not None and found.dtype == dtype and len(found) == n, "other numbers than expected")
    return found


def decode(chunk, reader, column):
    """The values of one part; `column` gives other columns."""
    shape, dtype = chunk.part_shape, chunk.dtype
    n = math.prod(shape)
    method = reader.u8()
    if method == 0:
        data = bytes_field(reader, n * dtype.itemsize)
        need(len(data) == n * dtype.itemsize, "another number of elements")
        return np.frombuffer(data, dtype)
    if method == 3:
        return numbers(reader.rest(), n, np.dtype("u2") if dtype == np.float16 else dtype).view(dtype)
    if method in (6, 11):
        need(chunk.columnar, "a part given columns of what has no columns")
        return {6: related, 11: conditional}[method].decode(chunk, reader, shape, column)
    specials = Specials(reader, n, dtype)
    if method == 1:
        values = np.frombuffer(reader.take(dtype.itemsize) * n, dtype).copy()
        reader.end()
    elif method == 2:
        quantiser, exceptions = Quantiser(reader, dtype), Exceptions(reader, n, dtype)
        values = exceptions.put(quantiser.values(integers.decode(reader, n, specials.out)))
    else:
        methods = {4: autoencoder, 5: interpolated, 7: wavelet, 8: fitted, 9: autoregressive, 10: floating}
        need(method in methods, "unknown method")
        need(method not in (5, 7) or dtype.kind == "f", "a method of floating-point numbers")
        values = methods[method].decode(chunk, reader, shape, specials)
    return specials.put(values)
