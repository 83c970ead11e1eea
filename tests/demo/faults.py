#!/usr/bin/env python3
"""How HDF5 filters take bad data, bad bounds and damaged chunks: Baler beside the lossy filters of hdf5plugin.

    HDF5_PLUGIN_PATH=target/release .venv/bin/python tests/demo/faults.py [--only baler,sz3] [--json FILE]

Every case runs in a process of its own, since some filters crash; files are closed and opened again between writing and
reading, since HDF5's cache hides what is lost. Needs h5py and hdf5plugin, and h5repack for the second column;
the older h5py of `tests/setup tests` for the third. Prints the table
of docs/security.md; a minute or two.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
import h5py
import hdf5plugin
import numpy as np

warnings.filterwarnings("ignore")

FILTER_ID = 47646
BOUND = 1e-3
TRIES = {"flipped": 200, "cut": 60, "noise": 30}


def words(bound):
    """cd_values of an absolute bound without models, as docs/hdf5.md lays them out."""
    low, high = struct.unpack("<II", struct.pack("<d", bound))
    return (1 | 1 << 8, low, high)


def by_h5py(options):
    """A writer through h5py with what `options(bound)` gives."""

    def write(path, values, bound):
        with h5py.File(path, "w") as f:
            f.create_dataset("d", data=values, chunks=values.shape, **options(bound))

    return write


def by_h5repack(path, values, bound):
    """Written plain, then repacked by the system's HDF5."""
    with h5py.File(f"{path}.plain", "w") as f:
        f.create_dataset("d", data=values, chunks=values.shape)
    list_of_words = ",".join(map(str, words(bound)))
    command = ["h5repack", "-f", f"UD={FILTER_ID},0,3,{list_of_words}", f"{path}.plain", path]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stderr.strip().splitlines()[0])
    with h5py.File(path) as f:
        if f["d"].id.get_create_plist().get_nfilters() == 0:
            raise RuntimeError("h5repack copied the data as they are, as it does where a filter refuses")


def read_h5py(path):
    with h5py.File(path) as f:
        return f["d"][()]


def read_h5repack(path):
    """Unpacked by the system's HDF5, then read."""
    result = subprocess.run(["h5repack", "-f", "NONE", path, f"{path}.out"], capture_output=True, text=True)
    if result.returncode < 0:
        os.kill(os.getpid(), -result.returncode)
    if result.returncode:
        raise RuntimeError(result.stderr.strip().splitlines()[0])
    return read_h5py(f"{path}.out")


def older_h5py():
    """A Python with the h5py that `tests/setup tests` puts beside the newest, or None."""
    folder = Path(sys.executable).parent.parent / "h5py-hdf5-1.14"
    environment = {**os.environ, "PYTHONPATH": str(folder)}

    def run(script, *arguments):
        command = [sys.executable, "-c", "import sys, h5py, numpy as np\n" + script, *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, env=environment)
        if result.returncode < 0:
            os.kill(os.getpid(), -result.returncode)
        if result.returncode:
            raise RuntimeError(result.stderr.strip().splitlines()[-1])
        return result.stdout

    return run if folder.is_dir() else None


def by_older(path, values, bound):
    np.save(f"{path}.npy", values)
    script = """
path, *words = sys.argv[1:]
values = np.load(f"{path}.npy")
with h5py.File(path, "w") as f:
    f.create_dataset("d", data=values, chunks=values.shape, compression=47646, compression_opts=tuple(map(int, words)))
"""
    OLDER(script, path, *words(bound))


def read_older(path):
    OLDER("path = sys.argv[1]\nwith h5py.File(path) as f:\n    np.save(f'{path}.npy', f['d'][()])", path)
    return np.load(f"{path}.npy")


