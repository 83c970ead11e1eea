"""Encoded Parquet files in Spark 4.1 and later.

    spark.read.format("baler").load("events/")                     # decoded by us, a task for each row group
    frame.write.format("baler").option("abs", 0.01).save("out/")   # a file for each task
    pyspark_baler.read(spark, "events/", filters=[("pt", ">", 30)])  # Spark's own Parquet scan, decoded after it

Spark finds this package by its name, without registration. Paths are of a file system that driver and workers share.
"""

from __future__ import annotations

import functools
import operator
import os
import uuid
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import pyarrow as pa
from baler.arrow import Bounds, Document, decode, plan
from baler.parquet import Done, Piece, WriteOptions, dataset, encode_each, sample_each, write_table
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.datasource import (
    DataSource,
    DataSourceArrowWriter,
    DataSourceReader,
    InputPartition,
    WriterCommitMessage,
)
from pyspark.sql.pandas.types import from_arrow_schema, from_arrow_type
from pyspark.sql.types import StructType

__all__ = ["DefaultSource", "encode_files", "read", "sample_files"]

_MODEL, _EXACT = "_baler_model", "_baler_exact"
_TESTS = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


def read(spark: SparkSession, path: str | os.PathLike[str], filters: Sequence[tuple[str, str, Any]] = ()) -> DataFrame:
    """A file or folder as values, over Spark's own Parquet scan: it reads the columns that are used, prunes partitions and
    pushes down conditions on columns that are not encoded.

    `filters`, all of which a row has to meet, are `(column, "<" | "<=" | "==" | ">=" | ">", number)`. On an encoded column they
    also become a condition on its codes, which Spark pushes down.
    """
    found = dataset(path)
    documents = tuple(found.documents.values())
    codes = spark.read.parquet(os.path.abspath(path))
    if "_baler_block" in codes.columns:
        raise ValueError(f'{path}: an archive, whose row groups are read whole: spark.read.format("baler").load(path)')
    coded = {name[0] for document in documents for name, _ in document.columns}
    for column, comparison, value in filters:
        if comparison not in _TESTS:
            raise ValueError(f"{comparison!r}: expected one of {', '.join(_TESTS)}")
        condition = _condition(documents, column, comparison, value) if column in coded else None
        if condition is not None:
            codes = codes.where(condition)
    values = [
        _decoder(name, documents, found.schema.field(name).type).alias(name) if name in coded else F.col(name)
        for name in found.schema.names
    ]
    frame = codes.select(*values)
    for column, comparison, value in filters:
        frame = frame.where(_TESTS[comparison](F.col(column), F.lit(value)))
    return frame


def _condition(documents: Sequence[Document], column: str, comparison: str, value: float) -> Column | None:
    """What a condition on values means for codes; every row that meets it is let through."""
    choices = []
    for document in documents:
        codes = document.code_range(column, comparison, float(value))
        if codes is None:
            return None
        within = F.col(column).between(*codes) if codes[0] <= codes[1] else F.lit(False)
        choices.append(within if len(documents) == 1 else within & (F.col(_MODEL) == document.id))
    exact = F.col(column).isNull() & F.col(_EXACT).isNotNull()
    return functools.reduce(operator.or_, choices) | exact


def _decoder(column: str, documents: Sequence[Document], kind: pa.DataType) -> Column:
    """The values of a column: those of its codes, of the codes that it follows from, and of the row's own entries."""
    parents = set().union(*(document.parents(column) for document in documents)) - {column}
    names = [column, *sorted(parents), _MODEL, _EXACT]

    def values(*arrays: pa.Array) -> pa.Array:
        table = pa.table(dict(zip(names, arrays, strict=True)))
        return pa.table(decode(table, documents, columns=[column]))[column].combine_chunks()

    return F.arrow_udf(values, from_arrow_type(kind))(*names)


