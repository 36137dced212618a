"""How the children that read logs are started: isolated, with the descriptors that they may use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_KEEP = str(64 << 20)
_MEMORY = {"MALLOC_TRIM_THRESHOLD_": _KEEP, "MALLOC_MMAP_THRESHOLD_": _KEEP}
"""glibc is not to give a block of a megabyte back to the system each time: the faults cost thrice the work."""


def spawn(program: str, *arguments: str, held: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start the program of this folder with pipes on stdin and stdout; it gets the descriptors `held`.

    Raises:
        OSError, ValueError: it cannot be started.
    """
    argv = [sys.executable, "-I", "-S", "-B", str(Path(__file__).with_name(program)), *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd="/", pass_fds=held, env={**os.environ, **_MEMORY}
    )


def let_go(child: subprocess.Popen[bytes]) -> int:
    """Close its pipes and wait for it; its exit code. Call it when it has said all, or was killed."""
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
    return child.wait()


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)
