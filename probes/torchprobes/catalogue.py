"""Every probe as a row. Adding a probe is a row here, a payload beside it and its rules in `judge`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .model import Tier

Launch = Literal["plain", "torchrun"]


@dataclass(frozen=True, slots=True)
class Probe:
    """One question answered by running code in the target.

    `payload` is the file's stem in `payloads/`, `params` go to it as they are. `limit_s` is the time limit after
    `import torch`. A `timed` probe measures wall time on the CPU when it runs there, and then runs alone.
    `needs` are words for people ("a C++ compiler"), shown by `list`. A `warm` probe may start from a process
    that has torch imported already.
    """

    name: str
    tier: Tier
    title: str
    payload: str
    limit_s: float
    params: Mapping[str, object] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    timed: bool = False
    launch: Launch = "plain"
    warm: bool = False

    @property
    def group(self) -> str:
        """The part of the name before the dot."""
        return self.name.partition(".")[0]


_COMPILER = ("torch", "a C++ compiler (triton on a GPU)")

PROBES: tuple[Probe, ...] = (
    Probe("env.identity", Tier.QUICK, "Which Python and PyTorch is this, and do they fit?", "identity", 60),
    Probe("forward.signature", Tier.QUICK, "Are forward() signatures readable by tools?", "signature", 60,
          needs=("torch",), warm=True),
    Probe("export.roundtrip", Tier.STANDARD, "Does torch.export survive save, load and another process?", "export",
          180, needs=("torch",)),
    Probe("compile.default", Tier.STANDARD, "Does torch.compile run compiled code, and does it help?", "compile",
          300, {"mode": "default"}, _COMPILER, timed=True),
    Probe("compile.reduce-overhead", Tier.STANDARD, "Does reduce-overhead remove launch overhead?", "compile",
          300, {"mode": "reduce-overhead"}, _COMPILER, timed=True),
    Probe("compile.max-autotune", Tier.STANDARD, "Does max-autotune find better kernels?", "compile",
          420, {"mode": "max-autotune"}, _COMPILER, timed=True),
    Probe("cudagraph.replay", Tier.STANDARD, "Are CUDA graphs captured, replayed and right?", "cudagraph", 120,
          needs=("torch", "a CUDA device"), timed=True),
    Probe("ddp.allreduce", Tier.STANDARD, "Do ranks meet, reduce rightly and fast?", "ddp", 180,
          needs=("torch", "2 ranks"), timed=True, launch="torchrun"),
    Probe("dataloader.workers", Tier.STANDARD, "Do DataLoader workers start, keep order and leave nothing?",
          "dataloader", 180, needs=("torch",), timed=True),
)  # fmt: skip

TIERS = tuple(Tier)


class UnknownProbe(LookupError):
    """A name that is neither a probe nor a group; the text says what is near it."""


def select(names: Iterable[str], tier: Tier) -> tuple[Probe, ...]:
    """The probes asked for, in request order; without names, all up to `tier`, in catalogue order.

    A named probe runs whatever its tier; a group means its probes up to `tier`, or all if none is within it.

    Raises:
        UnknownProbe: if a name is neither a probe nor a group.
    """
    asked = list(names)
    within = [p for p in PROBES if TIERS.index(p.tier) <= TIERS.index(tier)]
    if not asked:
        return tuple(within)
    chosen: dict[str, Probe] = {}
    for name in asked:
        exact = [p for p in PROBES if p.name == name]
        group = [p for p in PROBES if p.group == name]
        for probe in exact or [p for p in group if p in within] or group or _unknown(name):
            chosen[probe.name] = probe
    return tuple(chosen.values())


def _unknown(name: str) -> list[Probe]:
    import difflib

    known = sorted({p.name for p in PROBES} | {p.group for p in PROBES})
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UnknownProbe(f"there is no probe or group {name!r}: {hint}`torchdoctor list` shows them all")
