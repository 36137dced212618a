"""A check: probes of the catalogue run on one target, their results kept as they come."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from torchprobes.catalogue import Probe
from torchprobes.judge import judge as the_rules
from torchprobes.model import Target
from torchprobes.rundir import RunDir

from . import idle
from .command import PLAIN, CommandBuilder
from .one import Judge, One, Ours, Samples
from .order import Device, Job
from .results import ResultLog
from .snapshot import CheckView, Options, ProbeState

__all__ = ["Check", "Options"]

FIRST_SAMPLE_S = 6.0
"""How long the choice of a GPU waits for the first sample."""

_EVERY_GPU = 64


class Check:
    """Runs probes in threads; every method but `wait` returns at once and may be called on any thread.

    `samples` gives the newest telemetry: without it no GPU counts as idle. `judge` makes verdicts of readings.
    """

    def __init__(
        self,
        run: RunDir,
        target: Target,
        probes: Sequence[Probe],
        options: Options | None = None,
        builders: Mapping[str, CommandBuilder] = PLAIN,
        *,
        judge: Judge = the_rules,
        samples: Samples = lambda: None,
    ) -> None:
        self._run, self._target, self._options = run, target, options or Options()
        self._samples = samples
        self._log = ResultLog(run.results)
        cpu = Device("cpu")
        self._ones = [
            One(Job(run, probe, target, self._options, builders[probe.launch], cpu), judge, samples, self._ours)
            for probe in probes
        ]
        self._running: set[One] = set()
        self._changed = threading.Condition()
        self._revision = 0
        self._note = ""
        self._abandoned = False
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._schedule, name="torchdoctor-check", daemon=True).start()

    def view(self) -> CheckView:
        """All of it at this instant."""
        probes = tuple(one.view() for one in self._ones)
        alive = sum(view.state is not ProbeState.DONE for view in probes)
        revision = self._revision if not alive else time.monotonic_ns()  # what runs changes with the clock
        return CheckView(
            revision=revision,
            run=str(self._run.path),
            probes=probes,
            finished=self._ended.is_set(),
            interrupted=self._abandoned,
            note=self._note,
        )

    def cancel(self, name: str | None = None) -> None:
        """End one probe, or all; those that have not begun will not."""
        for one in self._ones:
            if name in (None, one.job.probe.name) and one.result is None:
                one.cancel()
        self._wake()

    def abandon(self) -> None:
        """Let go: guardians end their probes by themselves; what was not finished is `interrupted`."""
        self._abandoned = True
        for one in self._ones:
            one.drop()
        self._wake()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; whether it came."""
        return self._ended.wait(timeout_s)

    # --- scheduling ----------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        try:
            claim = self._claim()
            try:
                self._run_all(claim)
            finally:
                claim.release()
        finally:
            self._ended.set()

    def _claim(self) -> idle.Claim:
        """GPUs for this check, held until its end: every idle one if ranks are asked for, else one."""
        sample, deadline = self._samples(), time.monotonic() + FIRST_SAMPLE_S
        while sample is None and idle.driver_present() and time.monotonic() < deadline and not self._abandoned:
            time.sleep(0.05)
            sample = self._samples()
        ranks = any(one.job.probe.launch == "torchrun" for one in self._ones)
        options = self._options
        return idle.claim(
            options.device, sample, self._run.locks, force=options.force, wanted=_EVERY_GPU if ranks else 1
        )

    def _run_all(self, claim: idle.Claim) -> None:
        waiting = list(self._ones)
        while (waiting or self._running) and not self._abandoned:
            if waiting and self._may_start(waiting[0], claim):
                self._begin(waiting.pop(0), claim)
                continue
            with self._changed:
                self._changed.wait(0.2)

    def _may_start(self, one: One, claim: idle.Claim) -> bool:
        """What is timed on a CPU, and ranks on every GPU, run alone; the rest overlaps up to the slots."""
        if not self._running:
            return True
        if len(self._running) >= self._options.slots:
            return False
        return not any(self._alone(each, claim) for each in (one, *self._running))

    def _alone(self, one: One, claim: idle.Claim) -> bool:
        probe = one.job.probe
        return probe.timed and (not claim.gpus or probe.launch == "torchrun")

    def _begin(self, one: One, claim: idle.Claim) -> None:
        why = "" if self._options.as_root else self._target.refusal or ""
        device = claim.device(one.job.probe.launch == "torchrun")
        if why or isinstance(device, str):
            one.skip(why or str(device))
            self._keep(one)
            return
        one.place(device)
        self._running.add(one)
        threading.Thread(target=self._work, args=(one,), name=one.job.probe.name, daemon=True).start()

    def _work(self, one: One) -> None:
        one.run()
        if not self._abandoned:
            self._keep(one)
        self._running.discard(one)
        self._wake()

    def _ours(self) -> Ours:
        recorded = frozenset(pid for one in self._ones for pid in one.recorded())
        return Ours(recorded, frozenset(one.guardian for one in self._ones if one.guardian is not None))

    def _keep(self, one: One) -> None:
        if one.result is not None:
            with self._changed:
                self._note = self._log.append(one.result)
        self._wake()

    def _wake(self) -> None:
        with self._changed:
            self._revision += 1
            self._changed.notify_all()
