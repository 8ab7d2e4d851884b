"""Token files, and what a step of a prior sees of them: the same rows, codings, classes, orders and masks as in vqgen.

Shapes: N rows of a file, B canvases of a batch (that of all processes together), b those of this process, T cells of a
canvas, S tokens that the network reads (T, and of a MaskGIT that knows classes one more), K codes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from draws import Stream, permutation, stream
from store import read_header

UNKNOWN = -1  # of a cell: masked; of a label: no class


class Grid(NamedTuple):
    height: int
    width: int
    vocab: int

    @property
    def cells(self) -> int:
        return self.height * self.width


# Token files


@dataclass(frozen=True)
class Tokens:
    grid: Grid
    codes: Tensor  # [N, T], unsigned numbers as the bits of int16 or int32; on the disk until they are asked for
    labels: list[int]  # [N], into `classes`
    classes: list[str]
    codings: int  # rows of each image, one after another
    tokenizer: str  # sha256 of its model.safetensors

    def __len__(self) -> int:
        return len(self.codes)

    def rows(self, chosen: list[int]) -> Tensor:
        """Codes int64 [len(chosen), T]."""
        return _unsigned(self.codes[torch.tensor(chosen)])

    def labels_among(self, classes: list[str]) -> list[int]:
        """Of each row its class's place in `classes`, or UNKNOWN."""
        known = [classes.index(name) if name in classes else UNKNOWN for name in self.classes]
        return [known[label] for label in self.labels]


def _unsigned(codes: Tensor) -> Tensor:
    return codes.to(torch.int64) & (0xFFFF if codes.dtype == torch.int16 else 0xFFFFFFFF)


def read_tokens(path: Path) -> Tokens:
    path = Path(path)
    if not path.is_file():
        raise SystemExit(f"Expected a token file for {path} but received no such file. vqgen tokenize writes it.")
    header, start = read_header(path)
    metadata = header.pop("__metadata__", {})
    _check_sum(path, header, metadata, start)
    if "vocab" not in metadata or "condition" in metadata:
        raise SystemExit(f"Expected codes of one grid, and none that are told, for {path} but received others.")
    data = torch.from_file(str(path), shared=False, size=path.stat().st_size, dtype=torch.uint8)

    def values(name: str) -> Tensor:
        entry = header[name]
        dtype = {"U16": torch.int16, "U32": torch.int32, "I32": torch.int32}[entry["dtype"]]
        begin, end = entry["data_offsets"]
        return data[start + begin : start + end].view(dtype).reshape(entry["shape"])

    codes = values("codes")  # [N, height, width]
    grid = Grid(*codes.shape[1:], vocab=int(metadata["vocab"]))
    largest = max((int(_unsigned(part).max()) for part in codes.split(1 << 16) if len(part)), default=None)
    if largest is None or largest >= grid.vocab:
        raise SystemExit(f"Expected codes below {grid.vocab} for {path} but received {largest}.")
    return Tokens(
        grid=grid,
        codes=codes.flatten(1),
        labels=values("labels").tolist(),
        classes=json.loads(metadata["classes"]),
        codings=int(metadata["codings"]),
        tokenizer=metadata["tokenizer"],
    )


def _check_sum(path: Path, header: dict[str, Any], metadata: dict[str, str], start: int) -> None:
    """vqgen's own, of the other metadata and of each tensor's type, shape and bytes."""
    saved = metadata.pop("checksum", None)
    if saved is None:
        return
    with open(path, "rb") as file:
        held = [
            [name, entry["dtype"], entry["shape"], _digest(file, *(start + at for at in entry["data_offsets"]))]
            for name, entry in sorted(header.items())
        ]
    text = json.dumps([sorted(metadata.items()), held], separators=(",", ":"), ensure_ascii=False)
    if hashlib.sha256(text.encode()).hexdigest() != saved:
        raise SystemExit(f"Expected the bytes that were saved for {path} but received others: it is damaged.")


def _digest(file: BinaryIO, begin: int, end: int) -> str:
    digest = hashlib.sha256()
    file.seek(begin)
    while begin < end:
        piece = file.read(min(end - begin, 1 << 24))
        if not piece:
            break  # cut short
        digest.update(piece)
        begin += len(piece)
    return digest.hexdigest()


# What a step sees


