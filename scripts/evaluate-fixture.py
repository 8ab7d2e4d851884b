"""Writes tests/evaluate/fixture.json: inputs of the measures and what numpy makes of them, by other routes than vqgen's.

python3 scripts/evaluate-fixture.py > tests/evaluate/fixture.json
python3 scripts/evaluate-fixture.py a.safetensors b.safetensors    # Fréchet distance of two files of --save-stats
"""
import json
import struct
import sys

import numpy as np


def frechet(m1, s1, m2, s2):
    # The eigenvalues of the product itself; vqgen takes those of a symmetric matrix that has the same.
    root = np.sqrt(np.maximum(np.linalg.eigvals(s1 @ s2).real, 0)).sum()
    return float(((m1 - m2) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * root)


def ssim(a, b):
    luma = lambda x: x.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    i = np.arange(11) - 5.0
    window = np.exp(-(i[:, None] ** 2 + i[None, :] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    windows = lambda x: np.lib.stride_tricks.sliding_window_view(x, (11, 11))
    mean = lambda x: (windows(x) * window).sum((2, 3))
    x, y = luma(a), luma(b)
    mx, my = mean(x), mean(y)
    vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float((((2 * mx * my + c1) * (2 * cov + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


def precision_recall(real, generated, k=3):
    distances = lambda x, y: np.linalg.norm(x[:, None] - y[None, :], axis=2)
    radii = lambda x: np.sort(distances(x, x), axis=1)[:, k]  # the first is the point itself
    inside = lambda x, y: float((distances(x, y) <= radii(y)[None, :]).any(1).mean())
    return inside(generated, real), inside(real, generated)


def read(path):
    data = open(path, "rb").read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    part = lambda n: np.frombuffer(data[8 + length :][slice(*header[n]["data_offsets"])], "<f8").reshape(header[n]["shape"])
    return part("mean"), part("covariance")


def main():
    if len(sys.argv) == 3:
        print(frechet(*read(sys.argv[1]), *read(sys.argv[2])))
        return
    rng = np.random.default_rng(5)
    width = 6
    mix = rng.normal(size=(width, width))
    near = lambda n, shift: ((rng.normal(size=(n, width)) @ mix) + shift).astype(np.float32)
    a, b = near(40, 0.0), (1.3 * near(30, 0.8)).astype(np.float32)
    few = near(4, -0.5)  # fewer than dimensions: a covariance of rank 3
    stats = lambda x: (x.astype(np.float64).mean(0), np.cov(x.astype(np.float64), rowvar=False))
    symmetric = rng.normal(size=(7, 7))
    symmetric = symmetric + symmetric.T
    image = rng.integers(0, 256, size=(14, 14, 3))
    other = np.clip(image + rng.integers(-60, 60, size=image.shape), 0, 255)
    same = b[:30]
    precision, recall = precision_recall(a[:30].astype(np.float64), same.astype(np.float64))
    numbers = lambda x: [float(f"{v:.9g}") for v in np.asarray(x).ravel()]
    fixture = {
        "width": width,
        "a": numbers(a),
        "b": numbers(b),
        "few": numbers(few),
        "covariance_a": np.cov(a.astype(np.float64), rowvar=False).ravel().tolist(),
        "frechet_ab": frechet(*stats(a), *stats(b)),
        "frechet_a_few": frechet(*stats(a), *stats(few)),
        "symmetric": symmetric.ravel().tolist(),
        "eigenvalues": np.linalg.eigvalsh(symmetric).tolist(),
        "image": image.ravel().tolist(),
        "other": other.ravel().tolist(),
        "ssim": ssim(image, other),
        "precision": precision,
        "recall": recall,
    }
    print(json.dumps(fixture))


main()
