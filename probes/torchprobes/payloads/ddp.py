"""ddp.allreduce: do ranks meet, reduce rightly and fast, and train to the same bits?

Runs in every rank, under torchrun. Rank 0 tells what the ranks agreed on; the others write events, and a fact only
when something failed or hung on them. With CUDA and a GPU for every rank it is NCCL, else gloo on the CPU; a single
GPU gets NCCL with one rank beside it, which is told as that. Standard library and torch 2.1 or later; parses on
Python 3.8.
"""

import datetime
import inspect
import os
import re
import time

import torchdoctor_collectives as collectives
import torchdoctor_kit as kit
import torchdoctor_train as train
import torchdoctor_watch as watching

CYCLES = 5
GROUP_TIMEOUT_S = 60
LIMITS_S = {"meet": 50.0, "init": 50.0, "reduce": 55.0, "train": 55.0, "leave": 20.0, "one-rank": 30.0}
"""A phase hangs when it passes its limit; below the group's timeout, so that the watch speaks before an abort."""

HANGS_WITH_DEVICE_ID = ((2, 6, 0), (2, 7, 1))
"""Between these `device_id=` hangs NCCL (pytorch#153960)."""


def run(request):
    """The probe, as one rank of it."""
    if "RANK" not in os.environ:
        raise kit.Skip(
            "it runs in ranks, and behind a launcher prefix none can be started yet: run torchdoctor in there"
        )
    kit.emit("hb", name="importing")
    torch = kit.import_torch()
    if not torch.distributed.is_available():
        raise kit.Skip("this PyTorch was built without torch.distributed")
    _Rank(torch, request.device).run()


