"""Collects the evidence of one node: all sources at once, each for itself, and what there is at the deadline.

First a look at the processes, because everything else takes time; last another one, because only a difference says
who moves. Nothing here asks anything of a job that torchdoctor did not start.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from msgspec.structs import replace

from ...distributed import JobIdentity, RankIdentity, SourceName, SourceState
from ...rank_evidence import AgentEvidence, Exit, NodeEvidence, ProcessReading, RankEvidence, Ras, Sign
from ...rundir import boot_id
from ...samples import KernelEvent, Sample
from .. import ras
from ..node import NodeFolder
from ..processes import GONE, Processes, ended
from ..ras.namespace import ask_in
from ..ras.numbers import numbered
from ..sources import ENDED, all_sources
from ..told import Told, file_names, told
from ..watch.past import Past
from . import logs, machine
from .pool import Pending, Pool
from .ranks import DEAD, Flights, Stacks, flights, last_words, stacks
from .surroundings import Surroundings, surroundings

GAP_S = 1.0
"""So far apart lie the looks at the processes: a tick of CPU time is 10 ms, and a waiting process moves by less."""

TABLE_S = 1.2
"""How long the general table of sources may take."""

_REST_S = 0.1
_MOST_THREADS = 48


def collect(
    job: JobIdentity,
    node: NodeFolder | None,
    deadline_s: float = 2.0,
    looks: int = 2,
    stop: threading.Event | None = None,
    sample: Sample | None = None,
) -> NodeEvidence:
    """What this node can say of its ranks within `deadline_s` seconds; `stop` ends it early with what there is.

    `node` is the folder of our own run (None: a job of somebody else). `sample` is a reading of the GPUs that the
    caller has already; without one a fresh one is taken where there are GPUs.
    """
    return Collection(job, node, deadline_s, sample).run(looks, stop)


class Collection:
    """One collection, under way."""

    def __init__(self, job: JobIdentity, node: NodeFolder | None, deadline_s: float, sample: Sample | None) -> None:
        self._job, self._node, self._sample = job, node, sample
        self._begun = time.monotonic()
        self._deadline = self._begun + deadline_s
        self._pool = Pool(min(_MOST_THREADS, 4 * len(job.ranks) + 6))
        self._processes = Processes()
        self._shared = logs.shared_by(job.ranks)
        self._readings: list[tuple[ProcessReading, ...]] = []
        self._looked: list[float] = []

    def run(self, looks: int, stop: threading.Event | None) -> NodeEvidence:
        """Do it."""
        now_ns = time.time_ns()
        try:
            self._look()
            tasks = self._start(looks)
            gap = min(GAP_S, 0.6 * (self._deadline - self._begun)) / max(1, looks - 1)
            for _ in range(looks - 1):
                self._sleep(self._looked[-1] + gap, stop)
                self._look()
            self._pool.wait(self._deadline - _REST_S, stop)
            return numbered(self._told(now_ns, tasks))
        finally:
            self._pool.close()

    def _sleep(self, until: float, stop: threading.Event | None) -> None:
        (stop or threading.Event()).wait(max(0.0, min(until, self._deadline - _REST_S) - time.monotonic()))

    def _look(self) -> None:
        self._readings.append(self._processes.look(self._job.ranks))
        self._looked.append(time.monotonic())

    # --- tasks -------------------------------------------------------------------------------------------------------

    def _start(self, looks: int) -> Tasks:
        """Start all; those whose answers others wait for come first."""
        job, until = self._job, self._deadline - _REST_S
        tasks = Tasks()
        for rank, reading in zip(job.ranks, self._readings[0], strict=True):
            if _lives(reading):
                tasks.around[rank.rank] = self._pool.start("environment", partial(surroundings, rank))
        tasks.kernel = self._pool.start("kernel", lambda: machine.kernel(job))
        tasks.ras = self._pool.start("ras", lambda: self._ask_ras(tasks, until, looks))
        if self._sample is None:
            tasks.sample = self._pool.start("gpu", lambda: machine.sample(until))
        tasks.agent = self._pool.start("agent", self._read_agent)
        if self._node is not None and any(reading.state == GONE for reading in self._readings[0]):
            node = self._node
            tasks.exits = self._pool.start("exits", lambda: Past(node).exits)
        tasks.table = self._pool.start(
            "sources", lambda: all_sources(job.ranks, min(TABLE_S, until - time.monotonic()))
        )
        for rank, reading in zip(job.ranks, self._readings[0], strict=True):
            self._start_rank(tasks, rank, reading, until)
        return tasks

    def _start_rank(self, tasks: Tasks, rank: RankIdentity, reading: ProcessReading, until: float) -> None:
        known = told(self._node, rank)
        tasks.told[rank.rank] = known
        tasks.logs[rank.rank] = self._pool.start("log", lambda: logs.of_rank(rank, self._shared))
        tasks.nccl[rank.rank] = self._pool.start("nccl", lambda: logs.of_nccl(rank, tasks.surroundings(rank, until)))
        tasks.stacks[rank.rank] = self._pool.start("stacks", lambda: stacks(rank, reading, known, until))
        since = self._job.started_ns
        if _lives(reading):
            tasks.flights[rank.rank] = self._pool.start(
                "flight", lambda: flights(rank, known, tasks.surroundings(rank, until), self._node, since, until)
            )
        else:
            tasks.flights[rank.rank] = self._pool.start(
                "flight", lambda: last_words(rank, tasks.surroundings(rank, until), self._node, since)
            )

    def _ask_ras(self, tasks: Tasks, until: float, looks: int) -> tuple[Ras, ...]:
        """RAS, twice if there are two looks, and as far apart: unequal counts mean something only if they stay."""
        living = [rank for rank, reading in zip(self._job.ranks, self._readings[0], strict=True) if _lives(reading)]
        if not living:
            raise ras.NoRas("no rank lives here")
        around = tasks.surroundings(living[0], until)
        if around.environment.get("NCCL_RAS_ENABLE") == "0":
            raise ras.NoRas("RAS is switched off (NCCL_RAS_ENABLE=0)")
        address = around.environment.get("NCCL_RAS_ADDR", ras.DEFAULT_ADDRESS)
        pids = {rank.inner_pid or rank.pid for rank in self._job.ranks}

        servers = tuple(rank.pid for rank in living)

        def once() -> Ras:
            left = until - time.monotonic()
            if around.foreign_network:
                return ask_in(living[0].pid, address, left, pids, around.addresses, servers)
            return ras.ask(address, left, pids, around.addresses, servers)

        first = once()
        if looks < 2:
            return (first,)
        pause = min(GAP_S, (until - time.monotonic()) / 2)
        time.sleep(max(0.0, pause))
        try:
            return first, once()
        except ras.NoRas:
            return (first,)

    def _read_agent(self) -> logs.Log:
        if self._node is not None:
            return logs.of_files((str(self._node.agent_log),), None)
        pid, paths = self._job.launcher_pid, []
        for number in (2, 1) if pid else ():
            path = os.readlink(f"/proc/{pid}/fd/{number}")
            paths += [path] if path.startswith("/") and not path.startswith("/dev/") else []
        return logs.of_files(tuple(dict.fromkeys(paths)), None)

    # --- what came of them -------------------------------------------------------------------------------------------

    def _told(self, now_ns: int, tasks: Tasks) -> NodeEvidence:
        kernel = tasks.kernel.value(None)
        ras_found = tasks.ras.value(())
        taken = self._sample if tasks.sample is None else tasks.sample.value(None)
        gpus = machine.gpus(self._job.ranks, taken, ras_found)
        events = kernel.events if kernel else ()
        shared = (kernel.state if kernel else _lost("kernel", tasks.kernel), _ras_state(tasks.ras, ras_found))
        seconds = time.monotonic() - self._begun
        return NodeEvidence(
            host=self._job.host or socket.gethostname(),
            t_ns=now_ns,
            m_ns=int(self._begun * 1e9),
            boot_id=boot_id(),
            job=self._job,
            ranks=tuple(
                self._rank(at, rank, tasks, events, (*shared, *_state_of(gpus[rank.rank])), gpus)
                for at, rank in enumerate(self._job.ranks)
            ),
            agent=self._agent(tasks),
            ras=ras_found,
            kernel=events,
            seconds=round(seconds, 3),
            looks_s=round(self._looked[-1] - self._looked[0], 3),
            notes=(*self._job.notes, *dict.fromkeys(ras.note for ras in ras_found if ras.note)),
        )

    def _rank(
        self,
        at: int,
        rank: RankIdentity,
        tasks: Tasks,
        events: Sequence[KernelEvent],
        shared: tuple[SourceState, ...],
        gpus: Mapping[int, machine.Gpu],
    ) -> RankEvidence:
        readings = tuple(look[at] for look in self._readings)
        stack = tasks.stacks[rank.rank].value(Stacks((), (_lost("py-spy", tasks.stacks[rank.rank]),)))
        flight = tasks.flights[rank.rank].value(Flights((), (_lost("flight", tasks.flights[rank.rank]),)))
        log = tasks.logs[rank.rank].value(logs.Log((), (), _lost("log", tasks.logs[rank.rank])))
        gpu = gpus[rank.rank]
        end = ended(rank, readings[-1])
        if end is not None and end.seen == "gone" and tasks.exits is not None:
            end = tasks.exits.value({}).get((rank.pid, rank.start_ticks), end)
        if end is not None:  # RAS may speak of its peers still
            shared = tuple(replace(s, available=False, why=ENDED) if s.source == "ras" else s for s in shared)
        return RankEvidence(
            identity=rank,
            processes=readings,
            exit=_with_oom(end, rank, events),
            stacks=stack.stacks,
            flights=flight.flights,
            signs=(*log.signs, *tasks.nccl[rank.rank].value(())),
            gpu=None if isinstance(gpu, SourceState) else gpu,
            sources=_joined(
                (*self._process_states(rank, readings, end), *shared, log.state, *flight.states, *stack.states),
                tasks.table.value(())[at : at + 1],
            ),
            tail=log.tail,
        )

    def _process_states(
        self, rank: RankIdentity, readings: Sequence[ProcessReading], end: Exit | None
    ) -> tuple[SourceState, ...]:
        gone, hidden = readings[-1].state in DEAD, readings[-1].state == ""
        why = ENDED if gone else "/proc does not show it: hidepid, or another pid namespace" if hidden else ""
        states: tuple[SourceState, ...] = (SourceState(source="process", available=not why, why=why),)
        if end is not None and end.seen != "gone":
            states = (*states, SourceState(source="exit", available=True))
        if self._node is None:
            return states
        there = any((self._node.events / f"{name}.jsonl").is_file() for name in file_names(rank))
        return (*states, SourceState(source="events", available=there, why="" if there else "it has written none"))

    def _agent(self, tasks: Tasks) -> AgentEvidence | None:
        pid, started = self._job.launcher_pid, self._job.launcher_start_ticks
        if pid is None:
            return None
        reading = None
        if started is not None:
            reading = self._processes.look([RankIdentity(rank=-1, pid=pid, start_ticks=started)])[0]
        log = tasks.agent.value(None)
        alive = None if reading is None or reading.state == "" else _lives(reading)
        return AgentEvidence(pid=pid, alive=alive, signs=log.signs if log else ())


class Tasks:
    """What was started, by rank number."""

    kernel: Pending[machine.Kernel]
    ras: Pending[tuple[Ras, ...]]
    agent: Pending[logs.Log]
    table: Pending[tuple[tuple[SourceState, ...], ...]]
    sample: Pending[Sample | None] | None = None
    exits: Pending[dict[tuple[int, int], Exit]] | None = None

    def __init__(self) -> None:
        self.around: dict[int, Pending[Surroundings]] = {}
        self.told: dict[int, Told] = {}
        self.logs: dict[int, Pending[logs.Log]] = {}
        self.nccl: dict[int, Pending[tuple[Sign, ...]]] = {}
        self.stacks: dict[int, Pending[Stacks]] = {}
        self.flights: dict[int, Pending[Flights]] = {}

    def surroundings(self, rank: RankIdentity, deadline: float) -> Surroundings:
        """Those of a rank, waited for; empty ones that say why if they do not come."""
        pending = self.around.get(rank.rank)
        if pending is None:
            return Surroundings(why=ENDED)
        pending.wait(time.monotonic() + (deadline - time.monotonic()) / 2)
        return pending.value(Surroundings(why="its environment cannot be read: the process holds its memory lock"))


def _lives(reading: ProcessReading) -> bool:
    return reading.state not in DEAD


def _lost(source: SourceName, pending: Pending[Any]) -> SourceState:
    return SourceState(source=source, available=False, why=pending.why)


def _joined(seen: Sequence[SourceState], table: Sequence[Sequence[SourceState]]) -> tuple[SourceState, ...]:
    """The general table of a rank's sources, where what was really tried stands in place of what was expected."""
    tried = {state.source: state for state in seen}
    general = {state.source: state for row in table for state in row}
    for name, state in tried.items():
        expected = general.get(name)
        if not state.available and not state.command and expected is not None:
            state = replace(state, command=expected.command)
        general[name] = state
    return tuple(general.values())


def _ras_state(pending: Pending[tuple[Ras, ...]], found: Sequence[Ras]) -> SourceState:
    """Of an answer that came, what was wrong with its form."""
    note = next((ras.note for ras in found if ras.note), "")
    return SourceState(source="ras", available=not pending.why, why=pending.why or note)


def _state_of(gpu: machine.Gpu) -> tuple[SourceState, ...]:
    return (gpu if isinstance(gpu, SourceState) else SourceState(source="gpu", available=True),)


def _with_oom(end: Exit | None, rank: RankIdentity, events: Sequence[KernelEvent]) -> Exit | None:
    """The exit, marked if the kernel says that it killed this process for want of memory."""
    if end is None:
        return None
    killed = any(event.kind == "oom" and event.pid == rank.pid for event in events)
    return replace(end, oom=True) if killed else end
