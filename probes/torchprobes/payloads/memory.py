"""compute.memory: does CUDA memory come back after it ran out, and how much does fragmentation cost?

Everything stays within the budget of the request: the rest of the GPU's memory is never touched. Standard library and
torch 2.1 or later; parses on Python 3.8.
"""

import os

import torchdoctor_kit as kit
import torchdoctor_measure as measure

SEGMENT, PIECE, KEEP = 120 << 20, 5 << 20, 8
"""Segments are filled with pieces, and every eighth piece stays.

One that stays in each segment keeps the whole of it. With expandable segments memory is held in pages of 20 MiB
(CUDACachingAllocator's kLargeBuffer), of which every other one is then wholly free and can be given back.
"""

FILL, LARGE = 0.85, 0.5
"""Shares of the budget: what the segments take, and what is asked for in one block after most of it was freed."""

MOST = 4 << 30
LEAST = 512 << 20


def run(request):
    """The probe."""
    if not request.device.startswith("cuda"):
        raise kit.Skip("needs a CUDA device: on %s there is no caching allocator to look at" % request.device)
    torch = kit.import_torch()
    where = measure.device(torch, request.device)
    budget = take_budget(torch, where, request.data.get("memory_limit_bytes"))
    tell_settings(torch)
    torch.cuda.reset_peak_memory_stats(where)
    pieces = fragment(torch, where, budget)
    ask_large(torch, where, budget)
    run_out(torch, where, budget)
    tell_state(torch, where, "fragmented")
    del pieces
    torch.cuda.empty_cache()
    recover(torch, where, budget)
    tell_state(torch, where, "end")


def take_budget(torch, where, asked):
    """Bytes that this process allows itself, made a limit of PyTorch's allocator: exceeding it raises, here alone."""
    free, total = torch.cuda.mem_get_info(where)
    budget = int(min(asked or MOST, MOST, free // 2))
    if budget < LEAST:
        raise kit.Skip("%d MiB of the device's memory may be used, this needs %d" % (budget >> 20, LEAST >> 20))
    torch.cuda.set_per_process_memory_fraction(budget / total, where)
    kit.figure("budget", budget, "B")
    return budget


def tell_settings(torch):
    """What shapes the allocator: its back end, and the variables that the user set."""
    kit.fact("allocator.backend", torch.cuda.get_allocator_backend(), "torch.cuda.get_allocator_backend()")
    for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "PYTORCH_NO_CUDA_MEMORY_CACHING"):
        if os.environ.get(name):
            kit.fact("environ." + name, os.environ[name][:1000], "environment")
    words = " ".join(os.environ.get(n, "") for n in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"))
    kit.fact("allocator.expandable_segments", "expandable_segments:true" in words.lower().replace(" ", ""), words)
    caching = os.environ.get("PYTORCH_NO_CUDA_MEMORY_CACHING") in (None, "", "0")
    kit.fact("allocator.caching", caching, "PYTORCH_NO_CUDA_MEMORY_CACHING")


def fragment(torch, where, budget):
    """Make large segments, fill them with small pieces, free seven of eight, and return those that stay."""
    count = int(budget * FILL) // SEGMENT
    segments = [torch.empty(SEGMENT, dtype=torch.uint8, device=where) for _ in range(count)]
    del segments  # the allocator keeps them, and cuts the pieces out of them
    pieces = [torch.empty(PIECE, dtype=torch.uint8, device=where) for _ in range(count * (SEGMENT // PIECE))]
    kit.figure("pieces", len(pieces), "tensors")
    return pieces[::KEEP]


def ask_large(torch, where, budget):
    """Half of the budget in one block: free in sum, and in one piece only if parts of segments can be given back."""
    kind, words = attempt(torch, where, int(budget * LARGE))
    kit.fact("memory.large", kind, words or "one block of %d MiB" % (int(budget * LARGE) >> 20))


def run_out(torch, where, budget):
    """More than the device has cannot be had: the error must be PyTorch's own for that, and leave the process usable.

    It is refused before anything is taken, also by an allocator that keeps no limit.
    """
    total = torch.cuda.mem_get_info(where)[1]
    kind, words = attempt(torch, where, total + budget)
    given = "%d MiB were given, the device has %d" % ((total + budget) >> 20, total >> 20)
    kit.fact("memory.too_much", kind, words or given)


def attempt(torch, where, size):
    """("given", "") or ("out of memory" or the name of another error, its text)."""
    try:
        block = torch.empty(size, dtype=torch.uint8, device=where)
        del block
        return "given", ""
    except Exception as error:
        # torch.OutOfMemoryError is there from 2.4 on, torch.cuda.OutOfMemoryError in all.
        kind = "out of memory" if isinstance(error, torch.cuda.OutOfMemoryError) else type(error).__name__
        return kind, str(error)[:1000]


def recover(torch, where, budget):
    """After everything was freed, most of the budget must be there again in one block, and hold what is written."""
    size = int(budget * FILL)
    try:
        block = torch.empty(size // 8, dtype=torch.int64, device=where)
        torch.arange(size // 8, out=block)
        # The sum of 0 .. n-1 modulo 2**64, as int64 adds.
        n = size // 8
        right = (int(block.sum()) - n * (n - 1) // 2) % (1 << 64) == 0
        kit.fact("memory.recovered", True, "%d MiB in one block" % (size >> 20))
        kit.fact("memory.content", "right" if right else "wrong", "sum of 0 .. %d" % (n - 1))
    except Exception as error:
        kit.fact("memory.recovered", False, measure.first_line(error))


def tell_state(torch, where, at):
    """What the allocator holds, and how often it had to give back and ask again."""
    stats = torch.cuda.memory_stats(where)
    reserved, allocated = torch.cuda.memory_reserved(where), torch.cuda.memory_allocated(where)
    kit.figure("reserved", reserved, "B", at=at)
    kit.figure("allocated", allocated, "B", at=at)
    kit.figure("unused", reserved - allocated, "B", at=at)
    kit.figure("alloc_retries", stats.get("num_alloc_retries", 0), "retries", at=at)
    kit.figure("out_of_memory", stats.get("num_ooms", 0), "errors", at=at)