OLDER = older_h5py()
LOSSY = {
    "baler": ("Baler", by_h5py(lambda b: {"compression": FILTER_ID, "compression_opts": words(b)}), read_h5py),
    "h5repack": ("Baler, h5repack", by_h5repack, read_h5repack),
    **({"older": ("Baler, HDF5 1.14", by_older, read_older)} if OLDER else {}),
    "sz3": ("SZ3", by_h5py(lambda b: {"compression": hdf5plugin.SZ3(absolute=b)}), read_h5py),
    "sz2": ("SZ2", by_h5py(lambda b: {"compression": hdf5plugin.SZ(absolute=b)}), read_h5py),
    "zfp": ("ZFP", by_h5py(lambda b: {"compression": hdf5plugin.Zfp(accuracy=b)}), read_h5py),
    "sperr": ("SPERR", by_h5py(lambda b: {"compression": hdf5plugin.Sperr(absolute=b, swap=True)}), read_h5py),
}
LOSSLESS = {
    "bitshuffle": ("Bitshuffle+zstd", by_h5py(lambda b: {"compression": hdf5plugin.Bitshuffle(cname="zstd")}), read_h5py),
    "blosc2": ("Blosc2+zstd", by_h5py(lambda b: {"compression": hdf5plugin.Blosc2(cname="zstd", filters=2)}), read_h5py),
    "zstd": ("Zstd", by_h5py(lambda b: {"compression": hdf5plugin.Zstd()}), read_h5py),
}


def field(dtype="f8", n=64):
    rng = np.random.default_rng(7)
    x, y = np.meshgrid(np.linspace(0, 6, n), np.linspace(0, 6, n))
    return (np.sin(x) * np.cos(1.3 * y) * 5 + rng.normal(0, 0.05, x.shape)).astype(dtype)


def changed(values, change):
    values = values.copy()
    change(values)
    return values


def set_to(*pairs):
    def change(values):
        for place, value in pairs:
            values[place] = value

    return change


def cases():
    """Name, values, bound."""
    a, fill = field(), 1e35
    large = field("f4") + np.float32(1e6)
    rng = np.random.default_rng(11)
    return [
        ("one NaN", changed(a, set_to(((5, 7), np.nan))), BOUND),
        ("+inf and -inf", changed(a, set_to(((5, 7), np.inf), ((9, 9), -np.inf))), BOUND),
        ("1e35 as fill value in half", changed(a, set_to((np.s_[30:], fill))), BOUND),
        ("one 1e300", changed(a, set_to(((30, 30), 1e300))), BOUND),
        ("subnormal values", a * 1e-310, 1e-313),
        ("constant", np.full((64, 64), 3.7), BOUND),
        ("float32, bound below an ulp", large, BOUND),
        ("float32, bound 1e-6 of the range", rng.random((64, 64)).astype("f4"), 1e-6),
        ("white noise", rng.normal(0, 1e6, (64, 64)), BOUND),
        ("big-endian float64", a.astype(">f8"), BOUND),
        ("float16", a.astype("f2"), 1e-2),
        ("int16", (a * 100).astype("i2"), 2.0),
        ("1-d, 10 values", a[0, :10].copy(), BOUND),
        ("2 x 2", a[:2, :2].copy(), BOUND),
        ("bound 0", a, 0.0),
        ("bound -1", a, -1.0),
        ("bound NaN", a, float("nan")),
        ("bound inf", a, float("inf")),
    ]


def judge(values, back, bound):
    if not 0 < bound < np.inf:
        return "taken"
    finite = np.isfinite(values)
    with np.errstate(all="ignore"):
        error = np.abs(back[finite].astype("longdouble") - values[finite].astype("longdouble"))
    n_broken = int((~(error <= bound)).sum())
    special = ~finite
    kept = ((np.isnan(values) & np.isnan(back)) | (values == back))[special].all()
    if n_broken and (~np.isfinite(back[finite])).any() or n_broken > finite.sum() / 2:
        return "**garbage**"
    if n_broken:
        return f"**bound broken {float(error.max() / bound):.3g}x**" + ("" if kept else ", **NaN, inf lost**")
    return "kept" if kept else "bound kept, **NaN, inf lost**"


