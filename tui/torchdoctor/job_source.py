"""Jobs for the screen: which there are, and how the opened one stands. Threads read, the screen takes snapshots.

All questions that a file system or another's process could hold up are answered by the job desk, a process of its own
(`torchprobes.jobs.desk`). The files of a run directory, which lie in our own state directory, are looked at here,
often: what they say must be on screen within a fraction of a second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from torchprobes.distributed import JOB_OVER, JobSummary

if TYPE_CHECKING:
    from torchprobes.distributed import JobView

    from .interfaces import JobEngines

_log = logging.getLogger("torchdoctor.jobs")
_log.addHandler(logging.NullHandler())

LIST_S: Final = 2.0
LIST_DEADLINE_S: Final = 5.0
LOOK_S: Final = 0.05
"""How often the opened job's files are looked at: a stat each."""

ATTACH_DEADLINE_S: Final = 10.0
STOP_DEADLINE_S: Final = 60.0
WATCHING_S: Final = 1.0
"""How often the desk is asked whether what watches the opened job lives."""

PROBE_S: Final = 1.0
"""How often the files of a probe's ranks are read."""

TAIL_DEADLINE_S: Final = 3.0
PROBE: Final = "probe"
"""The key of the distributed probe's own ranks in the list."""


@dataclass(frozen=True, slots=True)
class Jobs:
    """All that the screen knows of jobs at one instant.

    `listed` is None before the first look; `note` says why there is no list, `unseen` what could not be read of this
    node. `opened` is the key of the job that is
    open, "" for none; `view` how it stands, None while `opening` says what is done about that, or why it is not.
    """

    revision: int = 0
    listed: tuple[JobSummary, ...] | None = None
    note: str = ""
    unseen: tuple[str, ...] = ()
    opened: str = ""
    run: str = ""
    opening: str = ""
    view: JobView | None = None

    @property
    def job(self) -> JobSummary | None:
        """The opened job's row."""
        mine = (job for job in self.listed or () if job.key == self.opened or (self.run and job.run == self.run))
        return next(mine, None)

    @property
    def urgent(self) -> object:
        """What somebody waits for: whether there is a view, how the job stands, and the verdict."""
        view = self.view
        return view and (view.state, view.verdict.cause, view.verdict.ranks, view.verdict.sure)

    @property
    def ours(self) -> bool:
        """Whether torchdoctor launched the opened job."""
        return self.view.ours if self.view is not None else self.job is not None and self.job.ours


