"""Environment variables that change which code runs, or what it does: beginnings of their names.

Payloads import this as `torchdoctor_shared.environment.families`: standard library, parses on Python 3.8.
"""

from __future__ import annotations

FAMILIES = (
    "TORCH", "PYTORCH", "CUDA", "CUBLAS", "CUDNN", "NCCL", "NVIDIA_", "NVSHMEM", "NVCC", "NSIGHT_", "TRITON_", "MLIR_",
    "INDUCTOR", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "ONEDNN_", "DNNL_", "ATEN_",
    "COMPUTE_PROFILE", "OPENCL_PROFILE",
    "HIP_", "HSA_", "ROC", "RCCL_", "AMD_", "MIOPEN_", "ZE_", "SYCL_", "ONEAPI_", "IPEX_", "XLA_", "PJRT_", "ASCEND_",
    "GLOO_", "UCX_", "FI_", "IBV_", "MLX5_", "OMPI_MCA_", "SHARP_", "HF_", "TRANSFORMERS_", "DS_", "FLASH_ATTENTION_",
    "LD_PRELOAD", "LD_LIBRARY_PATH", "LD_BIND_NOW", "LD_AUDIT", "GLIBC_TUNABLES", "PYTHON", "VIRTUAL_ENV",
    "CONDA_PREFIX", "MALLOC_", "TCMALLOC_",
)  # fmt: skip
"""What PyTorch, its libraries, its drivers or Python look at."""

SURROUNDINGS = (
    "CC", "CXX", "CFLAGS", "CXXFLAGS", "PATH", "HOME", "TMPDIR", "TEMP", "TMP", "XDG_CACHE_HOME", "LANG", "LC_ALL",
)  # fmt: skip
"""What is not PyTorch's and still decides which compiler, folder or library it finds."""

PASSING = ("TORCHDOCTOR_", "TORCHELASTIC_")
"""What this program looks at, and what torchrun tells each rank about its run: nothing about the patient."""


def matters(name: str) -> bool:
    """Whether a variable belongs to either."""
    return (name.startswith(FAMILIES) or name in SURROUNDINGS) and not name.startswith(PASSING)
