"""Encoded Parquet files in Dask: one partition for each row group."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Unpack

import dask
import dask.dataframe as dd
import pandas as pd

from .arrow import Bounds, Document
from .parquet import Done, Filters, Piece, WriteOptions, dataset, encode_each, sample_each, write_table

__all__ = ["encode_files", "read_parquet", "sample_files", "to_parquet"]


def _read(piece: Piece, columns: list[str] | None = None) -> pd.DataFrame:
    return piece.read(columns).to_pandas()


def read_parquet(path: str | os.PathLike[str], columns: Sequence[str] | None = None, filters: Filters | None = None) -> dd.DataFrame:
    """A file or folder of values. Row groups that cannot meet `filters` are left out; rows are not filtered: do so with the
    data frame. Columns that nothing uses are not read."""
    found = dataset(path)
    names = list(found.schema.names if columns is None else columns)
    pieces = found.pieces(filters)
    meta = found.schema.empty_table().select(names).to_pandas()
    if not pieces:
        return dd.from_pandas(meta, npartitions=1)
    return dd.from_map(_read, pieces, meta=meta, columns=names)


@dask.delayed
def _write(frame: pd.DataFrame, path: str, document: Document) -> str:
    write_table(frame, path, document=document)
    return path


def to_parquet(frame: dd.DataFrame, folder: str | os.PathLike[str], *, document: Document, compute: bool = True) -> Any:
    """Writes each partition as a file of `folder`. The document holds the bounds: `baler.arrow.plan(sample, abs=0.01)`; values
    outside of what it was planned from are served too. Bounds relative to a range are of the sample's range."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    parts = frame.to_delayed()
    files = [_write(part, str(Path(folder) / f"part-{i:05}.parquet"), document) for i, part in enumerate(parts)]
    return dask.compute(*files) if compute else files


def encode_files(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    write: WriteOptions | None = None,
    **bounds: Unpack[Bounds],
) -> list[Done]:
    """Encodes a folder, a task for each file; finished files are not done again. One run for a target at a time.
    `baler.parquet.summary` says what it saved."""
    return encode_each(_run, source, target, write, **bounds)


def sample_files(source: str | os.PathLike[str], target: str | os.PathLike[str], *, share: float, seed: int = 0) -> list[Done]:
    """A random share of the rows of each file, to train with; see `baler.parquet.sample_file`."""
    return sample_each(_run, source, target, share=share, seed=seed)


def _run(work: Callable[[str, str], Done], files: list[tuple[str, str]]) -> list[Done]:
    task = dask.delayed(work)
    return list(dask.compute(*(task(*pair) for pair in files)))
