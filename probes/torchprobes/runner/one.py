"""One probe from its order to its result: started under a guardian, followed, judged. Runs in a thread of its own."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from torchprobes.model import Evidence, Judgement, Outcome, Readings, Result, Verdict
from torchprobes.samples import ProcessSample

from . import idle, outcome, processes, recovery, results
from .events import Collector, EventTail
from .guard import Guard
from .lanes import Lane
from .order import Device, Job, Prepared, prepare
from .snapshot import ProbeState, ProbeView

Judge = Callable[..., Judgement]
Watch = Callable[[], Sequence[ProcessSample]]
"""Who is on the GPUs of this check, as far as is known: of one process the reading that knows most comes last."""

LOOK_S = 0.1
"""How often event files and cancellations are looked at."""

NEIGHBOURS_S = 0.1
"""How often it is looked whether somebody else has come to our GPU; we leave within a second."""


@dataclass(frozen=True, slots=True)
class Ours:
    """The processes of a check: `recorded`, ended ones too, and what descends from its `guardians`.

    A process can hold a GPU before the guardian has recorded it, and an old sample tells of one that has ended.
    """

    recorded: frozenset[int]
    guardians: frozenset[int]

    def has(self, pid: int) -> bool:
        """Whether a process is this check's."""
        return pid in self.recorded or processes.descends(pid, self.guardians)


