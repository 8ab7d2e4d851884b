"""Does in ten steps what vqgen did (scripts/torch-parity/stage1.mjs) and tells how far apart the two are.

    python pytorch/tests/parity_stage1.py FOLDER…
    torchrun --nproc-per-node 2 pytorch/tests/parity_stage1.py FOLDER…

Losses may differ by 1e-4 of their value, weights by 1e-3 of their tensor's largest, what less hangs on by
somewhat more.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import parallel  # noqa: E402
import store  # noqa: E402
from schedule import learning_rate  # noqa: E402
from stage1 import Stage1  # noqa: E402

BOUNDS = {"rate": 1e-6, "loss": 1e-4, "terms": 5e-3, "weights": 1e-3, "moments": 5e-2, "validation": 5e-3}


# Softmax does not see what is added to all keys: this gradient is 0, and what it is instead is chance.
NO_GRADIENT = "attention.key.bias"


def kind_of(name: str) -> str:
    return "moments" if "adam." in name else "weights"


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return ((a - b).abs().max() / b.abs().max().clamp_min(1e-12)).item()


def check(folder: Path) -> bool:
    about = json.loads((folder / "about.json").read_text())
    config, starts, before = about["config"], about["starts"], about["before"]
    expected = store.read_tensors(folder / "after.safetensors")
    loaded = store.read_tensors(folder / "before.safetensors")
    pictures = {n: t.movedim(-1, -3) for n, t in store.read_tensors(folder / "pictures.safetensors").items()}
    trainer = Stage1(config, torch.device("cpu"), perceptual=folder / "perceptual.safetensors")
    trainer.load(loaded, before, starts, since := about["since"])
    back = trainer.dump()
    same = all(torch.equal(back[n], loaded[n]) for n in loaded)
    trainer.parallel()

    worst: dict[str, tuple[float, str]] = {kind: (0.0, "") for kind in BOUNDS}

    def saw(kind: str, difference: float, where: str) -> None:
        worst[kind] = max(worst[kind], (difference, where))

    begin, end = parallel.share(config["stage1"]["batch_size"])
    other_codes = 0
    for step, batch in zip(about["steps"], pictures["train"]):
        values = trainer.step(step["step"], batch[begin:end], step["lr"], starts)
        rate = learning_rate(step["step"], config["stage1"], since)
        saw("rate", abs(rate / step["lr"] - 1), f"step {step['step']}")
        codes = values.pop("codes", None)
        if codes is not None:
            own = torch.tensor(step["codes"]).reshape(-1, *codes.shape[1:])[begin:end]
            other_codes += int(parallel.total((codes != own).sum()))
        for name, value in step["values"].items():
            kind = "loss" if name == "loss" else "terms"
            saw(kind, abs(values[name] - value) / max(abs(value), 1e-6), f"{name} of step {step['step']}")
    after = trainer.dump()
    for name, tensor in expected.items():
        if not (name.endswith(NO_GRADIENT) and kind_of(name) == "moments"):
            saw(kind_of(name), apart(after[name], tensor), name)
    trainer.acting = trainer.judge is not None
    found, _ = trainer.evaluate(pictures["val"])
    for name, value in about["validation"].items():
        saw("validation", abs(found[name] - value) / max(abs(value), 1e-6), name)

    good = same and after.keys() == expected.keys() and all(worst[k][0] <= BOUNDS[k] for k in BOUNDS)
    if parallel.rank() == 0:
        moved = max(apart(loaded[n], t) for n, t in expected.items() if n.startswith("model."))
        print(f"{about['name']}, {parallel.world()} process(es): {'as vqgen' if good else 'NOT AS VQGEN'}")
        print(
            f"  round trip {'bit for bit' if same else 'DIFFERS'}; weights moved by up to {moved:.2g};", end=" "
        )
        print(f"{other_codes} of {sum(len(s['codes']) for s in about['steps'])} codes differ")
        for kind, (difference, where) in worst.items():
            print(f"  {kind:10} {difference:.1e} {'' if difference <= BOUNDS[kind] else '>'} ({where})")
    return good


def main() -> None:
    torch.set_num_threads(1)
    if "WORLD_SIZE" in os.environ:
        dist.init_process_group("gloo")
    results = [check(Path(folder)) for folder in sys.argv[1:]]
    if dist.is_initialized():
        dist.destroy_process_group()
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
