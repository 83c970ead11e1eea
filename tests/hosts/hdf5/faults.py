#!/usr/bin/env python3
"""Trouble of the machine and of the process: what becomes of files, and of the host. Run as cases.py is.

    faults.py NAME [ARGUMENT...]
"""
import _ctypes
import ctypes
import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cases
import h5py
import numpy as np
from cases import ABS, FILTER, LOSSLESS, FilterClass, broken, check, create, field, same_bits, words


def in_child(body):
    """Runs `body` in a fork; its exit status, 0 if it returned."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
        except BaseException as error:
            print(f"in the child: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def noise(shape, seed=1):
    return np.random.default_rng(seed).normal(0, 1, shape)


# --- the disk -------------------------------------------------------------------------------------------------------


def disk_full(*command):
    """No room for the file: an error, and the input stays. A limit on the size of files stands for the full disk."""

    def no_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    data = noise((200, 2000))
    with h5py.File("in.h5", "w") as file:
        file.create_dataset("d", data=data, chunks=(10, 2000))
    before = digest("in.h5")
    # HDF5 1.10 and 2.0 crash when they close a file that they cannot flush, with GZIP as with us: any failure will do.
    process = subprocess.run([*command, "in.h5", "out.h5"], preexec_fn=no_room, capture_output=True, text=True)
    check(process.returncode != 0, process.stderr)
    check(digest("in.h5") == before, "the input has changed")


def read_only():
    """A file and a folder that may not be written: read as ever, and any writing is an error that changes nothing."""
    data = field((64, 64), "f4")
    os.mkdir("kept")
    with h5py.File("kept/in.h5", "w") as file:
        create(file, "d", data, words(ABS, 0.01))
    before = digest("kept/in.h5")
    os.chmod(".", 0o755), os.chmod("kept", 0o555), os.chmod("kept/in.h5", 0o444)

    def body():
        if os.geteuid() == 0:
            os.setgid(65534), os.setuid(65534)
        with h5py.File("kept/in.h5") as file:
            if broken(data, file["d"][()], ABS, 0.01):
                raise AssertionError("wrong values")
        for name, mode in [("kept/in.h5", "r+"), ("kept/in.h5", "w"), ("kept/new.h5", "w")]:
            try:
                h5py.File(name, mode)
            except OSError:
                continue
            raise AssertionError(f"{name} could be opened to write")

    check(in_child(body) == 0)
    check(digest("kept/in.h5") == before and os.listdir("kept") == ["in.h5"])
    os.chmod("kept", 0o755)


# --- killed ---------------------------------------------------------------------------------------------------------


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def killed_repack(times, *command):
    """h5repack is killed at a random moment: its input is as it was, and what there is of the output is refused or right."""
    data = noise((400, 1000)).cumsum(axis=0)
    with h5py.File("in.h5", "w") as file:
        file.create_dataset("d", data=data, chunks=(10, 1000))
    before = digest("in.h5")
    begin = time.monotonic()
    subprocess.run([*command, "in.h5", "whole.h5"], check=True)
    whole = time.monotonic() - begin
    rng, finished = random.Random(1), 0
    for _ in range(int(times)):
        Path("out.h5").unlink(missing_ok=True)
        process = subprocess.Popen([*command, "in.h5", "out.h5"], stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, 1.3 * whole))
        process.kill()
        process.wait()
        check(digest("in.h5") == before, "the input has changed")
        if not Path("out.h5").exists():
            continue

        def body():
            try:
                with h5py.File("out.h5") as file:
                    back = file["d"][()]
            except (OSError, KeyError):
                return
            if broken(data, back, ABS, 1e-3):
                raise AssertionError("the output of a killed h5repack opens, and holds wrong values")
            os._exit(7)

        status = in_child(body)
        check(status in (0, 7 << 8), status)
        finished += status != 0
    cases.NOTES.append(f"{times} killed, {finished} of them after all was written")


def killed_appends(times):
    """A writer that appends and flushes, killed at random: whatever a reader gets of it is within the bound."""
    rng, rows = random.Random(2), 0
    data = noise((2000, 300)).cumsum(axis=0)

    def write():
        with h5py.File("log.h5", "w", libver="latest") as file:
            dataset = create(file, "d", None, words(ABS, 1e-3), shape=(0, 300), maxshape=(None, 300), chunks=(5, 300),
                             dtype="f8")
            file.swmr_mode = True
            for row in range(0, len(data), 5):
                dataset.resize(row + 5, axis=0)
                dataset[row : row + 5] = data[row : row + 5]
                dataset.flush()

    for _ in range(int(times)):
        Path("log.h5").unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            write()
            os._exit(0)
        time.sleep(rng.uniform(0, 0.4))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        if not Path("log.h5").exists():
            continue
        try:
            with h5py.File("log.h5", "r", libver="latest", swmr=True) as file:
                back = file["d"][()]
        except (OSError, KeyError):
            # Killed before the file was one, or with a chunk half written: said, not crashed.
            check(True)
            continue
        # Rows that exist without their chunk are the fill value, 0.
        written = back.any(axis=1)
        check(not written.any() or broken(data[: len(back)][written], back[written], ABS, 1e-3) == 0)
        rows += int(written.sum())
    check(rows > 0, "no row was ever read")
    cases.NOTES.append(f"{times} killed, {rows} rows read")


# --- the process ----------------------------------------------------------------------------------------------------


def thousands_of_chunks():
    """4096 chunks, written by one and read by eight threads."""
    data = field((4096, 64), "f4")
    with h5py.File("many.h5", "w") as file:
        create(file, "d", data, words(ABS, 0.01), chunks=(1, 64))
    failures = []

    def read(k):
        try:
            with h5py.File("many.h5") as file:
                back = file["d"][k * 512 : (k + 1) * 512]
            check(broken(data[k * 512 : (k + 1) * 512], back, ABS, 0.01) == 0)
        except BaseException as error:
            failures.append(error)

    pool = [threading.Thread(target=read, args=(k,)) for k in range(8)]
    [t.start() for t in pool]
    [t.join() for t in pool]
    check(not failures, failures)


def fork_after_load():
    """Processes forked once the plugin is at work read and write like their parent."""
    data = field((64, 64), "f4")
    with h5py.File("parent.h5", "w") as file:
        create(file, "d", data, words(ABS, 0.01))

    def body(k):
        with h5py.File("parent.h5") as file:
            expected = file["d"][()]
        with h5py.File(f"child{k}.h5", "w") as file:
            create(file, "d", data, words(ABS, 0.01))
        with h5py.File(f"child{k}.h5") as file:
            if not same_bits(file["d"][()], expected):
                raise AssertionError("a child writes other values than its parent")

    for k in range(8):
        check(in_child(lambda: body(k)) == 0)
    with h5py.File("parent.h5") as file:
        check(broken(data, file["d"][()], ABS, 0.01) == 0)


def hdf5_closes_first(path):
    """H5close, which unloads plugins, after the filter was used: it still answers who has a handle, and the process ends as it
    should, through all exit handlers and destructors."""
    here = str(Path(__file__).parent)
    script = "import sys; sys.path.insert(0, sys.argv[1]); import faults; faults.close_hdf5(sys.argv[2])"
    process = subprocess.run([sys.executable, "-c", script, here, path], capture_output=True, text=True)
    check(process.returncode == 0 and process.stdout == "closed\n", (process.returncode, process.stdout, process.stderr))


def close_hdf5(path):
    cases.write_pair("pair.h5")
    with h5py.File("pair.h5") as file:
        file["a"][()]
    entry = entry_of(ctypes.CDLL(path, mode=os.RTLD_LOCAL))
    names = {line.split()[-1] for line in open("/proc/self/maps") if "/libhdf5" in line and "_hl" not in line}
    assert names, "no libhdf5 is loaded"
    for name in names:
        ctypes.CDLL(name).H5close()
    pool = [threading.Thread(target=round_trip, args=(entry,)) for _ in range(4)]
    [t.start() for t in pool]
    [t.join() for t in pool]
    print("closed", flush=True)


def entry_of(library):
    library.H5PLget_plugin_info.restype = ctypes.POINTER(FilterClass)
    return library.H5PLget_plugin_info().contents


def call(entry, flags, request, data):
    """The filter as HDF5 calls it."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
    given = (ctypes.c_uint * len(request))(*request)
    size, buffer = ctypes.c_size_t(len(data)), ctypes.c_void_p(libc.malloc(max(len(data), 1)))
    ctypes.memmove(buffer, data, len(data))
    n = entry.filter(flags, len(request), given, len(data), ctypes.byref(size), ctypes.byref(buffer))
    result = ctypes.string_at(buffer, n)
    libc.free(buffer)
    return result


