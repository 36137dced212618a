"""What all nodes saw of a job, laid out for the rules: ranks by number, times on one clock, ends of processes.

Nothing is judged here, and nothing is thrown away but older attempts of a rank that was started again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import msgspec

from ...rank_evidence import AgentEvidence, Exit, NodeEvidence, RankEvidence, Sign
from ...samples import KernelEvent
from ..signs import PATTERNS, signal_name

SAME_HOST_NS: Final = 1_000_000
"""Two times of one clock that lie closer are one time: an exit edge is seen within 0.2 ms, at worst a few."""

UNKNOWN_ERROR_NS: Final = 60 * 10**9
"""What the clocks of two hosts may differ by when nobody measured it."""

AGENT_ERROR_NS: Final = 10**9
"""torchrun stamps in whole seconds (`elastic/multiprocessing/errors`)."""

GONE_ERROR_NS: Final = 600_000_000
"""A process that was only found missing is looked for twice a second."""

GONE: Final = frozenset({"gone", "Z", "X"})


@dataclass(frozen=True, slots=True)
class Seen:
    """One rank and the node that saw it. `signs` are its own lines, those in its launcher's log included."""

    rank: int
    node: NodeEvidence
    evidence: RankEvidence
    signs: tuple[Sign, ...] = ()
    end: Exit | None = None

    @property
    def host(self) -> str:
        """The name of its host."""
        return self.evidence.identity.host or self.node.host

    @property
    def alive(self) -> bool:
        """Whether it was there at the last look, as far as anybody looked."""
        return self.end is None

    @property
    def log_read(self) -> bool:
        """Whether its log could be read: without that, silence means nothing."""
        told = [source.available for source in self.evidence.sources if source.source == "log"]
        return any(told) if told else bool(self.evidence.tail or self.evidence.signs)

    def wall(self, t_ns: int) -> int:
        """A wall clock time of its host on the clock of the node that merges; 0 stays unknown."""
        return t_ns + self.node.clock_offset_ns if t_ns else 0


@dataclass(frozen=True, eq=False)
class Case:
    """One job. `ranks` are those that some node saw, by number. Each is itself only: rules remember what it came to."""

    nodes: tuple[NodeEvidence, ...]
    ranks: dict[int, Seen]

    @cached_property
    def answering(self) -> tuple[NodeEvidence, ...]:
        """The nodes that gave an answer."""
        return tuple(node for node in self.nodes if node.state == "ok")

    @cached_property
    def world(self) -> int | None:
        """How many ranks there should be, as they were told."""
        told = [node.job.world_size for node in self.nodes if node.job is not None and node.job.world_size]
        return max(told, default=None)

    @cached_property
    def unseen(self) -> tuple[int, ...]:
        """Ranks that should be there and that no node saw; of very many, the first."""
        return tuple(rank for rank in range(min(self.world or 0, 100_000)) if rank not in self.ranks)

    @cached_property
    def agents(self) -> tuple[tuple[NodeEvidence, AgentEvidence], ...]:
        """The launchers, with their nodes."""
        return tuple((node, node.agent) for node in self.answering if node.agent is not None)

    @cached_property
    def started_ns(self) -> int:
        """When the job began, on the common clock, 0 if nobody knows."""
        told = [n.job.started_ns + n.clock_offset_ns for n in self.answering if n.job is not None and n.job.started_ns]
        return min(told, default=0)

    @cached_property
    def stop_ns(self) -> int:
        """When somebody asked for its end: a person, a scheduler, a signal to the launcher. 0 if nobody did."""
        times = [agent.stop_asked_ns + node.clock_offset_ns for node, agent in self.agents if agent.stop_asked_ns]
        for node, agent in self.agents:
            asked = [s for s in agent.signs if s.id in ("agent-signalled", "slurm-cancelled")]
            times += [(s.t_ns or agent.closing_ns or node.t_ns) + node.clock_offset_ns for s in asked]
        return min(times, default=0)

    @cached_property
    def many_groups(self) -> bool:
        """Whether some rank is in more than one process group: only then a group's name says anything."""
        flights = [seen.evidence.flights[-1] for seen in self.ranks.values() if seen.evidence.flights]
        return any(len(one.groups) > 1 or len({e.group for e in one.entries}) > 1 for one in flights)

    @cached_property
    def patience_s(self) -> float:
        """How long nothing may move before somebody is said to wait: 0 once a person asked on one of the nodes."""
        return min((node.patience_s for node in self.answering), default=0.0)

    def closing_ns(self, node: NodeEvidence) -> int:
        """When the launcher of a node began to end its ranks, on the common clock, 0 if it did not."""
        agent = node.agent
        if agent is None:
            return 0
        told = [s.t_ns for s in agent.signs if s.id == "agent-closing" and s.t_ns]
        if agent.closing_ns:
            told.append(agent.closing_ns)
        return min(told) + node.clock_offset_ns if told else 0

    @cached_property
    def kernel(self) -> tuple[tuple[NodeEvidence, KernelEvent], ...]:
        """What the kernels told since the job began."""
        return tuple(
            (node, event)
            for node in self.answering
            for event in node.kernel
            if not self.started_ns or event.t_ns + node.clock_offset_ns >= self.started_ns
        )

    def error_ns(self, one: NodeEvidence, other: NodeEvidence) -> int:
        """How far times of two nodes may be apart and still be one."""
        if one.host == other.host:
            return SAME_HOST_NS
        return SAME_HOST_NS + sum(
            UNKNOWN_ERROR_NS if node.clock_error_ns is None else node.clock_error_ns for node in (one, other)
        )

    def kernel_read(self, node: NodeEvidence) -> bool | None:
        """Whether its kernel log could be read: without that, nothing speaks against an OOM kill. None: untold."""
        states = [s.available for rank in node.ranks for s in rank.sources if s.source == "kernel"]
        return True if node.kernel else any(states) if states else None


