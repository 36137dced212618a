"""One headless check from its target to its report."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec

import torchdoctor
import torchprobes
from torchdoctor.settings import Settings
from torchprobes import catalogue, rundir
from torchprobes.catalogue import Probe
from torchprobes.environment import describe_node, is_settled, likeness
from torchprobes.jobs import BUILDERS
from torchprobes.model import Report, Result, Target
from torchprobes.reports import write
from torchprobes.reports.text import plain
from torchprobes.rundir import RunDir
from torchprobes.runner import graphs, recovery
from torchprobes.runner.check import Check
from torchprobes.runner.snapshot import Options
from torchprobes.samples import Sample
from torchprobes.target import TargetError, find_targets
from torchprobes.telemetry import Sampler, health

from ._baseline import KnownGood
from ._interrupts import Interrupts
from ._output import note
from ._progress import Progress
from .runs import place_of

TARGET_DEADLINE_S = 10.0
LOOK_S = 0.1
MACHINE_DEADLINE_S = 5.0
SAMPLE_DEADLINE_S = 6.0
WITNESS_WAIT_S = 8.0
TAKEOVER_S = 15.0
DETACHED_LOG = "check.log"


def chosen_target(settings: Settings, like: int | None = None) -> Target:
    """The target of this command: that of the process `like`, or the one that the search rules find.

    Raises:
        TargetError, LikeError: if the one that was named cannot be used.
        click.UsageError: if there is none, or if its code may not be run.
    """
    if like is not None:
        return _target_of(like, settings)
    choice = find_targets(settings.python, settings.target, TARGET_DEADLINE_S)
    if choice.chosen is None:
        raise click.UsageError(f"no interpreter with PyTorch was found: {choice.why}; name one with --python")
    if choice.chosen.refusal and not settings.as_root:
        raise click.UsageError(choice.chosen.refusal)
    return choice.chosen


def _target_of(pid: int, settings: Settings) -> Target:
    """The interpreter of a live process, and what of that process differs from here."""
    if settings.python or settings.target:
        raise click.UsageError(
            "--like takes the interpreter of the process: it goes with neither --python nor --target"
        )
    usual = find_targets(None, None, TARGET_DEADLINE_S).chosen
    found = likeness.read(pid, as_root=settings.as_root, python=usual.python if usual else "")
    choice = find_targets(found.python, None, TARGET_DEADLINE_S, found.environ)
    if choice.chosen is None or (choice.chosen.refusal and not settings.as_root):
        raise click.UsageError(f"--like {pid}: {choice.chosen.refusal if choice.chosen else choice.why}")
    return msgspec.structs.replace(choice.chosen, origin=f"pid {pid}", like=found.like)


def _usual_python() -> str:
    """The interpreter that a check takes without being told one, "" if there is none."""
    try:
        chosen = find_targets(None, None, TARGET_DEADLINE_S).chosen
    except TargetError:
        return ""
    return chosen.python if chosen else ""


def options_of(run: RunDir, target: Target, settings: Settings) -> Options:
    """How the probes of a run are run; what they have of a live process is read from it, and kept nowhere.

    Raises:
        LikeError: if that process is gone.
    """
    info = run.info
    options = Options(
        device=info.device or "auto",
        force=settings.force,
        as_root=settings.as_root,
        entry=info.entry,
        entry_folder=info.entry_folder,
        graph=info.graph,
    )
    if target.like is None:
        return options
    found = likeness.read(target.like.pid, target.like.started, as_root=settings.as_root)
    return msgspec.structs.replace(options, base=found.environ, cores=found.cores, rlimits=found.limits)


def new_run(
    settings: Settings,
    probes: Sequence[Probe],
    entry: str = "",
    like: int | None = None,
    graph: str = "",
    good: KnownGood | None = None,
) -> RunDir:
    """A new run directory for these probes on the chosen target; `entry` is found from the present directory on.

    Raises:
        RunError, TargetError, LikeError, click.UsageError: one line: what of it cannot be done.
    """
    target = chosen_target(settings, like)
    run = rundir.create(
        place_of(settings),
        "check",
        target=target,
        tier=settings.tier.value,
        device=settings.device,
        probes=tuple(probe.name for probe in probes),
        argv=tuple(plain(word) for word in sys.argv),
        entry=entry,
        entry_folder=os.getcwd() if entry else "",
        graph=graph,
        baseline=good.where if good else "",
    )
    if good is not None:
        good.keep(run)
    return run


def resumed_run(settings: Settings, name: str, from_owner: int | None = None) -> RunDir:
    """An earlier check whose owner is gone, or is `from_owner` and waits for this, taken over by this process.

    Raises:
        RunError: if there is none of that name.
        click.UsageError: if it still runs or is no check.
    """
    run = rundir.open_run(place_of(settings), name)
    info = run.info
    if info.kind != "check" or info.target is None:
        raise click.UsageError(f"{run.name} is no check with a target: only such a run can be resumed")
    if run.alive() and info.owner.pid not in (os.getpid(), from_owner):
        raise click.UsageError(f"{run.name} is still running as pid {info.owner.pid}: end that first")
    run.change(owner=rundir.this_owner(), finished=None)
    return run


def missing(run: RunDir) -> tuple[Probe, ...]:
    """The probes of a run that are still to do.

    Raises:
        click.UsageError: if it names a probe that this torchdoctor does not have.
    """
    rows = {probe.name: probe for probe in catalogue.PROBES}
    names = write.unfinished(run)
    unknown = [name for name in names if name not in rows]
    if unknown:
        raise click.UsageError(f"{run.name} asks for a probe {plain(unknown[0], 60)!r} that this torchdoctor lacks")
    return graphs.placed((rows[name] for name in names), run.info.graph)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a check ended: its report, whether that is kept in the run, and the signal that ended it, if one did."""

    report: Report
    kept: bool
    signal: int | None


