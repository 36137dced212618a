"""What tells that compiled code really ran: a counting backend, the compiler's own counters, a profile.

Runs inside the target: standard library and torch 2.1 or later, parses on Python 3.8. The bootstrap loads this file
under the name `torchdoctor_witness`. Only the counting backend is decisive: counters alone also count what was thrown
away, and a stance leaves no counter at all. FLOPs are never counted on a compiled callable: one call under a dispatch
mode can keep its frame from ever compiling (pytorch#190286).
"""

import json
import os
import re
import shutil
import sysconfig

import torchdoctor_kit as kit

SWITCHES = (
    "TORCHDYNAMO_SUPPRESS_ERRORS",
    "TORCHDYNAMO_DISABLE",
    "TORCH_COMPILE_DISABLE",
    "TORCHINDUCTOR_FORCE_DISABLE_CACHES",
    "TORCHINDUCTOR_FX_GRAPH_CACHE",
    "TORCHDYNAMO_REPRO_AFTER",
    "TORCHINDUCTOR_CUDAGRAPHS",
    "CUDA_LAUNCH_BLOCKING",
    "CXX",
    "CC",
)
"""Variables that change what torch.compile does; told only when they are set."""

_COUNTERS = (
    ("inductor", "fxgraph_cache_hit"),
    ("inductor", "fxgraph_cache_miss"),
    ("inductor", "fxgraph_cache_bypass"),
    ("aot_autograd", "autograd_cache_hit"),
    ("aot_autograd", "autograd_cache_miss"),
    ("aot_autograd", "autograd_cache_bypass"),
    ("inductor", "cudagraph_skips"),
    ("inductor", "extern_calls"),
    ("inductor", "select_algorithm_autotune"),
)


class Counting:
    """A backend for `torch.compile(model, backend=...)`: Inductor with a mode's options, counting as it goes.

    `graphs` and `ops` count what was compiled, `calls` how often compiled code was entered at run time.
    """

    compiler_name = "inductor"

    def __init__(self, torch, mode):
        self.torch = torch
        self.options = torch._inductor.list_mode_options(mode)
        self.graphs = self.ops = self.calls = 0
        if self.options.get("triton.cudagraphs"):
            keep_cupti()

    def __call__(self, graph_module, example_inputs):
        """Compile one graph, and return it wrapped so that its calls are counted."""
        from torch._inductor.compile_fx import compile_fx

        ops = sum(node.op.startswith("call_") for node in graph_module.graph.nodes)
        inner = compile_fx(graph_module, example_inputs, config_patches=dict(self.options))
        self.graphs += 1
        self.ops += ops

        def counted(*args):
            self.calls += 1
            return inner(*args)

        return counted

    def reset(self):
        """Called by `torch._dynamo.reset`: give the memory of the recorded CUDA graphs back."""
        if self.torch.cuda.is_available():
            from torch._inductor.cudagraph_trees import reset_cudagraph_trees

            reset_cudagraph_trees()


def keep_cupti():
    """Let the profiler and CUDA graphs go together, as `torch.compile(mode=...)` does before it records any."""
    os.environ["DISABLE_CUPTI_LAZY_REINIT"] = "1"
    os.environ["TEARDOWN_CUPTI"] = "0"


def clear(torch):
    """Forget everything compiled and counted; `torch._dynamo.reset` alone leaves the counters standing."""
    from torch._dynamo import utils
    from torch._inductor import metrics

    torch._dynamo.reset()
    utils.counters.clear()
    getattr(utils, "clear_compilation_metrics", lambda: None)()
    metrics.reset()


# --- the surroundings ----------------------------------------------------------------------------------------------


def tell_surroundings(torch, where):
    """Facts of the process that decide whether compiling can work: switches, settings, tools, cache.

    Returns the state of the compile cache: "cold", "warm" or "unknown".
    """
    for name in SWITCHES:
        if name in os.environ:
            kit.fact("env." + name, os.environ[name], evidence="environment")
    tell_settings(torch)
    _tell_tools(where)
    if where.type == "cuda":
        tell_gpu(torch, where)
    return _tell_cache()


def tell_settings(torch):
    """Facts of the compiler's settings as they are now: errors hidden, disabled, stance, cache."""
    import torch._dynamo.config as config
    from torch._dynamo import eval_frame

    kit.fact("config.suppress_errors", bool(config.suppress_errors), evidence="torch._dynamo.config")
    # The string "1" up to 2.6, a bool since.
    disabled = str(getattr(config, "disable", False)) not in ("False", "0", "")
    kit.fact("config.disable", disabled, evidence="torch._dynamo.config")
    stance = getattr(getattr(eval_frame, "_stance", None), "stance", None)
    if stance is not None:
        kit.fact("stance", stance, evidence="torch.compiler.set_stance")
    cache = _config_value("fx_graph_cache")
    if cache is not None:
        kit.fact("config.fx_graph_cache", bool(cache), evidence="torch._inductor.config")


