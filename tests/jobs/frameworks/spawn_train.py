"""Plain torch.multiprocessing.spawn: two ranks, which their process group is told by its address, until told to end."""

import socket
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel
from waiting import tell, told_to_end


def run(rank, world, port):
    """One rank."""
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    model = DistributedDataParallel(torch.nn.Linear(8, 1))
    tell(rank, world)
    while not told_to_end():
        model(torch.randn(4, 8)).square().mean().backward()
        time.sleep(0.05)
    dist.destroy_process_group()


if __name__ == "__main__":
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(run, args=(2, port), nprocs=2)
