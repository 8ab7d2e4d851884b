"""Makes the files of tests/exchange/fixtures that PyTorch writes and vqgen must read, or refuse.

    python3 scripts/torch-fixture.py tests/exchange/fixtures
"""
import collections
import os
import pickle
import sys
import zipfile

import torch

out = sys.argv[1]


def state():
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 8 - 1
    return collections.OrderedDict(
        plain=base,
        transposed=base.t(),
        window=base[1:3, ::2],
        row=base[2],
        expanded=torch.tensor([1.5]).expand(3),
        scalar=torch.tensor(0.75),
        empty=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(torch.tensor([0.1, -0.2])),
        half=torch.tensor([1.0, -0.5, 65504.0, 6e-8, 1e-3], dtype=torch.float16),
        bfloat=torch.tensor([1.0, -0.333, 3e38, 1e-30], dtype=torch.bfloat16),
        double=torch.tensor([0.1, -2.0], dtype=torch.float64),
        long=torch.tensor([3, -1, 2**40]),
        int=torch.tensor([7, -8], dtype=torch.int32),
        short=torch.tensor([-300], dtype=torch.int16),
        bytes=torch.tensor([0, 255], dtype=torch.uint8),
        bool=torch.tensor([True, False]),
    )


class Settings:
    pass


class Evil:
    def __reduce__(self):
        return os.system, ("touch /tmp/vqgen-was-here",)


def at(name):
    return os.path.join(out, name)


module = torch.nn.Linear(2, 3, bias=False)
module.weight.data.copy_(torch.arange(6).reshape(3, 2))
checkpoint = {
    "epoch": 3,
    "global_step": 12,
    "pytorch-lightning_version": "1.0.8",
    "callbacks": {collections.Counter: {"best_model_path": "a", "current_score": torch.tensor(1.0)}},
    "optimizer_states": [{"state": {0: {"step": 2, "exp_avg": torch.zeros(3)}}, "param_groups": [{"betas": (0.5, 0.9)}]}],
    "state_dict": state(),
}
torch.save(checkpoint, at("checkpoint.ckpt"))
torch.save(state(), at("old-format.pth"), _use_new_zipfile_serialization=False)
torch.save(module.state_dict(), at("module.pt"))  # With the attribute _metadata.
torch.save(module.state_dict(), at("protocol-4.pt"), pickle_protocol=4)
torch.save({"state_dict": state(), "x": Evil()}, at("evil.ckpt"))
torch.save({"state_dict": state(), "x": Evil()}, at("evil-old.pth"), _use_new_zipfile_serialization=False)
# The weights of LPIPS in the files of torchvision and of its own, with few different values.
sizes = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
places = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
vgg, width = {}, 3
for place, size in zip(places, sizes):
    row = torch.arange(9).reshape(3, 3) / 100 + place
    vgg[f"features.{place}.weight"] = row.expand(size, width, 3, 3)
    vgg[f"features.{place}.bias"] = torch.tensor([place / 8]).expand(size)
    width = size
vgg["classifier.6.bias"] = torch.zeros(10)
heads = {f"lin{i}.model.1.weight": torch.tensor([i + 0.5]).expand(1, [64, 128, 256, 512, 512][i], 1, 1) for i in range(5)}
torch.save(vgg, at("vgg16.pth"), _use_new_zipfile_serialization=False)
torch.save(heads, at("lpips.pth"), _use_new_zipfile_serialization=False)
with open(at("evil.pkl"), "wb") as f:
    pickle.dump(Evil(), f, protocol=2)
torch.save(module, at("whole-module.pt"))
with zipfile.ZipFile(at("bomb.ckpt"), "w", zipfile.ZIP_DEFLATED) as z:
    z.writestr("archive/data.pkl", bytes(5_000_000))
