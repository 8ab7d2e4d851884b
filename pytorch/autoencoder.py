"""Encoder and decoder, VQGAN's (Esser et al., arXiv 2012.09841, appendix) and VQ-VAE's (van den Oord et al., arXiv
1711.00937, section 4.1), with the bottleneck between them. Pictures are [b, 3, S, S] floats in [−1, 1]. Modules are
named as vqgen's parameters are."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bottlenecks import Passed, bottleneck_of, code_width


def conv(inputs: int, outputs: int, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


class ResBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = _norm(inputs, groups), conv(inputs, outputs)
        self.norm2, self.conv2 = _norm(outputs, groups), conv(outputs, outputs)
        self.shortcut = conv(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(y)))


def _norm(channels: int, groups: int) -> nn.GroupNorm:
    return nn.GroupNorm(min(groups, channels), channels, eps=1e-6)


class Attention(nn.Module):
    """Of one head over the positions, with a residual connection."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.norm = _norm(channels, groups)
        self.query, self.key, self.value, self.out = (conv(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k, v = (f(y).flatten(2).transpose(1, 2).unsqueeze(1) for f in (self.query, self.key, self.value))
        mixed = F.scaled_dot_product_attention(q, k, v)  # [b, 1, H·W, C]
        return x + self.out(mixed.squeeze(1).transpose(1, 2).reshape(x.shape))


class Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, groups: int, attention: bool) -> None:
        super().__init__()
        self.res = ResBlock(inputs, outputs, groups)
        self.attention = Attention(outputs, groups) if attention else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(self.res(x))


class Middle(nn.Module):
    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.res1 = ResBlock(channels, channels, groups)
        self.attention = Attention(channels, groups)
        self.res2 = ResBlock(channels, channels, groups)

    def forward(self, x: Tensor) -> Tensor:
        return self.res2(self.attention(self.res1(x)))


class Down(nn.Conv2d):
    """3×3, stride 2; of an even side padded at its right and bottom only, as TensorFlow does."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (0, 1, 0, 1)))


class Up(nn.Conv2d):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Transposed(nn.ConvTranspose2d):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 4, stride=2, padding=1)


class Level(nn.Module):
    def __init__(self, blocks: list[Block], down: int | None = None, up: int | None = None) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.down = nn.Identity() if down is None else Down(down)
        self.up = nn.Identity() if up is None else Up(up, up)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(self.blocks(x)))


class Encoder(nn.Module):
    """Pictures → z [b, D, h, w]."""

    def __init__(self, config: dict) -> None:
        super().__init__()
        size, s = config["data"]["size"], config["stage1"]
        ch, mults, groups = s["ch"], s["ch_mult"], s["norm_groups"]
        self.conv_in = conv(3, ch)
        self.levels = nn.ModuleList()
        channels = ch
        for level, mult in enumerate(mults):
            blocks = []
            for _ in range(s["num_res_blocks"]):
                blocks.append(Block(channels, ch * mult, groups, size >> level in s["attn_resolutions"]))
                channels = ch * mult
            self.levels.append(Level(blocks, down=channels if level < len(mults) - 1 else None))
        self.middle = Middle(channels, groups)
        self.norm_out = _norm(channels, groups)
        self.conv_out = conv(channels, s["z_channels"])
        self.embed = conv(s["z_channels"], code_width(s), 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level in self.levels:
            x = level(x)
        return self.embed(self.conv_out(F.silu(self.norm_out(self.middle(x)))))


class Painter(nn.Module):
    """A decoder: what the bottleneck gives, [b, D, h, w], → features, of which `picture` makes pictures."""

    last: nn.Module

    def __init__(self, config: dict) -> None:
        super().__init__()
        self.filters = config["stage1"]["filter"] == "photo"

    def picture(self, features: Tensor) -> Tensor:
        x = self.last(features).float()
        return photo_filter(x) if self.filters else x


class Decoder(Painter):
    """Of VQGAN; its features are [b, ch, S, S]."""

    def __init__(self, config: dict) -> None:
        super().__init__(config)
        size, s = config["data"]["size"], config["stage1"]
        ch, mults, groups = s["ch"], s["ch_mult"], s["norm_groups"]
        channels = ch * mults[-1]
        self.embed = conv(code_width(s), s["z_channels"], 1)
        self.conv_in = conv(s["z_channels"], channels)
        self.middle = Middle(channels, groups)
        self.levels = nn.ModuleList()
        for level, mult in reversed(list(enumerate(mults))):
            blocks = []
            for _ in range(s["num_res_blocks"] + 1):
                blocks.append(Block(channels, ch * mult, groups, size >> level in s["attn_resolutions"]))
                channels = ch * mult
            self.levels.append(Level(blocks, up=channels if level > 0 else None))
        self.norm_out = _norm(channels, groups)
        self.conv_out = conv(channels, 3)

    @property
    def last(self) -> nn.Module:
        return self.conv_out

    def forward(self, q: Tensor) -> Tensor:
        x = self.middle(self.conv_in(self.embed(q)))
        for level in self.levels:
            x = level(x)
        return F.silu(self.norm_out(x))


class Residual(nn.Module):
    """x + 1×1(ReLU(3×3(ReLU(x)))), 3×3 to a quarter of the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 4)
        self.conv1, self.conv2 = conv(channels, inner), conv(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


class StridedEncoder(nn.Module):
    """Pictures → z [b, D, h, w], without norms and attention."""

    def __init__(self, config: dict) -> None:
        super().__init__()
        s = config["stage1"]
        widths = [s["ch"] * mult for mult in s["ch_mult"]]
        before = [3, *widths[:-2]]
        halvings = zip(before, widths[:-1])
        self.halvings = nn.ModuleList(nn.Conv2d(i, o, 4, stride=2, padding=1) for i, o in halvings)
        self.conv_out = conv(widths[-2] if len(widths) > 1 else 3, widths[-1])
        self.blocks = nn.Sequential(*(Residual(widths[-1]) for _ in range(s["num_res_blocks"])))
        self.embed = conv(widths[-1], code_width(s), 1)

    def forward(self, x: Tensor) -> Tensor:
        for halving in self.halvings:
            x = F.relu(halving(x))
        return self.embed(F.relu(self.blocks(self.conv_out(x))))


class StridedDecoder(Painter):
    """The same backwards; its last doubling makes the picture."""

    def __init__(self, config: dict) -> None:
        super().__init__(config)
        s = config["stage1"]
        width, after = s["ch"] * s["ch_mult"][-1], [s["ch"] * mult for mult in s["ch_mult"][:-2]]
        self.conv_in = conv(code_width(s), width)
        self.blocks = nn.Sequential(*(Residual(width) for _ in range(s["num_res_blocks"])))
        widths = [width, *reversed(after), 3]
        double = Up if s["upsampling"] == "nearest" else Transposed
        self.doublings = nn.ModuleList(double(i, o) for i, o in zip(widths, widths[1:]))

    @property
    def last(self) -> nn.Module:
        return self.doublings[-1]

    def forward(self, q: Tensor) -> Tensor:
        x = F.relu(self.blocks(self.conv_in(q)))
        for doubling in self.doublings[:-1]:
            x = F.relu(doubling(x))
        return x


NETWORKS = {"vqgan": (Encoder, Decoder), "strided": (StridedEncoder, StridedDecoder)}


def photo_filter(x: Tensor) -> Tensor:
    """Nothing that changes from each pixel to the next gets through, and colour only half as fine as brightness;
    beyond its border a picture goes on as it is there."""
    luma = (x * x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    colour, brightness = x - luma, luma
    for axis in (2, 3):
        for _ in range(2):
            colour = colour + _bent(colour, axis) / 4
        brightness = brightness - _bent(_bent(brightness, axis), axis) / 16
    return brightness + colour


def _bent(x: Tensor, axis: int) -> Tensor:
    """Second differences."""
    n = x.shape[axis]
    before = torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, n - 1)], axis)
    after = torch.cat([x.narrow(axis, 1, n - 1), x.narrow(axis, n - 1, 1)], axis)
    return before - 2 * x + after


class Tokenizer(nn.Module):
    """Pictures → z, what the bottleneck makes of it, and pictures again. In training with the step (1-based) and the
    first that quantises."""

    def __init__(self, config: dict) -> None:
        super().__init__()
        encoder, decoder = NETWORKS[config["stage1"]["network"]]
        self.encoder = encoder(config)
        self.bottleneck = bottleneck_of(config)
        self.decoder = decoder(config)

    def forward(self, x: Tensor, step: int | None = None, first: int = 1) -> tuple[Tensor, Passed, Tensor]:
        z, passed, features = self.features(x, step, first)
        return z, passed, self.decoder.picture(features)

    def features(self, x: Tensor, step: int | None = None, first: int = 1) -> tuple[Tensor, Passed, Tensor]:
        """With what the decoder's last layer takes, in the place of pictures."""
        z = self.encoder(x).float()
        with torch.autocast(x.device.type, enabled=False):
            passed = self.bottleneck(z, step, first)
        return z, passed, self.decoder(passed.output)
