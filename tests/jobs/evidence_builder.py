"""Evidence of a job as a test says it: a few words a rank, and the rest as a real node would tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec

from torchprobes.distributed import JobIdentity, RankIdentity, SourceName, SourceState
from torchprobes.jobs.signs import Scanner
from torchprobes.rank_evidence import (
    AgentEvidence,
    Collective,
    Exit,
    Flight,
    Frame,
    GpuReading,
    GroupStatus,
    NodeEvidence,
    ProcessReading,
    Progress,
    RankEvidence,
    Ras,
    RasCommunicator,
    RasRank,
    Stack,
    ThreadStack,
)
from torchprobes.samples import KernelEvent

SECOND = 10**9
NOW = 1_795_414_300 * SECOND
"""The moment of the newest look in most tests: a night in November 2026."""

ALL_SOURCES: tuple[SourceName, ...] = ("process", "exit", "kernel", "log", "py-spy")

TORCH = "/opt/venv/lib/python3.12/site-packages/torch"
USER = "/workspace/train.py"


def ns(seconds: float) -> int:
    """So many seconds before (negative) or after NOW, in nanoseconds since the epoch."""
    return NOW + round(seconds * SECOND)


def frame(function: str, file: str = USER, line: int | None = None) -> Frame:
    return Frame(function=function, file=file, line=line)


IN_ALL_REDUCE = (
    frame("all_reduce", f"{TORCH}/distributed/distributed_c10d.py", 3068),
    frame("wrapper", f"{TORCH}/distributed/c10d_logger.py", 83),
    frame("step", line=52),
    frame("<module>", line=80),
)
IN_INIT = (
    frame("_new_process_group_helper", f"{TORCH}/distributed/distributed_c10d.py", 2100),
    frame("init_process_group", f"{TORCH}/distributed/distributed_c10d.py", 1799),
    frame("<module>", line=12),
)
ASLEEP = (frame("load_batch", line=41), frame("<module>", line=80))
IN_LOADER = (
    frame("wait", "/usr/lib/python3.12/selectors.py", 415),
    frame("get", "/usr/lib/python3.12/multiprocessing/queues.py", 113),
    frame("_try_get_data", f"{TORCH}/utils/data/dataloader.py", 1284),
    frame("_next_data", f"{TORCH}/utils/data/dataloader.py", 1448),
    frame("<module>", line=60),
)
IN_COMPILE = (
    frame("compile_fx_inner", f"{TORCH}/_inductor/compile_fx.py", 700),
    frame("_compile", f"{TORCH}/_dynamo/convert_frame.py", 1000),
    frame("<module>", line=33),
)
IN_SAVE = (frame("save", f"{TORCH}/serialization.py", 900), frame("checkpoint", line=88), frame("<module>", line=90))


@dataclass
class RankSeen:
    """One rank, to be changed by its methods; each returns it."""

    rank: int
    host: str = "node1"
    pid: int = 0
    gpu: str = ""
    evidence: RankEvidence = field(init=False)

    def __post_init__(self) -> None:
        self.pid = self.pid or 1000 + self.rank
        identity = RankIdentity(
            rank=self.rank, local_rank=self.rank, pid=self.pid, start_ticks=77, host=self.host, gpu_uuid=self.gpu
        )
        sources = tuple(SourceState(source=name, available=True) for name in ALL_SOURCES)
        self.evidence = RankEvidence(identity=identity, sources=sources)

    def _set(self, **fields: object) -> RankSeen:
        self.evidence = msgspec.structs.replace(self.evidence, **fields)
        return self

    def exits(self, code: int | None = None, at: float = -1.0, signal: str | None = None, **more: object) -> RankSeen:
        return self._set(exit=msgspec.convert({"t_ns": ns(at), "code": code, "signal": signal, **more}, Exit))

    def says(self, *lines: str, at: float | None = None) -> RankSeen:
        """Lines of its log, read by the real scanner; `at` is when they were seen."""
        scanner = Scanner(self.rank, now_ns=NOW)
        text = [part for line in lines for part in line.split("\n")]
        found = [scanner.feed(line, 0 if at is None else ns(at)) for line in text]
        return self._set(signs=(*self.evidence.signs, *(sign for sign in found if sign is not None)))

    def without(self, *names: SourceName) -> RankSeen:
        kept = [
            SourceState(source=s.source, available=s.available and s.source not in names, why="denied")
            for s in self.evidence.sources
        ]
        return self._set(sources=tuple(kept))

    def looks(
        self,
        state: str = "S",
        cpu: tuple[float | None, float | None] = (10.0, 10.0),
        bytes_: tuple[int | None, int | None] = (0, 0),
        apart: float = 2.5,
        states: tuple[str, str] | None = None,
        **more: object,
    ) -> RankSeen:
        """Two looks at its process, `apart` seconds from each other."""
        both = states or (state, state)
        readings = [
            msgspec.convert(
                {
                    "t_ns": ns(at), "state": letter, "cpu_s": c, "tree_cpu_s": c, "tree_bytes": b, "switches": 100,
                    "wchan": "futex_wait_queue", **more,
                },
                ProcessReading,
            )
            for at, letter, c, b in zip((-apart, 0.0), both, cpu, bytes_, strict=True)
        ]  # fmt: skip
        return self._set(processes=tuple(readings))

    def stands(self, *stacks: Sequence[Frame], apart: float = 2.5, idle: bool | None = True) -> RankSeen:
        """Stacks of its main thread: one given is seen twice."""
        both = stacks if len(stacks) > 1 else (*stacks, *stacks)
        made = [
            Stack(how="py-spy", t_ns=ns(at), threads=(ThreadStack(main=True, idle=idle, frames=tuple(frames)),))
            for at, frames in zip((-apart, 0.0), both, strict=True)
        ]
        return self._set(stacks=tuple(made))

    def flies(self, *flights: Flight) -> RankSeen:
        return self._set(flights=flights)

    def tells(self, **progress: object) -> RankSeen:
        return self._set(progress=msgspec.convert(progress, Progress))

    def on_gpu(self, utilization: float, power: float, limit: float = 700.0) -> RankSeen:
        return self._set(
            gpu=GpuReading(
                t_ns=NOW, uuid=self.gpu or f"GPU-{self.rank}", utilization_percent=utilization, power_w=power,
                power_limit_w=limit,
            )
        )  # fmt: skip


def ops(
    *entries: tuple[int, str, int],
    completed: int,
    group: str = "0",
    ranks: tuple[int, ...] = (0, 1, 2, 3),
    at: float = 0.0,
    age: float = 5.0,
    timeout_ms: int | None = None,
) -> Flight:
    """A flight recorder with (sequence, operation, elements); those beyond `completed` are `age` seconds old."""
    made = tuple(
        Collective(
            group=group, seq=seq, op=op, input_sizes=((size,),), output_sizes=((size,),), dtypes=("Float",),
            created_ns=ns(at - age + 0.01 * seq), retired=seq <= completed, timeout_ms=timeout_ms,
            state="completed" if seq <= completed else "scheduled",
        )
        for seq, op, size in entries
    )  # fmt: skip
    enqueued = max((seq for seq, _, _ in entries), default=-1)
    status = GroupStatus(group=group, ranks=ranks, enqueued=enqueued, completed=completed)
    return Flight(t_ns=ns(at), how="server", groups=(status,), entries=made)


def twice(flight: Flight, apart: float = 2.5) -> tuple[Flight, Flight]:
    """The same recorder at two looks."""
    return msgspec.structs.replace(flight, t_ns=flight.t_ns - round(apart * SECOND)), flight


def ras(counts: dict[int, dict[str, int]], at: float = 0.0, missing: tuple[int, ...] = ()) -> Ras:
    ranks = tuple(RasRank(rank=rank, pid=1000 + rank, counts=told) for rank, told in counts.items())
    return Ras(t_ns=ns(at), how="json", communicators=(RasCommunicator(id="c", ranks=ranks, missing=missing),))


@dataclass
class NodeSeen:
    """One node of a job; `evidence()` is what the rules get."""

    ranks: list[RankSeen]
    host: str = "node1"
    world: int | None = None
    agent: AgentEvidence | None = None
    ras: tuple[Ras, ...] = ()
    kernel: tuple[KernelEvent, ...] = ()
    offset: float = 0.0
    error: float | None = 0.0
    looks_s: float = 2.5
    started: float = -100.0
    m_ns: int = 0
    patience_s: float = 0.0
    still_s: float | None = None

    def evidence(self) -> NodeEvidence:
        identities = tuple(rank.evidence.identity for rank in self.ranks)
        job = JobIdentity(
            key="torchrun:test", launcher="torchrun", host=self.host, ranks=identities,
            world_size=self.world or len(self.ranks), started_ns=ns(self.started),
        )  # fmt: skip
        return NodeEvidence(
            host=self.host, t_ns=NOW, m_ns=self.m_ns, job=job, ranks=tuple(r.evidence for r in self.ranks),
            agent=self.agent, ras=self.ras, kernel=self.kernel, looks_s=self.looks_s,
            patience_s=self.patience_s, still_s=self.still_s,
            clock_offset_ns=round(self.offset * SECOND),
            clock_error_ns=None if self.error is None else round(self.error * SECOND),
        )  # fmt: skip


def closing(at: float = -0.8, alive: bool | None = True, **more: object) -> AgentEvidence:
    """A launcher that began to end its ranks."""
    return msgspec.convert({"pid": 900, "alive": alive, "closing_ns": ns(at), **more}, AgentEvidence)


def four(host: str = "node1") -> list[RankSeen]:
    return [RankSeen(rank, host=host) for rank in range(4)]


def node(*ranks: RankSeen, **fields: object) -> NodeEvidence:
    """The evidence of one node with these ranks."""
    return replace(NodeSeen(list(ranks)), **fields).evidence()  # type: ignore[arg-type]


CLOSED = (
    "[rank{0}]: Traceback (most recent call last):\n"
    '[rank{0}]:   File "/workspace/train.py", line 52, in step\n'
    "[rank{0}]:     dist.all_reduce(x)\n"
    "[rank{0}]: RuntimeError: [../third_party/gloo/gloo/transport/tcp/pair.cc:534] "
    "Connection closed by peer [127.0.0.1]:21445"
)
TIMED_OUT = (
    "[rank{0}]: Traceback (most recent call last):\n"
    '[rank{0}]:   File "/workspace/train.py", line 52, in step\n'
    "[rank{0}]: RuntimeError: [../third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:78] "
    "Timed out waiting 15000ms for recv operation to complete"
)
RAISED = (
    "[rank{0}]: Traceback (most recent call last):\n"
    '[rank{0}]:   File "/workspace/train.py", line 80, in <module>\n'
    "[rank{0}]:     main()\n"
    '[rank{0}]:   File "/workspace/train.py", line 41, in load\n'
    "[rank{0}]:     raise ValueError('bad batch')\n"
    "[rank{0}]: ValueError: bad batch"
)


def victim(rank: RankSeen, at: float = -0.4, text: str = CLOSED) -> RankSeen:
    """A rank that raised because of another one, and ended with 1."""
    return rank.says(text.format(rank.rank), at=at - 0.3).exits(1, at=at)
