"""Collecting in a process apart, which can be lost: for consoles and commands.

A process that is stuck in the kernel, a log on a dead file system, a driver that hangs: they hold up the collector and
nothing else. It has to be done at its own deadline; a little later it is killed, and a look at the processes, which
nothing can hold up, is then all that there is.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import msgspec

from ...distributed import JobIdentity, SourceState
from ...rank_evidence import NodeEvidence, RankEvidence
from ...samples import Sample
from ..node import NodeFolder
from ..processes import ended, look
from .order import Order

PROGRAM: Final = Path(__file__).parent / "collector.py"
START_S: Final = 1.5
"""How long the program may take to start and to end, beside its deadline."""

MOST_BYTES: Final = 64 << 20
_CHUNK: Final = 1 << 18


def collect_in_child(
    job: JobIdentity,
    node: NodeFolder | None,
    deadline_s: float = 2.0,
    looks: int = 2,
    sample: Sample | None = None,
    program: Path = PROGRAM,
) -> NodeEvidence:
    """`collect`, in a child. It never raises and never waits longer than the deadline and a little."""
    order = Order(job=job, node=str(node.path) if node else "", deadline_s=deadline_s, looks=looks, sample=sample)
    begun = time.monotonic()
    try:
        data = _answer(msgspec.json.encode(order) + b"\n", deadline_s + START_S, program)
        return msgspec.json.decode(data, type=NodeEvidence)
    except _Lost as error:
        why = str(error)
    except msgspec.MsgspecError as error:
        why = f"the collector's answer is not understood: {error}"
    return _least(job, why, time.monotonic() - begun)


class _Lost(Exception):
    """The collector gave no answer; the text says why."""


def _answer(order: bytes, limit_s: float, program: Path) -> bytes:
    deadline = time.monotonic() + limit_s
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise _Lost(f"the collector cannot be started: {error.strerror}") from None
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin as stdin, process.stdout as stdout:  # stdin is its lifeline: open until we have its answer
        try:
            stdin.write(order)
            stdin.flush()
            return _read(stdout.fileno(), deadline)
        except BrokenPipeError:
            raise _Lost("the collector died") from None
        finally:
            _end(process)


def _read(handle: int, deadline: float) -> bytes:
    data = bytearray()
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([handle], [], [], left)[0]:
            raise _Lost("the collector gave no answer within its deadline")
        piece = os.read(handle, _CHUNK)
        if not piece:
            break
        data += piece
        if len(data) > MOST_BYTES:
            raise _Lost("the collector says too much")
    if not data:
        raise _Lost("the collector died without an answer")
    return bytes(data)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it if it is still there, with its session; one that the kernel holds is not waited for."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.2)


def _least(job: JobIdentity, why: str, seconds: float) -> NodeEvidence:
    """What is known without any reading that can hang."""
    readings = look(job.ranks)
    state = SourceState(source="process", available=True)
    return NodeEvidence(
        host=job.host or socket.gethostname(),
        t_ns=time.time_ns(),
        m_ns=time.monotonic_ns(),
        why=why,
        job=job,
        ranks=tuple(
            RankEvidence(identity=rank, processes=(reading,), exit=ended(rank, reading), sources=(state,))
            for rank, reading in zip(job.ranks, readings, strict=True)
        ),
        seconds=round(seconds, 3),
        notes=(*job.notes, why),
    )
