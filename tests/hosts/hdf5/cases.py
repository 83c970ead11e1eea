#!/usr/bin/env python3
"""What h5py and numpy say about files written through the Baler filter.

    cases.py NAME [ARGUMENT...]

runs the function of that name in the current folder, which it may fill with files. The plugin is found through
HDF5_PLUGIN_PATH. The last line of the output is `checks: N`, the number of things that were compared; anything wrong
is an uncaught exception. Nothing of Baler is imported: words and bounds are worked out here a second time.
"""
import ctypes
import itertools
import struct
import sys
import threading

import h5py
import numpy as np

FILTER = 47646
LOSSLESS, ABS, REL, PW_REL, PSNR, LATENT = range(6)
FLOATS = ["f2", "f4", "f8"]
INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
N_CHECKS = 0
NOTES = []


def check(condition, *what):
    global N_CHECKS
    N_CHECKS += 1
    if not condition:
        raise AssertionError(" ".join(str(w) for w in what))


def words(kind, value=0.0, model="none", embed=False, check_decode=False, effort=0):
    """cd_values as docs/hdf5.md lays them out."""
    choice = {"none": 0, "auto": 1}.get(model, 2)
    head = 1 | kind << 8 | embed << 17 | check_decode << 18 | choice << 20 | effort << 22
    bundle = bytes.fromhex(model) if choice == 2 else bytes(16)
    return (head, *struct.unpack("<2I", struct.pack("<d", value)), *struct.unpack("<4I", bundle))


def create(file, name, data=None, request=None, **keywords):
    return file.create_dataset(name, data=data, compression=FILTER, compression_opts=request, **keywords)


def field(shape, dtype, seed=1):
    """Smooth with some noise, scaled to suit the type."""
    rng = np.random.default_rng(seed)
    grids = np.meshgrid(*(np.linspace(0, 4, n) for n in shape), indexing="ij")
    values = sum(np.sin((i + 1.3) * g) for i, g in enumerate(grids)) + rng.normal(0, 0.01, shape)
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return (values * 40 + 7).astype(dtype)
    info = np.iinfo(dtype)
    low, high = values.min(), max(values.max(), values.min() + 1)
    scaled = (values - low) / (high - low) * min(200, info.max)
    return (scaled + (0 if dtype.kind == "u" else -100)).astype(dtype)


def bits(array):
    return np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")


