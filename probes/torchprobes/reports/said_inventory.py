"""What results say of the inventory: facts that name a thing, its version or its setting, as rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from torchprobes.model import Fact, Inventory, Report

Say = Callable[[Fact], str]

NONE: Final = "none"
"""What a fact without a value says: it was looked for and is not there. What no fact speaks of is nowhere."""

READ_FROM_FILES: Final = frozenset({"package", "variable", "cgroup", "limit", "cpu"})
"""Kinds of which facts count only where the node's own inventory lacks them: it has all of them, facts only some."""


def _value(fact: Fact) -> str:
    return NONE if fact.value is None else str(fact.value)


def _evidence(fact: Fact) -> str:
    return fact.evidence or NONE


def _quota(fact: Fact) -> str:
    return f"{fact.value:g} cores" if isinstance(fact.value, (int, float)) else "no limit"


class Named(NamedTuple):
    """A thing of which one fact speaks, whichever probe tells it. `read` is one that the node's own files say too."""

    kind: str
    name: str
    say: Say = _value
    read: bool = False


NAMED: Final[dict[str, Named]] = {
    "python.version": Named("python", "version", read=True),
    "python.executable": Named("python", "executable", read=True),
    "python.realpath": Named("python", "file", read=True),
    "python.prefix": Named("python", "prefix", read=True),
    "torch.version": Named("python", "torch", read=True),
    "torch.build.git_version": Named("python", "torch commit", read=True),
    "torch.build.cuda": Named("python", "torch CUDA", read=True),
    "torch.build.hip": Named("python", "torch HIP", read=True),
    "torch.build.xpu": Named("python", "torch XPU", read=True),
    "python.environment": Named("python", "environment"),
    "python.free_threaded": Named("python", "free threaded"),
    "python.gil": Named("python", "GIL"),
    "container": Named("python", "container"),
    "arch.list": Named("python", "torch architectures"),
    "nccl.available": Named("python", "torch NCCL"),
    "gloo.available": Named("python", "torch Gloo"),
    "distributed.available": Named("python", "torch distributed"),
    "compiler.version": Named("toolchain", "compiler"),
    "toolchain.cc.version": Named("toolchain", "C compiler"),
    "toolchain.cxx.version": Named("toolchain", "C++ compiler"),
    "toolchain.triton.version": Named("toolchain", "triton"),
    "toolchain.compile_threads": Named("toolchain", "compile threads"),
    "workers.compile_threads": Named("toolchain", "compile threads"),
    "workers.worker_start_method": Named("toolchain", "compile worker start method"),
    "home.version": Named("toolchain", "CUDA toolkit"),
    "link.version": Named("toolchain", "/usr/local/cuda"),
    "nvcc.0": Named("toolchain", "nvcc"),
    "nccl.version": Named("library", "NCCL version"),
    "cudnn.version": Named("library", "cuDNN version"),
    "driver.library.version": Named("driver", "libcuda"),
    "driver.cuda": Named("driver", "CUDA of libcuda"),
    "ddp.network": Named("network", "NCCL between machines"),
    "ddp.fast_ports": Named("network", "active InfiniBand ports"),
    "flag.float32_matmul_precision": Named("setting", "float32 matmul precision"),
    "gpu.matmul_precision": Named("setting", "float32 matmul precision"),
    "flag.cuda.matmul.allow_tf32": Named("setting", "CUDA matmul TF32"),
    "flag.cuda.matmul.fp32_precision": Named("setting", "CUDA matmul fp32_precision"),
    "flag.cudnn.allow_tf32": Named("setting", "cuDNN TF32"),
    "cudnn.allow_tf32": Named("setting", "cuDNN TF32"),
    "flag.cudnn.conv.fp32_precision": Named("setting", "cuDNN conv fp32_precision"),
    "cudnn.conv.fp32_precision": Named("setting", "cuDNN conv fp32_precision"),
    "cudnn.enabled": Named("setting", "cuDNN enabled"),
    "cudnn.benchmark": Named("setting", "cuDNN benchmark"),
    "cudnn.deterministic": Named("setting", "cuDNN deterministic"),
    "sdpa.flash_built": Named("setting", "flash attention is built"),
    "allocator.backend": Named("setting", "CUDA allocator"),
    "allocator.expandable_segments": Named("setting", "expandable segments"),
    "allocator.caching": Named("setting", "caching allocator"),
    "torch.threads": Named("setting", "threads"),
    "torch.interop_threads": Named("setting", "interop threads"),
    "torch.capability": Named("setting", "CPU capability"),
    "dataloader.sharing": Named("setting", "tensor sharing"),
    "dataloader.start_method": Named("setting", "start method"),
    "stance": Named("setting", "compiler stance"),
    "config.disable": Named("setting", "dynamo disable"),
    "config.suppress_errors": Named("setting", "dynamo suppress_errors"),
    "config.fx_graph_cache": Named("setting", "inductor fx_graph_cache"),
    "cpu.quota": Named("cgroup", "cpu.max", _quota),
    "cpu.affinity": Named("limit", "cores", _evidence),
    "cpu.governor": Named("cpu", "governor"),
    "cpu.frequency_driver": Named("cpu", "frequency driver"),
}
"""Name of a fact -> what it says, under the name that the files' readers have for it, if they read it too."""

