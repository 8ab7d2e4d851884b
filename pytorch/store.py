"""vqgen's checkpoints: safetensors files under its names and in its layouts, which an import takes back as they are.

`<stage>/step-00000500/{model,optimizer}.safetensors` and `state.json`, with sha256 of both and of its own text.
A checkpoint is there whole or not at all: it is written beside its place, flushed and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

Tensors = dict[str, Tensor]


def present(path: Path) -> Path:
    if not path.is_file():
        raise SystemExit(
            f"Expected a file for {path} but received none. Export the run again: vqgen export --to torch"
        )
    return path


def read_json(path: Path) -> Any:
    try:
        return json.loads(present(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise SystemExit(f"Expected JSON for {path} but received something else: {error}.") from None


TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
}
NAMES = {dtype: name for name, dtype in TYPES.items()}


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """Names → type, shape and offsets; and where the values begin."""
    with open(present(path), "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(length)), 8 + length


def read_tensors(path: Path) -> Tensors:
    header, start = read_header(path)
    data = torch.frombuffer(bytearray(Path(path).read_bytes()), dtype=torch.uint8)[start:]
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        dtype = TYPES[entry["dtype"]]
        flat = data[begin:end].clone().view(dtype) if end > begin else torch.empty(0, dtype=dtype)
        tensors[name] = flat.reshape(entry["shape"])
    return tensors


def read_metadata(path: Path) -> dict[str, str]:
    return read_header(path)[0].get("__metadata__", {})


def write_tensors(path: Path, tensors: Tensors) -> dict[str, Any]:
    """Wider elements first, then by name, as vqgen writes them. Returns the file's length and sha256."""
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header, at = {}, 0
    for name in order:
        t = tensors[name]
        size = t.numel() * t.element_size()
        header[name] = {"dtype": NAMES[t.dtype], "shape": list(t.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    digest, length = hashlib.sha256(), 0
    with open(path, "wb") as file:
        for piece in (len(text).to_bytes(8, "little"), text, *(_bytes(tensors[name]) for name in order)):
            file.write(piece)
            digest.update(piece)
            length += len(piece)
        _flush(file)
    return {"bytes": length, "sha256": digest.hexdigest()}


def _bytes(t: Tensor) -> bytearray:
    flat = t.detach().cpu().contiguous().reshape(-1)
    held = bytearray(flat.numel() * flat.element_size())
    if held:
        torch.frombuffer(held, dtype=torch.uint8).copy_(flat.view(torch.uint8))
    return held


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


# One training of a stage at a time

_held: list[Any] = []


def hold(stage: Path) -> None:
    """Until this process ends. What torchrun restarted waits a while for what it was before."""
    if os.name != "posix":
        return
    import fcntl

    file = open(stage / ".lock", "w")
    for left in range(60 if int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) else 0, -1, -1):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _held.append(file)
            return
        except BlockingIOError:
            if left:
                time.sleep(0.5)
    raise SystemExit(
        f"Expected a stage that nobody trains but received {stage}, where another train.py is at work."
    )


def let_go() -> None:
    """In a process that came from the one that holds it, and may outlive it."""
    while _held:
        _held.pop().close()


# Checkpoints


def step_folders(stage: Path) -> list[tuple[int, Path]]:
    """Steps and folders, oldest first."""
    if not stage.is_dir():
        return []
    found = (p for p in stage.iterdir() if re.fullmatch(r"step-\d{8,}", p.name))
    return sorted((int(p.name[5:]), p) for p in found if (p / "state.json").exists())


def load_checkpoint(folder: Path) -> tuple[Tensors, dict[str, Any]]:
    """All tensors of both files, and the state."""
    state = read_json(folder / "state.json")
    checksums = state.get("checksums", {})
    for name in ("model", "optimizer"):
        file = folder / f"{name}.safetensors"
        if (
            name in checksums
            and hashlib.sha256(present(file).read_bytes()).hexdigest() != checksums[name]["sha256"]
        ):
            raise SystemExit(
                f"Expected the checkpoint's own bytes for {file} but received others: it is damaged."
            )
    tensors = read_tensors(folder / "model.safetensors")
    return {**tensors, **read_tensors(folder / "optimizer.safetensors")}, state


def save_checkpoint(stage: Path, tensors: Tensors, state: dict[str, Any], keep: int) -> Path:
    """Saves the step `state["step"]`, names it in `latest` and removes all but the `keep` newest and the best."""
    name = f"step-{state['step']:08d}"
    folder, temporary = stage / name, stage / f".{name}.{os.getpid()}.partial"
    _remove(temporary)
    temporary.mkdir(parents=True)
    model = {n: t for n, t in tensors.items() if re.match(r"(model|ema|disc)\.", n)}
    rest = {n: t for n, t in tensors.items() if n not in model}
    checksums = {
        "model": write_tensors(temporary / "model.safetensors", model),
        "optimizer": write_tensors(temporary / "optimizer.safetensors", rest),
    }
    known = {key: value for key, value in state.items() if key not in ("sha256", "checksums")}
    _write_text(temporary / "state.json", sealed({**known, "checksums": checksums}))
    _flush_folder(temporary)
    _remove(folder)
    os.replace(temporary, folder)
    _flush_folder(stage)
    replace_text(stage / "latest", f"{name}\n")
    best = (state.get("best") or {}).get("step")
    for step, old in step_folders(stage)[: -max(keep, 1)]:
        if step != best:
            _remove(old)
    return folder


def sealed(state: dict[str, Any]) -> str:
    """The text of a `state.json`, which begins with the sha256 of the rest."""
    rest = json.dumps(state, separators=(",", ":"))[1:]
    return f'{{"sha256":"{hashlib.sha256(rest.encode()).hexdigest()}",{rest}\n'


def replace_text(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    _write_text(temporary, text)
    os.replace(temporary, path)


def sweep(stage: Path) -> None:
    """Removes what a process left that died while it wrote."""
    if stage.is_dir():
        for left in stage.glob(".*.partial"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _write_text(path: Path, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
        _flush(file)


def _remove(folder: Path) -> None:
    if not folder.exists():
        return
    leaving = folder.with_name(f".{folder.name.lstrip('.')}.{os.getpid()}.leaving.partial")
    os.replace(folder, leaving)
    shutil.rmtree(leaving)


# A module's parameters under vqgen's names

Turn = Callable[[Tensor], Tensor]


def _same(t: Tensor) -> Tensor:
    return t


def _layouts(module: nn.Module, name: str) -> tuple[str, Turn, Turn]:
    """vqgen's name of a module's own parameter, and the way to vqgen's layout and back."""
    if (
        isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) and name == "weight"
    ):  # OIHW or IOHW, and [kh, kw, …]
        return name, lambda t: t.permute(2, 3, 1, 0), lambda t: t.permute(3, 2, 0, 1)
    if isinstance(module, nn.Linear) and name == "weight":  # [out, in], and [in, out]
        return name, Tensor.t, Tensor.t
    if isinstance(module, (nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)):
        return {"weight": "gamma", "bias": "beta"}[name], _same, _same
    return getattr(module, "vqgen_names", {}).get(name, name), _same, _same


def named(root: nn.Module) -> Iterator[tuple[str, nn.Parameter, Turn, Turn]]:
    """Every parameter: vqgen's dotted name, the parameter, the way to vqgen's layout and the way back."""
    for path, module in root.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            own, there, back = _layouts(module, name)
            yield f"{path}.{own}" if path else own, parameter, there, back


def load(root: nn.Module, tensors: Tensors, prefix: str) -> None:
    """All of a prefix, `model.`, `ema.` or `disc.`, no more and no less."""
    next_step = "The checkpoint is of another config: put back what config.json was."
    known = {prefix + name for name, *_ in named(root)}
    for name in sorted(known ^ {name for name in tensors if name.startswith(prefix)}):
        wanted, found = ("a tensor", "none") if name in known else ("no tensor", "one")
        raise SystemExit(f"Expected {wanted} for {name} but received {found}. {next_step}")
    with torch.no_grad():
        for name, parameter, there, back in named(root):
            stored = tensors[prefix + name]
            if stored.shape != there(parameter).shape:
                raise SystemExit(
                    f"Expected {list(there(parameter).shape)} for {prefix}{name} "
                    f"but received {list(stored.shape)}. {next_step}"
                )
            parameter.copy_(back(stored))


def dump(root: nn.Module, prefix: str) -> Tensors:
    return {prefix + name: _kept(there(p)) for name, p, there, _ in named(root)}


def moments_since(tensors: Tensors, state: dict[str, Any]) -> int:
    """The step after which Adam's moments began: that of a checkpoint with weights alone, which came from elsewhere."""
    if any(name.startswith("adam.") for name in tensors):
        return state.get("moments_since", 0)
    return state["step"]


def load_moments(
    root: nn.Module, optimizer: torch.optim.Optimizer, tensors: Tensors, prefix: str, updates: int
) -> None:
    """@param prefix `adam.`; without such tensors moments start at 0
    @param updates that they have seen"""
    for name, parameter, _, back in named(root):
        if not any(parameter is p for group in optimizer.param_groups for p in group["params"]):
            continue
        state = optimizer.state[parameter]
        state["step"] = torch.tensor(float(updates))
        for own, which in (("exp_avg", "m"), ("exp_avg_sq", "v")):
            stored = tensors.get(f"{prefix}{which}.{name}")
            moment = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            state[own] = moment if stored is None else moment.copy_(back(stored))


def dump_moments(root: nn.Module, optimizer: torch.optim.Optimizer, prefix: str) -> Tensors:
    moments = {}
    for name, parameter, there, _ in named(root):
        state = optimizer.state.get(parameter)
        if state:
            moments[f"{prefix}m.{name}"] = _kept(there(state["exp_avg"]))
            moments[f"{prefix}v.{name}"] = _kept(there(state["exp_avg_sq"]))
    return moments


def _kept(t: Tensor) -> Tensor:
    return t.detach().to("cpu", torch.float32).contiguous().clone()
