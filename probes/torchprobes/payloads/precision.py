"""compute.precision: in which precision does float32 really multiply here, whatever the flags say?

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. The error of one product against
float64 is a fingerprint that no flag can fake: about 3e-7 is float32, 3e-4 TF32, 1.7e-3 bf16 operands, on any vendor's
device. It is taken as the process finds itself first, so that the user's environment decides, then by every setting.
"""

import os

import torchdoctor_gemm as gemm
import torchdoctor_gpu as gpu
import torchdoctor_kit as kit
import torchdoctor_measure as measure

SHAPE = (512, 2048, 512)
SETTINGS = ("highest", "high", "medium")
ENVIRONMENT = ("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE")
TIMED = {"cpu": 512}
"""Size of the timed products by device type; 4096 elsewhere."""


def run(request):
    """The probe."""
    torch = kit.import_torch()
    where = measure.device(torch, request.device)
    gpu.tell_device(torch, where)
    for name in ENVIRONMENT:
        if name in os.environ:
            kit.fact("env." + name, os.environ[name], "environment")
    _tell_flags(torch)
    product = _Product(torch, where)
    kit.progress("the precision that is in force", 0.1)
    product.tell("as found")
    convolution = _Convolution(torch, where)
    convolution.tell("as found")
    for setting in SETTINGS:
        kit.progress("the precision of %r" % setting, 0.4)
        with gemm.precision(torch, setting):
            product.tell(setting)
    _tell_new_settings(torch, where, product, convolution)
    kit.progress("what full precision costs", 0.8)
    with torch.no_grad(), measure.alone(where):
        _tell_times(torch, where)


class _Product:
    """A float32 product and its exact answer."""

    def __init__(self, torch, where):
        rows, inner, columns = SHAPE
        draw = torch.Generator().manual_seed(16)
        a, b = torch.randn(rows, inner, generator=draw), torch.randn(inner, columns, generator=draw)
        self.exact = a.double() @ b.double()
        self.operands = a.to(where), b.to(where)

    def tell(self, setting):
        """The figure of the error under `setting`, which is in force."""
        out = self.operands[0] @ self.operands[1]
        measure.tell_error("fp32_error", measure.relative_error(out, self.exact), n=out.numel(), setting=setting)


class _Convolution:
    """A float32 convolution and its exact answer: cuDNN has a switch of its own, which is on by default."""

    def __init__(self, torch, where):
        self.torch = torch
        draw = torch.Generator().manual_seed(17)
        x, w = torch.randn(4, 64, 28, 28, generator=draw), torch.randn(64, 64, 3, 3, generator=draw)
        self.exact = torch.nn.functional.conv2d(x.double(), w.double())
        self.operands = x.to(where), w.to(where)

    def tell(self, setting):
        """The figure of the error under `setting`, which is in force."""
        with self.torch.no_grad():
            out = self.torch.nn.functional.conv2d(*self.operands)
        measure.tell_error("conv_error", measure.relative_error(out, self.exact), n=out.numel(), setting=setting)


def _tell_flags(torch):
    """What the flags say, as facts; a flag that this PyTorch lacks or refuses to read is told as None, with why."""
    for name, read in (
        ("flag.float32_matmul_precision", torch.get_float32_matmul_precision),
        ("flag.cuda.matmul.allow_tf32", lambda: torch.backends.cuda.matmul.allow_tf32),
        ("flag.cudnn.allow_tf32", lambda: torch.backends.cudnn.allow_tf32),
        ("flag.cuda.matmul.fp32_precision", lambda: torch.backends.cuda.matmul.fp32_precision),  # 2.9 and later
        ("flag.cudnn.conv.fp32_precision", lambda: torch.backends.cudnn.conv.fp32_precision),
    ):
        try:
            kit.fact(name, read())
        except Exception as error:
            kit.fact(name, None, measure.first_line(error))


def _tell_new_settings(torch, where, product, convolution):
    """The fingerprints under the settings by back end of 2.9 and later, with the old value put back."""
    if where.type != "cuda":
        return
    for owner, subject, name in (
        (torch.backends.cuda.matmul, product, "cuda.matmul"),
        (getattr(torch.backends.cudnn, "conv", None), convolution, "cudnn.conv"),
    ):
        try:
            before = owner.fp32_precision
        except Exception as error:
            kit.fact("setting.%s.fp32_precision" % name, None, "2.9 and later: %s" % measure.first_line(error))
            continue
        for value in ("ieee", "tf32"):
            try:
                owner.fp32_precision = value
                subject.tell("%s.fp32_precision=%s" % (name, value))
            except Exception as error:
                kit.fact("setting.%s.fp32_precision" % name, None, measure.first_line(error))
        owner.fp32_precision = before


def _tell_times(torch, where):
    """How long a square float32 product takes by "highest" and by "high": what full precision costs."""
    size = TIMED.get(where.type, 4096)
    a, b = (torch.randn(size, size, device=where) for _ in range(2))
    out = torch.empty(size, size, device=where)
    for setting in SETTINGS[:2]:
        with gemm.precision(torch, setting):
            times = measure.device_times(torch, where, lambda: torch.mm(a, b, out=out), budget_s=0.3)
        kit.figure("fp32_us", times.typical * 1e6, "us", times.n, times.spread * 1e6, setting=setting, size=size)
