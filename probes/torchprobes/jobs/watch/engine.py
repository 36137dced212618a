"""The watcher of one job on one node: hears ends at once, looks at everything else at a pace that costs little.

One thread decides: it waits for the ends of ranks and launcher, for its lifeline and for words of the other threads
(logs and events, close looks, who a process is), and between them does what is due. Nothing that can block happens in
it. An end is judged at once from what is known; the close look that it causes refines that.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from pathlib import Path
from typing import Final

import msgspec

from ...distributed import JobIdentity, RankIdentity
from ...rank_evidence import Exit, NodeEvidence, Sign
from ...rundir import boot_id
from .. import control
from ..collect import collect
from ..node import NodeFolder
from ..processes import Processes
from ..signs import PATTERNS
from .agent import Agent, Supervision
from .arrivals import Ranks
from .collecting import Collector
from .edges import Ends
from .following import Follower
from .gpus import Gpus
from .keeping import Keeper
from .lags import Lags
from .logs import Logs
from .order import Order
from .pace import Task
from .past import Past
from .roster import Roster, Watched
from .settling import Settling
from .showing import ENDED, LIFELINE, ORPHANED, Showing
from .triggers import Stillness

ROUGH_NS: Final = 60_000_000_000
"""Lines of the kernel's log so long before the job's start may still be its own: their stamps are rough."""

TELLING: Final = frozenset({"own", "victim"})
"""Roles of signs that a rank failed or suffers: it is looked at before its launcher ends its peers."""
WORDS_S: Final = 0.03
"""A launcher says that it ends a rank before it does: so long its words may take to be read."""

LAST_ENDS_S: Final = 0.5
FLUSH_S: Final = 1.0
LAST_LOOK_S: Final = 1.5
"""All of the end together stays within the time that a supervisor gives its watcher."""


class Watcher:
    """One job under watch; `run` returns when there is nothing more to watch, with the reason."""

    def __init__(self, order: Order, lifeline: int) -> None:
        self.order = order
        self.node = NodeFolder(Path(order.node))
        self.host = order.job.host or socket.gethostname()
        self.launched = order.mode == "launched"
        self.over = ""
        """Why nothing more is to be watched, "" while there is."""
        self._lifeline = lifeline
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.epoll()
        self.ends = Ends(self._poll)
        self.keeper = Keeper(self.node)
        self.follower = Follower(self.node.events if self.launched else None, self.wake)
        self.logs = Logs(self.follower, order.job, self.node.marks, whole=self.launched)
        self.roster = Roster()
        self.agent = Agent(order.job.launcher_pid, order.job.launcher_start_ticks)
        self.supervision = Supervision(self.node)
        since = (order.job.started_ns or time.time_ns()) - ROUGH_NS
        self.gpus = Gpus(max(0, since), order.gpu)
        self.settling = Settling(self.roster, self.gpus)
        self.processes = Processes()
        self.arrivals = Ranks(order, self.host, self.ends, self.roster)
        self.collector = Collector(self._collect, self.wake)
        self.lags = Lags(self.node, self.keeper)
        self.stillness = Stillness(time.monotonic_ns())
        self.showing = Showing(self)
        self._asked_mark = self._mark("diagnose")
        self._tasks = (
            Task(0.1, self._listen),
            Task(0.1, self._discover),
            Task(0.5, self._look),
            Task(0.5, self._trigger),
            Task(0.2, self._hear_requests),
        )
        self._why_look = ""
        self._before: set[tuple[int, int]] = set()
        self._looked_for: set[tuple[int | None, str]] = set()

    # --- the loop -------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Let the loop look at once; for any thread."""
        with contextlib.suppress(OSError, ValueError):
            os.eventfd_write(self._wake_fd, 1)

    def run(self) -> str:
        """Watch to the end."""
        self._begin()
        while not self.over:
            due = min(self.showing.due, *(task.due for task in self._tasks))
            for handle, _ in self._poll.poll(max(0.0, due - time.monotonic())):
                self._hear(handle)
            now = time.monotonic()
            for task in self._tasks:
                if task.due <= now:
                    task.run()
            if self.showing.due <= now:
                self.showing.show()
            self._look_closely()
            self._see_end()
        self._finish()
        return self.over

    def _begin(self) -> None:
        past = Past(self.node) if self.launched else None
        self.keeper.record("start", pid=os.getpid(), boot_id=boot_id(), mode=self.order.mode, job=self.order.job.key)
        self._poll.register(self._wake_fd, select.EPOLLIN)
        with contextlib.suppress(OSError):  # a lifeline that is a file never closes
            self._poll.register(self._lifeline, select.EPOLLIN)
        if self.agent.key is not None:
            self.ends.hold(*self.agent.key)
            self.agent.exit = self.ends.exits.get(self.agent.key)
        if self.launched:
            self.logs.follow_agent(str(self.node.agent_log))
        elif self.agent.pid is not None:
            self.logs.find_agents(self.agent.pid)
        self.gpus.start()
        if past is not None and past.watchers:
            self._go_on(past)
        for rank in self.order.job.ranks:
            self._add(rank)
        self.showing.show()

    def _go_on(self, past: Past) -> None:
        """Begin with what a watcher before us had seen."""
        self.showing.note("past", f"watched anew: {past.watchers} watchers before this one were killed")
        self._before = {(rank.pid, rank.start_ticks) for rank in past.ranks}
        for rank in past.ranks:
            self._add(rank, past.exits.get((rank.pid, rank.start_ticks)))

    def _hear(self, handle: int) -> None:
        if handle == self._wake_fd:
            with contextlib.suppress(OSError):
                os.eventfd_read(handle)
            self._listen()
            self.showing.take_looks()
        elif handle == self._lifeline:
            self._hear_lifeline()
        elif (key := self.ends.heard(handle)) is not None:
            self._ended(key)

    def _hear_lifeline(self) -> None:
        try:
            data = os.read(self._lifeline, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.over = LIFELINE

    # --- ranks come and end -----------------------------------------------------------------------------------------

    def _discover(self) -> None:
        for rank in self.arrivals.look():
            self._add(rank)
        for key in self.ends.sweep():
            self._ended(key)

    def _add(self, rank: RankIdentity, end: Exit | None = None) -> None:
        attempt, generation = self.roster.attempt, self.roster.generation
        watched = self.roster.add(rank)
        if watched is None:
            return
        if self.roster.generation != generation:
            self.agent.new_attempt()
            self.showing.new_attempt(attempt)
            self._looked_for.clear()
        if (rank.pid, rank.start_ticks) not in self._before:
            self.keeper.record("rank", **msgspec.to_builtins(rank))
        self.logs.follow(rank)
        self.showing.dirty = True
        if end is not None:
            watched.exit = msgspec.structs.replace(end, settled=True)
            return
        self.ends.hold(rank.pid, rank.start_ticks)
        if (rank.pid, rank.start_ticks) in self.ends.exits:
            self._ended((rank.pid, rank.start_ticks))

    def _ended(self, key: tuple[int, int]) -> None:
        if key == self.agent.key:
            self.agent.exit = self.ends.exits[key]
            self.keeper.record("agent-exit", code=self.agent.exit.code, signal=self.agent.exit.signal)
            self.showing.soon()
            return
        watched = self.roster.of(*key)
        if watched is None or watched.exit is not None:
            return  # nobody knows yet who it was: asked for again when that is known
        end = self.ends.exits[key]
        watched.exit = self._completed(watched, end)
        self.settling.begin(watched)
        self._record_exit(watched)
        self.arrivals.again()
        first = sum(one.exit is not None for one in self.roster.ranks) == 1
        self.follower.nudge()  # what the launcher says of it may be there already
        self.showing.soon(0.0 if first else WORDS_S)
        self.look_closely(f"rank {watched.identity.rank} ended")

    def _completed(self, watched: Watched, end: Exit) -> Exit:
        """An end with what launcher and kernel said of it."""
        pid = watched.identity.pid
        return self.agent.completed(self.settling.said(end, pid), pid)

    def _settle(self) -> None:
        """The word of the kernel on those whom SIGKILL ended."""
        self._take_kernel()
        if self.settling.look():
            self.showing.soon()

    def _take_kernel(self) -> None:
        """What the kernel's log brought, laid to the ends that it explains."""
        if not self.gpus.take():
            return
        for watched in self.roster.ranks:
            if watched.exit is not None:
                watched.exit = self._completed(watched, watched.exit)
        self.showing.soon()

    def _record_exit(self, watched: Watched) -> None:
        who = watched.identity
        end = msgspec.to_builtins(watched.exit)
        self.keeper.record("exit", rank=who.rank, pid=who.pid, start_ticks=who.start_ticks, exit=end)

    # --- what is heard and seen -----------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Logs and events since the last time; a sign of a failure is judged at once."""
        fresh, events, news = self.logs.hear(self.roster, self.agent)
        for event in events:
            self.arrivals.told(event)
        self.showing.dirty = self.showing.dirty or news
        if fresh:
            self._signs(fresh)
        if self.settling.waits:
            self._settle()

    def _signs(self, signs: list[Sign]) -> None:
        for watched in self.roster.ranks:
            if watched.exit is not None:
                watched.exit = self._completed(watched, watched.exit)
        telling = [sign for sign in signs if PATTERNS[sign.id].role in TELLING]
        if telling:
            self.showing.soon()
        for sign in telling:
            kind = (sign.rank, sign.id)
            if kind not in self._looked_for:  # the first of its kind; a log may repeat it for ever
                self._looked_for.add(kind)
                self.keeper.record("sign", id=sign.id, rank=sign.rank, text=sign.text)
                self.look_closely(f"a log says: {sign.text[:120]}")

    def _look(self) -> None:
        """The processes, the GPUs, the kernel's log."""
        living = self.roster.living
        now = time.monotonic()
        for watched, reading in zip(living, self.processes.look([w.identity for w in living]), strict=True):
            watched.readings.append(reading)
        for counter in {watched.counter for watched in living if watched.counter}:
            self.roster.oom.watch(counter, now)
        self._take_kernel()
        job, readings = self.gpus.look(self.identity())
        for rank in job.ranks if readings else ():
            found = self.roster.of(rank.pid, rank.start_ticks)
            if found is not None and found.exit is None:
                found.identity, found.gpu = rank, readings.get(rank.rank, found.gpu)
        self.showing.dirty = True

    # --- looking closely ------------------------------------------------------------------------------------------

    def _trigger(self) -> None:
        living = self.roster.living
        if not living:
            return  # it neither stands still nor goes on
        was = self.stillness.still
        why = self.stillness.due([w.pulse() for w in living], time.monotonic_ns())
        if was and not self.stillness.still:
            self.keeper.record("goes-on")
            self.showing.forget_look()
        self.showing.age()
        if self.launched and self.lags.look(self.roster, time.monotonic()):
            self.showing.dirty = True
        if why:
            self.look_closely(why)

    def look_closely(self, why: str) -> None:
        """Collect evidence, in a thread, once all that happened was heard; the first reason is the one that is told."""
        self._why_look = self._why_look or why

    def _look_closely(self) -> None:
        why, self._why_look = self._why_look, ""
        if why and not self.collector.waits and self.collector.ask(self.identity(), why):
            self.keeper.record("look", why=why)

    def _collect(self, job: JobIdentity, deadline_s: float) -> NodeEvidence:
        """In the collector's thread. Only a job of our own run is asked anything."""
        return collect(job, self.node if self.launched else None, deadline_s, sample=self.gpus.newest)

    def identity(self) -> JobIdentity:
        """The job as it is known now."""
        return msgspec.structs.replace(
            self.order.job,
            host=self.host,
            ranks=tuple(watched.identity for watched in self.roster.ranks),
            world_size=self.arrivals.world_size,
            notes=tuple(dict.fromkeys((*self.order.job.notes, *self.arrivals.notes))),
        )

    def _await_kernel(self) -> None:
        """Before the last view: what is still to be told of those whom SIGKILL ended."""
        while self.settling.waits:
            self._settle()
            time.sleep(0.05)

    def _clear_up(self) -> None:
        """The supervisor is gone without having told an end: do what it would have done."""
        count = control.end_leftovers(self.node)
        self.over = f"{ORPHANED}; {count} processes that it left were ended"
        self.keeper.record("cleared", count=count)

    def _hear_last(self) -> None:
        """The ends of what was just ended by others."""
        deadline = time.monotonic() + LAST_ENDS_S
        while self.roster.living and (left := deadline - time.monotonic()) > 0:
            for handle, _ in self._poll.poll(left):
                if handle == self._lifeline:
                    self._poll.unregister(handle)
                elif (key := self.ends.heard(handle)) is not None:
                    self._ended(key)

    def _mark(self, name: str) -> int:
        """When a file of the node's folder was touched last, 0 if it is not there."""
        try:
            return os.stat(self.node.path / name).st_mtime_ns
        except OSError:
            return 0

    def _hear_requests(self) -> None:
        mark = self._mark("diagnose")
        if mark != self._asked_mark:
            self._asked_mark = mark
            self.showing.asked_ns = time.monotonic_ns()
            self.look_closely("asked for")
        if self.launched and self.supervision.look():
            self.agent.stop_asked_ns = self.supervision.stop_asked_ns
            self.showing.dirty = True

    # --- the end --------------------------------------------------------------------------------------------------

    def _see_end(self) -> None:
        """Whether there is nothing more to watch: the launcher ended, and every rank; or all ranks of one unknown."""
        if self.over or self.agent.alive or self.arrivals.expecting:
            return
        if self.roster.over or (self.agent.alive is False and not self.roster.living):
            self.over = ENDED

    def _finish(self) -> None:
        if self.launched:
            self.supervision.look()
            self.agent.stop_asked_ns = self.supervision.stop_asked_ns
            if self.over == LIFELINE and not self.supervision.ended:
                self._clear_up()
            elif self.over == LIFELINE:
                self.over = ENDED
            self._hear_last()
        self.follower.flush(FLUSH_S)
        self._listen()
        self._await_kernel()
        self.showing.last()
        if self.collector.wait(LAST_LOOK_S):  # what it saw of the ranks while they lived
            self.showing.last()
        self.keeper.record("end", why=self.over)
        if not self.launched:
            self.keeper.close_run(Path(self.order.run))
        self.gpus.stop()
        self.follower.stop()
        self.keeper.close()
