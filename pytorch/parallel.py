"""What processes of one training know of each other; each function is the identity where there is only one.

A batch is that of all processes together. Process r has the r-th of equal shares of its rows.
"""

from __future__ import annotations

import os
import pickle
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Also before the processes know of each other."""
    return dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", 0))


def share(n: int) -> tuple[int, int]:
    """From and to which of n rows are this process's. n is a multiple of the number of processes."""
    if n % world():
        raise SystemExit(
            f"Expected a batch_size that {world()} processes can share evenly but received {n}. "
            "Set another in config.json, or take another number of processes."
        )
    own = n // world()
    return rank() * own, (rank() + 1) * own


def total(x: Tensor) -> Tensor:
    """The sum over all processes, without a gradient."""
    if world() == 1:
        return x.detach()
    x = x.detach().clone()
    dist.all_reduce(x)
    return x


def mean(x: Tensor) -> Tensor:
    """The mean over all processes, without a gradient."""
    return total(x) / world()


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(_, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(_, grad: Tensor) -> Tensor:
        grad = grad.contiguous().clone()
        dist.all_reduce(grad)
        return grad


def total_with_grad(x: Tensor) -> Tensor:
    """The sum over all processes; its gradient is the sum of what each process's loss says of it, so that gradients
    averaged over processes are those of the mean of their losses."""
    return x if world() == 1 else _Total.apply(x)


def mean_with_grad(x: Tensor) -> Tensor:
    return total_with_grad(x) / world()


def any_of(own: bool) -> bool:
    """Whether it is so for any process."""
    return total(torch.tensor(float(own), device=_device())).item() > 0


def is_same(own: int | str) -> bool:
    """Whether all processes have the same."""
    return len(total_by_name({str(own): 1.0})) == 1


def wait() -> None:
    """Until all processes are here."""
    if world() > 1:
        dist.barrier()


def gathered(own: Any) -> list[Any]:
    """What each process has, in their order. `all_gather_object` does so by NumPy, which may not be there."""
    if world() == 1:
        return [own]
    text = torch.frombuffer(bytearray(pickle.dumps(own)), dtype=torch.uint8).to(_device())
    lengths = [torch.zeros(1, dtype=torch.int64, device=text.device) for _ in range(world())]
    dist.all_gather(lengths, torch.tensor([len(text)], device=text.device))
    longest = int(max(lengths))
    padded = torch.zeros(longest, dtype=torch.uint8, device=text.device)
    padded[: len(text)] = text
    each = [torch.empty_like(padded) for _ in range(world())]
    dist.all_gather(each, padded)
    return [pickle.loads(bytes(one[:length].tolist())) for one, length in zip(each, lengths, strict=True)]


def total_by_name(own: dict[str, float]) -> dict[str, float]:
    """Sums over all processes, by names that a process may lack."""
    each = gathered(own)
    names = dict.fromkeys(name for values in each for name in values)
    return {name: sum(values.get(name, 0.0) for values in each) for name in names}


def _device() -> torch.device:
    nccl = dist.is_initialized() and dist.get_backend() == "nccl"
    return torch.device("cuda", torch.cuda.current_device()) if nccl else torch.device("cpu")
