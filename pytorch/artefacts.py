"""What reconstructions have and pictures have not: fine patterns, lattices, shifted colours, as vqgen's validations
measure them. All of it is of 8-bit levels, [n, 3, S, S] in float64."""

from __future__ import annotations

import math

import torch
from torch import Tensor

import parallel

PLANES = torch.tensor([[0.299, 0.587, 0.114], [0, -1, 1], [1, -1, 0]], dtype=torch.float64)  # luma, two colours
SMALLEST, SMALLEST_FOR_LATTICE = 16, 32  # sides, in pixels
MOST_LINES, MOST_SIDE = 64, 64
CELL, APART = 8, 2  # pixels of a lattice's cell; distance of the waves around one of its own
DECIBELS = 10 / math.log(10)


def levels(x: Tensor) -> Tensor:
    return ((x.detach().double().cpu() + 1) * 127.5).round().clamp(0, 255)


class Spectrum:
    """Sums over pictures of the logarithms of their power: by plane, axis and frequency, and by wave of the luma."""

    def __init__(self, size: int) -> None:
        self.size, self.count = size, 0
        self.side = min(MOST_SIDE, size - size % CELL)
        self.lines = torch.zeros(3, 2, size // 2 + 1, dtype=torch.float64)
        self.waves = torch.zeros(self.side, self.side, dtype=torch.float64)
        window = torch.sin(math.pi * (torch.arange(self.side, dtype=torch.float64) + 0.5) / self.side) ** 2
        self.window = window[:, None] * window

    def add(self, pictures: Tensor) -> None:
        self.count += len(pictures)
        planes = torch.einsum("pc,nchw->nphw", PLANES, pictures)
        step = math.ceil(self.size / MOST_LINES)
        for axis, lines in enumerate((planes[:, :, ::step], planes[..., ::step].transpose(2, 3))):
            power = step * torch.fft.rfft(lines).abs().square().sum(2)
            self.lines[:, axis] += (power + 1).log().sum(0)
        if self.size >= SMALLEST_FOR_LATTICE:
            first = (self.size - self.side) // 2
            luma = planes[:, 0, first : first + self.side, first : first + self.side]
            centred = (luma - luma.mean((1, 2), keepdim=True)) * self.window
            self.waves += (torch.fft.fft2(centred).abs().square() + 1).log().sum(0)

    def joined(self, others: list[Spectrum]) -> Spectrum:
        """With those of other processes."""
        whole = Spectrum(self.size)
        for each in (self, *others):
            whole.count += each.count
            whole.lines += each.lines
            whole.waves += each.waves
        return whole


class Artefacts:
    """Gathers what batches show, of all processes in the end."""

    def __init__(self, size: int) -> None:
        self.real, self.made = Spectrum(size), Spectrum(size)
        self.shifts: list[float] = []

    def add(self, images: Tensor, made: Tensor) -> None:
        """@param images, made [n, 3, S, S] in [−1, 1]"""
        pair = levels(images), levels(made)
        self.real.add(pair[0])
        self.made.add(pair[1])
        self.shifts += (pair[1] - pair[0]).mean((2, 3)).abs().amax(1).tolist()

    def measures(self) -> dict[str, float]:
        """vqgen's keys: dB, and 8-bit levels that nine of ten pictures' means are not farther apart than."""
        each: list[Artefacts] = parallel.gathered(self)
        shifts = sorted(shift for one in each for shift in one.shifts)
        own, others = each[0], each[1:]
        real, made = own.real.joined([o.real for o in others]), own.made.joined([o.made for o in others])
        measures = {}
        if real.size >= SMALLEST:
            more = DECIBELS * (made.lines / made.count - real.lines / real.count)
            luma, *colours = (max(_rise(line, real.size) for line in plane) for plane in more)
            measures = {"pattern_luma": luma, "pattern_colour": max(colours)}
        if real.size >= SMALLEST_FOR_LATTICE:
            waves = DECIBELS * (made.waves / made.count - real.waves / real.count)
            measures["pattern_lattice"] = _excess(waves)
        return {**measures, "colour_shift": shifts[math.ceil(0.9 * len(shifts)) - 1]}


def _rise(more: Tensor, size: int) -> float:
    """The largest rise towards high frequencies, smoothed over three of them; dB."""
    first = math.ceil(size / 8)
    used = max(1, first - 1)
    smooth = [float(more[max(used, f - 1) : f + 2].mean()) for f in range(first, len(more))]
    return max((value - min(smooth[: i + 1]) for i, value in enumerate(smooth)), default=0.0)


def _excess(waves: Tensor) -> float:
    """Of the waves that repeat every eight pixels the most that one has above those around it; at least 0, dB."""
    side, half = len(waves), CELL // 2
    ring = [
        (y, x)
        for y in range(-APART, APART + 1)
        for x in range(-APART, APART + 1)
        if max(abs(y), abs(x)) == APART
    ]
    most = 0.0
    for i in range(half + 1):
        for j in range(1 - half, half + 1):
            if (i == 0 and j <= 0) or (i == half and j < 0):
                continue  # a wave and its opposite are one
            down, across = i * side // CELL, j * side // CELL
            around = sum(float(waves[(down + y) % side, (across + x) % side]) for y, x in ring) / len(ring)
            most = max(most, float(waves[down % side, across % side]) - around)
    return most
