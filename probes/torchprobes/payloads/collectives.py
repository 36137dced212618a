"""Timing all_reduce: three numbers a size, never mixed. Every sum that is timed alone is checked.

Latency: one operation at a time behind a barrier. The time of a collective on one rank includes waiting for the ranks
that come late, so the smallest over the ranks is what the wire took, the largest mean is what training sees, and their
difference is the skew of arrival. Throughput: many operations in a queue, one pair of marks around them all, as
nccl-tests does it. Host cost: what the Python call takes that puts one into the queue. Standard library and torch 2.1
or later; parses on Python 3.8.
"""

import math
import time

import torchdoctor_kit as kit

WARM_UP, WARM_UP_LARGE = 20, 5
ITERATIONS = 200
FEWEST = 20
FOR_P99 = 100
"""Samples from which the 99th percentile is more than the largest one."""

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
CPU_SIZES = (8, KIB, 64 * KIB, MIB, 16 * MIB)
GPU_SIZES = (8, KIB, 64 * KIB, MIB, 16 * MIB, 128 * MIB, GIB)
BUDGET_S = {"cpu": 1.5, "cuda": 6.0}
"""Of one size: a slow link gets fewer iterations, never fewer than FEWEST."""

QUEUE_BUDGET_S = {"cpu": 0.3, "cuda": 2.0}
QUEUED = 200
IN_FLIGHT = {"cpu": 8, "cuda": QUEUED}
"""gloo works off its queue with several threads, so each operation on the way has a tensor of its own; NCCL keeps the
order on one stream, and one tensor is enough."""

LARGE = 16 * MIB
BANDWIDTH_FROM = MIB
TIMES_ITS_SIZE = 4
"""What a sum takes in memory, in sizes of its tensor: the tensor, its comparison, NCCL's buffers."""

EVENT_EVERY = 20
STEPS = ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"), (1, "B"))


