"""Encoded Parquet files as tables of values, through pyarrow.

>>> import pyarrow as pa
>>> table = pa.table({"event": np.arange(10000), "pt": np.random.default_rng(1).exponential(20, 10000)})
>>> write_table(table, "events.parquet", rel=1e-3, row_group_size=2500)
>>> back = read_table("events.parquet", columns=["event", "pt"], filters=[("pt", ">", 30), ("event", "<", 5000)])
>>> back.num_rows, back["pt"].type
(1106, DataType(double))
>>> events = dataset("events.parquet")
>>> len(events.pieces()), len(events.pieces(pa.compute.field("event") < 5000))
(4, 2)

A `Dataset` is a `pyarrow.dataset.Dataset`: DuckDB queries it as `SELECT ... FROM events`, Polars by
`pl.scan_pyarrow_dataset(events)`; both hand projections
and filters over (DuckDB none on floats).
"""

from __future__ import annotations

import functools
import os
import uuid
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from . import _baler
from .arrow import Bounds, Document, decode, plan, table_options

__all__ = [
    "Dataset",
    "Done",
    "Piece",
    "Summary",
    "clear_unfinished",
    "dataset",
    "decode_file",
    "encode_each",
    "encode_file",
    "pairs",
    "plan_files",
    "read_table",
    "sample_each",
    "sample_file",
    "summary",
    "write_table",
]

_MODEL, _EXACT = "_baler_model", "_baler_exact"
_ROW, _BLOCK = "_baler_row", "_baler_block"
_FORMAT = ds.ParquetFileFormat()
Filters = Sequence[tuple[str, str, Any]] | Sequence[Sequence[tuple[str, str, Any]]] | pc.Expression


