"""Checks of small faulty payloads: real guardians, real processes, no torch."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torchprobes import rundir
from torchprobes.catalogue import Probe
from torchprobes.judge.verdict import judge
from torchprobes.model import Judgement, Readings, Result, Target, Tier, Verdict
from torchprobes.rundir import RunDir
from torchprobes.runner.check import Check, Options
from torchprobes.runner.command import Command, Plan
from torchprobes.samples import Sample

FAULTS = Path(__file__).parent / "faults.py"
DEADLINE_S = 60.0
TARGET = Target(python=sys.executable, torch="none is needed")


def probe(fault: str, *, limit_s: float = 30.0, **fields: Any) -> Probe:
    """A row whose payload does `fault`."""
    return Probe(f"fault.{fault}", Tier.QUICK, "Does it end?", "faults", limit_s, {"fault": fault}, **fields)


def from_here(_probe: Probe, _target: Target, _request: Mapping[str, Any], plan: Plan) -> Command:
    """The payload of these tests."""
    return Command(argv=(plan.python, "-B", plan.bootstrap, str(FAULTS)))


def lenient(row: Probe, readings: Readings) -> Judgement:
    """The real rules, but what ended by itself passes: these payloads measure nothing."""
    if readings.outcome.ending == "ended" and readings.outcome.skip is None:
        return Judgement(verdict=Verdict.PASS, reason="ended", evidence=readings.evidence)
    return judge(row, readings)


def make(
    place: Path, *probes: Probe, options: Options | None = None, samples: Callable[[], Sample | None] = lambda: None
) -> Check:
    """A check of `probes` in a new run."""
    run = rundir.create(place, "check", target=TARGET, probes=tuple(p.name for p in probes))
    return over(run, *probes, options=options, samples=samples)


def over(
    run: RunDir, *probes: Probe, options: Options | None = None, samples: Callable[[], Sample | None] = lambda: None
) -> Check:
    """A check of `probes` in a run that is there."""
    chosen = options or Options(device="cpu", slots=4, grace_s=0.3)
    return Check(run, TARGET, probes, chosen, {"plain": from_here}, judge=lenient, samples=samples)


def until(test: Callable[[], object], what: str) -> None:
    """Wait for an event."""
    deadline = time.monotonic() + DEADLINE_S
    while not test():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def finish(check: Check) -> dict[str, Result]:
    """Run it to its end; results by the fault's name."""
    check.start()
    assert check.wait(DEADLINE_S), check.view()
    return {view.name.partition(".")[2]: view.result for view in check.view().probes if view.result is not None}


def left_of(run: str | Path) -> list[str]:
    """Living processes that were started for this run: their environment names a file in it."""
    mark = os.fsencode(str(run)) + b"/"
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            environ = Path(f"/proc/{name}/environ").read_bytes()
            command = Path(f"/proc/{name}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in environ and int(name) != os.getpid():
            found.append(f"{name} {command}")
    return found