def _config_value(name):
    import torch._inductor.config as config

    try:
        return getattr(config, name)
    except Exception:
        return None


def _tell_tools(where):
    cxx = os.environ.get("CXX", "g++")  # as Inductor reads it: an empty one counts
    kit.fact("toolchain.cxx", shutil.which(cxx), evidence="%s on PATH" % (cxx or "compiler named by an empty CXX"))
    header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
    kit.fact("toolchain.python_h", os.path.isfile(header), evidence=header)
    if where.type == "cpu":
        return
    candidates = [os.environ["CC"]] if os.environ.get("CC") else ["gcc", "clang", "cc"]
    found = next((path for path in map(shutil.which, candidates) if path), None)
    kit.fact("toolchain.cc", found, evidence="%s on PATH" % ", ".join(candidates))
    kit.fact("toolchain.triton", _triton_version(), evidence="import triton")


def _triton_version():
    try:
        import triton

        return triton.__version__
    except Exception as error:
        return "unusable: %s" % error if not isinstance(error, ImportError) else None


def _tell_cache():
    folder = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    if not folder:
        kit.fact("cache_state", "unknown", evidence="TORCHINDUCTOR_CACHE_DIR is not set")
        return "unknown"
    os.makedirs(folder, exist_ok=True)
    state = "warm" if os.listdir(folder) else "cold"
    kit.fact("cache_state", state, evidence=folder)
    flags = os.statvfs(folder).f_flag
    kit.fact("cache.noexec", bool(flags & getattr(os, "ST_NOEXEC", 8)), evidence="statvfs of %s" % folder)
    return state


def tell_gpu(torch, where):
    """Facts of a CUDA device that decide what compiled code can gain on it."""
    major, minor = torch.cuda.get_device_capability(where)
    kit.fact("gpu.name", torch.cuda.get_device_name(where))
    kit.fact("gpu.capability", "%d.%d" % (major, minor))
    try:
        from torch._inductor.utils import is_big_gpu

        # Took the index in 2.1, takes an index or a device since.
        kit.fact("gpu.big", bool(is_big_gpu(where.index or 0)), evidence="torch._inductor.utils.is_big_gpu")
    except Exception as error:
        kit.fact("gpu.big", None, evidence=str(error)[:200])
    kit.fact("gpu.tf32", major >= 8 and not torch.version.hip, "TF32 is in capability 8.0 and later")
    kit.fact("gpu.matmul_precision", torch.get_float32_matmul_precision(), "torch.get_float32_matmul_precision()")
    kit.fact("gpu.cudnn", bool(torch.backends.cudnn.enabled and torch.backends.cudnn.is_available()), "torch.backends")
    try:
        # Without the argument (2.4 and later) a device that emulates bfloat16 says that it has it.
        kit.fact("gpu.bf16", bool(torch.cuda.is_bf16_supported(including_emulation=False)), "torch.cuda")
    except TypeError:
        kit.fact("gpu.bf16", major >= 8, "capability %d.%d; bfloat16 is in 8.0 and later" % (major, minor))


# --- after the first call --------------------------------------------------------------------------------------------


def tell_counters(torch, label):
    """Figures and facts from the compiler's own counters since `clear`, under `label`."""
    from torch._dynamo.utils import counters
    from torch._inductor import metrics

    for group, name in _COUNTERS:
        if name in counters[group]:
            kit.figure(name, counters[group][name], "count", model=label)
    kit.figure("generated_kernels", metrics.generated_kernel_count, "kernels", model=label)
    kit.figure("unique_graphs", counters["stats"].get("unique_graphs", 0), "graphs", model=label)
    kit.figure("frames", counters["frames"].get("total", 0), "frames", model=label)
    kit.figure("graph_breaks", sum(counters["graph_break"].values()), "breaks", model=label)
    for index, text in enumerate(list(counters["graph_break"])[:5]):
        kit.fact("%s.graph_break.%d" % (label, index), text)
    for index, text in enumerate(list(counters["unimplemented"])[:5]):
        kit.fact("%s.unimplemented.%d" % (label, index), text)
    _tell_metrics(label)


