"""Encoded tables in engines: `python cases.py CASE [MODULE...]`, with the wheel installed; the examples of the modules are run too. Each
ends with the number of its checks.

Every engine answers the same query from the same encoded folder. The answers have to be those of the decoded table, and within
the bound of the original's.
"""

import doctest
import importlib
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

import baler.arrow
import baler.parquet
from baler import ArgumentError, ModelMissingError

ABS = 0.01
ROWS, FILES, GROUP = 40_000, 4, 2_500
n_checks = 0


def check(condition, *about):
    global n_checks
    n_checks += 1
    if not condition:
        raise AssertionError(" ".join(map(str, about)))


def raises(kind, part, call):
    try:
        call()
    except kind as error:
        check(part in str(error), f"{part!r} is not in {error}")
    else:
        raise AssertionError(f"no {kind.__name__} with {part!r}")


def events(rows=ROWS):
    """Energy grows with time: its statistics prune. `px` follows from `pt` and `phi`."""
    random = np.random.default_rng(3)
    event = np.arange(rows)
    pt = (20 + random.exponential(15, rows)).astype("f4")
    phi = random.uniform(-3.1, 3.1, rows).astype("f4")
    return pa.table({
        "event": event,
        "energy": event / 100 + random.normal(size=rows),
        "pt": pt,
        "phi": phi,
        "px": (pt * np.cos(phi)).astype("f4"),
        "weight": pa.array(random.normal(size=rows), mask=event % 11 == 0),
        "detector": pa.array([f"detector {i % 7}" for i in range(rows)]),
        "jets": pa.array([[k * 0.7 for k in range(i % 4)] for i in range(rows)], pa.list_(pa.float32())),
    })


def lake(special=False):
    """Two years of files, encoded; the table that went in."""
    table = events()
    if special:
        nulls = table["weight"].is_null().to_numpy()
        weight = table["weight"].to_numpy().copy()
        weight[5], weight[7], weight[9] = np.nan, np.inf, -0.0
        table = table.set_column(table.schema.get_field_index("weight"), "weight", pa.array(weight, mask=nulls))
    n = ROWS // FILES
    for i in range(FILES):
        folder = Path(f"lake/year={2025 + i // 2}")
        folder.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.slice(i * n, n), folder / f"{i}.parquet", row_group_size=GROUP)
    document, _ = baler.parquet.plan_files("lake", "small", abs=ABS)
    for one, other in baler.parquet.pairs("lake", "small"):
        check(baler.parquet.encode_file(one, other, document)["is_new"])
    return table


LOW, HIGH, LAST = 180.0, 220.0, 21_000


def answer(table):
    """Count, sum of `event`, mean of `px`, largest `pt` of rows with energy in an interval, before an event."""
    energy, event = table["energy"].to_numpy(), table["event"].to_numpy()
    rows = (energy > LOW) & (energy < HIGH) & (event < LAST)
    return int(rows.sum()), int(event[rows].sum()), float(table["px"].to_numpy()[rows].astype("f8").mean()), float(table["pt"].to_numpy()[rows].max())


SQL = f"SELECT count(*), sum(event), avg(px::DOUBLE), max(pt) FROM events WHERE energy > {LOW} AND energy < {HIGH} AND event < {LAST}"
FILTER = (pc.field("energy") > LOW) & (pc.field("energy") < HIGH) & (pc.field("event") < LAST)
# Row groups of 2,500 events: energies of 180 to 220 are those of events 18,000 to 22,000, give or take 400.
N_GROUPS, N_LEFT = ROWS // GROUP, 2


