"""tlparse, where it is installed: its HTML of a structured trace, made in a child with a deadline and a limit of size.

Its interface is that of 0.4.3 (PyPI, crates.io): `tlparse TRACE -o OUT --no-browser`; OUT must not exist, and gets its
parents. It reads the whole trace at once and writes some 2.3 times as much (reference/logs.md 3).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from .sources import TRACE_NAME, Role, sniffed

DEADLINE_S: Final = 120.0
MOST_BYTES: Final = 4 << 30
MOST_TRACES: Final = 64
HOW_TO_GET_IT: Final = "tlparse is not installed: pip install tlparse, or cargo install tlparse"
_LOOK_S: Final = 0.1
_SAID_BYTES: Final = 64 << 10


class TlparseError(Exception):
    """There is no HTML; the text is one line that says why."""


def find(python: str = "") -> str:
    """The program: beside the target's interpreter or our own, else on PATH; "" if there is none.

    As root nobody else's file is taken.
    """
    beside = [os.path.join(os.path.dirname(python), "tlparse")] if python else []
    places = [*beside, os.path.join(sys.prefix, "bin", "tlparse"), shutil.which("tlparse") or ""]
    return next((place for place in places if place and _may_run(place)), "")


def _may_run(place: str) -> bool:
    try:
        owner = os.stat(place).st_uid
    except OSError:
        return False
    return os.path.isfile(place) and os.access(place, os.X_OK) and (os.geteuid() != 0 or owner == 0)


def traces(path: str) -> tuple[str, ...]:
    """The structured traces below a folder, by their names; a file is one by what is in it."""
    if not os.path.isdir(path):
        with contextlib.suppress(OSError):
            found = sniffed(os.path.abspath(path))
            return (path,) if found is not None and found.role is Role.TRACE else ()
        return ()
    found_below: list[str] = []
    for folder, _, names in os.walk(path):
        found_below += [os.path.join(folder, name) for name in names if TRACE_NAME.fullmatch(name)]
        if len(found_below) >= MOST_TRACES:
            break
    return tuple(sorted(found_below)[:MOST_TRACES])


def html(trace: str, out: str, program: str, deadline_s: float = DEADLINE_S, most_bytes: int = MOST_BYTES) -> str:
    """The path of the `index.html` that tlparse made of a trace in the new folder `out`; half a folder is removed.

    Raises:
        TlparseError: it took too long, wrote too much, or failed; `out` is there already.
    """
    if os.path.lexists(out):
        raise TlparseError(f"{out} is there already: name a folder that is not")
    said = Path(f"{out}.said")
    try:
        said.parent.mkdir(parents=True, exist_ok=True)
        with said.open("xb") as stream:
            argv = [program, os.path.abspath(trace), "-o", out, "--no-browser"]
            code = _ended(argv, out, stream, deadline_s, most_bytes)
        words = said.read_bytes()[:_SAID_BYTES].decode("utf-8", "replace").strip().splitlines()
    except OSError as error:
        raise TlparseError(f"tlparse: {error.strerror or error}: {error.filename or program}") from None
    except TlparseError:
        shutil.rmtree(out, ignore_errors=True)
        raise
    finally:
        with contextlib.suppress(OSError):
            said.unlink()
    index = os.path.join(out, "index.html")
    if code or not os.path.isfile(index):
        shutil.rmtree(out, ignore_errors=True)
        raise TlparseError(f"tlparse ended with {code}: {words[0][:300] if words else 'it said nothing'}")
    return index


def _ended(argv: list[str], out: str, stream: IO[bytes], deadline_s: float, most_bytes: int) -> int:
    """The exit code of a child that kept within its deadline and size."""
    deadline = time.monotonic() + deadline_s
    none = subprocess.DEVNULL
    process = subprocess.Popen(argv, stdin=none, stdout=none, stderr=stream, cwd="/", start_new_session=True)
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return int(process.wait(_LOOK_S))
            if time.monotonic() > deadline:
                raise TlparseError(f"tlparse was ended: it took more than {deadline_s:g} s")
            if sum(_sizes(out)) > most_bytes:
                raise TlparseError(f"tlparse was ended: it wrote more than {most_bytes >> 20} MiB")
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _sizes(folder: str) -> Iterator[int]:
    for path, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                yield os.lstat(os.path.join(path, name)).st_size
