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
    with h5py.File(io.BytesIO(), "w") as file:
        dataset = file.create_dataset("data", data=values, chunks=values.shape, **filters)
        file.flush()
        return dataset.id.get_storage_size(), dataset[...]


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
    """Original, decoded and error of one frame, one row for each bound."""
    frame = len(original) // 2
    lo, hi = float(original.min()), float(original.max())
    image = dict(origin="lower", interpolation="nearest")
    height, width = original.shape[1:]
    column = 3.6
    figure, axes = plt.subplots(
        len(BOUNDS),
        3,
        figsize=(3 * column + 1.2, len(BOUNDS) * (column * height / width + 0.75)),
        squeeze=False,
        layout="constrained",
    )
    for row, rel in zip(axes, BOUNDS):
        bound = float(rel) * (hi - lo)
        decoded = np.load(folder / f"{field}_{rel}.npy")
        _, size, model, over = results[rel][0]
        values = row[0].imshow(original[frame], vmin=lo, vmax=hi, cmap="viridis", **image)
        row[1].imshow(decoded[frame], vmin=lo, vmax=hi, cmap="viridis", **image)
        error = row[2].imshow((decoded[frame] - original[frame]) / bound, vmin=-1, vmax=1, cmap="RdBu_r", **image)
        row[0].set_title(f"original, {original.nbytes / 1e6:.2f} MB", fontsize=9)
        row[1].set_title(f"decoded, {size / 1e3:.1f} kB: {original.nbytes / size:.0f} times smaller", fontsize=9)
        row[2].set_title(f"error / bound, largest {over:.4f}", fontsize=9)
        row[0].set_ylabel(f"rel {rel}", fontsize=10)
        figure.colorbar(values, ax=row[1], shrink=0.85, pad=0.02)
        figure.colorbar(error, ax=row[2], shrink=0.85, pad=0.02, ticks=[-1, 0, 1])
        for axis in row:
            axis.set_xticks([])
            axis.set_yticks([])
    figure.suptitle(
        f"{field}: frame {frame} of {len(original)}, {height} x {width} {original.dtype}, through h5repack and h5py",
        fontsize=10,
    )
    path = folder / f"{field}.png"
    figure.savefig(path, dpi=150)
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
