"""Cases of the wheel: `python cases.py CASE`, with the wheel installed. Each ends with the number of its checks."""

import array
import doctest
import importlib
import itertools
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import baler

DTYPES = [order + kind for order in "<>" for kind in ("f2", "f4", "f8", "i2", "i4", "i8", "u2", "u4", "u8")] + ["i1", "u1"]
n_checks = 0


def check(condition, *about):
    global n_checks
    n_checks += 1
    if not condition:
        raise AssertionError(" ".join(map(str, about)))


def field(shape, dtype="f4"):
    """Smooth, with some noise, in the range of any dtype."""
    axes = np.meshgrid(*(np.linspace(0, 3, n) for n in shape), indexing="ij", sparse=True)
    noise = np.random.default_rng(7).normal(size=shape)
    return ((sum(np.sin(a + i) for i, a in enumerate(axes)) + 2.5) * 20 + noise * 0.3).astype(dtype)


def raises(kind, part, call):
    try:
        call()
    except kind as error:
        check(part in str(error), f"{part!r} is not in {error}")
    else:
        raise AssertionError(f"no {kind.__name__} with {part!r}")


def within(a, b, bound):
    return np.abs(a.astype("f8") - b.astype("f8")).max() <= bound


def doctests():
    for name in ("baler", "baler.errors", "baler.hdf5", "baler.netcdf", "baler.numcodecs", "baler.options", "baler.zarr"):
        module = importlib.import_module(name)
        result = doctest.testmod(module, extraglobs={"np": np})
        check(result.failed == 0, name, result)
        globals()["n_checks"] += result.attempted
        print(f"{name}: {result.attempted} examples")


def element_types():
    for dtype in DTYPES:
        a = field((40, 30), dtype)
        for options, bound in [({"lossless": True}, 0), ({"abs": 0.5}, 0.5), ({"psnr": 60}, None), ({"rel": 1e-2}, 0.01 * np.ptp(a.astype("f8")))]:
            chunk = baler.compress(a, **options)
            back = baler.decompress(chunk)
            check(type(chunk) is bytes and back.dtype == a.dtype and back.shape == a.shape, dtype, back.dtype, back.shape)
            check(baler.info(chunk)["dtype"] == a.dtype.str, baler.info(chunk)["dtype"], a.dtype.str)
            check(back.flags.writeable and back.flags.c_contiguous)
            if bound is not None:
                check(within(a, back, bound), dtype, options)


def memory():
    """What is read where it is, copied, refused, written into."""
    a = field((30, 20, 10))
    plain = baler.compress(a, abs=0.01)
    for same in (np.asfortranarray(a), a[::1], np.repeat(a, 2, axis=1)[:, ::2], memoryview(a), a.T.copy().T):
        check(baler.compress(same, abs=0.01) == plain, type(same))
    numbers = array.array("d", range(100))
    check(np.array_equal(baler.decompress(baler.compress(numbers, lossless=True)), np.arange(100.0)))
    check(baler.decompress(baler.compress(b"some bytes", lossless=True)).tobytes() == b"some bytes")
    for shape in [(), (0,), (3, 0, 2), (1,), (1, 1, 1, 1)]:
        b = np.ones(shape, "f4")
        back = baler.decompress(baler.compress(b, abs=0.1))
        check(back.shape == shape and np.array_equal(b, back), shape)
    readonly = a.copy()
    readonly.flags.writeable = False
    check(baler.compress(readonly, abs=0.01) == plain)
    for chunk in (plain, bytearray(plain), memoryview(plain), np.frombuffer(plain, "u1")):
        out = np.empty_like(a)
        check(baler.decompress(chunk, out) is out and within(a, out, 0.01), type(chunk))
    raises(ValueError, "out is", lambda: baler.decompress(plain, np.empty((30, 20), "f4")))
    raises(ValueError, "out is", lambda: baler.decompress(plain, np.empty_like(a, dtype="f8")))
    raises(ValueError, "out is", lambda: baler.decompress(plain, np.empty_like(a, dtype=">f4")))
    raises(ValueError, "out is read-only", lambda: baler.decompress(plain, readonly))
    raises(ValueError, "out is not in C order", lambda: baler.decompress(plain, np.empty_like(a, order="F")))
    raises(MemoryError, "allows 100", lambda: baler.decompress(plain, max_bytes=100))


