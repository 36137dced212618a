"""compute.numerics: are the basic operations right in every number format, as exactly as the format allows?

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. The truth is float64 on the CPU
from the operands as they were rounded, so that what is measured is the operation and not the format. Each runs twice:
an answer that is wrong twice the same way is another fault than one that changes.
"""

import contextlib

import torchdoctor_gemm as gemm
import torchdoctor_gpu as gpu
import torchdoctor_kit as kit
import torchdoctor_measure as measure


def _operations(torch):
    functional = torch.nn.functional
    return (
        ("gemm", ((256, 2048), (2048, 256)), lambda a, b: a @ b),
        ("conv", ((4, 32, 20, 20), (64, 32, 3, 3)), functional.conv2d),
        ("softmax", ((64, 1000),), lambda x: torch.softmax(x, -1)),
        ("layernorm", ((64, 1024),), lambda x: functional.layer_norm(x, x.shape[-1:])),
        ("attention", ((2, 4, 128, 64),) * 3, functional.scaled_dot_product_attention),
    )


_REDUCED = {"bf16": "allow_bf16_reduced_precision_reduction", "fp16": "allow_fp16_reduced_precision_reduction"}
"""Flags of `torch.backends.cuda.matmul` that let cuBLAS add up in 16 bits."""


def run(request):
    """The probe."""
    torch = kit.import_torch()
    where = measure.device(torch, request.device)
    gpu.tell_device(torch, where)
    _tell_bf16(torch, where)
    formats = (("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16))
    with torch.no_grad(), full_float32(torch):
        for index, (name, shapes, operation) in enumerate(_operations(torch)):
            kit.progress("checking %s against float64" % name, index / 5)
            for label, dtype in formats:
                _one(torch, where, name, shapes, operation, label, dtype)


@contextlib.contextmanager
def full_float32(torch):
    """float32 in full precision inside, products and convolutions: what TF32 costs is compute.precision's question."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        with gemm.precision(torch, "highest"):
            yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _one(torch, where, name, shapes, operation, label, dtype):
    draw = torch.Generator().manual_seed(len(shapes))
    operands = [torch.randn(shape, generator=draw).to(dtype) for shape in shapes]
    exact = operation(*(x.double() for x in operands))
    there = [x.to(where) for x in operands]
    case = "numerics.%s.%s" % (name, label)
    try:
        first, again = operation(*there), operation(*there)
        error = _error(first, exact)
    except Exception as error:
        measure.tell_raised(case, error)
        return
    kit.fact(case + ".finite", bool(torch.isfinite(first).all()), "every number of the result")
    kit.fact(case + ".repeated", "same" if torch.equal(first, again) else "different", "the same operands twice")
    measure.tell_error("numerics_error", error, n=first.numel(), op=name, dtype=label)
    flag = _REDUCED.get(label)
    if name == "gemm" and flag and where.type == "cuda":
        _without_reduced(torch, flag, lambda: _error(operation(*there), exact), label)


def _error(out, exact):
    return float((out.double().cpu() - exact).norm() / exact.norm())


def _without_reduced(torch, flag, measured, label):
    """The same product where cuBLAS must add up in float32."""
    owner = torch.backends.cuda.matmul
    try:
        before = getattr(owner, flag)
        setattr(owner, flag, False)
        measure.tell_error("numerics_error_full_reduction", measured(), op="gemm", dtype=label)
        setattr(owner, flag, before)
    except Exception as error:
        kit.fact("flag." + flag, None, measure.first_line(error))


def _tell_bf16(torch, where):
    """Whether the device has bf16 in hardware: the bare call says yes for an emulation too."""
    if where.type != "cuda":
        return
    kit.fact("bf16.supported", bool(torch.cuda.is_bf16_supported()), "torch.cuda.is_bf16_supported()")
    try:
        native = bool(torch.cuda.is_bf16_supported(including_emulation=False))  # 2.4 and later
        kit.fact("bf16.native", native, "torch.cuda.is_bf16_supported(including_emulation=False)")
    except TypeError:
        if not torch.version.hip:
            major = torch.cuda.get_device_capability(where)[0]
            kit.fact("bf16.native", major >= 8, "compute capability %d: bf16 begins with 8.0" % major)
