"""What stands between encoder and decoder: codes, and the care for their codebook.

Each kind computes what vqgen's does. Sums that make or move codes are those of the whole batch, over all processes,
while a module is in training; else each process looks at its own rows alone.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import parallel
from draws import permutation, stream


class Passed(NamedTuple):
    """One pass through a bottleneck."""

    output: Tensor  # what the decoder sees, [b, D, h, w]
    codes: Tensor  # int64 [b, h, w]
    loss: Tensor  # the terms' weighted sum, a scalar
    terms: dict[str, Tensor]  # unweighted scalars by their names in the metrics


def code_width(stage1: dict) -> int:
    """D: channels between encoder and decoder."""
    kind = stage1["bottleneck"]["kind"]
    if kind == "fsq":
        return len(stage1["bottleneck"]["levels"])
    return _bits(stage1["codes"]) if kind == "lfq" else stage1["embed_dim"]


def code_count(stage1: dict) -> int:
    """K."""
    fsq = stage1["bottleneck"]["kind"] == "fsq"
    return math.prod(stage1["bottleneck"]["levels"]) if fsq else stage1["codes"]


def bottleneck_of(config: dict) -> nn.Module:
    """Its forward: z [b, D, h, w] → Passed; in training also the step (1-based) and the first that quantises."""
    stage1 = config["stage1"]
    kind = stage1["bottleneck"]["kind"]
    if kind == "fsq":
        return FiniteScalars(stage1)
    if kind == "lfq":
        return LookupFree(stage1)
    if kind in ("nearest", "ema", "cosine"):
        side = config["data"]["size"] >> (len(stage1["ch_mult"]) - 1)
        return Codebook(stage1, rows=stage1["batch_size"] * side * side, seed=config["seed"])
    raise SystemExit(
        f"Expected nearest, ema, cosine, fsq or lfq for stage1.bottleneck.kind but received {kind}."
    )


class Codebook(nn.Module):
    """The nearest row of a learned codebook: moved by gradient (`nearest`, `cosine`: by angle) or as the running
    averages of what chooses them (`ema`, van den Oord et al., arXiv 1711.00937, A.1, counts smoothed).

    @param rows encoder outputs of the whole batch
    """

    def __init__(self, stage1: dict, rows: int, seed: int) -> None:
        super().__init__()
        self.kind = stage1["bottleneck"]["kind"]
        self.rotates = stage1["bottleneck"]["gradient"] == "rotation"
        self.decay = stage1["bottleneck"]["decay"]
        self.beta, self.legacy = stage1["beta"], stage1["legacy_beta"]
        self.from_data = stage1["codebook"]["init"] == "data"
        self.restart_after = stage1["codebook"]["restart_after"]
        self.rows, self.seed = rows, seed
        codes, width = stage1["codes"], stage1["embed_dim"]
        self.codebook = nn.Parameter(torch.zeros(codes, width), requires_grad=self.kind != "ema")
        self.register_buffer("idle", torch.zeros(codes))  # steps since a code was last chosen
        self.register_buffer("counts", torch.ones(codes))  # how often a code is chosen in a step, on average

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """What is kept beside parameters, of a checkpoint that has it."""
        for name, buffer in (("codebook_idle", self.idle), ("codebook_counts", self.counts)):
            if name in tensors:
                buffer.copy_(tensors[name])

    def dump_state(self) -> dict[str, Tensor]:
        state = {"codebook_idle": self.idle} if self.restart_after > 0 else {}
        return {**state, "codebook_counts": self.counts} if self.kind == "ema" else state

    def forward(self, z: Tensor, step: int | None = None, first: int = 1) -> Passed:
        z = z.movedim(1, -1)  # [b, h, w, D]
        if self.kind == "cosine":
            z = _on_sphere(z)
        if step == first and self.from_data:
            with torch.no_grad():
                self.codebook.copy_(self._outputs(z, step))
        active = 1.0 if step is None or step >= first or not self.from_data else 0.0
        book = _on_sphere(self.codebook) if self.kind == "cosine" else self.codebook
        codes = nearest(z, book)
        q = F.embedding(codes, book)
        terms = {"commitment": active * F.mse_loss(z, q.detach())}
        if self.kind == "ema":
            loss = (1.0 if self.legacy else self.beta) * terms["commitment"]
        else:
            terms = {"codebook": active * F.mse_loss(q, z.detach()), **terms}
            weights = (self.beta, 1.0) if self.legacy else (1.0, self.beta)
            loss = weights[0] * terms["codebook"] + weights[1] * terms["commitment"]
        seen = q if active else z
        output = rotated(z, seen) if self.rotates else straight_through(z, seen)
        return Passed(output.movedim(-1, 1), codes, loss, terms)

    @torch.no_grad()
    def after(self, z: Tensor, codes: Tensor, step: int, first: int) -> Tensor | None:
        """What moves codes beside the optimiser, after it: averages, and restarts of codes that nothing chose.

        @param z [b, D, h, w] of the pass. @param codes its codes
        @returns bool [K], codes that hold an encoder output since this step; None: no code does
        """
        z = z.movedim(1, -1)
        if self.kind == "cosine":
            z = _on_sphere(z)
        active = step >= first or not self.from_data
        fresh = torch.full_like(self.idle, step == first and self.from_data, dtype=torch.bool)
        flat = codes.reshape(-1)
        uses = parallel.total(
            torch.zeros_like(self.idle).index_add_(0, flat, torch.ones_like(flat, dtype=z.dtype))
        )
        if self.kind == "ema" and active:
            self._follow(z.reshape(len(flat), -1), flat, uses)
        if self.restart_after > 0:
            self.idle.add_(1 if active else 0).mul_(uses == 0)
            dead = self.idle >= self.restart_after
            if dead.any():
                self.codebook[dead] = self._outputs(z, step)[dead]
                self.idle[dead] = 0
                fresh |= dead
        if not fresh.any():
            return None
        self.counts[fresh] = 1
        return fresh

    def _follow(self, rows: Tensor, codes: Tensor, uses: Tensor) -> None:
        sums = parallel.total(torch.zeros_like(self.codebook).index_add_(0, codes, rows))
        counts = self.decay * self.counts + (1 - self.decay) * uses
        kept = self.codebook * (self.decay * _smoothed(self.counts))
        self.codebook.copy_((kept + (1 - self.decay) * sums) / _smoothed(counts))
        self.counts.copy_(counts)

    def _outputs(self, z: Tensor, step: int) -> Tensor:
        """[K, D]: for each code the row of the whole batch's encoder outputs that vqgen draws for it."""
        order = permutation(self.rows, stream(self.seed, "pick", step))
        picks = torch.tensor([order[code % self.rows] for code in range(len(self.codebook))], device=z.device)
        begin, end = parallel.share(self.rows)
        own = ((picks >= begin) & (picks < end)).unsqueeze(1)
        rows = z.detach().reshape(end - begin, -1)[(picks - begin).clamp(0, end - begin - 1)]
        return parallel.total(rows * own)


