#!/usr/bin/env python3
"""Real data sets through the system's h5repack with the Baler filter, beside what other compressors make of them.

    .venv/bin/python tests/demo/table.py [--bin target/release] [--data ../shared/data] [SET ...]

For each set and bound: a plain HDF5 file, `h5repack -f` with the argument `baler h5 args` prints, then the result read
back by h5py, by a C program linked to the system's libhdf5, by h5dump, and where it is netCDF by ncdump. Prints bytes,
ratio with and without the decoder's bytes, largest error over the bound, and the best peers from a file of their results
(BALER_PEERS, default ../peers/baseline.json beside the data). Exit code 1 if a bound is broken or two readers disagree.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np

#: Set, name in the peers' file, whether the last axis holds columns, bounds (the keys of the peers' file).
SETS = {
    "CFD_animation": ("CFD_animation", False, ("lossless", "rel 0.01", "rel 0.001", "rel 0.0001")),
    "climate_ccsm_trefht": ("climate_ccsm_trefht", False, ("lossless", "rel 0.01", "rel 0.001", "rel 0.0001")),
    "hep_alice_hypertriton": ("hep_alice_hypertriton", True, ("lossless", "rel 0.01", "rel 0.001", "rel 0.0001")),
    # A hot pixel makes a bound relative to the range meaningless here: lossless, and 1 and 2 counts.
    "xray_thaumatin_pilatus6m": ("xray_thaumatin_2frames", False, ("lossless", "abs 1", "abs 2")),
}


def load(folder, name):
    """The array of a set, whatever its container."""
    for suffix in (".npy", ".npz", ".h5"):
        path = folder / (name + suffix)
        if path.exists():
            if suffix == ".npy":
                return np.load(path)
            if suffix == ".npz":
                return np.load(path)["data"]
            with h5py.File(path) as file:
                return file["data"][...]
    return None


def run(command, **kwargs):
    return subprocess.run([str(c) for c in command], check=True, **kwargs)


def c_reader(folder):
    """The C program of the host tests, compiled against the system's libhdf5."""
    source = Path(__file__).resolve().parent.parent / "hosts" / "c" / "roundtrip.c"
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "hdf5"], capture_output=True, text=True, check=True)
    program = folder / "roundtrip"
    run(["cc", "-O1", "-o", program, source, *flags.stdout.split()])
    return program


def read_everywhere(packed, program, environment, folder):
    """SHA-256 of the dataset's bytes as each reader sees them."""
    script = "import sys, h5py; sys.stdout.buffer.write(h5py.File(sys.argv[1])['data'][...].tobytes())"
    raw = folder / "dump.bin"
    run(["h5dump", "-d", "/data", "-b", "LE", "-o", raw, packed], env=environment, stdout=subprocess.DEVNULL)
    read = {
        "h5py": run([sys.executable, "-c", script, packed], env=environment, capture_output=True).stdout,
        "C": run([program, "read", packed, "/data"], env=environment, capture_output=True).stdout,
        "h5dump": raw.read_bytes(),
    }
    return read["h5py"], {name: hashlib.sha256(data).hexdigest() for name, data in read.items()}


def largest_error(original, decoded):
    """Exact for integers, in extended precision for floating point."""
    wide = np.int64 if original.dtype.kind in "iu" else np.longdouble
    return np.abs(decoded.astype(wide) - original.astype(wide))


def worst_over_bound(original, decoded, kind, value, columns):
    """Largest error as a share of what is allowed; for lossless, 0 if all bytes are the same, otherwise infinity."""
    if kind == "lossless":
        return 0.0 if original.tobytes() == decoded.tobytes() else float("inf")
    finite = np.isfinite(original)
    if not np.array_equal(original[~finite], decoded[~finite], equal_nan=True):
        return float("inf")
    error = np.where(finite, largest_error(original, decoded), 0)
    if kind == "abs":
        return float(error.max() / value)
    axis = 0 if columns else None
    span = original.astype(np.float64).max(axis=axis) - original.astype(np.float64).min(axis=axis)
    allowed = value * span
    # A column of one value allows no error at all.
    return float(np.max(np.where(error == 0, 0, error / np.where(allowed == 0, 5e-324, allowed))))


