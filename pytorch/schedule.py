"""The learning rate, by the step alone; and when the discriminator begins, by what the steps so far gave."""

from __future__ import annotations

import math
from typing import Any


def learning_rate(step: int, settings: dict[str, Any], since: int = 0) -> float:
    """Rises linearly to `lr`, reached at step `warmup`; then constant, or half a cosine down to 0 (arXiv 1608.03983).

    @param step 1-based
    @param since the step after which Adam's moments began (`moments_since` in store.py): from there it rises, by as
        many steps, to what the schedule has there
    """
    lr, warmup, steps = settings["lr"], settings["warmup"], settings["steps"]
    if settings["schedule"] == "cosine" and step > warmup:
        done = (step - warmup) / (steps - warmup + 1)
        lr *= (1 + math.cos(math.pi * min(done, 1))) / 2
    risen = step - since
    return lr * risen / warmup if risen < warmup else lr


def is_due(step: int, every: int, total: int) -> bool:
    return step > 0 and (step % every == 0 or step == total)


FLAT_FALL = 1 / 20


def follow_reconstruction(
    starts: dict[str, Any], step: int, values: dict[str, float], settings: dict[str, Any]
) -> dict[str, Any]:
    """`disc.start: flat`: it starts once the reconstruction error fell by less than a twentieth in a window.

    @param starts as a checkpoint keeps it. @param values of this step
    """
    begun = max(starts["quantised"] - 1, settings["warmup"])
    if "flat_window" not in starts or step + 1 >= starts["adversarial"] or step <= begun:
        return starts
    window, before = starts["flat_window"], starts["flat_before"]
    total = starts["flat_sum"] + values["l1"] + settings["perceptual"]["weight"] * values["perceptual"]
    if (step - begun) % window:
        return {**starts, "flat_sum": total}
    mean = total / window
    flat = before != 0 and 1 - mean / before < FLAT_FALL
    return {**starts, "flat_sum": 0, "flat_before": mean, **({"adversarial": step + 1} if flat else {})}