def run_to_its_end(run: RunDir, settings: Settings) -> Ended:
    """Run what is missing, show it, and write the report.

    A disk that is full costs a line and what could not be kept; the report has all results all the same.
    """
    info, probes, begun = run.info, missing(run), time.monotonic()
    if info.target is None:
        raise click.UsageError(f"{run.name} has no target")
    options = options_of(run, info.target, settings)
    told: list[Result] = []
    sampler = Sampler(settings.rate_hz)
    with Interrupts() as interrupts:
        sampler.start()
        witness = threading.Thread(target=_describe_machine, args=(run, sampler), daemon=True, name="machine")
        witness.start()
        if probes:
            recovery.recover(run, [probe.name for probe in probes])
            check = Check(run, info.target, probes, options, BUILDERS, samples=lambda: sampler.latest()[1])
            check.start()
            _watch(check, interrupts)
            told = [probe.result for probe in check.view().probes if probe.result is not None]
        witness.join(0 if interrupts.count else WITNESS_WAIT_S)
        sampler.stop()
        _finish(run, (info.seconds or 0.0) + time.monotonic() - begun)
        return _ended(run, told, interrupts.first)


def _ended(run: RunDir, told: Sequence[Result], number: int | None) -> Ended:
    try:
        return Ended(write.write(run, told), True, number)
    except rundir.RunError as error:
        note(f"torchdoctor: {error}")
        return Ended(write.collect(run, told), False, number)


def _watch(check: Check, interrupts: Interrupts) -> None:
    """Show the check until it ends; a first signal cancels it, a second abandons it."""
    progress, cancelled = Progress(), False
    while not check.wait(LOOK_S):
        progress.show(check.view())
        if interrupts.count > 1:
            check.abandon()
            break
        if interrupts.count and not cancelled:
            cancelled = True
            progress.clear()
            note("cancelling; finished results are kept, a second Ctrl-C ends at once")
            check.cancel()
    progress.show(check.view())
    progress.clear()


def _finish(run: RunDir, seconds: float) -> None:
    finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        run.change(finished=finished, seconds=seconds)
    except OSError as error:
        note(f"torchdoctor: cannot write {run.path}/run.json: {error.strerror}")


def _describe_machine(run: RunDir, sampler: Sampler) -> None:
    """Keep what the node is, and what its sensors say, in the run; in a thread, because a driver may hang."""
    machine = describe_node(run.info.target, MACHINE_DEADLINE_S)
    sample = settled_sample(sampler, SAMPLE_DEADLINE_S)
    try:
        write.record_machine(run, machine, health.judge(sample).findings if sample else (), sample)
    except OSError as error:
        note(f"torchdoctor: the machine is not described in the report: {error.strerror}")


def settled_sample(sampler: Sampler, deadline_s: float) -> Sample | None:
    """The first sample that has each GPU's settings; at the deadline the newest, whatever it lacks.

    The first of all has what is read on every tick; power limits, modes and links come within the next ones.
    """
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        sample = sampler.latest()[1]
        if sample is not None and is_settled(sample):
            return sample
        time.sleep(0.05)
    return sampler.latest()[1]


# --- detached ----------------------------------------------------------------------------------------------------


def detach(run: RunDir, arguments: Sequence[str]) -> int:
    """Start the same program in a session of its own on `run`, and wait until it owns it; its pid.

    Raises:
        RunError: if it did not start; the last line that it said.
    """
    roots = [str(Path(package.__path__[0]).parent) for package in (torchdoctor, torchprobes)]
    # By -c and not by PYTHONPATH: the environment goes on to the target, whose packages must stay its own.
    program = f"import sys; sys.path[:1] = {roots!r}; from torchdoctor.__main__ import main; main()"
    takeover = ["check", "--resume", str(run.path.resolve()), "--from-owner", str(os.getpid())]
    command = [sys.executable, "-B", "-c", program, *takeover, *arguments]
    log = run.path / DETACHED_LOG
    with log.open("ab") as said:
        child = subprocess.Popen(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
    deadline = time.monotonic() + TAKEOVER_S
    while run.info.owner.pid != child.pid:
        if child.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").splitlines() or ["it said nothing"]
            raise rundir.RunError(f"the detached check did not start: {plain(lines[-1], 300)}")
        time.sleep(0.02)
    return child.pid
