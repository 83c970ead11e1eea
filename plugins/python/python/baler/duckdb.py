"""Encoded Parquet files in DuckDB, registered from Python; a loadable extension for other programs there is not.

>>> import duckdb
>>> _ = baler_parquet.write_table({"k": np.arange(1000), "x": np.linspace(0, 9, 1000)}, "duck.parquet", abs=1e-3)
>>> connection = duckdb.connect()
>>> read("duck.parquet", connection).filter("x < 4.5").count("*").fetchall()
[(500,)]
>>> _ = register(connection, "events", "duck.parquet")
>>> connection.sql("SELECT count(*) FROM events WHERE x < 4.5").fetchall()
[(500,)]
"""

from __future__ import annotations

import os

import duckdb

from .parquet import dataset

__all__ = ["read", "register"]


def read(path: str | os.PathLike[str], connection: duckdb.DuckDBPyConnection | None = None) -> duckdb.DuckDBPyRelation:
    """A file or folder as a relation of values. DuckDB hands the columns it needs and its conditions on
    integers and strings over; those on floats it applies itself."""
    connection = connection or duckdb.default_connection()
    return connection.from_arrow(dataset(path))


def register(connection: duckdb.DuckDBPyConnection, name: str, path: str | os.PathLike[str]) -> duckdb.DuckDBPyConnection:
    """Makes a file or folder a view of this name, for any number of queries."""
    return connection.register(name, dataset(path))
