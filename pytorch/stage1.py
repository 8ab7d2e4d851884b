"""Stage 1 as vqgen trains it: the tokenizer, what opposes it (Esser et al., arXiv 2012.09841), and the training step.

A step updates both sides from one forward pass, the discriminator as it was before. Pictures are [b, 3, S, S] floats in
[−1, 1]; b is this process's share of the whole batch, whose losses, statistics and codes count (parallel.py). vqgen's
micro-batches are no matter here: each process computes its share at once.
"""

from __future__ import annotations

import copy
import math
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import parallel
import store
from adversary import Augmentation, Discriminator, DiscriminatorLoss, discriminator_loss, gradient_direction
from artefacts import levels
from autoencoder import Tokenizer
from bottlenecks import Codebook
from perceptual import perceptual_of

PERCEPTUAL = Path(__file__).with_name("perceptual.safetensors")

# So that the likelihood of a perfect copy is finite.
LEAST_VARIANCE = (2 / 255) ** 2 / 12


class Stage1:
    """@param config as `config.json` has it. @param perceptual the file of the perceptual loss's fixed weights, read
    where the config has such a term"""

    def __init__(
        self,
        config: dict[str, Any],
        device: torch.device,
        bf16: bool = False,
        compile: bool = False,
        perceptual: Path = PERCEPTUAL,
    ) -> None:
        stage1, disc = config["stage1"], config["stage1"]["disc"]
        self.settings, self.device, self.bf16 = stage1, device, bf16
        layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        self.tokenizer = Tokenizer(config).to(device, memory_format=layout)
        self.average: Tokenizer | None = None
        if stage1["ema"] > 0:
            self.average = copy.deepcopy(self.tokenizer).requires_grad_(False).eval()
            self.average.decoder.last.weight.requires_grad_()  # a validation's λ is by it
        self.optimizer = _adam(self.tokenizer, stage1)
        self.generator: nn.Module = self.tokenizer
        self.acting = False  # whether the discriminator has a say by now
        self.perceptual = perceptual_of(config, perceptual)
        if self.perceptual:
            self.perceptual.to(device).requires_grad_(False)
        self.judge = Discriminator(disc).to(device, memory_format=layout) if disc["weight"] > 0 else None
        if self.judge:
            self.judge_optimizer = _adam(self.judge, stage1)
            self.judging: nn.Module = DiscriminatorLoss(self.judge, disc)
            self.augment = Augmentation(disc["augment"], config["data"]["size"], config["seed"], device)
            self.anchors = torch.zeros(2, device=device)
        if compile:  # not the perceptual network, on which PyTorch 2.13's compiler fails
            for net in (self.tokenizer.encoder, self.tokenizer.decoder, self.judge):
                if net is not None:
                    net.compile()

    @property
    def learned(self) -> int:
        """Number of parameters."""
        nets = [self.tokenizer, *([self.judge] if self.judge else [])]
        return sum(p.numel() for net in nets for p in net.parameters())

    def load(
        self, tensors: store.Tensors, step: int, starts: dict[str, Any] | None = None, since: int = 0
    ) -> None:
        """All tensors of a checkpoint after `step` steps, and its `kept`.

        @param since as `moments_since` in store.py"""
        self.loaded, self.since = tensors, since
        if self.judge and starts and starts["adversarial"]:
            self.acting = step >= starts["adversarial"] + self.settings["disc"]["warmup"]
        store.load(self.tokenizer, tensors, "model.")
        if self.average:
            store.load(
                self.average, tensors, "ema." if any(n.startswith("ema.") for n in tensors) else "model."
            )
        store.load_moments(self.tokenizer, self.optimizer, tensors, "adam.", step - since)
        if isinstance(self.tokenizer.bottleneck, Codebook):
            self.tokenizer.bottleneck.load_state(tensors)
        if self.judge:
            store.load(self.judge, tensors, "disc.")
            store.load_moments(self.judge, self.judge_optimizer, tensors, "disc_adam.", 0)
            self.judge.load_directions(tensors)
            if "disc_lecam.real" in tensors:
                self.anchors.copy_(torch.stack([tensors["disc_lecam.real"], tensors["disc_lecam.fake"]]))

    def dump(self) -> store.Tensors:
        """All that a checkpoint holds; what is not used here comes back as it was loaded."""
        tensors = {**self.loaded, **store.dump(self.tokenizer, "model.")}
        tensors |= store.dump_moments(self.tokenizer, self.optimizer, "adam.")
        others: store.Tensors = {}
        if self.average:
            tensors |= store.dump(self.average, "ema.")
        if isinstance(self.tokenizer.bottleneck, Codebook):
            others |= self.tokenizer.bottleneck.dump_state()
        if self.judge:
            tensors |= store.dump(self.judge, "disc.")
            tensors |= store.dump_moments(self.judge, self.judge_optimizer, "disc_adam.")
            others |= self.judge.directions()
            if self.settings["disc"]["lecam"] > 0:
                others |= {"disc_lecam.real": self.anchors[0], "disc_lecam.fake": self.anchors[1]}
        return tensors | {name: t.detach().cpu().clone() for name, t in others.items()}

    def parallel(self) -> None:
        """Both networks average their gradients over the processes from here on."""
        if parallel.world() == 1:
            return
        with warnings.catch_warnings():  # PyTorch 2.13 has another name for the option, 2.4 does not know that
            warnings.simplefilter("ignore", FutureWarning)
            self.generator = DistributedDataParallel(self.tokenizer, broadcast_buffers=False)
            if self.judge:
                self.judging = DistributedDataParallel(self.judging, broadcast_buffers=False)

    def step(self, step: int, batch: Tensor, lr: float, starts: dict[str, Any]) -> dict[str, Any]:
        """One update. Returned are vqgen's scalars, of the whole batch, and from the first step that quantises on this
        process's `codes` [b, h, w].

        @param step 1-based. @param batch this process's rows. @param starts `kept` of `state.json`
        """
        images, first = self._placed(batch), starts["quantised"]
        begun = max(0, step - starts["adversarial"] + 1) if self.judge and starts["adversarial"] else 0
        self.acting = begun > self.settings["disc"]["warmup"]
        self.tokenizer.train()
        with self._precision():
            z, passed, picture = self.generator(images, step, first)

        # Both sides go by the same pictures and by the discriminator as it was.
        if begun:
            self.judge.train()
            self.judge.turn()
            self.augment.draw(step, self.settings["batch_size"])
        loss, terms, gradient = self._objective(images, picture, self.tokenizer, begun > 0)
        if begun:
            terms |= self._discriminate(self.augment(images), self.augment(picture.detach()))
        self.optimizer.zero_grad(set_to_none=True)
        ((picture * gradient).sum() + passed.loss).backward()
        terms = {"loss": loss + passed.loss.detach(), **terms, **passed.terms}

        updates = step - self.since
        self._update(self.tokenizer, self.optimizer, updates, lr)
        if begun:
            self._update(self.judge, self.judge_optimizer, min(begun, updates), lr)
            self.judge.keep_directions()
        self._follow(z.detach(), passed.codes, step, first)
        values = torch.stack([t.detach().float() for t in terms.values()])
        metrics = dict(zip(terms, parallel.mean(values).tolist()))
        metrics = {**dict.fromkeys(SCALARS, 0.0), **metrics}
        return {**metrics, "codes": passed.codes} if step >= first else metrics

    def evaluate(self, batch: Tensor) -> tuple[dict[str, float], Tensor]:
        """Means over the rows of vqgen's scalars of a validation, and the reconstructions: of this process's rows
        alone, so that no process waits for another. The discriminator counts from its first acting step on."""
        images = self._placed(batch)
        net = self.average or self.tokenizer
        for each in (self.tokenizer, self.judge):
            if each is not None:
                each.eval()
        with torch.no_grad(), self._precision():
            _, passed, features = net.features(images)
        with self._precision():
            picture = net.decoder.picture(features)
        if self.acting:
            self.judge.turn()
            self.augment.clear()
        loss, terms, _ = self._objective(images, picture, net, self.acting)
        with torch.no_grad():
            if self.acting:
                with self._precision():
                    logits = self.judge(images), self.judge(picture)
                terms["discriminator"] = discriminator_loss(self.settings["disc"]["loss"], *logits)
            terms = {"loss": loss + passed.loss, **terms, **passed.terms, "psnr": _psnr(images, picture)}
        return {name: t.item() for name, t in terms.items()}, picture.detach()

    # The parts of a step

    def _placed(self, batch: Tensor) -> Tensor:
        layout = torch.channels_last if self.device.type == "cuda" else torch.contiguous_format
        return batch.to(self.device, torch.float32, memory_format=layout, non_blocking=True)

    def _precision(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def _error(self, images: Tensor, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The reconstruction term: mean pixel error plus the weighted perceptual distance, with `nll` the likelihood
        under a Gaussian whose variance is that sum over the whole batch."""
        pixel, settings = self.settings["pixel"], self.settings["perceptual"]
        terms = {"l1": (images - x).abs().mean()}
        error = terms["l1"] if pixel == "l1" else (images - x).square().mean()
        if self.perceptual:
            with self._precision():
                terms["perceptual"] = self.perceptual(images, x)
            error = error + settings["weight"] * terms["perceptual"]
        if pixel == "nll":
            error = parallel.mean_with_grad(error) if self.tokenizer.training else error
            error = 0.5 * torch.log(2 * math.pi * math.e * (error + LEAST_VARIANCE))
        return error, {name: t.detach() for name, t in terms.items()}

    def _objective(
        self, images: Tensor, picture: Tensor, net: Tokenizer, judged: bool
    ) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """All of the generator's objective but the bottleneck's terms, the scalars that it is made of, and its gradient
        at the picture. λ is the ratio of the norms that both terms' gradients have at the decoder's last filter."""
        at = picture.detach().requires_grad_()
        error, terms = self._error(images, at)
        (gradient,) = torch.autograd.grad(error, at)
        if not judged:
            return error.detach(), terms, gradient
        with self._precision():
            generator = -self.judge(self.augment(at)).mean()
        (opposed,) = torch.autograd.grad(generator, at)
        filter, disc = net.decoder.last.weight, self.settings["disc"]
        norms = []
        for dy in (gradient, opposed):
            (own,) = torch.autograd.grad(picture, filter, dy, retain_graph=True)
            norms.append((parallel.mean(own) if self.tokenizer.training else own).square().sum().sqrt())
        weight = disc["weight"] * (norms[0] / (norms[1] + 1e-4)).clamp_max(disc["weight_cap"])
        if not self.acting:
            weight = torch.zeros_like(weight)
        generator = generator.detach()
        terms |= {"generator": generator, "adaptive_weight": weight}
        return error.detach() + weight * generator, terms, gradient + weight * opposed

    def _discriminate(self, real: Tensor, made: Tensor) -> dict[str, Tensor]:
        """The discriminator's gradients, and LeCam's means moved."""
        with self._precision():
            direction = gradient_direction(self.judge, real) if self.settings["disc"]["r1"] > 0 else None
            loss, plain, on_real, on_made = self.judging(real, made, self.anchors.clone(), direction)
        self.judge_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.anchors.mul_(LECAM_DECAY).add_(
            parallel.mean(torch.stack([on_real, on_made])), alpha=1 - LECAM_DECAY
        )
        return {"discriminator": plain}

    def _update(self, net: nn.Module, optimizer: torch.optim.Optimizer, update: int, lr: float) -> None:
        """@param update 1 at the first that its moments see"""
        learned = [p for p in net.parameters() if p.requires_grad]
        if self.settings["clip"] > 0:
            torch.nn.utils.clip_grad_norm_(learned, self.settings["clip"])
        for p in learned:
            optimizer.state[p]["step"].fill_(update - 1)
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()

    @torch.no_grad()
    def _follow(self, z: Tensor, codes: Tensor, step: int, first: int) -> None:
        """What moves codes by itself, and the average, which forgets faster while the run is young."""
        bottleneck, fresh = self.tokenizer.bottleneck, None
        if isinstance(bottleneck, Codebook):
            fresh = bottleneck.after(z, codes, step, first)
        if self.average:
            decay = min(self.settings["ema"], (step + 1) / (step + 10))
            for average, p in zip(self.average.parameters(), self.tokenizer.parameters()):
                average.mul_(decay).add_(p, alpha=1 - decay)
        if fresh is None:
            return
        for moment in ("exp_avg", "exp_avg_sq") if bottleneck.codebook.requires_grad else ():
            self.optimizer.state[bottleneck.codebook][moment][fresh] = 0
        if self.average:
            self.average.bottleneck.codebook[fresh] = bottleneck.codebook[fresh]


LECAM_DECAY = 0.99

# Those that do not act in a step are 0.
SCALARS = (
    "loss",
    "l1",
    "perceptual",
    "generator",
    "discriminator",
    "adaptive_weight",
    "codebook",
    "commitment",
)


def _adam(net: nn.Module, stage1: dict[str, Any]) -> torch.optim.Optimizer:
    """Adam, or AdamW whose decay falls on filters only."""
    decay = stage1["weight_decay"] if stage1["optimizer"] == "adamw" else 0.0
    filters = {id(m.weight) for m in net.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))}
    learned = [p for p in net.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learned if id(p) in filters], "weight_decay": decay},
        {"params": [p for p in learned if id(p) not in filters], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=stage1["lr"], betas=tuple(stage1["betas"]), eps=1e-8)


def _psnr(images: Tensor, made: Tensor) -> Tensor:
    """Mean of 8-bit pictures' peak signal-to-noise ratios, dB."""
    error = (levels(images) - levels(made)).square().mean((1, 2, 3)) / 255**2
    return (-10 * error.clamp_min(1e-10).log10()).mean()
