"""A capture: somebody's own command under switches of torch.compile, kept in a run directory of kind `capture`.

    capture/  request.json stdout.log stderr.log guardian.jsonl guardian.err end.json
      trace/    TORCH_TRACE: the structured trace of every process
      compile/  TORCH_COMPILE_DEBUG_DIR: the debug tree
      ranks/    what each rank of a torchrun printed (--log-dir, --redirects 3)

The command descends from a guardian, as a probe does: it ends with whoever holds the `Capture`, and leaves nothing.
`end.json` says how it ended: `{"exit_code": int|null, "signal": "SIGKILL"|null, "seconds", "ending", "cause", …}`.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from torchprobes import rundir
from torchprobes.compilelog.logfile import open_regular
from torchprobes.masking import mask_environment, mask_text
from torchprobes.model import Frozen
from torchprobes.rundir import RunDir, boot_id

from . import processes
from .capture_plan import Plan, Request, plan
from .guard import Guard

GUARDIAN: Final = Path(__file__).with_name("capture_guardian.py")

KEPT_BYTES: Final = 256 << 20
"""Of stdout and of stderr each; as much again lies beside it, what is older is dropped. The command goes on."""

GRACE_S: Final = 3.0
"""How long what the command started may live on after it."""

KILL_S: Final = 5.0
LOOK_S: Final = 0.5
DISK_S: Final = 2.0
"""How often the size of the trace and the room of the disk are looked at."""

END_BYTES: Final = 64 << 10
TRACE_BYTES: Final = 100 << 20
ROOM_BYTES: Final = 2 << 30


def folder_of(run: RunDir | Path) -> Path:
    """Where a capture's own files are."""
    return (run.path if isinstance(run, RunDir) else run) / "capture"


@dataclass(frozen=True, slots=True)
class CaptureView:
    """A capture at one instant."""

    revision: int = 0
    seconds: float = 0.0
    finished: bool = False
    exit_code: int | None = None
    signal: str | None = None
    cause: str = ""
    """Why it ended otherwise than by itself, or could not begin; "" if nothing of the kind."""
    warnings: tuple[str, ...] = ()


class End(Frozen, frozen=True, kw_only=True):
    """`end.json`, read."""

    exit_code: int | None = None
    signal: str | None = None
    seconds: float | None = None
    cause: str = ""
    left_behind: tuple[str, ...] = ()
    """The commands of what it had started and left, and which was ended."""
    lost_bytes: int = 0
    turns: int = 0

    @property
    def words(self) -> str:
        """`exit 0`, `SIGKILL`, or that it never ran."""
        return self.signal or (f"exit {self.exit_code}" if self.exit_code is not None else "not run")


def end_of(run: RunDir | Path) -> End | None:
    """How a capture ended, None while it has not, or where nothing says it."""
    try:
        fd = open_regular(str(folder_of(run) / "end.json"), links=False)
    except OSError:
        return None
    try:
        return msgspec.json.decode(os.read(fd, END_BYTES), type=End)
    except (OSError, ValueError, RecursionError):
        return None
    finally:
        os.close(fd)


def create(place: Path, argv: Sequence[str], asked: Request, environ: Mapping[str, str]) -> tuple[RunDir, Plan]:
    """A new run directory, and the plan of what will run in it; `argv` is what the person typed.

    Raises:
        CaptureError, SwitchError: before anything is made. RunError: if it cannot be written.
    """
    name = rundir.new_name()
    made = plan(asked, str(folder_of(place / name)), environ)
    run = rundir.create(place, "capture", name=name, argv=tuple(map(mask_text, argv)))
    folder = folder_of(run)
    try:
        for path in (folder, folder / "trace", folder / "compile", folder / "ranks"):
            path.mkdir(mode=0o700)
        rundir.write_atomically(folder / "request.json", msgspec.json.format(msgspec.json.encode(_said(made))))
    except OSError as error:
        raise rundir.RunError(f"cannot write {folder}: {error.strerror}") from None
    return run, made


def _said(made: Plan) -> dict[str, Any]:
    """What request.json keeps; secrets are masked in it."""
    return {
        "command": mask_text(shlex.join(made.argv)), "cwd": made.cwd, "python": made.python,
        "torch": made.torch, "switches": made.switches, "env": mask_environment(made.env), "notes": list(made.notes),
    }  # fmt: skip


@dataclass
class _Watch:
    """What was said of the disk already."""

    next_s: float = 0.0
    said: set[str] = field(default_factory=set)


