"""Perceptual distance in the form of LPIPS (Zhang et al., arXiv 1801.03924, eq. 1) over a frozen network: features at
several depths, of unit length over channels, squared differences averaged over positions, summed over depths."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import store

# Layers of each stage, by the numbers that their names have.
VQGEN = [[0], [1], [2, 3], [4, 5]]
VGG16 = [[0, 2], [5, 7], [10, 12, 14], [17, 19, 21], [24, 26, 28]]
PYRAMID = [[0], [1], [2], [3]]


class Perceptual(nn.Module):
    """Mean over the batch of the distance between pictures x and y, [b, 3, S, S] in [−1, 1].

    @param kind `stage1.perceptual.kind`. @param weights the fixed weights by vqgen's names, filters [3, 3, in, out]
    @param smooth whether stages of `vqgen` halve by [1 2 2 1] / 6 instead of means of 2×2
    """

    def __init__(self, kind: str, weights: dict[str, Tensor], size: int, smooth: bool = True) -> None:
        super().__init__()
        most = int(math.log2(size)) + 1
        name, stages = {
            "vqgen": ("layers.", VQGEN[:most]),
            "random-features": ("stage", PYRAMID[:most]),
            "lpips-vgg16": ("features.", VGG16),
        }[kind]
        self.kind, self.smooth, self.stages = kind, smooth, stages
        self.scale = {"vqgen": 0.1 / len(stages), "random-features": 1 / len(stages), "lpips-vgg16": 1.0}[kind]
        for i in (i for stage in stages for i in stage):
            prefix = f"perceptual.{name}{i}"
            self.register_buffer(f"weight{i}", weights[f"{prefix}.weight"].permute(3, 2, 0, 1).contiguous())
            self.register_buffer(f"bias{i}", weights.get(f"{prefix}.bias"))
        for i in range(len(stages) if kind == "lpips-vgg16" else 0):
            self.register_buffer(f"lin{i}", weights[f"perceptual.lin{i}.weight"].reshape(1, -1, 1, 1))
        # ImageNet's channel means and deviations, for pictures in [−1, 1].
        self.register_buffer("shift", torch.tensor([-0.03, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor([0.458, 0.448, 0.45]).view(1, 3, 1, 1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        pair = torch.cat([x, y])
        if self.kind == "lpips-vgg16":
            pair = (pair - self.shift) / self.deviation
        distance = x.new_zeros(())
        for depth, stage in enumerate(self.stages):
            for i in stage:
                pair = F.relu(F.conv2d(pair, getattr(self, f"weight{i}"), getattr(self, f"bias{i}"), padding=1))
            a, b = (_unit_length(half.float()) for half in pair.chunk(2))
            squares = (a - b).square() * getattr(self, f"lin{depth}", 1.0)
            distance = distance + self.scale * squares.sum((1, 2, 3)).mean() / (pair.shape[2] * pair.shape[3])
            if depth + 1 < len(self.stages):
                pair = self._pool(pair)
        return distance

    def _pool(self, x: Tensor) -> Tensor:
        if self.kind == "lpips-vgg16":
            return F.max_pool2d(x, 2)
        if self.kind == "vqgen" and self.smooth:
            x = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        return F.avg_pool2d(x, 2)


def _unit_length(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().sum(1, keepdim=True) + 1e-20)


def perceptual_of(config: dict, file: Path) -> Perceptual | None:
    """None where the config has no such term."""
    kind, weight = config["stage1"]["perceptual"]["kind"], config["stage1"]["perceptual"]["weight"]
    if kind == "none" or weight == 0:
        return None
    smooth = store.read_metadata(file).get("pooling", "means") == "smooth"
    return Perceptual(kind, store.read_tensors(file), config["data"]["size"], smooth)
