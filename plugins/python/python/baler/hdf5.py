"""Baler in h5py: import this, and h5py reads and writes chunks of filter 47646.

>>> import h5py, numpy as np, baler.hdf5
>>> field = np.sin(np.arange(100 * 100, dtype="f4").reshape(100, 100) / 300)
>>> with h5py.File("field.h5", "w") as f:
...     dataset = f.create_dataset("field", data=field, chunks=field.shape, **baler.hdf5.Baler(abs=1e-3))
>>> with h5py.File("field.h5") as f:
...     bool(np.abs(f["field"][:] - field).max() <= 1e-3)
True

The filter is registered with the HDF5 libraries that are loaded: h5py's, and netCDF4's if that was imported before.
Those that are loaded later learn of it from `register()`. Other programs find the filter by `PLUGIN_PATH`:

    HDF5_PLUGIN_PATH=$(python -c 'import baler.hdf5; print(baler.hdf5.PLUGIN_PATH)') h5dump field.h5
"""

from __future__ import annotations

import ctypes
import itertools
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Unpack

import h5py
import numpy as np

from . import Codec, _baler
from .options import Options, complete

__all__ = ["FILTER_ID", "PLUGIN_PATH", "Baler", "chunk_shape", "read", "register", "write"]

FILTER_ID: int = _baler.FILTER_ID
"""The filter's number."""

PLUGIN_PATH: str = str(Path(__file__).parent / "plugins")
"""The folder of `libbaler_hdf5.so`, for `HDF5_PLUGIN_PATH` of other programs."""

_CHUNK_BYTES = 4 << 20
_MODELS_GROUP = "_baler/models"


class Baler(h5py.filters.FilterRefBase):
    """What `create_dataset` takes: `**Baler(rel=1e-3)`. See `baler.Options` for the keywords.

    `fill` is not one of them: the filter takes the dataset's own `fillvalue`.

    >>> dict(Baler(abs=0.5))
    {'compression': 47646, 'compression_opts': (1048833, 0, 1071644672)}
    """

    filter_id = FILTER_ID

    def __init__(self, **options: Unpack[Options]) -> None:
        if options.get("fill") is not None:
            raise TypeError("fill is the dataset's: create_dataset(..., fillvalue=...)")
        self.filter_options = _baler.request_words(complete(options))


def libraries(*names: str) -> Iterator[str]:
    """Every library of these names in this process, by its file; Linux only.

    >>> len(list(libraries("libc"))) > 0
    True
    """
    try:
        with open("/proc/self/maps") as maps:
            files = {line.split(maxsplit=5)[5].strip() for line in maps if line.count(" ") > 4 and "/" in line}
    except OSError:
        return
    for file in sorted(files):
        name = os.path.basename(file)
        if name.startswith(tuple(f"{stem}{end}" for stem in names for end in "-.")) and ".so" in name:
            yield file


def register() -> list[str]:
    """Registers the filter with every HDF5 library that is loaded, and returns their files.

    Importing this module calls it. Call it again after importing a package that brings an HDF5 of its own.

    >>> len(register()) >= 1
    True
    """
    h5py.h5z.register_filter(_baler.filter_class())
    done = []
    # Elsewhere than on Linux h5py's is the only one that is found.
    for file in libraries("libhdf5", "libhdf5_serial"):
        library = ctypes.CDLL(file)
        if library.H5Zregister(ctypes.c_void_p(_baler.filter_class())) >= 0:
            done.append(file)
    return done