def name_of(size):
    """A size in words: 8 B, 1 KiB, 128 MiB."""
    step, unit = next(s for s in STEPS if size >= s[0])
    return "%d %s" % (size // step, unit)


def sizes_within(torch, where, limit_bytes):
    """The sizes for `where`, of which each fits into half of what is free and into `limit_bytes` (None: no limit)."""
    if where.type != "cuda":
        return CPU_SIZES
    free = torch.cuda.mem_get_info(where)[0] // 2
    return tuple(s for s in GPU_SIZES if TIMES_ITS_SIZE * s <= min(free, limit_bytes or free))


class Bench:
    """all_reduce on one process group, timed and checked. `where` is this rank's device."""

    def __init__(self, torch, where, backend):
        self.torch, self.dist, self.where, self.backend = torch, torch.distributed, where, backend
        self.rank, self.ranks = self.dist.get_rank(), self.dist.get_world_size()
        self.clock = _EventClock(torch) if where.type == "cuda" else _HostClock()
        self.wrong = self.checked = 0

    def run(self, limit_bytes=None):
        """Every size that fits on every rank, told by rank 0; returns the sizes."""
        mine = max(sizes_within(self.torch, self.where, limit_bytes), default=KIB)
        most = -self._largest(-mine)
        sizes = [s for s in (GPU_SIZES if self.where.type == "cuda" else CPU_SIZES) if s <= most]
        for size in sizes:
            kit.progress("all_reduce of %s on %d ranks" % (name_of(size), self.ranks))
            series = self.series(size)
            self.tell(size, series)
            self.tell_queue(size, *self.queue(size, moments(series)[0] * 1e-6))
        return sizes

    def series(self, size):
        """Microseconds of this rank, one all_reduce after another, the warm-up left out."""
        tensor = self.torch.empty(size // 4, dtype=self.torch.float32, device=self.where)
        warm_ups = WARM_UP_LARGE if size >= LARGE else WARM_UP
        begin = time.perf_counter()
        for step in range(warm_ups):
            self.once(tensor, step)
        slowest = self._largest((time.perf_counter() - begin) / warm_ups)
        count = max(FEWEST, min(ITERATIONS, int(BUDGET_S[self.where.type] / max(slowest, 1e-9))))
        series = []
        for step in range(count):
            series.append(self.once(tensor, step))
            if step % EVENT_EVERY == 0:
                kit.emit("coll", name="all_reduce %s" % name_of(size), value=series[-1], unit="us", n=step + 1)
        return series

    def queue(self, size, once_s):
        """Microseconds of one all_reduce among many that are queued, and of the Python calls that queue them.

        `once_s` is what one takes alone. The first is the slowest rank's mean, the second this rank's series.
        """
        kind = self.where.type
        count = max(FEWEST, min(QUEUED, int(QUEUE_BUDGET_S[kind] / max(self._largest(once_s), 1e-9))))
        kept = min(count, IN_FLIGHT[kind]) if kind == "cpu" else 1
        tensors = [self.torch.zeros(size // 4, dtype=self.torch.float32, device=self.where) for _ in range(kept)]
        calls, works = [], []
        self.dist.barrier()

        def fill():
            for step in range(count):
                if step >= IN_FLIGHT[kind]:
                    works[step - IN_FLIGHT[kind]].wait()
                begin = time.perf_counter()
                works.append(self.dist.all_reduce(tensors[step % kept], async_op=True))
                calls.append((time.perf_counter() - begin) * 1e6)
            for work in works[-IN_FLIGHT[kind] :]:
                work.wait()

        took = self.clock.time(fill)
        return self._largest(took / count), calls

    def _largest(self, value):
        """The largest of the ranks' values: all must agree on how many iterations follow."""
        there = self.torch.tensor([value], dtype=self.torch.float64, device=self.where)
        self.dist.all_reduce(there, op=self.dist.ReduceOp.MAX)
        return float(there[0])

    def once(self, tensor, step):
        """One timed all_reduce in µs, its sum checked: rank r contributes r + 1 + step % 7."""
        tensor.fill_(float(self.rank + 1 + step % 7))
        self.dist.barrier()
        took = self.clock.time(lambda: self.dist.all_reduce(tensor))
        expected = self.ranks * (self.ranks + 1) // 2 + self.ranks * (step % 7)
        self.checked += 1
        self.wrong += int(not bool((tensor == float(expected)).all()))
        return took

    def tell_sums(self):
        """How many of all ranks' sums were right; told by rank 0."""
        counts = self.torch.tensor([self.wrong, self.checked], dtype=self.torch.int64, device=self.where)
        self.dist.all_reduce(counts)
        if self.rank == 0:
            bad, all_sums = counts.tolist()
            kit.fact("ddp.sums", "right" if bad == 0 else "wrong", "%d of %d sums wrong" % (bad, all_sums))
            kit.figure("sums_checked", all_sums, "sums", ranks=self.ranks)
            kit.figure("sums_wrong", bad, "sums", ranks=self.ranks)

    def tell(self, size, series):
        """The figures of one size, from all ranks' series; told by rank 0."""
        rows = self._gather(series)
        if self.rank == 0:
            self._tell_rows(size, rows)

    def tell_queue(self, size, mean, calls):
        """Throughput and host cost of one size; told by rank 0."""
        if self.rank != 0:
            return
        labels = {"size": name_of(size), "ranks": self.ranks, "backend": self.backend, "clock": self.clock.name}
        kit.figure("allreduce_queued_us", mean, "us", n=len(calls), **labels)
        if size >= BANDWIDTH_FROM and self.ranks > 1:
            kit.figure("busbw_queued", bus_bandwidth(size, mean, self.ranks), "B/s", n=len(calls), **labels)
        labels["clock"] = "host"
        kit.figure("allreduce_host_us", quantile(calls, 0.5), "us", n=len(calls), **labels)

    def _gather(self, series):
        """Every rank's series, as rows."""
        mine = self.torch.tensor(series, dtype=self.torch.float64, device=self.where)
        rows = [self.torch.empty_like(mine) for _ in range(self.ranks)]
        self.dist.all_gather(rows, mine)
        return [row.tolist() for row in rows]

    def _tell_rows(self, size, rows):
        labels = {"size": name_of(size), "ranks": self.ranks, "backend": self.backend, "clock": self.clock.name}
        wire = [min(column) for column in zip(*rows)]
        skew = [max(column) - min(column) for column in zip(*rows)]
        mean, deviation = moments(wire)
        count = len(wire)
        spread = 1.96 * deviation / math.sqrt(count)
        kit.figure("allreduce_us", mean, "us", n=count, spread=spread, **labels)
        kit.figure("allreduce_std_us", deviation, "us", n=count, **labels)
        for name, share in (("min", 0.0), ("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            if name != "p99" or count >= FOR_P99:
                kit.figure("allreduce_%s_us" % name, quantile(wire, share), "us", n=count, **labels)
        kit.figure("allreduce_seen_us", max(moments(row)[0] for row in rows), "us", n=count, **labels)
        kit.figure("arrival_skew_us", moments(skew)[0], "us", n=count, **labels)
        if size >= BANDWIDTH_FROM and self.ranks > 1:
            speed = bus_bandwidth(size, mean, self.ranks)
            kit.figure("busbw", speed, "B/s", n=count, spread=speed * spread / mean, **labels)


class _HostClock:
    """Wall clock around a call that returns when it is done: gloo on CPU tensors."""

    name = "host"

    def time(self, work):
        begin = time.perf_counter()
        work()
        return (time.perf_counter() - begin) * 1e6


class _EventClock:
    """CUDA events on the stream that waits for the collective."""

    name = "cuda events"

    def __init__(self, torch):
        self.before = torch.cuda.Event(enable_timing=True)
        self.after = torch.cuda.Event(enable_timing=True)

    def time(self, work):
        self.before.record()
        work()
        self.after.record()
        self.after.synchronize()
        return self.before.elapsed_time(self.after) * 1e3


def bus_bandwidth(size, took_us, ranks):
    """Bytes a second that each link carries: size / time x 2(n-1)/n (nccl-tests, doc/PERFORMANCE.md)."""
    return size / (took_us * 1e-6) * 2.0 * (ranks - 1) / ranks


def moments(values):
    """Mean and sample standard deviation."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, 0.0
    return mean, math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))


def quantile(values, share):
    """The value below which `share` of them lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def lower_bound(good, tried, confidence=0.95):
    """The share of successes that `good` of `tried` prove, at least: the one-sided bound of Clopper and Pearson."""
    low, high = 0.0, good / tried if tried else 0.0
    for _ in range(60):
        middle = (low + high) / 2
        above = sum(_chance(tried, k, middle) for k in range(good, tried + 1))
        low, high = (middle, high) if above < 1.0 - confidence else (low, middle)
    return low


def _chance(tried, good, share):
    """The binomial probability of exactly `good` successes."""
    return math.comb(tried, good) * share**good * (1.0 - share) ** (tried - good)
