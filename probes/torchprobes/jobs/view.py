"""What a person sees of a job, made from evidence and judgement: pure, for one node and for several merged ones."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..distributed import OVER, JobIdentity, JobVerdict, JobView, RankView
from ..model import Evidence
from ..rank_evidence import NodeEvidence, ProcessReading, RankEvidence
from .signs import exit_words
from .wording import collective_words, op_words

if TYPE_CHECKING:
    from .verdict import Judged

STUCK: Final = frozenset({"hung", "stopped", "blocked"})
"""States of a rank that keep its peers from going on."""

HANGING: Final = frozenset(
    {"hung-before-init", "hung-in-collective", "wrong-order", "wrong-shape", "stopped", "link-cut", "blocked-io",
     "dataloader-stuck"}
)  # fmt: skip
"""Causes for which a job whose ranks all live stands still."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of a job beside its evidence. `over` says that nothing more comes, `stopped` that it was asked."""

    run: str = ""
    ours: bool = False
    over: bool = False
    stopped: bool = False
    notes: tuple[str, ...] = ()


def view_of(nodes: Sequence[NodeEvidence], judged: Judged, setting: Setting | None = None) -> JobView:
    """The view of a job, from what its nodes saw and what the judge made of that."""
    setting = setting or Setting()
    jobs = [node.job for node in nodes if node.job is not None]
    job = jobs[0] if jobs else JobIdentity(key="", launcher="unknown", host=nodes[0].host if nodes else "")
    now = max((node.t_ns for node in nodes), default=0) or time.time_ns()
    started = min((one.started_ns for one in jobs if one.started_ns), default=0)
    ranks = [_rank(node, one, judged) for node in nodes for one in node.ranks]
    silent = [node for node in nodes if node.state != "ok"]
    return JobView(
        job=job.key,
        state=_job_state(ranks, judged.verdict, setting, [node for node in nodes if node.state == "ok"]),
        verdict=judged.verdict,
        ranks=tuple(sorted(ranks, key=lambda row: (row.rank, row.host))),
        evidence=tuple(dict.fromkeys((*judged.evidence, *(_silence(node) for node in silent)))),
        stacks=judged.stacks,
        launcher=job.launcher,
        command=command_of(job),
        host=job.host,
        user=job.user,
        run=setting.run or job.run,
        world_size=next((one.world_size for one in jobs if one.world_size is not None), None),
        started_ns=started,
        t_ns=now,
        seconds=max(0.0, (now - started) / 1e9) if started else 0.0,
        ours=setting.ours,
        nodes=tuple(node.host for node in nodes),
        notes=_notes(nodes, jobs, setting),
    )


def _silence(node: NodeEvidence) -> Evidence:
    return Evidence(kind="node", text=f"{node.host}: {node.state}{': ' + node.why if node.why else ''}")


def _notes(nodes: Sequence[NodeEvidence], jobs: Sequence[JobIdentity], setting: Setting) -> tuple[str, ...]:
    """Each note once, in the order in which they came; of several nodes with the node's name."""
    several = len(nodes) > 1
    told = [f"{node.host}: {note}" if several else note for node in nodes for note in node.notes]
    told += [note for job in jobs for note in job.notes]
    return tuple(dict.fromkeys([*setting.notes, *told]))


def _job_state(rows: list[RankView], verdict: JobVerdict, setting: Setting, alive: list[NodeEvidence]) -> str:
    """One of JOB_STATES; the first rule that holds."""
    over = [row for row in rows if row.state in OVER]
    failed = [row for row in over if row.state != "ended"]
    all_over = setting.over or (bool(rows) and len(over) == len(rows) and _agents_gone(alive))
    broken = bool(failed) or verdict.cause not in ("none", "straggler", "compiling")
    rules = (
        (not alive, "lost"),
        (all_over and (setting.stopped or verdict.cause == "cancelled"), "stopped"),
        (all_over and broken, "failed"),
        (all_over, "ended"),
        (bool(failed), "failing"),
        (verdict.cause in HANGING or (verdict.cause == "unknown" and bool(verdict.ranks)), "stuck"),
        (not rows or all(row.state in ("starting", "importing") for row in rows), "starting"),
    )
    return next((state for holds, state in rules if holds), "running")


