"""Measures other compressors for `baler bench`, which runs this file and reads one JSON object a line.

    peers.py run JOB.json  measure; JOB.json names the array (.npy), the bounds and the peers
    peers.py list          the peers, and the Python package each needs

Every peer is run for every bound in a process of its own, on one thread: one that crashes or hangs costs nothing but its
own line. Peers whose name ends in -h5 write and read a real file through h5py, in chunks of at most `chunk_mib`; the others
get the whole array (of a table: each column) at once, the best case for their ratio. Peers named q-* are what people do
without an error-bounded compressor: values rounded to a grid of twice the bound, then a lossless one. Integers are given
to lossy peers as floating point, as few of them take any; lossless ones get the type of the file.

Speed is in MB (1e6 bytes) of the array as stored for each second of processor time, median; errors are measured on what
comes back, in float64.
"""

import contextlib
import functools
import importlib.metadata
import importlib.util
import json
import math
import multiprocessing
import os
import signal
import sys
import time

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLOSC_NTHREADS"):
    os.environ.setdefault(_variable, "1")

try:
    import numpy as np
except ImportError:
    np = None

#: Repeats of one measurement stop once they took this many seconds.
PATIENCE_S = 10.0


class NotApplicable(Exception):
    """The peer cannot take this array or this bound."""


# ---- arrays ----------------------------------------------------------------------------------------------------------


class Column:
    """One array to compress: all of it, or one column of a table."""

    def __init__(self, values, columns_bound):
        # In the machine's byte order, in the type of the file: its bytes are what a ratio divides.
        self.stored = np.require(values.astype(values.dtype.newbyteorder("="), copy=False), requirements=["C", "A", "W"])
        kind, size = self.stored.dtype.kind, self.stored.dtype.itemsize
        if kind == "f" and size >= 4:
            self.work = self.stored
        else:
            self.work = self.stored.astype(np.float32 if size <= 2 else np.float64)
        finite = self.work[np.isfinite(self.work)]
        self.range = float(finite.max()) - float(finite.min()) if finite.size else 0.0
        self.size = float(np.abs(finite).max()) if finite.size else 0.0
        self.bound = columns_bound

    def with_bound(self, kind, value, absolute):
        """A column of equal values has no range to be relative to: its own size stands in."""
        other = object.__new__(Column)
        other.__dict__.update(self.__dict__)
        other.bound = None if kind == "lossless" else absolute or value * (self.size or 1.0)
        return other


def columns_of(job):
    values = np.load(job["array"])
    parts = [values[:, i] for i in range(values.shape[1])] if job["columns"] else [values]
    return [Column(part, None) for part in parts]


# ---- rounding to a grid ----------------------------------------------------------------------------------------------


def smallest_unsigned(largest):
    return next(t for t in (np.uint8, np.uint16, np.uint32, np.uint64) if largest <= np.iinfo(t).max)


def rounding(dtype, largest):
    """The most that rounding a value of this size to the type can add to an error."""
    return 0.5 * float(np.spacing(dtype.type(largest)))


