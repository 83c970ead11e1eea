#!/usr/bin/env python3
"""Time from loading the HDF5 plugin to the first decoded chunk, and the plugin's size.

    cold_start.py PLUGIN [RUNS [--bundle ID]]

PLUGIN is the path of libbaler_hdf5.so. Each run is a process of its own: dlopen, the plugin's class, one chunk of
64 x 64 float32 decoded by calling the filter directly; with --bundle, one that this model has made (`latent`), whose
decoder is then read and prepared. Prints medians in milliseconds, and sizes in bytes. Needs nothing but Python, and
binutils' `strip` for the stripped size.
"""
import ctypes
import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time


class FilterClass(ctypes.Structure):
    """H5Z_class2_t."""

    _fields_ = [
        ("version", ctypes.c_int), ("id", ctypes.c_int), ("encoder", ctypes.c_uint), ("decoder", ctypes.c_uint),
        ("name", ctypes.c_char_p), ("can_apply", ctypes.c_void_p), ("set_local", ctypes.c_void_p),
        ("filter", ctypes.CFUNCTYPE(
            ctypes.c_size_t, ctypes.c_uint, ctypes.c_size_t, ctypes.POINTER(ctypes.c_uint), ctypes.c_size_t,
            ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_void_p))),
    ]


# Version 1, bound abs 1e-3, no models; float32, little-endian, rank 2, 64 x 64.
ARRAY = (0, 0, 2 | 2 << 16, 64, 64)
WORDS = (1 | 1 << 8, *struct.unpack("<2I", struct.pack("<d", 1e-3)), 0, 0, 0, 0, *ARRAY)


def words_of(bundle):
    """Version 1, bound latent, the named bundle."""
    return (1 | 5 << 8 | 2 << 20, 0, 0, *struct.unpack("<4I", bytes.fromhex(bundle)[:16]), *ARRAY)


def call(entry, libc, flags, data):
    values = (ctypes.c_uint * len(WORDS))(*WORDS)
    size, buffer = ctypes.c_size_t(len(data)), ctypes.c_void_p(libc.malloc(len(data)))
    ctypes.memmove(buffer, data, len(data))
    n = entry.filter(flags, len(WORDS), values, len(data), ctypes.byref(size), ctypes.byref(buffer))
    return ctypes.string_at(buffer, n)


def load(plugin):
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    start = time.perf_counter()
    library = ctypes.CDLL(plugin)
    loaded = time.perf_counter()
    library.H5PLget_plugin_info.restype = ctypes.POINTER(FilterClass)
    return library.H5PLget_plugin_info().contents, libc, start, loaded


def main():
    global WORDS
    if "--bundle" in sys.argv:
        WORDS = words_of(sys.argv[sys.argv.index("--bundle") + 1])
    model = sys.argv[-2:] if "--bundle" in sys.argv else []
    if sys.argv[1] == "--chunk":
        entry, libc, _, _ = load(sys.argv[2])
        ramp = b"".join(struct.pack("<f", i * 0.01 + (i * 7919 % 101) * 0.003) for i in range(64 * 64))
        sys.stdout.buffer.write(call(entry, libc, 0, ramp))
        return
    if sys.argv[1] == "--decode":
        stream = open(sys.argv[3], "rb").read()
        entry, libc, start, loaded = load(sys.argv[2])
        n = len(call(entry, libc, 0x100, stream))
        first = time.perf_counter()
        assert n == 64 * 64 * 4, n
        call(entry, libc, 0x100, stream)
        second = time.perf_counter()
        print(loaded - start, first - start, second - first)
        return
    plugin, runs = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20
    with tempfile.TemporaryDirectory() as folder:
        chunk = os.path.join(folder, "chunk")
        with open(chunk, "wb") as file:
            subprocess.run([sys.executable, __file__, "--chunk", plugin, *model], stdout=file, check=True)
        command = [sys.executable, __file__, "--decode", plugin, chunk, *model]
        times = [subprocess.run(command, check=True, capture_output=True).stdout.split() for _ in range(runs)]
        firsts = sorted(1e3 * float(t[1]) for t in times)
        load_ms, first_ms, next_ms = (1e3 * statistics.median(float(t[i]) for t in times) for i in range(3))
        print(f"dlopen {load_ms:.2f} ms; dlopen to first decoded chunk {first_ms:.2f} ms; next chunk {next_ms:.3f} ms "
              f"(64 x 64 float32, median of {runs} processes; to first decoded chunk ({firsts[0]:.2f} to {firsts[-1]:.2f}))")
        if shutil.which("strip"):
            stripped = os.path.join(folder, "stripped.so")
            subprocess.run(["strip", "-o", stripped, plugin], check=True)
            print(f"plugin {os.path.getsize(plugin)} bytes, stripped {os.path.getsize(stripped)} bytes")


if __name__ == "__main__":
    main()
