"""compute.gemm: how fast is the device's matrix multiplication in every number format, and is it right?

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. Square products of random
numbers, since zeros cost a GPU less power: an H200 reaches 894 TFLOP/s with zeros where random data gives 788. A block
of every product is held against float64, and the whole of it must be finite.
"""

import contextlib
import time

import torchdoctor_gpu as gpu
import torchdoctor_kit as kit
import torchdoctor_measure as measure

LARGE = 8192
MEDIUM = 4096
LARGE_FROM = 12e9
"""Bytes of device memory from which the large size is used."""

ON_CPU = (1024, 512, 256, 128)
CPU_CALL_S = 0.010
"""On a CPU the largest size is taken whose product should last about this long: it shows what the machine does."""

CPU_TRIAL_S = 0.25
"""A format whose product of 128 needs longer on a CPU has no kernel worth timing."""

BLOCK = (16, 256)
"""Rows and columns of the block that is held against float64."""


class Format:
    """One row: the name, how to make the operands and multiply them, the unit, and the precision setting around it."""

    def __init__(self, name, operands, multiply, unit="FLOP/s", setting=None):
        self.name, self.operands, self.multiply, self.unit, self.setting = name, operands, multiply, unit, setting


def formats(torch, where):
    """Every format with what it takes: those that this device or this PyTorch lacks raise `Skip` when they are made."""

    def normal(dtype):
        def operands(n):
            return [_randn(torch, n, where).to(dtype) for _ in range(2)]

        return operands

    def out(torch_mm):
        def bound(a, b, into):
            return torch_mm(a, b, out=into)

        return bound

    mm = out(torch.mm)
    return (
        Format("bf16", normal(torch.bfloat16), mm),
        Format("fp16", normal(torch.float16), mm),
        Format("fp32", normal(torch.float32), mm, setting="highest"),
        Format("tf32", _only_on_gpu(where, normal(torch.float32)), mm, setting="high"),
        Format("fp8", lambda n: _fp8_operands(torch, where, n), lambda a, b, _: _fp8(torch, a, b)),
        Format("int8", lambda n: _int8_operands(torch, where, n), lambda a, b, _: torch._int_mm(a, b), unit="OP/s"),
    )


def run(request):
    """The probe."""
    torch = kit.import_torch()
    where = measure.device(torch, request.device)
    gpu.tell_device(torch, where)
    limit = request.data.get("memory_limit_bytes")
    nvml = gpu.Nvml(where) if where.type == "cuda" else None
    flush = measure.flusher(torch, where, limit)
    with torch.no_grad(), measure.alone(where):
        rows = formats(torch, where)
        for index, row in enumerate(rows):
            kit.progress("multiplying in %s" % row.name, index / len(rows))
            try:
                _one(torch, where, row, limit, flush, nvml)
            except kit.Skip as skip:
                kit.fact("gemm.%s" % row.name, "not here", str(skip))
            except Exception as error:
                measure.tell_raised("gemm.%s" % row.name, error)
            finally:
                _give_back(torch, where)


def _one(torch, where, row, limit, flush, nvml):
    with precision(torch, row.setting):
        size = _size(torch, where, row, limit)
        a, b = row.operands(size)
        product = torch.empty(size, size, dtype=a.dtype, device=where) if row.name not in ("fp8", "int8") else None
        during = None if nvml is None else lambda: nvml.tell("gemm.%s" % row.name)
        times = measure.device_times(torch, where, lambda: row.multiply(a, b, product), before=flush, during=during)
        _check(torch, row, a, b, row.multiply(a, b, product), size)
    work, labels = 2.0 * size**3, {"dtype": row.name, "size": size}
    spread = work / times.typical * (times.spread / times.typical)
    kit.figure("gemm_rate", work / times.typical, row.unit, n=times.n, spread=spread, **labels)
    kit.figure("gemm_best_rate", work / times.best, row.unit, n=times.n, **labels)
    kit.figure("gemm_us", times.typical * 1e6, "us", n=times.n, spread=times.spread * 1e6, **labels)


@contextlib.contextmanager
def precision(torch, setting):
    """float32 matrix products by that setting inside, by the user's own outside; None leaves it alone."""
    before = torch.get_float32_matmul_precision()
    if setting is not None:
        torch.set_float32_matmul_precision(setting)
    try:
        yield
    finally:
        if setting is not None:
            torch.set_float32_matmul_precision(before)


def _size(torch, where, row, limit):
    if where.type == "cpu":
        return _size_on_cpu(row)
    total = torch.cuda.get_device_properties(where).total_memory if where.type == "cuda" else 0
    # Two operands and a product of float32, the flushed buffer and the finite mask.
    fits = limit is None or limit >= 3 * LARGE**2 * 4 + LARGE**2 + measure.FLUSH_BYTES
    return LARGE if total >= LARGE_FROM and fits else MEDIUM