class Grid:
    """Unsigned integers, and what turns them back into values within the bound.

    A bound below the resolution of the type leaves nothing to round: the integers are then the bits of the values in
    numeric order.
    """

    HEADER_BYTES = 32  # lowest value, step, number of levels, type: counted in every stream

    def __init__(self, values, bound):
        self.dtype = values.dtype
        finite = np.isfinite(values)
        some = values[finite]
        low, high = (float(some.min()), float(some.max())) if some.size else (0.0, 0.0)
        half = bound - rounding(values.dtype, max(abs(low), abs(high)))
        if half <= 0 or (high - low) / half > 2**52:
            return self._bits(values)
        self.low, self.step = low, 2 * half * (1 - 1e-9)
        self.levels = round((high - low) / self.step) + 1
        scaled = np.where(finite, (values.astype(np.float64) - low) / self.step, 0)
        self.codes = np.rint(scaled).astype(smallest_unsigned(self.levels + 2))
        if not finite.all():
            for offset, special in enumerate((np.isnan(values), np.isposinf(values), np.isneginf(values))):
                self.codes[special] = self.levels + offset

    def _bits(self, values):
        bits = values.view(np.uint32 if values.itemsize == 4 else np.uint64)
        top = bits.dtype.type(1 << (8 * bits.itemsize - 1))
        ordered = np.where(bits & top, ~bits, bits | top)
        self.low, self.step, self.levels = int(ordered.min()), 0.0, 0
        self.codes = (ordered - bits.dtype.type(self.low)).astype(smallest_unsigned(int(ordered.max()) - self.low))

    def take_codes(self):
        """The integers, no longer kept here: the decoder must not have them."""
        codes, self.codes = self.codes, None
        return codes

    def values(self, codes):
        if self.step == 0:
            word = np.uint32 if self.dtype.itemsize == 4 else np.uint64
            ordered = codes.astype(word) + word(self.low)
            top = word(1 << (8 * self.dtype.itemsize - 1))
            return np.where(ordered & top, ordered ^ top, ~ordered).view(self.dtype)
        found = (codes * self.step + self.low).astype(self.dtype)
        if codes.size and int(codes.max()) >= self.levels:
            for offset, special in enumerate((np.nan, np.inf, -np.inf)):
                found[codes == self.levels + offset] = special
        return found


def lorenzo(codes):
    """Differences along every axis, wrapped around, their sign in the lowest bit."""
    for axis in range(codes.ndim):
        previous = np.zeros_like(codes)
        to, of = [slice(None)] * codes.ndim, [slice(None)] * codes.ndim
        to[axis], of[axis] = slice(1, None), slice(None, -1)
        previous[tuple(to)] = codes[tuple(of)]
        codes = codes - previous
    signed = codes.view(codes.dtype.str.replace("u", "i"))
    return ((signed << 1) ^ (signed >> (8 * codes.itemsize - 1))).view(codes.dtype)


def unlorenzo(folded):
    one = folded.dtype.type(1)
    codes = (folded >> one) ^ (~(folded & one) + one)
    for axis in range(codes.ndim):
        codes = np.cumsum(codes, axis=axis, dtype=codes.dtype)
    return codes


# ---- kinds of peers --------------------------------------------------------------------------------------------------


class Peer:
    """compress(columns, job) gives the number of bytes and what decompress needs; both are timed."""

    def __init__(self, name, needs, lossless=False):
        self.name, self.needs, self.lossless = name, needs.split(), lossless

    def missing(self):
        return [package for package in self.needs if importlib.util.find_spec(package) is None]

    def given(self, column):
        return column.stored if self.lossless else column.work


class Memory(Peer):
    """A pair of functions, used column by column: encode(values, bound) -> (bytes, handle), decode(handle, like)."""

    def __init__(self, name, needs, functions, lossless=False):
        super().__init__(name, needs, lossless)
        self.encode, self.decode = functions

    def compress(self, columns, job):
        pairs = [self.encode(self.given(c), c.bound) for c in columns]
        return sum(n for n, _ in pairs), [handle for _, handle in pairs]

    def decompress(self, columns, handles):
        return [self.decode(h, self.given(c)) for h, c in zip(handles, columns)]