def special_values():
    a = field((50, 40))
    a[3, 4], a[5, 6], a[7, 8], a[9, 9] = np.nan, np.inf, -np.inf, -0.0
    a.view("u4")[1, 1] = 0x7FC12345
    a[20:30, 10:20] = -999
    chunk = baler.compress(a, rel=1e-3, fill=-999)
    back = baler.decompress(chunk)
    exact = ~np.isfinite(a) | (a == -999) | (a == 0)
    check(np.array_equal(a.view("u4")[exact], back.view("u4")[exact]))
    check(within(a[~exact], back[~exact], 1e-3 * np.ptp(a[~exact])))
    raises(ValueError, "no value of <i2", lambda: baler.compress(np.zeros(3, "<i2"), abs=1, fill=0.5))
    raises(ValueError, "no value of |u1", lambda: baler.compress(np.zeros(3, "u1"), abs=1, fill=-1))
    raises(ValueError, "one value", lambda: baler.compress(np.zeros(3, "f4"), abs=1, fill=[1.0, 2.0]))


def columns():
    """A bound of each column's own range; a bound for each column."""
    table = np.stack([field((500,)) * scale for scale in (1, 100, 1e4)], axis=1)
    ranges = np.ptp(table.astype("f8"), axis=0)
    back = baler.decompress(baler.compress(table, rel=1e-3, per_column=True))
    check((np.abs(back.astype("f8") - table).max(axis=0) <= 1e-3 * ranges).all())
    for bounds in ([0.1, 10, 0], (0.1, 10, 0), np.array([0.1, 10, 0])):
        chunk = baler.compress(table, abs=bounds)
        errors = np.abs(baler.decompress(chunk).astype("f8") - table).max(axis=0)
        check((errors <= bounds).all() and errors[0] > 0 and errors[1] > 0.1, errors)
        check(baler.info(chunk)["per_column"] and baler.info(chunk)["bound"] == ("abs", 10))
    check(baler.compress(table, abs=np.float32(0.5)) == baler.compress(table, abs=0.5))


def refusals():
    a = field((10, 10))
    for bad in (a > 40, a.astype("c8"), a.astype("M8[s]"), a.astype("O"), a.astype("S4"), np.zeros(3, "f4,i4"), a.astype(np.longdouble)):
        try:
            baler.compress(bad, abs=0.1)
        except (TypeError, ValueError) as error:
            check(isinstance(error, baler.Error) and "supported are" in str(error), error)
        else:
            raise AssertionError(bad.dtype)
    for bad in (3.5, [1.0, 2.0], None, "text", object()):
        raises(baler.ArgumentError, "no buffer", lambda: baler.compress(bad, abs=0.1))
    raises(baler.ArgumentError, "no bound", lambda: baler.compress(a))
    raises(baler.ArgumentError, "several bounds, abs and rel", lambda: baler.compress(a, abs=1, rel=0.1))
    raises(ValueError, "10 columns", lambda: baler.compress(a, abs=[1.0, 2.0]))
    raises(ValueError, "column 1", lambda: baler.compress(a, rel=[0.1] + [-1.0] * 9))
    raises(TypeError, "no option ab", lambda: baler.compress(a, ab=1))
    for value in (0, -1, float("nan"), float("inf")):
        raises(ValueError, "finite number above 0", lambda: baler.compress(a, abs=value))
    raises(ValueError, "below 1", lambda: baler.compress(a, rel=1.5))
    raises(ValueError, "effort", lambda: baler.compress(a, abs=1, effort="most"))
    raises(baler.ModelMissingError, "no model", lambda: baler.compress(a, abs=1, model="unheard-of"))
    raises(LookupError, "autoencoder-field2d", lambda: baler.compress(a, abs=1, model=""))
    raises(baler.Error, "none.bundle", lambda: baler.compress(a, abs=1, model="./none.bundle"))
    raises(baler.Error, "", lambda: baler.Codec(["/nowhere/none.bundle"]))
    raises(baler.Error, "", lambda: baler.Codec([b"no bundle"]))
    chunk = baler.compress(a, abs=0.1)
    for bad in (b"", chunk[:-1], chunk[:20], chunk[:-9] + b"x" + chunk[-8:], b"\0" * 100):
        raises(baler.CorruptError, "", lambda: baler.decompress(bad))
        raises(baler.CorruptError, "", lambda: baler.info(bad))
    raises(ValueError, "expected bytes", lambda: baler.decompress("text"))
    raises(ValueError, "not contiguous", lambda: baler.decompress(np.frombuffer(chunk, "u1")[::2]))


