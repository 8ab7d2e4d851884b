"""Takes again the steps of scripts/torch-parity/prior.mjs and says how far they are from vqgen's.

python pytorch/tests/parity_prior.py CASE…
torchrun --nproc-per-node 2 pytorch/tests/parity_prior.py CASE…
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
import torch.distributed as dist

import parallel
from prior import Prior
from schedule import learning_rate
from store import Tensors, read_tensors
from tokens import read_tokens

LOSS, WEIGHTS = 1e-4, 1e-3
CLOSER = 50  # times, where rounding is not that of sums over very many codes, so that a small mistake shows


def telling(tensors: Tensors, config: dict[str, Any]) -> Tensors:
    """Without the biases of keys where they change nothing: a query's scores all move alike. Their
    gradients are what rounding leaves, of which Adam makes whole updates.
    """
    if config["qk_norm"] or config["positions"] == "rope":
        return tensors
    thirds = {name: t.chunk(3) for name, t in tensors.items() if name.endswith("qkv.bias")}
    return {**tensors, **{name: torch.cat([query, value]) for name, (query, _, value) in thirds.items()}}


def apart(found: Tensors, wanted: Tensors, prefix: str) -> tuple[float, str]:
    """The largest difference in shares of each tensor's largest value, and where."""
    assert found.keys() == wanted.keys()
    return max(
        (float((found[name] - value).abs().max() / value.abs().max().clamp(min=1e-30)), name)
        for name, value in wanted.items()
        if name.startswith(prefix)
    )


def compare(folder: Path) -> bool:
    def read(name: str):
        return json.loads((folder / f"{name}.json").read_text())

    train, val = (read_tokens(folder / "tokens" / f"{split}.safetensors") for split in ("train", "val"))
    prior = Prior(read("config"), read("classes"), train.grid, torch.device("cpu"))
    before, after = (read_tensors(folder / f"{name}.safetensors") for name in ("before", "after"))
    since = read("since")
    prior.load(before, read("before") - since)
    round_trip = prior.dump()
    same = all(torch.equal(before[name], round_trip[name]) for name in before)
    prior.parallel()
    wanted = read_tensors(folder / "fed.safetensors")
    own = slice(*parallel.share(prior.config["batch_size"]))
    losses = 0.0
    steps = prior.steps(train)
    for taken in read("steps"):
        step = taken["step"]
        fed = steps[step]
        theirs = {name.partition(".")[2]: t[own] for name, t in wanted.items() if name.startswith(f"{step}.")}
        same = (
            same
            and fed.keys() == theirs.keys()
            and all(torch.equal(fed[n].to(t.dtype), t) for n, t in theirs.items())
        )
        assert abs(learning_rate(step, prior.config, since) / taken["lr"] - 1) < 1e-6
        loss = prior.step(step, fed, taken["lr"])["loss"]
        losses = max(losses, abs(loss / taken["loss"] - 1))
    found, after = telling(prior.dump(), prior.config), telling(after, prior.config)
    (weights, worst), (moments, _) = apart(found, after, "model."), apart(found, after, "adam.")
    validated = abs(prior.validate(val)["loss"] / read("validation") - 1)
    closer = 1 if train.grid.vocab > 1 << 16 else CLOSER
    good = same and max(losses, validated) <= LOSS / closer and max(weights, moments) <= WEIGHTS / closer
    if parallel.rank() == 0:
        print(
            f"{folder.name:18} {'fed the same' if same else 'FED OTHERS'}, loss {losses:.1e}, "
            f"validation {validated:.1e}, "
            f"weights {weights:.1e} ({worst}), moments {moments:.1e}{'' if good else '  TOO FAR'}",
            flush=True,
        )
    return good


def main() -> None:
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group("gloo")
    torch.set_num_threads(1)
    good = [compare(Path(case)) for case in sys.argv[1:]]
    if dist.is_initialized():
        dist.destroy_process_group()
    sys.exit(0 if good and all(good) else 1)


main()
