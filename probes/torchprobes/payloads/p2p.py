"""compute.p2p: do bytes that one GPU sends to another arrive unchanged, and how fast?

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. Some machines deliver zeros over
peer-to-peer copies and raise no error (NVIDIA/nccl-tests#117), so every byte is compared before anything is timed. The
truth comes to the receiver straight from the host, not over the link under test.
"""

import torchdoctor_gpu as gpu
import torchdoctor_kit as kit
import torchdoctor_measure as measure

SIZES = (1, 4097, 1 << 20, (64 << 20) + 3)
ROUNDS = 3
TIMED_BYTES = 256 << 20


def run(request):
    """The probe."""
    torch = kit.import_torch()
    if not request.device.startswith("cuda"):
        raise kit.Skip(
            "copies between GPUs need CUDA or ROCm devices; this probe was asked to run on %r" % request.device
        )
    measure.device(torch, request.device)
    count = torch.cuda.device_count()
    if count < 2:
        raise kit.Skip("needs two GPUs, this process sees %d" % count)
    devices = [torch.device("cuda", index) for index in range(min(count, 2))]
    gpu.tell_device(torch, devices[0])
    for device in devices:
        kit.fact("gpu.%d.name" % device.index, torch.cuda.get_device_name(device))
        links = gpu.Nvml(device).nvlinks()
        if links is not None:
            kit.figure("nvlinks", links, "links", gpu=device.index)
    limit = request.data.get("memory_limit_bytes") or 4 << 30
    for source, target in (devices, devices[::-1]):
        _pair(torch, source, target, min(TIMED_BYTES, limit // 8))


def _pair(torch, source, target, timed_bytes):
    way = "%d to %d" % (source.index, target.index)
    kit.fact("p2p.%s.peer" % way, bool(torch.cuda.can_device_access_peer(source, target)), "can_device_access_peer")
    kit.progress("comparing every byte from %s" % way, 0.2 + 0.4 * source.index)
    try:
        compared, wrong = _compare(torch, source, target)
    except Exception as error:
        kit.raised("p2p.%s" % way, error)
        return
    kit.figure("p2p_compared", compared, "bytes", way=way)
    kit.figure("p2p_wrong", len(wrong), "copies", n=len(SIZES) * ROUNDS, way=way)
    if wrong:
        kit.fact("p2p.%s.wrong" % way, wrong[0], "; ".join(wrong[:5]))
        return  # a speed of wrong bytes is no speed
    _time(torch, source, target, way, timed_bytes)


def _compare(torch, source, target):
    """(bytes compared, what was wrong in words): random patterns sent over, against the same from the host."""
    compared, wrong = 0, []
    for size in SIZES:
        for turn in range(ROUNDS):
            pattern = measure.random_bytes(torch, size, 1000 * turn + size % 997)
            there, wanted = pattern.to(source), pattern.to(target)
            got = wanted.bitwise_not()  # every byte differs before: what was not written shows
            torch.cuda.synchronize(target)
            got.copy_(there)
            torch.cuda.synchronize(source)
            torch.cuda.synchronize(target)
            bad = int((got != wanted).sum())
            compared += size
            if bad:
                wrong.append(_words(torch, got, wanted, size, bad))
    return compared, wrong


def _words(torch, got, wanted, size, bad):
    differ = got != wanted
    first = int(differ.nonzero()[0])
    zeros = int((got[differ] == 0).sum())
    return "%d of %d bytes differ, the first at %d; %d of them are 0" % (bad, size, first, zeros)


def _time(torch, source, target, way, count):
    """Bytes a second one way; the events are the sender's, whose stream carries the copy."""
    sent = torch.empty(count, dtype=torch.uint8, device=source).random_()
    got = torch.empty(count, dtype=torch.uint8, device=target)
    with torch.cuda.device(source), measure.alone(source):
        times = measure.device_times(torch, source, lambda: got.copy_(sent, non_blocking=True), warm_s=0.1)
        torch.cuda.synchronize(target)
    rate = count / times.typical
    kit.figure("p2p_rate", rate, "B/s", times.n, rate * times.spread / times.typical, way=way, bytes=count)
