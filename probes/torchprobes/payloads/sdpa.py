"""compute.sdpa: which attention kernels run here, which one does PyTorch take, and if not a fused one, why?

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. Each back end is forced for each
shape; PyTorch's own warnings say why one cannot run. What the default takes is read from the profiler, by the name of
the operation that ran. Two heads of every answer are held against float64.
"""

import contextlib
import importlib
import inspect
import warnings

import torchdoctor_gpu as gpu
import torchdoctor_kit as kit
import torchdoctor_measure as measure

BACKENDS = (
    ("flash", "FLASH_ATTENTION", "_scaled_dot_product_flash_attention"),
    ("efficient", "EFFICIENT_ATTENTION", "_scaled_dot_product_efficient_attention"),
    ("cudnn", "CUDNN_ATTENTION", "_scaled_dot_product_cudnn_attention"),
    ("overrideable", "OVERRIDEABLE", "_scaled_dot_product_fused_attention_overrideable"),
    ("math", "MATH", "_scaled_dot_product_attention_math"),
)
"""Name, member of `torch.nn.attention.SDPBackend`, and how the operation's name begins in a profile."""


_HEADINGS = (("flash", "flash"), ("efficient", "memory efficient"), ("cudnn", "cudnn"))
"""How PyTorch's warning "... kernel not used because:" begins, by back end."""


class Case:
    """A shape: (batch, heads, length, width), heads of key and value, number format, and the options."""

    def __init__(self, name, shape, dtype, kv_heads=None, mask=False, causal=False):
        self.name, self.shape, self.dtype, self.mask, self.causal = name, shape, dtype, mask, causal
        self.kv_heads = kv_heads or shape[1]


# The math back end keeps several float32 copies of batch x heads x length x length: within the memory of a probe.
GPU_CASES = (
    Case("causal-64", (2, 16, 2048, 64), "bfloat16", causal=True),
    Case("full-64", (2, 16, 2048, 64), "float16"),
    Case("causal-128", (2, 16, 2048, 128), "bfloat16", causal=True),
    Case("causal-256", (1, 8, 2048, 256), "bfloat16", causal=True),
    Case("grouped", (2, 16, 2048, 128), "bfloat16", kv_heads=4, causal=True),
    Case("mask", (2, 8, 1024, 64), "bfloat16", mask=True),
    Case("float32", (1, 8, 1024, 64), "float32"),
)
CPU_CASES = (
    Case("causal-64", (1, 4, 256, 64), "float32", causal=True),
    Case("grouped", (1, 8, 128, 64), "float32", kv_heads=2),
    Case("mask", (1, 4, 128, 64), "float32", mask=True),
    Case("bfloat16", (1, 4, 128, 64), "bfloat16"),
)


def run(request):
    """The probe."""
    torch = kit.import_torch()
    where = measure.device(torch, request.device)
    gpu.tell_device(torch, where)
    _tell_available(torch)
    cases = CPU_CASES if where.type == "cpu" else GPU_CASES
    with torch.no_grad(), measure.alone(where):
        for index, case in enumerate(cases):
            kit.progress("attention, %s" % case.name, index / len(cases))
            try:
                _case(torch, where, case)
            except kit.Skip as skip:
                kit.fact("sdpa.%s" % case.name, "not here", str(skip))


def _tell_available(torch):
    """What this build says that it has: a toggle is no availability, so it is not told."""
    read = getattr(torch.backends.cuda, "is_flash_attention_available", None)  # 2.5 and later
    if read is not None:
        kit.fact("sdpa.flash_built", bool(read()), "torch.backends.cuda.is_flash_attention_available()")


def _case(torch, where, case):
    call = _call(torch, where, case)
    exact = _exact(torch, call)
    ran = {name: _forced(torch, where, case, call, exact, name, member) for name, member, _ in BACKENDS}
    _default(torch, where, case, call, exact, ran)


class _Call:
    """The operands of a case and its keywords."""

    def __init__(self, torch, operands, options):
        self.operands, self.options = operands, options
        self.attend = torch.nn.functional.scaled_dot_product_attention

    def __call__(self):
        return self.attend(*self.operands, **self.options)


def _call(torch, where, case):
    batch, heads, length, width = case.shape
    draw = torch.Generator(device=where).manual_seed(19)
    dtype = getattr(torch, case.dtype)
    shapes = [(batch, count, length, width) for count in (heads, case.kv_heads, case.kv_heads)]
    operands = [torch.randn(shape, device=where, generator=draw).to(dtype) for shape in shapes]
    options = {"is_causal": True} if case.causal else {}
    if case.mask:
        options["attn_mask"] = torch.rand(length, length, device=where, generator=draw).gt(0.1)
    if case.kv_heads != heads:
        if "enable_gqa" not in (torch.nn.functional.scaled_dot_product_attention.__doc__ or ""):
            raise kit.Skip("grouped heads need torch 2.5 or later (enable_gqa)")
        options["enable_gqa"] = True
    return _Call(torch, operands, options)


