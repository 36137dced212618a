"""The table of environment variables: name, condition, meaning, weight. Rules and cards are made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ...model import Readings
from ..reading import text
from .versions import release

Condition = Callable[[str, Readings], bool]
"""(value, readings of env.variables) -> whether the variable does anything."""

_OFF = ("", "0", "false", "no", "off", "n", "f")


def _one(value: str, _readings: Readings) -> bool:
    """`== "1"`: most switches of PyTorch take nothing else."""
    return value == "1"


def _on(value: str, _readings: Readings) -> bool:
    """Anything but an off: what CUDA, NCCL and LLVM read as a number or a yes."""
    return value.strip().lower() not in _OFF


def _any_text(value: str, _readings: Readings) -> bool:
    """`bool(os.environ.get(...))`: "0" too."""
    return value != ""


def _present(_value: str, _readings: Readings) -> bool:
    """`getenv(...) != nullptr`: an empty text too."""
    return True


def _zero(value: str, _readings: Readings) -> bool:
    return value == "0"


def _among(*values: str) -> Condition:
    return lambda value, _readings: value.strip().upper() in values


def _holding(part: str) -> Condition:
    return lambda value, _readings: part in value


def _compile_disabled(value: str, readings: Readings) -> bool:
    """Any text up to 2.6 (measured), "1" later."""
    torch = release(text(readings, "torch.version"))
    return value == "1" or (value != "" and torch is not None and torch <= (2, 6))


def _one_of_many_cores(value: str, readings: Readings) -> bool:
    fact = readings.fact("cores")
    return value.strip() == "1" and fact is not None and isinstance(fact.value, (int, float)) and fact.value > 1


Weight = Literal["slow", "wrong", "note"]
"""It costs speed; it changes answers or hides faults; it is good to know."""


@dataclass(frozen=True, slots=True)
class Row:
    """One variable; `meaning` says what it does where the condition holds."""

    number: int
    name: str
    holds: Condition
    weight: Weight
    meaning: str
    source: str

    @property
    def card(self) -> str:
        """The id of its card."""
        return f"TD-ENV-{self.number}"

    @property
    def fix(self) -> str:
        """The command that takes its effect away."""
        return f"unset {self.name}"


_DYNAMO = "torch/_dynamo/config.py"
_INDUCTOR = "torch/_inductor/config.py"
_ALLOCATOR = "c10/cuda/CUDACachingAllocator.cpp"
_NCCL = "https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html"
_CUDA = "https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables"
_DCGM = "the list that dcgmi diag warns about"
_TRITON = "triton/knobs.py"
_PYTHON = "https://docs.python.org/3/using/cmdline.html#environment-variables"
_PROCESS_GROUP = "torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp"

_COMPILE: tuple[Row, ...] = (
    Row(100, "TORCHDYNAMO_SUPPRESS_ERRORS", _any_text, "wrong",
        "a frame whose compilation fails runs eagerly, in silence and for good; any text switches it on, '0' too",
        _DYNAMO),
    Row(101, "TORCHDYNAMO_DISABLE", _one, "slow",
        "torch.compile() returns the function itself, with fullgraph=True too", "torch/_dynamo/eval_frame.py"),
    Row(102, "TORCH_COMPILE_DISABLE", _compile_disabled, "slow",
        "what is compiled runs eagerly; up to 2.6 any text switches it on, '0' too", _DYNAMO),
    Row(103, "TORCHINDUCTOR_FORCE_DISABLE_CACHES", _one, "slow", "every process compiles everything anew", _INDUCTOR),
    Row(104, "TORCH_COMPILE_FORCE_DISABLE_CACHES", _one, "slow", "every process compiles everything anew",
        "torch/compiler/config.py"),
    Row(105, "TORCHINDUCTOR_FX_GRAPH_CACHE", _zero, "slow", "every process compiles its graphs anew", _INDUCTOR),
    Row(106, "TORCHINDUCTOR_COMPILE_THREADS", _one_of_many_cores, "note",
        "kernels are compiled one after another, in this process", _INDUCTOR),
    Row(107, "TORCHINDUCTOR_MAX_AUTOTUNE", _one, "note", "every compilation tunes its kernels, which takes minutes",
        _INDUCTOR),
    Row(108, "TORCH_COMPILE_DEBUG", _one, "note", "every compilation writes its debug tree: slow, and disks fill",
        _INDUCTOR),
    Row(109, "TORCHDYNAMO_REPRO_AFTER", _any_text, "slow", "every graph runs twice and is compared, to find a fault",
        _DYNAMO),
    Row(110, "TORCH_LOGS", _any_text, "note",
        "the compiler talks; a name that this version does not know ends `import torch` in a ValueError",
        "torch/_logging/_internal.py"),
    Row(111, "TORCH_TRACE", _any_text, "note", "every compilation writes a trace there", "torch/_logging/_internal.py"),
    Row(112, "TRITON_INTERPRET", _on, "slow", "Triton kernels are interpreted in Python, thousands of times slower",
        _TRITON),
    Row(113, "TRITON_ALWAYS_COMPILE", _on, "slow", "no Triton kernel is ever taken from the cache", _TRITON),
    Row(114, "PYTORCH_JIT", _zero, "note", "torch.jit.script() does nothing", "torch/jit/_state.py"),
)  # fmt: skip

_GPU: tuple[Row, ...] = (
    Row(120, "CUDA_LAUNCH_BLOCKING", _on, "slow", "every launch waits for its kernel: the GPU idles between any two",
        _CUDA),
    Row(121, "PYTORCH_NO_CUDA_MEMORY_CACHING", _present, "slow",
        "every allocation is a cudaMalloc; any value switches it on, '0' and an empty one too", _ALLOCATOR),
    Row(122, "PYTORCH_NO_HIP_MEMORY_CACHING", _present, "slow", "every allocation is a hipMalloc", _ALLOCATOR),
    Row(123, "TORCH_USE_CUDA_DSA", _present, "note",
        "it does nothing at run time: it is a macro for building PyTorch", "c10/cuda/CUDADeviceAssertionHost.h"),
    Row(124, "PYTORCH_CUDA_DSA_STACKTRACING", _on, "slow", "every launch records a stack trace",
        "c10/cuda/CUDADeviceAssertionHost.cpp"),
    Row(125, "NVIDIA_TF32_OVERRIDE", _zero, "slow",
        "TF32 is off in every library, whatever the program asks: float32 products run without tensor cores",
        "https://docs.nvidia.com/cuda/cublas/"),
    Row(126, "NVIDIA_TF32_OVERRIDE", _one, "wrong",
        "TF32 is on in every library: float32 products keep 10 bits of their mantissa",
        "https://docs.nvidia.com/cuda/cublas/"),
    Row(127, "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", _one, "wrong",
        "float32 matrix products start in TF32: they keep 10 bits of their mantissa", "aten/src/ATen/Context.h"),
    Row(128, "CUDA_FORCE_PTX_JIT", _on, "slow", "the driver compiles every kernel from PTX, or fails", _CUDA),
    Row(129, "CUDA_CACHE_DISABLE", _on, "slow", "what the driver compiles from PTX it compiles anew in every process",
        _CUDA),
    Row(130, "CUDA_MODULE_LOADING", _among("EAGER"), "note",
        "all kernels are loaded at the start: seconds, and hundreds of MiB of GPU memory", _CUDA),
    Row(131, "CUDA_DEVICE_MAX_CONNECTIONS", _one, "note", "all streams share one queue: little overlaps", _CUDA),
    Row(132, "PYTORCH_NVML_BASED_CUDA_CHECK", _one, "note",
        "torch.cuda.is_available() asks NVML and may say True where CUDA cannot start", "torch/cuda/__init__.py"),
    Row(133, "PYTORCH_CUDA_ALLOC_CONF", _holding("backend:cudaMallocAsync"), "note",
        "the driver's allocator: no memory snapshots, and other limits for CUDA graphs", _ALLOCATOR),
    Row(134, "CUBLAS_WORKSPACE_CONFIG", _any_text, "note", "cuBLAS's workspace is fixed: repeatable, and may be slower",
        "https://docs.nvidia.com/cuda/cublas/#results-reproducibility"),
    Row(135, "TORCH_DEVICE_BACKEND_AUTOLOAD", _zero, "note",
        "plug-ins for other accelerators are not loaded by `import torch`", "torch/__init__.py"),
    Row(136, "HSA_OVERRIDE_GFX_VERSION", _any_text, "wrong", "ROCm runs kernels of another GPU than this one",
        "https://rocm.docs.amd.com/"),
    Row(137, "AMD_SERIALIZE_KERNEL", _on, "slow", "every launch waits for its kernel",
        "https://rocm.docs.amd.com/projects/HIP/en/latest/reference/env_variables.html"),
    Row(138, "HIP_LAUNCH_BLOCKING", _on, "slow", "every launch waits for its kernel",
        "https://rocm.docs.amd.com/projects/HIP/en/latest/reference/env_variables.html"),
)  # fmt: skip

_DEBUGGERS: tuple[Row, ...] = tuple(
    Row(140 + n, name, _on, "slow", meaning, _DCGM)
    for n, (name, meaning) in enumerate((
        ("NSIGHT_CUDA_DEBUGGER", "a debugger is attached to every CUDA program"),
        ("CUDA_INJECTION32_PATH", "a tool is loaded into every CUDA program"),
        ("CUDA_INJECTION64_PATH", "a tool is loaded into every CUDA program"),
        ("CUDA_AUTO_BOOST", "it governs clocks that only an administrator should set"),
        ("CUDA_ENABLE_COREDUMP_ON_EXCEPTION", "a fault of a GPU writes all its memory to disk"),
        ("CUDA_COREDUMP_FILE", "a fault of a GPU writes its memory there"),
        ("CUDA_DEVICE_WAITS_ON_EXCEPTION", "a fault of a GPU stops the program for a debugger, and it hangs"),
        ("CUDA_PROFILE", "every CUDA program is profiled"),
        ("COMPUTE_PROFILE", "every CUDA program is profiled"),
        ("OPENCL_PROFILE", "every OpenCL program is profiled"),
    ))
)  # fmt: skip

_RANKS: tuple[Row, ...] = (
    Row(160, "NCCL_P2P_DISABLE", _on, "slow", "GPUs of one node do not copy to each other, NVLink is not used", _NCCL),
    Row(161, "NCCL_SHM_DISABLE", _on, "slow", "ranks of one node do not use shared memory, but the network", _NCCL),
    Row(162, "NCCL_IB_DISABLE", _on, "slow", "nodes talk over TCP, not over InfiniBand or RoCE", _NCCL),
    Row(163, "NCCL_ALGO", _any_text, "note", "NCCL does not choose its algorithm by size and machine", _NCCL),
    Row(164, "NCCL_PROTO", _any_text, "note", "NCCL does not choose its protocol by size and machine", _NCCL),
    Row(165, "NCCL_DEBUG", _among("INFO", "TRACE"), "note", "NCCL logs; TRACE in every call", _NCCL),
    Row(166, "TORCH_NCCL_BLOCKING_WAIT", _on, "slow", "the CPU waits for every collective", _PROCESS_GROUP),
    Row(167, "NCCL_BLOCKING_WAIT", _on, "slow", "the CPU waits for every collective", _PROCESS_GROUP),
    Row(168, "TORCH_DISTRIBUTED_DEBUG", _among("DETAIL"), "slow",
        "every collective is checked by another one over gloo first", "torch/distributed/distributed_c10d.py"),
    Row(169, "TORCH_NCCL_NAN_CHECK", _on, "slow", "every collective looks through its input for NaN first",
        _PROCESS_GROUP),
)  # fmt: skip

_HOST: tuple[Row, ...] = (
    Row(180, "OMP_NUM_THREADS", _one_of_many_cores, "note",
        "work on the CPU takes one core; torchrun sets it so where it is not set", "torch/distributed/run.py"),
    Row(181, "MKL_NUM_THREADS", _one_of_many_cores, "note", "MKL takes one core",
        "https://pytorch.org/docs/stable/threading_environment_variables.html"),
    Row(182, "ATEN_CPU_CAPABILITY", _among("DEFAULT"), "slow", "kernels on the CPU use no vector instructions",
        "aten/src/ATen/native/DispatchStub.cpp"),
    Row(183, "ONEDNN_MAX_CPU_ISA", _any_text, "note", "oneDNN leaves newer instructions of this CPU unused",
        "https://uxlfoundation.github.io/oneDNN/"),
    Row(184, "ONEDNN_VERBOSE", _on, "note", "oneDNN prints a line a primitive",
        "https://uxlfoundation.github.io/oneDNN/"),
    Row(185, "MKL_VERBOSE", _on, "note", "MKL prints a line a call",
        "https://www.intel.com/content/www/us/en/docs/onemkl/"),
    Row(186, "XLA_USE_BF16", _one, "wrong", "PyTorch/XLA computes float32 in bfloat16", "https://docs.pytorch.org/xla/"),
    Row(187, "XLA_DOWNCAST_BF16", _one, "wrong", "PyTorch/XLA computes float32 in bfloat16",
        "https://docs.pytorch.org/xla/"),
    Row(188, "LD_PRELOAD", _any_text, "note", "libraries are put in front of every library of PyTorch", "ld.so(8)"),
    Row(189, "PYTHONHOME", _any_text, "wrong", "another Python's standard library is used", _PYTHON),
    Row(190, "PYTHONPATH", _any_text, "note", "packages there come before those of the environment", _PYTHON),
    Row(191, "PYTHONMALLOC", _among("DEBUG", "MALLOC_DEBUG", "PYMALLOC_DEBUG"), "slow",
        "every allocation of Python is checked", _PYTHON),
    Row(192, "PYTHONTRACEMALLOC", _on, "slow", "every allocation of Python records a stack trace", _PYTHON),
    Row(193, "PYTHONDEVMODE", _any_text, "slow", "Python checks allocations and warns at everything", _PYTHON),
    Row(194, "PYTHONOPTIMIZE", _on, "note", "assert statements are gone: checks in PyTorch and in your code too",
        _PYTHON),
)  # fmt: skip

ROWS: tuple[Row, ...] = _COMPILE + _GPU + _DEBUGGERS + _RANKS + _HOST