class Canvases(NamedTuple):
    codes: Tensor  # int64 [B, T], UNKNOWN where masked
    labels: list[int]  # [B], into the classes that the prior knows, or UNKNOWN


Fed = dict[str, Tensor]


class Steps(Dataset[Fed]):
    """`steps[n]`: what this process's network is fed at step n (from 1 on), each [b, …]. It depends on nothing but
    the step, so that a DataLoader's workers may prepare steps ahead: `DataLoader(steps, batch_size=None, sampler=…)`.

    @param feed what becomes of the canvases of a whole batch
    @param rows from and to which of them are this process's
    """

    def __init__(
        self,
        tokens: Tokens,
        config: dict[str, Any],
        classes: list[str],
        feed: Callable[[Canvases, int], Fed],
        rows: tuple[int, int],
    ) -> None:
        self.tokens, self.feed, self.own = tokens, feed, slice(*rows)
        self.seed, self.batch = config["seed"], config["batch_size"]
        self.dropout = config["class_dropout"] if classes else 0
        self.labels = tokens.labels_among(classes)
        self.order: tuple[int, list[int]] = (-1, [])  # an epoch and its rows

    def __getitem__(self, step: int) -> Fed:
        return {name: values[self.own] for name, values in self.feed(self.canvases(step), step).items()}

    def canvases(self, step: int) -> Canvases:
        """An endless row of epochs, each a permutation of the images, of an image with several codings one."""
        first = (step - 1) * self.batch
        chosen = [self._row(position) for position in range(first, first + self.batch)]
        labels = [self.labels[row] for row in chosen]
        if self.dropout:
            rng = stream(self.seed, "class dropout", step)
            labels = [UNKNOWN if rng.uniform() < self.dropout else label for label in labels]
        return Canvases(self.tokens.rows(chosen), labels)

    def _row(self, position: int) -> int:
        codings = self.tokens.codings
        epoch, at = divmod(position, len(self.tokens) // codings)
        if self.order[0] != epoch:
            rows = permutation(len(self.tokens) // codings, stream(self.seed, "prior order", epoch))
            if codings > 1:
                rng = stream(self.seed, "coding", epoch)
                rows = [image * codings + rng.below(codings) for image in rows]
            self.order = epoch, rows
        return self.order[1][at]


def validation_batches(
    tokens: Tokens, classes: list[str], batch: int, most: int
) -> list[tuple[int, int, Callable[[], Canvases]]]:
    """Of a fixed choice of at most so many rows: the number of each batch's first, how many are in it, and the
    canvases, of which the last batch is filled up with its first."""
    rows = permutation(len(tokens), stream("validation"))[:most]
    labels = tokens.labels_among(classes)

    def canvases(present: list[int]) -> Canvases:
        padded = present + present[:1] * (batch - len(present))
        return Canvases(tokens.rows(padded), [labels[row] for row in padded])

    starts = range(0, len(rows), batch)
    return [(at, len(rows[at : at + batch]), lambda at=at: canvases(rows[at : at + batch])) for at in starts]


# GPT


def gpt_train(canvases: Canvases, step: int, grid: Grid, config: dict[str, Any]) -> Fed:
    """`ids` and `targets` [B, T]; in other orders than by rows also `places`, where a token stands (0 the start
    token, c + 1 cell c), and `next`, the cell that it predicts."""
    seed, order = config["seed"], {}
    if config["order"] == "annealed":
        # Random orders at first, from half of the steps on fewer and fewer, none in the last quarter.
        share = min(1.0, max(0.0, 3 - (4 * (step - 1)) / config["steps"]))
        rng = stream(seed, "order", step)
        cells = torch.tensor([_order(grid.cells, share, rng) for _ in canvases.labels])
        canvases = canvases._replace(codes=canvases.codes.gather(1, cells))
        order = {"places": torch.cat([torch.zeros_like(cells[:, :1]), cells[:, :-1] + 1], 1), "next": cells}
    fed = gpt_sequences(canvases, grid)
    if config["pkeep"] < 1:
        rng = stream(seed, "pkeep", step)
        fed["ids"] = torch.tensor([_corrupted(row, grid.vocab, config["pkeep"], rng) for row in fed["ids"].tolist()])
    return {**fed, **order}


def gpt_sequences(canvases: Canvases, grid: Grid) -> Fed:
    """The start token, K without a class and K + 1 + c of class c, then all codes but the last; and the codes."""
    starts = torch.tensor([[grid.vocab + 1 + label] for label in canvases.labels])
    return {"ids": torch.cat([starts, canvases.codes[:, :-1]], 1), "targets": canvases.codes}


def _order(cells: int, share: float, rng: Stream) -> list[int]:
    return permutation(cells, rng) if rng.uniform() < share else list(range(cells))


def _corrupted(ids: list[int], vocab: int, pkeep: float, rng: Stream) -> list[int]:
    """A share 1 − pkeep of the codes that go in replaced by any; never the start token."""
    return [ids[0], *(rng.below(vocab) if rng.uniform() >= pkeep else id for id in ids[1:])]


# MaskGIT

KEPT_WEIGHT = 0.1  # what a visible code counts where some of them are wrong

SHARES: dict[str, Callable[[float], float]] = {
    "cosine": lambda r: math.cos((math.pi / 2) * r),
    "linear": lambda r: 1 - r,
    "square": lambda r: 1 - r * r,
    "arccos": lambda r: math.acos(r) / (math.pi / 2),
}


def maskgit_train(canvases: Canvases, step: int, grid: Grid, classes: int, config: dict[str, Any]) -> Fed:
    """`ids` [B, S], `targets` and `weights` [B, T]: a share of cells by the schedule is masked, and of the others up to
    a share `substitute` wrong, one half any code, the other what another canvas has there."""
    rng = stream(config["seed"], "mask", step)
    schedule, substitute = SHARES[config["mask_schedule"]], config["substitute"]
    whole = canvases.codes
    shown, weights = whole.clone(), torch.full(whole.shape, KEPT_WEIGHT if substitute else 0.0)

    def wrong_code(row: int, cell: int) -> int:
        if rng.uniform() < 0.5 or len(whole) == 1:
            return rng.below(grid.vocab)
        return int(whole[(row + 1 + rng.below(len(whole) - 1)) % len(whole), cell])

    for row in range(len(whole)):
        count = max(1, math.ceil(grid.cells * schedule(rng.uniform())))
        order = permutation(grid.cells, rng)
        if substitute:
            share = rng.uniform() * substitute
            wrong = {cell: wrong_code(row, cell) for cell in order[count:] if rng.uniform() < share}
            shown[row, list(wrong)] = torch.tensor(list(wrong.values()), dtype=torch.int64)
            weights[row, list(wrong)] = 1
        shown[row, order[:count]] = UNKNOWN
        weights[row, order[:count]] = 1
    return _masked(canvases, shown, weights, grid, classes)


def maskgit_validation(canvases: Canvases, first: int, grid: Grid, classes: int) -> Fed:
    """As validation shows the canvases `first` on: so many cells masked, evenly spread over 1 to all, that the mean
    is the one over all orders. Each canvas counts as much as any other."""
    shown, weights = canvases.codes.clone(), torch.zeros(canvases.codes.shape)
    for row in range(len(shown)):
        count = 1 + math.floor(grid.cells * _evenly(first + row))
        hidden = permutation(grid.cells, stream("masked validation", first + row))[:count]
        shown[row, hidden] = UNKNOWN
        weights[row, hidden] = grid.cells / count
    return _masked(canvases, shown, weights, grid, classes)


def _masked(canvases: Canvases, shown: Tensor, weights: Tensor, grid: Grid, classes: int) -> Fed:
    """Weights are scaled to a mean of 1 over the whole batch. Tokens: codes, the mask K, and where there are classes one
    before them, K + 1 without a class and K + 2 + c of class c."""
    scale = weights.numel() / float(weights.double().sum())
    ids = torch.where(shown == UNKNOWN, grid.vocab, shown)
    if classes:
        ids = torch.cat([torch.tensor([[grid.vocab + 2 + label] for label in canvases.labels]), ids], 1)
    return {"ids": ids, "targets": canvases.codes, "weights": (weights.double() * scale).float()}


def _evenly(n: int) -> float:
    """Points of [0, 1) that fill it evenly however many are taken (van der Corput)."""
    value, scale = 0.0, 0.5
    while n > 0:
        value += (n & 1) * scale
        n, scale = n >> 1, scale / 2
    return value