class Hdf5(Peer):
    """An HDF5 filter. `ranks`: the fewest and the most axes longer than 1 that its chunks may have."""

    def __init__(self, name, needs, options, lossless=False, grid=False, fold=False, ranks=(1, 32), whole=False):
        super().__init__(name, "h5py " + needs, lossless)
        self.options, self.grid, self.fold, self.ranks, self.whole = options, grid, fold, ranks, whole

    def compress(self, columns, job):
        import h5py

        path = os.path.join(job["scratch"], self.name + ".h5")
        total, grids = 0, []
        with h5py.File(path, "w", libver="latest") as file:
            for i, column in enumerate(columns):
                values, grid = self.given(column), None
                chunk = chunk_shape(values.shape, values.itemsize, job["chunk_mib"] * 2**20, self.ranks[1], self.whole)
                if sum(n > 1 for n in chunk) < self.ranks[0]:
                    raise NotApplicable(f"takes no fewer than {self.ranks[0]} dimensions")
                if self.grid:
                    grid = Grid(values, column.bound)
                    values = lorenzo(grid.take_codes()) if self.fold else grid.take_codes()
                    total += Grid.HEADER_BYTES
                dataset = file.create_dataset(str(i), data=values, chunks=chunk, **self.options(column.bound))
                file.flush()
                total += dataset.id.get_storage_size()
                grids.append(grid)
        return total, (path, grids)

    def decompress(self, columns, handle):
        import h5py

        path, grids = handle
        found = []
        with h5py.File(path, "r") as file:
            for i, grid in enumerate(grids):
                values = file[str(i)][()]
                if grid is not None:
                    values = grid.values(unlorenzo(values) if self.fold else values)
                found.append(values)
        return found


class Ours(Peer):
    """Our own filter, with the parameters the program gives for each bound; a table is one dataset."""

    name, needs, lossless = "baler-h5", ["h5py"], False

    def __init__(self):
        pass

    def compress(self, columns, job):
        import h5py

        path = os.path.join(job["scratch"], self.name + ".h5")
        values = np.stack([c.stored for c in columns], axis=1) if job["columns"] else columns[0].stored
        words = tuple(job["bound"]["cd_values"])
        with h5py.File(path, "w", libver="latest") as file:
            dataset = file.create_dataset(
                "data", data=values, chunks=values.shape, compression=job["filter"], compression_opts=words
            )
            file.flush()
            return dataset.id.get_storage_size(), path

    def decompress(self, columns, path):
        import h5py

        with h5py.File(path, "r") as file:
            values = file["data"][()]
        parts = [values[:, i] for i in range(len(columns))] if values.ndim == 2 and len(columns) > 1 else [values]
        return [part.reshape(c.stored.shape) for part, c in zip(parts, columns)]