def round_trip(entry, shape=(64, 64), effort=0):
    data = field(shape, "<f4")
    request = words(ABS, 0.01, effort=effort) + (0, 0, 2 | len(shape) << 16, *shape)
    stream = call(entry, 0, request, data.tobytes())
    back = np.frombuffer(call(entry, 0x100, request, stream), "<f4").reshape(shape)
    check(0 < len(stream) < data.nbytes and broken(data, back, ABS, 0.01) == 0)


def loaded_twice(first, second):
    """Two copies of the plugin in one process, besides the one that HDF5 loads."""
    entries = [entry_of(ctypes.CDLL(path, mode=os.RTLD_LOCAL)) for path in (first, second)]
    for _ in range(3):
        for entry in entries:
            round_trip(entry)
    cases.write_pair("pair.h5")
    with h5py.File("pair.h5") as file:
        check(file["a"][()].any())


def unloaded(path):
    """dlclose, and load again, after work on several threads."""

    def body():
        for _ in range(20):
            library = ctypes.CDLL(path, mode=os.RTLD_LOCAL)
            entry = entry_of(library)
            pool = [threading.Thread(target=round_trip, args=(entry,)) for _ in range(4)]
            [t.start() for t in pool]
            [t.join() for t in pool]
            del entry
            _ctypes.dlclose(library._handle)

    check(in_child(body) == 0)


