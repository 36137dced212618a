"""Ray: two actors that are one process group, and other actors and tasks that are none, until told to end."""

import os
import socket
import time

import ray


@ray.remote(num_cpus=0)
class TrainWorker:
    """One rank; Ray names its process after this class."""

    def train(self, rank, world, port):
        """Train until told to end."""
        import torch
        import torch.distributed as dist
        from torch.nn.parallel import DistributedDataParallel
        from waiting import tell, told_to_end

        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
        model = DistributedDataParallel(torch.nn.Linear(8, 1))
        tell(rank, world)
        while not told_to_end():
            model(torch.randn(4, 8)).square().mean().backward()
            time.sleep(0.05)
        dist.destroy_process_group()


@ray.remote(num_cpus=0)
class Counter:
    """An actor that is no rank."""

    def wait(self):
        """Wait until told to end."""
        while not os.path.exists(os.path.join(os.environ["FOLDER"], "end")):
            time.sleep(0.1)


here = os.path.dirname(os.path.abspath(__file__))
ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": here}})
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
workers = [TrainWorker.remote() for _ in range(2)]
counters = [Counter.remote() for _ in range(2)]
waiting = [counter.wait.remote() for counter in counters]
ray.get([worker.train.remote(rank, 2, port) for rank, worker in enumerate(workers)])
ray.get(waiting)
