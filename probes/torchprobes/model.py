"""The vocabulary of torchdoctor as types, and with it the schema of reports, events and samples.

Every structure that crosses a process or reaches a file is defined here and nowhere else. Keys that carry a
quantity carry its unit in their name. Readers ignore keys that they do not know; writers never leave one out.
"""

from __future__ import annotations

import enum
from typing import Any, Literal

import msgspec

SCHEMA = 1
"""The version of report and run files that this program writes; it reads up to this one and refuses later ones."""

REPORT_SCHEMA = 2
"""The same of `report.json` and `machine.json`: 2 since a machine has an inventory. Earlier ones are migrated."""

EVENT_VERSION = 1


class Verdict(str, enum.Enum):
    """What one probe, or a whole report, came to."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    DEGRADED = "degraded"
    FAIL = "fail"
    SKIP = "skip"
    UNSURE = "unsure"
    ERROR = "error"


REPORT_ORDER = (Verdict.FAIL, Verdict.ERROR, Verdict.UNSURE, Verdict.DEGRADED, Verdict.PASS, Verdict.SKIP)
"""The verdict of a report is the first of these that one of its results has."""


class Severity(str, enum.Enum):
    """How much a finding matters to the person who reads it."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Scope(str, enum.Enum):
    """What a fix touches: one process, one GPU, or the whole node."""

    PROCESS = "process"
    GPU = "gpu"
    NODE = "node"


class Tier(str, enum.Enum):
    """How long a set of probes may take: seconds, minutes, a quarter of an hour."""

    QUICK = "quick"
    STANDARD = "standard"
    FULL = "full"


