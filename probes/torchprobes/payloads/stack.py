"""The PyTorch stack as it answers when it is asked: its build, the CPU, what it can communicate with, triton.

Part of env.identity; what needs a GPU is asked by cuda.*. Standard library and torch 2.1 or later; parses on Python
3.8.
"""

import importlib
import importlib.util
import os

import torchdoctor_import_cost as import_cost
import torchdoctor_kit as kit


def tell():
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
    _tell_communication(torch)
    _tell_triton()


def _tell_build(torch):
    kit.fact("torch.version", torch.__version__, "torch.__version__")
    kit.fact("torch.path", os.path.dirname(os.path.realpath(torch.__file__)), "torch.__file__")
    version = torch.version
    for name in ("git_version", "cuda", "hip", "xpu"):
        kit.fact("torch.build.%s" % name, getattr(version, name, None), "torch.version.%s" % name)
    accelerated = any(getattr(version, name, None) for name in ("cuda", "hip", "xpu"))
    kit.fact("torch.cpu_only", not accelerated, "torch.version names no CUDA, HIP or XPU")


def _tell_cpu(torch):
    """The smallest positive evidence: one product on the CPU, its exact answer checked."""
    a = torch.arange(64, dtype=torch.float64).reshape(8, 8)
    answer = float((a @ torch.eye(8, dtype=torch.float64)).sum())
    kit.fact("cpu.answer", "right" if answer == 2016.0 else "wrong", "sum of 0..63 through a product: %r" % answer)
    kit.fact("cpu.threads", torch.get_num_threads(), "torch.get_num_threads(), %d cores allowed" % _cores())


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tell_communication(torch):
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
