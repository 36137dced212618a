"""What one node saw of a distributed job, as types: readings without a judgement.

Times named `t_ns` are wall clock of the host that wrote them, `m_ns` its monotonic clock. None is unread, never 0.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from .distributed import JobIdentity, RankIdentity, SourceName, SourceState
from .model import SCHEMA, Frozen
from .samples import KernelEvent


class ProcessReading(Frozen, frozen=True, kw_only=True):
    """One look at a process and what descends from it (proc(5)). None is unread, never 0.

    `state` is the kernel's letter, "gone" when there is no such process any more, "" if it could not be read. `cpu_s`,
    `read_bytes`, `written_bytes` and `switches` (context switches, both kinds) count from its start; the `tree_` ones
    include its living descendants. `signals_caught` is SigCgt as a number. `frozen` says that its cgroup is.
    """

    t_ns: int
    state: str = ""
    wchan: str = ""
    cpu_s: float | None = None
    tree_cpu_s: float | None = None
    tree_processes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    tree_bytes: int | None = None
    switches: int | None = None
    rss_bytes: int | None = None
    peak_rss_bytes: int | None = None
    threads: int | None = None
    signals_caught: int | None = None
    tracer_pid: int | None = None
    frozen: bool = False
    children: tuple[str, ...] = ()
    """Commands of its children, shortened: DataLoader workers, compilers."""


class Exit(Frozen, frozen=True, kw_only=True):
    """How a process ended: exactly one of `code` and `signal`, or neither where nobody could see it.

    `t_ns` is when the end was seen, `seen` how: "zombie" (the kernel's own exit code, before it was reaped), "pidfd"
    (the same, after that), "agent" (torchrun told), "gone" (nobody saw its code). `oom` says that the kernel's log or
    cgroup names this pid.
    `asked` is the signal that somebody of the job's own launcher had sent to it before, "" if none was seen.
    `settled` is False while the kernel's log and the cgroup, which would tell an OOM kill, are awaited; `cgroup` says
    whether the counter of its cgroup could be read, None where nobody looked.
    """

    t_ns: int
    m_ns: int = 0
    code: int | None = None
    signal: str | None = None
    core_dumped: bool = False
    seen: str = "zombie"
    oom: bool = False
    asked: str = ""
    settled: bool = True
    cgroup: bool | None = None


class Frame(Frozen, frozen=True, kw_only=True):
    """One frame of a stack."""

    function: str
    file: str = ""
    line: int | None = None


class ThreadStack(Frozen, frozen=True, kw_only=True):
    """One thread, innermost frame first. `idle` is None where the source does not tell."""

    name: str = ""
    main: bool = False
    idle: bool | None = None
    holds_gil: bool | None = None
    frames: tuple[Frame, ...] = ()


class Stack(Frozen, frozen=True, kw_only=True):
    """The Python threads of a rank at one instant. `how` is py-spy, faulthandler or server."""

    how: SourceName
    t_ns: int
    threads: tuple[ThreadStack, ...] = ()


class Collective(Frozen, frozen=True, kw_only=True):
    """One operation of the flight recorder. Times are 0 where it has none; sizes are shapes of the tensors.

    `op` is the field's name without a back end: all_reduce, broadcast, barrier, send. `seq` counts collectives of the
    group from 1, or point-to-point operations where `p2p`.
    """

    group: str
    seq: int
    op: str
    state: str = ""
    input_sizes: tuple[tuple[int, ...], ...] = ()
    output_sizes: tuple[tuple[int, ...], ...] = ()
    dtypes: tuple[str, ...] = ()
    created_ns: int = 0
    started_ns: int = 0
    completed_ns: int = 0
    retired: bool = False
    timeout_ms: int | None = None
    p2p: bool = False
    frames: tuple[Frame, ...] = ()


class GroupStatus(Frozen, frozen=True, kw_only=True):
    """How far a rank has come in one process group: sequence numbers of collectives, -1 for none, None unread."""

    group: str
    description: str = ""
    ranks: tuple[int, ...] = ()
    enqueued: int | None = None
    started: int | None = None
    completed: int | None = None


class Flight(Frozen, frozen=True, kw_only=True):
    """The flight recorder of one rank. `how` is server, file, pipe or events; entries are the newest, oldest first."""

    t_ns: int
    how: str
    version: str = ""
    backend: str = ""
    groups: tuple[GroupStatus, ...] = ()
    entries: tuple[Collective, ...] = ()


class RasRank(Frozen, frozen=True, kw_only=True):
    """A rank of one communicator as NCCL RAS tells it; `counts` are operations launched, by name (AllReduce)."""

    rank: int
    host: str = ""
    pid: int | None = None
    cuda_device: int | None = None
    nvml_device: int | None = None
    counts: dict[str, int] = msgspec.field(default_factory=dict)
    init_state: int | None = None
    async_error: int | None = None
    aborted: bool = False
    finalized: bool = False


class RasCommunicator(Frozen, frozen=True, kw_only=True):
    """One communicator. `missing` are ranks that gave no answer; `complaints` RAS's own words (MISMATCH, …)."""

    id: str
    size: int | None = None
    ranks: tuple[RasRank, ...] = ()
    missing: tuple[int, ...] = ()
    complaints: tuple[str, ...] = ()


class Ras(Frozen, frozen=True, kw_only=True):
    """One answer of NCCL RAS. It counts launched operations: equal counts do not mean that all is well.

    `note` says what was wrong with the form of the answer, "" if nothing was.
    """

    t_ns: int
    how: Literal["json", "text"]
    nccl_version: str = ""
    communicators: tuple[RasCommunicator, ...] = ()
    text: str = ""
    note: str = ""


class Sign(Frozen, frozen=True, kw_only=True):
    """A line of a log that means something. `id` names the pattern; `ranks` are ranks that the line names as missing.

    `victim` says that such a line is written by a rank that suffers from another's fault. `precision` of `t_ns` is
    "printed" (a stamp in the line), "marked" (when a watcher saw it) or "" (unknown, t_ns 0). `site` is the
    innermost call site outside torch that the traceback above it names. `rank` is the rank that wrote it where the
    line itself says so (a log that all ranks share), `details` what its pattern found: seq, op, pid, exitcode.
    """

    id: str
    text: str
    t_ns: int = 0
    precision: str = ""
    victim: bool = False
    ranks: tuple[int, ...] = ()
    site: str = ""
    exception: str = ""
    rank: int | None = None
    details: dict[str, str] = msgspec.field(default_factory=dict)


class Progress(Frozen, frozen=True, kw_only=True):
    """What a watched rank told of its way, by its events or its flight recorder. None is untold.

    `moved_ns` is the monotonic time, of the watching host, at which step, collective or phase last changed.
    """

    phase: str = ""
    steps: int | None = None
    step_s: float | None = None
    longest_step_s: float | None = None
    collective: str = ""
    enqueued: int | None = None
    completed: int | None = None
    moved_ns: int = 0
    log_ns: int = 0
    memory_bytes: float | None = None
    memory_spread: float | None = None
    """Standard deviation over mean of the device memory, a share, over the last steps."""
    lag_s: float | None = None
    """Median arrival lag behind the first rank over the last collectives, seconds."""
    last_share: float | None = None
    """Share of the last collectives in which it came last."""
    lag_calls: int | None = None
    """How many collectives these two rest on."""
    lag_span_s: float | None = None
    """The time between the first and the last of them, seconds."""


class GpuReading(Frozen, frozen=True, kw_only=True):
    """The GPU of a rank. None is unread."""

    t_ns: int
    uuid: str
    index: int | None = None
    bus_id: str = ""
    state: str = "ok"
    utilization_percent: float | None = None
    power_w: float | None = None
    power_limit_w: float | None = None
    memory_used_bytes: int | None = None
    process_memory_bytes: int | None = None


class RankEvidence(Frozen, frozen=True, kw_only=True):
    """All that was seen of one rank, oldest first where there is more than one look."""

    identity: RankIdentity
    processes: tuple[ProcessReading, ...] = ()
    exit: Exit | None = None
    stacks: tuple[Stack, ...] = ()
    flights: tuple[Flight, ...] = ()
    signs: tuple[Sign, ...] = ()
    progress: Progress | None = None
    gpu: GpuReading | None = None
    sources: tuple[SourceState, ...] = ()
    tail: tuple[str, ...] = ()
    """The last lines of its stderr, else of its stdout."""


class AgentEvidence(Frozen, frozen=True, kw_only=True):
    """The launcher of this node's ranks: whether it lives, what it said, and what somebody asked of it."""

    pid: int | None = None
    alive: bool | None = None
    exit: Exit | None = None
    signs: tuple[Sign, ...] = ()
    closing_ns: int = 0
    """When it began to end the ranks, 0 if it has not."""
    stop_asked_ns: int = 0
    """When a person asked for the end of the job, 0 if nobody did."""


class NodeEvidence(Frozen, frozen=True, kw_only=True):
    """What one node saw of a job. `state` is ok, or "no answer" with `why`: dead, stopped, refused, too late.

    `clock_offset_ns` is to be added to this node's wall clock to get that of the node that merges, known to within
    `clock_error_ns` (None: unknown). `looks_s` is the time between the first and the last look at the processes.
    `m_ns` is its monotonic clock at `t_ns` (0: untold), against which `Progress.moved_ns` is read.
    `patience_s` is how long nothing may move before somebody is said to wait: a watcher that nobody asked does not cry
    at every pause; 0 tells what is there. `still_s` is for how long its watcher saw no rank go on, None if it goes on.
    """

    schema: int = SCHEMA
    host: str
    t_ns: int
    m_ns: int = 0
    state: str = "ok"
    why: str = ""
    boot_id: str = ""
    clock_offset_ns: int = 0
    clock_error_ns: int | None = 0
    job: JobIdentity | None = None
    ranks: tuple[RankEvidence, ...] = ()
    agent: AgentEvidence | None = None
    ras: tuple[Ras, ...] = ()
    kernel: tuple[KernelEvent, ...] = ()
    seconds: float = 0.0
    looks_s: float = 0.0
    patience_s: float = 0.0
    still_s: float | None = None
    notes: tuple[str, ...] = ()
