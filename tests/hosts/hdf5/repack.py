"""Files for `baler h5 repack`, and what must be the same in two of them.

    python tests/hosts/hdf5/repack.py make IN        # one file with everything that can be in the way
    python tests/hosts/hdf5/repack.py same A B ...   # the same objects, attributes, filters, and chunks to the last byte
    python tests/hosts/hdf5/repack.py arrays A NPZ   # every array of the archive is what HDF5 reads
    python tests/hosts/hdf5/repack.py left_out A B NAME ...   # nothing is stored of these in B, and the rest is as in A
"""

import sys

import h5py
import numpy as np

FILTER = 47646
ABS = (0x00100101, 0, 0x3F847AE1)  # about 0.01
n_checks = 0


def check(condition, what):
    global n_checks
    n_checks += 1
    if not condition:
        raise SystemExit(f"failed: {what}")


def waves(shape, dtype="f4", offset=0.0):
    at = np.indices(shape)
    total = sum(np.sin(axis / (7.0 + 3 * i)) for i, axis in enumerate(at)) + offset
    return (total * (1 if np.dtype(dtype).kind == "f" else 50)).astype(dtype)


def make(name):
    with h5py.File("other.h5", "w") as f:
        f.create_dataset("outside", data=waves((50, 40)), chunks=(25, 40), compression=FILTER, compression_opts=ABS)
    with h5py.File(name, "w") as f:
        f.attrs["title"] = "everything"
        f["contiguous"] = waves((60, 50))
        f.create_dataset("even", data=waves((64, 60)), chunks=(16, 20))
        edges = f.create_dataset("edges", data=waves((50, 37, 11)), chunks=(16, 10, 4), fillvalue=-7.5)
        edges.attrs["unit"] = "K"
        f.create_dataset("gzip", data=waves((90, 70), "f8"), chunks=(32, 32), compression="gzip", shuffle=True)
        f.create_dataset("big", data=waves((33, 44), ">f4"), chunks=(10, 44))
        f.create_dataset("shorts", data=waves((1000,), "<i2"), chunks=(300,), fletcher32=True)
        f.create_dataset("halves", data=waves((70, 30), "f2"), chunks=(70, 7))
        growing = f.create_dataset("growing", (40, 30), "f4", chunks=(16, 30), maxshape=(None, 30))
        growing[:20] = waves((20, 30))  # the last chunk is never written
        f.create_dataset("noise", data=np.random.default_rng(1).integers(0, 256, (64, 64), "u1"), chunks=(16, 64))
        special = waves((40, 40), "f8")
        special[3], special[5, :7], special[6, 2] = np.nan, np.inf, -0.0
        f.create_dataset("special", data=special, chunks=(13, 40))
        f.create_dataset("ours", data=waves((48, 40), offset=3), chunks=(16, 40), compression=FILTER, compression_opts=ABS)
        partly = f.create_dataset(
            "deep/partly", (48, 40), "f4", chunks=(16, 40), fillvalue=2.5, compression=FILTER, compression_opts=ABS
        )
        partly[:16] = waves((16, 40))
        f["text"] = "no number"
        f["table"] = np.zeros(3, [("a", "f4"), ("b", "i4")])
        f["one"] = 1.5
        f.create_dataset("nothing", (0, 5), "f4", maxshape=(None, 5))
        f["later/same"] = f["even"]
        f["soft"] = h5py.SoftLink("/edges")
        f["outside"] = h5py.ExternalLink("other.h5", "/outside")
        f["pointer"] = f["edges"].ref
        f["time"] = np.arange(50.0)
        f["time"].make_scale()
        f["edges"].dims[0].attach_scale(f["time"])


def chunks_of(dataset):
    found = []
    if dataset.chunks is None:
        return found
    dataset.id.chunk_iter(found.append)
    return sorted((c.chunk_offset, c.filter_mask, dataset.id.read_direct_chunk(c.chunk_offset)[1]) for c in found)


def filters_of(dataset):
    properties = dataset.id.get_create_plist()
    return [properties.get_filter(i)[:3] for i in range(properties.get_nfilters())]


def same(first, *others):
    with h5py.File(first) as a:
        names = []
        a.visit(names.append)
        for other in others:
            with h5py.File(other) as b:
                theirs = []
                b.visit(theirs.append)
                check(theirs == names, f"{other}: {theirs}, not {names}")
                check(dict(b.attrs) == dict(a.attrs), other)
                check(b[b["pointer"][()]] == b["edges"], "a reference")
                check(b["edges"].dims[0][0].name == "/time", "a dimension scale")
                check(b["later/same"] == b["even"], "a hard link")
                check(isinstance(b.get("outside", getlink=True), h5py.ExternalLink), "an external link")
                for name in names + ["soft"]:
                    x, y = a[name], b[name]
                    if not isinstance(x, h5py.Dataset) or not x.size:
                        continue
                    where = f"{other}: {name}"
                    check((x.shape, x.dtype, x.chunks, x.maxshape) == (y.shape, y.dtype, y.chunks, y.maxshape), where)
                    check(filters_of(x) == filters_of(y), f"{where}: {filters_of(x)} and {filters_of(y)}")
                    check(sorted(x.attrs) == sorted(y.attrs), where)
                    if any(f[0] == FILTER for f in filters_of(x)):
                        mine, yours = chunks_of(x), chunks_of(y)
                        for m, t in zip(mine, yours):
                            check(m == t, f"{where}: chunk {m[0]}, {m[1:]} and {t[1:]}"[:300])
                        check(len(mine) == len(yours), where)
                    elif x.dtype.kind in "fiu":
                        check(x[()].tobytes() == y[()].tobytes(), where)


def keeps(before, after, *names):
    """These datasets have the chunks that they had."""
    with h5py.File(before) as a, h5py.File(after) as b:
        for name in names:
            theirs = {c[0]: c for c in chunks_of(b[name])}
            for chunk in chunks_of(a[name]):
                check(theirs[chunk[0]] == chunk, f"{name}: chunk {chunk[0]}")
            check(np.array_equal(a[name][()], b[name][()]), name)


def plain(compressed, restored):
    """The same values in every dataset, without our filter."""
    with h5py.File(compressed) as a, h5py.File(restored) as b:
        names = []
        a.visit(names.append)
        for name in names:
            if isinstance(a[name], h5py.Dataset) and a[name].dtype.kind in "fiu":
                check(a[name][()].tobytes() == b[name][()].tobytes(), name)
                check(all(f[0] != FILTER for f in filters_of(b[name])), name)


def arrays(compressed, decompressed):
    """Every array of the archive is what HDF5 reads."""
    with h5py.File(compressed) as file, np.load(decompressed) as back:
        for name in back:
            check(file[name][()].astype(back[name].dtype).tobytes() == back[name].tobytes(), name)


def left_out(before, after, *names):
    """Nothing is stored of these datasets, and the others have their values."""
    with h5py.File(before) as a, h5py.File(after) as b:
        found = []
        a.visit(found.append)
        for name in found:
            if not isinstance(a[name], h5py.Dataset) or a[name].dtype.kind not in "fiu":
                continue
            if name in names:
                check(b[name].shape == a[name].shape and not b[name].id.get_num_chunks(), name)
            else:
                check(a[name][()].tobytes() == b[name][()].tobytes(), name)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
    print(f"checks: {n_checks}")
