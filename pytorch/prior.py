"""Priors over the codes of pictures: a GPT, which reads them one after another (Esser et al., arXiv
2012.09841), and a MaskGIT, which fills masked ones from all others (Chang et al., arXiv 2202.04200); and
their training.

Shapes: b canvases of this process, T cells, S tokens that the network reads, K codes, C classes, D width, H
heads, E = D/H. Names of parameters are those of vqgen's checkpoints.
"""

from __future__ import annotations

import math
import re
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import parallel
import store
from draws import hash_of
from store import Tensors
from tokens import (
    Fed,
    Given,
    Grid,
    Steps,
    Tokens,
    gpt_by_rows,
    gpt_train,
    maskgit_train,
    maskgit_validation,
    validation_batches,
)

Turns = tuple[Tensor, Tensor]  # cosine and sine, each [T, E/2] or [b, 1, T, E/2]


# Transformer


class RmsNorm(nn.RMSNorm):
    """In float32 also under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float())


def norm_of(kind: str, width: int) -> nn.Module:
    return nn.LayerNorm(width) if kind == "layer" else RmsNorm(width, eps=1e-6)


class Block(nn.Module):
    """The norms stand before the two branches (Radford et al., GPT-2)."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width, self.heads, self.mlp = config["width"], config["heads"], config["mlp"]
        gated = self.mlp == "swiglu"
        hidden = 32 * math.ceil(8 * width / 3 / 32) if gated else 4 * width
        self.norm1 = norm_of(config["norm"], width)
        self.qkv = nn.Linear(width, 3 * width)
        if config["qk_norm"]:
            self.query_norm = norm_of("rms", width // self.heads)
            self.key_norm = norm_of("rms", width // self.heads)
        self.out = nn.Linear(width, width)
        self.norm2 = norm_of(config["norm"], width)
        self.expand = nn.Linear(width, 2 * hidden if gated else hidden)
        self.contract = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(config["dropout"])

    def forward(self, x: Tensor, turns: Turns | None, causal: bool) -> Tensor:
        x = x + self.dropout(self.attend(self.norm1(x), turns, causal))  # [b, S, D]
        return x + self.dropout(self.contract(self.activation(self.expand(self.norm2(x)))))

    def attend(self, x: Tensor, turns: Turns | None, causal: bool) -> Tensor:
        batch, tokens, width = x.shape
        by_head = self.qkv(x).view(batch, tokens, 3, self.heads, -1)
        q, k, v = by_head.permute(2, 0, 3, 1, 4)  # each [b, H, S, E]
        if hasattr(self, "query_norm"):
            q, k = self.query_norm(q), self.key_norm(k)
        if turns is not None:
            q, k = turned(q, turns), turned(k, turns)
        mixed = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, is_causal=causal)
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))

    def activation(self, x: Tensor) -> Tensor:
        if self.mlp == "gelu":
            return F.gelu(x)
        if self.mlp == "relu2":
            return F.relu(x).square()
        a, b = x.chunk(2, -1)
        return F.silu(a) * b


def turned(x: Tensor, turns: Turns) -> Tensor:
    """Rotary positions (Su et al., arXiv 2104.09864) of x [b, H, S, E]; numbers i and i + E/2 are a pair."""
    cos, sin = turns
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def turns_of(places: list[tuple[float, float]], per_head: int) -> Turns:
    """Of places in rows and columns: half of a head's pairs turn by the row, half by the column."""
    each = per_head // 4
    rates = [100 ** (-j / each) for j in range(each)]
    angles = [[at * rate for at in place for rate in rates] for place in places]
    cos, sin = ([[f(angle) for angle in row] for row in angles] for f in (math.cos, math.sin))
    return torch.tensor(cos), torch.tensor(sin)  # [places, E/2]


BEFORE_ALL = (-1.0, -1.0)  # where what is no cell stands


def centres(grid: Grid) -> list[tuple[float, float]]:
    return [(float(row), float(column)) for row in range(grid.height) for column in range(grid.width)]


