#!/usr/bin/env python3
"""Classic mode, a model's latents without any bound, on the cases of Baler's papers; and the bounded mode at the same size.

    python tests/demo/classic.py [--bin target/release] [--data ../shared/data] [cfd] [diffraction] [moessbauer] [jets]

For each case a table: bytes, ratio, errors of `baler compress --latent`, then of the bounded mode with the tightest bound
that takes no more bytes. Models that are not built in are trained here (the program needs the feature `train`), in less
than a minute each. Nothing is assumed but numpy, scipy, h5py and pyarrow.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np


class Baler:
    """The program, its files in a folder of their own."""

    def __init__(self, program, folder):
        self.program, self.folder = program, Path(folder)

    def run(self, *words):
        command = [str(self.program), *map(str, words), "--quiet", "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return json.loads(done.stdout)

    def save(self, array, name="in.npy"):
        np.save(self.folder / name, array)
        return self.folder / name

    def train(self, array, name, *words):
        bundle = self.folder / f"{name}.bundle"
        self.run("train", self.save(array), *words, "-o", bundle, "--force")
        return bundle

    def there_and_back(self, array, model, *bound):
        """Bytes of the file without the decoder, bytes of the decoder, and the decoded array."""
        packed, back = self.folder / "x.baler", self.folder / "back.npy"
        found = self.run("compress", self.save(array), packed, *bound, "--model", model, "--force")
        self.run("decompress", packed, back, "--force")
        return found["stored_bytes"] - found["model_bytes"], found["decoder_bytes"], np.load(back)

    def tightest(self, array, model, kind, low, high, n_bytes, *more):
        """The tightest bound of this kind whose file takes at most `n_bytes`, by bisection, and what it gives."""
        best = None
        for _ in range(9):
            middle = (low * high) ** 0.5
            found = self.there_and_back(array, model, kind, f"{middle:.4g}", *more)
            if found[0] <= n_bytes:
                best, high = (f"{kind[2:]} {middle:.3g}", *found), middle
            else:
                low = middle
        return best


def rows(title, header, lines):
    print(f"\n### {title}\n")
    print("| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for line in lines:
        print("| " + " | ".join(str(cell) for cell in line) + " |", flush=True)


def psnr(a, b):
    error = a.astype(float) - b
    return 20 * np.log10(np.ptp(a.astype(float))) - 10 * np.log10(max(np.mean(error**2), 1e-300))


def cfd(baler, data):
    """CFD_animation: Python Baler gives 6,780 bytes of latents, PSNR 38.2 to 39.6 dB, and a model of 4,228,039 bytes."""
    frames = np.load(data / "CFD_animation.npz")["data"]
    model, raw, target = "autoencoder-cfd-animation", frames.nbytes, 6780
    lines = [["Python Baler, latents", "6,780", "177", "4,228,039", "38.2 to 39.6", "9.9 to 10.7 %"]]

    def line(what, n_bytes, decoder, back):
        error = np.abs(back - frames).max() / np.ptp(frames)
        lines.append([what, f"{n_bytes:,}", f"{raw / n_bytes:.0f}", f"{decoder:,}", f"{psnr(frames, back):.1f}", f"{error:.2%}"])

    n_bytes, decoder, back = baler.there_and_back(frames, model, "--latent")
    line("`--latent`, our bundle", n_bytes, decoder, back)
    ours = n_bytes + decoder
    for choice in (model, "none"):
        what, n_bytes, decoder, back = baler.tightest(frames, choice, "--rel", 1e-4, 0.3, target)
        line(f"bounded, {what}, model {choice}", n_bytes, decoder, back)
    # The same with the decoder counted, against our latents and our decoder.
    what, n_bytes, decoder, back = baler.tightest(frames, "none", "--rel", 1e-4, 0.3, ours)
    line(f"bounded, {what}, no model, the bytes of our latents and decoder", n_bytes, decoder, back)
    rows(f"CFD animation, {raw:,} bytes as float64", ["", "bytes", "ratio", "decoder, bytes", "PSNR, dB", "largest error, of the range"], lines)


def diffraction(baler, data):
    """Thaumatin stills: trained on one half of the frames, used on the other."""
    import h5py

    with h5py.File(data / "xray_thaumatin_pilatus6m.h5") as file:
        frames = file["data"][...]
    half = len(frames) // 2
    held = frames[half:]
    # Gaps between modules and hot pixels say nothing of the picture.
    usual = (held >= 0) & (held < 1000)
    own = baler.train(frames[:half], "own", "--tile", "16x16", "--latents", 8, "--rel", 2e-6, "--epochs", 6)
    lines = []

    def line(what, n_bytes, decoder, back):
        error = (back.astype(float) - held)[usual]
        noise = np.sqrt(held[usual].mean())
        lines.append([what, f"{n_bytes:,}", f"{held.nbytes / n_bytes:.0f}", f"{decoder:,}", f"{np.sqrt(np.mean(error**2)):.2f}",
                      f"{np.abs(error).max():.0f}", f"{np.mean(back[usual]) / held[usual].mean():.4f}"])
        return noise

    for model, what in ((own, "trained on the other half"), ("autoencoder-detector", "built in")):
        n_bytes, decoder, back = baler.there_and_back(held, model, "--latent")
        line(f"`--latent`, {what}", n_bytes, decoder, back)
        for choice in (model, "none"):
            found = baler.tightest(held, choice, "--abs", 1, 200, n_bytes)
            name = what if choice is model else "no model"
            noise = line(f"bounded, {found[0]}, {name}", *found[1:])
    title = f"Thaumatin, frames {half} to {len(frames) - 1}, {held.nbytes:,} bytes as int32; Poisson noise {noise:.2f} counts"
    rows(title, ["", "bytes", "ratio", "decoder, bytes", "RMS error, counts", "largest error", "mean, of the original's"], lines)


def find_spots(frame):
    """Centres and strengths of the spots of a frame, and its background: a matched filter and maxima over 6 sigma."""
    from scipy import ndimage

    frame = frame.astype(np.float32)
    background = ndimage.gaussian_filter(ndimage.median_filter(frame[::4, ::4], 15), 2).repeat(4, 0).repeat(4, 1)
    light = frame - background[: frame.shape[0], : frame.shape[1]]
    smooth = ndimage.gaussian_filter(light, 1.5)
    peaks = (smooth == ndimage.maximum_filter(smooth, 7)) & (smooth > find_spots.threshold)
    spots = []
    for y, x in zip(*np.nonzero(peaks)):
        if 4 <= y < frame.shape[0] - 4 and 4 <= x < frame.shape[1] - 4:
            cut = light[y - 4 : y + 5, x - 4 : x + 5]
            weight = np.clip(smooth[y - 2 : y + 3, x - 2 : x + 3], 0, None)
            axis = np.arange(-2, 3)
            spots.append((y + (weight.sum(1) * axis).sum() / weight.sum(), x + (weight.sum(0) * axis).sum() / weight.sum(), cut.sum()))
    return np.array(spots).reshape(-1, 3), light


def moessbauer(baler, _):
    """A simulated camera: 2 frames of 2048 x 2048 that the model has not seen, with the true spots beside them."""
    file, table = baler.folder / "frames.npy", baler.folder / "spots.npz"
    baler.run("simulate", "moessbauer", "--frames", 2, "--seed", 1, "-o", file, "--spots", table, "--force")
    frames, truth = np.load(file), np.load(table)["data"]
    raw = frames.nbytes
    # Six times the noise of the filtered picture: 9 units of a pixel, over the filter's 1 / (2 sqrt(pi) 1.5).
    find_spots.threshold = 6 * 9 / (2 * np.pi**0.5 * 1.5)
    lines = []

    def line(what, n_bytes, back):
        found_all, errors, strengths, fakes, quiet = 0, [], [], 0, []
        for i, frame in enumerate(back):
            spots, light = find_spots(frame)
            mine = truth[truth[:, 0] == i]
            mask = np.ones(frame.shape, bool)
            for _, y, x, electrons in mine:
                reach = 8 if electrons < 5000 else 14
                mask[max(int(y) - reach, 0) : int(y) + reach, max(int(x) - reach, 0) : int(x) + reach] = False
                if len(spots):
                    distance = np.hypot(spots[:, 0] - y, spots[:, 1] - x)
                    k = distance.argmin()
                    if distance[k] < 1.5:
                        found_all += 1
                        errors.append(distance[k])
                        strengths.append(spots[k, 2] / (2 * electrons) - 1)
            quiet.append(light[mask])
            fakes += sum(np.hypot(mine[:, 1] - s[0], mine[:, 2] - s[1]).min() > 3 for s in spots) if len(mine) else len(spots)
        quiet = np.concatenate(quiet)
        lines.append([what, f"{n_bytes:,}", f"{n_bytes / raw:.2%}", f"{quiet.std():.2f}", f"{found_all} of {len(truth)}", fakes,
                      f"{np.sqrt(np.mean(np.square(errors))):.3f}", f"{np.median(np.abs(strengths)):.1%}"])

    line("original", raw, frames)
    fine = baler.folder / "fine.bundle"
    baler.run("train", "--recipe", "autoencoder-moessbauer", "--latents", 60, "--rel", 7e-4, "-o", fine, "--force")
    for model, what in (("autoencoder-moessbauer", "built in"), (fine, "60 latents, finer steps")):
        n_bytes, _, back = baler.there_and_back(frames, model, "--latent")
        line(f"`--latent`, {what}", n_bytes, back)
        for choice, name in ((model, "the same model"), ("none", "no model")):
            found = baler.tightest(frames, choice, "--abs", 1, 400, n_bytes)
            line(f"bounded, {found[0]}, {name}", found[1], found[3])
    found = baler.tightest(frames, "auto", "--abs", 1, 400, raw // 10)
    line(f"bounded, {found[0]}, 10 % of the size", found[1], found[3])
    rows(f"Simulated Moessbauer camera, {raw:,} bytes as uint16", ["", "bytes", "of the size", "background RMS", "true spots found", "false",
         "position error, pixels", "strength error, median"], lines)


def jets(baler, data):
    """CMS jets, 24 variables to 14 latents as in the papers (AE 200-100-50-14); the last 30 % of the jets are held out."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(data / "hep_cms_nanoaod_jets.parquet")
    names = [field.name for field in table.schema if pa.types.is_floating(field.type)] + ["nConstituents"]
    names = [next(n for n in table.schema.names if n.endswith(name)) for name in names]
    jets = np.stack([table[name].to_numpy().astype(np.float32) for name in names], 1)
    n = int(len(jets) * 0.7)
    held = jets[n:]
    words = ["--family", "autoencoder", "--architecture", "ae", "--loss", "mse", "--tile", jets.shape[1], "--latents", 14]
    model = baler.train(jets[:n], "jets", *words, "--epochs", 200)
    n_bytes, decoder, back = baler.there_and_back(held, model, "--latent")
    found = baler.tightest(held, "none", "--rel", 1e-6, 0.49, n_bytes, "--columns")
    what, bounded_bytes, _, bounded = found or ("rel 1e-2 (none is as small)", *baler.there_and_back(held, "none", "--rel", 1e-2, "--columns"))
    span = np.ptp(held, axis=0)

    def cells(decoded, c):
        x, error = held[:, c].astype(float), decoded[:, c].astype(float) - held[:, c]
        response = error[x != 0] / x[x != 0]
        largest = np.abs(error).max() / span[c] if span[c] else 0
        return [f"{response.mean():.1e}", f"{response.std():.1e}", f"{error.mean():.1e}", f"{error.std():.1e}", f"{largest:.1e}"]

    lines = [[name, *cells(back, c), *cells(bounded, c)] for c, name in enumerate(names)]
    title = (f"{len(held)} jets, {held.nbytes:,} bytes as float32. `--latent`: {n_bytes:,} bytes, ratio {held.nbytes / n_bytes:.2f} "
             f"(14 of 24 numbers as float32: 1.71), decoder {decoder:,} bytes. Bounded, {what} of each column's range, no model: "
             f"{bounded_bytes:,} bytes, ratio {held.nbytes / bounded_bytes:.2f}")
    columns = ["response mean", "response RMS", "residual mean", "residual RMS", "largest / range"]
    rows(title, ["variable", *(f"{c}, latents" for c in columns), *(f"{c}, bounded" for c in columns)], lines)


CASES = {"cfd": cfd, "diffraction": diffraction, "moessbauer": moessbauer, "jets": jets}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", type=Path, default=Path("target/release"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("case", nargs="*", choices=[[], *CASES], default=list(CASES))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for case in arguments.case:
            CASES[case](Baler(arguments.bin.resolve() / "baler", folder), arguments.data)


if __name__ == "__main__":
    main()
