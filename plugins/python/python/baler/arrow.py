"""Arrow tables: columns of floats become columns of integers, row by row, and back.

Goes in and comes out: whatever has `__arrow_c_stream__` (pyarrow, Polars, DuckDB, pandas, DataFusion).

>>> import pyarrow as pa
>>> table = pa.table({"event": np.arange(1000), "pt": np.random.default_rng(1).exponential(20, 1000)})
>>> codes = pa.table(encode(table, abs=0.01))
>>> codes.schema.field("pt").type, codes.num_rows
(DataType(int32), 1000)
>>> back = pa.table(decode(codes.filter(pa.compute.field("event") >= 500)))
>>> bool(np.abs(back["pt"].to_numpy() - table["pt"].to_numpy()[500:]).max() <= 0.01), back.schema == table.schema
(True, True)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, Unpack

from . import _baler
from ._baler import Document, Stream

__all__ = ["Bounds", "Document", "Stream", "decode", "encode", "plan"]


class Bounds(TypedDict, total=False):
    """Which columns to encode, and how well. Bounds may also be named in the metadata of fields and schemas (`baler.abs`,
    `baler.rel`, `baler.pw_rel`, `baler.bits`, `baler.lossless`, `baler.key`)."""

    abs: float
    """`|x' - x| <= abs`."""
    rel: float
    """`|x' - x| <= rel * (max - min)` of the column in the whole table."""
    pw_rel: float
    """`|x' - x| <= pw_rel * |x|` for each value."""
    bits: int
    """Values are rounded to this many bits of the mantissa."""
    bounds: Mapping[str, str]
    """For single columns: `{"energy": "abs:0.01", "jets.pt": "bits:10", "weight": "lossless"}`."""
    columns: Sequence[str]
    """Only these; by default all columns of floats that are no key."""
    keys: Sequence[str]
    """Columns by which rows are found or joined: never encoded."""
    predict: bool
    """Let formulas predict columns from others (default): smaller, but a predicted column is pruned less well."""


def table_options(options: Bounds) -> dict[str, Any]:
    """The options as the module takes them."""
    unknown = options.keys() - Bounds.__annotations__.keys()
    if unknown:
        raise TypeError(f"no option {', '.join(sorted(unknown))}; there are {', '.join(Bounds.__annotations__)}")
    named = [name for name in ("abs", "rel", "pw_rel", "bits") if options.get(name) is not None]
    if len(named) > 1:
        raise ValueError(f"several bounds, {' and '.join(named)}: name one")
    return {
        "bound": f"{named[0]}:{options[named[0]]}" if named else None,
        "bounds": dict(options.get("bounds", {})),
        "columns": list(options.get("columns", ())),
        "keys": list(options.get("keys", ())),
        "predict": options.get("predict", True),
    }


def plan(data: Any, **options: Unpack[Bounds]) -> tuple[Document, dict[str, str]]:
    """Chooses the parameters for a table: the document that says what codes stand for, and the columns of floats that stay
    as they are, with the reason.

    >>> document, left_out = plan({"pt": np.linspace(0, 50, 100), "one": np.ones(100)}, rel=1e-3)
    >>> [path for path, mode in document.columns], left_out
    ([['pt']], {'one': 'all its values are equal: a share of their range is nothing'})
    """
    document, left_out = _baler.plan_stream(_stream(data), table_options(options))
    return document, dict(left_out)


def encode(data: Any, document: Document | None = None, **options: Unpack[Bounds]) -> Stream:
    """Values to codes, with the columns `_baler_model` (the document's id) and `_baler_exact` (NaN and the like).

    With a `document` batches pass one by one; without, `data` is read into memory, since bounds and parameters depend on all
    of it.
    """
    if document is None:
        import pyarrow as pa

        data = pa.table(data)
        document, _ = plan(data, **options)
    elif options:
        raise TypeError("a document says what the bounds are: name it or them")
    return _baler.encode_stream(_stream(data), document)


def decode(
    data: Any,
    documents: Iterable[Document] = (),
    *,
    columns: Sequence[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Stream:
    """Codes to values; all columns or these. What is not encoded passes unchanged.

    Documents are found by their ids: among `documents`, in the schema's metadata, in `_baler` of `folder`, in the folders of
    `BALER_MODEL_PATH`. The first batch is read at once.
    """
    return _baler.decode_stream(_stream(data), list(documents), folder, None if columns is None else list(columns))


def _stream(data: Any) -> Any:
    if isinstance(data, dict):
        import pyarrow as pa

        return pa.table(data)
    return data
