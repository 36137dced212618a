"""The explanation: what the files of a run say that torch.compile did, at one instant. Immutable, and JSON as it is.

`None` means that the files cannot tell, an empty tuple and 0 that there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

from .events import CacheState, Line, Place


@dataclass(frozen=True, slots=True)
class Process:
    """One process whose compiles are told."""

    key: str
    """Unlike that of any other process: `4242`, `r1:4242`, or its trace's name where no pid is known."""
    pid: int | None = None
    rank: int | None = None
    torch: str = ""
    """Its version, "" where nothing says it."""
    traced: bool = False
    """Whether it wrote a structured trace."""
    open_phases: tuple[str, ...] = ()
    """Phases that have begun and not ended, outermost first: what it compiles now, or did when it was killed."""
    open_id: str = ""
    """The compile that they belong to."""
    open_at: Line | None = None
    """The user's line that is compiled."""
    open_since_s: float | None = None
    last_s: float | None = None
    """When it last said anything."""


@dataclass(frozen=True, slots=True)
class Break:
    """A graph break: one a file, line and kind."""

    file: str
    line: int
    kind: str
    reason: str
    occurrences: int
    function: str = ""
    """Of the user's, without torch's names for what goes on after an earlier break."""
    compile_ids: tuple[str, ...] = ()
    explanation: str = ""
    hints: tuple[str, ...] = ()
    break_id: str = ""
    code: str = ""
    """The user's source line, where it is known."""
    foreign: bool = False
    """Inside site-packages or the standard library: not the user's to mend first."""
    processes: tuple[str, ...] = ()
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Recompile:
    """One recompile, with the guard that was its true cause."""

    compile_id: str
    function: str
    file: str
    line: int
    kind: str
    """`size`, `stride`, `dtype`, `device`, `requires_grad`, `rank`, `value`, `object`, `global state`, `length` ..."""
    reason: str
    """In words: what was expected, what came."""
    guard: str
    """torch's own."""
    others: tuple[str, ...] = ()
    """The guards of the other cache entries."""
    at: Line | None = None
    process: str = ""
    at_s: float | None = None
    place: Place | None = None
    entered: Line | None = None
    """The user's line that called it."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A function that is no longer compiled."""

    function: str
    file: str
    line: int
    limit: int | None
    last_reason: str
    limit_name: str = ""
    process: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A compile that raised."""

    function: str
    file: str
    line: int
    compile_id: str
    type: str
    reason: str
    user: Line | None = None
    process: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Skip:
    """CUDA graphs that are not used."""

    kind: str
    reason: str
    file: str = ""
    line: int = 0
    compile_id: str = ""
    occurrences: int = 1
    partitioned: bool = False
    process: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class FallbackKernel:
    """An op without a kernel of Inductor's."""

    op: str
    compile_id: str
    harmless: bool = False
    process: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class CacheUse:
    """One lookup in a compile cache."""

    compile_id: str
    what: str
    state: CacheState
    reason: str = ""
    saved_s: float | None = None
    process: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Tuned:
    """What max-autotune chose."""

    op: str
    arguments: str
    winner: str
    winner_ms: float
    choices: tuple[tuple[str, float], ...] = ()
    compile_id: str = ""
    process: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that Inductor wrote."""

    name: str
    ops: tuple[str, ...]
    lines: tuple[Line, ...] = ()
    compile_id: str = ""
    process: str = ""
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Something of a compile that can be read: a file of the debug tree, or a payload of the trace."""

    kind: str
    """A file's `Kind.name`, or the artefact's name in the trace."""
    path: str
    offset: int = 0
    size: int | None = None
    """None: the whole file. Payloads of a trace have a tab before each line."""
    graph: str = ""
    """`model__0_forward_1`; "" where it belongs to the compile as a whole."""


@dataclass(frozen=True, slots=True)
class Compile:
    """One compile: what became of a frame, forward and backward, all attempts together."""

    compile_id: str
    process: str
    function: str = ""
    file: str = ""
    line: int = 0
    attempts: int = 1
    ops: int | None = None
    """None while it is not known; 0 is a frame without anything to compile."""
    graphs: int = 0
    state: str = "compiling"
    """`compiling`, `compiled`, `cached`, `failed`, `eager` (skipped or over the limit), `killed`."""
    started_s: float | None = None
    forward_s: float | None = None
    backward_s: float | None = None
    phases: tuple[tuple[str, float, float | None], ...] = ()
    """(phase, wall seconds, CPU seconds or None where nothing says them)."""
    cache: str = ""
    """In words: `aotautograd hit`, `fx_graph miss`, `fx_graph bypass: custom op`; "" where nothing says it."""
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """How often a function is compiled again, and what would stop it."""

    function: str
    file: str
    line: int
    process: str
    compiles: int
    limit: int | None
    a_minute: float | None
    """Recompiles a minute since the first."""
    trend: str
    """`rising`, `flat`, `ended`; "" with fewer than 3."""
    seconds: float | None
    """Spent on recompiles."""
    values: tuple[str, ...]
    """The failing guard's values, one after the other: `4`, `5`, `6`."""
    stop: str
    """What would end it."""
    entered: Line | None = None
    """The user's line that called it first."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is known."""

    revision: int = 0
    root: str = ""
    torch: str = ""
    """The version, "" where nothing says it; several are joined by a comma."""
    first_source: str = ""
    """`trace`, `text`, or "" while there is neither."""
    processes: tuple[Process, ...] = ()
    ranks: int | None = None
    graphs: int | None = None
    """Graphs with at least one op."""
    frames_compiled: int | None = None
    breaks: tuple[Break, ...] | None = None
    """The user's own first, the most frequent first."""
    recompiles: tuple[Recompile, ...] | None = None
    limits: tuple[Limit, ...] | None = None
    suppressed: tuple[Failure, ...] | None = None
    fatal: Failure | None = None
    fatal_known: bool = False
    """Whether the files can tell that there was no fatal error of torch.compile."""
    fallbacks: tuple[FallbackKernel, ...] | None = None
    skips: tuple[Skip, ...] | None = None
    caches: tuple[CacheUse, ...] | None = None
    forward_s: float | None = None
    backward_s: float | None = None
    exit_code: int | None = None
    killed_by: str = ""
    """The signal's name, "" where none is known."""
    tuned: tuple[Tuned, ...] = ()
    kernels: tuple[Kernel, ...] = ()
    compiles: tuple[Compile, ...] = ()
    functions: tuple[Function, ...] = ()
    warnings: tuple[str, ...] = ()
    """torch's own words on speed."""
    notes: tuple[str, ...] = ()
    """What the reader should know of the sources: a warm cache, a trace that may not be read, torn lines ..."""
    last_user_line: str = ""
    """The last line that the program itself said; of one that was killed."""
    bytes_read: int = 0
    bytes_there: int = 0
    left_out: int = 0
    """Rows that are not in this snapshot because there are too many."""


NOTHING = Explanation()
