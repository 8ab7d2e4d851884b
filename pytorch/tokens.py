"""Token files, and what a step of a prior sees of them: the same rows, codings, classes, orders and masks as
in vqgen.

Shapes: N rows of a file, B canvases of a batch (that of all processes together), b those of this process, T
cells of a canvas, S tokens that the network reads (T, and of a MaskGIT that knows classes one more), K codes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

import parallel
from draws import Stream, permutation, stream
from store import read_header, read_json

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
    codes: Tensor  # [N, T], unsigned as the bits of int16 or int32; on the disk until they are asked for
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


def open_tokens(folder: Path, note: Path) -> tuple[Tokens, Tokens]:
    """Those of training and of validation.

    @param note says which tokenizer the prior is trained for; vqgen's first priors have none
    """
    files = [folder / f"{split}.safetensors" for split in ("train", "val")]
    train, val = (read_tokens(file) for file in files)
    noted = read_json(note)["sha256"] if note.exists() else train.tokenizer
    for file, tokens in zip(files, (train, val)):
        if tokens.tokenizer != noted:
            raise SystemExit(
                f"Expected tokens of the tokenizer that the prior is trained for in {file} but received those "
                "of another one. vqgen import, then vqgen tokenize writes them."
            )
    return train, val


def read_tokens(path: Path) -> Tokens:
    if not path.is_file():
        raise SystemExit(
            f"Expected a token file for {path} but received no such file. vqgen tokenize writes it."
        )
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
        held = []
        for name, entry in sorted(header.items()):
            begin, end = entry["data_offsets"]
            held.append([name, entry["dtype"], entry["shape"], _digest(file, start + begin, start + end)])
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


@dataclass(frozen=True)
class Given:
    """What decides, beside the tokens, what a prior is fed."""

    config: dict[str, Any]  # the section `prior`, with the seed that acts
    grid: Grid
    classes: list[str]  # that it knows


Fed = dict[str, Tensor]  # `targets`, of a MaskGIT `weights`, [b, T] each, and what the network reads
Feed = Callable[[Canvases, int, Given], Fed]


class Steps(Dataset[Fed]):
    """`steps[n]`: what this process's network is fed at step n (1-based), by nothing but the step."""

    def __init__(self, tokens: Tokens, given: Given, feed: Feed) -> None:
        """@param feed what becomes of the canvases of a whole batch"""
        self.tokens, self.given, self.feed = tokens, given, feed
        self.own = slice(*parallel.share(given.config["batch_size"]))
        self.labels = tokens.labels_among(given.classes)
        self.order: tuple[int, list[int]] = (-1, [])  # an epoch and its rows

    def __getitem__(self, step: int) -> Fed:
        fed = self.feed(self.canvases(step), step, self.given)
        return {name: values[self.own].clone() for name, values in fed.items()}

    def canvases(self, step: int) -> Canvases:
        """An endless row of epochs, each a permutation of the images, of several codings of one any."""
        config = self.given.config
        seed, batch, dropout = config["seed"], config["batch_size"], config["class_dropout"]
        chosen = [self._row(seed, position) for position in range((step - 1) * batch, step * batch)]
        labels = [self.labels[row] for row in chosen]
        if self.given.classes and dropout:
            rng = stream(seed, "class dropout", step)
            labels = [UNKNOWN if rng.uniform() < dropout else label for label in labels]
        return Canvases(self.tokens.rows(chosen), labels)

    def _row(self, seed: int, position: int) -> int:
        codings = self.tokens.codings
        images = len(self.tokens) // codings
        epoch, at = divmod(position, images)
        if self.order[0] != epoch:
            rows = permutation(images, stream(seed, "prior order", epoch))
            if codings > 1:
                rng = stream(seed, "coding", epoch)
                rows = [image * codings + rng.below(codings) for image in rows]
            self.order = epoch, rows
        return self.order[1][at]


VALIDATION_TOKENS = 1 << 16


