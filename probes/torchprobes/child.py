"""One question answered in a killable child with a deadline, so that no file system can block the asker.

A thread of its own starts the child, reads its answer and reaps it. The child is made by fork, not vfork: vfork
would hold this whole process, interpreter lock included, until the kernel has opened our own interpreter's file,
and that file may lie on the very file system that gives no answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

State = Literal["waiting", "done", "hung", "failed"]

INSPECTOR = Path(__file__).parent / "environment" / "inspector.py"
"""The file that the child runs by default; it knows the questions. Standard library only: it has no site-packages."""

SAMPLER = Path(__file__).parent / "telemetry" / "sampler.py"
"""The sampler child's file; it needs the site-packages of our own interpreter."""

MAX_LINE_BYTES = 4 << 20
MAX_LINES = 10_000
ROOMY_BYTES = 1 << 20
"""The largest pipe that Linux gives to anybody."""

setattr(subprocess, "_USE_VFORK", False)  # noqa: B010 - its documented switch, which type stubs do not know


class Hung(Exception):
    """The deadline passed without an answer; the child was killed and is not waited for."""


class ChildFailed(Exception):
    """The child answered that it failed, or died; the text is one line."""


@dataclass(frozen=True, slots=True)
class Part:
    """What became of one item of a question about many: its value, or why there is none."""

    state: Literal["done", "hung", "failed"]
    value: Any = None
    cause: str = ""


def sampler_command(rate_hz: float | None) -> tuple[str, ...]:
    """How the sampler is started: for so many samples a second, or (None) for one sample of everything.

    Isolated, so that nothing of the caller's environment is on its path.
    """
    return (sys.executable, "-I", "-B", str(SAMPLER), "--once" if rate_hz is None else str(1 / rate_hz))


class Piped(subprocess.Popen[bytes]):
    """A helper process of ours: all pipes are ours, its words on stderr come with its stdout, its folder is `/`.

    Starting one can take as long as the file system of our own interpreter wants: do it in a thread. With `roomy`
    pipes a whole sample fits into one, and into its reader's buffer. `apart` gives its stderr a pipe of its own, which
    somebody must read: a line that is longer than a pipe takes in one piece (PIPE_BUF) is else split by any warning.
    """

    def __init__(self, argv: list[str], *, roomy: bool = False, apart: bool = False) -> None:
        super().__init__(
            argv,
            bufsize=ROOMY_BYTES if roomy else -1,
            pipesize=ROOMY_BYTES if roomy else -1,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if apart else subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
        )


class _Process(Piped):
    """One that its Answer can see, and kill, while exec has not happened yet."""

    def __init__(self, answer: Answer, argv: list[str]) -> None:
        answer.process = self
        super().__init__(argv)


