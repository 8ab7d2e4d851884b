"""metrics.jsonl as vqgen writes it: a line is `{step, split, time_s, …}`, train
lines are means over the steps since the one before."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import parallel
import store

CODES_PER_CODE = 16  # before which the share of used codes is a matter of chance


class Records:
    """metrics.jsonl, and the means since its last train line, which a checkpoint holds."""

    def __init__(self, file: Path, state: dict[str, Any], job: Any) -> None:
        self.file, self.job = file, job
        self.running = state.get("metrics") or {"sums": {}, "steps": 0, "seconds": 0}
        if not isinstance(self.running.get("usage"), list):  # vqgen 0.1.0 had something else there
            self.running["usage"] = job.books
        if parallel.rank() == 0:
            bounds = {"train": state["step"], "val": min(state["validated"], state["step"])}
            lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
            store.replace_text(file, "".join(f"{line}\n" for line in lines if _is_kept(line, bounds)))

    def add(self, values: dict[str, float], codes: Tensor | None, seconds: float) -> None:
        for key, value in values.items():
            kept = self.running["sums"].setdefault(key, {"sum": 0, "count": 0})
            kept["sum"] += value
            kept["count"] += 1
        self.running["steps"] += 1
        self.running["seconds"] += seconds
        if codes is not None and self.running["usage"]:
            book = self.running["usage"][0]
            used = parallel.total(torch.bincount(codes.flatten(), minlength=len(book["counts"])))
            book["counts"] = [a + b for a, b in zip(book["counts"], used.tolist())]

    def train_line(self, step: int, seconds: float) -> dict[str, float]:
        running = self.running
        values = {
            f"{self.job.unit}_per_second": self.job.units * running["steps"] / max(running["seconds"], 1e-9)
        }
        values |= {key: kept["sum"] / kept["count"] for key, kept in running["sums"].items()}
        if running["usage"]:
            counts = running["usage"][0]["counts"]
            if sum(counts) >= CODES_PER_CODE * len(counts):
                shares = [n / sum(counts) for n in counts if n]
                values["codebook_usage"] = len(shares) / len(counts)
                values["perplexity"] = math.exp(-sum(share * math.log(share) for share in shares))
                running["usage"][0]["counts"] = [0] * len(counts)
        self.running = {**running, "sums": {}, "steps": 0, "seconds": 0}
        self.append({"step": step, "split": "train", "time_s": seconds, **values})
        return values

    def append(self, line: dict[str, Any]) -> None:
        if parallel.rank() == 0:
            with open(self.file, "a", encoding="utf-8") as file:
                file.write(f"{json.dumps(line, separators=(',', ':'))}\n")
                file.flush()
                os.fsync(file.fileno())  # no checkpoint outlives the lines before it


def _is_kept(line: str, bounds: dict[str, int]) -> bool:
    try:
        found = json.loads(line)
        return found["step"] <= bounds[found["split"]]
    except (ValueError, KeyError):
        return False  # half written when a process died
