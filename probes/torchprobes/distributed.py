"""A distributed job as types: who is in it, what was seen of each rank, and what is made of that.

What there is hundreds or thousands of is not followed by the garbage collector (`gc=False`): it holds no cycle, and a
collection in the middle of a key press would walk all of it.

Three stages, each made from the one before. `JobIdentity` is who: found in /proc, ours or not.
`rank_evidence.NodeEvidence` is what one node saw of it at one instant, without a judgement; it travels from node to
node as JSON. `JobView` is what a person sees: the verdict, a row a rank, and what it all rests on; its JSON is the job
document of the commands.

Times named `t_ns` are wall clock since the epoch of the host that wrote them, `m_ns` its monotonic clock. A pid is
always of the host's own namespace as its reader saw it, and means nothing without `start_ticks`, the kernel's start
time in clock ticks after boot.
"""

from __future__ import annotations

from typing import Final, Literal

from .model import SCHEMA, Evidence, Frozen

Cause = Literal[
    "none", "raised", "exited", "killed", "oom", "segfault", "aborted", "hung-before-init", "hung-in-collective",
    "wrong-order", "wrong-shape", "returned-early", "stopped", "straggler", "link-cut", "port-taken", "gpu-fault",
    "node-lost", "blocked-io", "dataloader-stuck", "compiling", "cancelled", "network", "unknown",
]  # fmt: skip
"""What became of a job. `none` is a job without a fault, `unknown` one whose fault nothing explains. Readers keep
causes that they do not know."""

RANK_STATES: Final = (
    "starting", "importing", "initialising", "compiling", "stepping", "running", "waiting", "hung", "stopped",
    "blocked", "ended", "exited", "killed", "oom-killed", "lost",
)  # fmt: skip
"""What a rank does, in the words of the screen. `running` lives and tells nothing of its steps; `waiting` is in a
collective that others have not joined; `hung` makes no progress and is what others wait for; `stopped` by SIGSTOP;
`blocked` in uninterruptible sleep; `ended` with 0, `exited` with another code, `killed` by a signal; `lost`: its node
gives no answer."""

OVER: Final = frozenset({"ended", "exited", "killed", "oom-killed"})
"""States from which nothing more comes."""

JOB_STATES: Final = ("starting", "running", "stuck", "failing", "ended", "failed", "stopped", "lost")
"""`failing`: a rank failed and others live still; `stopped`: on request."""

JOB_OVER: Final = frozenset({"ended", "failed", "stopped", "lost"})
"""States of a job from which nothing more comes."""

Launcher = Literal[
    "torchdoctor", "torchrun", "srun", "mpirun", "spawn", "ray", "deepspeed", "lightning", "unknown",
]  # fmt: skip

SourceName = Literal[
    "process", "exit", "kernel", "gpu", "log", "events", "ras", "flight", "py-spy", "faulthandler", "server",
]  # fmt: skip
"""Where evidence about a rank comes from."""


# --- who ---------------------------------------------------------------------------------------------------------


class RankIdentity(Frozen, frozen=True, kw_only=True):
    """One rank of a job: a process.

    `inner_pid` is its pid in the innermost namespace, where that is another. `gpu_uuid` is "" where it holds none or
    nobody knows. `visible_devices` is its CUDA_VISIBLE_DEVICES, "unset" without one, None unread. `stdout` and
    `stderr` are absolute paths of regular files, else "" with `log_why` in words. `how`
    names what the rank number rests on: environ, log-path, order, command, ras, cgroup; the first is the strongest.
    """

    rank: int
    pid: int
    start_ticks: int
    host: str = ""
    local_rank: int | None = None
    attempt: int = 0
    inner_pid: int | None = None
    gpu_uuid: str = ""
    gpu_index: int | None = None
    visible_devices: str | None = None
    uid: int | None = None
    user: str = ""
    command: str = ""
    stdout: str = ""
    stderr: str = ""
    log_why: str = ""
    how: tuple[str, ...] = ()


