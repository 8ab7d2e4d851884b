"""What a step of the PyTorch project costs, and what several processes say to each other in it: for docs/scale.md.

    python scripts/scale.py CONFIG.json stage1|prior [--batch N] [--steps N] [--device cpu|cuda] [--bf16] [--compile]
    torchrun --standalone --nproc-per-node 2 scripts/scale.py …

CONFIG.json is a project's. Weights (LPIPS's too) and inputs are random: what they are does not matter here. A batch is that of one
process. What talking costs is the difference between two processes that train together and two that are started at
once by themselves.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "pytorch"))

import parallel  # noqa: E402
import store  # noqa: E402
import train  # noqa: E402

VGG16 = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256), 14: (256, 256)}
VGG16 |= {17: (256, 512), 19: (512, 512), 21: (512, 512), 24: (512, 512), 26: (512, 512), 28: (512, 512)}
TAPS = (64, 128, 256, 512, 512)


def any_vgg16(file: Path) -> None:
    """Weights of LPIPS's shapes, for published ones cannot be handed on here."""
    tensors = {}
    for i, (inputs, outputs) in VGG16.items():
        tensors[f"perceptual.features.{i}.weight"] = (
            torch.randn(3, 3, inputs, outputs) * (2 / 9 / inputs) ** 0.5
        )
        tensors[f"perceptual.features.{i}.bias"] = torch.zeros(outputs)
    for i, channels in enumerate(TAPS):
        tensors[f"perceptual.lin{i}.weight"] = torch.rand(1, 1, channels, 1)
    store.write_tensors(file, tensors)


def stage1(config, o, device):
    from stage1 import Stage1

    with tempfile.TemporaryDirectory() as folder:
        fixed = Path(o.config).with_name("perceptual.safetensors")
        if config["stage1"]["perceptual"]["kind"] == "lpips-vgg16":
            fixed = Path(folder) / "any.safetensors"
            any_vgg16(fixed)
        trainer = Stage1(config, device, bf16=o.bf16, compile=o.compile, perceptual=fixed)
    size = config["data"]["size"]
    batch = torch.rand(o.batch, 3, size, size) * 2 - 1
    starts = {"quantised": 1, "adversarial": 1 if config["stage1"]["disc"]["weight"] > 0 else 0}
    trainer.loaded = {}
    trainer.load(trainer.dump(), 0, starts)
    return trainer, lambda step: trainer.step(step, batch, 1e-4, starts)


def prior(config, o, device):
    from prior import Prior
    from tokens import Grid

    side = config["data"]["size"] >> (len(config["stage1"]["ch_mult"]) - 1)
    grid = Grid(side, side, config["stage1"]["codes"])
    trainer = Prior(config, [], grid, device, bf16=o.bf16, compile=o.compile)
    codes = torch.randint(grid.vocab, (o.batch, grid.cells))
    return trainer, lambda step: trainer.step(step, {"ids": codes, "targets": codes}, 1e-4)


class Flop(TorchDispatchMode):
    """Of products and convolutions, by PyTorch's formulas; a multiplication and an addition are two."""

    total = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        self.total += formula(*args, **(kwargs or {}), out_val=out) if formula else 0
        return out


def seconds(step, first: int, steps: int) -> float:
    """The median step."""
    taken = []
    for i in range(steps):
        parallel.wait()
        begun = time.perf_counter()
        step(first + i)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - begun)
    return sorted(taken)[steps // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("stage", choices=["stage1", "prior"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--compile", action="store_true")
    o = parser.parse_args()
    torch.set_flush_denormal(True)
    train.join("nccl" if o.device == "cuda" else "gloo")
    config = json.loads(Path(o.config).read_text())
    world = parallel.world()
    config[o.stage]["batch_size"] = o.batch * world
    trainer, step = {"stage1": stage1, "prior": prior}[o.stage](config, o, torch.device(o.device))
    said = {"parameters": trainer.learned, "batch": o.batch, "processes": world}

    sums = []
    plain = dist.all_reduce
    dist.all_reduce = lambda x, *rest, **more: (
        sums.append(x.numel() * x.element_size()),
        plain(x, *rest, **more),
    )[1]
    trainer.parallel()
    with Flop() as counted:
        step(1)
    said |= {"gflop_per_row": round(counted.total / o.batch / 1e9, 3), "gradient_bytes": 4 * trainer.learned}
    said |= {"sums": len(sums), "sums_bytes": sum(sums), "seconds": round(seconds(step, 2, o.steps), 4)}
    if parallel.rank() == 0:
        print(json.dumps(said))
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
