"""The console's end of a desk (`torchprobes.desks`): asks, and waits in threads only."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import torchprobes
from torchprobes import child

_PROBES: Final = Path(torchprobes.__file__).parent
JOBS: Final = _PROBES / "jobs" / "desk.py"
REPORTS: Final = _PROBES / "reports" / "desk.py"
"""The programs of the desks; each is run by path."""

MAX_LINE_BYTES: Final = 32 << 20


class DeskError(Exception):
    """A question has no answer; the text is one line."""


@dataclass(slots=True)
class _Asked:
    """A question on its way to a process."""

    process: child.Piped
    come: threading.Event = field(default_factory=threading.Event)
    value: Any = None
    failed: str = ""


class Desk:
    """One desk process, started when the first question is asked and again if it died; any thread may ask."""

    def __init__(self, place: str, program: Path = JOBS) -> None:
        self._argv = [sys.executable, "-I", "-B", str(program), place]
        self._lock = threading.Lock()
        self._process: child.Piped | None = None
        self._asked: dict[int, _Asked] = {}
        self._number = 0
        self._stopped = False

    def ask(self, question: str, arguments: Mapping[str, Any], deadline_s: float) -> Any:
        """The answer.

        Raises:
            DeskError: it failed, there was none in time, or the desk died; one line.
        """
        with self._lock:
            process, pipe = self._running()
            asked = _Asked(process)
            self._number += 1
            number, self._asked[self._number] = self._number, asked
            request = {"id": number, "ask": question, "with": dict(arguments)}
            with contextlib.suppress(OSError, ValueError):  # it died: its reader tells everybody who waits
                pipe.write(json.dumps(request).encode() + b"\n")
                pipe.flush()
        come = asked.come.wait(deadline_s)
        with self._lock:
            self._asked.pop(number, None)
        if not come:
            raise DeskError(f"no answer to {question!r} in {deadline_s:g} s")
        if asked.failed:
            raise DeskError(asked.failed)
        return asked.value

    def stop(self) -> None:
        """Let it end; waits for nobody."""
        self._stopped = True
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                process.stdin.close()

    def _running(self) -> tuple[child.Piped, IO[bytes]]:
        """The process and the pipe to it, started now if there is none."""
        if self._stopped:
            raise DeskError("the console ends")
        if self._process is None or self._process.poll() is not None:
            try:
                self._process = child.Piped(self._argv, roomy=True)
            except OSError as error:
                raise DeskError(f"cannot start a helper process: {error.strerror}") from None
            threading.Thread(target=self._read, args=(self._process,), name="torchdoctor-desk", daemon=True).start()
        if self._process.stdin is None:
            raise DeskError("the helper process has no pipe")
        return self._process, self._process.stdin

    def _read(self, process: child.Piped) -> None:
        """Hand out answers until it ends; then tell everybody who still waits."""
        last = ""
        if process.stdout is not None:
            with contextlib.suppress(OSError, ValueError):
                while line := process.stdout.readline(MAX_LINE_BYTES):
                    last = self._take(line) or last
        process.wait()
        with self._lock:
            left = [asked for asked in self._asked.values() if asked.process is process]
        for asked in left:
            asked.failed = f"the helper process ended: {last}" if last else "the helper process ended"
            asked.come.set()

    def _take(self, line: bytes) -> str:
        """One answer; what is none comes back as words."""
        with contextlib.suppress(ValueError, RecursionError):
            message = json.loads(line) if line.startswith(b"{") else None
            if isinstance(message, dict):
                asked = self._asked.get(message.get("id", -1))
                if asked is not None:
                    asked.value, asked.failed = message.get("done"), str(message.get("failed") or "")
                    asked.come.set()
                return ""
        return line.decode(errors="replace").strip()[:200]
