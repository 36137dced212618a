"""compute.bandwidth: how fast do bytes move on the device, to it and back?

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. A copy on the device is counted
read and write, as its memory is sold. Copies between host and device are made from pageable and from pinned memory,
each way, and both ways at once; the PCIe link is read while they run, since an idle link slows down to save power.
Every kind of copy is compared before it is timed.
"""

import torchdoctor_gpu as gpu
import torchdoctor_kit as kit
import torchdoctor_measure as measure

DEVICE_BYTES = 1 << 30
HOST_BYTES = 256 << 20
CPU_BYTES = 128 << 20
"""Far above any cache, and little enough for a second on a small machine."""


def run(request):
    """The probe."""
    torch = kit.import_torch()
    where = measure.device(torch, request.device)
    gpu.tell_device(torch, where)
    limit = request.data.get("memory_limit_bytes") or 4 << 30
    with torch.no_grad(), measure.alone(where):
        kit.progress("copying in memory", 0.1)
        _in_place(torch, where, CPU_BYTES if where.type == "cpu" else min(DEVICE_BYTES, limit // 4))
        if where.type != "cpu":
            _with_host(torch, where, min(HOST_BYTES, limit // 8))


def _tell(name, count, times, **labels):
    rate = count / times.typical
    kit.figure(name, rate, "B/s", n=times.n, spread=rate * times.spread / times.typical, bytes=count, **labels)


def _in_place(torch, where, count):
    """A copy from one tensor to another on the device itself, read and write counted."""
    draw = torch.Generator(device=where).manual_seed(18)
    source = torch.randint(0, 1 << 30, (count // 4,), dtype=torch.int32, device=where, generator=draw)
    target = torch.zeros_like(source)

    def step():
        target.copy_(source)

    times = measure.device_times(torch, where, step, budget_s=0.3)
    kit.fact("copy.device", _equal(torch, target, source), "every byte compared")
    _tell("copy_rate", 2 * source.numel() * 4, times, kind="device", threads=_threads(torch, where))
    best = 2 * source.numel() * 4 / times.best
    kit.figure("copy_best_rate", best, "B/s", n=times.n, kind="device", threads=_threads(torch, where))


def _threads(torch, where):
    return torch.get_num_threads() if where.type == "cpu" else "-"


def _equal(torch, got, wanted):
    return "right" if torch.equal(got, wanted) else "wrong"


def _with_host(torch, where, count):
    """Copies to the device and back: pageable, pinned, and pinned both ways at once."""
    nvml = gpu.Nvml(where)
    there = torch.empty(count, dtype=torch.uint8, device=where)
    pageable = measure.random_bytes(torch, count, 1)
    kit.progress("copying from and to pageable memory", 0.3)
    _each_way(torch, where, there, pageable, "pageable", None)
    try:
        pinned = measure.random_bytes(torch, count, 2).pin_memory()
    except Exception as error:
        kit.fact("copy.pinned", "not here", measure.first_line(error))
        return
    kit.progress("copying from and to pinned memory", 0.5)
    _each_way(torch, where, there, pinned, "pinned", lambda: _tell_link(nvml))
    if hasattr(getattr(torch, where.type, None), "Stream"):
        _both_ways(torch, where, there, pinned)


def _tell_link(nvml):
    nvml.tell("copy")
    if nvml.bus is not None:
        gpu.tell_pcie(nvml.bus, "while copies run")


def _each_way(torch, where, there, here, memory, during):
    back = torch.zeros_like(here, pin_memory=memory == "pinned")
    ways = (("to device", there, here), ("to host", back, there))
    # The host takes part in a pageable copy, so its clock must be the one that counts.
    for way, target, source in ways:
        target.zero_()

        def step(target=target, source=source):
            target.copy_(source, non_blocking=memory == "pinned")

        if memory == "pinned":
            times = measure.device_times(torch, where, step, budget_s=0.3, during=during, warm_s=0.1)
        else:
            times = measure.host_times(measure.synchronizer(torch, where), step, budget_s=0.3, warm_s=0.1)
        _tell("copy_rate", here.numel(), times, kind=way, memory=memory)
    measure.synchronizer(torch, where)()
    kit.fact("copy.%s" % memory, _equal(torch, back, here), "every byte compared, there and back")


def _both_ways(torch, where, there, pinned):
    """One copy each way at the same time, on two streams: full duplex is what overlapping training relies on."""
    back = torch.zeros_like(pinned, pin_memory=True)
    out = torch.zeros_like(there)
    make = getattr(torch, where.type)
    streams = [make.Stream() for _ in range(2)]
    wait = measure.synchronizer(torch, where)

    def step():
        with make.stream(streams[0]):
            there.copy_(pinned, non_blocking=True)
        with make.stream(streams[1]):
            back.copy_(out, non_blocking=True)

    times = measure.host_times(wait, step, budget_s=0.3, warm_s=0.1)
    _tell("copy_rate", 2 * pinned.numel(), times, kind="both ways", memory="pinned")
