#!/usr/bin/env python3
"""Speed and memory against targets, peers beside ours in the same run.

    .venv/bin/python tests/demo/speed.py [--bin target/release] [--data ../shared/data] [--repeat 3] [ROW ...]
    .venv/bin/python tests/demo/speed.py scaling --sizes 1,16,256,8192 --effort fast    # MiB
    .venv/bin/python tests/demo/speed.py -o docs/benchmarks/0.1.0.json

Rows: inference, encoders, fields, models, tables, auction, threads, memory, plugin, allocations, scaling; all but the last unless
named. Prints what was measured (the median; over sets of data the geometric mean), over how many, the spread (smallest to largest), and the target. Ratios of speeds are of two
programs run one after the other; seconds are of the processor where one core is meant, and of the clock where threads are.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
# Whatever else there is in the folder of data is a field.
TABLES = ["astro_fermi_lat_photons", "cfd_optitwist_mesh", "hep_"]
FORMATS = {".npy", ".npz", ".h5", ".parquet"}


def geometric_mean(numbers):
    return float(np.exp(np.mean(np.log(numbers)))) if len(numbers) else float("nan")

# The most memory of a process counts that of the process it was made from, which has to be small therefore.
CHILD = """
import os, sys, time
start = time.perf_counter()
nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=nowhere)
_, status, usage = os.wait4(child, 0)
print(os.waitstatus_to_exitcode(status), time.perf_counter() - start, usage.ru_maxrss)
"""

EVENTS = """
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
rows, random = 1 << 17, np.random.default_rng(1)
schema = pa.schema([(f"x{i}", pa.float32()) for i in range(8)])
with pq.ParquetWriter(sys.argv[1], schema, compression="zstd") as writer:
    for _ in range(int(sys.argv[2])):
        x = random.exponential(20, (8, rows)) * (1 + np.arange(8)[:, None] / 3)
        x[1] = np.sqrt(x[0] ** 2 + x[2] ** 2)
        writer.write_table(pa.table([pa.array(v.astype("f4")) for v in x], schema=schema))
