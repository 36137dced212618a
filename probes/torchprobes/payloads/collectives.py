"""Timing all_reduce: one operation at a time behind a barrier, every sum checked, every rank's clock kept.

The time of a collective on one rank includes waiting for the ranks that come late, so the smallest over the ranks is
what the wire took, the largest mean is what training sees, and their difference is the skew of arrival. Standard
library and torch 2.1 or later; parses on Python 3.8.
"""

import math
import time

import torchdoctor_kit as kit

WARM_UP = 20
ITERATIONS = 200
FEWEST = 20
BUDGET_S = 6.0
"""Of one size: a slow link gets fewer iterations, never fewer than FEWEST."""

KIB, MIB = 1 << 10, 1 << 20
CPU_SIZES = (KIB, MIB)
GPU_SIZES = (KIB, MIB, 16 * MIB, 128 * MIB)
BANDWIDTH_FROM = MIB
EVENT_EVERY = 20


def name_of(size):
    """A size in words: 1 KiB, 128 MiB."""
    return "%d MiB" % (size // MIB) if size >= MIB else "%d KiB" % (size // KIB)


class Bench:
    """All sizes on one process group. `where` is this rank's device."""

    def __init__(self, torch, where, backend):
        self.torch, self.dist, self.where, self.backend = torch, torch.distributed, where, backend
        self.rank, self.ranks = self.dist.get_rank(), self.dist.get_world_size()
        self.clock = _EventClock(torch) if where.type == "cuda" else _HostClock()
        self.wrong = self.checked = 0

    def run(self):
        """Every size; rank 0 tells the figures, and how many sums were right."""
        for size in GPU_SIZES if self.where.type == "cuda" else CPU_SIZES:
            kit.progress("all_reduce of %s on %d ranks" % (name_of(size), self.ranks))
            self._tell(size, self._gather(self._series(size)))
        wrong = self.torch.tensor([self.wrong, self.checked], dtype=self.torch.int64, device=self.where)
        self.dist.all_reduce(wrong)
        if self.rank == 0:
            bad, all_sums = wrong.tolist()
            kit.fact("ddp.sums", "right" if bad == 0 else "wrong", "%d of %d sums wrong" % (bad, all_sums))
            kit.figure("sums_checked", all_sums, "sums", ranks=self.ranks)
            kit.figure("sums_wrong", bad, "sums", ranks=self.ranks)

    def _series(self, size):
        tensor = self.torch.empty(size // 4, dtype=self.torch.float32, device=self.where)
        begin = time.perf_counter()
        for step in range(WARM_UP):
            self._once(tensor, step)
        slowest = self._largest((time.perf_counter() - begin) / WARM_UP)
        count = max(FEWEST, min(ITERATIONS, int(BUDGET_S / max(slowest, 1e-9))))
        series = []
        for step in range(count):
            series.append(self._once(tensor, step))
            if step % EVENT_EVERY == 0:
                kit.emit("coll", name="all_reduce %s" % name_of(size), value=series[-1], unit="us", n=step + 1)
        return series

    def _largest(self, value):
        """The largest of the ranks' values: all must agree on how many iterations follow."""
        there = self.torch.tensor([value], dtype=self.torch.float64, device=self.where)
        self.dist.all_reduce(there, op=self.dist.ReduceOp.MAX)
        return float(there[0])

    def _once(self, tensor, step):
        """One timed all_reduce in µs, its sum checked: rank r contributes r + 1 + step % 7."""
        tensor.fill_(float(self.rank + 1 + step % 7))
        self.dist.barrier()
        took = self.clock.time(lambda: self.dist.all_reduce(tensor))
        expected = self.ranks * (self.ranks + 1) // 2 + self.ranks * (step % 7)
        self.checked += 1
        self.wrong += int(not bool((tensor == float(expected)).all()))
        return took

    def _gather(self, series):
        """Every rank's series, as rows."""
        mine = self.torch.tensor(series, dtype=self.torch.float64, device=self.where)
        rows = [self.torch.empty_like(mine) for _ in range(self.ranks)]
        self.dist.all_gather(rows, mine)
        return [row.tolist() for row in rows]

    def _tell(self, size, rows):
        if self.rank != 0:
            return
        labels = {"size": name_of(size), "ranks": self.ranks, "backend": self.backend, "clock": self.clock.name}
        wire = [min(column) for column in zip(*rows)]
        skew = [max(column) - min(column) for column in zip(*rows)]
        mean, deviation = moments(wire)
        count = len(wire)
        kit.figure("allreduce_us", mean, "us", n=count, spread=1.96 * deviation / math.sqrt(count), **labels)
        kit.figure("allreduce_std_us", deviation, "us", n=count, **labels)
        for name, share in (("min", 0.0), ("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            kit.figure("allreduce_%s_us" % name, quantile(wire, share), "us", n=count, **labels)
        kit.figure("allreduce_seen_us", max(moments(row)[0] for row in rows), "us", n=count, **labels)
        kit.figure("arrival_skew_us", moments(skew)[0], "us", n=count, **labels)
        if size >= BANDWIDTH_FROM and self.ranks > 1:
            factor = 2.0 * (self.ranks - 1) / self.ranks
            kit.figure("busbw_gb_s", size / (mean * 1e-6) * factor / 1e9, "GB/s", n=count, **labels)


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
