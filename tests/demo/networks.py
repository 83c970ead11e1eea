"""What small networks would save as predictors, against what the codec does instead.

    python networks.py FIELD.npy ... TABLE.npz ... [--rel 1e-3] [--epochs 40]

Needs numpy and torch. Each array is quantised to steps of twice the bound; networks are trained on its first half and judged on
its second by the bits of an ideal coder that knows the distribution they predict (a logistic or a mixture of five).

Fields, bits a value: linear prediction from the 25 nearest earlier values (what the candidate `fitted` does), a network given
the same values, and a network that predicts all points of the finest level of a grid at once from the next coarser level. For
linear prediction, the residual has a distribution for each of 24 magnitudes of what is around.

Tables, bytes of the second half: for each column a network given the columns before it, with and without its weights at 16
bits. `baler bench TABLE.npz --part last:0.5 --peers none` prints what the codec takes for the same rows.
"""

import argparse
import itertools
import pathlib

import numpy as np
import torch
from torch import nn

IN_PLANE = [(0, 0, 1), (0, 1, 0), (0, 1, 1), (0, 1, -1), (0, 0, 2), (0, 2, 0), (0, 1, 2), (0, 1, -2), (0, 2, 1), (0, 2, -1), (0, 0, 3)]
PLANE_BEFORE = [(1, y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)] + [(1, 0, 2), (1, 0, -2), (1, 2, 0), (1, -2, 0), (2, 0, 0)]
MARGIN = 3


def logistic_bits(target, mean, log_scale, log_weight=None):
    """Bits of integers under a logistic (or a mixture along the last axis) with mean and scale in steps."""
    if log_weight is None:
        mean, log_scale = mean[..., None], log_scale[..., None]
        log_weight = torch.zeros_like(mean)
    inverse = torch.exp(-log_scale.clamp(-4, 12))
    above, below = (target[..., None] + 0.5 - mean) * inverse, (target[..., None] - 0.5 - mean) * inverse
    # sigmoid(a) - sigmoid(b), by the side on which it keeps its digits.
    flip = torch.where(above + below > 0, -1.0, 1.0)
    a, b = torch.maximum(flip * above, flip * below), torch.minimum(flip * above, flip * below)
    p = torch.sigmoid(a) - torch.sigmoid(b)
    log_p = torch.log(p.clamp_min(1e-9)) + torch.log_softmax(log_weight, -1)
    return -torch.logsumexp(log_p, -1) / np.log(2)