def _tell_metrics(label):
    from torch._dynamo import utils

    read = getattr(utils, "get_compilation_metrics", None)  # 2.3 and later
    if read is None:
        return
    for metric in read():
        for name in ("fail_type", "fail_reason", "cudagraph_skip_reason"):
            value = getattr(metric, name, None)
            if value:
                kit.fact("%s.%s" % (label, name), str(value), evidence="get_compilation_metrics")


def tell_breaks(label):
    """Where graphs broke: the reason with file and line of each, as Dynamo keeps them until it is reset."""
    from torch._dynamo import utils

    for index, broken in enumerate(list(getattr(utils, "graph_break_reasons", ()))[:5]):
        frames = broken.user_stack
        place = "%s:%s" % (frames[-1].filename, frames[-1].lineno) if frames else "place unknown"
        kit.fact("%s.graph_break.%d" % (label, index), str(broken.reason)[:500], evidence=place)


# --- profile ---------------------------------------------------------------------------------------------------

_GRAPH_LAUNCHES = ("cudaGraphLaunch", "hipGraphLaunch")
_DEVICE_WORK = ("kernel", "gpu_memcpy", "gpu_memset")
_ATTENTION = re.compile(r"^aten::_scaled_dot_product_(?!attention_math)|^(?!triton_).*(?:flash|fmha|sdpa)")
"""A fused attention kernel: as an operator, or, where a replayed graph runs no operators, by the kernel's own name."""

_DEVICE_CALLS = ("cuda_runtime", "cuda_driver", "hip_runtime")


class Trace:
    """What one profile says a step: launches by the host, kernels and busy microseconds of the device.

    `device_seen` is False when the profiler recorded no call of the driver at all: then the counts mean nothing.
    """

    def __init__(self, events, steps):
        calls = [e for e in events if e.get("cat") in _DEVICE_CALLS]
        work = [e for e in events if e.get("cat") in _DEVICE_WORK]
        self.device_seen = bool(calls)
        self.graph_launches = sum(e["name"] in _GRAPH_LAUNCHES for e in calls) / steps
        self.kernel_launches = sum("LaunchKernel" in e["name"] for e in calls) / steps
        self.kernels = sum(e["cat"] == "kernel" for e in work) / steps
        self.busy_us = _union([(e["ts"], e["ts"] + e["dur"]) for e in work]) / steps
        self.graph_captures = sum("StreamBeginCapture" in e["name"] for e in calls) / steps
        names = [str(e.get("name", "")) for e in events]
        self.attention_fused = sum(bool(_ATTENTION.search(name)) for name in names) / steps
        self.regions = sum(str(e.get("name", "")).startswith("Torch-Compiled Region") for e in events) / steps


def _union(spans):
    total, end = 0.0, float("-inf")
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def profile(torch, where, wait, step, steps, path):
    """Profile `steps` calls of `step`, keep the trace at `path`, and return a Trace, or None if it cannot be read."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if where.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    try:
        for rounds in (1, steps):  # the first profile of a process loses events while CUPTI starts
            wait()
            with torch.profiler.profile(activities=activities) as profiler:
                for _ in range(rounds):
                    step()
                wait()
        profiler.export_chrome_trace(path)
        with open(path, encoding="utf-8", errors="replace") as file:
            events = json.load(file)["traceEvents"]
    except Exception as error:
        kit.fact("profile.unreadable", type(error).__name__, evidence=str(error)[:300])
        return None
    kit.artifact("trace", path, "profile of %d steps, for chrome://tracing" % steps)
    return Trace([e for e in events if e.get("ph") == "X"], steps)


def tell_trace(trace, side, label):
    """Figures of one side's trace, a step; only for a trace whose `device_seen` is true."""
    kit.figure("graph_launches", trace.graph_launches, "launches", side=side, model=label)
    kit.figure("kernel_launches", trace.kernel_launches, "launches", side=side, model=label)
    kit.figure("graph_captures", trace.graph_captures, "captures", side=side, model=label)
    kit.figure("device_busy_us", trace.busy_us, "us", side=side, model=label)


class Fallbacks:
    """Keeps the names of operators that Inductor hands to eager kernels while it compiles."""

    def __init__(self):
        self.names = set()

    def __enter__(self):
        from torch._inductor import ir

        self._kind = getattr(ir, "FallbackKernel", None)
        if self._kind is not None:
            self._original = self._kind.__init__
            names, original = self.names, self._original

            def init(kernel, *args, **kwargs):
                found = kwargs.get("kernel") or (args[1] if len(args) > 1 else None)
                names.add(str(found))
                original(kernel, *args, **kwargs)

            self._kind.__init__ = init
        return self

    def __exit__(self, *_):
        if self._kind is not None:
            self._kind.__init__ = self._original
