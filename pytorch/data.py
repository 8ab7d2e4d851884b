"""Batches of pictures by seed and step alone, as vqgen takes them: the same pictures, crops and mirrorings.

Pictures of the run's own size have vqgen's pixels; others are resized by Pillow, and differ by a grey level or so.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

import parallel
from draws import hash_of, permutation, stream
from store import read_json

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff", ".avif", ".bmp"}
LONGEST_SIDE = 2  # times the shorter one


@dataclass(frozen=True)
class Pictures:
    """Some pictures under a folder, by relative names."""

    folder: Path
    names: tuple[str, ...]

    def read(self, index: int, size: int) -> Tensor:
        """uint8 [h, w, 3]: upright, white under alpha, the shorter side `size`, the longer at most twice that."""
        try:
            from PIL import Image, ImageOps
        except ImportError:
            raise SystemExit(
                "Expected Pillow to read pictures but it is not installed: pip install pillow"
            ) from None
        path = self.folder / self.names[index]
        try:
            with Image.open(path) as opened:
                image = ImageOps.exif_transpose(opened)
                if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                    image = image.convert("RGBA")
                    white = Image.new("RGBA", image.size, "white")
                    image = Image.alpha_composite(white, image)
                image = image.convert("RGB")
        except OSError as error:
            raise SystemExit(f"Expected a picture for {path} but received {error}.") from None
        if min(image.size) != size:
            scale = size / min(image.size)
            image = image.resize([int(side * scale + 0.5) for side in image.size], Image.Resampling.LANCZOS)
        width, height = (min(side, LONGEST_SIDE * size) for side in image.size)
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image = image.crop((left, top, left + width, top + height))
        return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(height, width, 3)


def to_unit(pixels: Tensor) -> Tensor:
    """uint8 [..., h, w, 3] → float32 [..., 3, h, w] in [−1, 1]."""
    return (pixels.double() / 127.5 - 1).float().movedim(-1, -3)


def open_pictures(
    project: Path, config: dict[str, Any], data: str | None, val_data: str | None
) -> dict[str, Pictures]:
    """Those of training (`train`) and of validation (`val`).

    @param data, val_data in place of the config's folders
    """
    settings = config["data"]
    folder = data or settings["dir"]
    if folder is None:
        raise SystemExit(
            "Expected a folder of images for --data but received nothing. "
            "The run was trained on pictures that vqgen draws."
        )
    note = project / "pictures.json"
    noted = read_json(note) if note.exists() else {}
    own = _listed(Path(folder), noted, "dir", "--data")
    other = val_data or settings["val_dir"]
    if other is not None:
        return {"train": own, "val": _listed(Path(other), noted, "val_dir", "--val-data")}
    train, val = _split(own.names, settings["val_fraction"])
    return {"train": Pictures(own.folder, train), "val": Pictures(own.folder, val)}


def _listed(folder: Path, noted: dict[str, Any], key: str, option: str) -> Pictures:
    """The pictures that the run notes, where they lie there; else all that are there."""
    if not folder.is_dir():
        raise SystemExit(f"Expected a folder of images for {option} but received {folder}, which is none.")
    names = noted.get(key) or []
    contents = (noted.get("contents") or {}).get(key) or [""] * len(names)
    readable = [name for name, content in zip(names, contents) if content is not None]
    if readable and all((folder / name).is_file() for name in (readable[0], readable[-1])):
        return Pictures(folder, tuple(readable))
    found = (p for p in folder.rglob("*") if p.suffix.lower() in ENDINGS and p.is_file())
    walked = sorted(p.relative_to(folder).as_posix() for p in found)
    walked = [name for name in walked if not any(part.startswith(".") for part in name.split("/"))]
    if not walked:
        raise SystemExit(f"Expected a folder of images for {option} but received {folder}, which holds none.")
    return Pictures(folder, tuple(walked))


def _split(names: tuple[str, ...], fraction: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """By a hash of each name; of two or more names each side has one, a single one is in both."""
    if len(names) < 2:
        return names, names
    place = {name: hash_of("split", unicodedata.normalize("NFC", name)) / 2**32 for name in names}
    val = {name for name in names if place[name] < fraction} or {min(names, key=place.__getitem__)}
    if len(val) == len(names):
        val -= {max(names, key=place.__getitem__)}
    return tuple(n for n in names if n not in val), tuple(n for n in names if n in val)


class Steps(Dataset[Tensor]):
    """For a step (1-based) this process's share of its batch: float32 [b, 3, S, S] in [−1, 1]."""

    def __init__(self, pictures: Pictures, config: dict[str, Any]) -> None:
        self.pictures, self.seed = pictures, config["seed"]
        self.size, self.flip = config["data"]["size"], config["data"]["flip"]
        self.batch = config["stage1"]["batch_size"]
        self.rows = parallel.share(self.batch)
        self.epoch, self.order = -1, []

    def __getitem__(self, step: int) -> Tensor:
        return torch.stack([self._row(step - 1, i) for i in range(*self.rows)])

    def _row(self, step: int, i: int) -> Tensor:
        """@param step 0-based"""
        rng = stream(self.seed, "augment", step, i)
        pixels = self.pictures.read(self._index(step * self.batch + i), self.size)
        height, width, _ = pixels.shape
        top = rng.below(height - self.size + 1)
        left = rng.below(width - self.size + 1)
        crop = pixels[top : top + self.size, left : left + self.size]
        return to_unit(crop.flip(1) if self.flip and rng.uniform() < 0.5 else crop)

    def _index(self, position: int) -> int:
        count = len(self.pictures.names)
        epoch, at = divmod(position, count)
        if epoch != self.epoch:
            self.epoch, self.order = epoch, permutation(count, stream(self.seed, "order", epoch))
        return self.order[at]


def validation_batches(pictures: Pictures, config: dict[str, Any]) -> Iterator[Tensor]:
    """vqgen's choice of validation pictures, centre crops: this process's turns of its batches."""
    size, count = config["data"]["size"], len(pictures.names)
    fitting = max(1, min(32, 32 * 64 * 64 // size**2))
    whole = min(count, fitting)
    images = whole * max(1, min(count, 256) // whole)
    batch = min(whole, config["stage1"]["batch_size"] // config["stage1"]["accumulate"])
    while whole % batch:
        batch -= 1
    for at in range(parallel.rank() * batch, images, parallel.world() * batch):
        chosen = [i * count // images for i in range(at, at + batch)]
        yield torch.stack([_centre(pictures.read(i, size), size) for i in chosen])


def _centre(pixels: Tensor, size: int) -> Tensor:
    top, left = ((side - size) // 2 for side in pixels.shape[:2])
    return to_unit(pixels[top : top + size, left : left + size])
