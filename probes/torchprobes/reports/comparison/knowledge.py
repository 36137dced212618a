"""What is known to explain what: a table of rules, from a difference of machine or target to the rows that it moves."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, NamedTuple


class Known(NamedTuple):
    """One rule. `kinds` are kinds of the inventory, `names` a pattern that is searched in the name, case ignored."""

    topic: str
    kinds: tuple[str, ...]
    names: str
    rows: tuple[str, ...]
    """Patterns of the probes that it moves."""
    why: str
    strength: float = 1.0
    """1 for what moves just these rows; less for what moves anything, and so explains nothing by itself."""
    signs: tuple[str, ...] = ()
    """Patterns of ways that change with it: when they part the platforms as it does, the reports tie it to its rows."""
    findings: tuple[str, ...] = ()
    """Findings that say the same."""


_ALL: Final = ("*",)
_PRODUCTS: Final = (
    "compute.gemm", "compute.precision", "compute.sdpa", "compile.*", "cudagraph.*", "*.entry", "telemetry",
)  # fmt: skip
_MEMORY: Final = ("compute.bandwidth", "compute.sdpa", "compile.*", "*.entry", "telemetry")
_RANKS: Final = ("ddp.*",)
_BETWEEN: Final = ("ddp.*", "compute.p2p")
_CPU: Final = ("system.cpu", "data.*", "compute.*", "compile.*", "serving.*", "ddp.*", "env.identity")
_COMPILE: Final = ("compile.*", "export.aoti", "graph.run", "*.entry")
_PATHS: Final = ("cuda.*", "compute.*", "ddp.*", "data.*", "env.*", "compile.*", "cudagraph.*")

RULES: Final[tuple[Known, ...]] = (
    Known("power limit", ("gpu",), r"(?<!default )(?<!max )power limit", _PRODUCTS,
          "a GPU lowers its clocks to stay within its limit: products, which draw most, slow down first (TD-CPT-006)",
          findings=("TD-CPT-006",)),
    Known("memory clock", ("gpu",), r"memory clock", _MEMORY,
          "bytes a second are memory clock x bus width x 2: copies and attention follow it"),
    Known("SM clock", ("gpu",), r"sm clock", _PRODUCTS, "products a second follow the clock of the multiprocessors",
          findings=("TD-CPT-007",)),
    Known("MIG", ("gpu",), r"\bMIG", _ALL, "a slice has a part of the GPU's multiprocessors and memory"),
    Known("ECC", ("gpu",), r"\bECC", _MEMORY, "ECC in memory without spare bits costs bandwidth and room", 0.7),
    Known("PCIe", ("gpu",), r"pcie|BAR1", ("compute.bandwidth", "compute.p2p", "ddp.*", "data.*"),
          "copies to the device and back go through this link"),
    Known("NVLink", ("gpu", "driver"), r"nvlink|nvswitch|fabric", _BETWEEN, "GPUs of one machine talk through NVLink"),
    Known("compute mode", ("gpu",), r"compute mode|persistence", ("cuda.*", "ddp.*", "env.identity"),
          "exclusive mode admits one process; without persistence each first use starts the driver", 0.6),
    Known("failing memory", ("gpu",), r"remapped|state$", _ALL, "a GPU with remapped rows or a lost one is not sound"),
    Known("peer access", ("topology",), r"^P2P", _BETWEEN, "copies between GPUs go through the host", 0.8,
          signs=("peer access *", "link *", "transport *"), findings=("TD-CPT-053",)),
    Known("links between GPUs", ("topology",), r"", _BETWEEN, "the way between two GPUs sets what a copy can reach",
          signs=("peer access *", "link *", "transport *")),
    Known("peer access", ("variable", "module", "driver"), r"^NCCL_(P2P|SHM|CUMEM)|^iommu$", _BETWEEN,
          "without peer access NCCL goes through shared memory or the network (NCCL's user guide, NCCL_P2P_DISABLE)",
          signs=("peer access *", "link *", "transport *"), findings=("TD-CPT-053", "TD-DDP-013", "TD-DDP-014")),
    Known("NCCL's network plugin", ("library", "variable", "package"),
          r"nccl-net|nccl plugin|libnccl-(tuner|ofi)|^NCCL_(NET|NET_PLUGIN|TUNER\w*)$|^FI_|aws-ofi|rccl-net", _RANKS,
          "without its plugin NCCL takes sockets between machines (NCCL's user guide, NCCL_NET_PLUGIN)",
          signs=("network", "link *", "transport *"), findings=("TD-DDP-018", "TD-DDP-019")),
    Known("NCCL's network", ("variable", "module", "driver", "network"),
          r"NCCL between|active Infini|^NCCL_(IB|SOCKET|NET_GDR|CROSS|DMABUF)|peermem|peer memory|gdrdrv|^mlx|^ib",
          _RANKS,
          "it decides which card NCCL takes between machines, and whether GPUs write to it themselves",
          signs=("network", "link *", "transport *")),
    Known("NCCL", ("variable", "package", "library"),
          r"^NCCL_|NCCL version|nvidia-nccl|libnccl\.so|^TORCH_NCCL", _RANKS,
          "ranks on GPUs talk through NCCL", 0.9, signs=("algorithm *", "NVLink SHARP channels")),
    Known("gloo's interface", ("variable",), r"^(GLOO|TP)_", _RANKS, "gloo binds to the interface that this names"),
    Known("threads", ("variable",), r"^(OMP|MKL|KMP|GOMP|OPENBLAS|VECLIB|NUMEXPR|BLIS)_", _CPU,
          "the number and the places of a CPU operation's threads (torch.get_num_threads)",
          signs=("threads", "CPU kernels"), findings=("TD-SYS-001", "TD-SYS-002")),
    Known("threads", ("setting",), r"threads$|CPU capability", _CPU, "CPU operations run on that many threads", 0.8,
          signs=("threads", "CPU kernels")),
    Known("CPU quota", ("cgroup",), r"cpu\.(max|cfs|weight|shares)|quota", _CPU,
          "past its quota a control group's processes stand still until the next period (kernel: cgroup-v2, cpu.max)",
          signs=("CPU quota", "cores that it may use"), findings=("TD-SYS-007", "TD-CPT-103")),
    Known("cores", ("cgroup", "limit"), r"cpuset|cores|affinity", _CPU, "threads beyond these cores share them",
          signs=("cores that it may use", "threads")),
    Known("memory limit", ("cgroup", "limit"), r"memory\.|^(as|rss|data)$", ("data.*", "compile.*", "compute.memory"),
          "a process beyond it is killed, or waits for pages", 0.8),
    Known("TF32", ("variable", "setting"), r"tf32|matmul.precision|fp32_precision",
          (*_PRODUCTS, "cuda.cudnn"),
          "float32 products and convolutions run in TF32 on tensor cores, or not on those (PyTorch: CUDA semantics)",
          signs=("*tf32*", "*precision*", "float32 products"), findings=("TD-CPT-020", "TD-CPT-025")),
    Known("attention kernels", ("package", "setting"),
          r"flash.?att|xformers|transformer.engine|sageattention|flashinfer",
          ("compute.sdpa", "compile.transformer", "*.entry", "env.extensions"),
          "models take its kernels where it is installed, and slower attention where it is not", signs=("sdpa *",)),
    Known("library path", ("variable",), r"^LD_(LIBRARY_PATH|PRELOAD|AUDIT)$", _PATHS,
          "the loader takes libraries from here before those that PyTorch was built with (ld.so(8))",
          signs=("* comes from", "* is the wheel's own", "copies of *"), findings=("TD-CUD-050", "TD-CUD-051")),
    Known("Python's path", ("variable",), r"^PYTHON(PATH|HOME|USERBASE|NOUSERSITE)$", _ALL,
          "modules from here come before those of the environment", 0.8),
    Known("cuBLAS", ("library", "package"), r"cublas", ("compute.gemm", "compute.precision", *_COMPILE),
          "products on NVIDIA GPUs are cuBLAS's", 0.9,
          signs=("libcublas* comes from", "libcublas* is the wheel's own")),
    Known("cuDNN", ("library", "package", "setting"), r"cudnn",
          ("cuda.cudnn", "compute.sdpa", "compute.numerics", *_COMPILE),
          "convolutions, and attention on some GPUs, are cuDNN's", 0.9, signs=("libcudnn* comes from", "cuDNN *")),
    Known("CUDA's libraries", ("library", "package"),
          r"cuda|nvrtc|cufft|cusparse|cusolver|nvjitlink|^nvidia-(?!ml)|curand|cupti",
          _PATHS, "PyTorch calls the CUDA that is loaded", 0.7, signs=("* comes from",)),
    Known("CPU libraries", ("library",), r"gomp|iomp|mkl|openblas|jemalloc|tcmalloc|libdnnl", _CPU,
          "threads, products and memory on the CPU are theirs", 0.8),
    Known("triton", ("package", "library", "toolchain"), r"triton", _COMPILE,
          "torch.compile's kernels for GPUs are triton's", 0.9),
    Known("PyTorch", ("package", "python"), r"^(pytorch-)?torch( |$)", _ALL,
          "another PyTorch: every operation may be another one", 0.9),
    Known("driver", ("driver", "module"), r"^(driver|CUDA|CUDA of libcuda|libcuda|kernel module|state|nvidia)$", _ALL,
          "every call to the GPU goes through it", 0.8, findings=("TD-CUD-006", "TD-CUD-007", "TD-DDP-017")),
    Known("GPU", ("gpu",), r" (name|part number|memory|compute capability)$", _ALL, "it is another GPU", 0.8),
    Known("Python", ("python",), r"^(version|implementation|GIL|free threaded)", _ALL, "another Python", 0.4),
    Known("numpy", ("package",), r"^(numpy|pandas|pyarrow)$", ("data.*", "env.abi"),
          "tables and arrays are theirs", 0.7),
    Known("images", ("package", "library"), r"pillow|opencv|jpeg|torchvision|simd", ("data.image", "data.loader"),
          "images are decoded by it", 0.8),
    Known("compiling", ("variable", "setting"),
          r"dynamo|inductor|stance|^(TORCH_COMPILE|TORCHDYNAMO|TORCHINDUCTOR|TRITON|TORCH_LOGS|CXX?$|TORCH_CUDA_ARCH)",
          _COMPILE, "torch.compile reads it", signs=("compiling disabled", "stance", "graph cache")),
    Known("compilers", ("toolchain", "package"),
          r"^(cc|cxx|gcc|g\+\+|nvcc|ptxas|cuda)\b|compiler|toolkit|/cuda$|^deb:g(cc|\+\+)|clang",
          ("compile.*", "export.aoti", "cuda.toolkits"), "torch.compile and extensions are built by it", 0.7),
    Known("caches", ("mount",), r"cache|hub|temporary|/tmp", ("compile.*", "system.disk", "data.*"),
          "compiled code and models lie there", 0.8),
    Known("shared memory", ("mount", "sysctl"), r"shm", ("data.loader", "ddp.*"),
          "DataLoader's workers and NCCL's ranks pass data through /dev/shm"),
    Known("CUDA's switches", ("variable", "setting"),
          r"allocator|segments|^(CUDA|PYTORCH|TORCH|CUBLAS|CUDNN|NVIDIA|HIP|ROCR|HSA|XPU)_",
          ("compute.*", "cuda.*", "cudagraph.*", "compile.*", "ddp.*", "accel.*"),
          "PyTorch or the driver reads it", 0.8,
          signs=("blocking launches", "allocator *")),
    Known("open files", ("limit",), r"nofile|nproc|memlock|stack", ("data.loader", "ddp.*", "serving.*"),
          "workers share tensors by open files; network cards pin memory", 0.8),
    Known("network of the kernel", ("sysctl", "network"), r"^net\.|MTU|speed|state|driver|duplex", _RANKS,
          "ranks of several machines talk through it", 0.8),
    Known("memory of the kernel", ("sysctl", "cpu", "kernel"), r"^vm\.|numa|huge|zone_reclaim", _CPU,
          "pages are moved, joined or swapped by it", 0.7),
    Known("CPU clock", ("cpu", "kernel"),
          r"governor|frequency|cstate|boost|turbo|SMT|threads per core|mitigations", _CPU,
          "the CPU issues what the GPU runs; loading data is its work alone", signs=("governor",),
          findings=("TD-SYS-005",)),
    Known("CPU", ("cpu",), r"^(model|features|cores|online|microcode|stepping)", _CPU, "it is another CPU", 0.6),
    Known("kernel", ("kernel",), r"^(release|version|distribution)", _ALL, "another kernel schedules and maps", 0.3),
    Known("C library", ("toolchain",), r"C library|distribution|glibc", _ALL, "wheels are built against it", 0.3),
)  # fmt: skip
"""The first that matches is the one: what is narrower comes first."""

WHEEL: Final = frozenset({"cuBLAS", "cuDNN", "CUDA's libraries", "NCCL", "triton", "PyTorch"})
"""Topics that come with PyTorch's wheel: where PyTorch itself differs alike, they are that one difference."""

_PATTERNS: Final = tuple((rule, re.compile(rule.names, re.IGNORECASE)) for rule in RULES)


@lru_cache(maxsize=8192)
def about(kind: str, name: str) -> Known | None:
    """The rule of a difference, None where nothing is known of it."""
    text = name[:512]
    return next((rule for rule, pattern in _PATTERNS if kind in rule.kinds and pattern.search(text)), None)


@lru_cache(maxsize=8192)
def moves(rule: Known, row: str) -> bool:
    """Whether it is known to move that probe."""
    return any(fnmatchcase(row, pattern) for pattern in rule.rows)


@lru_cache(maxsize=8192)
def is_sign(rule: Known, way: str) -> bool:
    """Whether that way changes with it."""
    return any(fnmatchcase(way, pattern) for pattern in rule.signs)


@lru_cache(maxsize=8192)
def says(rule: Known, finding: str) -> bool:
    """Whether that finding says the same."""
    return any(fnmatchcase(finding, pattern) for pattern in rule.findings)


CACHED: Final = (about, moves, is_sign, says)