def models():
    a = field((64, 64))
    names = [model["name"] for model in baler.models()]
    check("autoencoder-field2d" in names and len(set(names)) == len(names))
    full = baler.compress(a, rel=1e-2, model="autoencoder-field2d")
    check(within(a, baler.decompress(full), 1e-2 * np.ptp(a)))
    latent = baler.compress(a, latent=True, model="autoencoder-field2d", embed=True)
    info = baler.info(latent)
    check(info["bound"] == ("latent", None) and info["embedded_bytes"] > 0 and info["model"] is not None, info)
    check(info["model"] in [model["id"] for model in baler.models()])
    check(baler.compress(a, rel=1e-2, model=info["model"][:8]) == full)
    with open("copy.bundle", "wb") as file:
        file.write(baler.Codec().model_bytes("autoencoder-field2d"))
    check(baler.compress(a, rel=1e-2, model="copy.bundle") == full)
    for models in (["copy.bundle"], ["."], [baler.Codec().model_bytes("autoencoder-field2d")]):
        check(np.array_equal(baler.Codec(models).decompress(latent), baler.decompress(latent)))


def threads():
    """One codec, 8 threads: bytes as on one thread, and Python's lock is free meanwhile."""
    arrays = [field((120, 100), dtype) + np.array(i, dtype) for i, dtype in enumerate(["f4", "f8", "i4", ">f4"] * 2)]
    codec = baler.Codec()
    serial = [codec.compress(a, rel=1e-3) for a in arrays]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            for one, other in zip(serial, pool.map(lambda a: codec.compress(a, rel=1e-3), arrays), strict=True):
                check(one == other)
        for chunk, back in zip(serial, pool.map(codec.decompress, serial), strict=True):
            check(np.array_equal(codec.decompress(chunk), back))
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    ticker = threading.Thread(target=tick)
    ticker.start()
    large = field((1000, 1000))
    begin = time.monotonic()
    codec.compress(large, rel=1e-3)
    end = time.monotonic()
    done.set()
    ticker.join()
    during = sum(begin < t < end for t in ticks)
    check(during >= 5, f"{during} ticks in {end - begin:.3f} s")
    print(f"{during} ticks of another thread in the {end - begin:.3f} s of one call")