@dataclass(frozen=True)
class Piece:
    """One row group of a file: what a worker reads. It can be pickled."""

    path: str
    row_group: int
    n_rows: int
    partition: dict[str, Any]
    documents: tuple[Document, ...]
    schema: pa.Schema

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Its values: all columns or these, in this order."""
        names = self.schema.names if columns is None else list(columns)
        stored = [name for name in names if name not in self.partition]
        needed = set(stored).union(*(document.parents(name) for document in self.documents for name in stored))
        if any(path[0] in needed for document in self.documents for path, _ in document.columns):
            needed |= {_MODEL, _EXACT, _ROW, _BLOCK}
        file = pq.ParquetFile(self.path)
        if stored:
            codes = file.read_row_group(self.row_group, [n for n in file.schema_arrow.names if n in needed])
            table = pa.table(decode(codes, self.documents if _MODEL in needed else (), columns=stored, folder=os.path.dirname(self.path)))
        else:
            table = pa.table({"": pa.nulls(self.n_rows)})
        fields = [self.schema.field(name) for name in names]
        arrays = [
            pa.repeat(pa.scalar(self.partition[f.name]), self.n_rows).cast(f.type) if f.name in self.partition else table[f.name].cast(f.type)
            for f in fields
        ]
        return pa.table(arrays, schema=pa.schema(fields)) if names else table.select([])


class Dataset(ds.Dataset):
    """A file, or a folder of files with partitions (`year=2026/...`), as values.

    Row groups that cannot meet a filter are not read: by what their decoded values span, whatever kind of column it is. A
    column with NaN, infinities or -0.0 in a row group does not rule it out.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Reads the footers of all files."""
        # Workers have working directories of their own.
        path = os.path.abspath(path)
        files = ds.dataset(path, format="parquet", partitioning="hive" if os.path.isdir(path) else None)
        self._pieces: list[Piece] = []
        self._schema: pa.Schema | None = None
        self.documents: dict[str, Document] = {}
        fragments = []
        for fragment in files.get_fragments():
            info = _baler.parquet_info(fragment.path)
            partition = ds.get_partition_keys(fragment.partition_expression)
            documents = tuple(info["documents"])
            self.documents |= {document.id: document for document in documents}
            if self._schema is None:
                empty = fragment.physical_schema.empty_table()
                values = pa.table(decode(empty, documents)).schema
                self._schema = pa.schema([*values, *(files.schema.field(name) for name in partition)], metadata=values.metadata)
            spans = _Spans(fragment.metadata, info, self._schema)
            for group in range(fragment.metadata.num_row_groups):
                n_rows = fragment.metadata.row_group(group).num_rows
                expression = fragment.partition_expression & spans.of(group)
                fragments.append(_FORMAT.make_fragment(str(len(self._pieces)), fs.LocalFileSystem(), partition_expression=expression))
                self._pieces.append(Piece(fragment.path, group, n_rows, partition, documents, self._schema))
        if self._schema is None:
            raise FileNotFoundError(f"{path}: no Parquet file in it")
        # Never read: pyarrow's own simplifier of expressions tells which of them may meet a filter.
        self._index = ds.FileSystemDataset(fragments, self._schema, _FORMAT, fs.LocalFileSystem())

    @property
    def schema(self) -> pa.Schema:
        """Of the values."""
        return self._schema

    def pieces(self, filter: Filters | None = None) -> list[Piece]:
        """The row groups in which a row may meet the filter."""
        filter = _expression(filter)
        if filter is None:
            return list(self._pieces)
        return [self._pieces[int(fragment.path)] for fragment in self._index.get_fragments(filter=filter)]

    def scanner(self, columns: Sequence[str] | None = None, filter: Filters | None = None, **options: Any) -> ds.Scanner:
        """As in pyarrow; `columns` are names. Row groups are read and decoded on several threads."""
        filter = _expression(filter)
        columns = self._schema.names if columns is None else list(columns)
        for name in columns:
            if self._schema.get_field_index(name) < 0:
                raise KeyError(f"no column {name}; there are {', '.join(self._schema.names)}")
        # The columns of an expression can only be seen in its text.
        text = str(filter)
        needed = [name for name in self._schema.names if name in columns or (filter is not None and name in text)]
        tables = _ahead(lambda piece: piece.read(needed), self.pieces(filter))
        batches = (batch for table in tables for batch in table.to_batches())
        schema = pa.schema([self._schema.field(name) for name in needed])
        options = {k: v for k, v in options.items() if k in ("batch_size", "use_threads", "memory_pool")}
        return ds.Scanner.from_batches(batches, schema=schema, columns=columns, filter=filter, **options)

    def count_rows(self, filter: Filters | None = None, **options: Any) -> int:
        """Without a filter, from the footers."""
        if filter is None:
            return sum(piece.n_rows for piece in self._pieces)
        return self.scanner(filter=filter, columns=[], **options).count_rows()

    def __reduce__(self) -> Any:
        raise TypeError("a Dataset is not pickled: pickle its pieces()")


def _refused(name: str) -> Callable[..., Any]:
    def method(self: Dataset, *arguments: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{name}: not for encoded datasets; use scanner, to_table, to_batches or pieces")

    return method


# These reach for pyarrow's own object behind a Dataset, which is not there.
for _name in ("filter", "get_fragments", "join", "join_asof", "replace_schema", "sort_by"):
    setattr(Dataset, _name, _refused(_name))


class _Spans:
    """What the values of each row group span, as expressions."""

    def __init__(self, metadata: pq.FileMetaData, info: dict[str, Any], schema: pa.Schema) -> None:
        self.metadata, self.schema = metadata, schema
        self.places = {metadata.schema.column(i).path: i for i in range(metadata.num_columns)}
        self.coded = {path[0] for document in info["documents"] for path, _ in document.columns}
        # Nothing is known of the values of archives.
        self.decoded = {} if _BLOCK in self.places else info["ranges"] or self._of_codes(info["documents"])

    def _statistics(self, group: int, column: str) -> Any:
        place = self.places.get(column)
        return None if place is None else self.metadata.row_group(group).column(place).statistics

    def _nulls(self, group: int, column: str) -> int | None:
        found = self._statistics(group, column)
        return found.null_count if found is not None and found.has_null_count else None

    def _of_codes(self, documents: list[Document]) -> dict[str, list[tuple[float, float] | None]]:
        """After a rewrite that dropped the ranges: smallest and largest code of plain columns, decoded."""
        if len(documents) != 1:
            return {}
        names = [path[0] for path, mode in documents[0].columns if mode == "plain" and len(path) == 1]
        groups = range(self.metadata.num_row_groups)
        columns: dict[str, Any] = {}
        for name in names:
            found = [self._statistics(group, name) for group in groups]
            found = [s if s is not None and s.has_min_max else None for s in found]
            columns[name] = pa.array([v for s in found for v in ((s.min, s.max) if s else (None, None))], pa.int64())
        columns[_MODEL] = pa.array([documents[0].id] * 2 * len(groups))
        columns[_EXACT] = pa.nulls(2 * len(groups), pa.binary())
        values = pa.table(decode(pa.table(columns), documents))
        ends = {name: values[name].to_pylist() for name in names}
        return {name: [(v[2 * g], v[2 * g + 1]) if v[2 * g] is not None else None for g in groups] for name, v in ends.items()}

    def of(self, group: int) -> pc.Expression:
        """True of all values of a row group, and of nulls."""
        no_exact = self._nulls(group, _EXACT) == self.metadata.row_group(group).num_rows
        true = pc.scalar(True)
        for field in self.schema:
            span = None
            if field.name in self.coded:
                is_ordinary = pa.types.is_floating(field.type) and (no_exact or self._nulls(group, field.name) == 0)
                ranges = self.decoded.get(field.name) if is_ordinary else None
                span = ranges[group] if ranges else None
            elif pa.types.is_integer(field.type) or pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
                found = self._statistics(group, field.name)
                span = (found.min, found.max) if found is not None and found.has_min_max else None
            if span is not None:
                x = pc.field(field.name)
                low, high = (pa.scalar(v, field.type) for v in span)
                # The form that pyarrow gives to statistics of its own, which its simplifier knows.
                true = true & ((x >= low) | pc.is_null(x)) & ((x <= high) | pc.is_null(x))
        return true


def _expression(filter: Filters | None) -> pc.Expression | None:
    return filter if filter is None or isinstance(filter, pc.Expression) else pq.filters_to_expression(filter)


def _ahead(work: Callable[[Piece], pa.Table], pieces: list[Piece]) -> Iterator[pa.Table]:
    """`map(work, pieces)` on threads, a few ahead of the consumer and no more."""
    if len(pieces) < 2:
        yield from map(work, pieces)
        return
    threads = min(os.cpu_count() or 1, 8)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[pa.Table]] = deque()
        for piece in pieces:
            waiting.append(pool.submit(work, piece))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def dataset(path: str | os.PathLike[str]) -> Dataset:
    """A file, or a folder of files with partitions, encoded or not, as values."""
    return Dataset(path)


def read_table(path: str | os.PathLike[str], columns: Sequence[str] | None = None, filters: Filters | None = None) -> pa.Table:
    """As `pyarrow.parquet.read_table`, with values in the place of codes. Filters are conditions on values."""
    return dataset(path).to_table(columns=columns, filter=_expression(filters))


Profile = Literal["lake", "conservative", "archive"]


class WriteOptions(TypedDict, total=False):
    """How Parquet files are written."""

    profile: Profile
    """`"lake"`: the smallest of Parquet's encodings for each column, for readers of 2024 and later; `"conservative"`: any; `"archive"`:
    a block for each row group instead of codes: the fewest bytes, no conditions on values."""
    level: int
    """Level of Zstandard, 1 to 22; 9 if left out."""
    threads: int
    """Row groups are what they share out; 1 if left out."""


def _write_options(row_group_rows: int | None = None, source: str | None = None, **options: Unpack[WriteOptions]) -> dict[str, Any]:
    profile = options.pop("profile", "lake")
    if profile not in get_args(Profile):
        raise ValueError(f"profile {profile!r}: expected one of {', '.join(get_args(Profile))}")
    known = {"zstd_level": options.pop("level", 9), "threads": options.pop("threads", 1)}
    if options:
        raise TypeError(f"no option {', '.join(options)}")
    return {"profile": profile, "row_group_rows": row_group_rows, "source": source, **known}


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """Another name to write to, which becomes `path` at the end: the file is whole or not there."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        raise OSError(f"{path} is not a file: tables are written under another name and renamed; name a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.unfinished")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_table(
    table: Any,
    path: str | os.PathLike[str],
    *,
    document: Document | None = None,
    row_group_size: int | None = None,
    profile: Profile = "lake",
    level: int = 9,
    **bounds: Unpack[Bounds],
) -> None:
    """Writes a table, of pyarrow or whatever has `__arrow_c_stream__`, as an encoded Parquet file, and its document into
    `_baler` beside it. With a `document` of another file of the same table both share it."""
    if document is None:
        table = table if isinstance(table, pa.Table) else pa.table(table)
        document, _ = plan(table, **bounds)
    elif bounds:
        raise TypeError("a document says what the bounds are: name it or them")
    path = Path(path)
    with _whole(path) as unfinished:
        document.save(path.parent)
        _baler.write_parquet(table, unfinished, document, _write_options(row_group_size, profile=profile, level=level))