def chunk_shape(shape: tuple[int, ...], dtype: np.dtype) -> tuple[int, ...]:
    """Chunks of some 4 MiB that keep trailing axes whole as far as they can: models and predictions work inside a chunk.

    >>> chunk_shape((1000, 512, 512), np.dtype("f4"))
    (4, 512, 512)
    >>> chunk_shape((100000, 100000), np.dtype("f8"))
    (5, 100000)
    """
    chunks, n_left = [], max(1, _CHUNK_BYTES // dtype.itemsize)
    for extent in reversed(shape):
        chunks.append(max(1, min(extent, n_left)))
        n_left = max(1, n_left // max(extent, 1))
    return tuple(reversed(chunks))


def _words(dataset: h5py.Dataset) -> tuple[int, ...] | None:
    """The filter's words if it is the only one of the dataset."""
    properties = dataset.id.get_create_plist()
    if properties.get_nfilters() != 1 or properties.get_filter(0)[0] != FILTER_ID:
        return None
    return properties.get_filter(0)[2]


def _ordered(work: Any, items: Any, threads: int | None) -> Iterator[Any]:
    """`map(work, items)` on threads, a few ahead of the consumer and no more."""
    threads = threads or os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Any]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def write(
    group: h5py.Group,
    name: str,
    data: np.ndarray,
    *,
    chunks: tuple[int, ...] | None = None,
    fillvalue: Any = None,
    threads: int | None = None,
    **options: Unpack[Options],
) -> h5py.Dataset:
    """`create_dataset`, with all processors encoding: HDF5 itself runs filters one after the other.

    The file is the one that `create_dataset(name, data=data, chunks=chunks, **Baler(**options))` makes, chunk by chunk.
    `chunks` is `chunk_shape(...)` unless given.

    >>> with h5py.File("written.h5", "w") as f:
    ...     dataset = write(f, "x", np.arange(10000.0).reshape(100, 100), rel=1e-3)
    ...     bool(np.abs(read(dataset) - np.arange(10000.0).reshape(100, 100)).max() <= 10)
    True
    """
    data = np.asanyarray(data)
    chunks = chunks or chunk_shape(data.shape, data.dtype)
    dataset = group.create_dataset(
        name, data.shape, data.dtype, chunks=chunks, fillvalue=fillvalue, **Baler(**options)
    )
    words = _words(dataset)

    def encode(offset: tuple[int, ...]) -> tuple[tuple[int, ...], int, Any]:
        block = data[tuple(slice(start, start + extent) for start, extent in zip(offset, chunks))]
        if block.shape != chunks:
            # HDF5 fills what sticks out of the dataset.
            padded = np.full(chunks, dataset.fillvalue, data.dtype)
            padded[tuple(slice(extent) for extent in block.shape)] = block
            block = padded
        block = np.ascontiguousarray(block)
        chunk = _baler.encode_chunk(words, block, True)
        # The bit says that the filter was left out: the chunk would have been no smaller.
        return (offset, 0, chunk) if chunk is not None else (offset, 1, block.tobytes())

    offsets = itertools.product(*(range(0, extent, step) for extent, step in zip(data.shape, chunks)))
    for offset, mask, chunk in _ordered(encode, offsets, threads):
        dataset.id.write_direct_chunk(offset, chunk, mask)
    return dataset


def read(
    source: h5py.Dataset | str | os.PathLike[str], name: str | None = None, *, threads: int | None = None
) -> np.ndarray:
    """`dataset[:]`, with all processors decoding; or that of the dataset `name` of a file.

    Datasets of other filters are read as h5py does.

    >>> with h5py.File("named.h5", "w") as f:
    ...     dataset = write(f, "x", np.arange(100.0), lossless=True)
    >>> bool((read("named.h5", "x") == np.arange(100.0)).all())
    True
    """
    if isinstance(source, (str, os.PathLike)):
        if name is None:
            raise TypeError("read(path, name): a file holds many datasets, name one")
        with h5py.File(source) as file:
            return read(file[name], threads=threads)
    dataset = source
    words = _words(dataset)
    if words is None:
        return dataset[()]
    # The file may carry decoders of models that are not built in.
    carried = dataset.file.get(_MODELS_GROUP, {})
    codec = Codec([bytes(carried[model][()]) for model in carried])._codec
    chunks, dtype = dataset.chunks, dataset.dtype
    result = np.full(dataset.shape, dataset.fillvalue, dtype)
    stored: list[h5py.h5d.StoreInfo] = []
    dataset.id.chunk_iter(stored.append)

    def decode(chunk: tuple[h5py.h5d.StoreInfo, bytes]) -> None:
        (offset, mask, _, _), encoded = chunk
        if mask & 1:
            values = np.frombuffer(encoded, dtype)
        else:
            values = _baler.decode_chunk(words, encoded, codec)
        target = result[tuple(slice(start, start + extent) for start, extent in zip(offset, chunks))]
        target[...] = values.reshape(chunks)[tuple(slice(extent) for extent in target.shape)]

    # The mask of the index, not of the read: of a chunk that this session wrote HDF5 2.0 gives 0 there.
    chunk_of = ((info, dataset.id.read_direct_chunk(info.chunk_offset)[1]) for info in stored)
    for _ in _ordered(decode, chunk_of, threads):
        pass
    return result


register()
