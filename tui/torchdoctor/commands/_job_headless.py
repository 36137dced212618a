"""A launched job followed without a screen: what is printed, what a signal does, and the exit code."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from torchprobes.distributed import JobVerdict, JobView
from torchprobes.jobs import control
from torchprobes.jobs.node import NodeFolder
from torchprobes.jobs.nodes import merged_view
from torchprobes.reports import exit_codes
from torchprobes.reports.text import mask, plain
from torchprobes.rundir import RunDir, RunError

from ._job_follow import OVER, Followed, follow
from ._job_shown import shown
from ._job_text import document_of, exit_code, job_lines, verdict_line
from ._output import Destination, Undelivered, note, say
from .runs import terminal_width

STOP_S = 60.0
LAST_VIEW_S = 8.0
"""After the supervisors have ended: for the last views of other nodes on a slow file system."""


@dataclass(frozen=True, slots=True)
class Headless:
    """How a launch is followed. `bound`: the job ends with this command, so a signal stops it."""

    json_to: Destination | None = None
    stop_on_hang: bool = False
    bound: bool = False

    def follow_own(self, run: RunDir, node: NodeFolder) -> int:
        """Follow a job whose supervisor runs on this node; the exit code."""
        return self._follow(run, lambda _: control.supervisor(node) is None)

    def follow_step(self, run: RunDir, process: subprocess.Popen[bytes], log: Path) -> int:
        """Follow a job whose agents run in an srun of ours; its own last words are told where there is no view."""
        bound = Headless(self.json_to, self.stop_on_hang, bound=True)  # it ends with the batch script anyway
        code = bound._follow(run, lambda _: process.poll() is not None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
        if process.poll() is None:
            process.terminate()
        if merged_view(run) is None:
            for line in _last_lines(log):
                note(plain(mask(f"srun: {line}")))
        return code

    def _follow(self, run: RunDir, ended: Callable[[JobView | None], bool]) -> int:
        stopper = _Stopper(run)
        tell = note if self._json_on_stdout else lambda line: say(line + "\n")
        followed = follow(
            shown(run), ended, tell,
            react=lambda view: self._react(view, stopper), on_signal=lambda count: self._signalled(run, stopper, count),
        )  # fmt: skip
        if followed.signal is not None and not self.bound:
            return exit_codes.of_signal(followed.signal)
        followed.view = _with_hang(_last_view(run, followed.view), stopper.hang)
        stopper.join()
        code = self._deliver(run, followed)
        return code if followed.signal is None else exit_codes.of_signal(followed.signal)

    @property
    def _json_on_stdout(self) -> bool:
        return self.json_to is not None and self.json_to.is_stdout

    def _react(self, view: JobView, stopper: _Stopper) -> None:
        if self.stop_on_hang and view.state == "stuck" and view.verdict.sure:
            stopper.hang = stopper.hang or view.verdict
            stopper.ask(f"stopping: {verdict_line(view)}")

    def _signalled(self, run: RunDir, stopper: _Stopper, count: int) -> bool:
        """Whether following ends here: a job that is not bound to us goes on without us."""
        if not self.bound:
            note(f"the job goes on: `torchdoctor attach {run.name}` shows it, `torchdoctor stop {run.name}` ends it")
            return True
        stopper.ask("stopping the job; once more and it hurries" if count == 1 else "hurrying")
        return False

    def _deliver(self, run: RunDir, followed: Followed) -> int:
        view = followed.view
        if view is None:
            note(f"torchdoctor: nothing was seen of the job: {_why_nothing(run)}")
            return exit_codes.INCOMPLETE
        codes = [exit_code(view)]
        if not self._json_on_stdout:
            say("\n".join(["", *job_lines(view, terminal_width())]) + "\n")
        if self.json_to is not None:
            try:
                self.json_to.deliver(document_of(view))
            except Undelivered as error:
                note(f"torchdoctor: {error}")
                codes.append(exit_codes.INCOMPLETE)
        note(f"run: {run.path}")
        return exit_codes.first(codes)


class _Stopper:
    """Stops a job in a thread, so that its end is followed meanwhile; asked again, it hurries."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._threads: list[threading.Thread] = []
        self._said: set[str] = set()
        self.hang: JobVerdict | None = None
        """The sure hang for which it was stopped: that is the verdict, not that we ended it."""

    def ask(self, why: str) -> None:
        if why in self._said:
            return
        self._said.add(why)
        note(plain(mask(why)))
        thread = threading.Thread(target=self._stop, daemon=True, name="stop")
        self._threads.append(thread)
        thread.start()

    def _stop(self) -> None:
        try:
            note(plain(control.stop(self._run, STOP_S)))
        except RunError as error:
            note(f"torchdoctor: {error}")

    def join(self) -> None:
        for thread in self._threads:
            thread.join(2.0)


def _with_hang(view: JobView | None, hang: JobVerdict | None) -> JobView | None:
    if view is None or hang is None or view.verdict.cause != "cancelled":
        return view
    return msgspec.structs.replace(view, verdict=hang)


def _last_view(run: RunDir, view: JobView | None) -> JobView | None:
    """The view after the end: other nodes may still be writing theirs."""
    deadline = time.monotonic() + LAST_VIEW_S
    while (newest := merged_view(run) or view) is None or newest.state not in OVER:
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)
    return newest


def _why_nothing(run: RunDir) -> str:
    """The last words of what should have told."""
    for name in ("watcher.err", "supervisor.err", "agent.log"):
        for path in sorted((run.path / "nodes").glob(f"*/{name}")):
            lines = _last_lines(path)
            if lines:
                return f"{name}: {plain(mask(lines[-1]), 300)}"
    return "no node wrote a view"


def _last_lines(path: Path, count: int = 5) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            lines = file.read(8192).decode(errors="replace").splitlines()
    except OSError:
        return []
    return [line for line in lines if line.strip()][-count:]
