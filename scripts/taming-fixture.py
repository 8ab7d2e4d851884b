"""Makes the checkpoints of tests/exchange/fixtures that taming-transformers' own classes write, and what these compute with them.

    git clone https://github.com/CompVis/taming-transformers ../taming-transformers
    python3 scripts/taming-fixture.py ../taming-transformers tests/exchange/fixtures

Needs PyTorch and nothing else: what the classes import besides is stood in for. Weights are views of one storage of seeded random numbers,
so that files stay small; pictures are waves (tests/support/wave.ts).
"""
import importlib
import json
import os
import re
import sys
import tempfile
import types

import numpy
import torch


def stand_in(name, **members):
    module = types.ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module
    return module


def instantiate_from_config(config):
    module, name = config["target"].rsplit(".", 1)
    return getattr(importlib.import_module(module), name)(**config.get("params", {}))


def published(repository):
    """Makes the published classes importable."""
    sys.path.insert(0, repository)
    stand_in("pytorch_lightning", LightningModule=torch.nn.Module)
    stand_in("main", instantiate_from_config=instantiate_from_config)
    stand_in("transformers", top_k_top_p_filtering=None)
    stand_in("torchvision", models=types.SimpleNamespace(vgg16=vgg16))
    stand_in("taming.util", get_ckpt_path=lambda *_: None)
    try:
        import einops  # noqa: F401
    except ImportError:
        stand_in("einops", rearrange=rearrange)


def rearrange(x, pattern, **sizes):
    """The patterns that quantize.py uses."""
    if pattern == "b c h w -> b h w c":
        return x.permute(0, 2, 3, 1)
    if pattern == "b h w c -> b c h w":
        return x.permute(0, 3, 1, 2)
    if pattern == "n d -> d n":
        return x.t()
    if pattern == "(b h w) -> b h w":
        return x.reshape(sizes["b"], sizes["h"], sizes["w"])
    raise NotImplementedError(pattern)


def vgg16(pretrained=False):
    """The layers of torchvision's, with random weights."""
    layers, width = [], 3
    for v in [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]:
        if v == "M":
            layers.append(torch.nn.MaxPool2d(2, 2))
        else:
            layers += [torch.nn.Conv2d(width, v, 3, padding=1), torch.nn.ReLU(inplace=True)]
            width = v
    return types.SimpleNamespace(features=torch.nn.Sequential(*layers))


def wave(shape, step):
    count = torch.Size(shape).numel()
    return torch.sin(torch.arange(count, dtype=torch.float64) * step).float().reshape(shape)


def fill(model, seed, size=40_000):
    """Random weights for every parameter, as views of one storage."""
    torch.manual_seed(seed)
    base = torch.randn(size) * 0.06
    state = {}
    at = 0
    for name, old in model.state_dict().items():
        if old.dtype != torch.float32 or name.endswith("mask"):
            state[name] = old
            continue
        count = old.numel()
        if at + count > size:
            at = (at * 7 + 13) % 997
        assert at + count <= size, (name, count)
        view = base[at : at + count].view(old.shape)
        at += count
        is_scale = old.dim() == 1 and name.endswith("weight") or name.endswith("running_var")
        if is_scale:
            view = view.abs() + 0.5
        elif re.search(r"quantize\.embed", name):
            view = view * 4
        state[name] = view
    model.load_state_dict(state, strict=True)
    return state


@torch.no_grad()
def spread_codes(model, state, prefix="", images=None):
    """Codes among what the encoder gives, so that pictures have many of them."""
    images = wave([4, 16, 16, 3], 0.37).permute(0, 3, 1, 2) if images is None else images
    z = model.quant_conv(model.encoder(images))
    rows = z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])
    gumbel = hasattr(model.quantize, "proj")
    table = model.quantize.embed.weight if gumbel else model.quantize.embedding.weight
    codes = rows[(torch.arange(len(table)) * 37) % len(rows)] + 0.002 * torch.randn(table.shape)
    state[f"{prefix}quantize.{'embed' if gumbel else 'embedding'}.weight"] = codes
    if gumbel:
        state[f"{prefix}quantize.proj.weight"] = codes[:, :, None, None].clone()
        state[f"{prefix}quantize.proj.bias"] = -codes.square().sum(1) / 2
    model.load_state_dict({n[len(prefix) :]: v for n, v in state.items() if n.startswith(prefix)}, strict=not prefix)
    return state


def save(file, state, **more):
    torch.save({"epoch": 1, "global_step": 7, "state_dict": state, **more}, file)


def numbers(tensor):
    return [float(f"{v:.8g}") for v in tensor.detach().double().flatten().tolist()]


def sampled(tensor):
    """Length, and values at 16 places."""
    flat = tensor.detach().flatten()
    places = [(i * 7919) % flat.numel() for i in range(16)]
    return {"norm": float(flat.double().norm()), "values": numbers(flat[places])}