def in_child(call, seconds=60):
    """What `call` returns, or how its process ended."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(False)

    def body():
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        try:
            sender.send(call())
        except Exception as error:
            sender.send(f"refused: {error}")

    process = context.Process(target=body)
    process.start()
    sender.close()
    try:
        answer = receiver.recv() if receiver.poll(seconds) else "**hangs**"
    except EOFError:
        process.join()
        code = process.exitcode
        answer = f"**{signal.Signals(-code).name}**" if code < 0 else f"**ends the process ({code})**"
    if answer == "**hangs**":
        process.kill()
    process.join()
    return answer


def damaged(raw, kind, seed):
    rng = np.random.default_rng(seed)
    raw = bytearray(raw)
    if kind == "flipped":
        raw[int(rng.integers(len(raw)))] ^= 1 << int(rng.integers(8))
    elif kind == "cut":
        raw = raw[: int(rng.integers(1, len(raw)))]
    else:
        raw = rng.integers(0, 256, len(raw), dtype=np.uint8).tobytes()
    return bytes(raw)


def replace_chunk(path, change):
    with h5py.File(path, "r+") as f:
        mask, raw = f["d"].id.read_direct_chunk((0, 0))
        f["d"].id.write_direct_chunk((0, 0), change(raw), mask)


def damage(write, read, folder, kind):
    """A count of what comes of so many damaged chunks."""
    values, tally = field(), Counter()
    path = f"{folder}/damaged.h5"
    write(path, values, BOUND)

    def one(seed):
        def attempt():
            copy = shutil.copy(path, f"{folder}/attempt.h5")
            replace_chunk(copy, lambda raw: damaged(raw, kind, seed))
            return "no effect" if (np.abs(read(copy) - values) <= BOUND).all() else "**silently wrong**"

        answer = in_child(attempt)
        return "error" if answer.startswith("refused") else answer

    for seed in range(TRIES[kind]):
        tally[one(seed)] += 1
    return ", ".join(f"{n} {what}" for what, n in tally.most_common())


def every_bit(folder):
    """Baler alone: every bit of a chunk flipped, one at a time."""
    write, read, values = LOSSY["baler"][1], read_h5py, field()
    path, tally = f"{folder}/bits.h5", Counter()
    write(path, values, BOUND)
    with h5py.File(path) as f:
        _, sound = f["d"].id.read_direct_chunk((0, 0))
    for bit in range(8 * len(sound)):
        raw = bytearray(sound)
        raw[bit // 8] ^= 1 << bit % 8
        replace_chunk(path, lambda _: bytes(raw))
        try:
            tally["no effect" if (np.abs(read(path) - values) <= BOUND).all() else "**silently wrong**"] += 1
        except OSError:
            tally["error"] += 1
    return ", ".join(f"{n} {what}" for what, n in tally.most_common())


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", help="filters, separated by commas: " + ", ".join([*LOSSY, *LOSSLESS]))
    arguments.add_argument("--json", help="a file for the results")
    given = arguments.parse_args()
    chosen = given.only.split(",") if given.only else [*LOSSY, *LOSSLESS]
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        lossy = {name: LOSSY[name] for name in LOSSY if name in chosen}
        for case, values, bound in cases():
            for name, (_, write, read) in lossy.items():

                def attempt():
                    path = f"{folder}/case.h5"
                    write(path, values, bound)
                    return judge(values, read(path), bound)

                for leftover in Path(folder).glob("case.h5*"):
                    leftover.unlink()
                answer = in_child(attempt)
                results.setdefault(case, {})[name] = "refused" if answer.startswith("refused") else answer
        everyone = {name: entry for name, entry in {**LOSSY, **LOSSLESS}.items() if name in chosen}
        for kind, title in [("flipped", "one bit flipped"), ("cut", "chunk cut short"), ("noise", "noise for a chunk")]:
            row = results.setdefault(f"{title} ({TRIES[kind]})", {})
            for name, (_, write, read) in everyone.items():
                row[name] = damage(write, read, folder, kind)
        if "baler" in chosen:
            results["every bit flipped"] = {"baler": every_bit(folder)}
    for group in (LOSSY, LOSSLESS):
        columns = [name for name in group if name in chosen]
        if columns:
            print("\n| case | " + " | ".join(group[name][0] for name in columns) + " |")
            print("|---" * (len(columns) + 1) + "|")
            for case, row in results.items():
                if any(name in row for name in columns):
                    print(f"| {case} | " + " | ".join(row.get(name, "") for name in columns) + " |")
    if given.json:
        Path(given.json).write_text(json.dumps(results, indent=1))
    # What Baler promises, held up.
    bad = [case for case, row in results.items() for name in ("baler", "h5repack", "older") if "**" in row.get(name, "")]
    if bad:
        sys.exit(f"Baler failed at: {', '.join(bad)}")


if __name__ == "__main__":
    main()
