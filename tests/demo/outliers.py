#!/usr/bin/env python3
"""What leaving outliers out of training does to all the others, at the same latents, on real tables.

    BALER=target/release/baler BALER_DATA=... tests/demo/outliers.py [options of `baler train`]

Two models for each data set and normalisation, with the same seed: one trained on all rows, one with three rounds of removal.
Both store the same table with --latent; both keep exactly what they take for an outlier. Errors are of the *common inliers*:
rows that neither of the two takes for one. They are in units of each column's standard deviation over these rows, root mean
square over rows and columns. Needs numpy and pyarrow, and a baler built with the feature `train`.
"""

import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import pyarrow.parquet as pq

BALER = os.environ.get("BALER", "baler")
DATA = os.environ["BALER_DATA"]
# Data set, latents, normalisations.
CASES = [
    ("hep_cms_pfcands.parquet", 6),
    ("hep_cms_pfcands.parquet", 10),
    ("hep_cms_muons_2012.parquet", 3),
    ("hep_cms_dimuon_2011.npz", 10),
]
NORMALISATIONS = [("by column", []), ("all standard", ["--normalise", "*=standard"])]
TRAIN = sys.argv[1:] or ["--loss", "mse", "--epochs", "12", "--rel", "1e-4", "--seed", "1"]


def baler(*args):
    done = subprocess.run([BALER, *map(str, args), "--json"], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"baler {' '.join(map(str, args))}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def table(name):
    path = os.path.join(DATA, name)
    if name.endswith(".npz"):
        return np.load(path)["data"].astype(np.float32)
    return np.stack([np.asarray(c, dtype=np.float32) for c in pq.read_table(path).columns], axis=1)


def model(folder, latents, options):
    """Trains, compresses; gives the decoded table, the rows taken for outliers, and the bytes of the chunks."""
    bundle, packed, back = (os.path.join(folder, f) for f in ("m.bundle", "m.baler", "back.npy"))
    source = os.path.join(folder, "in.npy")
    columns = np.load(source).shape[1]
    baler("train", source, "-o", bundle, "--force", "--tile", columns, "--latents", latents, *TRAIN, *options)
    stored = baler("compress", source, packed, "--force", "--latent", "--model", bundle, "--embed", "none")
    listed = baler("outliers", source, "--model", bundle, "--top", 10**9)
    os.environ["BALER_MODEL_PATH"] = folder
    baler("decompress", packed, back, "--force")
    rows = [o["at"][0] for o in listed["arrays"][0]["outliers"]]
    return np.load(back), rows, stored["arrays"][0]["stored_bytes"]


def main():
    head = ("data", "latents", "normalisation", "outliers", "rms, all", "rms, removed", "change", "kB, all", "kB, removed")
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for name, latents in CASES:
        values = table(name)
        for label, normalise in NORMALISATIONS:
            with tempfile.TemporaryDirectory() as folder:
                np.save(os.path.join(folder, "in.npy"), values)
                plain = model(folder, latents, [*normalise, "--density"])
                clean = model(folder, latents, [*normalise, "--remove-outliers", "3"])
            inliers = np.isfinite(values).all(axis=1)
            inliers[plain[1]] = inliers[clean[1]] = False
            original = values[inliers].astype(np.float64)
            deviation = original.std(axis=0)
            varies = deviation > 0
            rms = [
                np.sqrt((((back[inliers] - original) / np.where(varies, deviation, 1))[:, varies] ** 2).mean())
                for back, _, _ in (plain, clean)
            ]
            print(
                f"| `{name.split('.')[0]}` | {latents} of {values.shape[1]} | {label} | {len(plain[1])}, {len(clean[1])} "
                f"| {rms[0]:.4f} | {rms[1]:.4f} | {100 * (rms[1] / rms[0] - 1):+.1f} % "
                f"| {plain[2] / 1e3:.1f} | {clean[2] / 1e3:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