def _exact(torch, call):
    """The first and the last head in float64 on the CPU, by the definition of attention."""
    query, key, value = call.operands
    group = query.shape[1] // key.shape[1]
    length = query.shape[2]
    allowed = call.options.get("attn_mask")
    allowed = allowed.cpu() if allowed is not None else torch.ones(length, length, dtype=torch.bool)
    if call.options.get("is_causal"):
        allowed = allowed.tril()
    heads = []
    for index in (0, query.shape[1] - 1):
        q, k, v = (x.cpu().double() for x in (query[0, index], key[0, index // group], value[0, index // group]))
        scores = (q @ k.t() / q.shape[-1] ** 0.5).masked_fill(~allowed, float("-inf"))
        heads.append(torch.softmax(scores, -1) @ v)
    return torch.stack(heads)


def _error(out, exact):
    heads = out[0, [0, -1]].double().cpu()
    return float((heads - exact).norm() / exact.norm())


@contextlib.contextmanager
def only(torch, member):
    """Nothing but that back end inside: `nn.attention.sdpa_kernel` from 2.3, `backends.cuda.sdp_kernel` before.

    Raises:
        Skip: if this PyTorch does not know it.
    """
    try:
        attention = importlib.import_module("torch.nn.attention")
    except ImportError:
        attention = None
    if attention is not None and hasattr(attention, "sdpa_kernel"):
        if not hasattr(attention.SDPBackend, member):
            raise kit.Skip("this PyTorch has no SDPBackend.%s" % member)
        with attention.sdpa_kernel(getattr(attention.SDPBackend, member)):
            yield
        return
    with torch.backends.cuda.sdp_kernel(**_old_switches(torch, member)):
        yield


def _old_switches(torch, member):
    known = inspect.signature(torch.backends.cuda.sdp_kernel).parameters
    names = {"FLASH_ATTENTION": "enable_flash", "EFFICIENT_ATTENTION": "enable_mem_efficient", "MATH": "enable_math"}
    names["CUDNN_ATTENTION"] = "enable_cudnn"
    wanted = names.get(member)
    if wanted not in known:
        raise kit.Skip("this PyTorch has no such back end")
    return {name: name == wanted for name in names.values() if name in known}


def _forced(torch, where, case, call, exact, name, member):
    """Run one back end alone: its figures if it runs, a fact with PyTorch's reason if not. Returns its seconds."""
    label = "sdpa.%s.%s" % (case.name, name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with only(torch, member):
                measure.reset_peak_memory(torch, where)
                before = _allocated(torch, where)
                out = call()
                peak = measure.peak_memory(torch, where) - before
                error = _error(out, exact)
                del out
                times = measure.device_times(torch, where, call, budget_s=0.03, warm_s=0.02)
        except kit.Skip as skip:
            kit.fact(label, "not here", str(skip))
            return None
        except Exception as raised:
            kit.fact(label, "not usable", _why(caught, name) or measure.first_line(raised))
            return None
    kit.fact(label, "ran")
    labels = {"case": case.name, "backend": name, "dtype": case.dtype}
    measure.tell_error("sdpa_error", error, **labels)
    kit.figure("sdpa_us", times.typical * 1e6, "us", times.n, times.spread * 1e6, **labels)
    if where.type == "cuda":
        kit.figure("sdpa_peak", peak, "B", **labels)
    return times.typical


def _allocated(torch, where):
    return torch.cuda.memory_allocated(where) if where.type == "cuda" else 0


def _why(caught, backend):
    """PyTorch's reasons for that back end, each once. It tells those of all, each under a heading of its own."""
    told, heading = {}, ""
    for warning in caught:
        text = str(warning.message).split(" (Triggered internally")[0].strip()
        if "used because" in text:
            heading = next((name for name, start in _HEADINGS if text.lower().startswith(start)), text)
        elif text and text not in told.setdefault(heading, []):
            told[heading].append(text)
    reasons = told.get(backend) or [text for group in told.values() for text in group]
    return " ".join(reasons)[:1500]


def _default(torch, where, case, call, exact, ran):
    """What PyTorch takes by itself, by the name of the operation in a profile, and how fast that is."""
    name = "sdpa.%s.default" % case.name
    try:
        out = call()
        chosen, evidence = _chosen(torch, call)
    except Exception as error:
        kit.raised(name, error)
        return
    kit.fact(name, chosen, evidence)
    labels = {"case": case.name, "backend": "default", "dtype": case.dtype}
    measure.tell_error("sdpa_error", _error(out, exact), **labels)
    del out
    times = measure.device_times(torch, where, call, budget_s=0.03, warm_s=0.02)
    kit.figure("sdpa_us", times.typical * 1e6, "us", times.n, times.spread * 1e6, **labels)


def _chosen(torch, call):
    """(back end, the operations that were seen), or (None, ...) if the profile names none of them."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        call()
    seen = sorted({event.name.replace("aten::", "") for event in profiler.events() if "scaled_dot" in event.name})
    for backend, _, operation in BACKENDS:
        if any(name.startswith(operation) for name in seen):
            return backend, ", ".join(seen)
    return None, ", ".join(seen) or "no attention operation in the profile"
