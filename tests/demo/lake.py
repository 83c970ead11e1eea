"""Encoded Parquet tables in figures: sizes beside the ways without us, speed beside pyarrow, memory against rows.

    .venv/bin/python tests/demo/lake.py --baler target/release/baler --data DATA sizes
    .venv/bin/python tests/demo/lake.py --baler target/release/baler speed --rows 2000000
    .venv/bin/python tests/demo/lake.py --baler target/release/baler memory --rows 1000000 5000000 20000000
    .venv/bin/python tests/demo/lake.py --baler target/release/baler --data DATA latents

DATA holds hep_cms_dimuon_2011.npz, hep_alice_hypertriton.npz and hep_cms_muons_2012.parquet; what is not there is left out.
Needs numpy, pyarrow, pcodec.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def run(baler, *arguments):
    """Seconds, peak memory in MB, output as JSON."""
    started = time.perf_counter()
    process = subprocess.Popen([baler, *map(str, arguments), "--json"], stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, (arguments, output)
    return time.perf_counter() - started, usage.ru_maxrss / 1024, json.loads(output)


def tables(options):
    data = options.data
    for name in ("hep_cms_dimuon_2011", "hep_alice_hypertriton"):
        path = os.path.join(data, name + ".npz")
        if os.path.exists(path):
            file = np.load(path, allow_pickle=False)
            values, names = file["data"], [str(n) for n in file["names"]]
            yield name, pa.table({n: np.ascontiguousarray(values[:, i], "f4") for i, n in enumerate(names)})
    path = os.path.join(data, "hep_cms_muons_2012.parquet")
    if os.path.exists(path):
        yield "hep_cms_muons_2012", pq.read_table(path)
    run(options.baler, "simulate", "events", "-o", "toy.parquet", "--rows", options.toy_rows)
    yield "toy", pq.read_table("toy.parquet").drop_columns(["event"])


def written(table, level, **how):
    pq.write_table(table, "written.parquet", compression="zstd", compression_level=level, **how)
    return chunks("written.parquet")


def chunks(path):
    """Bytes of each column."""
    metadata = pq.ParquetFile(path).metadata
    sizes = [0] * metadata.num_columns
    for group in range(metadata.num_row_groups):
        for c in range(metadata.num_columns):
            sizes[c] += metadata.row_group(group).column(c).total_compressed_size
    return np.array(sizes)


def floats(table):
    return [n for n in table.column_names if pa.types.is_floating(table.schema.field(n).type)]


def best(table, level):
    """Bytes of a table whose columns each take the smallest of Parquet's encodings."""
    ways = [written(table, level), written(table, level, use_dictionary=False, column_encoding={n: "PLAIN" for n in table.column_names})]
    ways.append(written(table, level, use_dictionary=False, use_byte_stream_split=True))
    if all(pa.types.is_integer(f.type) for f in table.schema):
        delta = {n: "DELTA_BINARY_PACKED" for n in table.column_names}
        ways.append(written(table, level, use_dictionary=False, column_encoding=delta))
    return int(np.min(ways, axis=0).sum())


def quantised(table, rel):
    """Integers and snapped values of the columns of floats that have a range."""
    integers, snapped = {}, {}
    for name in floats(table):
        x = table[name].to_numpy().astype("f8")
        finite = np.isfinite(x)
        step = 2 * rel * (x[finite].max() - x[finite].min()) * (1 - 1e-6)
        if step > 0:
            q = np.round(np.where(finite, x, 0) / step).astype("i4")
            integers[name], snapped[name] = q, (q * step).astype("f4")
    return integers, snapped


def sizes(options):
    from pcodec import ChunkConfig, standalone

    print("table                  rel    values    snapped+zstd  q+Parquet  q+pcodec      ours   archive      HDF5  (predicted)")
    for name, table in tables(options):
        for rel in options.rel:
            integers, snapped = quantised(table, rel)
            kept = table.select(list(integers))
            pq.write_table(kept, "table.parquet", compression="zstd")
            q_pco = sum(len(standalone.simple_compress(q, ChunkConfig())) for q in integers.values())
            q_parquet = best(pa.table({n: q - q.min() for n, q in integers.items()}), options.level)
            _, _, report = run(options.baler, "parquet", "encode", "table.parquet", "small.parquet", "--rel", rel, "--level", options.level, "--force")
            run(options.baler, "parquet", "verify", "table.parquet", "small.parquet")
            _, _, archive = run(options.baler, "parquet", "encode", "table.parquet", "archive.parquet", "--rel", rel, "--profile", "archive", "--force")
            run(options.baler, "parquet", "verify", "table.parquet", "archive.parquet")
            np.save("table.npy", np.stack([kept[n].to_numpy() for n in integers], 1))
            run(options.baler, "compress", "table.npy", "table.h5", "--columns", "--rel", rel)
            print(
                f"{name:20} {rel:7.0e} {kept.nbytes:10} {best(pa.table(snapped), options.level):12} {q_parquet:10} {q_pco:9} "
                f"{report['output_bytes']:9} {archive['output_bytes']:9} {os.path.getsize('table.h5'):9}  ({report['predicted_columns']} of {report['columns']}; {chunks('small.parquet').sum()} in column chunks)  "
                f"ratio {kept.nbytes / report['output_bytes']:.2f}, q+pcodec {kept.nbytes / q_pco:.2f}"
            )
            for left in ("table.parquet", "small.parquet", "archive.parquet", "table.npy", "table.h5"):
                os.remove(left)