def validation_batches(tokens: Tokens, given: Given, feed: Feed) -> Iterator[tuple[int, Fed]]:
    """vqgen's choice of validation rows: this process's turns of its batches, with how many rows count.
    The last batch is filled up.
    """
    whole = given.config["batch_size"]
    batch = whole // given.config["accumulate"]
    rows = permutation(len(tokens), stream("validation"))[: max(whole, VALIDATION_TOKENS // given.grid.cells)]
    labels = tokens.labels_among(given.classes)
    for at in range(parallel.rank() * batch, len(rows), parallel.world() * batch):
        present = rows[at : at + batch]
        padded = present + present[:1] * (batch - len(present))
        canvases = Canvases(tokens.rows(padded), [labels[row] for row in padded])
        yield len(present), feed(canvases, at, given)


# GPT


def gpt_train(canvases: Canvases, step: int, given: Given) -> Fed:
    """`ids` and `targets` [B, T]; in other orders than by rows also `places`, where a token stands (0 the
    start token, c + 1 cell c), and `next`, the cell that it predicts.
    """
    config, grid = given.config, given.grid
    seed, order = config["seed"], {}
    if config["order"] == "annealed":
        # Random orders at first, from half of the steps on fewer and fewer, none in the last quarter.
        share = min(1.0, max(0.0, 3 - (4 * (step - 1)) / config["steps"]))
        rng = stream(seed, "order", step)
        cells = torch.tensor([_order(grid.cells, share, rng) for _ in canvases.labels])
        canvases = canvases._replace(codes=canvases.codes.gather(1, cells))
        order = {"places": torch.cat([torch.zeros_like(cells[:, :1]), cells[:, :-1] + 1], 1), "next": cells}
    fed = gpt_by_rows(canvases, step, given)
    if config["pkeep"] < 1:
        rng = stream(seed, "pkeep", step)
        fed["ids"] = torch.tensor(
            [_corrupted(row, grid.vocab, config["pkeep"], rng) for row in fed["ids"].tolist()]
        )
    return {**fed, **order}


def gpt_by_rows(canvases: Canvases, _: int, given: Given) -> Fed:
    """The start token (K without a class, K + 1 + c of class c), then all codes but the last; the codes."""
    starts = torch.tensor([[given.grid.vocab + 1 + label] for label in canvases.labels])
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


def maskgit_train(canvases: Canvases, step: int, given: Given) -> Fed:
    """`ids` [B, S], `targets` and `weights` [B, T]: a share of cells by the schedule is masked, and of the
    others up to a share `substitute` wrong, one half any code, the other what another canvas has there.
    """
    config, grid = given.config, given.grid
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
    return _masked(canvases, shown, weights, given)


def maskgit_validation(canvases: Canvases, first: int, given: Given) -> Fed:
    """As validation shows the canvases `first` on: so many cells masked, evenly spread over 1 to all, that
    the mean is the one over all orders. Each canvas counts as much as any other.
    """
    cells = given.grid.cells
    shown, weights = canvases.codes.clone(), torch.zeros(canvases.codes.shape)
    for row in range(len(shown)):
        count = 1 + math.floor(cells * _evenly(first + row))
        hidden = permutation(cells, stream("masked validation", first + row))[:count]
        shown[row, hidden] = UNKNOWN
        weights[row, hidden] = cells / count
    return _masked(canvases, shown, weights, given)


def _masked(canvases: Canvases, shown: Tensor, weights: Tensor, given: Given) -> Fed:
    """Weights are scaled to a mean of 1 over the whole batch. Tokens: codes, the mask K, and where there
    are classes one before them, K + 1 without a class and K + 2 + c of class c.
    """
    scale = weights.numel() / float(weights.double().sum())
    vocab = given.grid.vocab
    ids = torch.where(shown == UNKNOWN, vocab, shown)
    if given.classes:
        ids = torch.cat([torch.tensor([[vocab + 2 + label] for label in canvases.labels]), ids], 1)
    return {"ids": ids, "targets": canvases.codes, "weights": (weights.double() * scale).float()}


def _evenly(n: int) -> float:
    """Points of [0, 1) that fill it evenly however many are taken (van der Corput)."""
    value, scale = 0.0, 0.5
    while n > 0:
        value += (n & 1) * scale
        n, scale = n >> 1, scale / 2
    return value
