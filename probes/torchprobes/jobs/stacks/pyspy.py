"""py-spy: the stack of a Python process read from outside, without stopping it and without its knowledge.

Always `--nonblocking`: py-spy else stops the process while it reads, and a py-spy that is killed then leaves it
stopped. What it may read is up to the kernel (ptrace right); its own words say why not.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from functools import cache
from typing import Final

import msgspec

from ...rank_evidence import Frame, Stack, ThreadStack
from ..helper import Said, run

MOST_BYTES: Final = 4 << 20
_MOST_THREADS: Final = 256
_MOST_FRAMES: Final = 256


class _Frame(msgspec.Struct):
    name: str = "?"
    filename: str = ""
    line: int | None = None


class _Thread(msgspec.Struct):
    thread_name: str | None = None
    os_thread_id: int | None = None
    pid: int | None = None
    active: bool | None = None
    owns_gil: bool | None = None
    frames: list[_Frame] = msgspec.field(default_factory=list)


_decoder: Final = msgspec.json.Decoder(list[_Thread])


class NoStack(Exception):
    """No stack could be had; the text says why, in one line."""


@cache
def find() -> str:
    """py-spy beside our own interpreter, else on PATH; "" if there is none. As root nobody else's file is taken."""
    places = [os.path.join(sys.prefix, "bin", "py-spy"), shutil.which("py-spy") or ""]
    return next((place for place in places if place and _may_run(place)), "")


def _may_run(place: str) -> bool:
    try:
        owner = os.stat(place).st_uid
    except OSError:
        return False
    return os.access(place, os.X_OK) and (os.geteuid() != 0 or owner == 0)


def by_pyspy(pid: int, deadline_s: float, program: str | None = None) -> Stack:
    """The stack of one process.

    Raises:
        NoStack: there is no py-spy, it is not allowed, or it gave no answer in time.
    """
    program = find() if program is None else program
    if not program:
        raise NoStack("py-spy is not installed beside torchdoctor")
    try:
        said = run((program, "dump", "--json", "--nonblocking", "--pid", str(pid)), deadline_s, MOST_BYTES)
    except OSError as error:
        raise NoStack(f"py-spy cannot be started: {error.strerror or error}") from None
    if said.code != 0:
        raise NoStack(_refusal(said))
    return parse_pyspy(said.out, time.time_ns())


def parse_pyspy(data: bytes, t_ns: int) -> Stack:
    """The stack that `py-spy dump --json` printed.

    Raises:
        NoStack: it is none, or holds no thread.
    """
    try:
        threads = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise NoStack(f"py-spy's answer is not understood: {error}") from None
    if not threads:
        raise NoStack("py-spy saw no Python thread")
    return Stack(how="py-spy", t_ns=t_ns, threads=tuple(_thread(thread) for thread in threads[:_MOST_THREADS]))


def _thread(thread: _Thread) -> ThreadStack:
    return ThreadStack(
        name=thread.thread_name or "",
        main=thread.os_thread_id is not None and thread.os_thread_id == thread.pid,
        idle=None if thread.active is None else not thread.active,
        holds_gil=thread.owns_gil,
        frames=tuple(Frame(function=f.name, file=f.filename, line=f.line) for f in thread.frames[:_MOST_FRAMES]),
    )


_WORDS: Final = (
    ("permission denied", "not allowed to read its memory: needs the ptrace right (root or CAP_SYS_PTRACE)"),
    ("operation not permitted", "not allowed to read its memory: needs the ptrace right (root or CAP_SYS_PTRACE)"),
    ("no such process", "it has ended"),
    ("failed to find python version", "it is no Python process, or its files are hidden from py-spy"),
    ("no such file or directory", "its files are not visible from here (another mount namespace)"),
)
"""What py-spy's errors mean."""


def _refusal(said: Said) -> str:
    if said.why:
        return f"py-spy: {said.why}"
    text = said.errors.lower()
    words = next((words for sign, words in _WORDS if sign in text), "")
    last = said.errors.splitlines()[-1].strip()[:160] if said.errors else f"exit code {said.code}"
    return f"py-spy: {words or last}"