class One:
    """A probe of a check. `view` may be called from any thread."""

    def __init__(self, job: Job, judge: Judge, watch: Watch, ours: Callable[[], Ours]) -> None:
        """`ours` are the processes of the whole check, whichever probe they belong to."""
        self.job = job
        self.lane: Lane | None = None
        self.result: Result | None = None
        self._judge, self._watch, self._ours = judge, watch, ours
        self._state = ProbeState.QUEUED
        self._collector = Collector()
        self._began: float | None = None
        self._guard: Guard | None = None
        self._why_ended = ""
        self._neighbour = ""
        self._looks = 0
        self._start = ""
        self._lock = threading.Lock()

    def place(self, device: Device) -> None:
        """Where it will run."""
        self.job = replace(self.job, device=device)

    def start_in(self, lane: Lane | None, refusal: str) -> None:
        """What it is forked from, None for a process of its own; `refusal` is why that was not to be had."""
        self.lane, self._start = lane, f"started by itself: {refusal}" if refusal else ""

    def view(self) -> ProbeView:
        """The probe at this instant."""
        result, guard, began = self.result, self._guard, self._began
        seconds = None if began is None else time.monotonic() - began
        return ProbeView(
            name=self.job.probe.name,
            state=ProbeState.DONE if result else self._state,
            progress=self._collector.progress,
            done=self._collector.done,
            started_s=result.seconds if result else seconds,
            result=result,
            folder=str(self.job.run.probe(self.job.probe.name)),
            pids=guard.pids() if guard and not result else (),
        )

    def recorded(self) -> tuple[int, ...]:
        """Every process of it that was recorded, ended ones too: an older sample still tells of them."""
        return self._guard.pids() if self._guard else ()

    @property
    def guardian(self) -> int | None:
        """The pid of its guardian, None before it was started."""
        return self._guard.pid if self._guard else None

    def cancel(self, why: str = "cancelled") -> None:
        """End it; one that has not begun will not begin."""
        with self._lock:
            self._why_ended = self._why_ended or why
            guard = self._guard
        if guard is not None:
            guard.cancel(why)

    def drop(self) -> None:
        """Let go of the guardian, which ends everything by itself. Returns at once."""
        with self._lock:
            self._why_ended = self._why_ended or "interrupted: the console ended"
            guard = self._guard
        if guard is not None:
            guard.drop()

    def run(self) -> Result:
        """Run it to its end, whatever that is."""
        try:
            self.result = self._run()
        except OSError as error:
            words = (
                outcome.DISK_FULL if error.errno == errno.ENOSPC else f"cannot be started: {error.strerror or error}"
            )
            self.result = self._unjudged(Verdict.ERROR, words)
        except Exception as error:  # noqa: BLE001 - a defect of ours is this probe's error, never a dead thread
            self.result = self._unjudged(Verdict.ERROR, f"torchdoctor itself failed: {type(error).__name__}: {error}")
        return self.result

    def skip(self, why: str) -> Result:
        """Do not run it."""
        self.result = self._unjudged(Verdict.SKIP, why)
        return self.result

    def _run(self) -> Result:
        if self._why_ended:
            return self._unjudged(Verdict.ERROR, self._why_ended)
        self._began, self._state = time.monotonic(), ProbeState.STARTING
        recovery.recover_probe(self.job.run.probe(self.job.probe.name))
        prepared = prepare(self.job)
        end, broken = self._guarded(prepared, self.lane if prepared.forkable else None)
        if self.lane is not None and end["ending"] == "refused":
            self._start = f"started by itself: {self._refused(self.lane, end)}"
            prepared = prepare(self.job)
            end, broken = self._guarded(prepared, None)
        told = outcome.outcome(end, self._collector.marks, prepared.folder, ranks=prepared.ranks, broken=broken)
        return self._judged(prepared, told)

    def _refused(self, lane: Lane, end: Mapping[str, Any]) -> str:
        lane.refusal = lane.refusal or f"the {lane.kind} starter serves nobody, {end['cause']}"
        return lane.refusal

    def _guarded(self, prepared: Prepared, lane: Lane | None) -> tuple[Mapping[str, Any], int]:
        """Run it under its guardian or the lane's: what that told of its end, and how many event lines were broken."""
        guard = lane.guard(prepared) if lane else Guard(prepared.order)
        with self._lock:
            self._guard = guard
            ended = self._why_ended
        if ended:
            guard.cancel(ended)
        tail = EventTail(prepared.folder / "events")
        self._follow(guard, tail)
        end = guard.close()
        for events in tail.close():
            self._collector.take(events)
        if lane is not None and isinstance(end.get("starter"), dict):
            self._start = _forked(lane, end["starter"])
        if lane is not None and end["ending"] == "interrupted":
            lane.refusal = lane.refusal or f"the guardian of the {lane.kind} starter has ended"
        return end, tail.broken

    def _follow(self, guard: Guard, tail: EventTail) -> None:
        looked = time.monotonic()
        while guard.listen(LOOK_S):
            self._collector.take(tail.poll())
            if any(mark.ev == "start" for mark in self._collector.marks):
                self._state = ProbeState.RUNNING
            if time.monotonic() - looked >= NEIGHBOURS_S:
                looked = time.monotonic()
                self._look_around(guard)

    def neighbour(self) -> str:
        """Who else is on the GPUs that it was placed on, "" if nobody, or if that does not matter."""
        seats = self.job.device.seats
        if not seats or self.job.options.force:
            return ""
        ours = self._ours()
        return idle.intruder(self._watch(), seats, ours.has, len(ours.recorded))

    def _look_around(self, guard: Guard) -> None:
        """Leave the GPU when somebody else has come to it."""
        if self._neighbour:
            return
        self._neighbour = self.neighbour()
        self._looks += 1
        if self._neighbour:
            guard.cancel(f"left the GPU to {self._neighbour}")

    def _beside(self) -> str:
        """Who else was on its GPUs while it ran, as far as somebody looked: figures are believed by it."""
        if not self.job.device.seats:
            return ""
        if self.job.options.force:
            return "not looked at: --force"
        later = "nor at any look while it ran" if self._looks else "it ended before a further look"
        return f"nobody else when it was placed, {later}"

    def _judged(self, prepared: Prepared, told: Outcome) -> Result:
        probe, device = self.job.probe, self.job.device
        if self._neighbour:
            return self._unjudged(Verdict.SKIP, f"{results.LEFT}{self._neighbour} came", told)
        if told.ending == "ended" and told.broken_lines:
            cause = f"{told.broken_lines} of its event lines could not be read"
            told = msgspec.structs.replace(told, ending="exited", cause=cause)
        said = (("device", device.memory_text), ("neighbours", self._beside()), ("start", self._start))
        more = tuple(Evidence(kind=kind, text=text) for kind, text in said if text)
        readings = self._collector.readings(probe.name, device.name, told, more)
        judgement = self._judgement(readings)
        return Result(
            name=probe.name,
            group=probe.group,
            tier=probe.tier,
            device=device.name,
            verdict=judgement.verdict,
            reason=judgement.reason,
            seconds=told.seconds,
            figures=readings.figures,
            facts=readings.facts,
            findings=judgement.findings,
            evidence=self._evidence(judgement, told),
            expectations=judgement.expectations,
            command=prepared.command,
            cache_state=_cache_state(readings),
            log=outcome.log_path(prepared.folder, self.job.run.path),
        )

    def _judgement(self, readings: Readings) -> Judgement:
        """Rules that break are an error of ours; what was read is kept all the same."""
        try:
            return self._judge(self.job.probe, readings)
        except Exception as error:  # noqa: BLE001 - any rule, on any reading
            return Judgement(verdict=Verdict.ERROR, reason=f"its rules broke: {type(error).__name__}: {error}")

    def _evidence(self, judgement: Judgement, told: Outcome) -> tuple[Evidence, ...]:
        """The judge's evidence, files named from the run directory on; of one that broke, its last lines."""
        below = Path("probes") / self.job.probe.name
        found = tuple(
            e if e.artifact is None else msgspec.structs.replace(e, artifact=str(below / e.artifact))
            for e in judgement.evidence
        )
        last = judgement.verdict is Verdict.ERROR and told.last_lines
        return (*found, Evidence(kind="last lines", text="\n".join(told.last_lines))) if last else found

    def _unjudged(self, verdict: Verdict, why: str, told: Outcome | None = None) -> Result:
        return results.unjudged(self.job.probe, self.job.device.name, verdict, why, told)


def _forked(lane: Lane, starter: Mapping[str, Any]) -> str:
    """How a starter's payload came about, in words: its import figure is not its own."""
    if lane.kind == "bare":
        return "forked from an interpreter that was there already"
    seconds, waited = starter.get("import_s"), starter.get("io_wait_s")
    io = f", {waited:.2f} s of it waiting for files" if isinstance(waited, float) else ""
    cost = f" in {seconds:.2f} s{io}" if isinstance(seconds, float) else ""
    return f"forked from a process that had imported torch{cost}, without foreign back ends"


def _cache_state(readings: Readings) -> str:
    fact = readings.fact("cache_state")
    return "" if fact is None else str(fact.value)
