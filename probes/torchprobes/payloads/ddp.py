"""ddp.init, ddp.allreduce, ddp.training: do ranks meet every time, reduce rightly and fast, and train to the same bits?

Runs in every rank, under torchrun; the parameter `part` says which phases. Rank 0 tells what the ranks agreed on; the
others write events, and a fact only about themselves. With CUDA and a GPU for every rank it is NCCL, else gloo on the
CPU; a single GPU gets NCCL with one rank beside it, which is told as that. Standard library and torch 2.1 or later;
parses on Python 3.8.
"""

import contextlib
import datetime
import glob
import inspect
import os
import re
import time

import torchdoctor_collectives as collectives
import torchdoctor_kit as kit
import torchdoctor_nccl_log as nccl_log
import torchdoctor_train as train
import torchdoctor_watch as watching

PARTS = {
    "init": ("meet", "cycles"),
    "allreduce": ("meet", "init", "reduce", "leave", "one-rank", "algorithms"),
    "training": ("meet", "init", "train", "leave"),
}
CYCLES = 20
MOST_FAILURES = 3
"""Of communicators: what fails so often fails for a reason, and each failure may cost a timeout."""

MOST_LINKS = 256

GROUP_TIMEOUT_S, CYCLE_TIMEOUT_S = 150, 20
LIMITS_S = {
    "meet": 50.0, "init": 50.0, "cycles": 140.0, "reduce": 110.0, "train": 110.0, "leave": 20.0, "one-rank": 30.0,
    "algorithms": 70.0,
}  # fmt: skip
"""A phase hangs when it passes its limit; below the group's timeout, so that the watch speaks before an abort."""

LET_GO_S = 0.05
"""In which gloo's threads drop the tensors that they reduced. In 2.1 a thread that drops the last reference waits for
Python's lock, which the end of its group holds while it waits for the thread (seen in 1 of 18 ends on 2.1.2)."""

HANGS_WITH_DEVICE_ID = ((2, 6, 0), (2, 7, 1))
"""Between these `device_id=` hangs NCCL (pytorch#153960)."""


def run(request):
    """The probe, as one rank of it, or a rank's helper that asks for algorithms."""
    if "RANK" not in os.environ:
        raise kit.Skip(
            "it runs in ranks, and behind a launcher prefix none can be started yet: run torchdoctor in there"
        )
    if request.params.get("role"):
        _tell_algorithms(request)
        return
    kit.emit("hb", name="importing")
    torch = kit.import_torch()
    if not torch.distributed.is_available():
        raise kit.Skip("this PyTorch was built without torch.distributed")
    _Rank(torch, request).run()