def nearest(z: Tensor, book: Tensor) -> Tensor:
    """z [..., D], book [K, D] → int64 [...]: argmin over k of ‖z − eₖ‖², the first of equals; no gradient."""
    with torch.no_grad():
        distances = book.square().sum(1) - 2 * (z.reshape(-1, z.shape[-1]) @ book.t())
        return distances.argmin(1).reshape(z.shape[:-1])


def straight_through(z: Tensor, q: Tensor) -> Tensor:
    """The value of q, to the bit, with the gradient passed on to z unchanged."""
    return q.detach() + (z - z.detach())


def rotated(z: Tensor, q: Tensor) -> Tensor:
    """The value of q, read as λRz, R the rotation of z onto q and λ = ‖q‖ / ‖z‖ taken as constants (Fifty et al.,
    arXiv 2410.06424, eq. 4)."""
    with torch.no_grad():
        start, end = _unit(z), _unit(q)
        between = _unit(start + end)
        ratio = _length(q) / _length(z)
    along = lambda direction: (direction * z).sum(-1, keepdim=True)  # noqa: E731
    turned = ratio * (z - 2 * between * along(between) + 2 * end * along(start))
    return q.detach() + (turned - turned.detach())


def _length(x: Tensor) -> Tensor:
    return x.square().sum(-1, keepdim=True).sqrt().clamp_min(1e-6)


