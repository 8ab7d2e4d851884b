"""What opposes the tokenizer: a PatchGAN discriminator (Isola et al., arXiv 1611.07004), how it is normalised, what it
sees of pictures, and its losses. Pictures are [b, 3, S, S], logits [b, 1, p, p]."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import parallel
from draws import stream


class BatchNorm(nn.Module):
    """By the statistics of the whole batch, over all processes; outside of training by those of its own rows."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        of_batch = parallel.mean_with_grad if self.training else lambda t: t
        centred = x - of_batch(x.mean((0, 2, 3), keepdim=True))
        variance = of_batch(centred.square().mean((0, 2, 3), keepdim=True))
        scale = self.gamma.view(1, -1, 1, 1) * torch.rsqrt(variance + 1e-5)
        return centred * scale + self.beta.view(1, -1, 1, 1)


class SpectralConv(nn.Conv2d):
    """A filter divided by its largest singular value, found by power iteration (Miyato et al., arXiv 1802.05957): one
    step of it an update, from a vector u that is kept."""

    def __init__(self, *args, **more) -> None:
        super().__init__(*args, **more)
        self.register_buffer("u", torch.ones(self.out_channels))
        self.register_buffer("next_u", torch.ones(self.out_channels), persistent=False)
        self.register_buffer("v", torch.zeros_like(self.weight[:1]), persistent=False)

    @torch.no_grad()
    def turn(self) -> None:
        """The directions of the present filter, which `forward` goes by and takes as constants."""
        self.v.copy_(_unit((self.weight * self.u.view(-1, 1, 1, 1)).sum(0, keepdim=True)))
        self.next_u.copy_(_unit((self.weight * self.v).sum((1, 2, 3))))

    def forward(self, x: Tensor) -> Tensor:
        sigma = (self.weight * (self.v * self.next_u.view(-1, 1, 1, 1))).sum()
        return self._conv_forward(x, self.weight / sigma, self.bias)


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum().sqrt() + 1e-12)


class Layer(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, norm: str) -> None:
        super().__init__()
        self.conv = _conv(inputs, outputs, stride, norm, bias=norm == "spectral")
        if norm == "batch":
            self.norm = BatchNorm(outputs)
        elif norm == "group":
            self.norm = nn.GroupNorm(min(32, outputs), outputs, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return F.leaky_relu(self.norm(y) if hasattr(self, "norm") else y, 0.2)


def _conv(inputs: int, outputs: int, stride: int, norm: str, bias: bool = True) -> nn.Conv2d:
    kind = SpectralConv if norm == "spectral" else nn.Conv2d
    return kind(inputs, outputs, 4, stride=stride, padding=1, bias=bias)


class Discriminator(nn.Module):
    """Pictures → logits."""

    def __init__(self, disc: dict) -> None:
        super().__init__()
        ch, layers, norm = disc["ch"], disc["layers"], disc["norm"]
        width = [ch * min(2**i, 8) for i in range(layers + 1)]
        self.conv_in = _conv(3, ch, 2, norm)
        strides = [2] * (layers - 1) + [1]
        self.layers = nn.ModuleList(Layer(width[i], width[i + 1], strides[i], norm) for i in range(layers))
        self.conv_out = _conv(width[-1], 1, 1, norm)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.conv_in(x), 0.2)
        for layer in self.layers:
            x = layer(x)
        return self.conv_out(x).float()

    def _spectral(self) -> list[tuple[str, SpectralConv]]:
        return [(name, m) for name, m in self.named_modules() if isinstance(m, SpectralConv)]

    def turn(self) -> None:
        """Before anything is judged in a step. Nothing where there is no spectral normalisation."""
        for _, conv in self._spectral():
            conv.turn()

    def keep_directions(self) -> None:
        """After an update: the next step's iteration goes on from this one's."""
        for _, conv in self._spectral():
            conv.u.copy_(conv.next_u)

    def load_directions(self, tensors: dict[str, Tensor]) -> None:
        """Those of a checkpoint that has them."""
        for name, conv in self._spectral():
            if f"disc_u.{name}.weight" in tensors:
                conv.u.copy_(tensors[f"disc_u.{name}.weight"])

    def directions(self) -> dict[str, Tensor]:
        return {f"disc_u.{name}.weight": conv.u for name, conv in self._spectral()}


