"""What a file of a run is to the readers: a structured trace, a text, a debug log, a capture's end; or nothing to them.

By its path alone, so that nothing is opened to find out; only a root that is one file is looked into (`sniffed`). The
same path tells whose it is: `run_*-pid_N`, the trace's `rank_N`, torchrun's `attempt_N/<local rank>/`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from .kinds import kind_of
from .logfile import open_regular


class Role(str, Enum):
    """How a file is read; the order is the readers' turn, what explains most goes first."""

    TRACE = "trace"
    END = "end"
    """`end.json` of a capture: how the program ended."""
    TEXT = "text"
    DEBUG = "debug log"
    """Text without any prefix of time or level."""


@dataclass(frozen=True, slots=True)
class Sourced:
    """A file that is read, and what its path says of its writer; None is what it does not say."""

    role: Role
    pid: int | None = None
    rank: int | None = None
    attempt: int | None = None
    """torchrun's, which counts from 0 and restarts all ranks; Dynamo's attempts are others."""
    group: str = ""
    """The folder of all attempts that a rank from `attempt_N/<local rank>/` belongs to; "" for any other rank."""


RUN_FOLDER: Final = re.compile(r"run_(\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d_\d{6})-pid_(\d{1,10})")
"""torch._dynamo.utils._get_debug_dir, the same from 2.1 on: local time and pid."""

GRAPH_FOLDER: Final = re.compile(r"(model__(\d*)_?(forward|backward|inference)?_?(\d*))\.(\d+)")
"""torch._inductor.debug.create_debug_dir: the graph's name and a number of the process. 2.1 leaves out the AOT id."""

TRACE_NAME: Final = re.compile(r"dedicated_log_torch_trace_(?:rank_(\d{1,9})_)?[A-Za-z0-9_]{1,64}\.log")
"""torch._logging._internal.LazyTraceHandler: the rank is there if the process group was when the trace began."""

_ATTEMPT: Final = re.compile(r"(?:^|(.*)/)attempt_(\d{1,6})/(\d{1,6})/(?:stdout|stderr)(?:\.log)?")
"""torchrun's --log-dir with --redirects or --tee."""

_TRACE_LINE: Final = re.compile(rb"[VIWEC]\d{4} \d\d:\d\d:\d\d\.\d{6} \d+ [^\s:]{1,400}:\d+\] \{")
_DEBUG_LOG: Final = re.compile(r"torchdynamo/debug\.log|torchinductor/aot_.*_debug\.log")
_TEXT: Final = re.compile(r"(?:stdout|stderr|nohup)(?:\.(?:log|txt|out|err))?|.*\.(?:log|out|err)|slurm-.*\.txt")

_NOT_TEXT: Final = frozenset({"nccl", "flight", "stacks", "ras", "events", "artifacts", "minifier", "checkpoints"})
"""Folders in which a `.log` is another tool's, or a program's own data."""


def sourced(path: str, below: str) -> Sourced | None:
    """What a file is to the readers, None for one that they leave alone: its absolute path, and that below the root."""
    folder, _, name = path.rpartition("/")
    run = RUN_FOLDER.search(folder)
    pid = int(run[2]) if run else None
    if found := TRACE_NAME.fullmatch(name):
        return Sourced(Role.TRACE, pid, int(found[1]) if found[1] else None)
    if name == "end.json":
        return Sourced(Role.END)
    if run is not None:
        return Sourced(Role.DEBUG, pid) if _DEBUG_LOG.search(path, run.end()) else None
    if not _TEXT.fullmatch(name) or not _NOT_TEXT.isdisjoint(below.split("/")[:-1]):
        return None
    if found := _ATTEMPT.fullmatch(path):
        return Sourced(Role.TEXT, None, int(found[3]), int(found[2]), found[1] or "/")
    return Sourced(Role.TEXT)


def sniffed(path: str) -> Sourced | None:
    """What one file is that somebody named, whatever it is called: its name decides, else its first bytes.

    Raises:
        OSError: it cannot be opened, or is no regular file.
    """
    name = path.rpartition("/")[2]
    known = sourced(path, name)
    if known is not None and known.role is not Role.TEXT:
        return known
    if kind_of(name).language in ("python", "ir", "json"):
        return None
    fd = open_regular(path)
    try:
        start = os.pread(fd, 4096, 0)
    finally:
        os.close(fd)
    return Sourced(Role.TRACE) if _TRACE_LINE.match(start) else known or Sourced(Role.TEXT)
