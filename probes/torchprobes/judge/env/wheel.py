"""Rules of `env.wheel`: was this PyTorch built for an accelerator that this node has?"""

from __future__ import annotations

from dataclasses import dataclass

from ...model import Readings, Severity, Verdict
from ..reading import facts, is_true, line, text
from ..rules import Positive, Rule, When

_ALL = ("env.wheel",)


@dataclass(frozen=True, slots=True)
class _Build:
    """One kind of build: the attribute of `torch.version` that names it, its name, and whose devices it drives."""

    attribute: str
    name: str
    vendor: str
    maker: str


_BUILDS = (
    _Build("cuda", "CUDA", "nvidia", "NVIDIA"),
    _Build("hip", "ROCm", "amd", "AMD"),
    _Build("xpu", "XPU", "intel", "Intel"),
)
_BY_VENDOR = {build.vendor: build for build in _BUILDS}


def _nodes(readings: Readings, vendor: str) -> str:
    """The device files of a vendor, "" if there are none."""
    fact = readings.fact(f"node.{vendor}")
    there = fact is not None and isinstance(fact.value, (int, float)) and fact.value > 0
    return line(fact.evidence) if there and fact is not None else ""


def _built(readings: Readings) -> tuple[_Build, ...] | None:
    """What it was built for; () for the CPU alone, None if that was not read."""
    if not text(readings, "torch.version") or readings.fact("torch.build.cuda") is None:
        return None
    return tuple(build for build in _BUILDS if text(readings, f"torch.build.{build.attribute}"))


def _cpu_only(vendor: str) -> When:
    def when(readings: Readings) -> str | None:
        nodes = _nodes(readings, vendor)
        if not nodes or _built(readings) != ():
            return None
        return (
            f"torch {text(readings, 'torch.version')} is built without {_BY_VENDOR[vendor].name}, but there is {nodes}"
        )

    return when


def _for_others(readings: Readings) -> str | None:
    """Built for one maker's devices on a node that has only another's; Intel's graphics are in every laptop."""
    built = _built(readings)
    if not built or any(_nodes(readings, build.vendor) for build in built):
        return None
    others = [build for build in _BUILDS[:2] if _nodes(readings, build.vendor)]
    if not others:
        return None
    names = " and ".join(f"{build.name} {text(readings, f'torch.build.{build.attribute}')}" for build in built)
    devices = "; ".join(f"{build.maker}: {_nodes(readings, build.vendor)}" for build in others)
    return f"torch {text(readings, 'torch.version')} is built for {names}, and the node has {devices}"


def _library_missing(readings: Readings) -> str | None:
    missing = [b for b in _built(readings) or () if is_true(readings, f"torch.library.{b.attribute}") is False]
    if not missing:
        return None
    fact = readings.fact(f"torch.library.{missing[0].attribute}")
    return f"torch is built for {missing[0].name}, but there is no {fact.evidence if fact else ''}"


RULES: tuple[Rule, ...] = (
    Rule("TD-ENV-004", _ALL, Verdict.FAIL, Severity.CRITICAL, _cpu_only("nvidia")),
    Rule("TD-ENV-005", _ALL, Verdict.DEGRADED, Severity.WARNING, _cpu_only("amd")),
    Rule("TD-ENV-060", _ALL, None, Severity.INFO, _cpu_only("intel")),
    Rule("TD-ENV-061", _ALL, Verdict.FAIL, Severity.CRITICAL, _for_others),
    Rule("TD-ENV-062", _ALL, Verdict.FAIL, Severity.CRITICAL, _library_missing),
)


def _fitting(readings: Readings) -> str | None:
    """The build names a vendor, its library is there, and so are that vendor's device files."""
    for build in _built(readings) or ():
        nodes = _nodes(readings, build.vendor)
        if nodes and is_true(readings, f"torch.library.{build.attribute}") is True:
            version = text(readings, f"torch.build.{build.attribute}")
            return f"torch {text(readings, 'torch.version')} is built for {build.name} {version}, and there is {nodes}"
    others = [vendor for f in facts(readings, "node.") if (vendor := f.name.partition(".")[2]) not in ("nvidia", "amd")]
    if _built(readings) == () and others:
        torch = text(readings, "torch.version")
        return f"torch {torch} is built for the CPU; no NVIDIA or AMD device is here, but {', '.join(others)}"
    return None


POSITIVE: Positive = {"env.wheel": _fitting}