class DiscriminatorLoss(nn.Module):
    """What the discriminator learns by, all in one forward pass, so that DistributedDataParallel can wrap it.

    Returns the loss with its regularisers, the loss without, and the mean logits for real and for made pictures.
    """

    def __init__(self, judge: nn.Module, disc: dict) -> None:
        super().__init__()
        self.judge = judge
        self.kind, self.lecam, self.r1 = disc["loss"], disc["lecam"], disc["r1"]

    def forward(
        self, real: Tensor, made: Tensor, anchors: Tensor, direction: Tensor | None
    ) -> tuple[Tensor, ...]:
        """@param anchors LeCam's running means of the logits for real and made pictures, [2]
        @param direction of `gradient_direction`, where there is R1"""
        on_real, on_made = self.judge(real), self.judge(made)
        plain = discriminator_loss(self.kind, on_real, on_made)
        loss = plain
        if self.lecam > 0:
            held = (on_real - anchors[1]).square().mean() + (on_made - anchors[0]).square().mean()
            loss = loss + self.lecam * held
        if direction is not None:
            loss = loss + self.r1 / 2 * r1_penalty(self.judge, direction, real)
        return loss, plain.detach(), on_real.mean().detach(), on_made.mean().detach()


def discriminator_loss(kind: str, real: Tensor, made: Tensor) -> Tensor:
    if kind == "hinge":
        return 0.5 * (F.relu(1 - real).mean() + F.relu(1 + made).mean())
    return 0.5 * (F.softplus(-real).mean() + F.softplus(made).mean())


R1_STEP = 0.01


def r1_penalty(judge: nn.Module, direction: Tensor, x: Tensor) -> Tensor:
    """Mean over pictures of ‖∇ₓ D(x)‖², its length the central difference along the gradient's own direction."""
    way = direction * R1_STEP
    slope = (judge(x + way).mean((1, 2, 3)) - judge(x - way).mean((1, 2, 3))) / (2 * R1_STEP)
    return slope.square().mean()


def gradient_direction(judge: nn.Module, x: Tensor) -> Tensor:
    """Unit vectors along ∇ₓ D(x), one for each picture."""
    at = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(judge(at).mean((1, 2, 3)).sum(), at)
    return gradient / (gradient.square().sum((1, 2, 3), keepdim=True).sqrt() + 1e-12)


class Augmentation:
    """What the discriminator sees of pictures, real and made ones alike (Zhao et al., arXiv 2006.10738): drawn by seed
    and step for each row of the whole batch, of which this process has its share."""

    def __init__(self, kinds: list[str], size: int, seed: int, device: torch.device) -> None:
        self.kinds, self.size, self.seed, self.device = kinds, size, seed, device
        self.clear()

    def clear(self) -> None:
        """Pictures are seen as they are until it is drawn again."""
        self.colour = self.rows = self.columns = self.inside = self.open = None

    def draw(self, step: int, batch: int) -> None:
        """@param batch rows of the whole batch"""
        own = range(*parallel.share(batch))
        streams = lambda kind: [stream(self.seed, "augment", kind, step, i) for i in own]  # noqa: E731
        grid = torch.arange(self.size, device=self.device)
        numbers = lambda values: torch.tensor(values, device=self.device)  # noqa: E731
        if "colour" in self.kinds:
            drawn = [(r.uniform() - 0.5, 2 * r.uniform(), 0.5 + r.uniform()) for r in streams("colour")]
            self.colour = numbers(drawn).view(-1, 3, 1, 1, 1)
        if "translation" in self.kinds:
            most = (self.size + 4) // 8  # of a side, rounded
            drawn = [
                (r.below(2 * most + 1) - most, r.below(2 * most + 1) - most) for r in streams("translation")
            ]
            sources = grid - numbers(drawn).unsqueeze(-1)  # [b, 2, S]
            within = (sources >= 0) & (sources < self.size)
            self.inside = (within[:, 0, :, None] & within[:, 1, None, :]).unsqueeze(1).float()
            self.rows, self.columns = sources.clamp(0, self.size - 1).unbind(1)
        if "cutout" in self.kinds:
            side = (self.size + 1) // 2
            corners = [[r.below(self.size + 1) - side // 2 for _ in range(2)] for r in streams("cutout")]
            covered = grid - numbers(corners).unsqueeze(-1)
            covered = (covered >= 0) & (covered < side)
            self.open = 1 - (covered[:, 0, :, None] & covered[:, 1, None, :]).unsqueeze(1).float()

    def __call__(self, x: Tensor) -> Tensor:
        if self.colour is not None:
            brighter, saturation, contrast = self.colour.unbind(1)
            x = _stretched(_stretched(x + brighter, saturation, (1,)), contrast, (1, 2, 3))
        if self.rows is not None:
            each = torch.arange(len(x), device=x.device).view(-1, 1, 1, 1)
            planes = torch.arange(x.shape[1], device=x.device).view(1, -1, 1, 1)
            x = x[each, planes, self.rows[:, None, :, None], self.columns[:, None, None, :]] * self.inside
        return x if self.open is None else x * self.open


def _stretched(x: Tensor, by: Tensor, axes: tuple[int, ...]) -> Tensor:
    mean = x.mean(axes, keepdim=True)
    return (x - mean) * by + mean
