"""Lines of a rank's or a launcher's log that say something of a failure: a table.

A row holds a text that must stand in the line as it is, and a pattern where that text alone says too little. Named
groups of the pattern become the details of the sign; `ranks` and `rank` among them name the ranks that the line says
are missing. Every repetition is bounded, so that a hostile line costs no more than its length.

Texts are those of torch 2.1 to 2.13, gloo and NCCL 2.18 to 2.28, as measured and recorded; see `reference/ddp.md` 2.3.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final, Literal, NamedTuple

Role = Literal["own", "victim", "asked", "launcher", "hint"]
"""Whose fault a line tells: `own` of the rank that wrote it, `victim` of another one, `asked`: somebody ended it.
`launcher` lines are torchrun's, srun's and of a parent that spawns; `hint` lines judge nothing by themselves."""

Tells = Literal["", "closed", "waited", "waited-init", "mismatch", "network"]
"""What a victim suffered: its peer went away, it waited in vain (for a peer, or before the group was there), it met
another operation than its own, or the network failed."""


class Pattern(NamedTuple):
    """One kind of line: `text` must stand in it, and `pattern` match, if there is one."""

    id: str
    text: str
    pattern: str = ""
    role: Role = "own"
    tells: Tells = ""


_ADDRESS = r"\(?(?P<peer>[\w.:\[\]-]{1,80}?)[,:\]] ?(?P<port>\d{1,5})\)?"
_WORK = r"WorkNCCL\(SeqNum=(?P<seq>\d{1,12}), OpType=(?P<op>\w{1,40})(?:, NumelIn=(?P<numel>\d{1,15}))?"
_PRINT = r"CollectiveFingerPrint\(.{0,400}?\)"

SIGNS: Final[tuple[Pattern, ...]] = (
    # two ranks that do not do the same: whose fault is for a comparison of all of them
    Pattern("fingerprint", "Detected mismatch between collectives",
            rf"Rank (?P<left>\d{{1,6}}) is running collective: (?P<left_print>{_PRINT})"
            rf"(?:, but|.{{0,40}}?) Rank (?P<right>\d{{1,6}}) is running collective: (?P<right_print>{_PRINT})",
            "victim", "mismatch"),
    Pattern("gloo-mismatch", "op.preamble.length",
            r"op\.preamble\.length <= op\.nbytes\.? (?P<got>\d{1,15}) vs (?P<expected>\d{1,15})", "victim", "mismatch"),
    # waited in vain, and who was missing
    Pattern("monitored-barrier", "failed to pass monitoredBarrier",
            r"Ranks? (?P<ranks>\d{1,6}(?:, ?\d{1,6}){0,4096}) failed to pass monitoredBarrier in (?P<ms>\d{1,12}) ms",
            "victim", "waited"),
    Pattern("monitored-barrier-reached", "successfully reached monitoredBarrier", "", "victim", "waited"),
    Pattern("store-timeout", "wait timeout after",
            r"wait timeout after (?P<ms>\d{1,12})ms, keys: (?P<keys>[^\n]{1,1000})", "victim", "waited-init"),
    Pattern("store-barrier", "store based barrier",
            r"world_size=(?P<world>\d{1,7}), (?:num_workers_joined|worker_count)=(?P<joined>\d{1,7})",
            "victim", "waited-init"),
    Pattern("store-clients", "clients joined",
            r"(?P<joined>\d{1,7})/(?P<world>\d{1,7}) clients joined", "victim", "waited-init"),
    Pattern("gloo-timeout", "Timed out waiting",
            r"Timed out waiting (?P<ms>\d{1,12})ms for (?P<op>recv|send) operation to complete", "victim", "waited"),
    Pattern("gloo-timeout", "Application timeout caused pair closure", "", "victim", "waited"),
    Pattern("gloo-connect", "onnectFullMesh failed", "", "victim", "waited-init"),
    Pattern("watchdog", "atchdog caught collective operation timeout",
            _WORK + r".{0,80}?Timeout\(ms\)=(?P<ms>\d{1,12})", "victim", "waited"),
    Pattern("watchdog-status", "last enqueued work: ",
            r"last enqueued work: (?P<enqueued>-?\d{1,12}), last completed work: (?P<completed>-?\d{1,12})",
            "victim", "waited"),
    Pattern("watchdog-dump", "ast enqueued NCCL work: ",
            r"ast enqueued NCCL work: (?P<enqueued>-?\d{1,12}), last completed NCCL work: (?P<completed>-?\d{1,12})",
            "hint"),
    Pattern("watchdog-stuck", "eartbeat monitor timed out", "", "hint"),
    Pattern("nccl-wait-timeout", "timed out in blocking wait", "", "victim", "waited"),
    # a peer went away
    Pattern("nccl-aborted", "NCCL communicator was aborted", "", "victim", "closed"),
    Pattern("nccl-remote", "remote process exited or there was a network error", "", "victim", "closed"),
    Pattern("nccl-remote", "ncclRemoteError", "", "victim", "closed"),
    Pattern("nccl-remote", "onnection closed by remote peer", "", "victim", "closed"),
    Pattern("peer-closed", "onnection closed by peer", r"(?:closed by peer \[?(?P<peer>[\w.:]{1,80}?)\]?(?::\d|$))?",
            "victim", "closed"),
    Pattern("peer-closed", "onnection reset by peer", "", "victim", "closed"),
    Pattern("peer-closed", "Broken pipe", r"(?i)gloo|c10d|TCPStore|sendBytes|\.c(?:c|pp):\d", "victim", "closed"),
    Pattern("store-closed", "Connection was likely closed", "", "victim", "closed"),
    Pattern("store-closed", "failed to recv, got 0 bytes", "", "victim", "closed"),
    # the network
    Pattern("unreachable", "No route to host", "", "victim", "network"),
    Pattern("unreachable", "Network is unreachable", "", "victim", "network"),
    Pattern("unreachable", "onnection timed out", "", "victim", "network"),
    Pattern("refused", "onnection refused", "", "victim", "closed"),
    Pattern("store-connect", "client socket has", rf"timed out after (?P<ms>\d{{1,9}}).{{0,60}}? to {_ADDRESS}|failed",
            "victim", "waited-init"),
    Pattern("nccl-system", "unhandled system error", "", "victim", "network"),
    Pattern("nccl-system", "ncclSystemError", "", "victim", "network"),
    # somebody ended it
    Pattern("interrupted", "KeyboardInterrupt", r"^(?:\S{1,80}: )?KeyboardInterrupt\b", "asked"),
    Pattern("signalled", "SignalException", "", "asked"),
    Pattern("signalled", "SIGTERMException", "", "asked"),
    # its own fault
    Pattern("port-taken", "ddress already in use", r"(?i)(?:port: ?(?P<port>\d{1,5}).{0,160}?)?address already in use"),
    Pattern("port-taken", "EADDRINUSE", r"(?:port: ?(?P<port>\d{1,5}))?"),
    Pattern("nccl-duplicate", "Duplicate GPU detected"),
    Pattern("cuda-kernel-assert", "Assertion `", r"^\S{0,400}\.(?:cu|cuh|h):\d{1,6}: .{0,400}?Assertion `", "hint"),
    Pattern("cuda-assert", "device-side assert triggered"),
    Pattern("cuda-illegal", "illegal memory access"),
    Pattern("cuda-ecc", "uncorrectable ECC error"),
    Pattern("cuda-launch", "unspecified launch failure"),
    Pattern("cuda-launch", "misaligned address", r"(?i)cuda"),
    Pattern("cuda-launch", "illegal instruction was encountered"),
    Pattern("cuda-oom", "out of memory", r"(?:CUDA|HIP|XPU)(?: error:)? out of memory(?:\. Tried to allocate "
            r"(?P<size>[\d.]{1,12} [KMGT]?i?B))?"),
    Pattern("cuda-oom", "OutOfMemoryError", r"(?:Tried to allocate (?P<size>[\d.]{1,12} [KMGT]?i?B))?"),
    Pattern("host-oom", "DefaultCPUAllocator: ", r"can't allocate memory|not enough memory"),
    Pattern("nccl-cuda", "unhandled cuda error"),
    Pattern("loader-worker", "DataLoader worker (pid",
            r"DataLoader worker \(pid(?:\(s\))? (?P<pid>\d{1,10})[\d, ]{0,400}\) "
            r"(?:is killed by signal: (?P<signal>[\w ]{1,40})|exited unexpectedly)"),
    Pattern("loader-timeout", "DataLoader timed out after", r"timed out after (?P<seconds>[\d.]{1,12}) seconds"),
    Pattern("fatal", "Fatal Python error: ", r"Fatal Python error: (?P<what>[^\n]{1,120})"),
    # launchers
    Pattern("agent-closing", "closing signal ",
            r"Sending process (?P<pid>\d{1,10}) closing signal (?P<signal>\w{1,20})", "launcher"),
    Pattern("agent-failed", "failed (exitcode: ",
            r"failed \(exitcode: (?P<exitcode>-?\d{1,6})\) "
            r"local_rank: (?P<local_rank>\d{1,6}) \(pid: (?P<pid>\d{1,10})\)", "launcher"),
    Pattern("agent-signalled", " death signal, shutting down",
            r"Received (?P<signal>\d{1,3}|\w{1,20}) death signal", "launcher"),
    Pattern("agent-rank", "rank      : ",
            r"^\s{0,4}rank {6}: (?P<told>\d{1,6}) \(local_rank: (?P<local_rank>\d{1,6})\)", "launcher"),
    Pattern("agent-summary", "ChildFailedError", "", "launcher"),
    Pattern("rendezvous", "RendezvousTimeoutError", "", "launcher"),
    Pattern("rendezvous-lost", "RendezvousConnectionError", "", "launcher", "closed"),
    Pattern("slurm-task", "srun: error: ", r"srun: error: (?P<host>[\w.-]{1,64}): "
            r"tasks? (?P<task>\d{1,7})[\d,\[\]-]{0,400}: "
            r"(?:Exited with exit code (?P<exitcode>\d{1,3})|(?P<what>[A-Z][\w ()]{1,60}))", "launcher"),
    Pattern("slurm-cancelled", "CANCELLED AT", r"\*\*\* (?:STEP|JOB) .{0,120}?CANCELLED AT "
            r"[\dT:-]{8,32}(?P<limit> DUE TO [A-Z]{1,20}(?: [A-Z]{1,20}){0,4})?", "launcher"),
    Pattern("slurm-oom", "oom_kill event", "", "launcher"),
    Pattern("slurm-oom", "oom-kill event", "", "launcher"),
    Pattern("spawn-child", "-- Process ", r"^-- Process (?P<child>\d{1,6}) terminated with the following error",
            "launcher"),
    Pattern("spawn-child", "ProcessExitedException", r"process (?P<child>\d{1,6}) terminated with "
            r"(?:signal (?P<signal>\w{1,20})|exit code (?P<exitcode>\d{1,3}))", "launcher"),
    # what the rows above do not know
    Pattern("nccl-warn", "NCCL WARN ", r"NCCL WARN (?P<what>[^\n]{1,300})", "hint"),
)  # fmt: skip
"""The first row that matches a line names it; the order is from the telling to the vague."""

EXCEPTION: Final = Pattern("exception", "")
"""An exception that no row knows: the fault of the rank that raised it."""


class _Patterns(dict[str, Pattern]):
    """A sign comes from another node too, whose torchdoctor may be later: what only that one knows tells nothing."""

    def __missing__(self, id_: str) -> Pattern:
        return Pattern(id_, "")


PATTERNS: Final = _Patterns({pattern.id: pattern for pattern in (*SIGNS, EXCEPTION)})
"""By id, for those who judge a sign by its role; of rows with one id the last, and all of them agree."""

HOOKS: Final = (
    "rror", "raceback (", "xception", "imed out", "imeout", "onnection", "ailed", "signal", "ssert", "enqueued",
    "NCCL WARN", "onitored", "ismatch", "of memory", "preamble", "route to", "nreachable", "rank   ",
)  # fmt: skip
"""One of these stands in every line that matters outside a traceback, inside which every line is read. Most lines have
none, and are never decoded. Each costs 50 ns a line, so they are few."""


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """A row's pattern, compiled at its first use: the watcher's start does not wait for it."""
    return re.compile(pattern)


def match(text: str) -> tuple[Pattern, dict[str, str]] | None:
    """The first row that knows a line, and the details that the line tells."""
    for row in SIGNS:
        if row.text not in text:
            continue
        if not row.pattern:
            return row, {}
        found = compiled(row.pattern).search(text)
        if found is not None:
            return row, {name: value for name, value in found.groupdict().items() if value is not None}
    return None