def _unit(x: Tensor) -> Tensor:
    return x / _length(x)


def _on_sphere(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-12)


def _smoothed(counts: Tensor) -> Tensor:
    """Counts [K] → [K, 1], as if each code were chosen 1e-5 times besides."""
    total = counts.sum()
    return ((counts + 1e-5) * (total / (total + len(counts) * 1e-5))).unsqueeze(1)


class FiniteScalars(nn.Module):
    """Each number rounded to one of a few levels (Mentzer et al., arXiv 2309.15505); no loss term, no parameters."""

    def __init__(self, stage1: dict) -> None:
        super().__init__()
        levels = stage1["bottleneck"]["levels"]
        half = [(n - 1) * (1 - 1e-3) / 2 for n in levels]
        offset = [0.5 if n % 2 == 0 else 0.0 for n in levels]
        shift = [math.tan(o / h) for o, h in zip(offset, half)]
        width = [float(n // 2) for n in levels]
        values = {"reach": half, "offset": offset, "shift": shift, "width": width, "places": _places(levels)}
        for name, numbers in values.items():
            self.register_buffer(name, torch.tensor(numbers), persistent=False)

    def forward(self, z: Tensor, step: int | None = None, first: int = 1) -> Passed:
        bounded = torch.tanh(z.movedim(1, -1) + self.shift) * self.reach - self.offset
        whole = torch.floor(bounded.detach() + 0.5)
        codes = ((whole + self.width) * self.places).sum(-1).long()
        output = straight_through(bounded, whole) * (1 / self.width)
        return Passed(output.movedim(-1, 1), codes, z.new_zeros(()), {})


class LookupFree(nn.Module):
    """Each number is a bit of its code (Yu et al., arXiv 2310.05737, §3.1): every choice sure, all codes used."""

    def __init__(self, stage1: dict) -> None:
        super().__init__()
        self.bits = _bits(stage1["codes"])
        self.beta = stage1["beta"]
        self.entropy_weight = stage1["bottleneck"]["entropy_weight"]
        self.temperature = stage1["bottleneck"]["temperature"]
        self.register_buffer("places", torch.tensor(_places([2] * self.bits)), persistent=False)

    def forward(self, z: Tensor, step: int | None = None, first: int = 1) -> Passed:
        z = z.movedim(1, -1)
        ones = (z > 0).to(z.dtype)
        q = 2 * ones - 1
        logits = z.reshape(-1, self.bits) * (4 / self.temperature)
        terms = {
            "commitment": F.mse_loss(z, q),
            "entropy": _choice_entropy(logits),
            "codebook_entropy": self._usage_entropy(logits),
        }
        entropies = self.entropy_weight * (terms["entropy"] - terms["codebook_entropy"])
        codes = (ones * self.places).sum(-1).long()
        loss = self.beta * terms["commitment"] + entropies
        return Passed(straight_through(z, q).movedim(-1, 1), codes, loss, terms)

    def _usage_entropy(self, x: Tensor) -> Tensor:
        """H(E[p(·|z)]): the mean share of each pair of first and last bits is a product of two matrices."""
        ones = torch.sigmoid(x).split(1, dim=1)
        half = self.bits // 2
        used = _shares(ones[:half], x).t() @ _shares(ones[half:], x) / len(x)
        if self.training:
            used = parallel.mean_with_grad(used)
        return -(used * torch.log(used.clamp_min(1e-12))).sum()


def _choice_entropy(x: Tensor) -> Tensor:
    """E[H(p(·|z))] of logits of independent bits, [N, D]."""
    size = x.abs()
    return (F.softplus(-size) + size * torch.sigmoid(-size)).sum(-1).mean()


def _shares(bits: tuple[Tensor, ...], x: Tensor) -> Tensor:
    """P(bit = 1) of some bits, [N, 1] each → shares of all their combinations, [N, 2^bits]."""
    shares = x.new_ones(len(x), 1)
    for one in bits:
        shares = torch.cat([shares * (1 - one), shares * one], 1)
    return shares


def _bits(codes: int) -> int:
    return round(math.log2(codes))


def _places(levels: list[int]) -> list[float]:
    """What one step of each digit counts, the first place counting ones."""
    return [float(math.prod(levels[:i])) for i in range(len(levels))]