def same_bits(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and (bits(a) == bits(b)).all()


def chunks_of(array, chunk):
    for start in itertools.product(*(range(0, n, c) for n, c in zip(array.shape, chunk))):
        yield array[tuple(slice(s, s + c) for s, c in zip(start, chunk))]


def broken(original, decoded, kind, value, chunk=None):
    """Number of values outside the bound, reckoned in extended precision."""
    if kind == LOSSLESS:
        return int((bits(original) != bits(decoded)).sum())
    wide = np.longdouble if original.dtype.kind == "f" else object
    n_broken = 0
    pairs = zip(chunks_of(original, chunk), chunks_of(decoded, chunk)) if chunk else [(original, decoded)]
    for a, b in pairs:
        if wide is object:
            a, b = a.astype(np.int64).astype(object), b.astype(np.int64).astype(object)
        else:
            a, b = a.astype(wide), b.astype(wide)
        error = abs(a - b)
        span = a.max() - a.min()
        if kind == PSNR:
            mean_square = float((error**2).mean())
            n_broken += mean_square > 0 and 20 * np.log10(float(span)) - 10 * np.log10(mean_square) < value - 1e-9
        else:
            limit = {ABS: value, REL: value * span, PW_REL: value * abs(a)}[kind]
            n_broken += int((error > limit).sum())
    return n_broken


def refused(name, *parts, **keywords):
    """Creating a dataset must fail, with a message that has these parts."""
    with h5py.File("refused.h5", "w") as file:
        try:
            create(file, name, **keywords)
        except (ValueError, RuntimeError, OSError) as error:
            for part in parts:
                check(part in str(error), f"{name}: `{part}` is not in: {error}")
            check(name not in file, name, "exists after the refusal")
            return
    raise AssertionError(f"{name}: created, though it should have been refused")


def fails(path, name, *parts):
    """Reading a dataset must fail, with a message that has these parts."""
    with h5py.File(path) as file:
        try:
            file[name][()]
        except OSError as error:
            for part in parts:
                check(part in str(error), f"`{part}` is not in: {error}")
            return str(error)
    raise AssertionError(f"{path}: {name} was read, though it should not be possible")


# --- values ---------------------------------------------------------------------------------------------------------


def element_types():
    """Every type in both byte orders under every bound, with chunks that stick out at two edges."""
    shape, chunk = (37, 53), (16, 20)
    for kind, value in [(LOSSLESS, 0), (ABS, 0.25), (REL, 1e-2), (PW_REL, 1e-2), (PSNR, 60.0)]:
        for code in FLOATS + INTEGERS:
            for order in "<>":
                data = field(shape, code).astype(np.dtype(order + code))
                with h5py.File("types.h5", "w") as file:
                    create(file, "d", data, words(kind, value, effort=1), chunks=chunk)
                with h5py.File("types.h5") as file:
                    back = file["d"][()]
                    # numpy writes the order of one-byte types and of its own machine in its own way
                    check(file["d"].dtype == data.dtype, file["d"].dtype, data.dtype)
                    check(sum(file["d"].id.get_chunk_info(i).filter_mask for i in range(9)) == 0 or code[1] == "1")
                bad = broken(data, back, kind, value, chunk)
                check(bad == 0, f"bound {kind} {value} of {order}{code}: {bad} values are outside")


def special_values():
    """NaN with its payload, infinities, -0.0, subnormals and a fill value come back bit for bit."""
    nan = {
        "f2": [0x7E01, 0xFE00, 0x7D55],
        "f4": [0x7FC12345, 0xFFC00001, 0x7FA00001],
        "f8": [0x7FF8000012345678, 0xFFF8000000000001, 0x7FF4000000000001],
    }
    for code, order, (kind, value) in itertools.product(
        FLOATS, "<>", [(LOSSLESS, 0), (ABS, 0.1), (REL, 1e-2), (PW_REL, 1e-2), (PSNR, 50.0)]
    ):
        dtype, raw = np.dtype(order + code), np.dtype(f"{order}u{code[1]}")
        data = field((64, 48), code).astype(dtype)
        fill = np.array(-9999.0, dtype)
        data[10:20, 5:40] = fill
        data[0, :4] = [np.inf, -np.inf, 0.0, -0.0]
        data.view(raw)[1, :3] = nan[code]
        data.view(raw)[2, :3] = [1, 2, 3]  # the smallest subnormals
        with h5py.File("special.h5", "w") as file:
            create(file, "d", data, words(kind, value), chunks=data.shape, fillvalue=fill)
        with h5py.File("special.h5") as file:
            back = file["d"][()]
            check(file["d"].fillvalue == fill)
        exact = ~np.isfinite(data) | (data == fill)
        exact[0, 3] = True
        if kind == PW_REL:
            exact |= data == 0
        check((bits(data) == bits(back))[exact].all(), f"{order}{code}, bound {kind}: special values changed")
        rest = ~exact
        check(broken(data[rest], back[rest], kind, value) == 0, f"{order}{code}: bound {kind} broken")


def ranks():
    """1 to 12 axes; more than ten are merged for the cd_values; chunks stick out at every edge that is odd."""
    for rank in range(1, 13):
        shape = (3,) * rank if rank < 7 else (3, 3) + (2,) * (rank - 2)
        data = field(shape, "f4")
        with h5py.File("ranks.h5", "w") as file:
            create(file, "d", data, words(ABS, 0.1), chunks=(2,) * rank)
        with h5py.File("ranks.h5") as file:
            check(broken(data, file["d"][()], ABS, 0.1) == 0, "rank", rank)
            stored = file["d"]._filters[str(FILTER)]
            check(len(stored) == 10 + min(rank, 10), "rank", rank, "stored as", stored)
            check(stored[10] == 2 ** max(1, rank - 9))


def growing():
    """What a dataset grows into is the fill value, exactly, though a lossy chunk lay there already."""
    for keywords, fill in [({}, 0.0), ({"fillvalue": -9.5}, -9.5)]:
        data = field((100,), "f4") + 300
        with h5py.File("growing.h5", "w") as file:
            create(file, "d", data, words(REL, 1e-2), chunks=(64,), maxshape=(None,), **keywords)
        with h5py.File("growing.h5", "r+") as file:
            file["d"].resize((200,))
        with h5py.File("growing.h5") as file:
            back = file["d"][()]
        check((back[100:] == np.float32(fill)).all(), "grown into", back[100:128])
        # The padding of the last chunk must not widen the range that the bound is a share of.
        check(broken(data[64:], back[64:100], REL, 1e-2) == 0, "the range includes padding")
    # Zeros of the data are values: not exact where the bound allows for more, and part of the range.
    data = field((100, 70), "f4") + 300
    data[::3, ::5] = 0
    with h5py.File("planes.h5", "w") as file:
        create(file, "d", data, words(REL, 1e-2), chunks=(64, 48), maxshape=(None, None))
    with h5py.File("planes.h5", "r+") as file:
        file["d"].resize((128, 96))
    with h5py.File("planes.h5") as file:
        back = file["d"][()]
    check((back[100:] == 0).all() and (back[:, 70:] == 0).all(), "grown into", back[100:, 70:])
    check(broken(data, back[:100, :70], REL, 1e-2, (64, 48)) == 0, "the bound")
    error = abs(back[64:100, 48:70].astype("f8") - data[64:, 48:])
    check(error.max() > 1.0, "zeros do not count in the range of 300: the largest error is", error.max())


def small():
    """One value, one byte, constants, empty datasets."""
    cases = {
        "one": np.array([3.5]),
        "byte": np.array([7], "u1"),
        "constant": np.full((50, 60), 2.5, "f4"),
        "all nan": np.full((50, 60), np.nan, "f4"),
        "zeros": np.zeros((4, 5, 6)),
        "extremes": np.array([1.7e308, -1.7e308, 5e-324, 0.0] * 64),
        "int extremes": np.array([-(2**63), 2**63 - 1, 0, -1] * 64),
    }
    with h5py.File("small.h5", "w") as file:
        for name, data in cases.items():
            for kind, value in [(LOSSLESS, 0.0), (ABS, 1e-3), (REL, 1e-3), (PW_REL, 1e-3)]:
                create(file, f"{name} {kind}", data, words(kind, value), chunks=data.shape)
        create(file, "empty", request=words(ABS, 1.0), shape=(0, 5), dtype="f4", chunks=(4, 5), maxshape=(None, 5))
        create(file, "unwritten", request=words(ABS, 1.0), shape=(9, 5), dtype="f4", chunks=(4, 5), fillvalue=2.0)
    with h5py.File("small.h5") as file:
        for name, data in cases.items():
            for kind, value in [(LOSSLESS, 0.0), (ABS, 1e-3), (REL, 1e-3), (PW_REL, 1e-3)]:
                back = file[f"{name} {kind}"][()]
                finite = np.isfinite(data)
                check((bits(back) == bits(data))[~finite].all())
                if finite.any() and name != "int extremes":
                    check(broken(data[finite], back[finite], kind, value) == 0, name, kind)
                elif name == "int extremes" and kind in (LOSSLESS, ABS):
                    check((back == data).all(), name, kind)
        check(file["empty"][()].shape == (0, 5))
        check((file["unwritten"][()] == 2.0).all())


# --- requests -------------------------------------------------------------------------------------------------------


def refusals():
    """What cannot be done is refused when the dataset is created, and the message says why."""
    data, good = np.arange(64.0), words(ABS, 0.1)
    for value in [0.0, -1.0, float("nan"), float("inf"), float("-inf")]:
        for kind in [ABS, REL, PW_REL, PSNR]:
            refused("bound", "expected a finite number above 0", data=data, request=words(kind, value))
    refused("rel 1", "below 1", data=data, request=words(REL, 1.0))
    refused("kind", "bound kind 9 is unknown", data=data, request=words(9, 1.0))
    refused("version", "version 7", data=data, request=(7,))
    refused("flags", "flags unknown", data=data, request=(0x80000001,))
    refused("too many", "at most 20", data=data, request=good + (0,) * 20)
    refused("latent", "needs a model", data=data, request=words(LATENT))
    supported = "supported are IEEE float16"
    for name, dtype, part in [
        ("compound", [("x", "f4"), ("n", "i4")], "compounds"),
        ("complex", "c8", "compounds"),
        ("bool", "?", "enumerations"),
        ("string", "S7", "strings of 7 bytes"),
        ("long double", "g", "floats of 16 bytes with 80 significant bits"),
        ("opaque", "V5", "opaque of 5 bytes"),
        ("array", ("f4", (3,)), "arrays of 12 bytes"),
        ("reference", h5py.ref_dtype, "references"),
    ]:
        refused(name, part, supported, shape=(8,), dtype=dtype, chunks=(8,), request=good)
    t = h5py.h5t.IEEE_F32LE.copy()
    t.set_fields(15, 7, 8, 0, 7)
    t.set_precision(16)
    t.set_size(2)
    t.set_ebias(127)
    low_level("bfloat16", t, good, "not IEEE 754", "8 exponent bits, 7 mantissa bits")
    t = h5py.h5t.STD_I16LE.copy()
    t.set_precision(12)
    low_level("12 bits", t, good, "12 significant bits")
    t = h5py.h5t.STD_I32LE.copy()
    t.set_precision(24)
    t.set_size(3)
    low_level("3 bytes", t, good, "integers of 3 bytes")
    for shape in [(1 << 33,), (1 << 17, 1 << 16)]:
        # HDF5 before 2.0 has its own words for it.
        with h5py.File("refused.h5", "w") as file:
            try:
                create(file, "huge", request=good, shape=shape, chunks=shape, dtype="u1")
            except ValueError as error:
                check(any(part in str(error) for part in ("choose smaller chunks", "4GB", "2^32")), error)
            else:
                check(False, f"a chunk of {shape} bytes was created")
    refused("shuffle", "shuffle", "must be the first", data=data, request=good, shuffle=True)
    refused("unknown model", "0f" * 16, "BALER_MODEL_PATH", "/_baler/models of refused.h5", data=data,
            request=words(ABS, 0.1, model="0f" * 16))


def low_level(name, type_id, request, *parts):
    with h5py.File("refused.h5", "w") as file:
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((8,))
        plist.set_filter(FILTER, h5py.h5z.FLAG_OPTIONAL, request)
        try:
            h5py.h5d.create(file.id, b"d", type_id, h5py.h5s.create_simple((8,)), plist)
        except (ValueError, RuntimeError) as error:
            for part in parts:
                check(part in str(error), f"{name}: `{part}` is not in: {error}")
            return
    raise AssertionError(f"{name}: created, though it should have been refused")


def other_filters():
    """Filters after ours do no harm; the bare filter id means lossless."""
    data = field((64, 64), "f4")
    with h5py.File("others.h5", "w") as file:
        create(file, "fletcher", data, words(ABS, 0.1), fletcher32=True)
        create(file, "bare", data)
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((32, 32))
        plist.set_filter(FILTER, h5py.h5z.FLAG_MANDATORY, words(ABS, 0.1))
        plist.set_deflate(4)
        d = h5py.h5d.create(file.id, b"deflate", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((64, 64)), plist)
        h5py.Dataset(d)[...] = data
    with h5py.File("others.h5") as file:
        check(broken(data, file["fletcher"][()], ABS, 0.1) == 0)
        check(broken(data, file["deflate"][()], ABS, 0.1) == 0)
        check(same_bits(data, file["bare"][()]))
        for name in file:
            # Only that it does not fail: h5py gives None for filters whose names it does not know.
            file[name].compression_opts
            check(str(FILTER) in file[name]._filters)


def incompressible():
    """Noise: an optional filter leaves the chunk as it is, a mandatory one wraps it in a few bytes."""
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 2**64, (64, 64), dtype="u8")
    sizes = {}
    for flag in (h5py.h5z.FLAG_OPTIONAL, h5py.h5z.FLAG_MANDATORY):
        with h5py.File("noise.h5", "w") as file:
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk(noise.shape)
            plist.set_filter(FILTER, flag, words(LOSSLESS))
            space = h5py.h5s.create_simple(noise.shape)
            h5py.Dataset(h5py.h5d.create(file.id, b"d", h5py.h5t.STD_U64LE, space, plist))[...] = noise
        with h5py.File("noise.h5") as file:
            info = file["d"].id.get_chunk_info(0)
            check(same_bits(noise, file["d"][()]))
            sizes[flag] = (info.size, info.filter_mask)
    check(sizes[h5py.h5z.FLAG_OPTIONAL] == (noise.nbytes, 1), sizes)
    size, mask = sizes[h5py.h5z.FLAG_MANDATORY]
    check(mask == 0 and noise.nbytes < size <= noise.nbytes + 256, sizes)
    NOTES.append(f"mandatory filter on noise: {size - noise.nbytes} bytes more than the chunk")


