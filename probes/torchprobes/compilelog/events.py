"""Events: what one record of a file of torch.compile says, whichever file it was.

The readers (`trace`, `text`) make them, one by one and in the order of the file; the ledger (`explain`) joins those of
all files into one explanation. An event says only what its record says: what is not in it is None or empty.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

CacheState = Literal["hit", "miss", "bypass"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the evidence lies: the record's first byte in its file."""

    path: str
    offset: int
    size: int = 0
    """Bytes of the record, 0 where that is not known."""


@dataclass(frozen=True, slots=True)
class Source:
    """Who said it, and where. Compile ids repeat in every process: (pid, rank, compile id, attempt) is one attempt."""

    place: Place
    pid: int | None = None
    """The process; None where the file does not say (torch 2.1 to 2.4 write no pid)."""
    rank: int | None = None
    compile_id: str = ""
    """`0/1` (frame / compile of that frame), `!0/0/1` within compiled autograd; "" outside of any compile."""
    attempt: int = 0
    """Dynamo starts over after some graph breaks; the attempts of one compile count from 0."""
    at_s: float | None = None
    """When: seconds since the epoch, of the writer's clock."""
    trace: bool = False
    """Whether it stands in the structured trace; what a text says of the same thing then adds, and counts not again."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of source code."""

    file: str
    line: int
    function: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """The base of all events."""

    source: Source


@dataclass(frozen=True, slots=True)
class TorchSeen(Event):
    """torch says its version, or a line of a format that only some versions write was seen."""

    version: str


@dataclass(frozen=True, slots=True)
class CompileStarted(Event):
    """Dynamo begins a frame (`dynamo_start`)."""

    stack: tuple[Line, ...] = ()
    """Outermost first; the last is the frame that is compiled."""


@dataclass(frozen=True, slots=True)
class GraphMade(Event):
    """Dynamo made a graph of this compile."""

    ops: int | None
    """call_function, call_method and call_module nodes; a graph of 0 ops is none. None: there is one of unsaid size."""


@dataclass(frozen=True, slots=True)
class CompileEnded(Event):
    """The metrics of one compile, forward (`compilation_metrics`) or backward (`bwd_compilation_metrics`)."""

    backward: bool = False
    function: str = ""
    file: str = ""
    line: int = 0
    ops: int | None = None
    nodes: int | None = None
    guards: int | None = None
    seconds: float | None = None
    """The whole of it, wall."""
    phases: tuple[tuple[str, float], ...] = ()
    """(phase, wall seconds) as the metrics name them, outer before inner."""
    fail_type: str = ""
    fail_reason: str = ""
    fail_at: Line | None = None
    restart_reasons: tuple[str, ...] = ()
    recompile_reason: str = ""
    cudagraph_skip_reason: str = ""
    overhead_s: float | None = None
    """What writing the trace itself has cost."""
    runtime: bool = False
    """Not of a compile but of what its code did when it first ran: autotuning, recording of CUDA graphs."""
    suppress_errors: bool | None = None
    """Of a compile that failed: whether torch was set to suppress its errors; None where that is not said."""
    recompile_limit: int | None = None
    """Of a recompile: how often a function may be compiled, as torch is set; None where that is not said."""


@dataclass(frozen=True, slots=True)
class GraphBroke(Event):
    """A graph break. Distinct by (file, line, kind); `kind` is torch's own name for it, without its variable parts."""

    file: str
    line: int
    kind: str
    reason: str
    explanation: str = ""
    hints: tuple[str, ...] = ()
    context: str = ""
    """torch's developer debug context."""
    break_id: str = ""
    """`gb0059`: the id in torch's registry; "" where torch says none."""
    stack: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class GuardFailure:
    """One guard that kept a cached compile from being used."""

    entry: str
    """The compile whose cache entry it is: `0/0`; "" where torch does not say."""
    guard: str
    """As torch wrote it."""
    at: Line | None = None
    """The user's line that the guard comes from."""


@dataclass(frozen=True, slots=True)
class Recompiled(Event):
    """No cache entry of a function held, so it is compiled again: one failed guard each, the newest entry first."""

    function: str
    file: str
    line: int
    failures: tuple[GuardFailure, ...]


@dataclass(frozen=True, slots=True)
class LimitHit(Event):
    """A function was compiled too often: from now on it runs eagerly."""

    limit_name: str
    """`recompile_limit`, `accumulated_recompile_limit`, and what they were called before 2.7."""
    limit: int | None
    function: str
    file: str
    line: int
    last_reason: str