FROM_PROBES: Final = frozenset(
    (row.kind, row.name) for row in NAMED.values() if not row.read and row.kind not in READ_FROM_FILES
)
"""Things that only a probe says: where they are missing, no probe was asked."""

PEERS: Final = "P2P: "
"""How names begin that say whether a GPU may read another's memory; it is said of each pair, or not known of it."""


class Family(NamedTuple):
    """Facts of one beginning, each of which names a thing; `name` has {} for the rest of the fact's name."""

    kind: str
    name: str
    probe: str = ""
    """The probe that tells all of them; "" for any, which tells some."""
    end: str = ""
    listed: bool = False
    """Whether nothing of the kind is known without that probe."""


FAMILIES: Final[dict[str, Family]] = {
    "library.": Family("library", "{}", "env.libraries", listed=True),
    "nccl.plugin.": Family("library", "NCCL plugin {}", "env.libraries"),
    "p2p.": Family("topology", PEERS + "{}", "compute.p2p", end=".peer"),
    "installed.": Family("package", "{}", "env.packages"),
    "environ.": Family("variable", "{}"),
}
_NO_THING: Final = "nccl.plugin.missing"
_ROOTS: Final = {start.partition(".")[0]: start for start in FAMILIES}


def of_results(report: Report, kinds: Collection[str]) -> Inventory:
    """What the facts of a report's results say beyond the `kinds` that its node's own inventory has.

    Of a thing that several facts name, the first counts; of several files of one library, all.
    """
    saying = _Saying(READ_FROM_FILES.intersection(kinds))
    told = set()
    for result in report.results:
        for fact in result.facts:
            saying.take(fact, result.name)
        if result.facts:
            told.add(result.name)
    for family in FAMILIES.values():
        if family.listed and family.kind not in kinds and family.probe not in told:
            saying.unread[family.kind] = f"{family.probe} was not run, or said nothing"
    return Inventory(parts=saying.parts, unread=saying.unread)


class _Saying:
    """Values and reasons as they are found; nothing of the kinds `known`."""

    def __init__(self, known: Collection[str]) -> None:
        self.parts: dict[str, dict[str, str]] = {}
        self.unread: dict[str, str] = {}
        self._known = known

    def take(self, fact: Fact, probe: str) -> None:
        """What one fact says, if it says something of the inventory."""
        named = NAMED.get(fact.name)
        if named is not None:
            self._put(named.kind, named.name, named.say(fact))
            return
        start = _ROOTS.get(fact.name.partition(".")[0])
        family = FAMILIES[start] if start and fact.name.startswith(start) else None
        if start is None or family is None or fact.name == _NO_THING or family.probe not in ("", probe):
            return
        if fact.name.endswith(family.end):
            name = family.name.format(fact.name[len(start) : len(fact.name) - len(family.end)])
            if fact.value is None and family.kind == "library":  # it is there, and its content could not be read
                self.unread.setdefault(f"library/{name}", fact.evidence)
            else:
                self._put(family.kind, name, _value(fact))

    def _put(self, kind: str, name: str, text: str) -> None:
        if kind in self._known:
            return
        known = self.parts.setdefault(kind, {})
        if name not in known:
            known[name] = text
        elif kind == "library" and text not in known[name].split(" | "):
            known[name] += f" | {text}"
