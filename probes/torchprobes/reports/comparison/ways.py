"""Ways: facts that say how something was done where there are several ways, and which of them is the better one."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, NamedTuple

from ...model import Fact, Result


class Way(NamedTuple):
    """One kind of facts that are ways. `probes` and `facts` are patterns of their names."""

    probes: str
    facts: str
    name: str
    """What it is called; `{}` stands for what of the fact's name `facts` leaves open. "": it is none after all."""
    order: tuple[str, ...] = ()
    """How values begin, best first; () where none is better than another."""


_STATES: Final = (
    "right", "exported", "same", "exact", "bit-equal", "told", "ok", "ran", "absent", "not here", "not usable",
    "refused", "differs", "other", "wrong", "raised", "hung", "none",
)  # fmt: skip
_YES: Final = ("yes", "no")
_NO: Final = ("no", "yes")

WAYS: Final[tuple[Way, ...]] = (
    Way("compute.sdpa", "sdpa.*.default", "sdpa {}", ("flash", "cudnn", "overrideable", "efficient", "math")),
    Way("compute.sdpa", "sdpa.flash_built", "flash attention built in"),
    Way("compute.sdpa", "sdpa.*", "sdpa back end {}", ("ran", "not usable", "not here")),
    Way("compute.precision", "flag.*", "{}"),
    Way("compute.p2p", "p2p.*.peer", "peer access {}", _YES),
    Way("compute.memory", "allocator.*", "allocator {}"),
    Way("compute.bandwidth", "copy.*", "copy {}", _STATES),
    Way("compute.gemm", "gemm.*.finite", "finite products {}", _YES),
    Way("compute.gemm", "gemm.*", "{} products", ("right", "not here")),
    Way("compute.determinism", "determinism.*", "repeated {}", _STATES),
    Way("compute.launch", "launch.blocking", "blocking launches", _NO),
    Way("ddp.*", "ddp.backend", "backend", ("nccl", "gloo")),
    Way("ddp.*", "ddp.link.*", "link {}", ("P2P", "SHM", "NET")),
    Way("ddp.*", "ddp.transport.*", "transport of {}", ("P2P", "SHM", "NET")),
    Way("ddp.*", "ddp.network", "network", ("IB", "AWS", "Socket")),
    Way("ddp.*", "ddp.algorithm.*", "algorithm {}"),
    Way("ddp.*", "ddp.nvls_channels", "NVLink SHARP channels"),
    Way("ddp.*", "ddp.sums", "sums", _STATES),
    Way("ddp.*", "ddp.parameters", "parameters", _STATES),
    Way("ddp.*", "ddp.ranks", "ranks"),
    Way("data.loader", "dataloader.start_method", "start method"),
    Way("data.loader", "dataloader.sharing", "tensors shared by"),
    Way("data.image", "image.*.jpeg", "JPEG decoder of {}"),
    Way("cuda.driver", "driver.library.kind", "driver library"),
    Way("cuda.libraries", "origin.*", "{} comes from", ("wheel", "torch", "driver")),
    Way("cuda.libraries", "own.*", "{} is the wheel's own", _YES),
    Way("cuda.libraries", "copies.*", "copies of {}"),
    Way("cuda.cudnn", "cudnn.enabled", "cuDNN enabled", _YES),
    Way("cuda.cudnn", "cudnn.available", "cuDNN available", _YES),
    Way("cuda.cudnn", "cudnn.allow_tf32", "cuDNN with TF32"),
    Way("cuda.cudnn", "cudnn.conv.fp32_precision", "precision of convolutions"),
    Way("accel.backends", "accelerator", "accelerator"),
    Way("accel.backends", "answer.*", "answer of {}", _STATES),
    Way("compile.*", "config.suppress_errors", "errors suppressed", _NO),
    Way("compile.*", "config.disable", "compiling disabled", _NO),
    Way("compile.*", "config.fx_graph_cache", "graph cache", _YES),
    Way("compile.*", "stance", "stance"),
    Way("compile.*", "gpu.matmul_precision", "float32 products"),
    Way("compile.*", "*.identity", "{} given back uncompiled", _NO),
    Way("compile.workers", "workers.in.*", "compiling in {}", _STATES),
    Way("compile.workers", "workers.worker_start_method", "compile workers by"),
    Way("export.modes", "modes.has.*", "export {}", _YES),
    Way("export.modes", "modes.*", "export {}", _STATES),
    Way("export.signature", "forward.library*", ""),
    Way("export.signature", "forward.*", "forward {}", _STATES),
    Way("env.identity", "torch.cpu_only", "a build for CPUs alone", _NO),
    Way("env.identity", "nccl.available", "NCCL built in", _YES),
    Way("env.identity", "distributed.available", "torch.distributed built in", _YES),
    Way("env.image", "container", "container"),
    Way("system.cpu", "torch.threads", "threads"),
    Way("system.cpu", "torch.capability", "CPU kernels", ("AVX512", "SVE", "AVX2", "DEFAULT")),
    Way("system.cpu", "cpu.quota", "CPU quota", ("none",)),
    Way("system.cpu", "cpu.affinity", "cores that it may use"),
    Way("system.cpu", "cpu.governor", "governor", ("performance",)),
    Way("system.cpu", "gpu.*.near", "cores beside GPU {}", _YES),
    Way("serving.fastapi", "serving.thread", "model runs in"),
)  # fmt: skip
"""The first that matches is the one. What is in no row is told in the report and no way: an address, a duration."""

_LONGEST: Final = 200
_COUNTED: Final = re.compile(r"\s+x \d{1,9}\b")
"""Channels: their number is the tuner's, the way is what is before it."""


def of(result: Result) -> tuple[tuple[str, str], ...]:
    """(what, how) of a result, each what once, in the order of its facts. What was not read is no way."""
    told: dict[str, str] = {}
    for fact in result.facts:
        name = name_of(result.name, fact.name)
        if name and fact.value is not None:
            told[name] = _value(fact)
    return tuple(told.items())


@lru_cache(maxsize=8192)
def name_of(probe: str, fact: str) -> str:
    """What a way is called; "" if that fact is none."""
    way = _row(probe, fact)
    return way.name.format(_open_part(way.facts, fact)) if way else ""


def _row(probe: str, fact: str) -> Way | None:
    return next((w for w in WAYS if fnmatchcase(fact, w.facts) and fnmatchcase(probe, w.probes)), None)


def _open_part(pattern: str, name: str) -> str:
    before, star, after = pattern.partition("*")
    return name[len(before) : len(name) - len(after)] if star else name


def _value(fact: Fact) -> str:
    if isinstance(fact.value, bool):
        return "yes" if fact.value else "no"
    return " ".join(_COUNTED.sub("", str(fact.value)[:_LONGEST]).split())


@lru_cache(maxsize=8192)
def better(probe: str, name: str, one: str, other: str) -> bool | None:
    """Whether `other` is the better way than `one`; None where nobody can say, or they are as good."""
    order = next((w.order for w in WAYS if fnmatchcase(probe, w.probes) and _called(w.name, name)), ())
    here, there = _rank(order, one), _rank(order, other)
    return None if here is None or there is None or here == there else there < here


def _called(pattern: str, name: str) -> bool:
    before, _, after = pattern.partition("{}")
    return name.startswith(before) and name.endswith(after) if "{}" in pattern else name == pattern


def _rank(order: tuple[str, ...], value: str) -> int | None:
    found = next((index for index, start in enumerate(order) if value.startswith(start)), None)
    return 1 if found is None and len(order) == 1 else found  # anything else is worse than the only good one


CACHED: Final = (name_of, better)
