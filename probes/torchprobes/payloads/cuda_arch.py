"""cuda.arch: does this PyTorch hold code for every GPU that it sees, and if only PTX, what does the first use cost?

Standard library and torch 2.1 or later; parses on Python 3.8. What fits what is judged at home.
"""

import platform
import time

import torchdoctor_kit as kit
import torchdoctor_measure as measure


def run(request):
    """The probe."""
    if not request.device.startswith("cuda"):
        raise kit.Skip("needs a CUDA device: %s was asked" % request.device)
    torch = kit.import_torch()
    kit.fact("torch.version", torch.__version__)
    kit.fact("torch.build.cuda", torch.version.cuda, "torch.version.cuda")
    kit.fact("arch.list", " ".join(arch_list(torch)), "what this build holds code for")
    kit.fact("arch.machine", platform.machine(), "platform.machine()")
    if not torch.cuda.is_available():
        raise kit.Skip("CUDA is not available to this PyTorch: cuda.available says why")
    tell_devices(torch)
    tell_first_kernel(torch, torch.device(request.device))


def arch_list(torch):
    """The architectures of this build; asked so that it answers without a driver too (measured on 2.1 and 2.6)."""
    try:
        flags = torch._C._cuda_getArchFlags()
    except Exception:
        flags = None
    if flags:
        return flags.split()
    try:
        return list(torch.cuda.get_arch_list())
    except Exception:
        return []


def tell_devices(torch):
    """Name and architecture of every device that this process sees."""
    count = torch.cuda.device_count()
    kit.fact("device.count", count, "torch.cuda.device_count()")
    for index in range(min(count, 64)):
        properties = torch.cuda.get_device_properties(index)
        kit.fact("device.%d.name" % index, properties.name)
        if torch.version.hip:
            kit.fact("device.%d.gcn" % index, properties.gcnArchName.split(":")[0], "gcnArchName")
        else:
            kit.fact("device.%d.capability" % index, "%d.%d" % (properties.major, properties.minor), properties.name)


def tell_first_kernel(torch, where):
    """Seconds of a first kernel after the context is there, and of the same again: the difference is its loading."""
    torch.cuda.set_device(where)
    wait = measure.synchronizer(torch, where)
    try:
        x = torch.ones(1024, device=where)
        wait()
        begin = time.perf_counter()
        total = float(torch.hypot(x, x).sum())
        first = time.perf_counter() - begin
        again = measure.seconds_of(wait, lambda: float(torch.hypot(x, x).sum()))
    except Exception as error:
        kit.raised("arch.kernel", error)
        return
    kit.figure("first_kernel_s", first, "s", kernel="hypot")
    kit.figure("same_again_s", again, "s", kernel="hypot")
    # A kernel that few programs use, so that nothing has loaded it yet, and one that is not made by NVRTC.
    right = abs(total / 1024 - 2**0.5) < 1e-5
    kit.fact("arch.answer", "right" if right else "wrong", "the mean of hypot(1, 1) is %r" % (total / 1024))