def agrees(engine, found, original):
    expected = answer(decoded())
    check(found[0] == expected[0] and found[1] == expected[1], engine, found, expected)
    check(abs(found[2] - expected[2]) <= 1e-9 * abs(expected[2]) and found[3] == expected[3], engine, found, expected)
    count, _, mean, largest = answer(original)
    # Rows whose energy is within the bound of an end may fall on the other side.
    energy = original["energy"].to_numpy()
    n_near = int(sum((np.abs(energy - end) <= ABS).sum() for end in (LOW, HIGH)))
    check(abs(found[0] - count) <= n_near, engine, found[0], count, n_near)
    check(abs(found[3] - largest) <= ABS * 1.001 and (n_near or abs(found[2] - mean) <= ABS), engine, found, mean, largest)
    print(f"{engine}: count {found[0]} (original {count}, {n_near} rows within the bound of an end), mean px {found[2]:.9f} ({mean:.9f})")


def decoded():
    """By the reader of the module, in the order of the events."""
    return baler.parquet.read_table("small").sort_by("event")


def same(one, other):
    """The same values, NaN being the same as NaN."""
    def plain(table):
        return table.set_column(table.schema.get_field_index("weight"), "weight", pc.cast(table["weight"], pa.string()))

    return one.schema.equals(other.schema) and plain(one).equals(plain(other))


class Watched:
    """Counts the row groups and columns that a dataset is asked for."""

    def __enter__(self):
        self.asked, self.read = [], baler.parquet.Piece.read

        def read(piece, columns=None):
            self.asked.append((piece.path, piece.row_group, tuple(columns or ())))
            return self.read(piece, columns)

        baler.parquet.Piece.read = read
        return self

    def __exit__(self, *_):
        baler.parquet.Piece.read = self.read

    def n_groups(self):
        return len({asked[:2] for asked in self.asked})

    def columns(self):
        return {name for asked in self.asked for name in asked[2]}


def pruned(engine, watched, n_left=N_LEFT):
    check(watched.n_groups() == n_left, engine, watched.asked)
    check(watched.columns() == {"energy", "event", "pt", "px"}, engine, watched.columns())
    print(f"{engine}: read {n_left} of {N_GROUPS} row groups, columns {', '.join(sorted(watched.columns()))}")


def survive(engine, folder, is_kept):
    """Codes that an engine wrote again stand for the same values; whether it kept the footer's keys."""
    keys = pq.read_metadata(next(Path(folder).rglob("*.parquet"))).metadata or {}
    check((b"baler.id" in keys) == is_kept, engine, keys)
    shutil.copytree("small/_baler", f"{folder}/_baler")
    back, expected = baler.parquet.read_table(folder).sort_by("event"), decoded()
    for name in ("event", "energy", "px", "weight"):
        check(back[name].to_pylist() == expected[name].to_pylist(), engine, name)
    print(f"{engine} writes codes again: footer's keys {'kept' if is_kept else 'dropped'}, values the same")