def train(features, loss, n_out, hidden, epochs, rows):
    torch.manual_seed(1)
    n_in = features.shape[1]
    net = nn.Sequential(nn.Linear(n_in, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, n_out))
    steps = epochs * -(-len(rows) // 2048)
    optimiser = torch.optim.AdamW(net.parameters(), 4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(epochs):
        for batch in rows[torch.randperm(len(rows))].split(2048):
            optimiser.zero_grad()
            loss(net(features[batch]), batch).mean().backward()
            optimiser.step()
            schedule.step()
    return net, sum(p.numel() for p in net.parameters())


def residual_bits(residual, scale):
    """Bits a value of residuals with a distribution for each magnitude of what is around."""
    bucket = np.minimum((2 * np.log2(1 + scale)).astype(int), 23)
    bits = 0.0
    for b in np.unique(bucket):
        _, counts = np.unique(residual[bucket == b], return_counts=True)
        bits += (counts * np.log2(counts.sum() / counts)).sum() + len(counts)
    return bits / len(residual)


def field(values, rel, epochs, most=400_000):
    values = values.reshape(-1, *values.shape[-2:]).astype("f8")
    if values.shape[1] < 8:
        values = values.swapaxes(0, 1)
    step = 2 * rel * (np.nanmax(values) - np.nanmin(values))
    q = np.rint((np.nan_to_num(values, nan=np.nanmin(values)) - np.nanmin(values)) / step)
    taps = IN_PLANE + (PLANE_BEFORE if len(q) > 2 else [])
    z0 = 2 if len(q) > 2 else 0
    inner = q[z0:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    at = lambda dz, dy, dx: q[z0 - dz : len(q) - dz, MARGIN - dy : q.shape[1] - MARGIN - dy, MARGIN - dx : q.shape[2] - MARGIN - dx]
    anchor = at(0, 0, 1)
    near = np.stack([(at(*t) - anchor).ravel() for t in taps], 1)
    target = (inner - anchor).ravel()
    half = len(target) // 2
    rng = np.random.default_rng(0)
    pick = lambda a, b: np.sort(rng.choice(np.arange(a, b), min(most, b - a), replace=False))
    learn, judge = pick(0, half), pick(half, len(target))
    weights = np.linalg.lstsq(near[learn], target[learn], rcond=None)[0]
    scale = np.abs(near[:, 1:8]).mean(1)
    linear = residual_bits(np.rint(target - near @ weights)[judge], scale[judge])

    unit = scale + 0.5
    features = torch.tensor(np.concatenate([near / unit[:, None], np.log(unit)[:, None]], 1), dtype=torch.float32)
    guess = torch.tensor(near @ weights, dtype=torch.float32)
    u, t = torch.tensor(unit, dtype=torch.float32), torch.tensor(target, dtype=torch.float32)
    # The network corrects the linear prediction, and says how sure it is.
    loss = lambda out, i: logistic_bits(t[i], guess[i] + u[i] * out[:, 0], out[:, 1])
    net, n_weights = train(features, loss, 2, 32, epochs, torch.tensor(learn))
    with torch.no_grad():
        i = torch.tensor(judge)
        out = net(features[i])
        causal = loss(out, i).mean().item()
        residual = torch.round(t[i] - guess[i] - u[i] * out[:, 0]).numpy()
        causal = min(causal, residual_bits(residual, np.exp(out[:, 1].numpy().clip(-4, 12))))
    return linear, causal, n_weights, level(q, epochs, most)


def level(q, epochs, most):
    """Bits a value on the finest level of a grid, all its points at once from the coarser one."""
    axes = [a for a in range(3) if q.shape[a] > 8]
    q = q[tuple(slice(0, n - (n % 2 == 0)) if a in axes else slice(None) for a, n in enumerate(q.shape))]
    coarse = q[tuple(slice(None, None, 2) if a in axes else slice(None) for a in range(3))]
    span = [range(-1, 3) if a in axes else range(1) for a in range(3)]
    cut = tuple(slice(1, n - 2) if a in axes else slice(None) for a, n in enumerate(coarse.shape))
    shift = lambda d: coarse[tuple(slice(1 + d[a], n - 2 + d[a]) if a in axes else slice(None) for a, n in enumerate(coarse.shape))]
    near = np.stack([shift(d).ravel() for d in itertools.product(*span)], 1)
    centre = coarse[cut].ravel()
    near = near - centre[:, None]
    unit = np.abs(near).mean(1) + 0.5
    places = [p for p in itertools.product(*[range(2) if a in axes else range(1) for a in range(3)]) if any(p)]
    fine = lambda p: q[tuple(slice(2 + p[a], 2 + p[a] + 2 * (n - 3), 2) if a in axes else slice(None) for a, n in enumerate(coarse.shape))]
    targets = np.stack([fine(p).ravel() - centre for p in places], 1)
    half = len(near) // 2
    rng = np.random.default_rng(0)
    pick = lambda a, b: np.sort(rng.choice(np.arange(a, b), min(most // len(places), b - a), replace=False))
    learn, judge = pick(0, half), pick(half, len(near))
    weights = np.linalg.lstsq(near[learn], targets[learn], rcond=None)[0]
    guess, t = torch.tensor(near @ weights, dtype=torch.float32), torch.tensor(targets, dtype=torch.float32)
    u = torch.tensor(unit, dtype=torch.float32)[:, None]
    features = torch.tensor(np.concatenate([near / unit[:, None], np.log(unit)[:, None]], 1), dtype=torch.float32)
    n = len(places)
    loss = lambda out, i: logistic_bits(t[i], guess[i] + u[i] * out[:, :n], out[:, n:])
    net, _ = train(features, loss, 2 * n, 48, epochs, torch.tensor(learn))
    with torch.no_grad():
        i = torch.tensor(judge)
        return loss(net(features[i]), i).mean().item()


def table(data, rel, epochs):
    data = data.astype("f8")
    n, columns = data.shape
    half = n // 2
    learn, judge = torch.arange(half), torch.arange(half, n)
    known, bits, n_weights = [torch.zeros(n, 1)], 0.0, 0
    for c in range(columns):
        v = data[:, c]
        least, most = v.min(), v.max()
        if least == most:
            continue
        q = np.rint((v - least) / (2 * rel * (most - least)))
        spread = max(q[:half].std(), 0.5)
        t, features = torch.tensor(q, dtype=torch.float32), torch.cat(known, 1)

        def loss(out, i):
            w, m, s = out.split(5, 1)
            grid = torch.linspace(-1.5, 1.5, 5)
            return logistic_bits(t[i], float(q[:half].mean()) + spread * (m + grid), s + float(np.log(spread)), w)

        net, weights = train(features, loss, 15, 24, epochs, learn)
        with torch.no_grad():
            bits += loss(net(features[judge]), judge).sum().item()
        n_weights += weights
        scaled = (q - q[:half].mean()) / spread
        rank = np.searchsorted(np.sort(q[:half]), q) / half
        known.append(torch.tensor(np.stack([scaled, rank], 1), dtype=torch.float32))
    return bits / 8, n_weights * 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=pathlib.Path)
    parser.add_argument("--rel", type=float, default=1e-3)
    parser.add_argument("--epochs", type=int, default=40)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for path in args.files:
        loaded = np.load(path)
        if path.suffix == ".npz" and "names" in loaded:
            size, weights = table(loaded["data"], args.rel, args.epochs)
            print(f"{path.stem:32} second half: {size:9.0f} bytes, with weights {size + weights:9.0f}", flush=True)
        else:
            values = loaded["data"] if path.suffix == ".npz" else loaded
            linear, causal, n, finest = field(values, args.rel, args.epochs)
            print(f"{path.stem:32} linear {linear:6.3f}  network {causal:6.3f} ({n} weights)  finest level {finest:6.3f}", flush=True)


if __name__ == "__main__":
    main()
