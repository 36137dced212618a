"""Checks of the console: run and reported.

Everything here is called in threads: it reads and writes the state directory, and imports the runner and the judge.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from torchprobes import rundir
from torchprobes.catalogue import Probe
from torchprobes.environment import describe_node
from torchprobes.jobs import BUILDERS
from torchprobes.model import Finding, Target
from torchprobes.reports import write
from torchprobes.rundir import RunDir
from torchprobes.runner import graphs
from torchprobes.runner.check import Check, Options
from torchprobes.samples import Sample

from .settings import Settings

MACHINE_DEADLINE_S: Final = 5.0


def make(
    settings: Settings, place: Path, target: Target, probes: Sequence[Probe], samples: Callable[[], Sample | None]
) -> tuple[RunDir, Check]:
    """A new run below `place`, and the check that fills it; `samples` gives the newest telemetry.

    Raises:
        RunError: if the run cannot be written.
        GraphFileError: if a graph is to be run that is none, or whose program may not be run here.
    """
    names, file = tuple(probe.name for probe in probes), graphs.file_of(probes)
    graph = graphs.checked(file, as_root=settings.as_root) if file else ""
    tier, device = settings.tier.value, settings.device
    run = rundir.create(place, "check", target=target, tier=tier, device=device, probes=names, graph=graph)
    options = Options(device=device, force=settings.force, as_root=settings.as_root, compile_debug=True, graph=graph)
    return run, Check(run, target, graphs.placed(probes, graph), options, BUILDERS, samples=samples)


def finish(run: RunDir, findings: tuple[Finding, ...], seconds: float, sample: Sample | None) -> None:
    """Make the report of a run that came to its end.

    Raises:
        RunError, OSError: if it cannot be written; the finished results stay.
    """
    write.record_machine(run, describe_node(run.info.target, MACHINE_DEADLINE_S), findings, sample)
    finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    run.change(finished=finished, seconds=seconds)
    write.write(run)
