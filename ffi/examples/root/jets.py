"""Jets as Baler chunks in ROOT files, beside ROOT's own lossy columns at the same largest error.

    python jets.py TABLE [--rel 1e-3] [--model none]

TABLE is .npz (`data`, `names`, as `baler simulate jets` writes it) or .parquet (its float columns). Needs the packages
`root`, `uproot`, `baler-compression`, and `pyarrow` for Parquet. The files it writes stay in the current folder.
"""

import argparse
import os
import time

import numpy as np
import ROOT
import uproot

import baler


def read(path):
    """The table as float32 rows, and the names of its columns."""
    if path.endswith(".parquet"):
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(path)
        names = [field.name for field in table.schema if str(field.type) == "float"]
        return np.stack([table[name].to_numpy() for name in names], axis=1), names
    with np.load(path) as file:
        data, names = file["data"].astype("f4"), [str(name) for name in file["names"]]
    return data, names or [f"c{i}" for i in range(data.shape[1])]


def largest_errors(values, path):
    """Largest error of each column of an RNTuple with one field a column."""
    columns = uproot.open(path)["jets"].arrays(library="np")
    return np.array([np.abs(columns[name].astype("f8") - values[:, i]).max() for i, name in enumerate(columns)])


def fewest_bits(values, bounds, names, kind, bits):
    """Writes `kind` columns with as few bits as keep each within its bound: tried, not reckoned."""
    path = {1: "truncated.root", 2: "quantized.root"}[kind]
    limits = values.min(axis=0).astype("f8"), values.max(axis=0).astype("f8")
    # ROOT wants a range even of a column that has none.
    limits[1][limits[1] == limits[0]] += 1
    bits = np.full(len(names), bits)
    while True:
        ROOT.write_columns(path, names, values, len(values), kind, bits.tolist(), *map(np.ndarray.tolist, limits))
        too_few = largest_errors(values, path) > bounds
        if not too_few.any() or bits.max() >= 31:
            return path
        bits[too_few] += 1


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("table")
    arguments.add_argument("--rel", type=float, default=1e-3)
    arguments.add_argument("--model", choices=["auto", "none"], default="auto")
    arguments = arguments.parse_args()

    # The C library with its plain header, in cling.
    folder = os.path.dirname(os.path.abspath(__file__))
    ROOT.gInterpreter.AddIncludePath(baler.include_dir())
    ROOT.gInterpreter.AddIncludePath(folder)
    if ROOT.gSystem.Load(baler.library()) < 0 or not ROOT.gInterpreter.Declare('#include "write_jets.h"'):
        raise SystemExit("libbaler or its header cannot be loaded")

    values, names = read(arguments.table)
    values = np.ascontiguousarray(values)
    n_rows, n_columns = values.shape
    wide = values.astype("f8")
    bounds = arguments.rel * np.ptp(wide, axis=0)

    begin = time.monotonic()
    model = "" if arguments.model == "auto" else arguments.model
    ROOT.write_chunks("baler.root", "baler_tree.root", values, n_rows, n_columns, arguments.rel, model)
    print(f"{n_rows} rows, {n_columns} columns, {values.nbytes} bytes; encoded in {time.monotonic() - begin:.2f} s")
    ROOT.write_columns("exact.root", names, values, n_rows, 0, [], [], [])
    truncated = fewest_bits(values, bounds, names, 1, 10)
    quantized = fewest_bits(values, bounds, names, 2, int(np.ceil(-np.log2(2 * arguments.rel))))

    # RDataFrame reads the chunks; Define decodes them.
    decoded = {}
    for path in ("baler.root", "baler_tree.root"):
        frame = ROOT.RDataFrame("jets", path).Define("table", "baler_root::decode(chunk)")
        for i in range(n_columns):
            frame = frame.Define(f"x{i}", f"baler_root::column(table, {n_columns}, {i})")
        tables = frame.Take["ROOT::RVecF"]("table")
        histograms = []
        for i in range(n_columns):
            model = ("", "", 64, float(wide[:, i].min()), float(np.nextafter(wide[:, i].max(), np.inf)) + 1e-6)
            histograms.append((model, frame.Histo1D(model, f"x{i}")))
        decoded[path] = np.concatenate([np.asarray(table) for table in tables.GetValue()]).reshape(values.shape)
        for i, (model, histogram) in enumerate(histograms):
            check_histogram(np.asarray(histogram.GetValue())[:], model, wide[:, i], bounds[i])
    back = decoded["baler.root"]
    if not np.array_equal(back, decoded["baler_tree.root"]):
        raise SystemExit("RNTuple and TTree differ")

    # uproot reads the file, the wheel decodes.
    for path in ("baler.root", "baler_tree.root"):
        chunks = uproot.open(path)["jets"].arrays()["chunk"]
        other = np.concatenate([baler.decompress(np.asarray(chunk, "u1")) for chunk in chunks])
        if not np.array_equal(other.view("u4"), back.view("u4")):
            raise SystemExit(f"uproot and RDataFrame give other values of {path}")

    print(f"{'file':18} {'bytes':>9} {'ratio':>6}  largest error, of the range of its column")
    for path in ("exact.root", truncated, quantized, "baler.root", "baler_tree.root"):
        errors = np.abs(decoded[path] - wide).max(axis=0) if path in decoded else largest_errors(wide, path)
        if (errors > bounds).any() and path != truncated:
            raise SystemExit(f"{path} breaks the bound")
        share = (errors / np.where(bounds > 0, bounds / arguments.rel, 1)).max()
        size = os.path.getsize(path)
        print(f"{path:18} {size:9} {values.nbytes / size:6.2f}  {share:.3e}")
    print(f"the same values from RDataFrame and uproot, RNTuple and TTree: {back.size}; histograms: {n_columns}")


def check_histogram(counts, model, exact, bound):
    """A histogram of values that moved by no more than `bound`: below each edge lie as many as below the edge moved by
    the bound either way."""
    _, _, n_bins, low, high = model
    edges = np.linspace(low, high, n_bins + 1)
    # Rounding of edges and of the bound itself.
    slack = bound + 1e-6 * max(abs(low), abs(high))
    below = np.cumsum(counts)
    # counts[0] is what lies under the first edge.
    exact = np.sort(exact)
    least = np.searchsorted(exact, edges - slack)
    most = np.searchsorted(exact, edges + slack)
    if len(below) != n_bins + 2 or not ((least <= below[:-1]) & (below[:-1] <= most)).all() or below[-1] != len(exact):
        raise SystemExit("a histogram of decoded values is not within the bound")


if __name__ == "__main__":
    main()
