"""What became of launchers and nodes: a stop that was asked for, an agent that was killed, a node in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ...model import Evidence
from ...rank_evidence import AgentEvidence, NodeEvidence
from ..signs import PATTERNS, exit_words
from ..wording import ranks_words
from .candidate import Candidate, told
from .case import Case
from .endings import Ending, endings
from .quiet import quiet

_SIGNALS_OF_PEOPLE: Final = frozenset({"SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"})

STOOD_S: Final = 10.0
"""A job that had stood for so long when its time was up used up its time by standing. Whom a person stops, that one
knows why: there the verdict is the stop, and what held the job is kept in the evidence."""


def cancelled(case: Case) -> Iterator[Candidate]:
    """Somebody asked for the end, and no rank had failed by then."""
    ends = endings(case)
    if not case.stop_ns:
        interrupted = [end for end in ends if end.word is not None and end.word.id == "interrupted"]
        if not ends or len(interrupted) * 2 <= len(ends):
            return
    own = [end for end in ends if end.part == "own" and not end.weak]
    before = [end for end in own if end.t_ns and case.stop_ns and end.t_ns <= case.stop_ns]
    if before:
        return
    evidence, still = list(_stop_evidence(case)), quiet(case)
    limit = any(s.details.get("limit") for _, agent in case.agents for s in agent.signs if s.id == "slurm-cancelled")
    line = "Slurm ended the job: its time limit was reached" if limit else "the job was ended on request"
    over = bool(ends) or any(agent.alive is False for _, agent in case.agents)
    yield Candidate(
        cause="cancelled",
        ranks=(),
        strength="cancelled"
        if still.timed_out or (limit and (still.seconds or 0.0) >= STOOD_S)
        else "cancelled-at-work",
        line=line if over else "the job's end was asked for",
        sure=True,
        t_ns=case.stop_ns,
        evidence=tuple(evidence),
    )


def _stop_evidence(case: Case) -> Iterator[Evidence]:
    for node, agent in case.agents:
        if agent.stop_asked_ns:
            yield told("agent", f"{node.host}: somebody asked for the end of the job")
        for sign in agent.signs:
            if sign.id in ("agent-signalled", "slurm-cancelled"):
                yield told("agent", f"{node.host}: {sign.text}")


def agents(case: Case) -> Iterator[Candidate]:
    """A launcher that was killed takes its ranks with it, or leaves them without anybody."""
    ends = endings(case)
    for node, agent in case.agents:
        if agent.alive is not False or agent.exit is None or agent.exit.signal is None:
            continue
        end = agent.exit
        first = next((e.t_ns for e in ends if e.t_ns and e.part in ("own", "clean", "unclear")), 0)
        t_ns = end.t_ns + node.clock_offset_ns
        if case.stop_ns or (first and first < t_ns) or _closed(case, node, agent):
            continue
        alive = [seen.rank for seen in case.ranks.values() if seen.alive and seen.node.host == node.host]
        left = f"; {ranks_words(alive)} live on without it" if alive else "; its ranks ended with it"
        yield Candidate(
            cause="cancelled" if end.signal in _SIGNALS_OF_PEOPLE else "killed",
            ranks=(),
            strength="launcher",
            line=f"the launcher on {node.host} (pid {agent.pid}) was ended by {exit_words(end)}{left}",
            sure=end.seen in ("zombie", "pidfd"),
            doubt="" if end.seen in ("zombie", "pidfd") else "nobody saw how it ended",
            t_ns=t_ns,
            evidence=(told("exit", f"launcher on {node.host}: {exit_words(end)}"),),
        )


def _closed(case: Case, node: NodeEvidence, agent: AgentEvidence) -> bool:
    """Whether it had begun to end its ranks before its own end: then a rank's fault came first."""
    return bool(agent.closing_ns) and agent.exit is not None and agent.closing_ns < agent.exit.t_ns


def ports(case: Case) -> Iterator[Candidate]:
    """A launcher that could not listen: there are no ranks yet that could say so."""
    for node, agent in case.agents:
        sign = next((s for s in agent.signs if s.id == "port-taken"), None)
        if sign is None or any(end.part == "own" for end in endings(case)):
            continue
        port = sign.details.get("port", "")
        yield Candidate(
            cause="port-taken",
            ranks=(),
            strength="crash",
            line=f"the launcher on {node.host} found the port{' ' + port if port else ''} of the rendezvous taken",
            sure=True,
            evidence=(told("agent", f"{node.host}: {sign.text}"),),
        )