def lay_out(nodes: Sequence[NodeEvidence]) -> Case:
    """The case of these nodes; of two readings of one rank the newer attempt counts, then the one that saw its end."""
    best: dict[int, tuple[tuple[int, bool, int], Seen]] = {}
    for node in nodes:
        if node.state != "ok":
            continue
        for evidence in node.ranks:
            identity = evidence.identity
            order = (identity.attempt, evidence.exit is not None, node.t_ns)
            if identity.rank not in best or best[identity.rank][0] < order:
                best[identity.rank] = order, _seen(node, evidence)
    return Case(tuple(nodes), {rank: best[rank][1] for rank in sorted(best)})


def _seen(node: NodeEvidence, evidence: RankEvidence) -> Seen:
    identity = evidence.identity
    shared = [] if node.agent is None else [s for s in node.agent.signs if s.rank == identity.rank and not _of_agent(s)]
    signs = (*(s for s in evidence.signs if s.rank in (None, identity.rank)), *shared)
    return Seen(identity.rank, node, evidence, signs, _end(node, evidence))


def _of_agent(sign: Sign) -> bool:
    pattern = PATTERNS.get(sign.id)
    return pattern is not None and pattern.role == "launcher"


def _end(node: NodeEvidence, evidence: RankEvidence) -> Exit | None:
    """How a rank ended. What nobody saw is taken from its launcher, which reaped it and knows the code."""
    end = evidence.exit
    if end is None and evidence.processes and evidence.processes[-1].state in GONE:
        end = Exit(t_ns=evidence.processes[-1].t_ns, seen="gone")
    if end is None or end.code is not None or end.signal is not None:
        return end
    told = [s for s in _agent_signs(node) if s.details.get("pid") == str(evidence.identity.pid)]
    for sign in told:
        if sign.id == "agent-failed" and sign.details.get("exitcode", "").lstrip("-").isdigit():
            number = int(sign.details["exitcode"])
            name = signal_name(-number) if number < 0 else None
            return msgspec.structs.replace(end, code=None if name else number, signal=name, seen="agent")
    return end


def _agent_signs(node: NodeEvidence) -> Iterable[Sign]:
    return () if node.agent is None else node.agent.signs


def seconds(nanoseconds: float) -> float:
    """Nanoseconds as seconds; infinity stays."""
    return nanoseconds / 1e9 if math.isfinite(nanoseconds) else nanoseconds
