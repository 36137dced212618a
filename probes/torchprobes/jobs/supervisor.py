"""The supervisor of a job on one node: starts its agent, outlives consoles and terminals, and leaves nothing behind.

Run as `python -I -S -B supervisor.py [--foreground]`, standard library only. stdin holds the order, one line of JSON
(`launch.py`). Two processes come of it. The *warden* is the parent of the supervisor, and does nothing but wait for
it: both are subreapers, so that whatever is orphaned by a SIGKILL of the supervisor becomes the warden's, which ends
it. The supervisor starts the agent (torchrun) bound to its own life, records every descendant in `supervisor.jsonl`,
and keeps one watcher alive, which is nobody's to kill. Only descendants are ever signalled.

Detached, the first process leaves as soon as the supervisor owns the run, and says so on stdout; in the foreground
(`srun` starts one on each node) it is the warden itself, and ends with the agent's exit code.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

sys.path.append(str(Path(__file__).resolve().parents[2]))

from torchprobes.runner import processes
from torchprobes.runner.companion import Companion
from torchprobes.runner.launchers import Exit, PlainProcess, open_log, spawn
from torchprobes.runner.processes import Entry
from torchprobes.runner.records import Records
from torchprobes.runner.warden import KILL_S, MOST_NAMED, Requests, change_info, guard, named, stamp

CENSUS_S = 0.2
HURRY_S = 1.0
"""What is left of the grace once a person asks again."""
LEFTOVERS_S = 5.0
"""What a rank of a sound job may leave running for: an upload that finishes. A job that failed gets none."""
WATCHER_S = 5.0
"""In which the watcher writes its last view after the end."""
MOST_RECORDED = 50_000


class Supervisor:
    """One job under supervision, from the start of its agent to the end of everything that it started."""

    def __init__(self, order: dict[str, Any], requests: Requests) -> None:
        self.order, self.requests = order, requests
        self.node = Path(order["node"])
        self.records = Records(str(self.node / "supervisor.jsonl"), os.open(os.devnull, os.O_WRONLY))
        self.watcher = Companion(order, self.records)
        self.census = processes.Census(os.getpid())
        self.agent: PlainProcess | None = None
        self.exit: Exit | None = None
        self.stop_asked = 0
        self._begin = time.monotonic()
        self._next_census = 0.0
        self._recorded = 0
        self._deadline = 0.0
        self._termed = False

    def own(self) -> None:
        """Say that this process is the run's owner, in run.json and in the first record."""
        me = processes.read(os.getpid())
        start = me.start if me else 0
        if self.order["owner"]:
            owner = {"pid": os.getpid(), "start_ticks": start, "boot_id": self.order["boot_id"]}
            change_info(self.order["run"], owner=owner)
        warden = processes.read(os.getppid())
        self.records.write(
            "start", pid=os.getpid(), start=start, boot_id=self.order["boot_id"], token=self.order["token"],
            argv=self.order["argv"], grace_s=self.order["grace_s"], warden=os.getppid(),
            warden_start=warden.start if warden else 0,
        )  # fmt: skip

    def run(self) -> Exit | None:
        """Start the agent, watch it to its end, end what is left; how the agent ended."""
        null = os.open(os.devnull, os.O_RDONLY)
        log = open_log(str(self.node), "agent.log")
        order = {**self.order, "env": self._environ()}
        try:
            self.agent = PlainProcess(*spawn(order, (null, log, log)))
        except OSError as error:
            self.records.write("agent-exit", code=None, signal=None, why=f"cannot start: {error.strerror}")
            self._end()
            return None
        finally:
            os.close(null)
            os.close(log)
        entry = processes.read(self.agent.pid)
        self.records.write("agent", pid=self.agent.pid, start=entry.start if entry else 0)
        self.watcher.job = {
            **self.order["job"], "launcher_pid": self.agent.pid, "launcher_start_ticks": entry.start if entry else None,
            "key": self.order["job"]["key"] or f"spawn:{self.agent.pid}", "started_ns": time.time_ns(),
        }  # fmt: skip
        while self._alive(self.agent):
            self._tick()
        self._leave_time()
        self._end()
        return self.exit

    def _environ(self) -> dict[str, str]:
        env = {name: value for name, value in os.environ.items() if name not in self.order["unset"]}
        return {**env, **self.order["env"]}

    def _alive(self, agent: PlainProcess) -> bool:
        if self.exit is not None:
            return False
        self.exit = agent.wait()
        if self.exit is None:
            return True
        why = agent.failure() or ""
        self.records.write("agent-exit", code=self.exit.code, signal=self.exit.signal, why=why)
        return False

    # --- looking ---------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Wait for something to happen, look once, and go on with an end that was asked for."""
        listen = [self.requests.wake, *self.watcher.listen, *(self.agent.listen if self.agent else ())]
        select.select(listen, [], [], CENSUS_S)
        self.requests.drain()
        self.watcher.look()
        self.census.keep = self.watcher.keep
        now = time.monotonic()
        if now >= self._next_census:
            self._next_census = now + CENSUS_S
            for entry in self.census.scan():
                self._record(entry)
            self._reap()
            self._asked(self.requests.ends + self._file_asks())
        if self.stop_asked:
            self._go_on(now)

    def _record(self, entry: Entry) -> None:
        self._recorded += 1
        if self._recorded < MOST_RECORDED:
            self.records.write("process", pid=entry.pid, start=entry.start, session=entry.session, parent=entry.parent)
        elif self._recorded == MOST_RECORDED:
            self.records.write("note", text=f"more than {MOST_RECORDED} processes: no more of them are recorded")

    def _reap(self) -> None:
        """Reap orphans that became ours; the agent's and the watcher's ends are told to those who wait for them."""
        agent = {self.agent.pid} if self.agent and self.exit is None else set()
        processes.reap_children(self.watcher.keep | agent)

    def _file_asks(self) -> int:
        """How often the file of the node asks for the end: a byte each time, once if it is empty."""
        try:
            return max(1, os.stat(self.node / "stop").st_size)
        except OSError:
            return 0

    # --- an end that was asked for ------------------------------------------------------------------------------

    def _asked(self, asks: int) -> None:
        """A first request asks the agent politely; another one shortens its grace."""
        if asks <= self.stop_asked:
            return
        first = self.stop_asked == 0
        self.stop_asked = asks
        grace = self.order["grace_s"] if first else min(self.order["grace_s"], HURRY_S)
        deadline = time.monotonic() + grace
        self._deadline = deadline if first else min(self._deadline, deadline)
        self.records.write("stop", asked=asks, grace_s=grace)
        if first and self.agent and self.exit is None:
            os.kill(self.agent.pid, signal.SIGTERM)  # not reaped yet: the pid is still the agent's

    def _go_on(self, now: float) -> None:
        """The next step of an end once its time is over: SIGTERM to the groups, then SIGKILL to everything."""
        if now < self._deadline:
            return
        living = [e for e in self.census.living() if self.agent is None or e.pid != self.agent.pid]
        if not self._termed:
            self._termed = True
            self._deadline = now + self.order["term_s"]
            processes.send_group(living, signal.SIGTERM)
            self.records.write("term", pids=[e.pid for e in living][:MOST_NAMED], count=len(living))
        else:
            self.records.write("kill", pids=[e.pid for e in living][:MOST_NAMED], count=len(living))
            self._kill_all()
            self._deadline = now + KILL_S

    # --- the end --------------------------------------------------------------------------------------------------

    def _leave_time(self) -> None:
        """Give what a sound job left a moment; nothing where it failed or was told to end."""
        sound = self.exit is not None and self.exit.code == 0
        deadline = time.monotonic() + (LEFTOVERS_S if sound else 0.0)
        while not self._none_left() and time.monotonic() < deadline and not self.stop_asked:
            self._tick()

    def _end(self) -> None:
        left_behind = [named(entry) for entry in self.census.living()]
        not_ended = self._kill_all()
        code, number = (self.exit.code, self.exit.signal) if self.exit else (None, None)
        self.records.write(
            "end", exit_code=code, signal=number, stopped=self.stop_asked > 0, left_behind=left_behind[:MOST_NAMED],
            left_behind_count=len(left_behind), not_ended=[named(e) for e in not_ended[:MOST_NAMED]],
            seconds=time.monotonic() - self._begin,
        )  # fmt: skip
        self.watcher.end(WATCHER_S)
        self.records.close()
        if self.order["owner"]:
            change_info(self.order["run"], finished=stamp(), seconds=time.monotonic() - self._begin)

    def _kill_all(self) -> list[Entry]:
        self.census.keep = self.watcher.keep
        return processes.end_all(self.census.living, self._none_left, KILL_S)

    def _none_left(self) -> bool:
        if self.agent is not None and self.exit is None:
            self._alive(self.agent)
        agent = {self.agent.pid} if self.agent and self.exit is None else set()
        return not processes.reap_children(self.watcher.keep | agent) and not agent