class Transformer(nn.Module):
    """What both kinds have: a table of tokens, blocks, and logits."""

    def __init__(
        self, config: dict[str, Any], rows: int, codes: int, places: list[tuple[float, float]]
    ) -> None:
        """@param rows of the table of tokens. @param places of tokens, for rotary positions"""
        super().__init__()
        width = config["width"]
        self.tokens = nn.Embedding(rows, width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config["layers"]))
        self.norm = norm_of(config["norm"], width)
        self.head = nn.Linear(width, codes, bias=False)
        self.dropout = nn.Dropout(config["dropout"])
        self.rope = config["positions"] == "rope"
        if self.rope:
            cos, sin = turns_of(places, width // config["heads"])
            self.register_buffer("cos", cos, persistent=False)
            self.register_buffer("sin", sin, persistent=False)

    def through(self, x: Tensor, places: Tensor | None, causal: bool) -> Tensor:
        """[b, S, D] → [b, S, D]. @param places [b, S] of the tokens, in their order unless given"""
        turns = None
        if self.rope and places is None:
            turns = self.cos[: x.shape[1]], self.sin[: x.shape[1]]
        elif self.rope:
            turns = self.cos[places][:, None], self.sin[places][:, None]
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, turns, causal)
        return x


class Gpt(Transformer):
    """A token predicts the code of the cell behind it, or trained in many orders (Yu et al., RAR, arXiv
    2411.00776) of any cell that it is told.
    """

    def __init__(self, config: dict[str, Any], grid: Grid, classes: int) -> None:
        annealed = config["order"] == "annealed"
        stands = [BEFORE_ALL, *centres(grid)][: grid.cells + annealed]
        super().__init__(config, grid.vocab + 1 + classes, grid.vocab, stands)
        width = config["width"]
        if not self.rope:
            self.positions = nn.Parameter(torch.zeros(len(stands), width))
        if annealed:
            self.targets = nn.Parameter(torch.zeros(grid.cells, width))

    def forward(self, ids: Tensor, places: Tensor | None = None, next: Tensor | None = None) -> Tensor:
        """[b, T] each → logits [b, T, K]. @param places, next as of `gpt_train`; by rows unless given"""
        count = ids.shape[1]
        x = self.tokens(ids)
        if not self.rope:
            x = x + (self.positions[:count] if places is None else F.embedding(places, self.positions))
        if hasattr(self, "targets"):
            x = x + (self.targets if next is None else F.embedding(next, self.targets))
        return self.head(self.norm(self.through(x, places, causal=True)))


class Maskgit(Transformer):
    """Every cell sees all others, and where there are classes a token of the class."""

    def __init__(self, config: dict[str, Any], grid: Grid, classes: int) -> None:
        of_class = [BEFORE_ALL] if classes else []
        rows = grid.vocab + 1 + (classes + 1 if classes else 0)
        super().__init__(config, rows, grid.vocab, [*of_class, *centres(grid)])
        self.positions = nn.Parameter(torch.zeros(grid.cells, config["width"]))

    def forward(self, ids: Tensor) -> Tensor:
        """[b, S] → logits [b, T, K]."""
        of_class = ids.shape[1] - len(self.positions)
        x = self.tokens(ids) + F.pad(self.positions, (0, 0, of_class, 0))
        return self.head(self.norm(self.through(x, None, causal=False)[:, of_class:]))


# Training


def decays(name: str) -> bool:
    """Weights of linear layers: not embeddings, positions, biases, norms."""
    return re.search(r"\b(qkv|out|expand|contract|head)\.weight$", name) is not None