class Frozen(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all structures: immutable, so that a snapshot may cross threads."""


# --- readings of a probe -----------------------------------------------------------------------------------


class Figure(Frozen, frozen=True, kw_only=True):
    """One measured number.

    `spread` is the half-width of the 95 % interval in the figure's own unit, or None when it was not measured;
    `n` is how many measurements the value rests on.
    """

    name: str
    value: float
    unit: str
    n: int = 1
    spread: float | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)


class Fact(Frozen, frozen=True, kw_only=True):
    """One observation without a judgement, with the words or place that it rests on."""

    name: str
    value: str | int | float | bool | None
    evidence: str = ""


class Fix(Frozen, frozen=True, kw_only=True):
    """What to do: a command, what it touches, and what it needs first ("idle", "drained", "root")."""

    command: str
    scope: Scope = Scope.PROCESS
    needs: tuple[str, ...] = ()


class Finding(Frozen, frozen=True, kw_only=True):
    """What a person should know. `id` names a card that `torchdoctor explain` prints offline."""

    id: str
    severity: Severity
    seen: str
    why: str
    fix: Fix | None = None
    source: str = ""


class Expectation(Frozen, frozen=True, kw_only=True):
    """What a figure should reach on a sound machine of this kind, and who says so.

    It belongs to the figure `name` whose labels include `labels`. `value` is the expected number and `limit` the one
    at which `degraded` begins, both in the figure's unit; `higher_is_better` tells throughput from latency. `source`
    is whose number it is. A kind of device that is not known has no expectation, and never a guess.
    """

    name: str
    value: float
    unit: str
    limit: float | None = None
    higher_is_better: bool = True
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    source: str = ""


class Evidence(Frozen, frozen=True, kw_only=True):
    """What a verdict rests on: its kind, a line of text, and the file in the run directory, if there is one."""

    kind: str
    text: str
    artifact: str | None = None


class Result(Frozen, frozen=True, kw_only=True):
    """What one probe said and what was made of it."""

    name: str
    group: str
    tier: Tier
    device: str
    verdict: Verdict
    reason: str
    seconds: float
    figures: tuple[Figure, ...] = ()
    facts: tuple[Fact, ...] = ()
    findings: tuple[Finding, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    command: str = ""
    cache_state: str = ""
    log: str = ""


# --- how a payload ended -----------------------------------------------------------------------------------

Ending = Literal[
    "ended", "raised", "exited", "signal", "timeout", "cancelled", "stream-limit", "interrupted",
    "not-started", "left-behind",
]  # fmt: skip


class Outcome(Frozen, frozen=True, kw_only=True):
    """How the processes of a probe ended, told by the guardian and the event files, before any judgement.

    `cause` is one line in words (signal name, limit, what was left behind); `last_lines` are the last lines of
    stderr, else of stdout. Only `ended` means that the payload said its own end.
    """

    ending: Ending
    cause: str = ""
    exit_code: int | None = None
    signal: str | None = None
    seconds: float = 0.0
    import_seconds: float | None = None
    broken_lines: int = 0
    last_lines: tuple[str, ...] = ()
    skip: str | None = None


class Readings(Frozen, frozen=True, kw_only=True):
    """All that one probe said: the input of the judge. `device` is "cpu" or a torch device string."""

    probe: str
    device: str
    figures: tuple[Figure, ...] = ()
    facts: tuple[Fact, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    outcome: Outcome

    def figure(self, name: str) -> Figure | None:
        """The last figure of that name, or None."""
        return next((f for f in reversed(self.figures) if f.name == name), None)

    def fact(self, name: str) -> Fact | None:
        """The last fact of that name, or None."""
        return next((f for f in reversed(self.facts) if f.name == name), None)

    def number(self, name: str) -> float | None:
        """The value of the last figure of that name, or None: an absent reading is never 0."""
        figure = self.figure(name)
        return None if figure is None else figure.value


class Judgement(Frozen, frozen=True, kw_only=True):
    """What the rules made of one probe's readings."""

    verdict: Verdict
    reason: str
    findings: tuple[Finding, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    expectations: tuple[Expectation, ...] = ()


# --- events: one JSON line in a process's own file ------------------------------------------------------------


class Event(msgspec.Struct, frozen=True):
    """One line that a payload or a rank wrote. Which of the optional fields are set depends on `ev`:

    progress: `text`, `done` (0 to 1 or None) · figure: `name value unit n spread labels` · fact: `name value
    evidence` · artifact: `kind text path` (path relative to the probe's folder) · start: `import_s io_wait_s` ·
    init, step, coll, mem, hb: `name value unit` · end: `ok error skip`.
    """

    ev: str
    v: int = EVENT_VERSION
    t_ns: int = 0
    m_ns: int = 0
    pid: int = 0
    rank: int | None = None
    attempt: int | None = None
    name: str = ""
    value: str | int | float | bool | None = None
    unit: str = ""
    n: int = 1
    spread: float | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    evidence: str = ""
    text: str = ""
    done: float | None = None
    kind: str = ""
    path: str = ""
    import_s: float | None = None
    io_wait_s: float | None = None
    ok: bool | None = None
    error: str | None = None
    skip: str | None = None


# --- target and machine -------------------------------------------------------------------------------------


class Difference(Frozen, frozen=True, kw_only=True):
    """One thing that a live process has otherwise than the shell from which torchdoctor was started.

    Values are for people: secrets masked, long ones cut. `applied` says whether the probes have it as it is there.
    """

    what: str
    here: str
    there: str
    applied: bool = True


class Like(Frozen, frozen=True, kw_only=True):
    """The live process whose interpreter, environment, cores and limits the probes have; and what of it differs.

    `started` is the kernel's start time, in clock ticks after boot. Its folder and its control groups are told only:
    a probe writes into a folder of its own.
    """

    pid: int
    started: int
    user: str
    command: str
    folder: str
    cgroup: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()


class Target(Frozen, frozen=True, kw_only=True):
    """The Python whose PyTorch is diagnosed, and how it was found.

    `prefix` is the launcher prefix before the interpreter (`apptainer exec --nv new.sif`), empty for a plain
    one. `torch` and the other versions are tier 0: read from files, nothing was run or imported; None means
    that there is none, "" that it could not be read. `refusal` says why its code may not be run. `like` is the process
    that the probes run like, None where they run as the shell does.
    """

    python: str
    prefix: tuple[str, ...] = ()
    origin: str = ""
    torch: str | None = None
    cuda: str | None = None
    python_version: str = ""
    refusal: str | None = None
    like: Like | None = None


class Inventory(Frozen, frozen=True, kw_only=True):
    """What a node or a target is made of, as far as two of them can differ in it: kind -> name -> value, as text.

    Kinds are the rows of `reports.inventory.KINDS` (package, library, variable, limit, sysctl, gpu, topology …). A name
    that is not in a kind that was read is not there; `unread` says why a kind, or a part of it, could not be read:
    absence there means nothing.
    """

    parts: dict[str, dict[str, str]] = msgspec.field(default_factory=dict)
    unread: dict[str, str] = msgspec.field(default_factory=dict)


class Machine(Frozen, frozen=True, kw_only=True):
    """What identifies the node of a report, and what it is made of."""

    host: str
    boot_id: str
    kernel: str
    arch: str
    os: str
    cpu: str
    cores: int
    memory_bytes: int
    driver: str | None = None
    cuda: str | None = None
    gpus: tuple[dict[str, Any], ...] = ()
    inventory: Inventory = msgspec.field(default_factory=Inventory)


class Baseline(Frozen, frozen=True, kw_only=True):
    """The report of a known good node that a report was judged against, and how far it could be.

    `probes` and `figures` could be held against it; `uncompared` says what could not, and why; `unread` why nothing
    could: then nothing was judged against it.
    """

    where: str
    host: str = ""
    started: str = ""
    verdict: Verdict | None = None
    probes: int = 0
    figures: int = 0
    uncompared: tuple[str, ...] = ()
    unread: str = ""


class Report(Frozen, frozen=True, kw_only=True):
    """One run's identity, results and findings as one JSON file. `findings` are the machine's checks only.

    `redaction` says for whom it was redacted and what was masked in it; "" as it was read.
    """

    schema: int = REPORT_SCHEMA
    torchdoctor: str
    machine: Machine
    target: Target
    tier: str
    started: str
    seconds: float
    verdict: Verdict
    results: tuple[Result, ...]
    findings: tuple[Finding, ...] = ()
    baseline: Baseline | None = None
    redaction: str = ""


def worst(verdicts: list[Verdict]) -> Verdict:
    """The verdict of a report over `verdicts`: the first of REPORT_ORDER present; `skip` when there is none."""
    return next((v for v in REPORT_ORDER if v in verdicts), Verdict.SKIP)
