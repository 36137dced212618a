"""The PyTorch stack as it answers when it is asked: builds, libraries, one kernel with its answer read back.

Part of env.identity. A toggle is not an answer: `cudnn.enabled` is True on a build without cuDNN, so what is
available is asked beside it. Standard library and torch 2.1 or later; parses on Python 3.8.
"""

import importlib
import importlib.util
import os
import re
import time
import warnings

import torchdoctor_import_cost as import_cost
import torchdoctor_kit as kit

LIBRARY = re.compile(r"/lib(cudart|cublas|cublasLt|cudnn|cudnn_graph|nccl|nvrtc|cuda)(?:-[0-9a-f]+)?\.so[\d.]*$")
KERNEL_SIZE = 1024


def tell(device):
    """Import torch and tell what it is; its import failing is a fact."""
    cost = import_cost.Cost()
    try:
        torch = kit.import_torch()
    except Exception as error:
        kit.raised("torch.import", error)
        return
    cost.tell("import")
    kit.fact("torch.import", "ok", "import torch")
    _tell_build(torch)
    _tell_cpu(torch)
    _tell_libraries(torch)
    _tell_triton()
    _tell_cuda(torch, device)
    _tell_loaded()


def _tell_build(torch):
    kit.fact("torch.version", torch.__version__, "torch.__version__")
    kit.fact("torch.path", os.path.dirname(os.path.realpath(torch.__file__)), "torch.__file__")
    version = torch.version
    for name in ("git_version", "cuda", "hip", "xpu"):
        kit.fact("torch.build.%s" % name, getattr(version, name, None), "torch.version.%s" % name)
    accelerated = any(getattr(version, name, None) for name in ("cuda", "hip", "xpu"))
    kit.fact("torch.cpu_only", not accelerated, "torch.version names no CUDA, HIP or XPU")
    kit.fact("torch.arch_list", " ".join(arch_list(torch)), "what this build holds kernels for")


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


def _tell_cpu(torch):
    """The smallest positive evidence: one product on the CPU, its exact answer checked."""
    a = torch.arange(64, dtype=torch.float64).reshape(8, 8)
    answer = float((a @ torch.eye(8, dtype=torch.float64)).sum())
    kit.fact("cpu.answer", "right" if answer == 2016.0 else "wrong", "sum of 0..63 through a product: %r" % answer)
    kit.fact("cpu.threads", torch.get_num_threads(), "torch.get_num_threads(), %d cores allowed" % _cores())


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tell_libraries(torch):
    cudnn = torch.backends.cudnn
    kit.fact("cudnn.available", bool(cudnn.is_available()), "cudnn.is_available()")
    kit.fact("cudnn.enabled", bool(cudnn.enabled), "a toggle: it is True without cuDNN too")
    _ask("cudnn.version", cudnn.version)
    distributed = bool(torch.distributed.is_available())
    kit.fact("distributed.available", distributed, "torch.distributed.is_available()")
    has_nccl = distributed and torch.distributed.is_nccl_available()
    kit.fact("nccl.available", bool(has_nccl), "torch.distributed.is_nccl_available()")
    if has_nccl:
        _ask("nccl.version", lambda: ".".join(str(n) for n in torch.cuda.nccl.version()))
    kit.fact("gloo.available", distributed and bool(_gloo(torch)), "torch.distributed.is_gloo_available()")


def _gloo(torch):
    asked = getattr(torch.distributed, "is_gloo_available", None)  # 2.2 and later
    return asked() if asked else hasattr(torch.distributed, "ProcessGroupGloo")


def _ask(name, question):
    """The answer as a fact; what it raises instead is one too (cuDNN raises when another one was loaded)."""
    try:
        kit.fact(name, question())
    except Exception as error:
        kit.raised(name + ".raised", error)


def _tell_triton():
    found = importlib.util.find_spec("triton") is not None
    kit.fact("triton.found", found, "importlib.util.find_spec, not imported")
    if found:
        kit.fact("triton.version", _distribution("triton", "pytorch-triton", "triton-rocm", "pytorch-triton-rocm"))


def _distribution(*names):
    from importlib import metadata

    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _tell_cuda(torch, device):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = bool(torch.cuda.is_available())
    words = " ".join(str(w.message).split("(Triggered")[0].strip() for w in caught)
    kit.fact("cuda.available", available, words[:500] or "torch.cuda.is_available()")
    _ask_driver(torch)
    if not available:
        if getattr(torch.version, "cuda", None):
            _ask("cuda.init", torch.cuda.init)
        return
    kit.fact("cuda.devices", torch.cuda.device_count(), "torch.cuda.device_count()")
    if torch.device(device).type == "cuda":
        _try_device(torch, torch.device(device).index or 0)


def _ask_driver(torch):
    try:
        version = int(torch._C._cuda_getDriverVersion())
    except Exception:
        return
    if version:
        kit.fact("driver.cuda", "%d.%d" % (version // 1000, version % 1000 // 10), "newest CUDA of the driver")


def _try_device(torch, index):
    """One kernel on the device, its answer read back: `is_available()` alone says nothing about kernels."""
    try:
        major, minor = torch.cuda.get_device_capability(index)
        kit.fact("cuda.name", torch.cuda.get_device_name(index))
        kit.fact("cuda.capability", "%d.%d" % (major, minor), "get_device_capability(%d)" % index)
        kit.fact("cuda.arch", arch_match(arch_list(torch), major, minor), "kernels of this build for this device")
        begin = time.perf_counter()
        numbers = torch.arange(KERNEL_SIZE, dtype=torch.float64, device="cuda:%d" % index)
        answer = float((numbers * 2 + 1).sum())
        right = answer == float(KERNEL_SIZE**2)
        kit.fact("cuda.answer", "right" if right else "wrong", "sum of the odd numbers: %r" % answer)
        kit.figure("cuda_first_answer_s", time.perf_counter() - begin, "s", device=index)
    except Exception as error:
        kit.raised("cuda.kernel", error)


def arch_match(archs, major, minor):
    """How a build's architectures fit a device: "exact", "same major", "ptx" (compiled on first use) or "none".

    A cubin runs on a device of the same major and an equal or higher minor (one that ends in `a` on its own
    device only); PTX on any later one. "unknown" for builds that name no CUDA architecture.
    """
    known = [m.groups() for m in (re.match(r"(sm|compute)_(\d+)(\d)([a-z]?)$", a) for a in archs) if m]
    own = (major, minor)
    cubins = [((int(high), int(low)), suffix) for kind, high, low, suffix in known if kind == "sm"]
    if any(c == own for c, _ in cubins):
        return "exact"
    if any(c[0] == major and c[1] <= minor and suffix != "a" for c, suffix in cubins):
        return "same major"
    if any(kind == "compute" and (int(high), int(low)) <= own for kind, high, low, _ in known):
        return "ptx"
    return "none" if known else "unknown"


def _tell_loaded():
    """Which accelerator libraries this process has mapped: two copies of one are a cause of many faults."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
            paths = {line.split(None, 5)[5].strip() for line in file if line.count(" ") > 5 and "/" in line}
    except (OSError, IndexError):
        return
    copies = {}
    for path in sorted(paths):
        found = LIBRARY.search(path)
        if found:
            copies.setdefault(found.group(1), set()).add(os.path.realpath(path))
    for name, files in sorted(copies.items()):
        kit.fact("loaded.%s" % name, len(files), ", ".join(sorted(files)))
