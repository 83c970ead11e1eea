"""Encoded tables in the hands of other programs: cases.py CASE PATH_OF_BALER.

Each case prints what it saw and ends with `checks: N`.
"""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 20_000
REL = 1e-3
CHECKS = 0


def check(condition, what):
    global CHECKS
    assert condition, what
    CHECKS += 1


def baler(*arguments, code=0):
    run = subprocess.run([sys.argv[2], "parquet", *arguments, "--json"], capture_output=True, text=True)
    assert run.returncode == code, (arguments, run.returncode, run.stdout, run.stderr)
    return json.loads(run.stdout) if code == 0 else run.stdout + run.stderr


def events(rows=ROWS, seed=1):
    random = np.random.default_rng(seed)
    pt = (20 + random.exponential(15, rows)).astype("f4")
    eta = random.normal(0, 1.2, rows).astype("f4")
    phi = random.uniform(-3.1, 3.1, rows).astype("f4")
    pt[::97] = np.nan
    pt[5] = -np.inf
    eta[7] = -0.0
    sometimes = pa.array(random.normal(size=rows), mask=random.random(rows) < 0.1)
    return pa.table({
        "event": np.arange(rows),
        "pt": pt,
        "eta": eta,
        "phi": phi,
        "px": (pt.astype("f8") * np.cos(phi)).astype("f4"),
        "py": (pt.astype("f8") * np.sin(phi)).astype("f4"),
        "quality": sometimes,
        "name": pa.array([f"detector {i % 7}" for i in range(rows)]),
        "jets": pa.array([[float(k) * 0.7 for k in range(i % 4)] for i in range(rows)], pa.list_(pa.float32())),
    })


def encoded(table, name="events.parquet", *more, row_group_size=5000):
    pq.write_table(table, name, row_group_size=row_group_size)
    out = "small-" + name
    report = baler("encode", name, out, "--rel", str(REL), *more)
    return out, report


def same(original, decoded):
    """Every value within its bound, or bit for bit."""
    check(decoded.num_rows == original.num_rows, (decoded.num_rows, original.num_rows))
    for name in original.column_names:
        a, b = original[name].combine_chunks(), decoded[name].combine_chunks()
        if name == "jets":
            assert a.value_lengths().to_pylist() == b.value_lengths().to_pylist()
            a, b = a.flatten(), b.flatten()
        if not pa.types.is_floating(a.type):
            assert a.cast(pa.string() if pa.types.is_large_string(b.type) else a.type).equals(b.cast(a.type)), name
            continue
        assert a.is_null().equals(b.is_null()), name
        x, y = a.drop_null().to_numpy(False), b.drop_null().to_numpy(False)
        assert x.dtype == y.dtype, (name, x.dtype, y.dtype)
        finite = np.isfinite(x)
        assert np.array_equal(np.isnan(x), np.isnan(y)) and np.array_equal(x[np.isinf(x)], y[np.isinf(y)]), name
        allowed = REL * (float(x[finite].max()) - float(x[finite].min()))
        worst = np.abs(x[finite].astype("f8") - y[finite].astype("f8")).max()
        assert worst <= allowed, (name, worst, allowed)
    check(True, "all columns")


def decode(name, out="back.parquet"):
    baler("decode", name, out)
    return pq.read_table(out)


def pyarrow_reads_codes():
    table = events()
    out, report = encoded(table)
    print(f"{report['input_bytes']} -> {report['output_bytes']} bytes; {report['predicted_columns']} predicted")
    codes = pq.read_table(out)
    check(codes.num_rows == table.num_rows, "rows")
    check(codes.column_names == table.column_names + ["_baler_model", "_baler_exact"], codes.column_names)
    for name in ("event", "name"):
        check(codes[name].equals(table[name]), name)
    check(pa.types.is_integer(codes.schema.field("pt").type), codes.schema.field("pt"))
    check(codes.schema.field("pt").metadata[b"ARROW:extension:name"] == b"baler.code", "extension type")
    check(codes["pt"].null_count == len(range(0, ROWS, 97)) + 1 - (5 % 97 == 0), codes["pt"].null_count)
    file = pq.ParquetFile(out)
    check(file.num_row_groups == 4, "row groups stay as they were")
    same(table, decode(out))
    baler("verify", "events.parquet", out)
    again = baler("encode", "events.parquet", out, "--rel", str(REL))
    check(again["files_done_before"] == 1, "finished files are not done again")
    check("is_encoded" not in again, again)