"""


class Table:
    """Lines of the table, printed as they come."""

    def __init__(self):
        self.rows = []
        print(f"{'path':66} {'target':>8} {'measured':>9}  spread")

    def add(self, path, target, values, unit="", at_most=False, about="", of=statistics.median):
        """A line judged by the median of the values, or what else `of` makes of them."""
        values = sorted(values)
        if not values:
            print(f"{path:66} {target:>8} {'-':>9}  {about}")
            return
        middle = of(values)
        kept = middle <= target if at_most else middle >= target
        spread = f"{values[0]:.3g} to {values[-1]:.3g}, n = {len(values)}"
        limit = ("<= " if at_most else "") + f"{target:g}{unit}"
        print(f"{path:66} {limit:>8} {middle:>8.3g}{unit}  {spread}{'' if kept else '   MISSED'} {about}", flush=True)
        self.rows.append({"path": path, "target": target, "at_most": at_most, "unit": unit, "values": values, "median": statistics.median(values), "measured": middle})


class Run:
    def __init__(self, arguments, folder):
        self.bin = Path(arguments.bin).resolve()
        self.data = Path(arguments.data)
        files = sorted(p for p in self.data.iterdir() if p.suffix in FORMATS and re.search(arguments.sets, p.stem))
        self.table_files = [p for p in files if p.stem.startswith(tuple(TABLES))]
        self.field_files = [p for p in files if p not in self.table_files]
        self.repeat = arguments.repeat
        self.mib = arguments.mib
        self.sizes = [int(s) for s in arguments.sizes.split(",")]
        self.effort = arguments.effort
        self.folder = folder
        self.table = Table()
        plugin = next((p for p in (self.bin, self.bin / "deps") if (p / "libbaler_hdf5.so").exists()), self.bin)
        self.library = plugin / "libbaler_hdf5.so"
        self.environment = dict(os.environ, BALER_PLUGIN_PATH=str(plugin), BALER_PYTHON=sys.executable)

    def baler(self, *arguments):
        """Runs the program: seconds of the clock, and the most memory it held, in bytes."""
        command = [sys.executable, "-I", "-S", "-c", CHILD, self.bin / "baler", *map(str, arguments), "--quiet"]
        told = subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout
        status, seconds, most = told.split()
        if int(status):
            raise SystemExit(f"baler {' '.join(map(str, arguments))}: exit code {status}")
        return float(seconds), int(most) * 1024

    def bench(self, files, *flags):
        """Results of `baler bench` by set, then by codec."""
        if not files:
            return {}
        out = self.folder / "bench.json"
        command = [self.bin / "baler", "bench", *files, *flags, "--rel", "1e-3", "--repeat", str(self.repeat)]
        subprocess.run([*command, "-o", out, "--force", "--quiet"], env=self.environment, check=True, stdout=subprocess.DEVNULL)
        sets = json.loads(out.read_text())["sets"]
        return {s["name"]: {r["codec"]: r for r in s["results"] if r["bound"]["kind"] == "rel"} for s in sets}

    def criterion(self, bench, wanted):
        """Medians and their intervals of criterion's benches, in nanoseconds, by group and by name."""
        environment = dict(os.environ)
        try:
            import onnxruntime

            library = sorted(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so*"))
            environment["ORT_DYLIB_PATH"] = str(library[0]) if library else ""
        except ImportError:
            pass
        environment.setdefault("CARGO_TARGET_DIR", str(ROOT / "target"))
        profile = ["--profile", "dev"] if self.bin.name == "debug" else []
        command = ["cargo", "bench", "--quiet", *profile, "-p", "baler-codec", "--bench", bench, "--", wanted]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        found = {}
        for file in Path(environment["CARGO_TARGET_DIR"], "criterion").glob("*/*/new/estimates.json"):
            median = json.loads(file.read_text())["median"]
            interval = median["confidence_interval"]
            group, name = file.parts[-4], file.parts[-3]
            about = json.loads(file.with_name("benchmark.json").read_text())
            each = (about["throughput"] or {}).get("Elements") or 1
            found.setdefault(group, {})[name] = [
                interval["lower_bound"] / each, median["point_estimate"] / each, interval["upper_bound"] / each
            ]
        return found

    # Rows of the table.

    def inference(self):
        times = self.criterion("inference", "^24-200-100-50-14/").get("24-200-100-50-14", {})
        runtime = times.pop("onnxruntime", None)
        if not runtime:
            return self.table.add("inference 24-200-100-50-14 / ONNX Runtime, 1 thread", 1.4, [], about="no ONNX Runtime")
        ours = min(times.values(), key=lambda t: t[1])
        self.table.add("inference 24-200-100-50-14 / ONNX Runtime, 1 thread", 1.4, [r / o for r, o in zip(runtime, ours)])

    def encoders(self):
        times = self.criterion("inference", "^24-20-10-6/").get("24-20-10-6", {})
        times.pop("onnxruntime", None)
        ours = min(times.values(), key=lambda t: t[1])
        self.table.add("encoder inferences a second, 24-20-10-6, millions", 20, [1e3 / t for t in ours], " M")

    def against_sz3(self, what, files, *flags, targets=(2, 1.5)):
        """Filters through h5py, by the geometric mean over the sets. Those that the peer cannot take are left out."""
        sets = self.bench(files, "--through-h5", "--peers", "sz3-h5", *flags)
        for direction, target in zip(("encode", "decode"), targets):
            key = direction + "_mb_s"
            ratios = [s["baler-h5"][key] / s["sz3-h5"][key] for s in sets.values() if "baler-h5" in s and "sz3-h5" in s]
            about = f"median {statistics.median(ratios):.3g}" if ratios else "no results"
            path = f"{direction}, {what}, rel 1e-3, h5py / SZ3's filter"
            self.table.add(path, target, ratios, about=about, of=geometric_mean)

    def fields(self):
        for effort in ("fast", "default"):
            files = self.field_files + self.table_files
            self.against_sz3(f"effort {effort}, no model, all sets", files, "--model", "none", "--effort", effort)

    def models(self):
        self.against_sz3("with models, fields", self.field_files, "--allow-seen", targets=(1, 1))
        self.against_sz3("with models, tables", self.table_files, "--allow-seen", targets=(1, 1))

    def tables(self):
        for effort in ("fast", "default"):
            sets = self.bench(self.table_files, "--peers", "q-pcodec", "--allow-seen", "--effort", effort)
            ratios = [s["baler"]["decode_mb_s"] / s["q-pcodec"]["decode_mb_s"] for s in sets.values() if "q-pcodec" in s]
            path = f"decode of tables, effort {effort} / pcodec of their quantised columns"
            self.table.add(path, 0.4, ratios, of=geometric_mean)

    def auction(self):
        """Encoding at the default effort over encoding with nothing but the candidate that wins."""
        names = ["quantised", "numbers", "interpolated", "wavelet", "fitted", "floating", "related", "conditional",
                 "autoencoder", "autoregressive"]
        for what, files in (("fields", self.field_files), ("tables", self.table_files)):
            ratios = []
            for file in files:
                for name, results in self.bench([file], "--peers", "none", "--model", "none").items():
                    won = {{"lorenzo": "quantised", "plain": "quantised"}.get(c, c) for c in results["baler"]["candidates"]}
                    without = ",".join(n for n in names if n not in won)
                    alone = self.bench([file], "--peers", "none", "--model", "none", "--without", without)[name]["baler"]
                    ratios.append(alone["encode_mb_s"] / results["baler"]["encode_mb_s"])
            self.table.add(f"time to encode, {what}, no model / the winners alone", 1.5, ratios, at_most=True, of=geometric_mean)

    def field(self, mib, name="field.npy"):
        """A file of this size, waves and noise, written piece by piece."""
        path = self.folder / name
        rows = mib * (1 << 20) // 4 // (256 * 256)
        y, x = np.mgrid[0:256, 0:256].astype("f4")
        noise = np.random.default_rng(1).normal(size=(256, 256)).astype("f4")
        # Not mapped: the most memory that a child of ours held counts what we held when it began.
        with open(path, "wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (rows, 256, 256)})
            for row in range(rows):
                frame = np.sin(x / 40 + row / 30) * np.cos(y / 30 - row / 50) + 0.3 * np.sin((x + y) / 11)
                file.write((frame + 0.002 * np.roll(noise, row * 7)).astype("<f4").tobytes())
        return path

    def events(self, mib, name):
        """A Parquet table of this size, eight columns in row groups of 4 MiB."""
        path = self.folder / name
        # By another process: the most memory that a child of ours held counts what we held when it began.
        subprocess.run([sys.executable, "-c", EVENTS, path, str(mib // 4)], check=True)
        return path

    def threads(self):
        mib, f = self.mib, self.folder
        flags = ["--abs", "0.01", "--model", "none", "--force"]
        # Enough chunks for two threads.
        chunks = ["--chunk-mib", min(4, mib / 16)]
        names = {mib: "", mib // 2: "half_"}
        for size, name in names.items():
            field = self.field(size, f"{name}field.npy")
            self.baler("compress", field, f / f"{name}field.baler", *flags, *chunks)
            self.baler("convert", field, f / f"{name}field.h5", "--force")
            self.baler("h5", "repack", f / f"{name}field.h5", f / f"{name}small.h5", *flags)
            self.events(size, f"{name}events.parquet")
            encoded = ["parquet", "encode", f / f"{name}events.parquet", f / f"{name}small.parquet"]
            self.baler(*encoded, "--rel", "1e-3", "--force")
        paths = {
            "baler compress to .baler": (["compress"], "field.npy", ".baler", [*flags, *chunks]),
            "baler decompress of .baler": (["decompress"], "field.baler", ".npy", ["--force"]),
            "baler h5 repack": (["h5", "repack"], "field.h5", ".h5", [*flags, "--no-verify"]),
            "baler h5 restore": (["h5", "restore"], "small.h5", ".h5", ["--force"]),
            "baler decompress of HDF5": (["decompress"], "small.h5", ".npy", ["--force"]),
            "baler parquet encode": (["parquet", "encode"], "events.parquet", ".parquet", ["--rel", "1e-3", "--force"]),
            "baler parquet decode": (["parquet", "decode"], "small.parquet", ".parquet", ["--force"]),
        }
        for what, (verb, source, suffix, options) in paths.items():

            def together(threads, *inputs):
                """Seconds until all of these are done, a process each."""
                outputs = [f / f"out{i}{suffix}" for i in range(len(inputs))]
                for output in outputs:
                    # A file that takes another's place is written to the disk at once.
                    output.unlink(missing_ok=True)
                command = [self.bin / "baler", *verb]
                last = [*map(str, options), "--threads", str(threads), "--quiet"]
                start = time.perf_counter()
                running = [
                    subprocess.Popen([*command, i, o, *last], env=self.environment, stdout=subprocess.DEVNULL)
                    for i, o in zip(inputs, outputs)
                ]
                if any([process.wait() for process in running]):
                    raise SystemExit(f"{what}: it failed")
                return time.perf_counter() - start

            # In turn: what else the machine does meets all. Two processes of half the size say what it can give.
            ratios, most = [], []
            for _ in range(self.repeat):
                one, two = (together(n, f / source) for n in (1, 2))
                halves = together(1, *[f / f"half_{source}"] * 2)
                ratios.append(one / two)
                most.append(one / halves)
            about = f"(two processes: {statistics.median(most):.3g}, {min(most):.3g} to {max(most):.3g})"
            self.table.add(f"2 threads / 1, {what}, {mib} MiB", 1.8, ratios, about=about)

    def memory(self):
        chunk = 16 << 20
        ratios = []
        idle = self.baler("models", "list")[1]
        for mib in (64, 256):
            field = self.field(mib)
            for arguments in (
                ["compress", field, self.folder / "m.baler", "--abs", "0.01", "--model", "none", "--force"],
                ["decompress", self.folder / "m.baler", self.folder / "m.npy", "--force"],
            ):
                ratios.append((self.baler(*arguments, "--threads", 1)[1] - idle) / chunk)
        self.table.add("peak memory / chunk (16 MiB), files of 64 and 256 MiB", 6, ratios, at_most=True)

    def plugin(self):
        script = ROOT / "tests/hosts/cold_start.py"
        show = subprocess.run(
            [self.bin / "baler", "models", "show", "autoencoder-field2d", "--json"],
            check=True, capture_output=True, text=True,
        )
        bundle = json.loads(show.stdout)["id"]
        for what, extra in (("no model", []), ("a model", ["--bundle", bundle])):
            command = [sys.executable, script, self.library, "11", *extra]
            text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            times = [float(t) for t in re.search(r"to first decoded chunk \((.*?)\)", text).group(1).split(" to ")]
            middle = float(re.search(r"first decoded chunk ([\d.]+) ms", text).group(1))
            self.table.add(f"plugin: dlopen to first chunk, {what}", 20, [times[0], middle, times[1]], " ms", at_most=True)

    def allocations(self):
        print("allocations per chunk: counted by `cargo test -p baler-tests --test allocations -- --nocapture`")

    def scaling(self):
        print(f"\n{'MiB':>6} {'threads':>7} {'compress s':>11} {'MB/s':>7} {'MiB held':>9} {'decompress s':>13} {'MB/s':>7} {'MiB held':>9}")
        for mib in self.sizes:
            field, small, back = self.field(mib), self.folder / "s.baler", self.folder / "s.npy"
            for threads in (1, 2):
                flags = ["--threads", threads, "--force"]
                effort = ["--abs", "0.01", "--model", "none", "--effort", self.effort]
                times = [
                    self.baler("compress", field, small, *effort, *flags),
                    self.baler("decompress", small, back, *flags),
                ]
                (a, held_a), (b, held_b) = times
                rate = mib * 1.048576
                print(f"{mib:6} {threads:7} {a:11.2f} {rate / a:7.0f} {held_a / 2**20:9.0f} {b:13.2f} {rate / b:7.0f} {held_b / 2**20:9.0f}", flush=True)
            back.unlink()


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.processor())
    wide = next((line for line in lines if line.startswith("flags")), "")
    vectors = [v for v in ("avx512f", "avx2", "fma", "sse2") if v in wide.split()]
    return {"processor": name, "vectors": vectors, "cores": os.cpu_count(), "system": platform.platform()}


def main():
    default = ["inference", "encoders", "fields", "models", "tables", "auction", "threads", "memory", "plugin", "allocations"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", choices=[*default, "scaling", []])
    parser.add_argument("--bin", default=ROOT / "target/release")
    parser.add_argument("--data", default=ROOT.parent / "shared/data")
    parser.add_argument("--sets", default="", help="only sets whose names match this regular expression")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--mib", type=int, default=128, help="size of the file for `threads`")
    parser.add_argument("--sizes", default="1,4,16,64,256")
    parser.add_argument("--effort", default="default", help="of `scaling`")
    parser.add_argument("-o", "--output", help="write the rows here too, as JSON")
    arguments = parser.parse_args()
    about = machine()
    load = os.getloadavg()[0]
    print(f"{about['processor']}, {about['cores']} cores, {', '.join(about['vectors'])}; load {load:.1f} at the beginning")
    with tempfile.TemporaryDirectory() as folder:
        run = Run(arguments, Path(folder))
        for row in arguments.rows or default:
            getattr(run, row)()
    if arguments.output:
        result = {"schema": "baler-speed-1", "machine": about, "load": load, "rows": run.table.rows}
        Path(arguments.output).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
