"""cuda.available: can this PyTorch use CUDA here, and if not, why? One kernel is the proof, not a flag.

What decides it is told one by one: the build, the driver's own words in this environment, CUDA_VISIBLE_DEVICES,
who may open the device files, how PyTorch was told to look. Standard library and torch 2.1 or later; parses on
Python 3.8.
"""

import os
import re
import time
import warnings

import torchdoctor_kit as kit
import torchdoctor_nvidia as nvidia

NUMBERS = 1024


def run(request):
    """The probe."""
    torch = kit.import_torch()
    node = nvidia.Node(request.params.get("root", "/"))
    built = tell_build(torch)
    if not node.present and not torch.cuda.is_available():
        raise kit.Skip("no NVIDIA device here; torch %s is %s" % (torch.__version__, built))
    nvidia.tell_node(node)
    tell_environment(request, node)
    nvidia.tell_driver(nvidia.ask_driver(limit_s=request.params.get("answer_s", nvidia.ANSWER_S)))
    available = tell_available(torch)
    if available and request.device != "cpu":
        try_kernel(torch, torch.device(request.device))
    elif available:
        raise kit.Skip("torch.cuda.is_available() is True; whether a kernel runs needs a CUDA device, asked was cpu")


def tell_build(torch):
    """What this build holds; returned in words."""
    cuda, hip = torch.version.cuda, getattr(torch.version, "hip", None)
    words = "built for CUDA %s" % cuda if cuda else "built for ROCm %s" % hip if hip else "a build without CUDA"
    kit.fact("torch.version", torch.__version__, words)
    kit.fact("torch.build.cuda", cuda, "torch.version.cuda")
    kit.fact("torch.build.gpu", bool(cuda or hip), words)
    return words


def tell_environment(request, node):
    """What the environment lets through: the user's CUDA_VISIBLE_DEVICES, and each device file."""
    mine = os.environ.get("CUDA_VISIBLE_DEVICES")
    user = request.data.get("user_environ", {}).get("CUDA_VISIBLE_DEVICES", None if request.data.get("gpus") else mine)
    state, count, words = nvidia.visible(user, node.gpus())
    kit.fact("visible.state", state, words)
    if count is not None:
        kit.fact("visible.devices", count, words)
    for path, opening in nvidia.openings(node).items():
        kit.fact("opening." + path, opening, "open(%r, O_RDWR)" % path)
    check = os.environ.get("PYTORCH_NVML_BASED_CUDA_CHECK")
    if check is not None:
        kit.fact("nvml_check", check == "1", "PYTORCH_NVML_BASED_CUDA_CHECK=%r" % check)


def tell_available(torch):
    """What PyTorch says, with its warning; where it is False, what starting CUDA raises and how many NVML counts."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        available = bool(torch.cuda.is_available())
    words = " ".join(str(w.message).split("(Triggered")[0].strip() for w in caught)
    kit.fact("cuda.available", available, words[:500] or "torch.cuda.is_available()")
    if not available:
        text = words + " " + what_starting_raises(torch)
        code = re.search(r"[Ee]rror (?:code )?(\d+)\b|failed with code (\d+)|with code (\d+)", text)
        if code:
            kit.fact("cuda.code", int(next(filter(None, code.groups()))), text[:500])
    return available


def what_starting_raises(torch):
    """The text of what `torch.cuda.init()` raises, told as `cuda.init`; "" if it raises nothing."""
    try:
        torch.cuda.init()
    except Exception as error:
        kit.raised("cuda.init", error)
        return str(error)
    return ""


def try_kernel(torch, where):
    """One kernel and its answer read back; the first of a process also pays for the context and its modules."""
    try:
        kit.fact("cuda.name", torch.cuda.get_device_name(where))
        begin = time.perf_counter()
        numbers = torch.arange(NUMBERS, dtype=torch.float64, device=where)
        answer = float((numbers * 2 + 1).sum())
        kit.figure("first_answer_s", time.perf_counter() - begin, "s")
    except Exception as error:
        kit.raised("cuda.kernel", error)
        return
    right = answer == float(NUMBERS**2)
    kit.fact("cuda.answer", "right" if right else "wrong", "the first %d odd numbers add up to %r" % (NUMBERS, answer))