def same_chunks():
    """What `baler.hdf5.write` stores is what the filter stores, chunk by chunk; either is read by both ways."""
    import h5py

    import baler.hdf5

    cases = itertools.product(
        ["<f4", ">f8", "<f2", ">u2"],
        [((70, 50), (32, 50)), ((40,), (30,)), ((3, 33, 21), (2, 16, 21))],
        [None, 7],
        [{"rel": 1e-3}, {"abs": 0.5, "model": "none"}, {"lossless": True}, {"rel": 1e-2, "model": "autoencoder-field2d"}],
    )
    n_chunks = 0
    for dtype, (shape, chunks), fillvalue, options in cases:
        if options.get("model") == "autoencoder-field2d" and (min(chunks) < 8 or len(chunks) != 2):
            continue
        a = field(shape, dtype)
        with h5py.File("same.h5", "w") as f:
            f.create_dataset("one", data=a, chunks=chunks, fillvalue=fillvalue, **baler.hdf5.Baler(**options))
            baler.hdf5.write(f, "two", a, chunks=chunks, fillvalue=fillvalue, **options)
        with h5py.File("same.h5") as f:
            one, two = f["one"], f["two"]
            check(one._filters == two._filters, one._filters, two._filters)
            check(one.id.get_num_chunks() == two.id.get_num_chunks())
            for k in range(one.id.get_num_chunks()):
                offset = one.id.get_chunk_info(k).chunk_offset
                check(one.id.read_direct_chunk(offset) == two.id.read_direct_chunk(offset), dtype, chunks, options, offset)
                n_chunks += 1
            check(np.array_equal(one[:], two[:]))
            check(np.array_equal(one[:], baler.hdf5.read(one, threads=3)))
            check(two.dtype == a.dtype and baler.hdf5.read(two).dtype == a.dtype)
    noise = np.random.default_rng(1).integers(0, 1 << 32, (64, 64), "u4")
    with h5py.File("same.h5", "w") as f:
        baler.hdf5.write(f, "noise", noise, lossless=True)
        dataset = f.create_dataset("part", (100, 100), "f4", chunks=(50, 50), fillvalue=3, **baler.hdf5.Baler(abs=0.1))
        dataset[:50, :50] = field((50, 50))
        f.create_dataset("zipped", data=field((50, 50)), chunks=(50, 50), compression="gzip")
    with h5py.File("same.h5") as f:
        check(f["noise"].id.get_chunk_info(0).filter_mask == 1 and np.array_equal(baler.hdf5.read(f["noise"]), noise))
        for name in ("part", "zipped"):
            check(np.array_equal(baler.hdf5.read(f[name]), f[name][:]), name)
    large = field((90, 64))
    with h5py.File("same.h5", "w") as f:
        f.create_dataset("one", data=large, chunks=(8, 64), **baler.hdf5.Baler(rel=1e-3))
        for threads in (1, 2, 8):
            two = baler.hdf5.write(f, f"by {threads}", large, chunks=(8, 64), threads=threads, rel=1e-3)
            for offset in ((i, 0) for i in range(0, 90, 8)):
                check(f["one"].id.read_direct_chunk(offset) == two.id.read_direct_chunk(offset), threads, offset)
    with h5py.File("same.h5") as f:
        expected = f["one"][:]
    for threads in (1, 2, 8):
        check(np.array_equal(baler.hdf5.read("same.h5", f"by {threads}", threads=threads), expected), threads)
    raises(TypeError, "name one", lambda: baler.hdf5.read("same.h5"))
    raises(TypeError, "fillvalue", lambda: baler.hdf5.Baler(abs=1, fill=3))
    raises(ValueError, "for each column", lambda: baler.hdf5.Baler(abs=[1, 2]))
    print(f"{n_chunks} chunks")


def carried_decoder():
    """A model of the user's own travels in the file; the threads find it there."""
    import h5py

    import baler.hdf5

    a = field((64, 64))
    with h5py.File("carried.h5", "w") as f:
        f.create_dataset("x", data=a, chunks=a.shape, **baler.hdf5.Baler(rel=1e-2, model="autoencoder-field2d", embed=True))
    with h5py.File("carried.h5") as f:
        check(within(a, f["x"][:], 1e-2 * np.ptp(a)))
        check(np.array_equal(f["x"][:], baler.hdf5.read(f["x"])))


def coexistence():
    """With hdf5plugin imported before and after, and with HDF5_PLUGIN_PATH unset, elsewhere, and at our plugin."""
    import baler.hdf5

    os.makedirs("elsewhere", exist_ok=True)
    paths = {"unset": None, "elsewhere": os.path.abspath("elsewhere"), "ours": baler.hdf5.PLUGIN_PATH}
    orders = {
        "alone": "import h5py, baler.hdf5",
        "hdf5plugin before": "import hdf5plugin, h5py, baler.hdf5",
        "hdf5plugin after": "import baler.hdf5, h5py, hdf5plugin",
        "h5py first": "import h5py; h5py.File('first.h5', 'w').close(); import baler.hdf5, hdf5plugin",
    }
    for (path_name, path), (order_name, imports) in itertools.product(paths.items(), orders.items()):
        program = f"""
import numpy as np
{imports}
a = np.sin(np.arange(10000, dtype='f4').reshape(100, 100) / 300)
with h5py.File('c.h5', 'w') as f:
    f.create_dataset('x', data=a, chunks=a.shape, **baler.hdf5.Baler(abs=1e-3))
    if {order_name != "alone"}:
        f.create_dataset('y', data=a, chunks=a.shape, **hdf5plugin.Zstd())
with h5py.File('c.h5') as f:
    assert f['x'].id.get_storage_size() * 8 < a.nbytes
    assert abs(f['x'][:] - a).max() <= 1e-3
    assert 'y' not in f or (f['y'][:] == a).all()
"""
        environment = {name: value for name, value in os.environ.items() if name != "HDF5_PLUGIN_PATH"}
        if path is not None:
            environment["HDF5_PLUGIN_PATH"] = path
        run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        check(run.returncode == 0, path_name, order_name, run.stderr)


