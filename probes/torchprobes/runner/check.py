"""A check: probes of the catalogue run on one target, their results kept as they come."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

from torchprobes.catalogue import Probe
from torchprobes.model import Judgement, Readings, Target, Tier
from torchprobes.rundir import RunDir
from torchprobes.samples import ProcessSample

from .claim import Claimed, Samples, Wish, wants_the_node
from .command import PLAIN, CommandBuilder
from .lanes import Lanes
from .neighbours import Neighbours
from .one import Judge, One, Ours
from .order import Device, Job, base_environment
from .results import ResultLog
from .snapshot import CheckView, Options, ProbeState

__all__ = ["Check", "Options"]

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
        judge: Judge | None = None,
        samples: Samples = lambda: None,
    ) -> None:
        self._run, self._target, self._options = run, target, options or Options()
        self._samples = samples
        self._log = ResultLog(run.results)
        cpu = Device("cpu")
        self._ones = [
            One(
                Job(run, probe, target, self._options, builders[probe.launch], cpu),
                judge or _the_rules,
                self._watch,
                self._ours,
            )
            for probe in probes
        ]
        ranks = any(probe.launch == "torchrun" for probe in probes)
        wanted = _EVERY_GPU if ranks else max((probe.gpus for probe in probes), default=1)
        wish = Wish(self._options.device, wanted, self._options.force)
        self._claimed = Claimed(wish, target, samples, run.locks, base_environment(self._options))
        self._lanes = Lanes(run, [one.job for one in self._ones])
        self._running: set[One] = set()
        self._neighbours = Neighbours(())
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
            if not self._target.refusal or self._options.as_root:
                self._lanes.start()
            threading.Thread(target=self._claim, name="torchdoctor-claim", daemon=True).start()
            self._run_all()
        finally:
            self._lanes.close()
            self._claimed.release()
            self._ended.set()
            self._neighbours.close()

    def _claim(self) -> None:
        """Take GPUs for this check, held until its end: what needs none of them does not wait for that."""
        self._claimed.take()
        self._neighbours = Neighbours(self._claimed.now().seats)
        if self._ended.is_set():
            self._neighbours.close()
        self._wake()

    def _run_all(self) -> None:
        waiting = sorted(self._ones, key=_turn)
        while (waiting or self._running) and not self._abandoned:
            one = self._next(waiting)
            if one is not None:
                waiting.remove(one)
                self._begin(one)
                continue
            with self._changed:
                self._changed.wait(0.2)

    def _next(self, waiting: Sequence[One]) -> One | None:
        """The first that may start now.

        One that waits for its lane, or for the choice of a GPU, lets others pass; one that must be alone, or finds all
        slots taken, does not, or it would wait for ever.
        """
        for one in waiting:
            lane = self._lanes.of(one.job)
            if (lane is not None and lane.busy) or not self._claimed.settled(one.job.probe):
                continue
            return one if self._may_start(one) else None
        return None

    def _may_start(self, one: One) -> bool:
        """What is timed on a CPU, and ranks on every GPU, run alone; the rest overlaps up to the slots."""
        if not self._running:
            return True
        if len(self._running) >= self._options.slots:
            return False
        claim = self._claimed.now()
        return all(claim.overlap(one.job.probe, other.job.probe) for other in tuple(self._running))

    def _begin(self, one: One) -> None:
        why = self._placed(one)
        if why:
            one.skip(why)
            self._keep(one)
            return
        lane = self._lanes.of(one.job)
        one.start_in(lane, self._lanes.refusal(one.job))
        if lane is not None:
            lane.busy = True
        self._running.add(one)
        threading.Thread(target=self._work, args=(one,), name=one.job.probe.name, daemon=True).start()

    def _placed(self, one: One) -> str:
        """Say where it runs; why it cannot, "" if it can."""
        if self._target.refusal and not self._options.as_root:
            return self._target.refusal
        device = self._claimed.now().device(one.job.probe)
        if isinstance(device, str):
            return device
        one.place(device)
        came = one.neighbour()
        return f"the GPU is used by {came}, who came after the check had begun" if came else ""

    def _work(self, one: One) -> None:
        one.run()
        if not self._abandoned:
            self._keep(one)
        if one.lane is not None:
            one.lane.busy = False
        self._running.discard(one)
        self._wake()

    def _ours(self) -> Ours:
        recorded = frozenset(pid for one in self._ones for pid in one.recorded())
        guardians = frozenset(one.guardian for one in self._ones if one.guardian is not None)
        return Ours(recorded, guardians | self._lanes.guardians())

    def _watch(self) -> tuple[ProcessSample, ...]:
        sample = self._samples()
        return self._neighbours.processes + (sample.processes if sample else ())

    def _keep(self, one: One) -> None:
        if one.result is not None:
            with self._changed:
                self._note = self._log.append(one.result)
        self._wake()

    def _wake(self) -> None:
        with self._changed:
            self._revision += 1
            self._changed.notify_all()


def _the_rules(probe: Probe, readings: Readings) -> Judgement:
    from torchprobes.judge.verdict import (
        judge,  # deferred: dozens of modules, needed once a probe has ended
    )

    return judge(probe, readings)


def _turn(one: One) -> tuple[bool, bool, bool, float]:
    """When its turn is: the quick ones first, then the longest, so that nothing long is left over at the end; what
    wants the whole node to itself comes last.
    """
    probe = one.job.probe
    return probe.alone, wants_the_node(probe), probe.tier is not Tier.QUICK, -probe.limit_s