def low_stack(path):
    """Threads of 64 KiB, as some hosts make them; Python's own frames take their share of it."""

    def body():
        entry = entry_of(ctypes.CDLL(path))
        failures = []

        def work(effort):
            try:
                round_trip(entry, (40, 50), effort)
                round_trip(entry, (3000,), effort)
            except BaseException as error:
                failures.append(error)

        threading.stack_size(64 * 1024)
        for effort in (0, 1, 2):
            thread = threading.Thread(target=work, args=(effort,))
            thread.start()
            thread.join()
        if failures:
            raise failures[0]

    check(in_child(body) == 0)


def wave(begin, end):
    """Values with these places; a period is no power of two, so that no two pieces are alike."""
    return np.sin(np.arange(begin, end, dtype="f8") * 1e-3) * 50


def large_chunk():
    """A chunk of more than 2 GiB, written and read; takes some 12 GiB of memory."""
    n, piece = (1 << 28) + (1 << 17), 1 << 22
    data = np.empty(n, "f8")
    for begin in range(0, n, piece):
        data[begin : begin + piece] = wave(begin, min(begin + piece, n))
    started = time.monotonic()
    with h5py.File("large.h5", "w") as file:
        dataset = create(file, "d", None, words(ABS, 1e-3, effort=1), shape=(n,), chunks=(n,), dtype="f8")
        dataset[:] = data
    written = time.monotonic()
    with h5py.File("large.h5") as file:
        check(file["d"].id.get_num_chunks() == 1 and file["d"].id.get_chunk_info(0).filter_mask == 0)
        data[:] = 0
        file["d"].read_direct(data)
    read = time.monotonic()
    for begin in range(0, n, piece):
        check(broken(wave(begin, min(begin + piece, n)), data[begin : begin + piece], ABS, 1e-3) == 0)
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    cases.NOTES.append(f"{n * 8 / 2**20:.0f} MiB became {Path('large.h5').stat().st_size / 2**20:.0f}; written in "
                       f"{written - started:.0f} s, read in {read - written:.0f}; at most {int(status['VmHWM'].split()[0]) / 2**20:.1f} GiB")


def large_dataset(*repack):
    """More than 4 GiB in chunks of 64 MiB: written, read, and written again by h5repack with a bound of 1e-2."""
    rows, width = 68, 1 << 23

    def compare(name, limit):
        with h5py.File(name) as file:
            check(file["d"].shape == (rows, width))
            for i in range(rows):
                check(broken(wave(i * width, (i + 1) * width), file["d"][i], ABS, limit) == 0, name, i)

    begin = time.monotonic()
    with h5py.File("large.h5", "w") as file:
        dataset = create(file, "d", None, words(ABS, 1e-3, effort=1), shape=(rows, width), chunks=(1, width), dtype="f8")
        for i in range(rows):
            dataset[i] = wave(i * width, (i + 1) * width)
    written = time.monotonic()
    compare("large.h5", 1e-3)
    read = time.monotonic()
    subprocess.run([*repack, "large.h5", "again.h5"], check=True)
    repacked = time.monotonic()
    compare("again.h5", 1.1e-2)
    sizes = [Path(name).stat().st_size / 2**20 for name in ("large.h5", "again.h5")]
    cases.NOTES.append(f"{rows * width * 8 / 2**20:.0f} MiB became {sizes[0]:.0f}, then {sizes[1]:.0f}; written in {written - begin:.0f} s, "
                       f"read and checked in {read - written:.0f}, by h5repack in {repacked - read:.0f}")


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    globals()[name](*arguments)
    for note in cases.NOTES:
        print(note)
    print(f"checks: {cases.N_CHECKS}")
