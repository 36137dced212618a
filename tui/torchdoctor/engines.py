"""The machine half behind the console: how each of its questions is answered for real.

Importing this module imports the machine half; the console does so in a thread, after its first frame.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from torchprobes import child, rundir
from torchprobes.model import Report
from torchprobes.samples import Sample
from torchprobes.target import TargetChoice, find_targets
from torchprobes.telemetry import Sampler

from . import early
from .interfaces import DeskLike, Engines, JobEngines, SamplerLike
from .settings import Settings

TARGET_DEADLINE_S: Final = 10.0
TMUX_S: Final = 2.0
EARLIER: Final = 30
"""How many earlier runs there are to choose from."""

PROCESS_S: Final = 3.0
"""How long the files of a process in /proc may take: they wait for its memory lock."""


def real() -> Engines:
    """The real ones. A check looks at the same telemetry as the screen: who uses a GPU, and who comes."""
    samplers: list[Sampler] = []

    def sampler(settings: Settings) -> SamplerLike:
        if settings.replay is not None:
            played: SamplerLike = import_module("torchprobes.telemetry.recording.replay").Replay(
                Path(settings.replay), settings.thresholds
            )
            return played
        samplers.append(
            Sampler(settings.rate_hz, first_child=early.take(settings.rate_hz), thresholds=settings.thresholds)
        )
        return samplers[-1]

    def newest() -> Sample | None:
        return samplers[-1].latest()[1] if samplers else None

    return Engines(
        sampler=sampler,
        find_target=_find_target,
        make_check=lambda settings, target, probes: _checks().make(settings, _place(settings), target, probes, newest),
        finish=lambda run, findings, seconds: _checks().finish(run, findings, seconds, newest()),
        last_report=_last_report,
        earlier=_earlier,
        reports=_report_desk,
        copy=_copy,
        jobs=_jobs,
        logs=lambda root: import_module("torchprobes.compilelog.engine").Engine(root).start(),
        exports=_exports,
        inspect=_inspect,
        signal=lambda *process: str(import_module(".signals", __package__).send(*process)),
    )


def _checks() -> Any:
    """What runs and judges probes: half of the modules, imported when the first of it is asked for."""
    return import_module(".checks", __package__)


def _jobs(settings: Settings) -> JobEngines:
    """Questions go to a process of its own; the files of a run directory are read here."""
    desk = import_module(".desk", __package__).Desk(str(_place(settings)))

    def files() -> Any:
        return import_module(".job_files", __package__)

    return JobEngines(
        desk=desk,
        views=lambda run: files().views(run, desk),
        ranks=lambda folder, local: files().ranks(folder, local),
        diagnose=lambda run: str(files().diagnose(run)),
        export=lambda view, run: str(files().export(view, run)),
    )


def _report_desk(settings: Settings) -> DeskLike:
    """Runs and reports are listed, read and compared in a process of its own."""
    module = import_module(".desk", __package__)
    desk: DeskLike = module.Desk(str(_place(settings)), module.REPORTS)
    return desk


def _exports(settings: Settings) -> str:
    """The folder that exports of logs go into, made if it is not there."""
    folder = _place(settings).parent / "exports"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return str(folder)


def _find_target(settings: Settings) -> TargetChoice:
    return find_targets(settings.python, settings.target, TARGET_DEADLINE_S)


def _place(settings: Settings) -> Path:
    return Path(rundir.choose_place(settings.out).path)


def _last_report(settings: Settings) -> tuple[str, Report] | None:
    for run in rundir.list_runs(_place(settings)):
        if run.report.exists():
            return str(run.path), _masked(str(run.path))
    return None


def _masked(path: str) -> Report:
    """A report as the screen shows it."""
    level = import_module(".report_source", __package__).DEFAULT_LEVEL
    report: Report = import_module("torchprobes.reports.keeping").masked(path, level)[0]
    return report


def _earlier(settings: Settings) -> list[tuple[str, Report]]:
    """The newest runs that came to their end, newest first; one that cannot be read is passed over."""
    found: list[tuple[str, Report]] = []
    for run in rundir.list_runs(_place(settings)):
        if len(found) == EARLIER:
            break
        with contextlib.suppress(rundir.RunError):
            if run.report.exists():
                found.append((str(run.path), _masked(str(run.path))))
    return found


def _inspect(pid: int, started: int | None) -> child.Answer:
    return child.start("process", {"pid": pid, "started": started}, PROCESS_S)


def _copy(settings: Settings, text: str) -> str:
    """Into a file beside the runs; and to tmux, which drops what a program sends to the clipboard itself."""
    path = _place(settings).parent / "copied.txt"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    rundir.write_atomically(path, text.encode("utf-8", "backslashreplace"))
    tmux = shutil.which("tmux") if os.environ.get("TMUX") else None
    if tmux:
        subprocess.run([tmux, "load-buffer", "-w", "-"], input=text.encode(), cwd="/", timeout=TMUX_S, check=False)
    return str(path)