def pairs(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> list[tuple[str, str]]:
    """Each Parquet file below `source`, and its place below `target`; absolute paths, which workers know too."""
    source, target = Path(source).absolute(), Path(target).absolute()
    if source.is_file():
        return [(str(source), str(target))]
    inside = [path.relative_to(source) for path in sorted(source.rglob("*.parquet"))]
    found = [path for path in inside if not any(part.startswith((".", "_")) for part in path.parts)]
    if not found:
        raise FileNotFoundError(f"{source}: no *.parquet file in it")
    return [(str(source / path), str(target / path)) for path in found]


def plan_files(
    source: str | os.PathLike[str], target: str | os.PathLike[str], **bounds: Unpack[Bounds]
) -> tuple[Document, dict[str, str]]:
    """Chooses the parameters of a table of files, and puts the document into `_baler` of `target`. One that an earlier run
    with the same options left there is taken again: files that join a table keep its bounds."""
    files = pairs(source, target)
    folder = Path(target) if os.path.isdir(source) else Path(target).parent
    document, left_out = _baler.plan_files([one for one, _ in files], table_options(bounds), folder)
    document.save(folder)
    return document, dict(left_out)


class Done(TypedDict):
    """A file that a job is done with."""

    path: str
    rows: int
    bytes_before: int
    bytes_after: int
    is_new: bool
    """False if an earlier run did it."""


class Summary(TypedDict):
    """What a job did."""

    files: int
    new_files: int
    rows: int
    bytes_before: int
    bytes_after: int
    bytes_saved: int


def summary(done: Iterable[Done]) -> Summary:
    """Of the files of a job."""
    done = list(done)
    before, after = (sum(file[name] for file in done) for name in ("bytes_before", "bytes_after"))
    return {
        "files": len(done),
        "new_files": sum(file["is_new"] for file in done),
        "rows": sum(file["rows"] for file in done),
        "bytes_before": before,
        "bytes_after": after,
        "bytes_saved": before - after,
    }


def encode_file(
    source: str | os.PathLike[str], target: str | os.PathLike[str], document: Document, **options: Unpack[WriteOptions]
) -> Done:
    """Encodes a Parquet file. One that was made from the same file with the same document is not done again; `target` is
    whole or not there."""
    source, target = Path(source), Path(target)
    origin = _origin(source)
    is_new = not _is_made_from(target, origin, document)
    if is_new:
        with _whole(target) as unfinished:
            _baler.encode_parquet(source, unfinished, document, _write_options(source=origin, **options))
    return _done(source, target, is_new)


def sample_file(source: str | os.PathLike[str], target: str | os.PathLike[str], *, share: float, seed: int = 0) -> Done:
    """Writes a random share of the rows of a Parquet file, encoded or not, as values: what `baler train` learns from. Row groups
    pass one by one. The same file, share and seed give the same rows, and are not done again."""
    if not 0 < share <= 1:
        raise ValueError(f"share {share}: expected more than 0 and at most 1")
    source, target = Path(source), Path(target)
    origin = f"{_origin(source)}, share {share}, seed {seed}"
    is_new = not _is_made_from(target, origin)
    if is_new:
        rows_of = np.random.default_rng([seed, zlib.crc32(source.name.encode())])
        found = dataset(source)
        schema = found.schema.with_metadata({**(found.schema.metadata or {}), "baler.source": origin})
        with _whole(target) as unfinished, pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
            for piece in found.pieces():
                chosen = np.flatnonzero(rows_of.random(piece.n_rows) < share)
                writer.write_table(piece.read().take(chosen).replace_schema_metadata(schema.metadata))
    return _done(source, target, is_new)


def _origin(source: Path) -> str:
    found = source.stat()
    return f"{found.st_size} bytes, changed at {found.st_mtime_ns} ns"


def _is_made_from(target: Path, origin: str, document: Document | None = None) -> bool:
    try:
        metadata = pq.read_metadata(target).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return False
    return metadata.get(b"baler.source") == origin.encode() and (document is None or metadata.get(b"baler.id") == document.id.encode())


def _done(source: Path, target: Path, is_new: bool) -> Done:
    rows = pq.read_metadata(target).num_rows
    return {"path": str(target), "rows": rows, "bytes_before": source.stat().st_size, "bytes_after": target.stat().st_size, "is_new": is_new}


def clear_unfinished(target: str | os.PathLike[str]) -> None:
    """Removes what killed runs left below a folder. Not while another run writes to it."""
    for path in Path(target).rglob(".*.unfinished"):
        path.unlink(missing_ok=True)


Run = Callable[[Callable[[str, str], Done], list[tuple[str, str]]], list[Done]]


def encode_each(
    run: Run,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    write: WriteOptions | None = None,
    **bounds: Unpack[Bounds],
) -> list[Done]:
    """Encodes a folder; `run(work, pairs)` does `work(*pair)` for each pair, wherever. Finished files are not done again. One run for
    a target at a time. `summary` says what it saved."""
    document, _ = plan_files(source, target, **bounds)
    clear_unfinished(target)
    return run(functools.partial(encode_file, document=document, **(write or {})), pairs(source, target))


def sample_each(run: Run, source: str | os.PathLike[str], target: str | os.PathLike[str], *, share: float, seed: int = 0) -> list[Done]:
    """`sample_file` for each file of a folder; see `encode_each`."""
    clear_unfinished(target)
    return run(functools.partial(sample_file, share=share, seed=seed), pairs(source, target))


def decode_file(source: str | os.PathLike[str], target: str | os.PathLike[str], **options: Unpack[WriteOptions]) -> int:
    """Decodes a Parquet file into an ordinary one; the number of rows."""
    with _whole(Path(target)) as unfinished:
        return _baler.decode_parquet(Path(source), unfinished, _write_options(**options))