def arrow():
    """Streams in and out; what is refused."""
    table = events(3000)
    document, left_out = baler.arrow.plan(table, abs=ABS, columns=["pt", "phi", "px", "jets"])
    check(set(left_out) == {"energy", "weight"} and document.parents("px") == {"pt", "phi"}, left_out, document.columns)
    codes = pa.table(baler.arrow.encode(table, document))
    check(codes.schema.field("jets").type == pa.list_(pa.field("element", pa.int32())) or pa.types.is_int32(codes.schema.field("jets").type.value_type))
    back = pa.table(baler.arrow.decode(codes))
    check(back.schema.equals(table.schema) and back["detector"].equals(table["detector"]))
    for name in ("pt", "phi", "px"):
        check(np.abs(back[name].to_numpy() - table[name].to_numpy()).max() <= ABS)
    check(np.abs(back["jets"].combine_chunks().flatten().to_numpy() - table["jets"].combine_chunks().flatten().to_numpy()).max() <= ABS)
    # Rows in any order, of any number of batches, without metadata.
    order = np.random.default_rng(1).permutation(3000)
    bare = pa.Table.from_batches(codes.take(order).to_batches(max_chunksize=700)).replace_schema_metadata(None)
    bare = pa.table([column for column in bare.columns], names=bare.column_names)
    again = pa.table(baler.arrow.decode(bare, [document]))
    check(again["px"].to_pylist() == back["px"].take(order).to_pylist())
    os.makedirs("beside/_baler", exist_ok=True)
    raises(ModelMissingError, document.id, lambda: baler.arrow.decode(bare, folder="beside"))
    document.save("beside")
    check(pa.table(baler.arrow.decode(bare, folder="beside", columns=["px", "event"])).column_names == ["px", "event"])
    # A batch at a time: nothing is read ahead but the first.
    n_pulled = []

    def batches():
        for batch in table.to_batches(max_chunksize=500):
            n_pulled.append(1)
            yield batch

    reader = pa.RecordBatchReader.from_stream(baler.arrow.encode(pa.RecordBatchReader.from_batches(table.schema, batches()), document))
    reader.read_next_batch()
    check(len(n_pulled) == 1 and len(reader.read_all()) == 2500)
    stream = baler.arrow.encode(table, document)
    check(pa.schema(stream).field("pt").type == pa.int32() and len(pa.table(stream)) == 3000)
    raises(ArgumentError, "once", lambda: pa.table(stream))
    raises(ArgumentError, "__arrow_c_stream__", lambda: baler.arrow.decode(3))
    raises(ArgumentError, "no column nowhere", lambda: baler.arrow.plan(table, abs=1, columns=["nowhere"]))
    raises(ArgumentError, "it is a key", lambda: baler.arrow.plan(table, abs=1, columns=["pt"], keys=["pt"]))
    raises(ArgumentError, "encoded already", lambda: baler.arrow.encode(codes, document))
    raises(ValueError, "several bounds", lambda: baler.arrow.plan(table, abs=1, rel=0.1))
    raises(TypeError, "no option colums", lambda: baler.arrow.plan(table, abs=1, colums=["pt"]))
    raises(Exception, "", lambda: baler.arrow.Document(b"{}"))
    # Offsets that go back: the interface takes them on trust, as pyarrow does unless asked.
    offsets = pa.py_buffer(np.array([0, 3, 2], "i4"))
    broken = pa.Array.from_buffers(pa.list_(pa.float32()), 2, [None, offsets], children=[pa.array([1, 2, 3], pa.float32())])
    raises(Exception, "ffset", lambda: baler.arrow.plan(pa.table({"jets": broken}), abs=1))
    plain = pa.table({"x": [1.5, 2.5]})
    check(pa.table(baler.arrow.decode(plain)).equals(plain))


def pandas():
    import pandas as pd

    frame = pd.DataFrame({"k": np.arange(1000), "x": np.linspace(0, 9, 1000)})
    baler.parquet.write_table(frame, "pandas.parquet", abs=1e-3)
    # What is no file is never replaced; of a link, what it names is.
    os.mkfifo("pipe.parquet")
    raises(OSError, "is not a file", lambda: baler.parquet.write_table(frame, "pipe.parquet", abs=1e-3))
    os.symlink("pandas.parquet", "link.parquet")
    baler.parquet.write_table(frame, "link.parquet", abs=1e-3)
    check(os.path.islink("link.parquet") and not os.path.islink("pandas.parquet") and not os.path.isfile("pipe.parquet"))
    back = baler.parquet.read_table("pandas.parquet", filters=[("x", "<", 4.5)]).to_pandas()
    check(len(back) == 500 and list(back.columns) == ["k", "x"] and np.abs(back.x - frame.x[:500]).max() <= 1e-3)
    codes = pd.read_parquet("pandas.parquet")
    check(str(codes.x.dtype) == "int32" and len(codes.columns) == 4)
    # pandas' own integers know no nulls: codes with nulls become floats, which are refused. Arrow's do.
    lake()
    codes = pd.read_parquet("small")
    check(str(codes.weight.dtype) == "float64")
    os.makedirs("floats")
    codes.to_parquet("floats/all.parquet")
    shutil.copytree("small/_baler", "floats/_baler")
    raises(Exception, "weight is of type Float64", lambda: baler.parquet.read_table("floats"))
    os.makedirs("rewritten")
    pd.read_parquet("small", dtype_backend="pyarrow").drop(columns="year").to_parquet("rewritten/all.parquet")
    survive("pandas, Arrow's types", "rewritten", False)