class _Rank:
    def __init__(self, torch, request):
        self.torch, self.dist, self.request = torch, torch.distributed, request
        self.rank, self.ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.local = int(os.environ.get("LOCAL_RANK", self.rank))
        self.backend = _backend(torch, request.device, int(os.environ.get("LOCAL_WORLD_SIZE", self.ranks)))
        self.where = torch.device("cuda", self.local) if self.backend == "nccl" else torch.device("cpu")
        self.one_gpu = request.device.startswith("cuda") and self.backend == "gloo" and torch.cuda.is_available()
        self.label = "r%d" % self.rank
        self.groups = 0
        self.kept = None  # what a group reduces outlives the group: see LET_GO_S
        self.watch = watching.Watch(self.label, self._tell_log)

    def run(self):
        """Every phase in turn; the first that raises ends it, told with its phase and rank."""
        self._tell_plan()
        works = {
            "meet": self._meet,
            "init": lambda: self._cycles(1, GROUP_TIMEOUT_S),
            "cycles": lambda: self._cycles(int(self.request.params.get("cycles", CYCLES)), CYCLE_TIMEOUT_S),
            "reduce": self._reduce,
            "train": lambda: train.run(self.torch, self.where, self.backend),
            "leave": self._leave,
            "one-rank": self._one_rank,
            "algorithms": self._ask_algorithms,
        }
        for name in phases(self.request.params.get("part", "allreduce")):
            self.watch.phase(name, LIMITS_S[name])
            try:
                works[name]()
            except _NotMade:
                break
            except Exception as error:
                self._tell_failure(name, error)
                break
        self.watch.stop()
        self._tell_log()

    def _tell_failure(self, phase, error):
        kit.fact("ddp.failed.%s" % self.label, phase, "rank %d of %d" % (self.rank, self.ranks))
        kit.raised("ddp.raised.%s" % self.label, error)

    def _tell_plan(self):
        kit.emit("init", name="device", value=str(self.where))
        if self.backend == "gloo" and os.path.isdir("/sys/class/net/lo"):
            # One node: gloo would otherwise ask the resolver for this host's name.
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        if self.backend == "nccl":
            nccl_log.prepare(self.request.artifacts, nccl_log.QUIET)
            self.torch.cuda.set_device(self.where)
        if self.rank == 0:
            place = "a GPU for every rank" if self.backend == "nccl" else "CPU tensors, one node"
            kit.fact("ddp.backend", self.backend, place)
            kit.fact("ddp.ranks", self.ranks, "WORLD_SIZE")
            kit.tell_shm()
            if self.backend == "nccl":
                kit.fact("ddp.gpu", self.torch.cuda.get_device_name(self.where), "of rank 0")
            kit.fact("ddp.gloo_interface", os.environ.get("GLOO_SOCKET_IFNAME"), "GLOO_SOCKET_IFNAME")

    def _meet(self):
        """The store of the launcher; its seconds are the rendezvous as a rank sees it."""
        begin = time.perf_counter()
        self.store = _store()
        kit.emit("init", name="store", value=time.perf_counter() - begin, unit="s")

    def _cycles(self, count, timeout_s):
        """Make the group, reduce once and check, leave; as often as asked. The last one stays if it is the only one.

        A rank whose attempt failed waits for the others, so that the next begins together; its first error is told.

        Raises:
            _NotMade: if no communicator was made.
        """
        made, tried, failures, first = [], 0, 0, None
        while tried < count and failures < MOST_FAILURES:
            kit.progress("communicator %d of %d" % (tried + 1, count))
            seconds, error = self._attempt("group%d" % self.groups, timeout_s)
            if error is not None and first is None:
                first = error
                self._tell_failure("init", error)
            slowest = self._agree(seconds)
            tried += 1
            if slowest is None:
                failures += 1
            else:
                made.append(slowest)
                kit.emit("init", name="cycle", value=slowest, unit="s", n=tried)
            if count > 1 or slowest is None:
                with contextlib.suppress(Exception):
                    self.dist.destroy_process_group()
        if self.rank == 0:
            _tell_made(made, tried, self.backend)
        if not made:
            raise _NotMade

    def _attempt(self, prefix, timeout_s):
        """(seconds, None), or (None, what was raised)."""
        begin = time.perf_counter()
        try:
            self._init(prefix, timeout_s)
        except Exception as error:
            return None, error
        return time.perf_counter() - begin, None

    def _init(self, prefix, timeout_s):
        store = self.dist.PrefixStore(prefix, self.store)
        options = _device_option(self.torch, self.backend, self.where)
        timeout = datetime.timedelta(seconds=timeout_s)
        self.dist.init_process_group(
            self.backend, store=store, rank=self.rank, world_size=self.ranks, timeout=timeout, **options
        )
        self.kept = self.torch.full((256,), float(self.rank + 1), device=self.where)
        self.dist.all_reduce(self.kept)
        expected = float(self.ranks * (self.ranks + 1) // 2)
        if not bool((self.kept == expected).all()):
            raise ArithmeticError("the first all_reduce gave %r instead of %r" % (float(self.kept[0]), expected))

    def _agree(self, seconds):
        """The slowest rank's seconds of an attempt, None if any rank failed; all ranks hear the same."""
        key = "said%d." % self.groups
        self.groups += 1  # no attempt may find another's keys in the store
        self.store.set(key + str(self.rank), "%r" % (seconds,))
        said = [self.store.get(key + str(rank)).decode() for rank in range(self.ranks)]
        return None if "None" in said else max(float(text) for text in said)

    def _reduce(self):
        bench = collectives.Bench(self.torch, self.where, self.backend)
        self.sizes = bench.run(self.request.data.get("memory_limit_bytes"))
        bench.tell_sums()

    def _leave(self):
        if self.backend == "gloo":
            time.sleep(LET_GO_S)
        self.dist.destroy_process_group()

    def _one_rank(self):
        """One GPU: NCCL starts and answers with one rank. It proves the library, not communication."""
        if not (self.one_gpu and self.rank == 0 and self.dist.is_nccl_available()):
            return
        self.torch.cuda.set_device(0)
        store = self.dist.PrefixStore("one-rank", self.dist.HashStore())
        timeout = datetime.timedelta(seconds=GROUP_TIMEOUT_S)
        self.dist.init_process_group("nccl", store=store, rank=0, world_size=1, timeout=timeout)
        tensor = self.torch.arange(256.0, device="cuda:0")
        self.dist.all_reduce(tensor)
        right = float(tensor.sum()) == 32640.0
        kit.fact("ddp.nccl_one_rank", "right" if right else "wrong", "one rank: no communication was tested")
        self.dist.destroy_process_group()

    def _ask_algorithms(self):
        """A process of its own for every rank, in which NCCL names the algorithm of each size; nothing is timed."""
        if self.backend == "nccl":
            self.torch.cuda.empty_cache()
            limit_s = LIMITS_S["algorithms"] - 10.0
            ending = kit.spawn_self("algorithms." + self.label, limit_s, sizes=self.sizes)
            if ending != 0 and self.rank == 0:
                kit.fact("ddp.algorithms", None, "the process that was to ask NCCL ended with %s" % ending)

    def _tell_log(self):
        """What this rank's NCCL wrote; also when a phase hangs."""
        log = nccl_log.read(self.request.artifacts) if self.backend == "nccl" else None
        if log is None:
            return
        words = "%d begun, %d complete" % (log.started, log.complete)
        kit.fact("ddp.communicators.%s" % self.label, log.complete >= log.started, words)
        if log.transports:
            kit.fact("ddp.transport.%s" % self.label, log.words(), "channels, NCCL's log")
        for (sender, receiver), ways in sorted(log.links.items())[:MOST_LINKS]:
            kit.fact("ddp.link.%d-%d" % (sender, receiver), nccl_log.words(ways), self._between(sender, receiver))
        if self.rank == 0:
            kit.fact("ddp.nccl", log.version, "NCCL's log")
            kit.fact("ddp.network", log.network, "what NCCL takes between machines")
            kit.fact("ddp.fast_ports", ", ".join(active_ports()), "/sys/class/infiniband, ports that are active")
            kit.fact("ddp.nccl_cuda", log.cuda, "the CUDA that this NCCL was built with")
            kit.fact("ddp.driver_cuda", log.driver, "cudaDriverVersion in NCCL's log")
            kit.fact("ddp.nvls_channels", log.nvls, "NVLink SHARP")

    def _between(self, one, other):
        """Whether two ranks share a machine: torchrun numbers them machine by machine, equally many on each."""
        local = int(os.environ.get("LOCAL_WORLD_SIZE", self.ranks))
        return "one machine" if one // local == other // local else "two machines"


class _NotMade(Exception):
    """There is no communicator to go on with; the ranks that failed have said why."""


def active_ports(folder="/sys/class/infiniband"):
    """InfiniBand and RoCE ports that are active, as "mlx5_0/1"."""
    found = []
    for state in sorted(glob.glob(os.path.join(folder, "*", "ports", "*", "state")))[:MOST_LINKS]:
        with contextlib.suppress(OSError), open(state) as file:
            if "ACTIVE" in file.read(64):
                device, _, port = os.path.relpath(state, folder).split(os.sep)[:3]
                found.append("%s/%s" % (device, port))
    return found


def phases(part):
    """The phases of a part, or of several with `+` between them, each once and in this order."""
    wanted = [name for one in part.split("+") for name in PARTS[one]]
    order = ("meet", "cycles", "init", "reduce", "train", "leave", "one-rank", "algorithms")
    return [name for name in order if name in wanted]


def _tell_made(made, tried, backend):
    kit.figure("init_ok", len(made), "communicators", n=tried, backend=backend)
    kit.figure("init_share_low", collectives.lower_bound(len(made), tried), "share", n=tried, backend=backend)
    if made:
        mean, deviation = collectives.moments(made)
        figures = [("init_s", mean), ("init_std_s", deviation), ("init_max_s", max(made)), ("init_first_s", made[0])]
        for name, value in figures + [("init_p50_s", collectives.quantile(made, 0.5))]:
            kit.figure(name, value, "s", n=len(made), backend=backend)


def _store():
    from torch.distributed.rendezvous import rendezvous

    return next(iter(rendezvous("env://", timeout=datetime.timedelta(seconds=CYCLE_TIMEOUT_S * 3))))[0]


def _device_option(torch, backend, where):
    known = "device_id" in inspect.signature(torch.distributed.init_process_group).parameters
    low, high = HANGS_WITH_DEVICE_ID
    if backend != "nccl" or not known or low < release(torch.__version__) < high:
        return {}
    return {"device_id": where}


def _backend(torch, device, local_ranks):
    enough = torch.cuda.is_available() and torch.cuda.device_count() >= local_ranks
    wanted = device.startswith("cuda") and local_ranks > 1
    return "nccl" if wanted and enough and torch.distributed.is_nccl_available() else "gloo"


def _tell_algorithms(request):
    """One rank's helper: NCCL with its tuner's words on, each size reduced once; rank 0's file names the algorithms."""
    nccl_log.prepare(request.artifacts, nccl_log.WITH_ALGORITHMS)
    torch = kit.import_torch()
    dist, rank, ranks = torch.distributed, int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    where = torch.device("cuda", int(os.environ.get("LOCAL_RANK", rank)))
    torch.cuda.set_device(where)
    timeout = datetime.timedelta(seconds=CYCLE_TIMEOUT_S)
    store = dist.PrefixStore("algorithms", _store())
    options = _device_option(torch, "nccl", where)
    dist.init_process_group("nccl", store=store, rank=rank, world_size=ranks, timeout=timeout, **options)
    for size in request.params["sizes"]:
        dist.all_reduce(torch.zeros(size // 4, dtype=torch.float32, device=where))
    torch.cuda.synchronize(where)
    dist.destroy_process_group()
    log = nccl_log.read(request.artifacts)
    if rank == 0:
        for size, name in sorted(log.algorithms.items()) if log else ():
            kit.fact("ddp.algorithm.%s" % collectives.name_of(size), name, "NCCL's tuner")


def release(version):
    """The numbers at the beginning of a version: (2, 6, 0) of "2.6.0+cu124"."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return tuple(int(n or 0) for n in found.groups()) if found else (0, 0, 0)
