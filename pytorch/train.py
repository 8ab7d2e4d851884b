"""Trains a stage of this project from its last checkpoint on, on one process or, by torchrun, on many.

    python train.py stage1 --data photos/
    torchrun --nproc-per-node 8 --max-restarts 3 train.py prior --bf16 --compile

A batch is that of all processes: each has an equal share of it, and the steps are those of one process.
Checkpoints and metrics.jsonl are vqgen's. Whatever ends it, the same command goes on from the last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import parallel
import store
from records import Records
from schedule import follow_reconstruction, is_due, learning_rate

PROJECT = Path(__file__).resolve().parent


class Stage1Job:
    name, unit, best_by = "stage1", "images", ("psnr", max)

    def __init__(self, config: dict[str, Any], o: argparse.Namespace, device: torch.device) -> None:
        from bottlenecks import code_count
        from data import open_pictures
        from stage1 import Stage1

        self.config, self.settings = config, config["stage1"]
        self.pictures = open_pictures(PROJECT, config, o.data, o.val_data)
        fixed = PROJECT / "perceptual.safetensors"
        self.trainer = Stage1(config, device, bf16=o.bf16, compile=o.compile, perceptual=fixed)
        self.units = self.settings["batch_size"]
        self.books = [{"name": "codes", "counts": [0] * code_count(self.settings)}]

    def load(self, tensors: store.Tensors, state: dict[str, Any]) -> None:
        self.trainer.load(tensors, state["step"], state["kept"], state["moments_since"])

    def steps(self) -> Dataset[Tensor]:
        from data import Steps

        return Steps(self.pictures["train"], self.config)

    def step(self, step: int, batch: Tensor, lr: float, state: dict[str, Any]) -> dict[str, Any]:
        values = self.trainer.step(step, batch, lr, state["kept"])
        state["kept"] = follow_reconstruction(state["kept"], step, values, self.settings)
        return values

    def validate(self) -> dict[str, float]:
        """Means over all processes' batches, and what is seen of them together."""
        from artefacts import Artefacts
        from data import validation_batches

        sums: dict[str, float] = {}
        artefacts = Artefacts(self.config["data"]["size"])
        for batch in validation_batches(self.pictures["val"], self.config):
            means, made = self.trainer.evaluate(batch)
            artefacts.add(batch, made)
            for key, value in {**means, "": 1.0}.items():
                sums[key] = sums.get(key, 0.0) + len(batch) * value
        sums = parallel.total_by_name(sums)
        return {key: total / sums[""] for key, total in sums.items() if key} | artefacts.measures()


class PriorJob:
    name, unit, best_by = "prior", "tokens", ("loss", min)
    books: list[dict[str, Any]] = []

    def __init__(self, config: dict[str, Any], o: argparse.Namespace, device: torch.device) -> None:
        from prior import Prior
        from tokens import open_tokens

        self.settings = config["prior"]
        classes = store.read_json(PROJECT / "prior" / "classes.json")
        folder = Path(o.tokens) if o.tokens else PROJECT / "tokens"
        self.train, self.val = open_tokens(folder, PROJECT / "prior" / "tokenizer.json")
        self.trainer = Prior(config, classes, self.train.grid, device, bf16=o.bf16, compile=o.compile)
        self.units = self.settings["batch_size"] * self.train.grid.cells

    def load(self, tensors: store.Tensors, state: dict[str, Any]) -> None:
        self.trainer.load(tensors, state["step"] - state["moments_since"])

    def steps(self) -> Dataset[Any]:
        return self.trainer.steps(self.train)

    def step(self, step: int, fed: Any, lr: float, _: dict[str, Any]) -> dict[str, Any]:
        return self.trainer.step(step, fed, lr)

    def validate(self) -> dict[str, float]:
        return self.trainer.validate(self.val)


WITHOUT = {
    "stage1": "Export the run again: vqgen export --to torch",
    "prior": "Once a run has tokens its export has a prior: vqgen tokenize, then vqgen export --to torch",
}
JOBS = {job.name: job for job in (Stage1Job, PriorJob)}


class Prepared(Dataset[Any]):
    """Batches, or the mistake that was met, which would be lost with the process that prepares them."""

    def __init__(self, steps: Dataset[Any]) -> None:
        self.steps = steps

    def __getitem__(self, step: int) -> Any:
        try:
            return self.steps[step]
        except SystemExit as mistake:
            return mistake