class _Rank:
    def __init__(self, torch, device):
        self.torch, self.dist = torch, torch.distributed
        self.rank, self.ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.local = int(os.environ.get("LOCAL_RANK", self.rank))
        self.backend = _backend(torch, device, int(os.environ.get("LOCAL_WORLD_SIZE", self.ranks)))
        self.where = torch.device("cuda", self.local) if self.backend == "nccl" else torch.device("cpu")
        self.one_gpu = device.startswith("cuda") and self.backend == "gloo" and torch.cuda.is_available()
        self.label = "r%d" % self.rank
        self.watch = watching.Watch(self.label)

    def run(self):
        """Every phase in turn; the first that raises ends it, told with its phase and rank."""
        self._tell_plan()
        phases = (
            ("meet", self._meet),
            ("init", self._cycles),
            ("reduce", lambda: collectives.Bench(self.torch, self.where, self.backend).run()),
            ("train", lambda: train.run(self.torch, self.where)),
            ("leave", self.dist.destroy_process_group),
            ("one-rank", self._one_rank),
        )
        for name, work in phases:
            self.watch.phase(name, LIMITS_S[name])
            try:
                work()
            except Exception as error:
                kit.fact("ddp.failed.%s" % self.label, name, "rank %d of %d" % (self.rank, self.ranks))
                kit.raised("ddp.raised.%s" % self.label, error)
                break
        self.watch.stop()

    def _tell_plan(self):
        kit.emit("init", name="device", value=str(self.where))
        if self.backend == "gloo" and os.path.isdir("/sys/class/net/lo"):
            # One node: gloo would otherwise ask the resolver for this host's name.
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        if self.backend == "nccl":
            self.torch.cuda.set_device(self.where)
        if self.rank == 0:
            place = "a GPU for every rank" if self.backend == "nccl" else "CPU tensors, one node"
            kit.fact("ddp.backend", self.backend, place)
            kit.fact("ddp.ranks", self.ranks, "WORLD_SIZE")
            if self.backend == "nccl":
                kit.fact("ddp.gpu", self.torch.cuda.get_device_name(self.where), "of rank 0")
            kit.fact("ddp.gloo_interface", os.environ.get("GLOO_SOCKET_IFNAME"), "GLOO_SOCKET_IFNAME")

    def _meet(self):
        """The store of the launcher; its seconds are the rendezvous as a rank sees it."""
        from torch.distributed.rendezvous import rendezvous

        begin = time.perf_counter()
        self.store, _, _ = next(iter(rendezvous("env://", timeout=_timeout())))
        kit.emit("init", name="store", value=time.perf_counter() - begin, unit="s")

    def _cycles(self):
        """Make the group, reduce once and check, leave; the last one stays for what follows."""
        seconds = []
        try:
            for cycle in range(CYCLES):
                kit.progress("communicator %d of %d" % (cycle + 1, CYCLES))
                seconds.append(self._init("cycle%d" % cycle))
                kit.emit("init", name="cycle", value=seconds[-1], unit="s", n=cycle + 1)
                if cycle + 1 < CYCLES:
                    self.dist.destroy_process_group()
        finally:
            if self.rank == 0:
                kit.figure("init_ok", len(seconds), "communicators", n=CYCLES, backend=self.backend)
        self._tell_seconds(seconds)

    def _init(self, prefix):
        begin = time.perf_counter()
        store = self.dist.PrefixStore(prefix, self.store)
        options = self._device_option()
        self.dist.init_process_group(
            self.backend, store=store, rank=self.rank, world_size=self.ranks, timeout=_timeout(), **options
        )
        mine = self.torch.full((256,), float(self.rank + 1), device=self.where)
        self.dist.all_reduce(mine)
        expected = float(self.ranks * (self.ranks + 1) // 2)
        if not bool((mine == expected).all()):
            raise ArithmeticError("the first all_reduce gave %r instead of %r" % (float(mine[0]), expected))
        return time.perf_counter() - begin

    def _device_option(self):
        known = "device_id" in inspect.signature(self.dist.init_process_group).parameters
        low, high = HANGS_WITH_DEVICE_ID
        if self.backend != "nccl" or not known or low < release(self.torch.__version__) < high:
            return {}
        return {"device_id": self.where}

    def _tell_seconds(self, seconds):
        slowest = self.torch.tensor(seconds, dtype=self.torch.float64, device=self.where)
        self.dist.all_reduce(slowest, op=self.dist.ReduceOp.MAX)
        if self.rank == 0:
            mean, deviation = collectives.moments(slowest.tolist())
            kit.figure("init_s", mean, "s", n=CYCLES, backend=self.backend)
            kit.figure("init_std_s", deviation, "s", n=CYCLES, backend=self.backend)
            kit.figure("init_max_s", max(slowest.tolist()), "s", n=CYCLES, backend=self.backend)

    def _one_rank(self):
        """One GPU: NCCL starts and answers with one rank. It proves the library, not communication."""
        if not (self.one_gpu and self.rank == 0 and self.dist.is_nccl_available()):
            return
        self.torch.cuda.set_device(0)
        store = self.dist.PrefixStore("one-rank", self.dist.HashStore())
        self.dist.init_process_group("nccl", store=store, rank=0, world_size=1, timeout=_timeout())
        tensor = self.torch.arange(256.0, device="cuda:0")
        self.dist.all_reduce(tensor)
        right = float(tensor.sum()) == 32640.0
        kit.fact("ddp.nccl_one_rank", "right" if right else "wrong", "one rank: no communication was tested")
        self.dist.destroy_process_group()


def _backend(torch, device, local_ranks):
    enough = torch.cuda.is_available() and torch.cuda.device_count() >= local_ranks
    wanted = device.startswith("cuda") and local_ranks > 1
    return "nccl" if wanted and enough and torch.distributed.is_nccl_available() else "gloo"


def _timeout():
    return datetime.timedelta(seconds=GROUP_TIMEOUT_S)


def release(version):
    """The numbers at the beginning of a version: (2, 6, 0) of "2.6.0+cu124"."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(n or 0) for n in found.groups()) if found else (0, 0, 0)
