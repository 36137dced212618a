"""Where the screen's data comes from: the sampler, the target, the running check, the last report.

Each source has a plain daemon thread of its own or is polled without waiting; the app's one timer takes an immutable
snapshot of all of them. Nothing here waits for a disk, a driver or a child on the screen's thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from torchprobes.model import Finding, Report, Target, Verdict
from torchprobes.samples import KernelEvent, ProcessSample, Sample

from . import early, later
from .live import Live

if TYPE_CHECKING:
    from torchprobes.catalogue import Probe
    from torchprobes.runner.snapshot import CheckView, ProbeView

    from .interfaces import (
        AnswerLike,
        CheckLike,
        DeskLike,
        Engines,
        HistoryLike,
        JobEngines,
        LogEngineLike,
        PastLike,
        ReplayLike,
    )
    from .job_source import JobSource
    from .report_source import ReportSource
    from .settings import Settings

_log = logging.getLogger("torchdoctor.sources")
_log.addHandler(logging.NullHandler())  # without the own log nothing is written, and never onto the screen

JOB: Final = "ddp.allreduce"
"""The probe whose ranks the Jobs pane shows as a job."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the screen knows at one instant. `revision` differs whenever anything else does.

    `sampler` says in words what is wrong with the sampler, "" if nothing is; `target_note` why there is no target
    yet; `report_note` why there is no report. `earlier` are the runs that were asked for, by folder, `earlier_note` why
    there are none. `run` is the newest check's folder. `history` and `past` are asked by
    views for what they draw, and go on by themselves; `xids` has the newest XID of each GPU, `rate_hz` how many
    samples a second really came.
    """

    revision: object = 0
    sample: Sample | None = None
    sampler: str = ""
    findings: tuple[Finding, ...] = ()
    verdict: str = ""
    history: HistoryLike | None = None
    past: PastLike | None = None
    xids: Mapping[str, KernelEvent] = field(default_factory=dict)
    rate_hz: float = 0.0
    target: Target | None = None
    target_why: str = ""
    target_note: str = "looking for a Python with torch"
    probes: Mapping[str, ProbeView] = field(default_factory=dict)
    run: str = ""
    busy: bool = False
    report: Report | None = None
    report_run: str = ""
    report_note: str = "no check has been run here yet"
    earlier: Sequence[tuple[str, Report]] | None = None
    earlier_note: str = ""
    replay: bool = False


class Sources:
    """Owns the sources; all methods return at once and may be called on the screen's thread."""

    def __init__(self, settings: Settings, load: Callable[[], Engines]) -> None:
        self.settings = settings
        self.notices = [settings.note] if settings.note else []
        """Lines for the person that came up in a thread; the app takes and shows them."""
        self._load = load
        self._state = self._shown = Snapshot(replay=settings.replay is not None)
        self._changes = 0
        self._lock = threading.Lock()
        self._engines: Engines | None = None
        self._live: Live | None = None
        self._check: CheckLike | None = None
        self._noted = ""
        self._stopped = threading.Event()
        self._loaded = threading.Event()
        """Whether the machine half is there, or cannot come."""
        self._looked = threading.Event()
        """Whether the search for a target is over."""
        self._jobs: JobSource | None = None
        self._reports: ReportSource | None = None

    # --- life --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look, each source in its own thread."""
        _thread("sources", self._open)

    def stop(self) -> None:
        """Let go of everything within milliseconds: guardians and the sampler end by themselves."""
        self._stopped.set()
        if self._check is not None:
            self._check.abandon()
        if self._live is not None:
            self._live.sampler.stop()
        for source in (self._jobs, self._reports):
            if source is not None:
                source.stop()

    def _open(self) -> None:
        try:
            self._engines = engines = self._load()
            self._loaded.set()
            sampler = engines.sampler(self.settings)
            sampler.start()
            self._live = Live(sampler, self.settings.slow)
        except Exception as error:  # noqa: BLE001 - a console without telemetry still runs probes, and says why
            _log.exception("the sampler")
            self._set(sampler=f"no telemetry: {error}")
        self._loaded.set()
        _thread("target", self._find_target)
        _thread("report", self._read_report)

    def _find_target(self) -> None:
        if self.settings.replay is not None:
            self._set(target_note="a recording is shown")
            self._looked.set()
            return
        try:
            found = self._need().find_target(self.settings)
        except Exception as error:  # noqa: BLE001 - whatever a file system or an interpreter did: it is shown
            self._set(target_note=str(error) or type(error).__name__)
            self._looked.set()
            return
        note = "" if found.chosen else f"no Python with torch: {found.why}"
        self._set(target=found.chosen, target_why=found.why, target_note=note)
        self._looked.set()

    def _need(self) -> Engines:
        if self._engines is None:
            raise RuntimeError("the console has not finished starting")
        return self._engines

    def _set(self, **changes: Any) -> None:
        with self._lock:
            self._changes += 1
            self._state = replace(self._state, **changes)

    # --- the snapshot --------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The newest of everything; called on the screen's thread only."""
        self._take_sample()
        check = self._check
        view = check.view() if check is not None else None
        revision = (self._changes, id(check), view.revision if view is not None else -1)
        if self._shown.revision != revision:
            self._shown = self._joined(view, revision)
        return self._shown

    def _joined(self, view: CheckView | None, revision: object) -> Snapshot:
        if view is None:
            return replace(self._state, revision=revision)
        probes = {**self._state.probes, **{probe.name: probe for probe in view.probes}}
        busy = self._state.busy and not view.finished
        if view.note and view.note != self._noted:
            self._noted = view.note
            self.notices.append(view.note)
        return replace(self._state, revision=revision, probes=probes, run=view.run, busy=busy)

    def _take_sample(self) -> None:
        if self._live is None or self._state.sample is None:
            self._take_first()
        if self._live is not None and (changes := self._live.changes(self._state.sampler)):
            self._set(**changes)

    def _take_first(self) -> None:
        """The first sample as the child said it, before there is anybody to judge it: readings without a verdict."""
        line = early.first_line()
        if line and self._state.sample is None:
            with contextlib.suppress(msgspec.MsgspecError):
                self._set(sample=msgspec.json.decode(line, type=Sample))

    @property
    def replay(self) -> ReplayLike | None:
        """The recording that is played instead of live telemetry."""
        return self._live.replay if self._live is not None else None

    # --- processes -----------------------------------------------------------------------------------------------

    def inspect(self, process: ProcessSample) -> AnswerLike | None:
        """Ask a killable child about a process; its answer is polled. None before the console has started."""
        engines = self._engines
        return None if engines is None else engines.inspect(process.pid, _started(process))

    def signal(self, process: ProcessSample, number: int) -> None:
        """Send a signal to a process on a GPU, if it is still that one and ours; a notice says what came of it."""

        def send() -> str:
            refused = self._need().signal(process.pid, _started(process), number)
            name = signal.Signals(number).name
            return f"{name} not sent: {refused}" if refused else f"{name} sent to {process.pid}"

        if self.settings.read_only:
            self.notices.append("--read-only: no signal is sent")
        else:
            self._tell("no signal sent", send)

    # --- the check ---------------------------------------------------------------------------------------------

    def run(self, probes: Sequence[Probe]) -> str:
        """Run these probes as a new check, as soon as the target is known; why that cannot be done, or ""."""
        if self.snapshot().busy:
            return "a check is running: c cancels it"
        cause = self._why_not() if self._looked.is_set() or self._is_barred() else ""
        if not cause:
            self._keep_results()
            self._set(busy=True)
            _thread("check", lambda: self._run(tuple(probes)))
        return cause

    def _is_barred(self) -> bool:
        """Whether nothing is ever run here, whatever the target."""
        return self.settings.read_only or self.settings.replay is not None

    def _why_not(self) -> str:
        target = self._state.target
        if self.settings.read_only:
            return "--read-only: nothing is run"
        if self.settings.replay is not None:
            return "a recording is shown: nothing is run on its GPUs"
        if target is None:
            return self._state.target_note
        return target.refusal if target.refusal and not self.settings.as_root else ""

    def _keep_results(self) -> None:
        """Results of the check before stay on screen beside those of the next."""
        self._set(probes=self.snapshot().probes)

    def _run(self, probes: tuple[Probe, ...]) -> None:
        try:
            self._looked.wait()
            cause, target = self._why_not(), self._state.target
            if cause or target is None:
                self.notices.append(cause)
            else:
                self._run_on(target, probes)
        except Exception as error:  # noqa: BLE001 - one line for the person, the rest for the own log
            _log.exception("the check")
            self.notices.append(str(error) or type(error).__name__)
        self._set(busy=False)
        self._read_report()

    def _run_on(self, target: Target, probes: tuple[Probe, ...]) -> None:
        """Run a check to its end, and make its report."""
        began, engines = time.monotonic(), self._need()
        run, check = engines.make_check(self.settings, target, probes)
        check.start()
        self._check = check
        if self._stopped.is_set():
            check.abandon()
        check.wait()
        engines.finish(run, self._state.findings, time.monotonic() - began)

    def cancel(self, name: str | None = None) -> None:
        """Cancel one probe of the running check, or all."""
        if self._check is not None:
            self._check.cancel(name)

    # --- reports and jobs ----------------------------------------------------------------------------------------

    def _read_report(self) -> None:
        try:
            found = self._need().last_report(self.settings)
        except Exception as error:  # noqa: BLE001 - a broken report is a line on its pane
            self._set(report_note=str(error) or type(error).__name__)
            return
        if found is not None:
            self._set(report_run=found[0], report=found[1], report_note="")

    def read_earlier(self) -> None:
        """Read the runs of this machine that came to their end, but for the one that is on screen."""
        self._set(earlier=None, earlier_note="reading the runs of this machine")

        def read() -> None:
            try:
                runs = self._need().earlier(self.settings)
            except Exception as error:  # noqa: BLE001 - a home that is gone is a line on the screen
                self._set(earlier_note=str(error) or type(error).__name__)
                return
            shown = self.run_folder()
            left = tuple(run for run in runs if run[0] != shown)
            self._set(earlier=left, earlier_note="" if left else "there is no earlier run on this machine")

        _thread("earlier", read)

    def copy(self, text: str) -> None:
        """Keep a copied text in a file, and give it to tmux; a notice says where it is."""
        self._tell("not copied into a file", lambda: "copied " + self._need().copy(self.settings, text))

    def _tell(self, otherwise: str, work: Callable[[], str]) -> None:
        """Do it in a thread, and tell the person what came of it."""

        def done() -> None:
            try:
                self.notices.append(work())
            except Exception as error:  # noqa: BLE001 - a full disk is a line on the screen
                self.notices.append(f"{otherwise}: {error}")

        _thread("write", done)

    @property
    def jobs(self) -> JobSource:
        """Where jobs come from, made when it is first asked for."""
        if self._jobs is None:
            self._jobs = later.job_source(self._job_engines, lambda text: self.notices.append(text), self._job)
        return self._jobs

    def _job_engines(self) -> JobEngines:
        """What answers questions about jobs; in a thread, as soon as it is there."""
        self._loaded.wait()
        return self._need().jobs(self.settings)

    @property
    def reports(self) -> ReportSource:
        """Where reports come from, made when it is first asked for."""
        if self._reports is None:
            self._reports = later.report_source(self._report_desk, lambda text: self.notices.append(text))
        return self._reports

    def _report_desk(self) -> DeskLike:
        """What answers questions about reports; in a thread, as soon as it is there."""
        self._loaded.wait()
        return self._need().reports(self.settings)

    def log_engine(self, root: str) -> LogEngineLike:
        """What follows and explains the files below `root`, started; in a thread, as soon as it is there."""
        self._loaded.wait()
        return self._need().logs(root)

    def exports_folder(self) -> str:
        """Where exports of logs go; in a thread.

        Raises:
            OSError: it cannot be made.
        """
        return self._need().exports(self.settings)

    def _job(self) -> tuple[str, bool]:
        """The folder of the distributed probe that runs or ran last ("": none), and whether it is this session's."""
        check = self._check
        views = check.view().probes if check is not None else ()
        folder = next((view.folder for view in views if view.name == JOB), "")
        stored = os.path.join(self._state.report_run, "probes", JOB) if self._state.report_run else ""
        return (folder, True) if folder else (stored, False)

    def run_folder(self) -> str:
        """The folder of the newest check, "" without one."""
        check = self._check
        return check.view().run if check is not None else self._state.report_run

    def take_notices(self) -> list[str]:
        """Lines that came up since the last call."""
        taken, self.notices = self.notices, []
        return taken


def verdicts(snapshot: Snapshot) -> dict[Verdict, int]:
    """How many probes of this session came to what."""
    found = [view.result.verdict for view in snapshot.probes.values() if view.result is not None]
    return {verdict: found.count(verdict) for verdict in Verdict if verdict in found}


def _started(process: ProcessSample) -> int | None:
    """When it was started, in the kernel's ticks after boot; None where that is not known."""
    return process.started if isinstance(process.started, int) else None


def _thread(name: str, work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, name=f"torchdoctor-{name}", daemon=True)
    thread.start()
    return thread
