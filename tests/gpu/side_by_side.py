"""In every rank: the probe's measurement of all_reduce and an independent one, in turns. A payload of the GPU tests.

The independent one is a plain loop of torch calls that shares no code with the probe: barrier, event, all_reduce,
event, synchronise; the smallest over the ranks of each iteration, and of those the mean.
"""

import os

import torchdoctor_collectives as collectives  # pyright: ignore[reportMissingImports]
import torchdoctor_kit as kit  # pyright: ignore[reportMissingImports]

REPETITIONS, ITERATIONS, WARM_UP = 5, 100, 20
MIB = 1 << 20
SIZES = (8, 1024, 65536, MIB, 16 * MIB, 128 * MIB)


def run(request):
    """Five repetitions of both, the order changed each time; rank 0 tells."""
    torch = kit.import_torch()
    dist, rank = torch.distributed, int(os.environ["RANK"])
    where = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(where)
    dist.init_process_group("nccl", device_id=where)
    collectives.ITERATIONS = ITERATIONS
    bench = collectives.Bench(torch, where, "nccl")
    ways = {
        "ours_us": lambda size: mean_of_smallest(bench._gather(bench.series(size))),
        "independent_us": lambda size: independent(torch, dist, where, size),
    }
    for repetition in range(REPETITIONS):
        for size in SIZES:
            for name in sorted(ways, reverse=bool(repetition % 2)):
                value = ways[name](size)
                if rank == 0:
                    kit.figure(name, value, "us", n=ITERATIONS, size=collectives.name_of(size), repetition=repetition)
    dist.destroy_process_group()


def independent(torch, dist, where, size):
    """Mean microseconds of ITERATIONS all_reduce calls, each behind a barrier."""
    data = torch.zeros(size // 4, dtype=torch.float32, device=where)
    took = torch.zeros(ITERATIONS, dtype=torch.float64, device=where)
    series = []
    for step in range(WARM_UP + ITERATIONS):
        data.fill_(1.0)
        dist.barrier()
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        dist.all_reduce(data)
        end.record()
        torch.cuda.synchronize(where)
        if step >= WARM_UP:
            series.append(begin.elapsed_time(end) * 1000.0)
    took.copy_(torch.tensor(series, dtype=torch.float64))
    dist.all_reduce(took, op=dist.ReduceOp.MIN)
    return float(took.mean())


def mean_of_smallest(rows):
    """Of each iteration the smallest over the ranks, and of those the mean."""
    smallest = [min(column) for column in zip(*rows, strict=True)]
    return sum(smallest) / len(smallest)