def peers_at(peers, key, bound):
    """Every peer's entry for a set and bound."""
    return peers.get(key, {}).get("peers", {}).get(bound.replace("lossless", "lossless 0"), {})


def best_peers(peers, key, bound):
    """(best of all, best that quantises): ratio and name."""
    entries = peers_at(peers, key, bound)
    kept = [(e["ratio"], n) for n, e in entries.items() if e.get("ratio") and e.get("bound_kept", True)]
    quantised = [(r, n) for r, n in kept if n.startswith("q-") or (bound == "lossless" and n == "pcodec")]
    return max(kept, default=None), max(quantised, default=None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=Path("target/release"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("BALER_DATA", "../shared/data")))
    parser.add_argument("--peers", action="store_true", help="print every peer's ratio below each line")
    parser.add_argument("sets", nargs="*", metavar="SET")
    options = parser.parse_args()
    peers_path = Path(os.environ.get("BALER_PEERS", options.data.parent / "peers" / "baseline.json"))
    peers = json.loads(peers_path.read_text()) if peers_path.exists() else {}
    environment = {**os.environ, "HDF5_PLUGIN_PATH": str(options.bin.resolve())}
    baler = options.bin / "baler"
    good = True
    print(f"{'set':<26}{'bound':<12}{'bytes':>10}{'ratio':>9}{'with':>8}{'error/':>9}  {'won':<15}{'best quantise-based':<35}best of all")
    print(f"{'':<47}{'':>10}{'decoder':>9}{'bound':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = c_reader(folder)
        for name in options.sets or SETS:
            key, columns, bounds = SETS[name]
            original = load(options.data, name)
            if original is None:
                print(f"{name}: not in {options.data}")
                continue
            plain = folder / "plain.h5"
            with h5py.File(plain, "w") as file:
                file.create_dataset("data", data=original, chunks=original.shape)
            for bound in bounds:
                kind, _, value = bound.partition(" ")
                packed = folder / "packed.h5"
                packed.unlink(missing_ok=True)
                arguments = ["--lossless"] if kind == "lossless" else [f"--{kind}", value]
                arguments += ["--columns"] if columns else []
                ud = run([baler, "h5", "args", *arguments], capture_output=True, text=True).stdout.strip()
                run(["h5repack", "-f", ud, plain, packed], env=environment)
                data, hashes = read_everywhere(packed, program, environment, folder)
                decoded = np.frombuffer(data, original.dtype).reshape(original.shape)
                over = worst_over_bound(original, decoded, kind, float(value or 0), columns)
                info = json.loads(run([baler, "info", "--json", packed], capture_output=True, text=True).stdout)
                array = next(a for a in info["arrays"] if a["name"].strip("/") == "data")
                size, decoder = array["stored_bytes"], info["decoder_bytes"]
                same = len(set(hashes.values())) == 1
                good &= over <= 1 and same
                won = ",".join(array["candidates"]) if len(array["candidates"]) < 3 else f"{len(array['candidates'])} candidates"
                notes = "" if same else f"  READERS DISAGREE {hashes}"
                best, quantised = best_peers(peers, key, bound)
                ratio = original.nbytes / size
                beside = [f"{ratio / r:.3f} of {n} {r:.2f}" if r else "-" for r, n in (quantised or (0, ""), best or (0, ""))]
                print(
                    f"{name:<26}{bound:<12}{size:>10}{ratio:>9.2f}{original.nbytes / (size + decoder):>8.2f}"
                    f"{over:>9.6f}  {won:<15}{beside[0]:<35}{beside[1]}{notes}"
                )
                if options.peers:
                    entries = peers_at(peers, key, bound).items()
                    ratios = sorted(((e.get("ratio") or 0, n, e.get("bound_kept", True)) for n, e in entries), reverse=True)
                    print("    " + ", ".join(f"{n} {r:.2f}{'' if kept else ' (breaks it)'}" for r, n, kept in ratios if r))
    print("every bound kept; h5py, the C program and h5dump read the same bytes" if good else "FAIL")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