def _agents_gone(nodes: list[NodeEvidence]) -> bool:
    return all(node.agent is None or not node.agent.alive for node in nodes)


def _rank(node: NodeEvidence, one: RankEvidence, judged: Judged) -> RankView:
    who, progress, gpu = one.identity, one.progress, one.gpu
    state, why = judged.states.get(who.rank, ("running", ""))
    newest = one.processes[-1] if one.processes else None
    step_s = progress.step_s if progress else None
    waiting = _waiting_s(node, one) if state in ("waiting", "hung") else None
    return RankView(
        rank=who.rank,
        host=who.host or node.host,
        pid=who.pid,
        gpu=str(gpu.index) if gpu and gpu.index is not None else "" if who.gpu_index is None else str(who.gpu_index),
        state=state,
        exit=exit_words(one.exit) if one.exit else "",
        why=why,
        attempt=who.attempt,
        local_rank=who.local_rank,
        start_ticks=who.start_ticks,
        phase=progress.phase if progress else "",
        steps=progress.steps if progress else None,
        step_rate_hz=1 / step_s if step_s and state not in OVER else None,
        collective=_collective(one),
        waiting_s=waiting,
        quiet_s=_since(node, _last_sign_ns(one)) if state not in OVER else None,
        lag_s=progress.lag_s if progress else None,
        last_share=progress.last_share if progress else None,
        memory_bytes=_memory(one),
        memory_spread=progress.memory_spread if progress else None,
        rss_bytes=newest.rss_bytes if newest else None,
        gpu_utilization_percent=gpu.utilization_percent if gpu else None,
        gpu_power_w=gpu.power_w if gpu else None,
        cpu_percent=cpu_percent(one.processes),
        stdout=who.stdout,
        stderr=who.stderr,
        sources=one.sources,
    )


def cpu_percent(readings: Iterable[ProcessReading]) -> float | None:
    """Of one core, over the looks that there are, with its descendants; None for fewer than two."""
    told = [(r.t_ns, r.cpu_s if r.tree_cpu_s is None else r.tree_cpu_s) for r in readings if r.state != "gone"]
    points = [(t_ns, cpu_s) for t_ns, cpu_s in told if cpu_s is not None]
    if len(points) < 2 or points[-1][0] <= points[0][0]:
        return None
    (begin_ns, first), (end_ns, last) = points[0], points[-1]
    return max(0.0, 100 * (last - first) / ((end_ns - begin_ns) / 1e9))


def _memory(one: RankEvidence) -> float | None:
    """Device memory: what the rank itself told, else what the driver says of its process."""
    if one.progress and one.progress.memory_bytes is not None:
        return one.progress.memory_bytes
    return float(one.gpu.process_memory_bytes) if one.gpu and one.gpu.process_memory_bytes is not None else None


def _collective(one: RankEvidence) -> str:
    """The last collective, with its number: what the flight recorder says, else what the rank's events told."""
    entries = [e for flight in one.flights[-1:] for e in flight.entries if not e.p2p]
    told = one.progress
    if entries and not (told and told.collective and told.enqueued is not None and told.enqueued > entries[-1].seq):
        return collective_words(entries[-1].op, entries[-1].seq)
    if told and (told.collective or told.enqueued is not None):
        return collective_words(op_words(told.collective), told.enqueued)
    return ""


def command_of(job: JobIdentity) -> str:
    """What its ranks run: of a launcher of ours whose line was cut before the script, what a rank itself tells."""
    ours = "--no-python" in job.command and "rank_shim.py " not in job.command
    return next((rank.command for rank in job.ranks if rank.command), job.command) if ours else job.command


def _last_sign_ns(one: RankEvidence) -> int:
    """The monotonic time of its last sign of life, 0 if it never gave one."""
    return max(one.progress.moved_ns, one.progress.log_ns) if one.progress else 0


def _waiting_s(node: NodeEvidence, one: RankEvidence) -> float | None:
    return _since(node, one.progress.moved_ns) if one.progress else None


def _since(node: NodeEvidence, m_ns: int) -> float | None:
    """Seconds from a monotonic time of the node to its evidence."""
    return max(0.0, (node.m_ns - m_ns) / 1e9) if m_ns and node.m_ns else None
