"""cuda.cudnn: is cuDNN there and the one PyTorch was built with, and are its convolutions right and quick?

On a device that is not NVIDIA's the same convolutions run with the switch `torch.backends.cudnn.enabled` on and off:
code that sets it must not break there. Standard library and torch 2.1 or later; parses on Python 3.8.
"""

import torchdoctor_kit as kit
import torchdoctor_measure as measure

SHAPE = (8, 32, 32, 32)
"""Batch, channels, height, width: 3x3 convolutions of it take a millisecond at most, and cuDNN has a choice of them."""

OUT_CHANNELS = 48
BUDGET_S = 1.0


def run(request):
    """The probe."""
    torch = kit.import_torch()
    where = measure.device(torch, request.device)
    tell_flags(torch)
    if where.type == "cuda":
        kit.fact("cudnn.device", torch.cuda.get_device_name(where), str(where))
        tell_version(torch)
    else:
        kit.fact("cudnn.device", str(where), "not a CUDA device: only the switch is tried")
    for name in ("float32", "float16", "bfloat16"):
        compare(torch, where, name, "on")
    if where.type == "cuda":
        with measure.alone(where):
            time_benchmark(torch, where)
        return
    enabled = torch.backends.cudnn.enabled
    try:
        torch.backends.cudnn.enabled = not enabled
        compare(torch, where, "float32", "off")
    finally:
        torch.backends.cudnn.enabled = enabled


def tell_flags(torch):
    """The toggles, told as such: they say nothing of what is there."""
    cudnn = torch.backends.cudnn
    for name in ("enabled", "benchmark", "deterministic", "allow_tf32"):
        try:
            kit.fact("cudnn.%s" % name, bool(getattr(cudnn, name)), "a toggle, also without cuDNN")
        except RuntimeError as error:  # allow_tf32 raises where fp32_precision was set (2.9 and later)
            kit.fact("cudnn.%s" % name, None, measure.first_line(error))
    kit.fact("cudnn.available", bool(cudnn.is_available()), "torch.backends.cudnn.is_available()")
    conv = getattr(cudnn, "conv", None)  # 2.9 and later
    precision = getattr(conv, "fp32_precision", None)
    if precision is not None:
        kit.fact("cudnn.conv.fp32_precision", str(precision), "torch.backends.cudnn.conv.fp32_precision")


def tell_version(torch):
    """The version of the cuDNN that was loaded; PyTorch raises when it is not the one it was built with."""
    try:
        kit.fact("cudnn.version", torch.backends.cudnn.version(), "torch.backends.cudnn.version()")
    except Exception as error:
        kit.raised("cudnn.mismatch", error)


def compare(torch, where, name, switch):
    """A convolution's result and both gradients in one number format, against float64 on the CPU.

    The reference starts from the same rounded inputs, so that what is left is the convolution's own error.
    """
    dtype = getattr(torch, name)
    inputs = [t.to(dtype) for t in tensors(torch)]
    try:
        got = conv(torch, [t.to(where) for t in inputs])
    except Exception as error:
        if "not implemented for" in str(error):
            kit.fact("conv.%s.unsupported" % name, measure.first_line(error), "on %s" % where)
        else:
            kit.raised("conv.%s" % name, error)
        return
    truth = conv(torch, [t.double() for t in inputs])
    for part, out, exact in zip(("result", "input gradient", "weight gradient"), got, truth):
        value = measure.relative_error(out, exact)
        kit.figure("conv_error", value, "x", dtype=name, part=part, switch=switch)


def tensors(torch):
    """Input, weight and the gradient that comes back, the same on every device."""
    draw = torch.Generator().manual_seed(0)
    weight = (OUT_CHANNELS, SHAPE[1], 3, 3)
    back = (SHAPE[0], OUT_CHANNELS, SHAPE[2], SHAPE[3])
    return [torch.randn(shape, generator=draw) for shape in (SHAPE, weight, back)]


def conv(torch, inputs):
    """[result, gradient of the input, gradient of the weight] of one padded 3x3 convolution."""
    x, weight = (t.detach().requires_grad_() for t in inputs[:2])
    y = torch.nn.functional.conv2d(x, weight, padding=1)
    y.backward(inputs[2])
    return [y.detach(), x.grad, weight.grad]


def time_benchmark(torch, where):
    """A float16 convolution as chosen by rule, and as found by trial (`cudnn.benchmark`), pair by pair."""
    cudnn = torch.backends.cudnn
    x, weight = (t.to(where, torch.float16) for t in tensors(torch)[:2])
    wait = measure.synchronizer(torch, where)

    def step(benchmark):
        cudnn.benchmark = benchmark
        return torch.nn.functional.conv2d(x, weight, padding=1)

    before = cudnn.benchmark
    try:
        for benchmark in (False, True, False, True):
            step(benchmark)
        pairs = measure.paired(where, wait, lambda: step(False), lambda: step(True), BUDGET_S)
    finally:
        cudnn.benchmark = before
    value, low, high = pairs.speedup()
    n = len(pairs.eager)
    kit.figure("conv_us", pairs.pick(pairs.eager) * 1e6, "us", n=n, benchmark=False)
    kit.figure("conv_us", pairs.pick(pairs.compiled) * 1e6, "us", n=n, benchmark=True)
    kit.figure("benchmark_speedup", value, "x", n=n, spread=(high - low) / 2)
