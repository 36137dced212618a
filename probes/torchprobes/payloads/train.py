"""200 training steps under DistributedDataParallel: same bits on every rank, steady memory, the single run's answer.

Standard library and torch 2.1 or later; parses on Python 3.8.
"""

import os
import time

import torchdoctor_collectives as collectives
import torchdoctor_kit as kit

STEPS = 200
DROPPED = 10
"""Steps before memory is steady: buckets, gradients and the allocator's pools come into being."""

BATCH, WIDTH, HIDDEN = 32, 128, 256
EVENT_EVERY = 5


def run(torch, where, backend):
    """Train, then compare: over the ranks, and with one process that sees the whole batch."""
    dist = torch.distributed
    rank, ranks = dist.get_rank(), dist.get_world_size()
    kit.progress("%d training steps on %d ranks" % (STEPS, ranks))
    model = _model(torch).to(where)
    devices = None if where.index is None else [where.index]
    wrapped = torch.nn.parallel.DistributedDataParallel(model, device_ids=devices)
    reducing = _Reducing(torch, where, backend, model)
    told = _train(torch, wrapped, where, [rank], reducing)
    reducing.tell()
    _tell_memory(torch, where, told)
    losses = _mean_over_ranks(torch, where, told.losses)
    same, detector = _equal_over_ranks(torch, _bits(torch, model)), _sees_a_difference(torch, model)
    if rank != 0:
        return
    kit.fact(
        "ddp.parameters", "bit-equal" if same else "different", "MAX == MIN over %d ranks, %d steps" % (ranks, STEPS)
    )
    kit.fact("ddp.parameters.detector", detector, "one changed bit on the last rank is seen")
    steady = told.seconds[DROPPED:]
    kit.figure("step_us", 1e6 * collectives.quantile(steady, 0.5), "us", n=len(steady), ranks=ranks)
    _compare_with_one_process(torch, where, model, losses)


class _Reducing:
    """Between the steps, one timed and checked all_reduce of as many bytes as the gradients have."""

    def __init__(self, torch, where, backend, model):
        self.bench = collectives.Bench(torch, where, backend)
        count = sum(p.numel() for p in model.parameters())
        self.buffer = torch.empty(count, dtype=torch.float32, device=where)
        self.series = []

    def once(self, step):
        """After a step; the first ones warm up what they use."""
        took = self.bench.once(self.buffer, step)
        if step >= DROPPED:
            self.series.append(took)

    def tell(self):
        """Its figures, as those of any other size."""
        self.bench.tell(4 * self.buffer.numel(), self.series)
        self.bench.tell_sums()


class _Told:
    """What a run of steps leaves: loss, seconds, peak bytes and reserved bytes of each."""

    def __init__(self):
        self.losses, self.seconds, self.peaks, self.reserved = [], [], [], []


def _compare_with_one_process(torch, where, model, losses):
    """The same steps on the whole batch, without the ranks: parameters at the end, and the loss of each step."""
    alone = _model(torch).to(where)
    whole = _train(torch, alone, where, range(torch.distributed.get_world_size()), None)
    ranks = torch.distributed.get_world_size()
    kit.figure("single_run_difference", _difference(torch, model, alone), "share", ranks=ranks)
    apart = max(abs(ours - one) / max(abs(one), 1e-12) for ours, one in zip(losses, whole.losses))
    kit.figure("single_run_loss_difference", apart, "share", n=STEPS, ranks=ranks)


def _model(torch):
    torch.manual_seed(1234)
    return torch.nn.Sequential(torch.nn.Linear(WIDTH, HIDDEN), torch.nn.GELU(), torch.nn.Linear(HIDDEN, WIDTH))


def _batch(torch, where, step, shares):
    """The batch of one step: each rank's share comes from a seed of its own, so that one process can make all."""
    parts = []
    for share in shares:
        generator = torch.Generator().manual_seed(7919 * step + share)
        parts.append(torch.randn(BATCH, WIDTH, generator=generator))
    x = torch.cat(parts).to(where)
    return x, x.roll(1, dims=1) * 0.5


def _train(torch, model, where, shares, reducing):
    """STEPS steps on those shares of the batch; with `reducing`, on ranks that tell what they do."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    told = _Told()
    for step in range(STEPS):
        if where.type == "cuda":
            torch.cuda.reset_peak_memory_stats(where)
        begin = time.perf_counter()
        x, y = _batch(torch, where, step, shares)
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        told.losses.append(float(loss.detach()))  # waits for the device
        told.seconds.append(time.perf_counter() - begin)
        told.peaks.append(_memory(torch, where))
        if where.type == "cuda":
            told.reserved.append(torch.cuda.memory_reserved(where))
        if reducing is not None:
            reducing.once(step)
            if step % EVENT_EVERY == 0:
                kit.emit("step", name="train", value=told.losses[-1], unit="loss", n=step + 1)
                kit.emit("mem", name=_memory_name(where), value=told.peaks[-1], unit="bytes")
    return told


def _memory_name(where):
    return "allocated_peak" if where.type == "cuda" else "rss"


def _memory(torch, where):
    if where.type == "cuda":
        return torch.cuda.max_memory_allocated(where)
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _tell_memory(torch, where, told):
    """std/mean of the steady steps, the largest over the ranks, and the largest mean."""
    for series, values in ((_memory_name(where), told.peaks), ("reserved", told.reserved)):
        if not values:
            continue
        mean, deviation = collectives.moments([float(v) for v in values[DROPPED:]])
        there = torch.tensor([deviation / mean, mean], dtype=torch.float64, device=where)
        torch.distributed.all_reduce(there, op=torch.distributed.ReduceOp.MAX)
        if torch.distributed.get_rank() == 0:
            steady = STEPS - DROPPED
            kit.figure("memory_fluctuation", float(there[0]), "share", n=steady, series=series)
            kit.figure("memory_mean", float(there[1]), "B", n=steady, series=series)


def _mean_over_ranks(torch, where, losses):
    """Each step's loss of the whole batch: the mean of the ranks' equal shares."""
    there = torch.tensor(losses, dtype=torch.float64, device=where)
    torch.distributed.all_reduce(there)
    return (there / torch.distributed.get_world_size()).tolist()


def _bits(torch, model):
    """All parameters as 32-bit words."""
    flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    return flat.contiguous().view(torch.int32)


def _equal_over_ranks(torch, words):
    high, low = words.clone(), words.clone()
    torch.distributed.all_reduce(high, op=torch.distributed.ReduceOp.MAX)
    torch.distributed.all_reduce(low, op=torch.distributed.ReduceOp.MIN)
    return bool(torch.equal(high, low))


def _sees_a_difference(torch, model):
    """The comparison itself, on parameters of which one bit differs on the last rank."""
    words = _bits(torch, model).clone()
    if torch.distributed.get_rank() == torch.distributed.get_world_size() - 1:
        words[0] ^= 1
    return not _equal_over_ranks(torch, words)


def _difference(torch, model, alone):
    """Relative Euclidean distance of two models' parameters."""
    ours = torch.cat([p.detach().double().reshape(-1).cpu() for p in model.parameters()])
    other = torch.cat([p.detach().double().reshape(-1).cpu() for p in alone.parameters()])
    return float((ours - other).norm() / other.norm())