def pyarrow_rewrites():
    table = events()
    out, _ = encoded(table)
    # With what pyarrow keeps of the metadata, the fields', and other row groups.
    codes = pq.read_table(out)
    pq.write_table(codes.filter(pa.compute.greater(codes["event"], 100)), "filtered.parquet", row_group_size=3000)
    kept = table.filter(pa.compute.greater(table["event"], 100))
    check(b"baler.id" not in pq.ParquetFile("filtered.parquet").metadata.metadata, "pyarrow drops the footer's keys")
    same(kept, decode("filtered.parquet"))
    # And without any.
    bare = codes.replace_schema_metadata(None)
    bare = pa.table([c for c in bare.columns], names=bare.column_names)
    pq.write_table(bare, "bare.parquet", store_schema=False)
    same(table, decode("bare.parquet", "bare-back.parquet"))
    # Away from the sidecar the error names the id and the places.
    os.mkdir("elsewhere")
    shutil.move("bare.parquet", "elsewhere/bare.parquet")
    error = baler("decode", "elsewhere/bare.parquet", "x.parquet", code=5)
    check("_baler" in error and "BALER_MODEL_PATH" in error, error)


def pyarrow_prunes():
    table = events().sort_by("phi")
    out, _ = encoded(table, "sorted.parquet", "--no-prediction")
    file = pq.ParquetFile(out).metadata
    column = file.schema.names.index("phi")
    bounds = [(g.min, g.max) for g in (file.row_group(i).column(column).statistics for i in range(4))]
    for (_, before), (after, _) in zip(bounds, bounds[1:]):
        check(before <= after, "codes grow with values")
    import pyarrow.dataset as ds

    fragment = next(iter(ds.dataset(out).get_fragments()))
    left = fragment.subset(ds.field("phi") > bounds[3][0]).row_groups
    check([g.id for g in left] == [3], f"row groups left: {left}")
    print(f"phi > code {bounds[3][0]}: {len(left)} of 4 row groups")


def duckdb_copies():
    import duckdb

    table = events()
    out, _ = encoded(table)
    duckdb.sql(f"COPY (SELECT * FROM '{out}' ORDER BY event DESC) TO 'copied.parquet' (FORMAT parquet)")
    keys = pq.ParquetFile("copied.parquet").metadata.metadata or {}
    check(b"baler.document" not in keys, "DuckDB drops the footer's keys")
    back = decode("copied.parquet").sort_by("event")
    same(table, back)
    # Joined rows: two tables of different documents in one file.
    other = events(seed=2)
    out2, _ = encoded(other, "other.parquet", "--no-prediction")
    duckdb.sql(f"COPY (SELECT * FROM '{out}' UNION ALL SELECT * FROM '{out2}') TO 'both.parquet' (FORMAT parquet)")
    both = decode("both.parquet", "both-back.parquet")
    same(table, both.slice(0, ROWS))
    same(other, both.slice(ROWS))
    counted = duckdb.sql(f"SELECT count(*) FROM '{out}' WHERE pt IS NULL").fetchall()[0][0]
    print(f"DuckDB {duckdb.__version__}: {counted} values without a code")


def polars_rewrites():
    import polars

    table = events()
    out, _ = encoded(table)
    polars.scan_parquet(out).filter(polars.col("event") >= 1000).collect().write_parquet("polars.parquet")
    same(table.slice(1000), decode("polars.parquet"))
    check(True, polars.__version__)
    print(f"Polars {polars.__version__}")


def delta_compacts():
    import deltalake

    table = events().drop_columns(["jets"])
    for i in range(4):
        part = table.slice(i * 5000, 5000)
        pq.write_table(part, f"part{i}.parquet")
    os.mkdir("lake")
    for i in range(4):
        shutil.move(f"part{i}.parquet", f"lake/part{i}.parquet")
    baler("encode", "lake", "small", "--rel", str(REL))
    for i in range(4):
        deltalake.write_deltalake("delta", pq.read_table(f"small/part{i}.parquet"), mode="append")
    delta = deltalake.DeltaTable("delta")
    check(len(delta.file_uris()) == 4, "four files")
    metrics = delta.optimize.compact()
    check(metrics["numFilesAdded"] == 1 and metrics["numFilesRemoved"] == 4, metrics)
    name = [f for f in delta.file_uris()][0].removeprefix("file://")
    keys = pq.ParquetFile(name).metadata.metadata or {}
    check(b"baler.id" not in keys, "compaction drops the footer's keys")
    print(f"deltalake {deltalake.__version__}; keys after compaction: {sorted(k.decode() for k in keys)}")
    shutil.copytree("small/_baler", "delta/_baler")
    same(table, decode(name).sort_by("event"))


globals()[sys.argv[1]]()
print(f"checks: {CHECKS}")