def _size_on_cpu(row):
    small = ON_CPU[-1]
    a, b = row.operands(small)
    product = a.new_empty(small, small) if row.name not in ("fp8", "int8") else None
    seconds = min(_seconds(row, a, b, product) for _ in range(10))
    if seconds > CPU_TRIAL_S:
        raise kit.Skip(
            "a product of %d x %d takes %.2f s on this CPU: there is no kernel for it" % (small, small, seconds)
        )
    for size in ON_CPU:
        if seconds * (size / small) ** 3 <= CPU_CALL_S:
            return size
    return small


def _seconds(row, a, b, product):
    begin = time.perf_counter()
    row.multiply(a, b, product)
    return time.perf_counter() - begin


def _check(torch, row, a, b, product, size):
    """A block at random places against float64 on the CPU, from the rounded operands; and every number finite."""
    rows, columns = (torch.randperm(size)[: min(count, size)].sort().values for count in BLOCK)
    there = [index.to(a.device) for index in (rows, columns)]
    left = a.index_select(0, there[0]) if row.name != "fp8" else _rows_of(a, rows)
    right = b.index_select(1, there[1]) if row.name != "fp8" else _rows_of(b.t(), columns).t()
    exact = left.cpu().double() @ right.cpu().double()
    got = product.index_select(0, there[0]).index_select(1, there[1]).cpu().double()
    error = float((got - exact).norm() / exact.norm())
    measure.tell_error("gemm_error", error, n=got.numel(), dtype=row.name, size=size)
    finite = True if row.name == "int8" else bool(torch.isfinite(product).all())
    kit.fact("gemm.%s.finite" % row.name, finite, "every number of the product")


def _rows_of(matrix, index):
    # fp8 tensors can be cut but not indexed: one float32 row at a time.
    import torch

    return torch.stack([matrix[int(i)].float() for i in index])


def _randn(torch, n, where):
    return torch.randn(n, n, device=where, generator=torch.Generator(device=where).manual_seed(n))


def _only_on_gpu(where, operands):
    def checked(n):
        if where.type == "cpu":
            raise kit.Skip("TF32 is a format of GPUs")
        return operands(n)

    return checked


def _fp8_type(torch, where):
    """The 8-bit float that this device multiplies.

    Raises:
        Skip: if it has none, or this PyTorch cannot multiply it.
    """
    if where.type != "cuda":
        raise kit.Skip("fp8 products are tried on CUDA and ROCm devices only")
    if not hasattr(torch, "_scaled_mm") or _release(torch) < (2, 5):
        raise kit.Skip("needs torch 2.5 or later, where torch._scaled_mm has its present form")
    if torch.version.hip:
        arch = getattr(torch.cuda.get_device_properties(where), "gcnArchName", "")
        if not arch.startswith(("gfx94", "gfx95", "gfx12")):
            raise kit.Skip("%s has no fp8 matrix units" % (arch or "this GPU"))
        return torch.float8_e4m3fnuz if arch.startswith("gfx94") else torch.float8_e4m3fn
    capability = torch.cuda.get_device_capability(where)
    if capability < (8, 9):
        raise kit.Skip("compute capability %d.%d has no fp8 matrix units (8.9 has)" % capability)
    return torch.float8_e4m3fn


def _release(torch):
    parts = torch.__version__.split(".")[:2]
    return tuple(int(p) if p.isdigit() else 0 for p in parts)


def _fp8_operands(torch, where, n):
    kind = _fp8_type(torch, where)
    a, b = (_randn(torch, n, where).to(kind) for _ in range(2))
    return [a, b.t()]  # the second operand by columns, as cuBLASLt wants it


def _fp8(torch, a, b):
    one = _fp8_scale(torch, a.device)
    return torch._scaled_mm(a, b, scale_a=one, scale_b=one, out_dtype=torch.bfloat16)


_scales = {}


def _fp8_scale(torch, where):
    if where not in _scales:
        _scales[where] = torch.ones((), dtype=torch.float32, device=where)
    return _scales[where]


def _int8_operands(torch, where, n):
    if not hasattr(torch, "_int_mm"):
        raise kit.Skip("this PyTorch has no torch._int_mm")
    if where.type == "cuda" and not torch.version.hip and torch.cuda.get_device_capability(where) < (7, 5):
        raise kit.Skip("int8 products need compute capability 7.5")
    draw = torch.Generator(device=where).manual_seed(n)
    a, b = (torch.randint(-128, 128, (n, n), dtype=torch.int8, device=where, generator=draw) for _ in range(2))
    return [a, b.t()]


def _give_back(torch, where):
    if where.type == "cuda":
        torch.cuda.empty_cache()