def netcdf():
    """netCDF4 has an HDF5 of its own: the filter is registered with that one too."""
    import h5py

    a = field((4, 50, 60))
    program = """
import sys
{imports}
import numpy as np
with netCDF4.Dataset("n.nc") as f:
    np.save("n.npy", f["t"][:].filled(np.nan))
"""
    import baler.hdf5

    with h5py.File("n.nc", "w") as f:
        for name, extent in zip("zyx", a.shape):
            f.create_dataset(name, data=np.arange(extent)).make_scale()
        dataset = f.create_dataset("t", data=a, chunks=(1, 50, 60), **baler.hdf5.Baler(abs=0.01))
        for axis, name in enumerate("zyx"):
            dataset.dims[axis].attach_scale(f[name])
        expected = dataset[:]
    with h5py.File("n.nc") as f:
        expected = f["t"][:]
    for imports in ("import netCDF4, baler.hdf5", "import baler.hdf5, netCDF4; baler.hdf5.register()"):
        run = subprocess.run([sys.executable, "-c", program.format(imports=imports)], capture_output=True, text=True)
        check(run.returncode == 0, imports, run.stderr)
        check(np.array_equal(np.load("n.npy"), expected), imports)

    # Written by netCDF4 itself, whose HDF5 is another than h5py's.
    writer = """
import netCDF4, numpy as np, baler.netcdf
a = np.load("a.npy")
with netCDF4.Dataset("w.nc", "w") as f:
    for name, extent in zip("zyx", a.shape):
        f.createDimension(name, extent)
    t = f.createVariable("t", "f4", tuple("zyx"), chunksizes=(1, 50, 60), fill_value=-1)
    baler.netcdf.set_filter(t, abs=0.01, model="none")
    t[:] = a
    try:
        baler.netcdf.set_filter(t, abs=-1)
    except baler.Error as error:
        assert "-1" in str(error), error
    else:
        raise AssertionError("a negative bound")
with netCDF4.Dataset("w.nc") as f:
    np.save("w.npy", f["t"][:].filled(np.nan))
"""
    np.save("a.npy", a)
    run = subprocess.run([sys.executable, "-c", writer], capture_output=True, text=True)
    check(run.returncode == 0, run.stderr)
    check(within(a, np.load("w.npy"), 0.01))
    with h5py.File("w.nc") as f:
        check(np.array_equal(f["t"][:], np.load("w.npy")) and f["t"]._filters.keys() == {"47646"})
        check(f["t"].id.get_storage_size() < a.nbytes / 3)