class DefaultSource(DataSource):
    """`format("baler")`."""

    @classmethod
    def name(cls) -> str:
        return "baler"

    def _path(self) -> str:
        path = self.options.get("path")
        if not path:
            raise ValueError('no path: spark.read.format("baler").load("folder")')
        return path.removeprefix("file:")

    def schema(self) -> StructType:
        return from_arrow_schema(dataset(self._path()).schema)

    def reader(self, schema: StructType) -> DataSourceReader:
        return _Reader(self._path(), schema)

    def writer(self, schema: StructType, overwrite: bool) -> _Writer:
        return _Writer(self._path(), self.options, overwrite)


@dataclass
class _Group(InputPartition):
    piece: Piece


class _Reader(DataSourceReader):
    def __init__(self, path: str, schema: StructType) -> None:
        self.path, self.names = path, schema.names

    def partitions(self) -> Sequence[InputPartition]:
        return [_Group(piece) for piece in dataset(self.path).pieces()]

    def read(self, partition: _Group) -> Iterator[pa.RecordBatch]:
        yield from partition.piece.read(self.names).to_batches(max_chunksize=1 << 16)


@dataclass
class _Written(WriterCommitMessage):
    paths: list[str]


class _Writer(DataSourceArrowWriter):
    """Files get their names when all tasks are done."""

    def __init__(self, path: str, options: MutableMapping[str, str], overwrite: bool) -> None:
        self.folder, self.overwrite = Path(path), overwrite
        bounds = {name: float(options[name]) for name in ("abs", "pw_rel") if options.get(name)}
        if options.get("bits"):
            bounds["bits"] = int(options["bits"])
        if len(bounds) != 1:
            raise ValueError('name one bound: .option("abs", 0.01), "pw_rel" or "bits"; a task does not know the range for "rel"')
        split = {name: options[name].split(",") for name in ("columns", "keys") if options.get(name)}
        self.bounds: Any = {**bounds, **split}

    def write(self, iterator: Iterator[pa.RecordBatch]) -> WriterCommitMessage:
        batches = list(iterator)
        if not batches:
            return _Written([])
        table = pa.Table.from_batches(batches)
        document, _ = plan(table, **self.bounds)
        path = self.folder / f".part-{uuid.uuid4().hex}.parquet.unfinished"
        write_table(table, path, document=document)
        return _Written([str(path)])

    def commit(self, messages: list[WriterCommitMessage | None]) -> None:
        before = list(self.folder.glob("part-*.parquet")) if self.overwrite else []
        for message in messages:
            for path in message.paths if message else []:
                name = os.path.basename(path).removeprefix(".").removesuffix(".unfinished")
                os.replace(path, self.folder / name)
        for path in before:
            path.unlink()

    def abort(self, messages: list[WriterCommitMessage | None]) -> None:
        for message in messages:
            for path in message.paths if message else []:
                Path(path).unlink(missing_ok=True)


def encode_files(
    spark: SparkSession,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    write: WriteOptions | None = None,
    **bounds: Unpack[Bounds],
) -> list[Done]:
    """Encodes a folder, a task for each file; finished files are not done again. One run for a target at a time.
    `baler.parquet.summary` says what it saved."""
    return encode_each(_runner(spark), source, target, write, **bounds)


def sample_files(
    spark: SparkSession, source: str | os.PathLike[str], target: str | os.PathLike[str], *, share: float, seed: int = 0
) -> list[Done]:
    """A random share of the rows of each file, to train with; see `baler.parquet.sample_file`."""
    return sample_each(_runner(spark), source, target, share=share, seed=seed)


def _runner(spark: SparkSession) -> Callable[[Callable[[str, str], Done], list[tuple[str, str]]], list[Done]]:
    def run(work: Callable[[str, str], Done], files: list[tuple[str, str]]) -> list[Done]:
        return spark.sparkContext.parallelize(files, len(files)).map(lambda pair: work(*pair)).collect()

    return run
