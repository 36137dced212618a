"""What each framework's script does besides training: it writes who it is, and ends when it is told to.

`FOLDER` in the environment is where: `<rank>.json` appears there, and a file `end` ends the ranks, all after one step.
"""

import json
import os

import torch
import torch.distributed as dist

FOLDER = os.environ["FOLDER"]


def tell(rank: int, world: int) -> None:
    """Write down which rank this process believes to be."""
    path = os.path.join(FOLDER, f"{rank}.json")
    with open(path + ".new", "w") as file:
        json.dump({"rank": rank, "world": world, "pid": os.getpid()}, file)
    os.rename(path + ".new", path)


def told_to_end() -> bool:
    """Whether it is time to end; all ranks are told the same, by rank 0."""
    ends = torch.tensor([os.path.exists(os.path.join(FOLDER, "end"))], dtype=torch.int32)
    if dist.is_initialized():
        dist.broadcast(ends, 0)
    return bool(ends.item())
