"""Baler in Zarr 3.

Format 3 takes it as the serializer, the step from values to bytes; format 2 as the compressor.

>>> import numpy as np, zarr, baler.zarr
>>> field = np.sin(np.arange(100 * 100, dtype="f4").reshape(100, 100) / 300)
>>> array = zarr.create_array("field.zarr", data=field, chunks=(50, 100), compressors=None,
...                           serializer=baler.zarr.BalerCodec(abs=1e-3))
>>> bool(np.abs(zarr.open_array("field.zarr")[:] - field).max() <= 1e-3)
True
>>> old = zarr.create_array("field2.zarr", data=field, chunks=(50, 100), zarr_format=2,
...                         compressors=baler.zarr.Baler(abs=1e-3))
>>> bool(np.array_equal(old[:], array[:]))
True

Neither needs an import to read: Zarr finds the codec by its entry point.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.common import JSON, parse_named_configuration

from . import _baler, decompress
from .numcodecs import Baler, encode
from .options import Options, complete, stated

if TYPE_CHECKING:
    from typing import Self

    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer

__all__ = ["Baler", "BalerCodec"]


@dataclass(frozen=True, init=False)
class BalerCodec(ArrayBytesCodec):
    """The codec `baler` of Zarr's format 3. See `baler.Options` for the keywords.

    A chunk has the bytes that the HDF5 filter writes for the same values, shape and options. A fill value of the array
    other than 0 counts as one.
    """

    is_fixed_size = False
    options: dict[str, Any]

    def __init__(self, **options: Unpack[Options]) -> None:
        object.__setattr__(self, "options", complete(options))

    @classmethod
    def from_dict(cls, data: dict[str, JSON]) -> Self:
        _, configuration = parse_named_configuration(data, "baler", require_configuration=False)
        return cls(**(configuration or {}))

    def to_dict(self) -> dict[str, JSON]:
        return {"name": "baler", "configuration": stated(self.options)}

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        _baler.array_words({**self.options, "fill": None}, dtype.to_native_dtype().str, (1,))

    def _with_fill(self, fill_value: Any) -> dict[str, Any]:
        if self.options["fill"] is None and fill_value is not None and fill_value != 0:
            return {**self.options, "fill": fill_value}
        return self.options

    async def _encode_single(self, chunk_array: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        options = self._with_fill(chunk_spec.fill_value)
        chunk = await asyncio.to_thread(encode, chunk_array.as_numpy_array(), options)
        return chunk_spec.prototype.buffer.from_bytes(chunk)

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        values = await asyncio.to_thread(decompress, np.ascontiguousarray(chunk_bytes.as_numpy_array()))
        values = values.reshape(chunk_spec.shape).astype(chunk_spec.dtype.to_native_dtype(), copy=False)
        return chunk_spec.prototype.nd_buffer.from_numpy_array(values)

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        raise NotImplementedError