def train(job: Any, stage: Path, signals: list[int], workers: int) -> None:
    tensors, state = newest(stage)
    settings, trainer, step = job.settings, job.trainer, state["step"]
    state["moments_since"] = since = store.moments_since(tensors, state)
    job.load(tensors, state)
    del tensors
    trainer.parallel()
    total, saved = settings["steps"], step
    factor = (state.get("guard") or {}).get("factor", 1)
    records, begun, spent = Records(stage / "metrics.jsonl", state, job), time.monotonic(), state["seconds"]
    clock = lambda: spent + time.monotonic() - begun  # noqa: E731
    processes = f"{parallel.world()} process{'es' if parallel.world() > 1 else ''}"
    say(f"{job.name}: {trainer.learned:,} parameters, from step {step} to {total}, {processes}.")
    if step >= total:
        say("It is finished: --steps N trains it further.")

    ahead = range(step + 1, total + 1)
    loader = DataLoader(
        Prepared(job.steps()), batch_size=None, sampler=ahead, num_workers=workers, worker_init_fn=keep_apart
    )
    batches = iter(loader)
    while True:
        due = is_due(step, settings["checkpoint_every"], total)
        if is_due(step, settings["eval_every"], total) and state["validated"] < step:
            state = {**state, **validate(job, records, state, step, due, clock())}
        patience = settings.get("patience", 0)
        ended = patience > 0 and state.get("stale", 0) >= patience
        stopping = parallel.any_of(bool(signals))
        best = state["best"] or {}
        if step > saved and (due or ended or stopping or best.get("step") == step):
            state = {
                **state,
                "step": step,
                "seconds": clock(),
                "metrics": records.running,
                **guard_at(state, step),
            }
            save(trainer, stage, state, settings["keep"])
            saved = step
        if ended or stopping or step >= total:
            break
        started = time.monotonic()
        batch = next(batches)
        if isinstance(batch, SystemExit):
            raise batch
        step += 1
        lr = factor * learning_rate(step, settings, since)
        values = job.step(step, batch, lr, state)
        codes = values.pop("codes", None)
        check_finite(values, step)
        records.add(values, codes, time.monotonic() - started)
        if step == 1 or is_due(step, settings["log_every"], total):
            tell(job, step, total, records.train_line(step, clock()))
    say(f"{job.name}: step {step}{'' if step >= total else ', to be gone on with by the same command'}.")


def newest(stage: Path) -> tuple[store.Tensors, dict[str, Any]]:
    """The newest checkpoint that is sound, the same for all processes."""
    if parallel.rank() == 0:
        store.sweep(stage)
    parallel.wait()
    *older, (first, folder) = store.step_folders(stage)
    while True:
        try:
            tensors, state = store.load_checkpoint(folder)
            break
        except SystemExit as damage:
            if not older:
                raise
            say(f"{damage.code} The checkpoint before it is used.")
            first, folder = older.pop()
    if parallel.is_same(first):
        return tensors, state
    raise SystemExit(
        f"Expected the same checkpoint for all processes in {stage} but received step {first} for one and others "
        "for others. Put the project where all machines see it."
    )


def check_finite(values: dict[str, float], step: int) -> None:
    for key, value in values.items():
        if not math.isfinite(value):
            raise SystemExit(
                f"Expected a finite {key} at step {step} but received {value}. Set a lower lr in config.json, then "
                "start again: it goes on from the last checkpoint."
            )


def validate(
    job: Any, records: Records, state: dict[str, Any], step: int, due: bool, seconds: float
) -> dict[str, Any]:
    """What of the state follows."""
    values = job.validate()
    check_finite(values, step)
    records.append({"step": step, "split": "val", "time_s": seconds, **values})
    say(f"  validation at step {step}: " + ", ".join(f"{key} {value:.4g}" for key, value in values.items()))
    patience = job.settings.get("patience", 0)
    key, better = job.best_by
    best = state["best"]
    if patience or due:
        improves = best is None or (
            values[key] != best["value"] and better(values[key], best["value"]) == values[key]
        )
        best = {"step": step, "value": values[key]} if improves else best
    stale = 0 if not patience or (best or {}).get("step") == step else state.get("stale", 0) + 1
    return {"validated": step, "best": best, "stale": stale}


def guard_at(state: dict[str, Any], step: int) -> dict[str, Any]:
    """vqgen's guard, should it go on from here: nothing seen yet, and this step to go back to."""
    if not state.get("guard"):
        return {}
    watch = {"steps": 0, "recent": 0, "fast": 0, "slow": 0, "first": 0, "best": None}
    return {"guard": {**state["guard"], "good": step, "watch": watch}}


def keep_apart(_: int) -> None:
    """What ends a training lets it save first, for which those who prepare its batches must still be there."""
    os.setsid()
    store.let_go()


