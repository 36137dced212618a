"""Records of compiles that raised, and of processes that ended."""

from __future__ import annotations

import re
import signal

from ..events import CompileFailed, Event, Exited, Source
from .record import Process, Record
from .traceback import raised

FAILED = re.compile(r"WON'T CONVERT (.{1,400}?) (/.{0,4096}|<.{1,400}?>|\S+) line (\d+)\s*$")
EXITED = re.compile(r"failed \(exitcode: (-?\d+)\) local_rank: (\d+) \(pid: (\d+)\)")
"""torch/distributed/elastic/multiprocessing/api.py, at ERROR."""


def failed(record: Record, process: Process) -> list[Event]:
    """A frame that could not be compiled and runs eagerly from now on (`suppress_errors`), a WARNING.

    At INFO it is no failure: a frame that Dynamo leaves alone, whose break or limit has its own record
    (torch/_dynamo/convert_frame.py, `soft_fail`).
    """
    match = FAILED.match(record.lines[0])
    told = raised(record.lines)
    if not match or told is None or record.head.level in ("V", "I"):
        return []
    if not record.head.level and told.type.endswith("Unsupported"):
        return []
    line = int(match[3])
    source = process.source(record, process.id_of(match[1], match[2], line))
    return [CompileFailed(source, told.type, told.reason, True, match[1], match[2], line, told.user)]


def exited(record: Record, process: Process) -> list[Event]:
    """Torchrun says that a worker ended badly."""
    match = EXITED.match(record.lines[0])
    if not match:
        return []
    told = process.source(record)
    return [ended(Source(told.place, int(match[3]), None, at_s=told.at_s), int(match[1]))]


def ended(source: Source, exit_code: int) -> Exited:
    """The end of a process by its exit code; a negative one is a signal's number (subprocess.Popen.returncode)."""
    return Exited(source, exit_code, signal_name(-exit_code) if exit_code < 0 else "")


def signal_name(number: int) -> str:
    """`SIGKILL` of 9; "" of a number that is no signal's."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""