def zarr():
    """Formats 2 and 3; chunks with the bytes of HDF5."""
    import h5py
    import numcodecs
    import zarr

    import baler.hdf5
    import baler.zarr

    for dtype, (shape, chunks), options in itertools.product(
        ["<f4", ">f4", "<f2", "<i4", "u1"],
        [((70, 50), (32, 50)), ((400,), (300,)), ((3, 33, 21), (2, 16, 21))],
        [{"rel": 1e-3}, {"abs": 0.5, "model": "none"}],
    ):
        a = field(shape, dtype)
        with h5py.File("z.h5", "w") as f:
            f.create_dataset("x", data=a, chunks=chunks, **baler.hdf5.Baler(**options))
        with h5py.File("z.h5") as f:
            values = f["x"][:]
            mask, expected = f["x"].id.read_direct_chunk((0,) * a.ndim)
        old = zarr.create_array("2.zarr", data=a, chunks=chunks, zarr_format=2, compressors=baler.zarr.Baler(**options), overwrite=True)
        codec = baler.zarr.BalerCodec(**options)
        new = zarr.create_array("3.zarr", data=a, chunks=chunks, serializer=codec, compressors=None, overwrite=True)
        for path, chunk in (("2.zarr", ".".join("0" * a.ndim)), ("3.zarr", "c/" + "/".join("0" * a.ndim))):
            with open(f"{path}/{chunk}", "rb") as file:
                stored = file.read()
            # A chunk that does not shrink HDF5 keeps as it is; Zarr has no such way out.
            check(stored == expected if mask == 0 else len(stored) >= len(expected), path, dtype, chunks, options)
            back = zarr.open_array(path)
            check(back.dtype.newbyteorder("=") == a.dtype.newbyteorder("=") and back.shape == a.shape)
            check(np.array_equal(back[:], values), path, dtype, chunks, options)
        if mask == 0:
            chunk = numcodecs.get_codec({"id": "baler"}).decode(expected)
            inside = values[tuple(slice(n) for n in chunks)]
            check(np.array_equal(chunk[tuple(slice(n) for n in inside.shape)], inside))
        check(old.metadata.to_dict()["compressor"] == {"id": "baler", **options}, old.metadata)
        check(new.metadata.to_dict()["codecs"][0] == {"name": "baler", "configuration": options}, new.metadata)
    a = field((64, 64))
    a[:10] = np.nan
    sharded = zarr.create_array(
        "s.zarr", data=a, chunks=(16, 64), shards=(64, 64), serializer=baler.zarr.BalerCodec(abs=0.1), compressors=None, fill_value=np.nan
    )
    check(np.nanmax(np.abs(sharded[:] - a)) <= 0.1 and np.array_equal(np.isnan(sharded[:]), np.isnan(a)))
    named = numcodecs.get_codec({"id": "baler", "rel": 0.01, "model": "autoencoder-field2d"})
    check(numcodecs.get_codec(named.get_config()) == named and named.encode(a) == named.encode(a))
    out = np.empty_like(a)
    check(named.decode(named.encode(a), out) is out and np.array_equal(np.isnan(out), np.isnan(a)))
    raises(ValueError, "no bound", lambda: baler.zarr.Baler().encode(a))
    raises(Exception, "", lambda: zarr.create_array("bad.zarr", shape=(3,), dtype="c8", serializer=codec, compressors=None))


def warns(bundle):
    """A model that fails: what was asked for is written without it, and said once, in Python's own way."""
    import warnings

    a = field((64, 64))
    codec = baler.Codec([bundle])
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        chunks = [codec.compress(a, abs=1e-3, model="broken") for _ in range(2)]
    check([w.category for w in heard] == [RuntimeWarning], heard)
    message = str(heard[0].message)
    check("broken" in message and "within the same bound" in message and heard[0].filename == __file__, heard[0])
    check(within(a, codec.decompress(chunks[0]), 1e-3) and chunks[0] == chunks[1])
    check(baler.info(chunks[0])["model"] is None)
    raises(baler.Error, "", lambda: codec.compress(a, latent=True, model="broken"))
    # Reading is an error that says what to do.
    raises(baler.ModelMissingError, "BALER_MODEL_PATH", lambda: codec.compress(a, abs=1e-3, model="nowhere"))


def write_for_others(name):
    """A file for Debian's h5dump, written with no environment variable, and its values beside it."""
    import h5py

    import baler.hdf5

    check("HDF5_PLUGIN_PATH" not in os.environ)
    a = field((100, 80))
    with h5py.File(name, "w") as f:
        f.create_dataset("x", data=a, chunks=(50, 80), **baler.hdf5.Baler(model="auto", rel=1e-3))
    with h5py.File(name) as f:
        back = f["x"][:]
        check(f["x"]._filters.keys() == {"47646"} and f["x"].id.get_storage_size() < a.nbytes / 3)
    check(within(a, back, 1e-3 * np.ptp(a)))
    back.tofile(name + ".bin")
    print(baler.hdf5.PLUGIN_PATH)


def paths():
    """For compilers."""
    print(baler.__file__)
    print(baler.include_dir())
    print(baler.library())
    check(os.path.isfile(baler.library()))


if __name__ == "__main__":
    case, *arguments = sys.argv[1:]
    globals()[case](*arguments)
    print("checks:", n_checks)
