"""Which words of a traceback or a log lead to which card: a table.

A row holds a text that must stand in the line, as it is, and a pattern where that text alone says too little. It is
written for words that only this error has: what many programs say ("No space left on device") is no row by itself.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple


class Role(enum.IntEnum):
    """What a line is in the story of a failure; the order is that of telling."""

    CAUSE = 0
    """It names what was wrong."""

    ERROR = 1
    """What was raised."""

    CONSEQUENCE = 2
    """What others said afterwards: told only where nothing else is known."""


class Sign(NamedTuple):
    """A line with `text` in it, and with `pattern` if there is one, leads to the card."""

    card: str
    text: str
    pattern: str = ""
    role: Role = Role.ERROR


_CAUSE, _ERROR, _AFTER = Role.CAUSE, Role.ERROR, Role.CONSEQUENCE
_CACHE = r"torchinductor|inductor|triton"
_TYPES = r"type \(torch\.{}[A-Z]\w+\) and weight type \(torch\.{}[A-Z]"
"""Input and weight of a layer, each with the device that its type names."""

SIGNS: Final[tuple[Sign, ...]] = (
    # kernels: what they check themselves, then how CUDA tells it
    Sign("TD-ERR-002", "srcIndex < srcSelectDimSize", role=_CAUSE),
    Sign("TD-ERR-002", "index out of bounds", r"Assertion|device-side", _CAUSE),
    Sign("TD-ERR-002", "idx_dim >= 0", role=_CAUSE),
    Sign("TD-ERR-002", "ind >= 0 && ind < ind_dim_size", role=_CAUSE),
    Sign("TD-ERR-002", "vectorized_gather_kernel", r"Assertion", _CAUSE),
    Sign("TD-ERR-002", "index out of range in self", role=_CAUSE),
    Sign("TD-ERR-003", "t < n_classes", r"Assertion", _CAUSE),
    Sign("TD-ERR-003", "cur_target < n_classes", role=_CAUSE),
    Sign("TD-ERR-003", "input_val >= zero && input_val <= one", role=_CAUSE),
    Sign("TD-ERR-003", "is out of bounds.", r"IndexError: Target \S+ is out of bounds", _CAUSE),
    Sign("TD-ERR-001", "device-side assert triggered"),
    Sign("TD-ERR-001", "cudaErrorAssert"),
    Sign("TD-ERR-004", "an illegal memory access was encountered"),
    Sign("TD-ERR-004", "cudaErrorIllegalAddress"),
    Sign("TD-ERR-004", "CUDA_ERROR_ILLEGAL_ADDRESS"),
    Sign("TD-ERR-005", "misaligned address", r"(?i)cuda"),
    Sign("TD-ERR-005", "unspecified launch failure"),
    Sign("TD-ERR-005", "an illegal instruction was encountered"),
    Sign("TD-ERR-005", "hardware stack error"),
    Sign("TD-ERR-006", "the launch timed out and was terminated"),
    Sign("TD-ERR-007", "uncorrectable ECC error"),
    Sign("TD-ERR-008", "CUDA error: ", role=_AFTER),
    Sign("TD-ERR-008", "might be asynchronously reported", role=_AFTER),
    # memory
    Sign("TD-ERR-009", "CUDA out of memory"),
    Sign("TD-ERR-009", "CUDA error: out of memory"),
    Sign("TD-ERR-009", "Triton Error [CUDA]: out of memory"),
    Sign("TD-ERR-009", "cuda.OutOfMemoryError"),
    Sign("TD-ERR-009", "HIP out of memory"),
    Sign("TD-ERR-009", "XPU out of memory"),
    Sign("TD-ERR-009", "CUDA_ERROR_OUT_OF_MEMORY"),
    Sign("TD-ERR-043", "DefaultCPUAllocator: ", r"can't allocate memory|not enough memory"),
    Sign("TD-ERR-043", "Cannot allocate memory", r"OSError|Errno 12|RuntimeError"),
    # libraries on the GPU
    Sign("TD-ERR-010", "CUBLAS_STATUS_NOT_INITIALIZED"),
    Sign("TD-ERR-010", "CUBLAS_STATUS_ALLOC_FAILED"),
    Sign("TD-ERR-011", "CUBLAS_STATUS_", r"EXECUTION_FAILED|INVALID_VALUE|NOT_SUPPORTED|INTERNAL_ERROR|ARCH_MISMATCH"),
    Sign("TD-ERR-012", "CUDNN_STATUS_"),
    Sign("TD-ERR-012", "Unable to find a valid cuDNN algorithm"),
    Sign("TD-ERR-012", "FIND was unable to find an engine to execute this computation"),
    Sign("TD-CUD-061", "cuDNN version incompatibility", role=_CAUSE),
    Sign("TD-CUD-061", "libcudnn", r"(?:Could not load library|Unable to load any of).{0,40}libcudnn", _CAUSE),
    # driver and device
    Sign("TD-CUD-006", "Error 803", role=_CAUSE),
    Sign("TD-CUD-006", "system has unsupported display driver", role=_CAUSE),
    Sign("TD-CUD-006", "Driver/library version mismatch", role=_CAUSE),
    Sign("TD-CUD-007", "forward compatibility was attempted on non supported HW", role=_CAUSE),
    Sign("TD-CUD-005", "system not yet initialized", r"802|CUDA|cuda", _CAUSE),
    Sign("TD-CUD-004", "CUDA driver version is insufficient for CUDA runtime version", role=_CAUSE),
    Sign("TD-CUD-004", "The NVIDIA driver on your system is too old", role=_CAUSE),
    Sign("TD-CUD-004", "the provided PTX was compiled with an unsupported toolchain", role=_CAUSE),
    Sign("TD-CUD-002", "Found no NVIDIA driver on your system", role=_CAUSE),
    Sign("TD-CUD-002", "libcuda.so.1: cannot open shared object", role=_CAUSE),
    Sign("TD-CUD-008", "No CUDA GPUs are available"),
    Sign("TD-CUD-008", "no CUDA-capable device is detected"),
    Sign("TD-CUD-009", "CUDA unknown error - this may be due to an incorrectly set up environment"),
    Sign("TD-CUD-009", "CUDA driver initialization failed"),
    Sign("TD-CUD-009", "Unexpected error from cudaGetDeviceCount", role=_AFTER),
    Sign("TD-CUD-030", "no kernel image is available", role=_CAUSE),
    Sign("TD-CUD-030", "device kernel image is invalid", role=_CAUSE),
    Sign("TD-CUD-030", "error: invalid device function", role=_CAUSE),
    Sign("TD-CUD-030", "hipErrorNoBinaryForGpu", role=_CAUSE),
    Sign("TD-CUD-030", "nvrtc: error: invalid value for --gpu-architecture", role=_CAUSE),
    Sign("TD-CUD-030", "is not compatible with the current PyTorch installation", role=_CAUSE),
    Sign("TD-ENV-004", "Torch not compiled with CUDA enabled", role=_CAUSE),
    Sign("TD-ERR-013", "invalid device ordinal", role=_CAUSE),
    Sign("TD-ERR-014", "Cannot re-initialize CUDA in forked subprocess", role=_CAUSE),
    Sign("TD-ERR-014", "CUDA error: initialization error"),
    Sign("TD-ERR-015", "CUDA-capable device(s) is/are busy or unavailable", role=_CAUSE),
    Sign("TD-ERR-016", "operation not permitted when stream is capturing", role=_CAUSE),
    Sign("TD-ERR-016", "operation failed due to a previous error during capture"),
    Sign("TD-ERR-016", "cudaErrorStreamCapture"),
    Sign("TD-ERR-019", "accessing tensor output of CUDAGraphs that has been overwritten", role=_CAUSE),
    Sign("TD-ERR-017", "Expected all tensors to be on the same device", role=_CAUSE),
    Sign("TD-ERR-017", "should be the same", _TYPES.format("cuda\\.", "") + "|" + _TYPES.format("", "cuda\\."), _CAUSE),
    Sign("TD-ERR-017", "is not on the expected device", role=_CAUSE),
    Sign("TD-ERR-017", "should be either on cpu or on the same device", role=_CAUSE),
    Sign("TD-ERR-018", "must have the same dtype", role=_CAUSE),
    Sign("TD-ERR-018", "expected scalar type", r"expected scalar type \w+ but found \w+", _CAUSE),
    Sign("TD-ERR-018", "should be the same", _TYPES.format("cuda\\.", "cuda\\.") + "|" + _TYPES.format("", ""), _CAUSE),
    Sign("TD-ERR-018", "should be the same", r"\(c10::(?:Half|BFloat16)\)", _CAUSE),
    Sign("TD-ERR-018", "to have the same dtype", role=_CAUSE),
    # imports, builds, files
    Sign("TD-ERR-020", "undefined symbol: ", r"undefined symbol: _Z(?:NK?|T[A-Z]N?)?(?:3c10|2at|5torch)", _CAUSE),
    Sign("TD-ERR-020", "operator torchvision::nms does not exist", role=_CAUSE),
    Sign("TD-ERR-020", "Couldn't load custom C++ ops", role=_CAUSE),
    Sign("TD-ERR-020", "Could not run 'torchvision::", role=_CAUSE),
    Sign("TD-ERR-020", "Not compiled with GPU support", role=_CAUSE),
    Sign("TD-ERR-024", "not defined in file lib", r"symbol \w+.{0,80} not defined in file lib(?:cu|nv|nccl)", _CAUSE),
    Sign("TD-ERR-024", "undefined symbol: ", r"undefined symbol: (?:__nv|nvJitLink|cublas|cudnn|cusparse|nccl|cu[A-Z])",
         _CAUSE),
    Sign("TD-ERR-021", "' not found", r"version [`'](?:GLIBCXX|CXXABI)_[\w.]+' not found", _CAUSE),
    Sign("TD-ERR-022", "' not found", r"version [`']GLIBC_[\d.]+' not found", _CAUSE),
    Sign("TD-ERR-023", "cannot open shared object file", r"lib(?!cuda\.so)(?:cu\w+|nv\w+|nccl)\.so", _CAUSE),
    Sign("TD-DAT-001", "cannot open shared object file", r"lib(?:GL|SM|Xext|Xrender|gthread-2\.0)\.so", _CAUSE),
    Sign("TD-ENV-001", "No module named 'torch'", role=_CAUSE),
    Sign("TD-ENV-012", "Numpy is not available", role=_CAUSE),
    Sign("TD-ENV-012", "_ARRAY_API not found", role=_CAUSE),
    Sign("TD-ENV-012", "A module that was compiled using NumPy 1.x cannot be run in", role=_CAUSE),
    Sign("TD-CUD-041", "mismatches the version that was used to compile", r"CUDA version", _CAUSE),
    Sign("TD-CUD-041", "does not match the version torch was compiled with", role=_CAUSE),
    Sign("TD-ERR-025", "CUDA_HOME environment variable is not set", role=_CAUSE),
    Sign("TD-ERR-025", "CUDA_HOME does not exist, unable to compile CUDA op(s)", role=_CAUSE),
    Sign("TD-ERR-026", "Weights only load failed", role=_CAUSE),
    Sign("TD-ERR-027", "Attempting to deserialize object on", r"CUDA device", _CAUSE),
    Sign("TD-ERR-025", "cuda.h", r"cuda\.h: No such file", _CAUSE),
    Sign("TD-ERR-025", "/bin/nvcc", r"No such file|not found", _CAUSE),
    Sign("TD-ERR-029", "unsupported GNU version", role=_CAUSE),
    Sign("TD-ERR-028", "failed finding central directory", role=_CAUSE),
    Sign("TD-ERR-028", "PytorchStreamReader failed", role=_CAUSE),
    Sign("TD-ERR-028", "invalid load key, ", role=_CAUSE),
    Sign("TD-ERR-028", "The file might be corrupted", r"unexpected EOF", _CAUSE),
    # the compiler and its tools
    Sign("TD-CMP-001", "InvalidCxxCompiler", role=_CAUSE),
    Sign("TD-CMP-001", "No working C++ compiler", role=_CAUSE),
    Sign("TD-CMP-002", "Failed to find C compiler", role=_CAUSE),
    Sign("TD-CMP-003", "Python.h", r"Python\.h'?:? (?:No such file|file not found)", _CAUSE),
    Sign("TD-CMP-004", "-lcuda", r"cannot find -lcuda\b", _CAUSE),
    Sign("TD-CMP-004", "libcuda.so cannot found", role=_CAUSE),
    Sign("TD-CMP-005", "failed to map segment from shared object", role=_CAUSE),
    Sign("TD-CMP-006", "ptxas", r"gpu-name|PTXASError", _CAUSE),
    Sign("TD-CMP-006", "Internal Triton PTX codegen error", role=_CAUSE),
    Sign("TD-CMP-008", "GPUTooOldForTriton", role=_CAUSE),
    Sign("TD-CMP-008", "too old to be supported by the triton", role=_CAUSE),
    Sign("TD-CMP-007", "TritonMissing", role=_CAUSE),
    Sign("TD-CMP-007", "working triton installation", role=_CAUSE),
    Sign("TD-CMP-007", "No module named 'triton", role=_CAUSE),
    Sign("TD-CMP-009", " is not supported on Python", r"Dynamo|torch\.compile", _CAUSE),
    Sign("TD-CMP-009", "not yet supported on Python", r"Dynamo|torch\.compile", _CAUSE),
    Sign("TD-CMP-010", "Permission denied", _CACHE, _CAUSE),
    Sign("TD-CMP-010", "No space left on device", _CACHE, _CAUSE),
    Sign("TD-CMP-010", "Read-only file system", _CACHE, _CAUSE),
    Sign("TD-CMP-010", "Access is denied", _CACHE, _CAUSE),
    Sign("TD-CMP-105", "Stale file handle", _CACHE, _CAUSE),
    Sign("TD-CMP-105", "Device or resource busy", _CACHE, _CAUSE),
    Sign("TD-CMP-011", "you are using FX to", r"dynamo-optimized function", _CAUSE),
    Sign("TD-CMP-020", "WON'T CONVERT"),
    Sign("TD-CMP-025", "cache_size_limit reached"),
    Sign("TD-CMP-025", "recompile_limit"),
    Sign("TD-CMP-025", "hit config.cache_size_limit"),
    Sign("TD-CMP-025", "recompile limit exceeded"),
    Sign("TD-CMP-025", "FailOnRecompileLimitHit"),
    Sign("TD-CMP-031", "skipping cudagraphs"),
    Sign("TD-CMP-035", "Not enough SMs to use max_autotune_gemm"),
    Sign("TD-ERR-051", "data-dependent expression", role=_CAUSE),
    Sign("TD-ERR-051", "GuardOnDataDependentSymNode", role=_CAUSE),
    Sign("TD-ERR-051", "ata-dependent branching", role=_CAUSE),
    Sign("TD-ERR-051", "DataDependentOutputException", role=_CAUSE),
    Sign("TD-ERR-051", "Dynamic control flow is not supported", role=_CAUSE),
    Sign("TD-ERR-050", "torch._dynamo.exc.Unsupported"),
    Sign("TD-ERR-052", "RecompileError"),
    Sign("TD-ERR-052", "fail_on_recompile'"),
    Sign("TD-ERR-053", "Constraints violated", role=_CAUSE),
    Sign("TD-ERR-054", "BackendCompilerFailed", role=_AFTER),
    Sign("TD-ERR-054", "InductorError", role=_AFTER),
    Sign("TD-ERR-054", "CppCompileError", role=_AFTER),
    Sign("TD-ERR-054", "backend='inductor' raised", role=_AFTER),
    Sign("TD-ERR-055", "out of resource: shared memory", role=_CAUSE),
    # ranks
    Sign("TD-ERR-030", "Watchdog caught collective operation timeout"),
    Sign("TD-ERR-030", "timed out in blocking wait"),
    Sign("TD-ERR-030", "Application timeout caused pair closure"),
    Sign("TD-ERR-030", "Timed out waiting", r"ms for (?:recv|send) operation to complete"),
    Sign("TD-ERR-031", "unhandled system error"),
    Sign("TD-ERR-031", "ncclSystemError"),
    Sign("TD-ERR-033", "unhandled cuda error"),
    Sign("TD-ERR-033", "ncclUnhandledCudaError"),
    Sign("TD-ERR-031", "Bootstrap : no socket interface found", role=_CAUSE),
    Sign("TD-ERR-046", "ncclInternalError"),
    Sign("TD-ERR-046", "internal error", r"NCCL"),
    Sign("TD-ERR-034", "ncclInvalidUsage"),
    Sign("TD-ERR-034", "ncclInvalidArgument"),
    Sign("TD-ERR-034", "Duplicate GPU detected", role=_CAUSE),
    Sign("TD-ERR-032", "remote process exited or there was a network error", role=_AFTER),
    Sign("TD-ERR-032", "ncclRemoteError", role=_AFTER),
    Sign("TD-ERR-032", "Connection closed by peer", r"gloo|\.cc:\d", _AFTER),
    Sign("TD-ERR-032", "Connection reset by peer", r"gloo|c10d|\.c(?:c|pp):\d", _AFTER),
    Sign("TD-ERR-035", "ddress already in use", r"server socket has failed|29500|EADDRINUSE|TCPStore", _CAUSE),
    Sign("TD-ERR-035", "RuntimeError: Address already in use", role=_CAUSE),
    Sign("TD-ERR-036", "client socket has timed out", role=_CAUSE),
    Sign("TD-ERR-036", "client socket has failed to connect", role=_CAUSE),
    Sign("TD-ERR-036", "Socket Timeout", r"RuntimeError|DistStoreError", _CAUSE),
    Sign("TD-ERR-036", "network addresses of", r"cannot be retrieved", _CAUSE),
    Sign("TD-ERR-036", "connectFullMesh failed", role=_CAUSE),
    Sign("TD-ERR-036", "RendezvousTimeoutError", role=_CAUSE),
    Sign("TD-ERR-036", "RendezvousConnectionError", role=_CAUSE),
    Sign("TD-ERR-036", "clients joined", r"Timed out after \d+ seconds", _CAUSE),
    Sign("TD-ERR-036", "wait timeout after", r"\d+ms, keys", _CAUSE),
    Sign("TD-ERR-037", "ChildFailedError", role=_AFTER),
    Sign("TD-ERR-037", "ProcessRaisedException", role=_AFTER),
    Sign("TD-ERR-038", "Expected to have finished reduction in the prior iteration", role=_CAUSE),
    Sign("TD-ERR-039", "Default process group has not been initialized", role=_CAUSE),
    Sign("TD-ERR-039", "expected, but not set", r"variable (?:RANK|WORLD_SIZE|MASTER_ADDR|MASTER_PORT)", _CAUSE),
    # workers of a DataLoader
    Sign("TD-DTL-006", "insufficient shared memory (shm)", role=_CAUSE),
    Sign("TD-DTL-006", "out of shared memory", r"dataloader's workers|killed by signal: Bus error", _CAUSE),
    Sign("TD-DTL-006", "shm/nccl-", r"(?i)error|fail|no space", _CAUSE),
    Sign("TD-DTL-006", "posix_fallocate failed", role=_CAUSE),
    Sign("TD-DTL-006", "unable to write to file </torch_", role=_CAUSE),
    Sign("TD-DTL-006", "unable to allocate shared memory(shm)", role=_CAUSE),
    Sign("TD-DTL-010", "Too many open files", r"Errno 24|received 0 items of ancdata|RuntimeError", _CAUSE),
    Sign("TD-DTL-010", "received 0 items of ancdata", role=_CAUSE),
    Sign("TD-ERR-040", "killed by signal: Killed", role=_CAUSE),
    Sign("TD-ERR-044", "killed by signal: Segmentation fault", role=_CAUSE),
    Sign("TD-ERR-044", "Unexpected segmentation fault encountered in worker", role=_CAUSE),
    Sign("TD-ERR-041", "DataLoader worker (pid", r"exited unexpectedly|is killed by signal", _AFTER),
    Sign("TD-ERR-042", "Can't pickle ", r"Can't pickle (?:local object|<function|<class '__main__|.*lambda)", _CAUSE),
    Sign("TD-ERR-042", "Can't get attribute", r"on <module '__main__'", _CAUSE),
    Sign("TD-ERR-045", "before the", r"attempt has been made to start a new process before", _CAUSE),
)  # fmt: skip
"""Every text that is known, by family; the order says nothing."""

HIDES: Final = {
    "TD-ERR-002": ("TD-ERR-001",),
    "TD-ERR-003": ("TD-ERR-001",),
    "TD-ERR-051": ("TD-ERR-050",),
    "TD-ERR-040": ("TD-ERR-041",),
    "TD-CUD-061": ("TD-ERR-012",),
    "TD-DTL-006": ("TD-ERR-031",),
    "TD-ERR-035": ("TD-ERR-036",),
    "TD-ERR-034": ("TD-ERR-031", "TD-ERR-033"),
    "TD-ERR-009": ("TD-ERR-033",),
}
"""By card: those that tell only what follows from it."""

LATE: Final = frozenset({f"TD-ERR-{number:03}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 11)})
"""Cards of errors that CUDA tells late: the line that raised is where it was noticed."""

AT_ONCE: Final = frozenset({"TD-ERR-009", "TD-ERR-013", "TD-ERR-015", "TD-CUD-030", "TD-CUD-008", "TD-CUD-004"})
"""Cards of errors of CUDA that are raised by the call itself, whatever PyTorch adds about asynchronous ones."""
