"""Baler in netCDF4-python, which has no keyword for filters that it does not know.

>>> import netCDF4, numpy as np, baler.netcdf
>>> field = np.sin(np.arange(100 * 100, dtype="f4").reshape(100, 100) / 300)
>>> with netCDF4.Dataset("field.nc", "w") as f:
...     _ = f.createDimension("y", 100), f.createDimension("x", 100)
...     variable = f.createVariable("t", "f4", ("y", "x"), chunksizes=(100, 100))
...     baler.netcdf.set_filter(variable, abs=1e-3)
...     variable[:] = field
>>> with netCDF4.Dataset("field.nc") as f:
...     bool(np.abs(f["t"][:] - field).max() <= 1e-3)
True

Reading needs no more than `import baler.netcdf`, or `baler.hdf5` after `netCDF4`.
"""

from __future__ import annotations

import ctypes
from typing import Any, Unpack

import netCDF4

from . import _baler
from .hdf5 import FILTER_ID, libraries, register
from .options import Options, complete

__all__ = ["set_filter"]


def set_filter(variable: Any, **options: Unpack[Options]) -> None:
    """Sends the chunks of a `netCDF4.Variable` through the filter. Call it before the first value is written. See
    `baler.Options` for the keywords.

    `fill` is not one of them: the filter takes the variable's own `fill_value`.
    """
    if not isinstance(variable, netCDF4.Variable):
        raise TypeError(f"expected a netCDF4.Variable, found {type(variable).__name__}")
    if options.get("fill") is not None:
        raise TypeError("fill is the variable's: createVariable(..., fill_value=...)")
    words = _baler.request_words(complete(options))
    # netCDF4 loads one copy of its C library, and the numbers of a variable mean something to that one alone.
    found = list(libraries("libnetcdf"))
    if len(found) != 1:
        raise RuntimeError(f"expected one libnetcdf in this process, found {len(found)}: {', '.join(found) or 'none'}")
    library = ctypes.CDLL(found[0])
    status = library.nc_def_var_filter(
        ctypes.c_int(variable._grpid),
        ctypes.c_int(variable._varid),
        ctypes.c_uint(FILTER_ID),
        ctypes.c_size_t(len(words)),
        (ctypes.c_uint * len(words))(*words),
    )
    if status != 0:
        library.nc_strerror.restype = ctypes.c_char_p
        raise RuntimeError(f"nc_def_var_filter({variable.name}): {library.nc_strerror(status).decode()}")


register()
