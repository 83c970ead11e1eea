"""Baler as a codec of numcodecs, for Zarr's format 2 and kerchunk: `{"id": "baler", "rel": 0.001}`.

>>> import numcodecs, numpy as np
>>> codec = numcodecs.get_codec({"id": "baler", "abs": 0.01})
>>> codec
Baler(abs=0.01)
>>> bool(np.abs(codec.decode(codec.encode(np.arange(100.0))) - np.arange(100.0)).max() <= 0.01)
True

A chunk has the bytes that the HDF5 filter writes for the same values, shape and options, and either reads the other's.
Models that are not built in go into the chunks.
"""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_contiguous_ndarray

from . import _baler, decompress
from .options import Options, complete, stated

__all__ = ["Baler"]


def encode(array: np.ndarray, options: dict[str, Any]) -> bytes:
    """The chunk that the HDF5 filter would write."""
    array = np.ascontiguousarray(array)
    words = _baler.array_words(options, array.dtype.str, array.shape)
    chunk = _baler.encode_chunk(words, array, False)
    assert chunk is not None
    return chunk


class Baler(Codec):
    """See `baler.Options` for the keywords. Without any the codec reads; to write, name a bound."""

    codec_id = "baler"

    def __init__(self, **options: Unpack[Options]) -> None:
        self._options = complete(options)

    def encode(self, buf: Any) -> bytes:
        return encode(np.asarray(buf), self._options)

    def decode(self, buf: Any, out: Any = None) -> Any:
        values = decompress(buf)
        if out is None:
            return values
        # Zarr hands over bytes or values, flat or in shape.
        ensure_contiguous_ndarray(out).view("u1")[...] = values.reshape(-1).view("u1")
        return out

    def get_config(self) -> dict[str, Any]:
        return {"id": self.codec_id, **stated(self._options)}

    def __repr__(self) -> str:
        return f"Baler({', '.join(f'{name}={value!r}' for name, value in stated(self._options).items())})"