class Capture:
    """One command that is captured. Every method but `wait` returns at once and may be called on any thread.

    When this process ends, or drops it, the command ends too.
    """

    def __init__(self, run: RunDir, made: Plan, environ: Mapping[str, str]) -> None:
        self.run, self.made = run, made
        self._environ = dict(environ)
        self._folder = folder_of(run)
        self._guard: Guard | None = None
        self._why = ""
        self._lock = threading.Lock()
        self._begun = time.monotonic()
        self.ended = End()
        """How it ended, once it has."""
        self._view = CaptureView()
        self._watch = _Watch()
        self._over = threading.Event()

    def start(self) -> Capture:
        """Begin, in a thread."""
        threading.Thread(target=self._live, name="torchdoctor-capture", daemon=True).start()
        return self

    def view(self) -> CaptureView:
        """The capture at this instant."""
        view = self._view
        return view if view.finished else replace(view, seconds=time.monotonic() - self._begun)

    def cancel(self, why: str = "cancelled") -> None:
        """End it, and all that it started, within a second."""
        with self._lock:
            self._why = self._why or why
            guard = self._guard
        if guard is not None:
            guard.cancel(why)

    def hand_on(self, number: int) -> None:
        """Give a signal to the command, which ends in its own way, or does not."""
        with self._lock:
            guard = self._guard
        if guard is not None:
            guard.hand_on(number)

    def drop(self) -> None:
        """Let go of the guardian, which ends everything by itself."""
        with self._lock:
            self._why = self._why or "interrupted: the console ended"
            guard = self._guard
        if guard is not None:
            guard.drop()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; whether it came."""
        return self._over.wait(timeout_s)

    # --- the thread ----------------------------------------------------------------------------------------------

    def _live(self) -> None:
        try:
            end = self._guarded()
        except OSError as error:
            end = {"ending": "not-started", "cause": f"cannot be started: {error.strerror or error}", "seconds": 0.0}
        self.ended = told = end_of(self.run) or self._write_end(end)
        self._publish(
            finished=True, exit_code=told.exit_code, signal=told.signal, cause=told.cause,
            seconds=told.seconds if told.seconds is not None else time.monotonic() - self._begun,
        )  # fmt: skip
        self._say_end(told)
        self._finish_run()
        self._over.set()

    def _guarded(self) -> dict[str, Any]:
        guard = Guard(_order(self._folder, self.made, self._environ), program=GUARDIAN)
        with self._lock:
            self._guard = guard
            why = self._why
        if why:
            guard.cancel(why)
        while guard.listen(LOOK_S):
            self._look_at_disk()
        return guard.close()

    def _write_end(self, end: Mapping[str, Any]) -> End:
        """The guardian left no `end.json`: it was killed, or the disk is full."""
        found = End(
            exit_code=end.get("exit_code"), signal=end.get("signal"), cause=str(end.get("cause") or ""),
            seconds=end.get("seconds") or time.monotonic() - self._begun,
        )  # fmt: skip
        try:
            rundir.write_atomically(self._folder / "end.json", msgspec.json.encode(found))
        except OSError:
            self._warn("end.json could not be written: the disk is full, or the run was removed")
        return found

    def _finish_run(self) -> None:
        finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        try:
            self.run.change(finished=finished, seconds=self._view.seconds)
        except (OSError, rundir.RunError) as error:
            self._warn(f"run.json could not be written: {error}")

    def _publish(self, **fields: Any) -> None:
        self._view = replace(self._view, revision=self._view.revision + 1, **fields)

    # --- what is said --------------------------------------------------------------------------------------------

    def _warn(self, words: str) -> None:
        if words not in self._watch.said:
            self._watch.said.add(words)
            self._publish(warnings=(*self._view.warnings, words))

    def _look_at_disk(self) -> None:
        now = time.monotonic()
        if now < self._watch.next_s:
            return
        self._watch.next_s = now + DISK_S
        if _bytes_of(self._folder / "trace") > TRACE_BYTES:
            self._warn(f"the trace has passed {TRACE_BYTES >> 20} MiB and grows with every compile")
        try:
            room = os.statvfs(self._folder)
        except OSError:
            return
        if room.f_bavail * room.f_frsize < ROOM_BYTES:
            self._warn(f"less than {ROOM_BYTES >> 30} GiB are free where this is kept: {self._folder}")

    def _say_end(self, end: End) -> None:
        if end.turns:
            self._warn(f"a stream passed {KEPT_BYTES >> 20} MiB: the last of it is kept, what came earlier is dropped")
        if end.lost_bytes:
            self._warn(f"{end.lost_bytes:,} bytes of its output could not be kept: the disk is full")
        if end.left_behind:
            self._warn(f"what it had left behind was ended: {mask_text('; '.join(end.left_behind))}")


def _order(folder: Path, made: Plan, environ: Mapping[str, str]) -> dict[str, Any]:
    token = secrets.token_hex(16)
    return {
        "folder": str(folder), "boot_id": boot_id(), "token": token, "argv": list(made.argv), "cwd": made.cwd,
        "env": {**environ, **made.env, processes.TOKEN: token}, "cores": [], "rlimits": {}, "remove": [],
        "grace_s": GRACE_S, "kill_s": KILL_S, "limit_s": float("inf"), "import_limit_s": 0.0,
        "kept_bytes": KEPT_BYTES,
    }  # fmt: skip


def _bytes_of(folder: Path) -> int:
    """Bytes of the files of one folder; 0 where it cannot be listed."""
    try:
        with os.scandir(folder) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except OSError:
        return 0


def exit_code_of(end: End) -> int:
    """What a shell would say: the command's own, 128 and the signal's number, 127 for one that could not be run."""
    if end.signal is not None:
        return 128 + int(getattr(signal, end.signal, 0) or _number(end.signal))
    return end.exit_code if end.exit_code is not None else 127


def _number(words: str) -> int:
    """Of `signal 34`, as a real-time signal is named."""
    digits = words.rpartition(" ")[2]
    return int(digits) if digits.isdigit() else 0