def tokenizer_config(**more):
    config = {
        "embed_dim": 6,
        "n_embed": 48,
        "ddconfig": {
            "double_z": False,
            "z_channels": 8,
            "resolution": 16,
            "in_channels": 3,
            "out_ch": 3,
            "ch": 32,
            "ch_mult": [1, 2],
            "num_res_blocks": 1,
            "attn_resolutions": [8],
            "dropout": 0.0,
        },
        "lossconfig": {"target": "taming.modules.losses.vqperceptual.DummyLoss"},
    }
    return {**config, **more}


def main(repository, out):
    published(repository)
    from taming.models.cond_transformer import Net2NetTransformer
    from taming.models.vqgan import GumbelVQ, VQModel
    from taming.modules.discriminator.model import NLayerDiscriminator

    at = lambda name: os.path.join(out, name)

    def yaml(file, target, params, **data):
        model = {"base_learning_rate": 4.5e-6, "target": target, "params": params}
        with open(at(file), "w") as f:
            json.dump({"model": model, **data}, f, indent=1)  # JSON is YAML.

    images = wave([2, 16, 16, 3], 0.7).permute(0, 3, 1, 2)
    torch.manual_seed(0)

    # 1. VQModel with a discriminator beside it.
    params = tokenizer_config()
    model = VQModel(**params)
    model.loss.discriminator = NLayerDiscriminator(ndf=8, n_layers=2)
    state = spread_codes(model, fill(model, 1))
    save(at("vqgan.ckpt"), state)
    loss = {
        "target": "taming.modules.losses.vqperceptual.VQLPIPSWithDiscriminator",
        "params": {"disc_start": 5, "disc_ndf": 8, "disc_num_layers": 2, "disc_weight": 0.6},
    }
    data = {"data": {"target": "main.DataModuleFromConfig", "params": {"batch_size": 2}}}
    yaml("vqgan.yaml", "taming.models.vqgan.VQModel", {**params, "lossconfig": loss}, **data)
    model.train()
    reconstruction, quantisation = model(images)
    total = (images - reconstruction).abs().mean() + quantisation
    total.backward()
    codes = model.encode(images)[2][2]
    logits = model.loss.discriminator(images)
    gradients = {n: sampled(p.grad) for n, p in model.named_parameters() if p.grad is not None}
    write(
        at("vqgan.json"),
        codes=codes.flatten().tolist(),
        reconstruction=numbers(reconstruction.permute(0, 2, 3, 1)),
        loss=total.item(),
        gradients=gradients,
        discriminator=numbers(logits.permute(0, 2, 3, 1)),
    )

    # 2. The same weights in half precision, without a discriminator: nothing tells more than the shapes.
    base = state["decoder.conv_in.weight"]._base
    half = base.half()
    view = lambda v: half.as_strided(v.shape, v.stride(), v.storage_offset()) if v._base is base else v.half()
    save(at("vqgan-half.pt"), {n: view(v) for n, v in state.items() if "discriminator" not in n})

    # 3. A tokenizer that knows some of its codes only, and another shape of everything.
    used = torch.tensor([3, 40, 7, 11, 0, 25, 33, 18, 29, 6])
    remap = os.path.join(tempfile.mkdtemp(), "used.npy")
    numpy.save(remap, used.numpy())
    params = tokenizer_config(remap=remap, embed_dim=8, n_embed=41)
    params["ddconfig"] = {**params["ddconfig"], "ch_mult": [1, 1, 1], "num_res_blocks": 2, "attn_resolutions": [], "z_channels": 5}
    model = VQModel(**params)
    save(at("remapped.ckpt"), spread_codes(model, fill(model, 2)))
    model.eval()
    quant, _, (_, _, codes) = model.encode(images)
    everything = model.quantize
    everything.remap = None
    nearest = model.encode(images)[2][2]
    everything.remap = "yes"
    shape = (2, quant.shape[2], quant.shape[3], quant.shape[1])
    ids = (torch.arange(32) * 3) % 10
    decoded = model.decode(model.quantize.get_codebook_entry(ids, shape))
    write(
        at("remapped.json"),
        used=used.tolist(),
        nearest=nearest.flatten().tolist(),
        ids=ids.tolist(),
        decoded=numbers(decoded.permute(0, 2, 3, 1)),
    )

    # 4. GumbelVQ: the codes are those of the highest score.
    schedule = {
        "target": "taming.lr_scheduler.LambdaWarmUpCosineScheduler",
        "params": {"warm_up_steps": 0, "lr_min": 0.1, "lr_max": 1.0, "lr_start": 1.0, "max_decay_steps": 100},
    }
    params = tokenizer_config(embed_dim=8, n_embed=30, temperature_scheduler_config=schedule, kl_weight=1e-8)
    params["ddconfig"] = {**params["ddconfig"], "ch_mult": [1, 1], "attn_resolutions": []}
    model = GumbelVQ(**params)
    save(at("gumbel.ckpt"), spread_codes(model, fill(model, 3)))
    yaml("gumbel.yaml", "taming.models.vqgan.GumbelVQ", params)
    model.eval()
    z = model.encode_to_prequant(images)
    codes = model.quantize.proj(z).argmax(1)
    decoded = model.decode(model.quantize.get_codebook_entry(codes.flatten(), (2, 8, 8, 8)))
    write(at("gumbel.json"), codes=codes.flatten().tolist(), reconstruction=numbers(decoded.permute(0, 2, 3, 1)))

    # 5. A transformer with more tokens and positions than there are codes and places, after a start token of its own choice.
    stage1 = tokenizer_config()
    stage1["ddconfig"] = {**stage1["ddconfig"], "ch_mult": [1, 1], "attn_resolutions": []}
    params = {
        "cond_stage_key": "image",
        "sos_token": 5,
        "unconditional": True,
        "transformer_config": {
            "target": "taming.modules.transformer.mingpt.GPT",
            "params": {"vocab_size": 50, "block_size": 70, "n_layer": 4, "n_head": 4, "n_embd": 32},
        },
        "first_stage_config": {"target": "taming.models.vqgan.VQModel", "params": stage1},
        "cond_stage_config": "__is_unconditional__",
    }
    model = Net2NetTransformer(**params).eval()
    state = fill(model, 4, 30_000)
    save(at("transformer.ckpt"), spread_codes(model.first_stage_model, state, "first_stage_model."))
    yaml("transformer.yaml", "taming.models.cond_transformer.Net2NetTransformer", params)
    with torch.no_grad():
        logits, target = model(images, images)
    write(at("transformer.json"), codes=target.flatten().tolist(), logits=numbers(logits[0]), last=numbers(logits[1, -1]))

    # 6. A transformer that is told depth, 4 × 4 codes of maps half as large as the pictures.
    depth = tokenizer_config(n_embed=40)
    depth["ddconfig"] = {**depth["ddconfig"], "in_channels": 1, "out_ch": 1, "resolution": 8, "ch_mult": [1, 1]}
    depth["ddconfig"]["attn_resolutions"] = [4]
    told = lambda count, step: wave([count, 8, 8, 1], step).permute(0, 3, 1, 2)
    conditional(at, yaml, "depth", 5, depth, "VQModel", [told(4, 0.29), told(2, 0.53)], images, vocabulary=50, block=40)

    # 7. One that is told segmentations, 8 × 8 codes, more than there are of pictures.
    labels = 6
    segmentation = tokenizer_config(n_embed=60, n_labels=labels, image_key="segmentation")
    planes = {"in_channels": labels, "out_ch": labels, "ch_mult": [1, 1], "attn_resolutions": []}
    segmentation["ddconfig"] = {**segmentation["ddconfig"], **planes}

    def told(count, step):
        label = ((wave([count, 16, 16], step) + 1) * labels / 2).long().clamp(0, labels - 1)
        return torch.nn.functional.one_hot(label, labels).permute(0, 3, 1, 2).float()

    maps = [told(4, 0.29), told(2, 0.53)]
    conditional(at, yaml, "segmentation", 6, segmentation, "VQSegmentationModel", maps, images, vocabulary=64, block=79)


