"""Rules of `env.extensions`: do the compiled extensions hold code for this node's GPUs, and for this PyTorch's CUDA?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ...model import Readings, Severity, Verdict
from ...quantity import quantity
from ..cuda.architectures import Capability, Match, best_of, capability_of
from ..reading import facts, line, number, text
from ..rules import Positive, Rule, When
from .words import several

_ALL = ("env.extensions",)
_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class _Gpu:
    name: str
    capability: Capability

    @property
    def words(self) -> str:
        return f"{self.name} is {self.capability[0]}.{self.capability[1]}"


@dataclass(frozen=True, slots=True)
class _Fit:
    """How one package's best library fits one GPU; `archs` is what its libraries hold in all."""

    package: str
    gpu: _Gpu
    match: Match
    archs: str


def _gpus(readings: Readings) -> tuple[_Gpu, ...]:
    """One of each kind: eight equal GPUs are one case."""
    told = [f for f in facts(readings, "device.", ".capability") if isinstance(f.value, str)]
    seen: dict[Capability, _Gpu] = {}
    for fact in told:
        capability = capability_of(str(fact.value))
        if capability is not None:
            name = text(readings, fact.name.replace(".capability", ".name")) or "the GPU"
            seen.setdefault(capability, _Gpu(name, capability))
    return tuple(seen.values())


def _packages(readings: Readings) -> dict[str, list[list[str]]]:
    """Package (the first part of a library's path) -> the architectures of each of its libraries."""
    found: dict[str, list[list[str]]] = {}
    for fact in facts(readings, "extension.", ".archs"):
        path = fact.name[len("extension.") : -len(".archs")]
        found.setdefault(_package(path), []).append(str(fact.value or "").split())
    return found


def _package(path: str) -> str:
    """`flash_attn_2_cuda` of `flash_attn_2_cuda.cpython-311-x86_64-linux-gnu.so`."""
    parts = path.split("/")
    if parts[0] == "torch_extensions":
        return "/".join(parts[:3])
    return parts[0].partition(".")[0] if len(parts) == 1 else parts[0]


def _fits(readings: Readings) -> Iterator[_Fit]:
    """A package may ship a library for each generation: its best one counts."""
    cuda = capability_of(text(readings, "torch.build.cuda")) or (0, 0)
    for package, libraries in _packages(readings).items():
        archs = sorted({arch for library in libraries for arch in library})
        for gpu in _gpus(readings):
            match = best_of(archs, gpu.capability, cuda)
            if match is not None:
                yield _Fit(package, gpu, match, " ".join(archs))


def _matching(wanted: Match, remedy: str) -> When:
    def when(readings: Readings) -> str | None:
        found = [fit for fit in _fits(readings) if fit.match == wanted]
        if not found:
            return None
        named = [
            f"{fit.package} holds {fit.archs}, {fit.gpu.words}: {remedy.format(*fit.gpu.capability)}" for fit in found
        ]
        return several(named, _MOST_NAMED)

    return when


def _other_cuda(readings: Readings) -> str | None:
    """`libcudart.so.12` beside a PyTorch of CUDA 13; 11 alone has a minor number in its name."""
    own = text(readings, "torch.build.cuda").partition(".")[0]
    if not own:
        return None
    found: dict[str, str] = {}
    for fact in facts(readings, "extension.", ".links"):
        wanted = re.search(r"libcudart\.so\.(\d+)", str(fact.value))
        if wanted and wanted[1] != own:
            found.setdefault(_package(fact.name[len("extension.") : -len(".links")]), wanted[0])
    named = [f"{package} links {library}" for package, library in found.items()]
    cuda = text(readings, "torch.build.cuda")
    return f"{several(named, _MOST_NAMED)}; this torch is built for CUDA {cuda}" if named else None


def _incomplete(readings: Readings) -> str | None:
    fact = readings.fact("search.complete")
    return line(f"not all libraries were read: {fact.evidence}") if fact is not None and fact.value is False else None


RULES: tuple[Rule, ...] = (
    Rule("TD-ENV-080", _ALL, Verdict.FAIL, Severity.CRITICAL,
         _matching("no", "build it with TORCH_CUDA_ARCH_LIST={}.{}")),
    Rule("TD-ENV-081", _ALL, Verdict.DEGRADED, Severity.WARNING,
         _matching("ptx", "the driver compiles it on first use; TORCH_CUDA_ARCH_LIST={}.{} avoids that")),
    Rule("TD-ENV-082", _ALL, Verdict.DEGRADED, Severity.WARNING, _other_cuda),
    Rule("TD-ENV-083", _ALL, None, Severity.INFO, _incomplete),
)  # fmt: skip


def _fitting(readings: Readings) -> str | None:
    """Every package with GPU code has machine code for every kind of GPU that is here."""
    fits = list(_fits(readings))
    read = number(readings, "libraries_read")
    if not fits or read is None or any(fit.match not in ("exact", "compatible") for fit in fits):
        return None
    packages = ", ".join(sorted({fit.package for fit in fits}))
    gpus = " and ".join(gpu.words for gpu in _gpus(readings))
    return line(f"{gpus}: machine code for it in {packages}; {quantity(read, 'libraries')} read")


POSITIVE: Positive = {"env.extensions": _fitting}
