"""The packed form of a bundle: manifest and decoder."""

import hashlib
import tomllib

import numpy as np
import xxhash
import zstandard

from . import elementary
from .wire import Reader, need

NAMES = ["manifest.toml", "decoder.onnx", "encoder.onnx", "encoder.fixed.json", "CARD.md"]


class Bundle:
    def __init__(self, data):
        need(len(data) >= 8, "too short for a checksum")
        need(xxhash.xxh3_64_intdigest(data[:-8]) == int.from_bytes(data[-8:], "little"), "wrong checksum of a bundle")
        reader = Reader(data[:-8])
        need(reader.take(4) == b"BALB", "another magic")
        version = reader.u8()
        u64 = lambda: int.from_bytes(reader.take(8), "little")
        entries, rank = [], -1
        for _ in range(reader.u8()):
            name = reader.take(reader.u8()).decode("ascii")
            need(name in NAMES and NAMES.index(name) > rank, "a section unknown, twice or out of order")
            rank = NAMES.index(name)
            entries.append((name, u64(), reader.take(32), reader.u8(), u64()))
            need(1 <= entries[-1][1] <= 1 << (20 if name in ("manifest.toml", "CARD.md") else 28), "a section's length")
        named = [name for name, *_ in entries]
        need(version == (2 if "encoder.fixed.json" in named else 1), "another version than its sections have")
        identity, sections = hashlib.sha256(), {}
        for name, length, digest, how, stored in entries:
            if name != "CARD.md":
                identity.update(bytes([len(name)]) + name.encode() + length.to_bytes(8, "little") + digest)
            data = reader.take(stored)
            need(how <= 2 and (how or not stored), "how a section is stored")
            if how == 1:
                need(length <= 1024 * stored, "a section that claims too much")
                data = zstandard.ZstdDecompressor().decompress(data, max_output_size=length + 1)
            if how:
                need(len(data) == length and hashlib.sha256(data).digest() == digest, "the digest of a section")
                sections[name] = data
        reader.end()
        need("manifest.toml" in sections and "decoder.onnx" in sections, "no manifest or decoder")
        self.id = identity.digest()[:16]
        self.manifest = tomllib.loads(sections["manifest.toml"].decode())
        family = self.manifest["family"]
        need(self.manifest["format"] in (1, 2, 3, 4) and family in ("autoencoder", "autoregressive"), "format or family")
        self.decoder = sections["decoder.onnx"]
        if family == "autoencoder":
            self.tile = self.manifest["input"]["tile"]
            self.normalisation = self.manifest["input"]["normalisation"]
            self.steps = self.manifest["latents"]["step"]


def column_value(column, y):
    """The value of network outputs y (binary64) in a column of a table."""
    kind = column["kind"]
    if kind == "constant":
        return np.full_like(y, column["value"])
    t = column["offset"] + y * column["scale"]
    if kind == "linear":
        return t
    if kind == "asinh":
        return column["centre"] + column["width"] * elementary.sinh(t)
    if kind == "log":
        return column["origin"] + elementary.exp(t)
    need(kind == "angle", "unknown kind of column")
    least, period, begin = column["low"], column["period"], column["begin"]
    t = np.where(t > least + period, least + period, t)
    t = np.where(t < least, least, t)
    return np.where(t > begin + period, t - period, t)