def conditional(at, yaml, key, seed, cond_stage, target, maps, images, vocabulary, block):
    """A transformer of pictures with 4 × 4 codes that is told maps: those that its codes are spread among, and two others."""
    from taming.models.cond_transformer import Net2NetTransformer

    stage1 = tokenizer_config()
    stage1["ddconfig"] = {**stage1["ddconfig"], "ch_mult": [1, 1, 1], "attn_resolutions": []}
    params = {
        "cond_stage_key": key,
        "transformer_config": {
            "target": "taming.modules.transformer.mingpt.GPT",
            "params": {"vocab_size": vocabulary, "block_size": block, "n_layer": 2, "n_head": 4, "n_embd": 32},
        },
        "first_stage_config": {"target": "taming.models.vqgan.VQModel", "params": stage1},
        # Codes of a batch by its pictures: else encode_to_c has them end to end, which forward cannot join.
        "cond_stage_config": {"target": f"taming.models.vqgan.{target}", "params": {**cond_stage, "sane_index_shape": True}},
    }
    model = Net2NetTransformer(**params).eval()
    state = spread_codes(model.first_stage_model, fill(model, seed, 12_000), "first_stage_model.")
    save(at(f"{key}.ckpt"), spread_codes(model.cond_stage_model, state, "cond_stage_model.", maps[0]))
    yaml(f"{key}.yaml", "taming.models.cond_transformer.Net2NetTransformer", params)
    with torch.no_grad():
        logits, target = model(images, maps[1])
        _, told = model.encode_to_c(maps[1])
        decoded = model.cond_stage_model.decode(model.cond_stage_model.encode(maps[1])[0])
    write(
        at(f"{key}.json"),
        codes=target.flatten().tolist(),
        told=told.flatten().tolist(),
        decoded=numbers(decoded[0].permute(1, 2, 0)),
        logits=numbers(logits),
    )


def write(file, **values):
    with open(file, "w") as f:
        json.dump(values, f, separators=(",", ":"))
        f.write("\n")


if __name__ == "__main__":
    with torch.random.fork_rng():
        main(*sys.argv[1:])