class Prior:
    """The prior of a run's config, its optimiser, and a step and a validation as vqgen's.

    Micro-batches (`accumulate`) are not split: more processes are what they were. Dropout's masks are
    PyTorch's own.
    """

    def __init__(
        self,
        config: dict[str, Any],
        classes: list[str],
        grid: Grid,
        device: torch.device,
        bf16: bool = False,
        compile: bool = False,
    ) -> None:
        """@param config of the whole run"""
        seed = config["prior"]["seed"]
        self.config = {**config["prior"], "seed": config["seed"] if seed is None else seed}
        self.given = Given(self.config, grid, classes)
        self.device, self.bf16, self.compile = device, bf16, compile
        self.gpt = self.config["kind"] == "gpt"
        self.network = (Gpt if self.gpt else Maskgit)(self.config, grid, len(classes)).to(device)
        self.optimizer = self._optimizer()
        self.carried: Tensors = {}
        self._wrap(self.network)

    def _optimizer(self) -> torch.optim.AdamW:
        groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
        for name, parameter, _, _ in store.named(self.network):
            groups[decays(name)].append(parameter)
        return torch.optim.AdamW(
            [
                {"params": groups[True], "weight_decay": self.config["weight_decay"]},
                {"params": groups[False], "weight_decay": 0.0},
            ],
            betas=tuple(self.config["betas"]),
            eps=1e-8,
        )

    def _wrap(self, network: nn.Module) -> None:
        self.forward = torch.compile(network) if self.compile else network

    @property
    def learned(self) -> int:
        return sum(p.numel() for p in self.network.parameters())

    def load(self, tensors: Tensors, updates: int) -> None:
        """@param tensors of a checkpoint. @param updates that its moments have seen"""
        store.load(self.network, tensors, "model.")
        skipped = int(tensors.get("loss_scale.skipped", 0))  # steps in float16 in which nothing moved
        store.load_moments(self.network, self.optimizer, tensors, "adam.", updates - skipped)
        self.carried = {name: t for name, t in tensors.items() if not name.startswith(("model.", "adam."))}

    def dump(self) -> Tensors:
        """The tensors of a checkpoint, those that are not used here as they were loaded."""
        moments = store.dump_moments(self.network, self.optimizer, "adam.")
        return {**self.carried, **store.dump(self.network, "model."), **moments}

    def parallel(self) -> None:
        """Averages gradients over processes from now on, where there are several."""
        if parallel.world() > 1:
            self._wrap(DistributedDataParallel(self.network))

    def steps(self, tokens: Tokens) -> Steps:
        """`steps[n]` is this process's share of what step n is fed, on the CPU."""
        return Steps(tokens, self.given, gpt_train if self.gpt else maskgit_train)

    def step(self, step: int, fed: Fed, lr: float) -> dict[str, float]:
        """One update, of the step (1-based). Returns the values of a train line, of the whole batch."""
        if self.config["dropout"] > 0:  # other masks in each process, and the same ones again after a restart
            torch.manual_seed(hash_of(self.config["seed"], "dropout", step, parallel.rank()))
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._nats(fed, smoothing=0 if self.gpt else self.config["label_smoothing"]).mean()
        loss.backward()
        if self.config["clip"] > 0:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config["clip"])
        self.optimizer.step()
        values = _in_bits(float(parallel.mean(loss)))
        return values if self.gpt else {"loss": values["loss"]}  # which is not what a token costs a MaskGIT

    @torch.no_grad()
    def validate(self, tokens: Tokens) -> dict[str, float]:
        """The values of a validation line. Each process computes whole batches, in turn."""
        self.network.eval()
        sums = torch.zeros(2, dtype=torch.float64, device=self.device)  # nats, rows
        for count, fed in validation_batches(
            tokens, self.given, gpt_by_rows if self.gpt else maskgit_validation
        ):
            sums[0] += self._nats(fed, smoothing=0)[:count].mean(1).double().sum()
            sums[1] += count
        nats, rows = parallel.total(sums).tolist()
        return _in_bits(nats / rows)

    def _nats(self, fed: Fed, smoothing: float) -> Tensor:
        """What each cell costs, float32 [b, T]."""
        given = {name: values.to(self.device) for name, values in fed.items()}
        targets, weights = given.pop("targets"), given.pop("weights", None)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            logits = (self.forward if self.network.training else self.network)(**given)
        nats = F.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), label_smoothing=smoothing, reduction="none"
        ).view(targets.shape)
        return nats if weights is None else nats * weights


def _in_bits(nats: float) -> dict[str, float]:
    return {"loss": nats, "bits_per_token": nats / math.log(2)}
