"""Error-bounded compression of scientific arrays with pretrained models.

>>> import numpy as np, baler
>>> field = np.sin(np.arange(64 * 64, dtype="f4").reshape(64, 64) / 100)
>>> chunk = baler.compress(field, abs=1e-3)
>>> len(chunk) < field.nbytes / 8
True
>>> back = baler.decompress(chunk)
>>> bool(np.abs(back - field).max() <= 1e-3), back.dtype, back.shape
(True, dtype('float32'), (64, 64))

`baler.hdf5` makes h5py read and write such chunks, `baler.zarr` and `baler.numcodecs` Zarr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from . import _baler
from ._baler import __version__
from .errors import (
    ArgumentError,
    CorruptError,
    Error,
    LimitError,
    ModelInvalidError,
    ModelMissingError,
    RuntimeMissingError,
    UnsupportedError,
    VersionError,
)
from .options import Options, complete

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Buffer

__all__ = [
    "ArgumentError",
    "Codec",
    "CorruptError",
    "Error",
    "Info",
    "LimitError",
    "Model",
    "ModelInvalidError",
    "ModelMissingError",
    "Options",
    "RuntimeMissingError",
    "UnsupportedError",
    "VersionError",
    "__version__",
    "compress",
    "decompress",
    "include_dir",
    "info",
    "library",
    "models",
]


class Info(TypedDict):
    """What a chunk says of itself."""

    dtype: str
    shape: tuple[int, ...]
    n_values: int
    decoded_bytes: int
    encoded_bytes: int
    bound: tuple[str, float | None]
    per_column: bool
    model: str | None
    embedded_bytes: int
    parts: list[dict[str, Any]]


class Model(TypedDict):
    """A model that is found."""

    name: str
    id: str
    family: str
    description: str
    license: str
    tile: tuple[int, ...]
    decoder_bytes: int
    builtin: bool


class Codec:
    """Compresses and decompresses with the models it knows: those that are always found, and `models`.

    Always found are the built-in ones, those in the folders of `BALER_MODEL_PATH` and those in the user's folder.
    `models` are `.bundle` files, folders of them, or the bytes of such files. One `Codec` may be used by any number of
    threads at once; the work runs without Python's lock.

    >>> codec = Codec()
    >>> codec.decompress(codec.compress(np.arange(5), lossless=True))
    array([0, 1, 2, 3, 4])
    """

    def __init__(self, models: Iterable[str | os.PathLike[str] | bytes] = ()) -> None:
        models = list(models)
        packed = [model for model in models if isinstance(model, bytes)]
        paths = [os.fspath(model) for model in models if not isinstance(model, bytes)]
        self._codec = _baler.Codec(paths, packed)

    def compress(self, array: Buffer, **options: Unpack[Options]) -> bytes:
        """One chunk: `array` within the bound that `options` name. See `Options` for all of them.

        `array` is a numpy array or whatever else has the buffer protocol, of float16, float32, float64 or integers of 8
        to 64 bits, in either byte order. One in C order is read where it is, any other is copied once. It must not be
        changed during the call.

        >>> chunk = Codec().compress(np.linspace(0, 1, 1000), rel=1e-4, model="none")
        >>> info(chunk)["bound"]
        ('rel', 0.0001)

        A table, with a bound for each column and one column without loss:

        >>> table = np.random.default_rng(1).normal(size=(1000, 3)).astype("f4")
        >>> np.abs(decompress(compress(table, abs=[0.1, 0.01, 0])) - table).max(axis=0) <= [0.1, 0.01, 0]
        array([ True,  True,  True])
        """
        return self._codec.encode(array, complete(options))

    def decompress(self, chunk: Buffer, out: Buffer | None = None, *, max_bytes: int | None = None) -> np.ndarray:
        """The array of a chunk, in the type and byte order of the one that went in.

        With `out`, a writable array in C order of the right type and shape, the values go there and it is returned.
        `max_bytes` limits what is allocated, to 4 GiB if left out: a constant chunk of a hundred bytes may stand for
        more than that.

        >>> out = np.empty(3, ">i2")
        >>> chunk = compress(np.array([1, 2, 3], ">i2"), lossless=True)
        >>> Codec().decompress(chunk, out) is out
        True
        >>> out
        array([1, 2, 3], dtype='>i2')
        """
        return self._codec.decode(chunk, out, max_bytes)

    def models(self) -> list[Model]:
        """Every model that is found.

        >>> "autoencoder-field2d" in [model["name"] for model in Codec().models()]
        True
        """
        return self._codec.models()

    def model_bytes(self, name: str) -> bytes:
        """The model of this name or id as a `.bundle` file holds it.

        >>> packed = Codec().model_bytes("autoencoder-field2d")
        >>> len(Codec([packed]).models()) == len(Codec().models())
        True
        """
        return self._codec.model_bytes(name)


_codec = Codec()


def compress(array: Buffer, **options: Unpack[Options]) -> bytes:
    """`Codec().compress`: one chunk, `array` within the bound that `options` name.

    >>> compress(np.zeros(3), abs=0.1, rel=0.1)
    Traceback (most recent call last):
    baler.errors.ArgumentError: several bounds, abs and rel: name one
    """
    return _codec.compress(array, **options)


def decompress(chunk: Buffer, out: Buffer | None = None, *, max_bytes: int | None = None) -> np.ndarray:
    """`Codec().decompress`: the array of a chunk.

    >>> decompress(b"no chunk at all")
    Traceback (most recent call last):
    baler.errors.CorruptError: this is not a Baler chunk: it does not begin with BALR
    """
    return _codec.decompress(chunk, out, max_bytes=max_bytes)


def info(chunk: Buffer) -> Info:
    """What a chunk says of itself, without decoding it.

    >>> chunk = compress(np.zeros((4, 5), "f4"), rel=1e-3)
    >>> info(chunk)["dtype"], info(chunk)["shape"], info(chunk)["parts"][0]["candidate"]
    ('<f4', (4, 5), 'constant')
    """
    return _codec._codec.info(chunk)


def models() -> list[Model]:
    """Every model that is always found: built in, in the folders of `BALER_MODEL_PATH`, in the user's folder.

    >>> models()[0]["builtin"]
    True
    """
    return _codec.models()


def _carried(*names: str) -> str:
    path = Path(__file__).parent.joinpath(*names)
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: this is a build without it; use plugins/python/build")
    return str(path)


def include_dir() -> str:
    """The folder of `baler.h` and `baler.hpp`, for C and C++ programs and ROOT.

    >>> (Path(include_dir()) / "baler.h").is_file()
    True
    """
    return _carried("include")


def library() -> str:
    """The C library, `libbaler.so.0`, to link with or to load.

    >>> import ctypes
    >>> ctypes.CDLL(library()).baler_version is not None
    True
    """
    return _carried("lib", "libbaler.dylib" if sys.platform == "darwin" else "libbaler.so.0")
