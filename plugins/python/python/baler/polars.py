"""Encoded Parquet files in Polars.

>>> import polars as pl
>>> _ = baler_parquet.write_table(pl.DataFrame({"k": range(1000), "x": np.linspace(0, 9, 1000)}), "polars.parquet", abs=1e-3)
>>> scan_parquet("polars.parquet").filter(pl.col("x") < 4.5).select(pl.len()).collect().item()
500
"""

from __future__ import annotations

import os

import polars as pl

from .parquet import dataset

__all__ = ["scan_parquet"]


def scan_parquet(path: str | os.PathLike[str]) -> pl.LazyFrame:
    """As `polars.scan_parquet`, of a file or folder, with values in the place of codes. Polars hands the columns it needs and
    its predicates over; row groups that cannot meet them are not read."""
    return pl.scan_pyarrow_dataset(dataset(path))
