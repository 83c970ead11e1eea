#!/usr/bin/env python3
"""Checks what h5repack and h5py made of each field, and sets it beside other compressors: compare.py FOLDER FIELD...

Expects FOLDER/FIELD.npy and, for each relative bound, FIELD_BOUND.npy (decoded), FIELD_BOUND.json (`baler info`). Every
peer gets the same absolute bound: the relative one times the range of the field. Exit code 1 if a bound is broken.
"""

import io
import json
import sys
from pathlib import Path

import h5py
import hdf5plugin
import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (after the choice of a backend without a screen)

BOUNDS = ("1e-2", "1e-3")


def stored_bytes(values, **filters):
    """Writes an HDF5 file in memory; bytes of the dataset's chunks, and the values read back."""
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        dataset = file.create_dataset("data", data=values, chunks=values.shape, **filters)
        file.flush()
        size = dataset.id.get_storage_size()
    # Opened again: before that, reading finds the values in HDF5's cache as they were written.
    with h5py.File(memory, "r") as file:
        return size, file["data"][...]


def quantised(values, bound):
    """Multiples of twice the bound, byte shuffle, zstd: what anybody can write in ten lines."""
    steps = np.rint((values - values.min()) / (2 * bound)).astype(np.int64)
    kind = np.uint8 if steps.max() < 256 else np.uint16 if steps.max() < 65536 else np.uint32
    size, back = stored_bytes(steps.astype(kind), shuffle=True, **hdf5plugin.Zstd(clevel=19))
    return size, values.min() + back.astype(values.dtype) * (2 * bound)


PEERS = {
    "SZ3": lambda v, bound: stored_bytes(v, **hdf5plugin.SZ3(absolute=bound)),
    "ZFP": lambda v, bound: stored_bytes(v, **hdf5plugin.Zfp(accuracy=bound)),
    "SPERR": lambda v, bound: stored_bytes(v, **hdf5plugin.Sperr(absolute=bound, swap=True)),
    "quantise + zstd": quantised,
}


def worst(original, decoded):
    """Largest error, in float64 or better."""
    return float(np.max(np.abs(decoded.astype(np.longdouble) - original.astype(np.longdouble))))


def rows_for(folder, field, rel, original):
    """One row for us and for each peer: name, bytes, bytes of the model, error over bound."""
    bound = float(rel) * (float(original.max()) - float(original.min()))
    info = json.loads((folder / f"{field}_{rel}.json").read_text())
    array = next(a for a in info["arrays"] if a["name"] == "data")
    decoded = np.load(folder / f"{field}_{rel}.npy")
    won = ", ".join(array["candidates"])
    embedded = info["model_bytes"] - sum(m["stored_bytes"] for m in info["models"])
    yield f"Baler ({won})", array["stored_bytes"] - embedded, info["decoder_bytes"], worst(original, decoded) / bound
    for name, run in PEERS.items():
        try:
            size, back = run(original, bound)
        except Exception as error:  # a peer that refuses costs its own line and nothing else
            print(f"   {name}: {error}", file=sys.stderr)
            continue
        yield name, size, 0, worst(original, back) / bound


def picture(folder, field, original, results):
    """Original and decoded frames above, error as a share of the bound and bytes of everyone below."""
    frame = len(original) // 2
    lo, hi = float(original.min()), float(original.max())
    height, width = original.shape[1:]
    column = 4.0
    columns = 1 + len(BOUNDS)
    figure, axes = plt.subplots(
        2, columns, figsize=(columns * column + 0.6, 2 * (column * max(height / width, 0.5) + 0.45)), layout="constrained"
    )
    image = dict(origin="lower", interpolation="nearest")
    above, below = axes
    above[0].set_title(f"original, {original.nbytes / 1e6:.2f} MB", fontsize=9)
    values = above[0].imshow(original[frame], vmin=lo, vmax=hi, cmap="viridis", **image)
    for rel, top, bottom in zip(BOUNDS, above[1:], below[1:]):
        decoded = np.load(folder / f"{field}_{rel}.npy")
        error = (decoded[frame].astype(np.float64) - original[frame]) / (float(rel) * (hi - lo))
        _, size, _, over = results[rel][0]
        top.imshow(decoded[frame], vmin=lo, vmax=hi, cmap="viridis", **image)
        top.set_title(f"rel {rel}: {size / 1e3:.1f} kB, ratio {original.nbytes / size:.1f}", fontsize=9)
        errors = bottom.imshow(error, vmin=-1, vmax=1, cmap="RdBu_r", **image)
        bottom.set_title(f"error / bound; largest of all frames {over:.6f}", fontsize=9)
    for axis in (*above, *below[1:]):
        axis.set_xticks([])
        axis.set_yticks([])
    figure.colorbar(values, ax=above[-1], shrink=0.9, pad=0.02)
    figure.colorbar(errors, ax=below[-1], shrink=0.9, pad=0.02, ticks=[-1, 0, 1])

    bars = below[0]
    names = [row[0].split(" (")[0] for row in results[BOUNDS[0]]]
    thickness = 0.8 / len(BOUNDS)
    for k, rel in enumerate(BOUNDS):
        sizes = {row[0].split(" (")[0]: row[1] / 1e3 for row in results[rel]}
        places = np.arange(len(names)) + (k - (len(BOUNDS) - 1) / 2) * thickness
        drawn = bars.barh(places, [sizes.get(n, 0) for n in names], thickness, color=f"C{k}", label=f"rel {rel}")
        bars.bar_label(drawn, fmt="%.1f", fontsize=7, padding=2)
    bars.set_yticks(range(len(names)), names, fontsize=8)
    bars.invert_yaxis()
    bars.margins(x=0.15)
    bars.tick_params(axis="x", labelsize=7)
    bars.set_title("kB at the same bound", fontsize=9)
    bars.legend(fontsize=7, loc="lower right")
    bars.spines[["top", "right"]].set_visible(False)
    figure.suptitle(
        f"{field}: frame {frame} of {len(original)}, {height} x {width} {original.dtype}, through h5repack and h5py",
        fontsize=10,
    )
    path = folder / f"{field}.png"
    figure.savefig(path, dpi=130)
    return path


def main():
    folder, fields = Path(sys.argv[1]), sys.argv[2:]
    kept = True
    for field in fields:
        original = np.load(folder / f"{field}.npy")
        shape = " x ".join(map(str, original.shape))
        print(f"\n== {field}: {shape} {original.dtype}, {original.nbytes} bytes")
        print(f"   {'':<24}{'rel':>6}{'bytes':>10}{'ratio':>9}{'with model':>12}{'error / bound':>16}")
        results = {}
        for rel in BOUNDS:
            results[rel] = list(rows_for(folder, field, rel, original))
            for i, (name, size, model, over) in enumerate(results[rel]):
                with_model = f"{original.nbytes / (size + model):.2f}" if i == 0 else ""
                note = "" if over <= 1 else "  breaks the bound"
                print(f"   {name:<24}{rel:>6}{size:>10}{original.nbytes / size:>9.2f}{with_model:>12}{over:>16.6f}{note}")
            kept &= results[rel][0][3] <= 1
        print(f"   picture: {picture(folder, field, original, results)}")
    print("\nPASS: every value is within its bound" if kept else "\nFAIL: the bound is broken")
    sys.exit(0 if kept else 1)


main()