def save(trainer: Any, stage: Path, state: dict[str, Any], keep: int) -> None:
    tensors = trainer.dump()
    if parallel.rank() == 0:
        try:
            store.save_checkpoint(stage, tensors, state, keep)
        except OSError as error:
            store.sweep(stage)
            raise SystemExit(
                f"Expected a checkpoint of step {state['step']} to be written but received {error}. "
                "Make room: the same command goes on from the checkpoint before it."
            ) from None
    parallel.wait()


def say(text: str) -> None:
    if parallel.rank() == 0:
        print(text, flush=True)


def tell(job: Any, step: int, total: int, values: dict[str, float]) -> None:
    shown = ", ".join(f"{key} {value:.4g}" for key, value in values.items() if not key.endswith("_per_second"))
    rate = values[f"{job.unit}_per_second"]
    left = (total - step) * job.units / rate
    say(f"  step {step} of {total}: {shown}; {rate:.4g} {job.unit}/s, {left / 60:.0f} min left")


def join(backend: str) -> None:
    """The process group of torchrun, where that started this. After a restart its store still holds the addresses of
    processes that are gone, which on one machine a prefix keeps apart; on several, README.md's variable does."""
    env = os.environ
    if "WORLD_SIZE" not in env:
        return
    if env.get("TORCHELASTIC_USE_AGENT_STORE") != "True" or env.get("GROUP_WORLD_SIZE") != "1":
        dist.init_process_group(backend)
        return
    shared = dist.TCPStore(env["MASTER_ADDR"], int(env["MASTER_PORT"]), is_master=False)
    own = dist.PrefixStore(f"attempt {env['TORCHELASTIC_RESTART_COUNT']}", shared)
    dist.init_process_group(backend, store=own, rank=int(env["RANK"]), world_size=int(env["WORLD_SIZE"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=list(JOBS))
    parser.add_argument("--data", help="folder of images (stage1); that of config.json unless given")
    parser.add_argument("--val-data", help="folder of validation images (stage1)")
    parser.add_argument("--tokens", help="folder of token files (prior); tokens/ unless given")
    parser.add_argument("--steps", type=int, help="train to this step; that of config.json unless given")
    parser.add_argument(
        "--bf16", action="store_true", help="networks in bfloat16 (autocast), losses and weights in float32"
    )
    parser.add_argument("--compile", action="store_true", help="torch.compile the networks")
    parser.add_argument(
        "--workers", type=int, default=2, help="processes that prepare batches, for each training one"
    )
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu"
    )
    o = parser.parse_args()

    config = store.read_json(PROJECT / "config.json")
    stage = PROJECT / o.stage
    found = store.step_folders(stage)
    if not found:
        raise SystemExit(f"Expected a checkpoint in {stage} but received none. {WITHOUT[o.stage]}")
    if o.steps is not None and o.steps < found[-1][0]:
        raise SystemExit(
            f"Expected the {found[-1][0]} steps that are done, or more, for --steps but received {o.steps}."
        )
    if o.steps is not None:
        config[o.stage]["steps"] = o.steps
        if parallel.rank() == 0:
            store.replace_text(PROJECT / "config.json", json.dumps(config, indent=2) + "\n")
    signals = watch_signals()
    device = (
        torch.device(o.device, int(os.environ.get("LOCAL_RANK", 0)))
        if o.device == "cuda"
        else torch.device("cpu")
    )
    if o.device == "cuda":
        if device.index >= torch.cuda.device_count():
            raise SystemExit(
                f"Expected at most {torch.cuda.device_count()} processes on this machine, one for each GPU that "
                f"PyTorch sees, but received number {device.index + 1}. --device cpu takes processors."
            )
        torch.cuda.set_device(device)
    torch.backends.cudnn.allow_tf32 = False  # float32 is float32; --bf16 is for those in a hurry
    torch.set_flush_denormal(True)  # on processors, where they cost more than they say
    if parallel.rank() == 0:
        store.hold(stage)
    join("nccl" if o.device == "cuda" else "gloo")
    train(JOBS[o.stage](config, o, device), stage, signals, o.workers)
    if dist.is_initialized():  # after a mistake it would wait for processes that wait for this one
        dist.destroy_process_group()
    if signals:
        sys.exit(128 + signals[0])


def watch_signals() -> list[int]:
    """Those that came; the second of a kind ends the process."""
    came: list[int] = []

    def note(number: int, _: Any) -> None:
        came.append(number)
        signal.signal(number, signal.SIG_DFL)
        say("Saving after this step; once more ends it at once.")

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    return came


if __name__ == "__main__":
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            end.code = 2
        raise
