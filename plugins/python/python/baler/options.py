"""The keywords that `compress`, the HDF5 filter and the Zarr codecs share."""

import os
from collections.abc import Sequence
from typing import Any, Literal, TypedDict, get_type_hints


class Options(TypedDict, total=False):
    """How well, and by what means. One bound must be named; all else has a default.

    In each formula `x` is a value and `x'` what it becomes. For `compress` a bound may also be a sequence: one value for
    each column of the last axis, 0 for a column without loss. NaN, infinities, -0.0 and the fill value come back bit for
    bit under every bound but `latent`.
    """

    abs: float | Sequence[float]
    """`|x' - x| <= abs`."""
    rel: float | Sequence[float]
    """`|x' - x| <= rel * (max - min)` of the chunk; of each column with `per_column`."""
    pw_rel: float | Sequence[float]
    """`|x' - x| <= pw_rel * |x|` for each value; zeros stay zero."""
    psnr: float | Sequence[float]
    """A peak signal-to-noise ratio of at least so many dB."""
    lossless: bool
    """Every bit."""
    latent: bool
    """The latents of a model alone: a fixed size, **no bound**."""
    per_column: bool
    """The last axis holds the columns of a table: `rel`, `pw_rel` and `psnr` are meant of each."""
    model: str | os.PathLike[str] | None
    """`"auto"` (default): every model that fits takes part, the smallest result wins. `"none"` or None: no model. Else a
    name, an id (its first 6 digits or more are enough) or a `.bundle` file."""
    effort: Literal["fast", "default", "max"]
    """How long to search."""
    fill: Any
    """A fill value: comes back bit for bit and counts in no range."""
    embed: bool
    """Put the decoder into every chunk that needs it, so that it opens anywhere. Built-in models need not."""
    check: bool
    """Decode each chunk and compare it before handing it over."""


_DEFAULTS: dict[str, Any] = {
    "abs": None,
    "rel": None,
    "pw_rel": None,
    "psnr": None,
    "lossless": False,
    "latent": False,
    "per_column": False,
    "model": "auto",
    "effort": "default",
    "fill": None,
    "embed": False,
    "check": False,
}
assert _DEFAULTS.keys() == get_type_hints(Options).keys()


def complete(options: Options) -> dict[str, Any]:
    """All options, those left out at their default."""
    unknown = options.keys() - _DEFAULTS.keys()
    if unknown:
        raise TypeError(f"no option {', '.join(sorted(unknown))}; there are {', '.join(_DEFAULTS)}")
    full = {**_DEFAULTS, **options}
    if isinstance(full["model"], os.PathLike):
        full["model"] = os.path.abspath(full["model"])
    for bound in ("abs", "rel", "pw_rel", "psnr"):
        # numpy's numbers and arrays
        if hasattr(full[bound], "tolist"):
            full[bound] = full[bound].tolist()
    return full


def stated(options: dict[str, Any]) -> dict[str, Any]:
    """Those that are not at their default: what a store's metadata hold."""
    return {name: value for name, value in options.items() if value is not _DEFAULTS[name] and value != _DEFAULTS[name]}