def slurm_out_of_memory(case: Case) -> Iterator[Candidate]:
    """Slurm tells of an OOM kill in its step; which rank it hit, the signals say."""
    for node, agent in case.agents:
        sign = next((s for s in agent.signs if s.id == "slurm-oom"), None)
        hit = [end for end in endings(case) if end.end.signal == "SIGKILL" and end.part in ("own", "unclear")]
        if sign is None or not hit or any(end.end.oom for end in hit):
            continue
        yield Candidate(
            cause="oom",
            ranks=(hit[0].seen.rank,),
            strength="crash",
            what="was killed, and Slurm tells of an OOM kill in this step",
            sure=len(hit) == 1,
            doubt="" if len(hit) == 1 else "more than one rank was killed",
            t_ns=hit[0].t_ns - 1,
            evidence=(told("agent", f"{node.host}: {sign.text}"),),
        )


def lost_nodes(case: Case) -> Iterator[Candidate]:
    """Nodes that give no answer, where the ranks of others suffer or nothing else is known."""
    lost = [node for node in case.nodes if node.state != "ok"]
    if not lost:
        return
    hurt = [end for end in endings(case) if end.part in ("victim", "unclear")]
    suffer = bool(hurt) or quiet(case).notable
    if not suffer and case.ranks:
        return
    missing = tuple(case.unseen)
    hosts = ", ".join(node.host for node in lost[:4]) + (" …" if len(lost) > 4 else "")
    who = f" ({ranks_words(missing)})" if missing and case.ranks else ""
    why = next((node.why for node in lost if node.why), "")
    yield Candidate(
        cause="node-lost",
        ranks=missing if case.ranks else (),
        strength="lost",
        line=f"{hosts} gives no answer{who}{': ' + why if why else ''}",
        doubt="a node that does not answer may only be out of reach of this one",
        evidence=tuple(told("node", f"{node.host}: {node.state}, {node.why}") for node in lost[:16]),
    )


def network(case: Case) -> Iterator[Candidate]:
    """Links that went down, and ranks that could not reach each other though none of them failed."""
    ends = endings(case)
    if any(end.part == "own" and not end.weak for end in ends):
        return
    hurt = [end for end in ends if end.part == "victim" and end.word is not None]
    told_by = [end for end in hurt if end.word is not None and PATTERNS[end.word.id].tells == "network"]
    down = [(node, event) for node, event in case.kernel if event.kind == "link"]
    hosts = {seen.host for seen in case.ranks.values()}
    waited = [end for end in hurt if end.word is not None and PATTERNS[end.word.id].tells == "waited"]
    everywhere = {end.seen.host for end in waited} == hosts and len(hosts) > 1
    if not told_by and not (down and hurt) and not everywhere:
        return
    evidence = [told("kernel", f"{node.host}: {event.text}") for node, event in down[:8]]
    evidence += [
        told("log", f"rank {e.seen.rank} on {e.seen.host}: {e.word.text}") for e in hurt[:8] if e.word is not None
    ]
    if down:
        where = ", ".join(sorted({node.host for node, _ in down}))
        yield Candidate(cause="link-cut", ranks=_on(case, down[0][0]), strength="network", sure=bool(told_by),
                        line=f"a link of {where} went down, and ranks lost each other",
                        doubt="" if told_by else "whether the job used that link is not known",
                        t_ns=down[0][1].t_ns + down[0][0].clock_offset_ns, evidence=tuple(evidence))  # fmt: skip
        return
    yield _unreachable(told_by or waited, evidence)


def _on(case: Case, node: NodeEvidence) -> tuple[int, ...]:
    return tuple(rank for rank, seen in case.ranks.items() if seen.node.host == node.host)


def _unreachable(told_by: list[Ending], evidence: list[Evidence]) -> Candidate:
    hosts = sorted({end.seen.host for end in told_by})
    said = told_by[0].word.text if told_by[0].word is not None else ""
    return Candidate(
        cause="network" if len(hosts) < 2 else "link-cut",
        ranks=tuple(sorted(end.seen.rank for end in told_by)),
        strength="network",
        line=f"ranks on {', '.join(hosts[:4])} could not reach their peers: {said[:120]}",
        doubt="no rank failed by itself; the network, or a node that is not seen here, did",
        evidence=tuple(evidence),
    )