class Answer:
    """The answer to one question, on its way. Every method returns at once except `wait`."""

    def __init__(
        self, question: str, arguments: Mapping[str, Any], deadline_s: float, program: Path | None = None
    ) -> None:
        self.value: Any = None
        self.cause = ""
        self.process: _Process | None = None
        self._question = question
        self._program = program or INSPECTOR
        self._request = {"question": question, "arguments": dict(arguments), "deadline_s": deadline_s}
        self._deadline = time.monotonic() + deadline_s
        self._state: State = "waiting"
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._expected: list[str] = []
        self._parts: dict[str, Part] = {}
        threading.Thread(target=self._work, name=f"ask {question}", daemon=True).start()

    def poll(self) -> State:
        """Where the answer stands now; passing the deadline kills the child."""
        if self._state == "waiting" and time.monotonic() >= self._deadline:
            self._end("hung", cause=f"no answer to {self._question!r} within its deadline")
        return self._state

    def wait(self) -> State:
        """Wait for the answer, at most until the deadline."""
        self._ended.wait(max(0.0, self._deadline - time.monotonic()))
        return self.poll()

    def cancel(self) -> None:
        """Kill the child; the answer is then `failed`."""
        self._end("failed", cause="cancelled")

    def parts(self) -> dict[str, Part]:
        """Item by item, what was answered so far; items without an answer are `hung` (or share the failure)."""
        state = self.poll()
        rest = Part("failed", cause=self.cause) if state == "failed" else Part("hung", cause="no answer")
        finished = dict(self._parts)
        return {key: finished.get(key, rest) for key in [*self._expected, *finished]}

    def _work(self) -> None:
        try:
            process = _Process(self, [sys.executable, "-I", "-S", "-B", str(self._program)])
        except OSError as error:
            self._end("failed", cause=f"cannot start a child: {error.strerror}")
            return
        if self._state != "waiting":  # the deadline passed before the child was there
            self._kill()
        try:
            self._converse(process)
        except (OSError, ValueError) as error:
            self._end("failed", cause=str(error))
        process.wait()  # here only: this thread may wait for ever, nobody waits for it

    def _converse(self, process: _Process) -> None:
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            raise ValueError("the child has no pipes")
        with stdin, stdout:
            with contextlib.suppress(BrokenPipeError):
                stdin.write(json.dumps(self._request).encode() + b"\n")
                stdin.flush()
            noise = self._read(stdout)
        self._end("failed", cause=noise or "the child died without an answer")

    def _read(self, stdout: IO[bytes]) -> str:
        """Take in lines until the answer; what is no line of ours comes back as the last words of the child."""
        noise = ""
        for _ in range(MAX_LINES):
            line = stdout.readline(MAX_LINE_BYTES)
            message = _message(line)
            if message is not None:
                self._take(message)
            elif not line:
                return noise
            else:
                noise = line.decode(errors="replace").strip()[:200] or noise
        return "the child says too much"

    def _take(self, message: dict[str, Any]) -> None:
        if "expects" in message:
            self._expected = [str(key) for key in message["expects"]]
        elif "item" in message:
            failed = message.get("failed")
            part = Part("done", message.get("value")) if failed is None else Part("failed", cause=str(failed))
            self._parts[str(message["item"])] = part
        elif "failed" in message:
            self._end("failed", cause=str(message["failed"]))
        elif "done" in message:
            self._end("done", value=message["done"])

    def _end(self, state: State, *, value: Any = None, cause: str = "") -> None:
        """Settle the answer; only the first call counts. A child that did not answer is killed, the other leaves."""
        with self._lock:
            if self._state != "waiting":
                return
            self.value, self.cause, self._state = value, cause, state
        self._ended.set()
        if state != "done":
            self._kill()

    def _kill(self) -> None:
        process = self.process
        if process is None or not getattr(process, "pid", None) or process.returncode is not None:
            return  # not forked yet (the thread looks again when it is), or reaped
        for kill in (os.killpg, os.kill):  # its session, with what it started; itself where it has no session yet
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(process.pid, signal.SIGKILL)


def _message(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b"{"):
        return None
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def start(question: str, arguments: Mapping[str, Any], deadline_s: float, program: Path | None = None) -> Answer:
    """Ask without waiting: poll the answer. `program` is a file of another room that speaks as the inspector does."""
    return Answer(question, arguments, deadline_s, program)


def ask(question: str, arguments: Mapping[str, Any], deadline_s: float, program: Path | None = None) -> Any:
    """Ask and wait, at most `deadline_s` seconds.

    Raises:
        Hung: no answer in time; the child was killed.
        ChildFailed: the child said that it failed, or died.
    """
    answer = start(question, arguments, deadline_s, program)
    state = answer.wait()
    if state == "hung":
        raise Hung(answer.cause)
    if state == "failed":
        raise ChildFailed(answer.cause)
    return answer.value


def ask_each(question: str, arguments: Mapping[str, Any], deadline_s: float) -> dict[str, Part]:
    """Ask a question about many items; each has its own thread in the child, so one that hangs hides no other.

    Raises:
        Hung: not even the list of items came in time.
        ChildFailed: the child said that it failed as a whole, or died before the list.
    """
    answer = start(question, arguments, deadline_s)
    state = answer.wait()
    parts = answer.parts()
    if not parts and state == "hung":
        raise Hung(answer.cause)
    if not parts and state == "failed":
        raise ChildFailed(answer.cause)
    return parts