@dataclass(frozen=True, slots=True)
class CompileFailed(Event):
    """Compiling raised. `suppressed` says what became of it: eager went on (True), or the program got it (False).

    A trace tells it not of a graph break after which dynamo leaves the frame to eager, where `GraphBroke` has told the
    break; torch 2.6 tells not all of those, so that an `Unsupported` may still be no failure.
    """

    type: str
    """The exception's class, its module before it where that is said: `torch._inductor.exc.InductorError`."""
    reason: str
    suppressed: bool | None = None
    """None where this record does not say."""
    function: str = ""
    file: str = ""
    line: int = 0
    user: Line | None = None
    """The line of the user's code that was compiled."""


@dataclass(frozen=True, slots=True)
class Uncaught(Event):
    """A traceback that nothing caught: the last that a process says. Whether it is torch.compile's the ledger says."""

    type: str
    reason: str
    stack: tuple[Line, ...]
    withdrawn: bool = False
    """It was told, and the program went on after all: the one of the same place no longer holds."""
    user: Line | None = None
    """The line of the user's code that was compiled, where torch.compile says one."""


@dataclass(frozen=True, slots=True)
class Exited(Event):
    """How a process ended, as its launcher or its shell tells it (torchrun's summary, `Killed`, a capture's end)."""

    exit_code: int | None = None
    signal: str = ""
    """`SIGKILL`; "" where no signal ended it."""


@dataclass(frozen=True, slots=True)
class Fallback(Event):
    """An op that Inductor has no kernel for and hands back to eager's."""

    op: str
    """`aten.nonzero.default`."""
    harmless: bool = False
    """Convolution, attention, matrix products and the like: a library's kernel is meant, nothing is lost."""


@dataclass(frozen=True, slots=True)
class CudagraphSkip(Event):
    """CUDA graphs were asked for, and are not used here."""

    kind: str
    """`mutated inputs`, `cpu device`, `incompatible op`, `multiple devices`, `dynamic shapes` ..."""
    reason: str
    at: Line | None = None
    partitioned: bool = False
    """Only parts of the graph are left out."""


@dataclass(frozen=True, slots=True)
class CacheAsked(Event):
    """A compile cache was looked up."""

    what: str
    """`fx_graph`, `aotautograd`, `fx_graph_bundled` ..."""
    state: CacheState
    key: str = ""
    reason: str = ""
    """Why a miss or a bypass, where torch says it."""
    saved_s: float | None = None


@dataclass(frozen=True, slots=True)
class PhaseBegan(Event):
    """A phase of a compile begins (`chromium_event` B); phases nest, in each process for itself."""

    name: str
    time_us: float


@dataclass(frozen=True, slots=True)
class PhaseEnded(Event):
    """The innermost open phase of that name ends (`chromium_event` E)."""

    name: str
    time_us: float


@dataclass(frozen=True, slots=True)
class Autotuned(Event):
    """max-autotune timed the choices for one op. A trace tells only the winner, stderr all of them."""

    op: str
    """`addmm`."""
    arguments: str
    choices: tuple[tuple[str, float], ...]
    """(name, ms), the fastest first; one without a time has failed and is infinite."""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Fused(Event):
    """A kernel that Inductor wrote, and what it does. A trace tells it again when it knows more: the latest holds."""

    kernel: str
    ops: tuple[str, ...]
    """Of the graph, as they are named there."""
    lines: tuple[Line, ...] = ()
    """Of the user's code."""


@dataclass(frozen=True, slots=True)
class Artefact(Event):
    """Something to read: the payload of a trace's record. `place` is the payload's, each of its lines after a tab."""

    kind: str
    """`dynamo_output_graph`, `inductor_output_code`, `dynamo_cpp_guards_str`, `fx_graph_runnable` ..."""
    name: str = ""
    """As torch names the graph: `model__0_forward_1`; "" where it does not."""


@dataclass(frozen=True, slots=True)
class Folder(Event):
    """The folder of the debug tree that belongs to a compile."""

    path: str
    name: str
    """`model__0_forward_1`."""


@dataclass(frozen=True, slots=True)
class Said(Event):
    """A warning of torch that bears on speed and is none of the above (`Not enough SMs to use max_autotune_gemm`)."""

    words: str
    harmless: bool = False


class Loss(Enum):
    """What a reader could not use."""

    TORN = "torn"
    """Lines of two writers went into each other."""
    PARTIAL = "partial"
    """The last record has no end: its writer was killed, or is at it."""
    BROKEN = "broken"
    """Not what the format says."""
    UNKNOWN = "unknown"
    """A record of a name that this version does not know."""


@dataclass(frozen=True, slots=True)
class Lost(Event):
    """A record that could not be used, so that nothing is lost in silence."""

    loss: Loss
    words: str = ""


@dataclass(slots=True)
class Counted:
    """What a reader has passed over without an event, by name."""

    records: int = 0
    names: dict[str, int] = field(default_factory=dict)
