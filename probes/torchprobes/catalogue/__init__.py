"""Every probe as a row. Adding a probe is a row in its group's file, a payload and its rules in `judge`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from ..model import Tier
from .probe import Launch, Place, Probe
from .rows_compile import PROBES as _COMPILE
from .rows_compute import PROBES as _COMPUTE
from .rows_cuda import PROBES as _CUDA
from .rows_entry import PROBES as _ENTRY
from .rows_env import PROBES as _ENV
from .rows_graph import PROBES as _GRAPH
from .rows_system import PROBES as _SYSTEM

__all__ = ["OFFERED", "PROBES", "TIERS", "Launch", "Place", "Probe", "UnknownProbe", "select"]

PROBES: tuple[Probe, ...] = _ENV + _CUDA + _COMPUTE + _COMPILE + _ENTRY + _GRAPH + _SYSTEM

OFFERED: tuple[Probe, ...] = tuple(probe for probe in PROBES if not (probe.entry or probe.graph))
"""What can be asked for without naming a model or a graph of one's own."""

TIERS = tuple(Tier)


class UnknownProbe(LookupError):
    """A name that is neither a probe nor a group; the text says what is near it."""


def select(names: Iterable[str], tier: Tier, *, entry: bool = False, graph: bool = False) -> tuple[Probe, ...]:
    """The probes asked for, in request order; without names, all up to `tier`, in catalogue order.

    A named probe runs whatever its tier; a group means its probes up to `tier`, or all if none is within it. With an
    `entry`, the probes of the user's own model alone are meant, and the group `compile` is all of them; with a
    `graph`, those of a graph.

    Raises:
        UnknownProbe: if a name is neither a probe nor a group, or is a probe of the user's model without an `entry`, of
            a graph without a `graph`.
    """
    asked = list(names)
    rows = [p for p in PROBES if p.entry is entry and p.graph is graph]
    within = [p for p in rows if entry or graph or TIERS.index(p.tier) <= TIERS.index(tier)]
    if not asked:
        return tuple(within)
    chosen: dict[str, Probe] = {}
    for name in asked:
        exact = [p for p in (rows if entry or graph else PROBES) if p.name == name]
        group = [p for p in rows if p.group == name or (entry and name == "compile")]
        if not exact + group:
            _refuse(name, graph)
        if exact and exact[0].entry and not entry:
            raise UnknownProbe(f"{name} looks at your own model: name it with --entry MODULE:F")
        if exact and exact[0].graph and not graph:
            raise UnknownProbe(f"{name} runs one graph of a torch.compile run: name its file with --graph FILE")
        for probe in exact or [p for p in group if p in within] or group:
            chosen[probe.name] = probe
    return tuple(chosen.values())


def _refuse(name: str, graph: bool) -> NoReturn:
    """Say what is near a name that is nothing, or nothing with an entry or a graph."""
    import difflib

    if any(name in (p.name, p.group) for p in PROBES):
        if name == "graph":
            raise UnknownProbe("graph runs one graph of a torch.compile run: name its file with --graph FILE")
        if graph:
            raise UnknownProbe(f"--graph goes with graph.run; {name} has no use for a graph")
        raise UnknownProbe(f"--entry goes with compile, export and cudagraph; {name} has no use for a model")
    known = sorted({p.name for p in PROBES} | {p.group for p in PROBES})
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UnknownProbe(f"there is no probe or group {name!r}: {hint}`torchdoctor list` shows them all")
