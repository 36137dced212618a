"""Readings of sound runs of cuda.*, accel.*, compute.launch and compute.memory; a test breaks one thing in them."""

from __future__ import annotations

from sound import Facts, figure

DRIVER: Facts = {
    "torch.version": "2.11.0+cu130",
    "torch.build.cuda": "13.0",
    "nccl.cuda": "13",
    "nccl.version": "2.28.9",
    "node.nvidia": 8,
    "node.bus": 8,
    "driver.module": "580.95.05",
    "driver.question": "answered",
    "driver.library": "/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05",
    "driver.library.kind": "driver",
    "driver.cuda": "13.0",
    "driver.init": 0,
    "driver.devices": 8,
}

AVAILABLE: Facts = {
    **{name: value for name, value in DRIVER.items() if not name.startswith("nccl")},
    "torch.build.gpu": True,
    "visible.state": "unset",
    "opening./dev/nvidiactl": "open",
    "opening./dev/nvidia-uvm": "open",
    "opening./dev/nvidia0": "open",
    "cuda.available": True,
    "cuda.name": "NVIDIA H200",
    "cuda.answer": "right",
}

ARCH: Facts = {
    "torch.version": "2.11.0+cu130",
    "torch.build.cuda": "13.0",
    "arch.list": "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120 compute_120",
    "arch.machine": "x86_64",
    "device.count": 2,
    "device.0.capability": "9.0",
    "device.1.capability": "9.0",
    "arch.answer": "right",
}

TOOLKITS: Facts = {
    "torch.version": "2.11.0+cu130",
    "torch.build.cuda": "13.0",
    "link": "link",
    "link.version": "13.0",
    "toolkit.0": "13.0",
    "toolkits": 1,
    "nvcc.0": "13.0",
    "home": "/usr/local/cuda-13.0",
    "home.version": "13.0",
    "toolkits.searched": True,
}

LIBRARIES: Facts = {
    "torch.version": "2.11.0+cu130",
    "use.answer": "right",
    "nccl.version": "2.28.9",
    **{f"copies.{name}": 1 for name in ("libcudart.so.13", "libcublas.so.13", "libcudnn.so.9", "libcuda.so.1")},
    **{f"origin.{name}": "wheel" for name in ("libcudart.so.13", "libcublas.so.13", "libcudnn.so.9")},
    **{f"own.{name}": True for name in ("libcudart.so.13", "libcublas.so.13", "libcudnn.so.9")},
    "origin.libcuda.so.1": "driver",
    "version.libcudart.so.13": "13000",
}

CUDNN: Facts = {
    "cudnn.enabled": True,
    "cudnn.benchmark": False,
    "cudnn.deterministic": False,
    "cudnn.allow_tf32": True,
    "cudnn.available": True,
    "cudnn.version": 91900,
    "cudnn.device": "NVIDIA H200",
}

CONVOLUTIONS = tuple(
    figure("conv_error", error, dtype=dtype, part=part, switch="on")
    for dtype, error in (("float32", 3e-4), ("float16", 2.1e-4), ("bfloat16", 1.7e-3))
    for part in ("result", "input gradient", "weight gradient")
)

ACCEL: Facts = {
    "torch.version": "2.6.0",
    "plugin.npu": "torch_npu:_autoload",
    "loaded.torch_npu": True,
    "node.ascend": 8,
    "accelerator": "npu",
    "answer.npu:0": "right",
}

LAUNCH: Facts = {
    "launch.device": "NVIDIA H200",
    "launch.blocking": False,
    "launch.answer": True,
    "cpu.quota": "none",
    "cpu.governor": "performance",
    "cpu.frequency_driver": "intel_pstate",
    "kernel.gvisor": False,
}

LAUNCHES = (
    figure("issue_us", 3.9, n=100, of="median"),
    figure("issue_us", 3.6, n=100, of="fastest"),
    figure("launch_us", 4.1, n=100, of="median"),
    figure("round_trip_us", 11.0, n=200, of="median"),
)

MEMORY: Facts = {
    "allocator.backend": "native",
    "allocator.expandable_segments": True,
    "allocator.caching": True,
    "memory.large": "given",
    "memory.too_much": "out of memory",
    "memory.recovered": True,
    "memory.content": "right",
}

BUDGET = (
    figure("budget", 4 << 30),
    figure("unused", 2 << 30, at="fragmented"),
    figure("reserved", 4 << 30, at="fragmented"),
    figure("alloc_retries", 1, at="end"),
)