# --- damage ---------------------------------------------------------------------------------------------------------


def damaged_chunks(model=None, data_file=None):
    """Chunks of several candidates, each as (name, data, request)."""
    rng = np.random.default_rng(11)
    smooth = field((24, 20), "f4")
    yield "smooth", smooth, words(ABS, 0.05)
    yield "lossless", smooth, words(LOSSLESS)
    special = smooth.copy()
    special[3:9, 2:8] = np.nan
    special[12, 3] = np.inf
    yield "nan", special, words(REL, 1e-2)
    yield "constant", np.full((24, 20), 3.25, ">f8"), words(ABS, 0.1)
    yield "integers", rng.poisson(3, (24, 20)).astype("u2"), words(LOSSLESS)
    yield "noise", rng.integers(0, 256, (12, 20), dtype="u1"), words(LOSSLESS)
    if model:
        tiles = np.fromfile(data_file, "<f4").reshape(-1, 8, 8)[:4]
        yield "model", tiles, words(REL, 1e-3, model=model)


def attack(damage):
    """Every stream that `damage` makes of each chunk must give an error; counts them."""
    arguments = sys.argv[2:]
    total = 0
    for name, data, request in damaged_chunks(*arguments):
        with h5py.File("damage.h5", "w") as file:
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk(data.shape)
            plist.set_filter(FILTER, h5py.h5z.FLAG_MANDATORY, request)
            space = h5py.h5s.create_simple(data.shape)
            h5py.Dataset(
                h5py.h5d.create(file.id, b"d", h5py.h5t.py_create(data.dtype), space, plist)
            )[...] = data
        # No chunk cache: each read goes through the filter.
        with h5py.File("damage.h5", "r+", rdcc_nbytes=0) as file:
            dataset = file["d"]
            start = (0,) * data.ndim
            mask, whole = dataset.id.read_direct_chunk(start)
            check(mask == 0)
            good = dataset[()]
            n_errors = n_wrong = n_harmless = 0
            for stream in damage(whole):
                if stream == whole:
                    continue
                dataset.id.write_direct_chunk(start, stream, 0)
                try:
                    back = dataset[()]
                except OSError as error:
                    check("Baler filter, reading a chunk" in str(error), error)
                    n_errors += 1
                else:
                    n_harmless += same_bits(good, back)
                    n_wrong += not same_bits(good, back)
            dataset.id.write_direct_chunk(start, whole, 0)
            check(same_bits(dataset[()], good), "the whole chunk is no longer read")
        NOTES.append(
            f"{name} ({len(whole)} bytes): {n_errors} errors, {n_wrong} wrong values, {n_harmless} without effect"
        )
        check(n_errors > 0 and n_wrong == 0 and n_harmless == 0, NOTES[-1])
        total += n_errors
    global N_CHECKS
    N_CHECKS = total