class JobIdentity(Frozen, frozen=True, kw_only=True):
    """One job as this node sees it: its ranks here, by rank.

    `key` names it for `attach` and `diagnose` and stays the same while it lives: `torchrun:ID`, `slurm:JOB.STEP`,
    `mpi:ID`, `master:ADDRESS:PORT`, `spawn:PID`, `ray:PID:CLASS`. `launcher_pid` is the agent or parent of the ranks on
    this node. `run` is our run directory of a job that torchdoctor launched. `world_size` is what the ranks were told.
    """

    key: str
    launcher: Launcher
    host: str
    ranks: tuple[RankIdentity, ...] = ()
    world_size: int | None = None
    launcher_pid: int | None = None
    launcher_start_ticks: int | None = None
    user: str = ""
    command: str = ""
    started_ns: int = 0
    run: str = ""
    slurm_job: str = ""
    master: str = ""
    notes: tuple[str, ...] = ()
    """What could not be seen, in words: hidden processes, unreadable environments."""


class SourceState(Frozen, frozen=True, kw_only=True, gc=False):
    """Whether one source says anything about a rank; if not, why, and the command that would obtain it."""

    source: SourceName
    available: bool
    why: str = ""
    command: str = ""


# --- what is made of it --------------------------------------------------------------------------------------------


class JobVerdict(Frozen, frozen=True, kw_only=True):
    """Which ranks are guilty, and of what. `line` is one line: rank, host, call site and cause.

    `sure` is False where two pieces of evidence disagree, where two candidates lie closer than the clocks of their
    hosts, and for what may yet go on by itself. `doubt` says why, where a rule knows it; `line` ends with it too.
    """

    ranks: tuple[int, ...] = ()
    cause: str = "none"
    sure: bool = False
    line: str = ""
    host: str = ""
    site: str = ""
    doubt: str = ""


class RankView(Frozen, frozen=True, kw_only=True, gc=False):
    """One row a rank. `state` is one of RANK_STATES, `exit` in words ("exit code 3", "SIGKILL"), "" while it lives."""

    rank: int
    host: str = ""
    pid: int = 0
    gpu: str = ""
    state: str = "starting"
    exit: str = ""
    why: str = ""
    attempt: int = 0
    local_rank: int | None = None
    start_ticks: int = 0
    phase: str = ""
    steps: int | None = None
    step_rate_hz: float | None = None
    collective: str = ""
    waiting_s: float | None = None
    quiet_s: float | None = None
    lag_s: float | None = None
    last_share: float | None = None
    memory_bytes: float | None = None
    memory_spread: float | None = None
    rss_bytes: int | None = None
    gpu_utilization_percent: float | None = None
    gpu_power_w: float | None = None
    cpu_percent: float | None = None
    stdout: str = ""
    stderr: str = ""
    sources: tuple[SourceState, ...] = ()


class StackGroup(Frozen, frozen=True, kw_only=True):
    """Ranks whose main threads stand in equal frames; the odd group comes first. `text` is the stack in lines."""

    ranks: tuple[int, ...]
    what: str
    text: tuple[str, ...] = ()


class JobView(Frozen, frozen=True, kw_only=True):
    """The job document, and what the screen shows. `job` is its key, `state` one of JOB_STATES."""

    schema: int = SCHEMA
    job: str
    state: str
    verdict: JobVerdict = JobVerdict()
    ranks: tuple[RankView, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    stacks: tuple[StackGroup, ...] = ()
    launcher: str = "unknown"
    command: str = ""
    host: str = ""
    user: str = ""
    run: str = ""
    world_size: int | None = None
    started_ns: int = 0
    t_ns: int = 0
    seconds: float = 0.0
    ours: bool = False
    nodes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class JobSummary(Frozen, frozen=True, kw_only=True):
    """One row of the list. `ranks` counts those of this node that live, or that a run had; `run` is "" if not ours.

    `title` is what a person calls that run.

    `state` is one of JOB_STATES: of a job that is not ours it is `running`, since nobody has looked closer.
    `cause`, `sure` and `line` are of its verdict, where it has one.
    """

    key: str
    name: str = ""
    title: str = ""
    launcher: str = "unknown"
    ranks: int = 0
    world_size: int | None = None
    user: str = ""
    command: str = ""
    state: str = "running"
    run: str = ""
    started_ns: int = 0
    host: str = ""
    notes: tuple[str, ...] = ()
    ours: bool = False
    cause: str = ""
    sure: bool = False
    line: str = ""
