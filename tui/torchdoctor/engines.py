"""The machine half behind the console: how each of its questions is answered for real.

Importing this module imports the machine half; the console does so in a thread, after its first frame.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from torchprobes import rundir
from torchprobes.model import Report
from torchprobes.reports import read
from torchprobes.samples import Sample
from torchprobes.target import TargetChoice, find_targets
from torchprobes.telemetry import Sampler
from torchprobes.telemetry.history import Ring

from .interfaces import HOST_KEY, Engines, History
from .settings import Settings

TARGET_DEADLINE_S: Final = 10.0
TMUX_S: Final = 2.0
PLOTTED: Final = 240
"""Samples of a series that a plot can show; the widest screen has no more columns for them."""


def real() -> Engines:
    """The real ones. A check looks at the same telemetry as the screen: who uses a GPU, and who comes."""
    samplers: list[Sampler] = []

    def sampler(settings: Settings) -> Sampler:
        samplers.append(Sampler(rate_hz=settings.rate_hz))
        return samplers[-1]

    def newest() -> Sample | None:
        return samplers[-1].latest()[1] if samplers else None

    return Engines(
        sampler=sampler,
        history=_Histories(),
        find_target=_find_target,
        make_check=lambda settings, target, probes: _checks().make(settings, _place(settings), target, probes, newest),
        finish=lambda run, findings, seconds: _checks().finish(run, findings, seconds, newest()),
        last_report=_last_report,
        export=lambda report, run: _checks().export_beside(report, run),
        copy=_copy,
        ranks=lambda folder, local: _checks().ranks(folder, local),
    )


def _checks() -> Any:
    """What runs and judges probes: half of the modules, imported when the first of it is asked for."""
    return import_module(".checks", __package__)


def _find_target(settings: Settings) -> TargetChoice:
    return find_targets(settings.python, settings.target, TARGET_DEADLINE_S)


def _place(settings: Settings) -> Path:
    return Path(rundir.choose_place(settings.out).path)


def _last_report(settings: Settings) -> tuple[str, Report] | None:
    for run in rundir.list_runs(_place(settings)):
        if run.report.exists():
            return str(run.path), read.read_run(run)
    return None


def _copy(settings: Settings, text: str) -> str:
    """Into a file beside the runs; and to tmux, which drops what a program sends to the clipboard itself."""
    path = _place(settings).parent / "copied.txt"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    rundir.write_atomically(path, text.encode("utf-8", "backslashreplace"))
    tmux = shutil.which("tmux") if os.environ.get("TMUX") else None
    if tmux:
        subprocess.run([tmux, "load-buffer", "-w", "-"], input=text.encode(), cwd="/", timeout=TMUX_S, check=False)
    return str(path)


class _Histories:
    """What was read before, as the screen plots it; the CPU's series is kept here, the GPUs' by their sampler."""

    def __init__(self) -> None:
        self._cpu = Ring(PLOTTED)

    def __call__(self, sampler: Sampler, sample: Sample) -> Mapping[str, History]:
        """All series, by UUID; called once a sample."""
        cpu = sample.host.cpu_percent
        self._cpu.push(float(cpu) if isinstance(cpu, (int, float)) else math.nan)
        past, step_s = sampler.history, 1 / sampler.history.rate_hz
        found = {HOST_KEY: History(self._cpu.last(PLOTTED), step_s)}
        for gpu in sample.gpus:
            series = past.series(gpu.uuid, "utilization_percent")
            if series is not None:
                found[gpu.uuid] = History(series.full.last(PLOTTED), step_s)
        return found