class JobSource:
    """Owns the list and the opened job. All methods return at once; what came of an action is told by `tell`."""

    def __init__(
        self, engines: Callable[[], JobEngines], tell: Callable[[str], None], probe: Callable[[], tuple[str, bool]]
    ) -> None:
        self._load, self._tell, self._probe = engines, tell, probe
        self._loaded: JobEngines | None = None
        self._lock = threading.Lock()
        self._state = Jobs()
        self._stopped, self._watched, self._opened = threading.Event(), threading.Event(), threading.Event()
        self.hurry: Callable[[], object] = lambda: None
        """Called in a thread when something came that somebody waits for: all else may wait for the next tick."""
        self._threads = False
        self._attached, self._watching_due = "", 0.0
        """The run directory of the watcher that was started for us, and when it is to be asked for."""
        self._readers: dict[tuple[str, str], Callable[[], JobView | None]] = {}

    # --- for the screen --------------------------------------------------------------------------------------------

    def snapshot(self) -> Jobs:
        """The newest of everything."""
        return self._state

    def watch(self, wanted: bool) -> None:
        """Look while somebody looks at us."""
        if not wanted:
            self._watched.clear()
            return
        self._watched.set()
        if not self._threads:
            self._threads = True
            for name, work in (("jobs", self._list), ("job", self._follow)):
                threading.Thread(target=work, name=f"torchdoctor-{name}", daemon=True).start()

    def stop(self) -> None:
        """Let go: the desk ends with its pipe, and what watches for us ends with the desk."""
        self._stopped.set()
        self._watched.set()
        self._opened.set()
        if self._loaded is not None:
            self._loaded.desk.stop()

    def open(self, key: str, run: str = "") -> None:
        """Open a job: by its run directory, else by attaching to it."""
        self._set(opened=key, run=run, view=None, opening="" if run else "attaching: reading only, no signal is sent")
        self._opened.set()

    def close(self) -> None:
        """Back to the list; a watcher that was started for this job ends."""
        left = self._state
        self._opened.clear()
        self._set(opened="", run="", view=None, opening="")
        if left.opened and left.run:
            self._later(lambda: self.ask("detach", {"run": left.run}, TAIL_DEADLINE_S), quiet=True)

    def ask(self, question: str, arguments: Mapping[str, Any], deadline_s: float) -> Any:
        """Ask the desk and wait: in threads only.

        Raises:
            DeskError: one line: it failed, or gave no answer in time.
        """
        return self._engines().desk.ask(question, arguments, deadline_s)

    def diagnose(self) -> None:
        """Collect evidence of the opened job now."""
        run = self._state.run
        self._later(lambda: self._tell(self._engines().diagnose(run)))

    def end(self, job: JobSummary) -> None:
        """Stop a job of ours; what came of it is told."""
        self._later(lambda: self._tell(str(self.ask("stop", {"run": job.run}, STOP_DEADLINE_S))))

    def export(self) -> None:
        """Write the opened job as a document; where it is, is told."""
        view, run = self._state.view, self._state.run
        if view is not None and run:
            self._later(lambda: self._tell("exported " + self._engines().export(view, run)))

    def tail(self, path: str, lines: int, done: Callable[[Sequence[str], str], None]) -> None:
        """The last lines of a log, told to `done` in a thread, or why there are none."""

        def read() -> None:
            try:
                done(tuple(self.ask("tail", {"path": path, "lines": lines}, TAIL_DEADLINE_S)), "")
            except Exception as error:  # noqa: BLE001 - whatever a file system did: it is shown
                done((), str(error) or type(error).__name__)

        threading.Thread(target=read, name="torchdoctor-tail", daemon=True).start()

    # --- inside ----------------------------------------------------------------------------------------------------

    def _engines(self) -> JobEngines:
        """What answers; waits until the console has started."""
        if self._loaded is None:
            engines = self._load()
            with self._lock:
                self._loaded = self._loaded or engines
        return self._loaded

    def _set(self, **changes: Any) -> None:
        with self._lock:
            urgent = self._state.urgent
            if any(getattr(self._state, name) != value for name, value in changes.items()):
                self._state = replace(self._state, revision=self._state.revision + 1, **changes)
            hurry = self._state.urgent != urgent
        if hurry and not self._stopped.is_set():
            self.hurry()

    def _later(self, work: Callable[[], object], quiet: bool = False) -> None:
        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - one line for the person, the rest for the own log
                _log.exception("a job's action")
                if not quiet:
                    self._tell(str(error) or type(error).__name__)

        threading.Thread(target=run, name="torchdoctor-job-action", daemon=True).start()

    def _list(self) -> None:
        """Ask which jobs there are, again and again."""
        if self._state.opened:  # a job was named: its own screen first, and the desk, which takes a core to start, then
            self._stopped.wait(LIST_S)
        while not self._stopped.is_set():
            self._watched.wait()
            try:
                found = self.ask("list", {}, LIST_DEADLINE_S)
                mine, rows = self._mine(), tuple(listed(row) for row in found["jobs"])
                others = (row for row in rows if not any(probe.run in row.command for probe in mine))
                self._set(listed=(*mine, *others), unseen=tuple(map(str, found["notes"])), note="")
            except Exception as error:  # noqa: BLE001 - the list stays as it was, says so, and is asked for again
                self._set(note=f"jobs cannot be listed: {error}")
            self._stopped.wait(LIST_S)

    def _mine(self) -> tuple[JobSummary, ...]:
        """The ranks of the distributed probe as a job, if there are some."""
        folder, _ = self._probe()
        if not folder:
            return ()
        view = self._reader(PROBE, folder)()
        if view is None or not view.ranks:
            return ()
        verdict = view.verdict
        row = JobSummary(
            key=PROBE, name=view.command, launcher="probe", ranks=len(view.ranks), world_size=view.world_size,
            state=view.state, run=folder, cause=verdict.cause, sure=verdict.sure, line=verdict.line,
        )  # fmt: skip
        return (row,)

    def _reader(self, key: str, run: str) -> Callable[[], JobView | None]:
        """What reads the view of a run; kept, because it follows files by offset."""
        if (key, run) not in self._readers:
            engines, local = self._engines(), key == PROBE and self._probe()[1]
            self._readers[key, run] = engines.ranks(run, local) if key == PROBE else engines.views(run)
        return self._readers[key, run]

    def _follow(self) -> None:
        """Read the opened job, whenever its files changed."""
        while not self._stopped.is_set():
            self._opened.wait()
            self._watched.wait()
            state, fails = self._state, False
            try:
                if state.opened and not state.run:
                    self._opened.clear()  # one that cannot be attached to is not tried again by itself
                    self._attach(state.opened)
                    self._opened.set()
                elif state.opened:
                    self._take(state, self._reader(state.opened, state.run)())
                    self._see_watcher(state)
            except Exception as error:  # noqa: BLE001 - the files of a dying job may be anything
                _log.exception("the opened job")
                self._failed(state, str(error) or type(error).__name__)
                fails = True
            self._stopped.wait(LIST_S if fails else PROBE_S if state.opened == PROBE else LOOK_S)

    def _take(self, asked: Jobs, view: JobView | None) -> None:
        if view is not None and view is not self._state.view and self._is_open(asked):
            self._set(view=view, opening="")

    def _see_watcher(self, asked: Jobs) -> None:
        """Say so if what watches a foreign job for us has died: its view stays as it was."""
        over = self._state.view is not None and self._state.view.state in JOB_OVER
        if asked.run != self._attached or over or time.monotonic() < self._watching_due:
            return
        self._watching_due = time.monotonic() + WATCHING_S
        said = str(self.ask("watching", {"run": asked.run}, TAIL_DEADLINE_S) or "")
        if said and self._is_open(asked):
            self._set(opening=said)

    def _is_open(self, asked: Jobs) -> bool:
        return (self._state.opened, self._state.run) == (asked.opened, asked.run)

    def _attach(self, key: str) -> None:
        run = str(self.ask("attach", {"job": key}, ATTACH_DEADLINE_S))
        if self._state.opened == key and not self._state.run:
            self._attached = run
            self._set(run=run, opening="watching: its first evidence is on its way")
        else:  # it was closed meanwhile
            self.ask("detach", {"run": run}, TAIL_DEADLINE_S)

    def _failed(self, asked: Jobs, why: str) -> None:
        if self._is_open(asked):
            self._set(opening=why)


def listed(row: Mapping[str, Any]) -> JobSummary:
    """A row of the desk's answer; what we do not know of it is passed over."""
    return msgspec.convert(row, JobSummary)