def pyarrow():
    original = lake(special=True)
    table = decoded()
    check(table.column_names == [*original.column_names, "year"] and table["year"].to_pylist() == [2025 + i // (ROWS // 2) for i in range(ROWS)])
    check(table["detector"].equals(original["detector"]) and table["weight"].null_count == original["weight"].null_count)
    a, b = original["weight"].to_numpy(), table["weight"].to_numpy()
    check(np.isnan(b[5]) and b[7] == np.inf and np.signbit(b[9]) and b[9] == 0 and np.nanmax(np.abs(np.delete(a, 7) - np.delete(b, 7))) <= ABS)
    events = baler.parquet.dataset("small")
    with Watched() as watched:
        found = events.to_table(columns=["event", "pt", "px"], filter=FILTER)
    pruned("pyarrow", watched)
    agrees("pyarrow", (len(found), pc.sum(found["event"]).as_py(), float(np.mean(found["px"].to_numpy().astype("f8"))), pc.max(found["pt"]).as_py()), original)
    # The weights of the first row group hold a NaN, which bounds say nothing about; partitions and strings prune too.
    found_in = lambda condition: [(p.partition["year"], os.path.basename(p.path), p.row_group) for p in events.pieces(condition)]
    check(found_in(pc.field("energy") > 395) == [(2026, "3.parquet", 3)], found_in(pc.field("energy") > 395))
    check(found_in(pc.field("weight") > 100) == [(2025, "0.parquet", 0)], found_in(pc.field("weight") > 100))
    check(len(events.pieces(pc.field("year") == 2026)) == N_GROUPS // 2 and not events.pieces(pc.field("detector") > "e"))
    check(not events.pieces(pc.field("year") == 1999) and events.to_table(filter=pc.field("year") == 1999).num_rows == 0)
    check(events.count_rows() == ROWS and events.count_rows(filter=pc.field("year") == 2026) == ROWS // 2 and events.head(3).num_rows == 3)
    for condition in (~(pc.field("energy") > 100), pc.field("weight") != 3.0, pc.is_nan(pc.field("weight")), pc.is_null(pc.field("weight")), pc.field("px") > 50):
        whole = ds.dataset(table).to_table(filter=condition)
        check(same(events.to_table(filter=condition).sort_by("event"), whole.cast(events.schema)), str(condition))
    raises(KeyError, "no column nowhere", lambda: events.to_table(columns=["nowhere"]))
    raises(NotImplementedError, "get_fragments", events.get_fragments)
    # Rewritten by a program that knows nothing of us, and drops the footer's keys: codes still tell what may be left out.
    codes = ds.dataset("small", format="parquet").to_table()
    check(codes.schema.field("energy").type == pa.int32() and len(codes) == ROWS)
    bare = pa.table(codes.columns, names=codes.column_names).slice(GROUP)
    os.makedirs("rewritten")
    pq.write_table(bare, "rewritten/all.parquet", row_group_size=GROUP, store_schema=False)
    raises(ModelMissingError, "_baler", lambda: baler.parquet.dataset("rewritten"))
    shutil.copytree("small/_baler", "rewritten/_baler")
    rewritten = baler.parquet.dataset("rewritten")
    check(len(rewritten.pieces(FILTER)) == N_LEFT, len(rewritten.pieces(FILTER)))
    check(rewritten.to_table(columns=["px"], filter=FILTER).equals(found.select(["px"])))
    baler.parquet.write_table(original, "archive.parquet", abs=ABS, columns=["energy", "pt", "px", "weight"], profile="archive", row_group_size=GROUP)
    archive = baler.parquet.dataset("archive.parquet")
    check(pq.read_schema("archive.parquet").field("energy").type == pa.bool_() and archive.schema.names == original.schema.names and archive.schema.field("px").type == pa.float32())
    kept, weight = archive.to_table(columns=["event", "weight", "px"], filter=FILTER), original["weight"].to_numpy()
    check(abs(len(kept) - len(found)) <= 10 and np.abs(kept["px"].to_numpy() - original["px"].to_numpy()[kept["event"].to_numpy()]).max() <= ABS)
    again = archive.to_table(columns=["weight"])["weight"]
    check(again.null_count == original["weight"].null_count and np.isnan(again[5].as_py()) and again[7].as_py() == np.inf)
    check(np.nanmax(np.abs(np.delete(weight, 7) - np.delete(again.to_numpy(), 7))) <= ABS)
    os.remove("lake/year=2025/0.parquet")
    os.remove("lake/year=2025/1.parquet")
    # Files that are not encoded are read the same way; the same document again, though the range is another now.
    check(baler.parquet.dataset("lake").to_table(filter=pc.field("energy") > 395).num_rows == int((original["energy"].to_numpy() > 395).sum()))
    document, _ = baler.parquet.plan_files("lake", "small", abs=ABS)
    one, other = baler.parquet.pairs("lake", "small")[0]
    check(list(events.documents) == [document.id] and not baler.parquet.encode_file(one, other, document)["is_new"])
    baler.parquet.decode_file(other, "back.parquet")
    check(pq.read_table("back.parquet")["px"].equals(pa.chunked_array([table["px"].slice(ROWS // 2, ROWS // FILES).combine_chunks()])))
    check(not [path for path in Path(".").rglob("*.unfinished")])


def duckdb():
    import duckdb

    import baler.duckdb

    original = lake()
    connection = duckdb.connect()
    baler.duckdb.register(connection, "events", "small")
    with Watched() as watched:
        found = connection.sql(SQL).fetchall()[0]
    # DuckDB keeps conditions on floats to itself, whose order of NaN is another: 21,000 events are in 9 row groups.
    pruned("DuckDB", watched, 9)
    agrees("DuckDB", found, original)
    plan = connection.sql("EXPLAIN " + SQL).fetchall()[0][1]
    check("detector" not in plan, plan)
    print(plan)
    agrees("DuckDB, again", connection.sql(SQL).fetchall()[0], original)
    events = baler.parquet.dataset("small")
    agrees("DuckDB, by the name of a variable", duckdb.sql(SQL).fetchall()[0], original)
    check(len(events.schema) == len(baler.duckdb.read("small").columns))
    codes = connection.sql("SELECT typeof(energy), count(*) OVER () FROM read_parquet('small/*/*.parquet', hive_partitioning = true) LIMIT 1").fetchall()[0]
    check(codes == ("INTEGER", ROWS), codes)
    connection.sql("COPY (FROM read_parquet('small/*/*.parquet')) TO 'rewritten' (FORMAT parquet, PARTITION_BY (year))")
    survive("DuckDB", "rewritten", False)


def polars():
    import polars as pl

    import baler.polars

    original = lake()
    query = (
        baler.polars.scan_parquet("small")
        .filter(pl.col("energy") > LOW, pl.col("energy") < HIGH, pl.col("event") < LAST)
        .select(pl.len(), pl.col("event").sum(), pl.col("px").cast(pl.Float64).mean(), pl.col("pt").max())
    )
    with Watched() as watched:
        found = query.collect().row(0)
    pruned("Polars", watched)
    agrees("Polars", found, original)
    plan = query.explain()
    check("SELECTION" in plan and "PROJECT 4/9 COLUMNS" in plan, plan)
    print(plan)
    # Polars keeps the extension type, and compares what it holds.
    codes = pl.scan_parquet("small/*/*.parquet").select("energy", "_baler_model").collect()
    check(codes.height == ROWS and codes["energy"].to_physical().dtype == pl.Int32, codes)
    os.makedirs("rewritten")
    pl.read_parquet("small/*/*.parquet").write_parquet("rewritten/all.parquet")
    survive("Polars", "rewritten", False)
    frame = pl.DataFrame({"x": np.linspace(0, 1, 50)})
    check(np.abs(pl.DataFrame(baler.arrow.decode(baler.arrow.encode(frame, abs=1e-3)))["x"].to_numpy() - frame["x"].to_numpy()).max() <= 1e-3)


def datafusion():
    """Another program: the example of plugins/datafusion."""
    original = lake()

    def shown(query):
        """The rows of a table as DataFusion prints it, without its head."""
        output = subprocess.run([os.environ["BALER_DATAFUSION"], "small", query], check=True, stdout=subprocess.PIPE, text=True).stdout
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in output.splitlines() if line.startswith("|")][1:]

    [[count, total, mean, largest]] = shown(SQL)
    agrees("DataFusion", (int(count), int(total), float(mean), float(np.float32(largest))), original)
    plan = [text for *_, text in shown("EXPLAIN " + SQL)]
    scan = next(line for line in plan if "DataSourceExec" in line)
    check("BalerDecodeExec: columns=[event, energy, pt, px]" in plan, plan)
    check("weight" not in scan and "detector" not in scan and "jets" not in scan and "projection=[event, energy, pt, phi, px, _baler_model, _baler_exact]" in scan, scan)
    check("pruning_predicate" in scan and "energy_min" in scan and "event_min" in scan, scan)
    # Two of four files cannot hold the energies or events, and six of the other two's eight row groups.
    scan = next(text for *_, text in shown("EXPLAIN ANALYZE " + SQL) if "DataSourceExec" in text)
    check("files_ranges_pruned_statistics=4 total → 2 matched" in scan and f"row_groups_pruned_statistics=8 total → {N_LEFT} matched" in scan, scan)
    print(scan)
    check(shown("SELECT year, count(*) FROM events WHERE year = 2026 GROUP BY year") == [["2026", str(ROWS // 2)]])
    check(shown("SELECT weight IS NULL FROM events WHERE event = 11") == [["true"]])
    check(shown("SELECT jets FROM events WHERE event = 4")[0][0] == "[]", shown("SELECT jets FROM events WHERE event = 4"))


def dask():
    import dask.dataframe as dd
    from distributed import Client, LocalCluster

    import baler.dask

    original = lake()
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", silence_logs=logging.ERROR) as cluster, Client(cluster):
        frame = baler.dask.read_parquet("small", filters=FILTER)
        check(frame.npartitions == N_LEFT and baler.dask.read_parquet("small").npartitions == N_GROUPS)
        rows = frame[(frame.energy > LOW) & (frame.energy < HIGH) & (frame.event < LAST)]
        rows = rows[["event", "px", "pt"]].compute()
        agrees("Dask, 2 workers", (len(rows), rows.event.sum(), rows.px.astype("f8").mean(), rows.pt.max()), original)
        optimized = baler.dask.read_parquet("small")["px"].optimize()
        check("columns=['px']" in optimized.expr.tree_repr(), optimized.expr.tree_repr())
        check(dd.read_parquet("small/year=2025/0.parquet")["energy"].dtype == "int32")
        source = dd.from_pandas(original.select(["event", "pt", "px"]).to_pandas(), npartitions=3)
        document, _ = baler.arrow.plan(original.select(["event", "pt", "px"]), abs=ABS)
        baler.dask.to_parquet(source, "written", document=document)
        back = baler.dask.read_parquet("written").compute()
        check(len(back) == ROWS and np.abs(np.sort(back.px) - np.sort(original["px"].to_numpy())).max() <= ABS)
        twice(lambda: baler.dask.encode_files("lake", "again", abs=ABS))
        sampled(lambda: baler.dask.sample_files("small", "sample", share=0.1))


def root():
    """ROOT's histograms of row groups, filled by Dask's workers and added."""
    import dask
    from distributed import Client, LocalCluster

    lake()
    bins = (20, 20.0, 120.0)

    def fill(piece):
        import ROOT

        table = piece.read(["energy", "pt"])
        frame = ROOT.RDF.FromNumpy({name: table[name].to_numpy() for name in table.column_names})
        return frame.Filter(f"energy > {LOW} && energy < {HIGH}").Histo1D(("pt", "", *bins), "pt").GetValue().Clone()

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", silence_logs=logging.ERROR) as cluster, Client(cluster):
        pieces = baler.parquet.dataset("small").pieces((pc.field("energy") > LOW) & (pc.field("energy") < HIGH))
        total, *others = dask.compute(*map(dask.delayed(fill), pieces))
    check(len(pieces) < N_GROUPS, len(pieces))
    for histogram in others:
        total.Add(histogram)
    table = decoded()
    energy, pt = table["energy"].to_numpy(), table["pt"].to_numpy()
    expected, _ = np.histogram(pt[(energy > LOW) & (energy < HIGH)], bins[0], bins[1:])
    check([int(total.GetBinContent(1 + i)) for i in range(bins[0])] == expected.tolist(), total, expected)
    print(f"ROOT: {int(total.GetEntries())} entries of {len(pieces)} row groups")


def twice(encode):
    """The second time nothing is done but what is missing, and what a killed run left is gone."""
    done = encode()
    Path("again/.0.parquet.feed.unfinished").touch()
    check(len(done) == FILES and all(file["is_new"] and file["bytes_after"] < file["bytes_before"] for file in done), done)
    os.remove(done[1]["path"])
    again = encode()
    check([file["is_new"] for file in again] == [False, True, False, False], again)
    check(not list(Path("again").rglob(".*.unfinished")))
    total = baler.parquet.summary(again)
    check(total["rows"] == ROWS and total["new_files"] == 1 and total["bytes_saved"] == total["bytes_before"] - total["bytes_after"] > 0, total)
    print(total)


def sampled(sample):
    """A share of the rows of each file, as values; the same rows whenever."""
    done = sample()
    check(len(done) == FILES and all(file["is_new"] for file in done), done)
    rows = pq.ParquetDataset("sample").read()
    check(0.08 * ROWS < len(rows) < 0.12 * ROWS and rows.schema.field("energy").type == pa.float64(), len(rows))
    os.remove(done[2]["path"])
    check([file["is_new"] for file in sample()] == [False, False, True, False])
    check(pq.ParquetDataset("sample").read().equals(rows))


@contextmanager
def session(master, **more):
    from pyspark.sql import SparkSession

    begin = time.monotonic()
    options = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.maxMetadataStringLength": "10000",
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.sql.warehouse.dir": os.path.abspath("warehouse"),
        **more,
    }
    spark = SparkSession.builder.master(master).config(map=options).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    print(f"Spark {spark.version} at {master.split(':')[0]} after {time.monotonic() - begin:.0f} s")
    try:
        yield spark
    finally:
        spark.stop()


SPARK_SQL = SQL.replace("px::DOUBLE", "CAST(px AS DOUBLE)")


def spark():
    import pyspark_baler

    original = lake()
    small = os.path.abspath("small")
    with session("local[2]") as spark:
        spark.read.format("baler").load(small).createOrReplaceTempView("events")
        agrees('Spark, format("baler")', tuple(spark.sql(SPARK_SQL).first()), original)

        pyspark_baler.read(spark, small).createOrReplaceTempView("events")
        agrees("Spark, its own scan", tuple(spark.sql(SPARK_SQL).first()), original)
        scan = plan_of(spark.sql(SPARK_SQL))
        check("LessThan(event,21000)" in scan and "ReadSchema" in scan and "detector" not in scan and "jets" not in scan, scan)
        check("weight" not in scan.split("ReadSchema")[1], scan)

        filters = [("energy", ">", LOW), ("energy", "<", HIGH)]
        pyspark_baler.read(spark, small, filters=filters).createOrReplaceTempView("events")
        agrees("Spark, its own scan, conditions on codes", tuple(spark.sql(SPARK_SQL).first()), original)
        scan = plan_of(spark.sql(SPARK_SQL))
        check("GreaterThanOrEqual(energy," in scan and "LessThanOrEqual(energy," in scan and "LessThan(event,21000)" in scan, scan)
        print(scan)
        year = plan_of(pyspark_baler.read(spark, small).where("year = 2026").select("px"))
        check("PartitionFilters: [isnotnull(year" in year and "year#" in year, year)

        codes = spark.read.parquet(small)
        check(codes.count() == ROWS and dict(codes.dtypes)["energy"] == "int")
        jets = pyspark_baler.read(spark, small).where("event = 7").select("jets", "weight").first()
        check(np.allclose(jets[0], [0, 0.7, 1.4], atol=ABS), jets)

        frame = pyspark_baler.read(spark, small).select("event", "pt", "px").repartition(3)
        frame.write.format("baler").option("abs", 0.02).mode("append").save(os.path.abspath("written"))
        back = baler.parquet.read_table("written").sort_by("event")
        check(len(back) == ROWS and np.abs(back["px"].to_numpy() - original["px"].to_numpy()).max() <= 0.02 + ABS)
        check(not list(Path("written").glob(".*unfinished*")))


def spark_cluster():
    """A master and two workers, each a process of its own, on the loopback interface."""
    import pyspark_baler

    original = lake()
    small = os.path.abspath("small")
    with master_and_workers(2) as master, session(master, **{"spark.executor.memory": "600m", "spark.executor.cores": "1"}) as spark:
        # Executors come one by one; the driver counts as one.
        executors = lambda: len(spark.sparkContext._jsc.sc().statusTracker().getExecutorInfos()) - 1
        end = time.monotonic() + 300
        while executors() < 2 and time.monotonic() < end:
            time.sleep(0.2)
        check(executors() == 2, executors())
        spark.read.format("baler").load(small).createOrReplaceTempView("events")
        agrees('Spark cluster, format("baler")', tuple(spark.sql(SPARK_SQL).first()), original)
        pyspark_baler.read(spark, small, filters=[("energy", ">", LOW), ("energy", "<", HIGH)]).createOrReplaceTempView("events")
        agrees("Spark cluster, its own scan", tuple(spark.sql(SPARK_SQL).first()), original)
        twice(lambda: pyspark_baler.encode_files(spark, "lake", os.path.abspath("again"), abs=ABS))
        sampled(lambda: pyspark_baler.sample_files(spark, small, os.path.abspath("sample"), share=0.1))


@contextmanager
def master_and_workers(n):
    import pyspark

    command = [os.path.join(os.path.dirname(pyspark.__file__), "bin", "spark-class")]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    master = f"spark://127.0.0.1:{port}"
    environment = {**os.environ, "SPARK_NO_DAEMONIZE": "1", "SPARK_DAEMON_MEMORY": "256m", "SPARK_WORKER_DIR": os.path.abspath("work")}
    place = ["--host", "127.0.0.1", "--webui-port", "0"]
    processes = []

    def start(*arguments):
        log = open(f"spark-{len(processes)}.log", "w")  # noqa: SIM115
        processes.append(subprocess.Popen([*command, *arguments], env=environment, stdout=log, stderr=subprocess.STDOUT))
        return log.name

    try:
        started = start("org.apache.spark.deploy.master.Master", *place, "--port", str(port))
        for _ in range(n):
            start("org.apache.spark.deploy.worker.Worker", *place, "--cores", "1", "--memory", "700m", master)
        end = time.monotonic() + 300
        while Path(started).read_text().count("Registering worker") < n:
            if time.monotonic() > end or any(p.poll() is not None for p in processes):
                raise AssertionError("\n".join(path.read_text() for path in Path(".").glob("spark-*.log")))
            time.sleep(0.2)
        yield master
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def plan_of(frame):
    """The line of the physical plan that reads files."""
    text = frame._jdf.queryExecution().executedPlan().toString()
    return next(line for line in text.splitlines() if "FileScan parquet" in line)


if __name__ == "__main__":
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    globals()[sys.argv[1]]()
    for name in sys.argv[2:]:
        result = doctest.testmod(importlib.import_module(name), extraglobs={"np": np, "baler_parquet": baler.parquet})
        check(result.failed == 0 and result.attempted > 0, name, result)
    print("checks:", n_checks)