def chunk_shape(shape, itemsize, target, most_axes, whole):
    """The longest axis cut, again and again, until a chunk fits in target bytes.

    Slow axes are first cut to 1 until at most `most_axes` are left. With `whole`, chunks tile the array without a rest
    and keep 9 values an axis, as SPERR asks for.
    """
    chunk = list(shape)
    for axis in range(len(chunk)):
        if sum(n > 1 for n in chunk) > most_axes:
            chunk[axis] = 1
    free = {axis for axis, n in enumerate(chunk) if n > 1}
    while math.prod(chunk) * itemsize > target and free:
        axis = max(free, key=lambda a: (chunk[a], -a))
        length = shape[axis]
        parts = -(-length // chunk[axis]) + 1
        while whole and length % parts and length // parts >= 9:
            parts += 1
        if length // parts < (9 if whole else 1):
            free.discard(axis)
        else:
            chunk[axis] = -(-length // parts)
    return tuple(chunk)


def at_most(values, rank):
    """The slowest axes merged until at most `rank` are left."""
    if values.ndim <= rank:
        return values
    return values.reshape((-1,) + values.shape[values.ndim - rank + 1 :])


# ---- a table as one matrix -------------------------------------------------------------------------------------------


def scaled_matrix(columns):
    """Each column divided by its own bound, so that the bound of all is 1."""
    return np.stack([c.work / np.float64(c.bound) for c in columns], axis=1)


def unscaled(columns, matrix):
    return [(matrix[:, i] * c.bound).astype(c.work.dtype) for i, c in enumerate(columns)]


def largest_rounding(columns):
    """What the last rounding to each column's own type can add, over the column's bound."""
    added = max([1e-4] + [rounding(c.work.dtype, c.size) / c.bound for c in columns])
    if added > 0.5:
        raise NotApplicable("a bound is below the resolution of its column's type")
    return added


class Sz3Matrix(Peer):
    """SZ3 on a whole table."""

    def compress(self, columns, job):
        if not job["columns"] or len(columns) < 2:
            raise NotApplicable("takes tables only")
        n, stream = sz3("INTERP_LORENZO")[0](scaled_matrix(columns), 1 - largest_rounding(columns))
        return n + 8 * len(columns), stream

    def decompress(self, columns, stream):
        like = np.empty((columns[0].work.size, len(columns)))
        return unscaled(columns, sz3("INTERP_LORENZO")[1](stream, like))


class Pca(Peer):
    """A linear autoencoder that keeps the bound: principal components, then the residual rounded, then zstd.

    Rows are those of the table, or the first axis of an array. Of a short list of numbers of components the one with the
    fewest bytes is taken.
    """

    COMPONENTS = (0, 1, 2, 4, 8, 16, 32, 64)

    def compress(self, columns, job):
        import zstandard

        if not all(np.isfinite(c.work).all() for c in columns):
            raise NotApplicable("takes finite values only")
        if job["columns"]:
            matrix = scaled_matrix(columns)
        elif columns[0].work.ndim >= 2:
            matrix = columns[0].work.reshape(len(columns[0].work), -1) / np.float64(columns[0].bound)
        else:
            raise NotApplicable("takes no fewer than 2 dimensions")
        if min(matrix.shape) < 2:
            raise NotApplicable("takes no fewer than two rows and two columns")
        mean = matrix.mean(axis=0).astype(np.float32)
        centred = matrix - mean
        if matrix.shape[0] < matrix.shape[1]:
            vectors = np.linalg.eigh(centred @ centred.T)[1][:, ::-1][:, : max(self.COMPONENTS)]
            basis = np.linalg.qr(centred.T @ vectors)[0].T
        else:
            basis = np.linalg.eigh(centred.T @ centred)[1][:, ::-1].T
        # Kept as float32, and the residual taken against what they give back: the bound holds whatever that lost.
        basis = basis.astype(np.float32)
        scores = (centred @ basis.T).astype(np.float32)
        packer, step, best = zstandard.ZstdCompressor(level=9), 2 * (1 - largest_rounding(columns)), None
        for count in self.COMPONENTS:
            if count > min(len(basis), min(matrix.shape) - 1):
                break
            guess = scores[:, :count].astype(np.float64) @ basis[:count] + mean
            residual = np.rint((matrix - guess) / step).astype(np.int64)
            low = int(residual.min())
            kind = np.dtype(smallest_unsigned(int(residual.max()) - low))
            planes = (residual - low).astype(kind).T.copy().view(np.uint8).reshape(-1, kind.itemsize).T
            parts = [packer.compress(np.ascontiguousarray(p)) for p in (mean, basis[:count], scores[:, :count], planes)]
            total = sum(map(len, parts)) + 8 * len(columns) + 24
            if best is None or total < best[0]:
                best = (total, (parts, count, low, kind, step, matrix.shape))
        return best

    def decompress(self, columns, handle):
        import zstandard

        parts, count, low, kind, step, (rows, width) = handle
        unpacker = zstandard.ZstdDecompressor()
        mean, basis, scores, planes = (unpacker.decompress(p) for p in parts)
        mean = np.frombuffer(mean, np.float32)
        basis = np.frombuffer(basis, np.float32).reshape(count, width)
        scores = np.frombuffer(scores, np.float32).reshape(rows, count)
        planes = np.ascontiguousarray(np.frombuffer(planes, np.uint8).reshape(kind.itemsize, -1).T)
        residual = planes.view(kind).reshape(width, rows).T.astype(np.int64) + low
        matrix = scores.astype(np.float64) @ basis + mean + residual * step
        if len(columns) > 1:
            return unscaled(columns, matrix)
        like = columns[0].work
        return [(matrix * columns[0].bound).astype(like.dtype).reshape(like.shape)]


# ---- libraries -------------------------------------------------------------------------------------------------------


def sz3(algorithm):
    def encode(values, bound):
        import pysz

        data = at_most(values, 4)
        config = pysz.szConfig(data.shape)
        config.errorBoundMode, config.absErrorBound = pysz.szErrorBoundMode.ABS, bound
        config.cmprAlgo = getattr(pysz.szAlgorithm, algorithm)
        stream, _ = pysz.sz.compress(data, config)
        return stream.nbytes, stream

    def decode(stream, like):
        import pysz

        return pysz.sz.decompress(stream, like.dtype, at_most(like, 4).shape)[0].reshape(like.shape)

    return encode, decode


def zfp():
    def encode(values, bound):
        import zfpy

        stream = zfpy.compress_numpy(at_most(values, 4), tolerance=bound)
        return len(stream), stream

    def decode(stream, like):
        import zfpy

        return zfpy.decompress_numpy(stream).reshape(like.shape)

    return encode, decode


def pcodec():
    def encode(values, _bound):
        from pcodec import ChunkConfig, standalone

        if values.itemsize == 1:
            values = values.astype(np.uint16 if values.dtype.kind == "u" else np.int16)
        stream = standalone.simple_compress(values.reshape(-1), ChunkConfig())
        return len(stream), stream

    def decode(stream, like):
        from pcodec import standalone

        return standalone.simple_decompress(stream).reshape(like.shape).astype(like.dtype, copy=False)

    return encode, decode


def fpzip():
    def encode(values, _bound):
        import fpzip

        if values.dtype not in (np.float32, np.float64):
            raise NotApplicable("takes float32 and float64 only")
        stream = fpzip.compress(at_most(values, 4), precision=0, order="C")
        return len(stream), stream

    def decode(stream, like):
        import fpzip

        return fpzip.decompress(stream, order="C").reshape(like.shape)

    return encode, decode


def zstd(level):
    def encode(values, _bound):
        import zstandard

        stream = zstandard.ZstdCompressor(level=level).compress(np.ascontiguousarray(values).data)
        return len(stream), stream

    def decode(stream, like):
        import zstandard

        return np.frombuffer(zstandard.ZstdDecompressor().decompress(stream), like.dtype).reshape(like.shape)

    return encode, decode


def blosc2():
    def encode(values, _bound):
        import blosc2 as library

        stream = library.compress2(
            np.ascontiguousarray(values), codec=library.Codec.ZSTD, clevel=9, filters=[library.Filter.BITSHUFFLE],
            typesize=values.itemsize, nthreads=1,
        )  # fmt: skip
        return len(stream), stream

    def decode(stream, like):
        import blosc2 as library

        return np.frombuffer(library.decompress2(stream), like.dtype).reshape(like.shape)

    return encode, decode


def on_grid(pack, unpack, fold=False):
    """A lossless pair of functions, on values rounded to a grid, and with `fold` on their differences."""

    def encode(values, bound):
        grid = Grid(values, bound)
        codes = lorenzo(grid.take_codes()) if fold else grid.take_codes()
        n, stream = pack(codes, None)
        return n + Grid.HEADER_BYTES, (stream, grid, codes.dtype)

    def decode(handle, like):
        stream, grid, dtype = handle
        codes = unpack(stream, np.empty(like.shape, dtype))
        return grid.values(unlorenzo(codes) if fold else codes).reshape(like.shape)

    return encode, decode


def plugin(name, bound_is=None, **fixed):
    """Arguments of create_dataset for a filter of hdf5plugin; `bound_is` names the one that takes the bound."""

    def options(bound):
        import hdf5plugin

        arguments = {**fixed, bound_is: bound} if bound_is else fixed
        return {"compression": getattr(hdf5plugin, name)(**arguments)}

    return options


def plugin_blosc2(_bound):
    import hdf5plugin

    return {"compression": hdf5plugin.Blosc2(cname="zstd", clevel=9, filters=hdf5plugin.Blosc2.BITSHUFFLE)}


def plugin_sperr(bound):
    # Its default takes the axes of a C array the wrong way round, which costs up to a factor of four.
    return plugin("Sperr", "absolute", swap=True)(bound)


#: One line each.
PEERS = [
    Hdf5("sz3-h5", "hdf5plugin", plugin("SZ3", "absolute"), ranks=(1, 4)),
    Memory("sz3", "pysz", sz3("INTERP_LORENZO")),
    Memory("sz3-interp", "pysz", sz3("INTERP")),
    Memory("sz3-lorenzo", "pysz", sz3("LORENZO_REG")),
    Sz3Matrix("sz3-matrix", "pysz"),
    Hdf5("sz2-h5", "hdf5plugin", plugin("SZ", "absolute"), ranks=(1, 4)),
    Hdf5("zfp-h5", "hdf5plugin", plugin("Zfp", "accuracy"), ranks=(1, 4)),
    Memory("zfp", "zfpy", zfp()),
    Hdf5("sperr-h5", "hdf5plugin", plugin_sperr, ranks=(2, 3), whole=True),
    Hdf5("q-blosc2-h5", "hdf5plugin", plugin_blosc2, grid=True),
    Hdf5("q-lorenzo-blosc2-h5", "hdf5plugin", plugin_blosc2, grid=True, fold=True),
    Memory("q-pcodec", "pcodec", on_grid(*pcodec())),
    Memory("q-lorenzo-pcodec", "pcodec", on_grid(*pcodec(), fold=True)),
    Memory("q-zstd19", "zstandard", on_grid(*zstd(19))),
    Pca("pca", "zstandard"),
    Hdf5("bshuf-zstd-h5", "hdf5plugin", plugin("Bitshuffle", cname="zstd"), lossless=True),
    Hdf5("gzip-shuffle-h5", "", lambda _bound: {"compression": "gzip", "shuffle": True}, lossless=True),
    Memory("pcodec", "pcodec", pcodec(), lossless=True),
    Memory("fpzip", "fpzip", fpzip(), lossless=True),
    Memory("zstd19", "zstandard", zstd(19), lossless=True),
    Memory("blosc2", "blosc2", blosc2(), lossless=True),
]

#: What the packages are called where they are installed from.
PACKAGES = ("numpy", "h5py", "hdf5plugin", "pysz", "zfpy", "pcodec", "fpzip", "zstandard", "blosc2")


# ---- measuring -------------------------------------------------------------------------------------------------------


def quality(columns, found, lossless):
    """Errors over all columns, in units of each column's bound and of its range."""
    worst_over_bound, squares, count, non_finite, kept, exact = 0.0, 0.0, 0, 0, True, True
    for column, values in zip(columns, found):
        original = column.work
        if values.shape != original.shape:
            raise RuntimeError(f"shape {values.shape} came back for {original.shape}")
        finite = np.isfinite(original)
        if not finite.all():
            non_finite += int((~finite).sum())
            was, now = original[~finite], values[~finite]
            kept &= bool(((was == now) | (np.isnan(was) & np.isnan(now))).all())
        error = np.abs(values[finite].astype(np.float64) - original[finite].astype(np.float64))
        error = np.where(np.isfinite(error), error, np.inf)
        worst = float(error.max()) if error.size else 0.0
        exact &= worst == 0
        if column.bound:
            worst_over_bound = max(worst_over_bound, worst / column.bound)
        if column.range > 0 and math.isfinite(worst):
            squares += float(np.sum((error / column.range) ** 2))
        elif worst > 0:
            squares = math.inf
        count += error.size
    rmse = math.sqrt(squares / count) if count else 0.0
    return {
        "error_over_bound": None if lossless else min(worst_over_bound, sys.float_info.max),
        "bound_kept": exact if lossless else worst_over_bound <= 1.0,
        "non_finite_kept": kept if non_finite else None,
        "psnr": -20 * math.log10(rmse) if 0 < rmse < math.inf else None,
    }


def timed(repeat, call):
    """Median seconds of processor time, and what the last call gave."""
    seconds = []
    while True:
        start = time.process_time()
        value = call()
        seconds.append(time.process_time() - start)
        if len(seconds) >= repeat or sum(seconds) > PATIENCE_S:
            return sorted(seconds)[len(seconds) // 2], value


def measure(peer, columns, job):
    raw = sum(c.stored.nbytes for c in columns)
    encode_s, (size, handle) = timed(job["repeat"], lambda: peer.compress(columns, job))
    decode_s, found = timed(job["repeat"], lambda: peer.decompress(columns, handle))
    lossless = columns[0].bound is None
    return {
        "status": "ok",
        "bytes": int(size),
        "ratio": raw / size,
        "encode_mb_s": raw / 1e6 / encode_s if encode_s else None,
        "decode_mb_s": raw / 1e6 / decode_s if decode_s else None,
        **quality(columns, found, lossless),
    }


def in_child(work, timeout_s):
    """Runs work in a process of its own, so that its crash or hang stays its own."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def body():
        # Native libraries print to these; the parent's output is read by a program.
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        try:
            sender.send(work())
        except NotApplicable as reason:
            sender.send({"status": "n/a", "why": str(reason)})
        except Exception as problem:  # whatever a library raises is its result
            sender.send({"status": "error", "why": f"{type(problem).__name__}: {problem}"[:300]})

    child = context.Process(target=body)
    child.start()
    sender.close()
    try:
        result = receiver.recv() if receiver.poll(timeout_s) else {"status": "timeout", "why": f"over {timeout_s:g} s"}
    except EOFError:
        child.join()
        code = child.exitcode or 0
        result = {"status": "crash", "why": signal.Signals(-code).name if code < 0 else f"exit code {code}"}
    if result["status"] == "timeout":
        child.kill()
    child.join()
    return result


def say(**line):
    print(json.dumps(line), flush=True)


def run(job):
    chosen = [p for p in PEERS if job["peers"] is None or p.name in job["peers"]]
    if job.get("filter"):
        chosen.insert(0, Ours())
    for package in {package for peer in chosen for package in peer.needs}:
        # Imported before the children are forked: nobody's first timing holds an import.
        with contextlib.suppress(Exception):
            importlib.import_module(package)
    columns = None if np is None else columns_of(job)
    for bound in job["bounds"]:
        named = {"kind": bound["kind"], "value": bound["value"]}
        here = {**job, "bound": bound}
        for peer in chosen:
            if isinstance(peer, Ours):
                if "cd_values" not in bound:
                    continue
            elif peer.lossless != (bound["kind"] == "lossless"):
                continue
            missing = peer.missing() + ([] if np else ["numpy"])
            if missing:
                names = " ".join(sorted(set(missing)))
                say(codec=peer.name, bound=named, status="missing", why=f"python3 -m pip install {names}")
                continue
            bounded = [
                c.with_bound(bound["kind"], bound["value"], a) for c, a in zip(columns, bound["absolute"])
            ]
            work = functools.partial(measure, peer, bounded, here)
            say(codec=peer.name, bound=named, **in_child(work, job["timeout_s"]))


def versions():
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def main(arguments):
    if arguments[:1] == ["run"] and len(arguments) == 2:
        with open(arguments[1]) as file:
            job = json.load(file)
        say(versions=versions())
        run(job)
    elif arguments == ["list"]:
        for peer in PEERS:
            print(f"{peer.name:22}{'lossless' if peer.lossless else 'bounded':10}{' '.join(peer.needs)}")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