def supervise(order: dict[str, Any], answer: int, done: int) -> NoReturn:
    """The supervisor: never comes back. A byte on `done` says that it left nothing behind."""
    code = 1
    try:
        os.setsid()
        processes.become_subreaper()
        supervisor = Supervisor(order, Requests())
        supervisor.own()
        os.write(answer, json.dumps({"pid": os.getpid()}).encode() + b"\n")
        os.close(answer)
        _silence()
        ended = supervisor.run()
        os.write(done, b"1")
        code = ended.code if ended is not None and ended.code is not None else 1
    except BaseException as error:  # noqa: BLE001 - whatever it is: the warden ends the job
        sys.stderr.write(f"the supervisor cannot work: {type(error).__name__}: {error}\n")
    finally:
        sys.stderr.flush()
        os._exit(code)


def _silence() -> None:
    """Let go of the starter's pipes and terminal."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(null, fd)
    os.close(null)


def main() -> int:
    """Read the order, become the warden, start the supervisor."""
    with open(0, "rb", closefd=False) as file:
        order = json.loads(file.readline())
    foreground = "--foreground" in sys.argv[1:]
    answer = os.dup(1) if not foreground else os.open(os.devnull, os.O_WRONLY)
    if not foreground and os.fork():
        os._exit(0)  # the starter hears of the supervisor from itself
    if not foreground:
        os.setsid()
    processes.become_subreaper()
    requests = Requests(interrupt=foreground)
    done, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(done)
        supervise(order, answer, theirs)
    os.close(theirs)
    os.close(answer)
    _silence()
    return guard(pid, done, requests, order)


if __name__ == "__main__":
    sys.exit(main())