def flipped_bits():
    """Every bit of a chunk, one at a time."""

    def flips(whole):
        for i in range(8 * len(whole)):
            stream = bytearray(whole)
            stream[i // 8] ^= 1 << i % 8
            yield bytes(stream)

    attack(flips)


def cut_chunks():
    """A chunk cut at every length; and with bytes added."""

    def cuts(whole):
        yield from (whole[:n] for n in range(1, len(whole)))
        yield from (whole + bytes(n) for n in (1, 2, 7, 8, 64))

    attack(cuts)


def noise_chunks():
    """Noise instead of a chunk; and behind its first bytes, so that it gets further."""
    rng = np.random.default_rng(13)

    def noise(whole):
        for i in range(300):
            n = int(rng.integers(1, 2 * len(whole)))
            yield rng.integers(0, 256, n, dtype=np.uint8).tobytes()
        for i in range(300):
            keep = int(rng.integers(1, len(whole)))
            yield whole[:keep] + rng.integers(0, 256, len(whole) - keep, dtype=np.uint8).tobytes()
        yield bytes(len(whole))
        yield b"\xff" * len(whole)

    attack(noise)


def foreign_chunks():
    """A sound chunk of another dataset: refused where type, byte order or size differ."""
    kinds = {
        "f4": (np.float32, (24, 20)),
        "f8": (np.float64, (24, 20)),
        "big": (">f4", (24, 20)),
        "i4": (np.int32, (24, 20)),
        "larger": (np.float32, (24, 40)),
        "smaller": (np.float32, (12, 20)),
    }
    streams = {}
    with h5py.File("foreign.h5", "w", rdcc_nbytes=0) as file:
        for name, (dtype, shape) in kinds.items():
            dataset = create(file, name, field(shape, np.dtype(dtype)), words(ABS, 0.1), chunks=shape)
            file.flush()
            mask, streams[name] = dataset.id.read_direct_chunk((0, 0))
            check(mask == 0)
        for name, other in itertools.permutations(kinds, 2):
            file[name].id.write_direct_chunk((0, 0), streams[other], 0)
            try:
                file[name][()]
            except OSError as error:
                check("reading a chunk" in str(error), error)
            else:
                raise AssertionError(f"a chunk of {other} was read as {name}")


# --- programs -------------------------------------------------------------------------------------------------------


def threads():
    """Eight threads read the same file, each through its own handle and through a shared one."""
    n = 8
    data = field((n * 64, 256), "f4")
    with h5py.File("threads.h5", "w") as file:
        create(file, "d", data, words(ABS, 0.01), chunks=(16, 256))
    with h5py.File("threads.h5") as file:
        expected = file["d"][()]
    failures, done = [], []

    def read(shared, index):
        try:
            for repeat in range(4):
                with h5py.File("threads.h5") as own:
                    for file in (own, shared):
                        rows = slice(index * 64, index * 64 + 64)
                        if not same_bits(file["d"][rows], expected[rows]):
                            raise AssertionError(f"thread {index} reads other values")
                        done.append(index)
        except BaseException as error:
            failures.append(error)

    with h5py.File("threads.h5", rdcc_nbytes=0) as shared:
        pool = [threading.Thread(target=read, args=(shared, i)) for i in range(n)]
        [t.start() for t in pool]
        [t.join() for t in pool]
    check(not failures, failures)
    for _ in done:
        check(True)
    check(len(done) == n * 8, len(done))


class FilterClass(ctypes.Structure):
    """H5Z_class2_t."""

    _fields_ = [
        ("version", ctypes.c_int),
        ("id", ctypes.c_int),
        ("encoder_present", ctypes.c_uint),
        ("decoder_present", ctypes.c_uint),
        ("name", ctypes.c_char_p),
        ("can_apply", ctypes.c_void_p),
        ("set_local", ctypes.c_void_p),
        ("filter", ctypes.CFUNCTYPE(
            ctypes.c_size_t, ctypes.c_uint, ctypes.c_size_t, ctypes.POINTER(ctypes.c_uint), ctypes.c_size_t,
            ctypes.POINTER(ctypes.c_size_t), ctypes.POINTER(ctypes.c_void_p))),
    ]


def direct(plugin):
    """The filter called from eight threads at once without any HDF5, as a caller with no API of its own would."""
    library, libc = ctypes.CDLL(plugin), ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    library.H5PLget_plugin_info.restype = ctypes.POINTER(FilterClass)
    check(library.H5PLget_plugin_type() == 0)
    entry = library.H5PLget_plugin_info().contents
    check((entry.version, entry.id, entry.encoder_present, entry.decoder_present) == (1, FILTER, 1, 1))
    check(entry.name.startswith(b"baler: error-bounded compression with pretrained models"))

    def call(flags, request, data):
        values = (ctypes.c_uint * len(request))(*request)
        size, buffer = ctypes.c_size_t(len(data)), ctypes.c_void_p(libc.malloc(max(len(data), 1)))
        ctypes.memmove(buffer, data, len(data))
        n = entry.filter(flags, len(request), values, len(data), ctypes.byref(size), ctypes.byref(buffer))
        result = ctypes.string_at(buffer, n)
        libc.free(buffer)
        return result

    shape = (64, 64)
    request = words(ABS, 0.01) + (0, 0, 2 | 2 << 16, *shape)
    failures = []

    def work(seed):
        try:
            for i in range(20):
                data = field(shape, "<f4", seed * 100 + i)
                stream = call(0, request, data.tobytes())
                check(0 < len(stream) < data.nbytes)
                back = np.frombuffer(call(0x100, request, stream), "<f4").reshape(shape)
                check(broken(data, back, ABS, 0.01) == 0)
                check(call(0x100, request, stream[:-1]) == b"")
                check(call(0x100, (), stream) == back.tobytes())
                check(call(0, request, data.tobytes()[:-4]) == b"")
                check(call(0, (), data.tobytes()) == b"")
                check(call(0x100, request, b"") == b"")
        except BaseException as error:
            failures.append(error)

    pool = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    [t.start() for t in pool]
    [t.join() for t in pool]
    check(not failures, failures)


def two_libraries(system_library, path):
    """h5py's HDF5 and the system's in one process, in turns and both orders; each must be asked about its own."""
    with h5py.File(path) as file:
        expected = {name: file[name][()] for name in ("a", "b")}
    h5 = ctypes.CDLL(system_library)
    for function in ("H5Fopen", "H5Fcreate", "H5Dopen2", "H5Pcreate", "H5Screate_simple", "H5Dcreate2"):
        getattr(h5, function).restype = ctypes.c_int64
    h5.H5open()
    i64, type_id = ctypes.c_int64, lambda name: ctypes.c_int64(ctypes.c_int64.in_dll(h5, name).value)
    for turn in range(3):
        own = h5py.File(f"two_{turn}.h5", "w")
        system = i64(h5.H5Fcreate(f"two_system_{turn}.h5".encode(), 2, i64(0), i64(0)))
        check(system.value >= 0)
        # Written by both, with a file of each open for writing.
        data = np.ascontiguousarray(expected["a"] + np.float32(turn))
        dims = (ctypes.c_uint64 * 2)(*data.shape)
        dcpl = i64(h5.H5Pcreate(type_id("H5P_CLS_DATASET_CREATE_ID_g")))
        request = words(LOSSLESS)
        check(h5.H5Pset_chunk(dcpl, 2, dims) >= 0)
        check(h5.H5Pset_filter(dcpl, FILTER, 0, len(request), (ctypes.c_uint * 7)(*request)) >= 0)
        space = i64(h5.H5Screate_simple(2, dims, None))
        created = h5.H5Dcreate2(system, b"d", type_id("H5T_IEEE_F32LE_g"), space, i64(0), dcpl, i64(0))
        check(created >= 0, "the system's library could not create a dataset")
        pointer = data.ctypes.data_as(ctypes.c_void_p)
        create(own, "d", data, request, chunks=data.shape)
        check(h5.H5Dwrite(i64(created), type_id("H5T_NATIVE_FLOAT_g"), i64(0), i64(0), i64(0), pointer) >= 0)
        check(h5.H5Dclose(i64(created)) >= 0 and h5.H5Fclose(system) >= 0)
        own.close()
        # Each read by the other.
        with h5py.File(f"two_system_{turn}.h5") as file:
            check(same_bits(file["d"][()], data))
        file = i64(h5.H5Fopen(f"two_{turn}.h5".encode(), 0, i64(0)))
        dataset = i64(h5.H5Dopen2(file, b"d", i64(0)))
        back = np.zeros_like(data)
        pointer = back.ctypes.data_as(ctypes.c_void_p)
        check(h5.H5Dread(dataset, type_id("H5T_NATIVE_FLOAT_g"), i64(0), i64(0), i64(0), pointer) >= 0)
        check(same_bits(back, data))
        check(h5.H5Dclose(dataset) >= 0 and h5.H5Fclose(file) >= 0)
        # And a refusal reaches the right error stack.
        refused("bound", "expected a finite number above 0", data=np.arange(4.0), request=words(ABS, -1.0))


def write_pair(path):
    """A file for other programs: two datasets."""
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        create(file, "a", field((64, 48), "<f4"), words(ABS, 0.01), chunks=(64, 48))
        create(file, "b", field((30, 31), ">f8", 3), words(REL, 1e-3), chunks=(16, 16), fillvalue=-1.0)
    check(True)


def dump(path, dataset, target):
    """The dataset's bytes, in its own type, to a file."""
    with h5py.File(path) as file:
        data = file[dataset][()]
    data.tofile(target)
    check(data.size > 0)


def within(path, dataset, original, original_dataset, kind, value):
    """The bound holds between two files."""
    with h5py.File(original) as file:
        a = file[original_dataset][()]
    with h5py.File(path) as file:
        b = file[dataset][()]
    check(a.dtype == b.dtype, a.dtype, b.dtype)
    check(broken(a, b, int(kind), float(value)) == 0, "outside the bound")


def spoil_chunk(path, dataset):
    """Flips a bit in a dataset's first chunk."""
    with h5py.File(path, "r+") as file:
        start = (0,) * file[dataset].ndim
        mask, stream = file[dataset].id.read_direct_chunk(start)
        stream = bytearray(stream)
        stream[len(stream) // 2] ^= 1
        file[dataset].id.write_direct_chunk(start, bytes(stream), mask)
    check(True)


def sources(path):
    """A file as programs write them: datasets of many kinds, not all of which the filter takes."""
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        file["field"] = field((100, 80), "f4")
        file["group/cube"] = field((12, 20, 24), ">f8")
        file["group/half"] = field((50, 60), "f2")
        file["counts"] = np.random.default_rng(2).poisson(4, (64, 64)).astype("i4")
        file["table"] = np.zeros(10, [("x", "f4"), ("n", "i4")])
        file["text"] = np.array([b"one", b"two"])
        file["scalar"] = 3.0
        file["field"].attrs["units"] = "K"
    check(True)


def filters_of(path, expected):
    """Which datasets carry the filter: `a,b,c`."""
    found = []
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.append(name)
            if isinstance(item, h5py.Dataset) and str(FILTER) in item._filters else None
        )
    check(sorted(found) == sorted(filter(None, expected.split(","))), found)


def stored_words(path, dataset, expected):
    with h5py.File(path) as file:
        stored = file[dataset]._filters[str(FILTER)]
    check(list(stored) == [int(w) for w in expected.split(",")], stored)


# --- models ---------------------------------------------------------------------------------------------------------


def tiles(path, target, dataset="d"):
    """Raw float32 tiles of 8 x 8 as a dataset without filters."""
    with h5py.File(target, "w", libver=("earliest", "v110")) as file:
        file[dataset] = np.fromfile(path, "<f4").reshape(-1, 8, 8)
    check(True)


def rows(path, target, columns):
    """Raw float32 rows as a dataset without filters."""
    with h5py.File(target, "w", libver=("earliest", "v110")) as file:
        file["d"] = np.fromfile(path, "<f4").reshape(-1, int(columns))
    check(True)


def models_in(path, expected):
    """The ids under /_baler/models."""
    with h5py.File(path) as file:
        group = file.get("_baler/models", {})
        found = ",".join(sorted(group))
        for name in found.split(",") if found else []:
            check(group[name].shape == () and group[name].dtype.kind == "V", "not one opaque element")
            check(group[name].chunks is None, "a decoder must not be chunked")
        sizes = [group[name].dtype.itemsize for name in group]
    NOTES.append(f"{path}: decoders of {sizes} bytes")
    check(found == expected, f"found {found!r}, expected {expected!r}")


def write_with_model(path, source, model, how):
    """Through h5py: `file` decoder in the file, `two` two files open for writing, `embed` asked for."""
    with h5py.File(source) as file:
        data = file["d"][()]
    other = h5py.File("other_" + path, "w") if how == "two" else None
    with h5py.File(path, "w") as file:
        request = words(REL, 1e-3, model=model, embed=how == "embed")
        dataset = create(file, "d", data, request, chunks=data.shape)
        stored = dataset._filters[str(FILTER)]
        check(bool(stored[0] & 1 << 17) == (how != "file"), hex(stored[0]))
        check(("_baler" in file) == (how == "file"))
        # A second dataset with the same model changes nothing in the group.
        if how == "file":
            create(file, "second", data, request, chunks=data.shape)
            check(list(file["_baler/models"]) == [model])
    if other:
        check("_baler" not in other)
        other.close()


def missing(path, dataset, model, *parts):
    """Reading says which model is missing and where it was looked for."""
    NOTES.append(fails(path, dataset, model, "BALER_MODEL_PATH", "not found", *parts))


def swallows_itself(path, model):
    """A file whose decoder lies in a dataset that only that decoder could read: an error, not a stack without end."""
    with h5py.File(path, "r+") as file:
        shape, size = file["d"].shape, file["d"].size * file["d"].dtype.itemsize
        _, stream = file["d"].id.read_direct_chunk((0,) * len(shape))
        name = f"_baler/models/{model}"
        del file[name]
        dataset = create(file, name, None, words(LOSSLESS), shape=(size,), chunks=(size,), dtype="u1")
        dataset.id.write_direct_chunk((0,), stream)
    for dataset in ("d", name):
        fails(path, dataset, model, "not found")


def handles(path, model):
    """The decoder is found whatever kind of handle is all that is open."""
    expected = None
    for kind in ("file", "dataset", "group", "attribute"):
        access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
        access.set_fclose_degree(h5py.h5f.CLOSE_WEAK)
        file = h5py.h5f.open(path.encode(), h5py.h5f.ACC_RDONLY, access)
        keep = h5py.h5g.open(file, b"/") if kind == "group" else None
        dataset = h5py.h5d.open(file, b"d")
        if kind != "file":
            file.close()
        data = h5py.Dataset(dataset)[()]
        expected = data if expected is None else expected
        check(same_bits(data, expected), kind)
        del keep, dataset, file


def spoil_model(path, model, replacement):
    """Replaces the decoder in the file: `cut`, `flip`, `plain` (the same bytes as numbers), or another bundle's file."""
    with h5py.File(path, "r+") as file:
        group = file["_baler/models"]
        content = bytearray(group[model][()].tobytes())
        del group[model]
        if replacement == "cut":
            content = content[:-3]
        elif replacement == "flip":
            content[len(content) // 2] ^= 4
        elif replacement != "plain":
            content = bytearray(open(replacement, "rb").read())
        group[model] = np.frombuffer(bytes(content), "u1")
    check(True)


def latent_and_auto(source, model):
    """The bound `latent` with a named model, and `auto`, which finds an installed bundle and leaves its decoder."""
    with h5py.File(source) as file:
        data = file["d"][()]
    with h5py.File("auto.h5", "w") as file:
        create(file, "d", data, words(REL, 1e-3, model="auto"), chunks=data.shape)
        check(list(file["_baler/models"]) == [model])
        size = file["d"].id.get_storage_size()
    with h5py.File("none.h5", "w") as file:
        create(file, "d", data, words(REL, 1e-3), chunks=data.shape)
        check("_baler" not in file)
        classical = file["d"].id.get_storage_size()
    with h5py.File("latent.h5", "w") as file:
        create(file, "d", data, words(LATENT, model=model), chunks=data.shape)
    with h5py.File("auto.h5") as file:
        check(broken(data, file["d"][()], REL, 1e-3) == 0)
    with h5py.File("latent.h5") as file:
        check(np.abs(file["d"][()] - data).max() < 0.1 * np.ptp(data))
    NOTES.append(f"rel 1e-3: {size} bytes with the model, {classical} without")
    check(size < classical)


if __name__ == "__main__":
    globals()[sys.argv[1]](*([] if sys.argv[1] in ("flipped_bits", "cut_chunks", "noise_chunks") else sys.argv[2:]))
    for note in NOTES:
        print(note)
    print("checks:", N_CHECKS)
