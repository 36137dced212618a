"""One short-lived helper program: bounded in time and in words, and gone with whoever started it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

PR_SET_PDEATHSIG: Final = 1
_CHUNK: Final = 1 << 16
_MOST_ERRORS: Final = 4096
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Said:
    """What a helper printed, and how it ended: its exit code, None if it had to be killed."""

    out: bytes
    errors: str
    code: int | None
    why: str = ""
    """Why it was killed, in words; "" if it ended by itself."""


def run(argv: Sequence[str], deadline_s: float, most_bytes: int) -> Said:
    """Run a program to its end, at most `deadline_s` seconds and `most_bytes` of output; past either it is killed.

    It is a session of its own and dies with the calling thread, whatever kills that. One that the kernel holds
    cannot be killed and is not waited for.

    Raises:
        OSError: if it cannot be started.
    """
    deadline = time.monotonic() + deadline_s
    with subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        start_new_session=True,
        preexec_fn=die_with(os.getpid()),
    ) as process:
        out, errors, why = _read(process, deadline, most_bytes)
        if why:
            _kill(process)
        code = _code(process, max(0.2, deadline - time.monotonic()))
        if code is None:
            _kill(process)
            why = why or "it closed its output and did not end"
            _abandon(process)
    return Said(out, errors.decode(errors="replace").strip(), None if why else code, why)


def die_with(parent: int) -> Callable[[], None]:
    """What a forked child does first: ask for SIGKILL when the thread that forked it ends, and look for its parent."""

    def ask() -> None:
        _LIBC.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _read(process: subprocess.Popen[bytes], deadline: float, most: int) -> tuple[bytes, bytes, str]:
    """Its stdout, its stderr (the beginning), and why reading was given up."""
    assert process.stdout is not None
    assert process.stderr is not None
    texts = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    out, errors = texts.values()
    poll = select.poll()
    for handle in texts:
        poll.register(handle, select.POLLIN)
    pending = set(texts)
    while pending:
        left = deadline - time.monotonic()
        if left <= 0:
            return bytes(out), bytes(errors), "no answer within its deadline"
        for handle, _ in poll.poll(left * 1000):
            data = os.read(handle, _CHUNK)
            if not data:
                poll.unregister(handle)
                pending.discard(handle)
            elif texts[handle] is out or len(errors) < _MOST_ERRORS:
                texts[handle] += data
        if len(out) > most:
            return bytes(out[:most]), bytes(errors), "it says too much"
    return bytes(out), bytes(errors), ""


def _code(process: subprocess.Popen[bytes], limit_s: float) -> int | None:
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End it with its whole session, which it leads."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _abandon(process: subprocess.Popen[bytes]) -> None:
    """Wait for a killed one for a moment only: in uninterruptible sleep it outlives us, which is no reason to wait."""
    if _code(process, 0.2) is None:
        process.returncode = -signal.SIGKILL