def copied(n, level):
    """Seconds in which pyarrow reads the table and writes it with Zstandard."""
    pa.set_cpu_count(n)
    started = time.perf_counter()
    pq.write_table(pq.read_table("toy.parquet", use_threads=n > 1), "copy.parquet", compression="zstd", compression_level=level)
    return time.perf_counter() - started


def speed(options):
    """File to file, in turns; medians. pyarrow writes with one thread however many it may use."""
    run(options.baler, "simulate", "events", "-o", "toy.parquet", "--rows", options.rows[0])
    table = pq.read_table("toy.parquet")
    mb = table.nbytes / 1e6
    ways = {"predicted": [], "plain": ["--no-prediction"], "archive": ["--profile", "archive"]}
    print(f"{table.num_rows} rows, {mb:.0f} MB of values, Zstandard {options.level}; {options.repeat} turns")
    for n in (1, 2):
        seconds = {}
        for _ in range(options.repeat):
            seconds.setdefault("pyarrow", []).append((copied(n, options.level),))
            for label, more in ways.items():
                how = ["--threads", n, "--force"]
                # A file that is there and finished would not be encoded again.
                pathlib.Path(f"{label}.parquet").unlink(missing_ok=True)
                shutil.rmtree("_baler", ignore_errors=True)
                encoded, _, _ = run(options.baler, "parquet", "encode", "toy.parquet", f"{label}.parquet", "--rel", options.rel[0], "--level", options.level, *how, *more)
                decoded, _, _ = run(options.baler, "parquet", "decode", f"{label}.parquet", "back.parquet", *how)
                seconds.setdefault(label, []).append((encoded, decoded))
        copy = np.median(seconds.pop("pyarrow"))
        print(f"{n} thread(s): pyarrow copies {mb / copy:.0f} MB/s ({os.path.getsize('copy.parquet')} bytes)")
        for label, pairs in seconds.items():
            encode, decode = np.median(pairs, axis=0)
            print(
                f"  {label:9}: encodes {mb / encode:.0f} MB/s ({copy / encode:.2f} of pyarrow's), decodes {mb / decode:.0f} MB/s "
                f"({copy / decode:.2f}) ({os.path.getsize(f'{label}.parquet')} bytes)"
            )


def memory(options):
    print("      rows  simulate MB  encode MB  decode MB  (peak resident memory, 2 threads)")
    for rows in options.rows:
        _, simulated, _ = run(options.baler, "simulate", "events", "-o", "toy.parquet", "--rows", rows, "--force")
        _, encoded, report = run(options.baler, "parquet", "encode", "toy.parquet", "small.parquet", "--rel", options.rel[0], "--threads", 2, "--force")
        _, decoded, _ = run(options.baler, "parquet", "decode", "small.parquet", "back.parquet", "--threads", 2, "--force")
        print(f"{rows:10} {simulated:12.0f} {encoded:10.0f} {decoded:10.0f}   {report['input_bytes']} -> {report['output_bytes']} bytes")


def latents(options):
    """Bits of a row by order-0 entropy: columns alone, and k principal components plus what they leave."""

    def entropy(q):
        _, n = np.unique(q, return_counts=True)
        p = n / n.sum()
        return float(-(p * np.log2(p)).sum())

    for name, table in tables(options):
        for rel in options.rel:
            integers, _ = quantised(table, rel)
            q = np.stack(list(integers.values()), 1).astype("f8")
            alone = sum(entropy(c) for c in q.T)
            mean, scale = q.mean(0), q.std(0) + 1e-9
            _, _, axes = np.linalg.svd((q - mean) / scale, full_matrices=False)
            line = []
            for k in (1, 2, 4, 8):
                best_bits = np.inf
                for step in (0.02, 0.1, 0.5):
                    latent = np.round((q - mean) / scale @ axes[:k].T / step)
                    residual = q - np.round(latent * step @ axes[:k] * scale + mean)
                    best_bits = min(best_bits, sum(entropy(c) for c in latent.T) + sum(entropy(c) for c in residual.T))
                line.append(f"k={k}: {100 * (best_bits / alone - 1):+.1f} %")
            print(f"{name:20} {rel:7.0e} alone {alone:.1f} bits a row; latents and residuals {', '.join(line)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["sizes", "speed", "memory", "latents"])
    parser.add_argument("--baler", default="target/release/baler")
    parser.add_argument("--data", default=os.environ.get("BALER_DATA", "."))
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--toy-rows", type=int, default=500_000)
    parser.add_argument("--level", type=int, default=9, help="of Zstandard, in sizes: ours and the others'")
    parser.add_argument("--repeat", type=int, default=5, help="turns of speed")
    parser.add_argument("--rel", type=float, nargs="+", default=[1e-3])
    options = parser.parse_args()
    options.baler, options.data = os.path.abspath(options.baler), os.path.abspath(options.data)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        globals()[options.what](options)
        os.chdir("/")


main()
