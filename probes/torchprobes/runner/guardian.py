"""The guardian of a probe: starts the payload, watches it, and leaves nothing of it behind.

Run as `python -I -S -B guardian.py`, in a session of its own, standard library only. Its stdin is the lifeline:
the first line is the order (JSON, made by `order.py`), a later line `cancel <why>` ends the probe, and the end of
the file, like SIGTERM, means that the owner is gone: everything that descends from the guardian is killed, nothing
else ever is, and the guardian exits. What it sees goes to `guardian.jsonl` and to stdout.

An order that names a starter is one of several: the guardian serves one probe after another, whose payloads the
starter forks, and the end of the file ends the starter too. Whatever descends from the guardian and is not the
starter's belongs to the probe that runs.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

sys.path.append(str(Path(__file__).resolve().parents[2]))

from torchprobes.runner import processes
from torchprobes.runner.launchers import Exit, Launcher, Plain, Prefix, Process, open_log
from torchprobes.runner.records import Records
from torchprobes.runner.starter import Forked, Starter
from torchprobes.runner.streams import Streams, Watched

TICK_S = 0.05
CENSUS_S = 0.1
_NAMED = 20


class Ending(NamedTuple):
    """Why the probe is over: the outcome's `ending`, and the cause in words."""

    ending: str
    cause: str


class Owner:
    """Whoever started the guardian, heard through stdin and signals. `gone` says how it went, "" while it is there."""

    def __init__(self) -> None:
        self.gone = ""
        self._data = b""
        for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_signal)

    def listen(self, others: tuple[int, ...] = (), tick_s: float = TICK_S) -> None:
        """Take in what it says, waiting a tick at most for that or for something on the `others`."""
        ready, _, _ = select.select([*([] if self.gone else [0]), *others], [], [], tick_s)
        if 0 in ready:
            data = os.read(0, 1 << 16)
            self._data += data
            if not data:
                self.gone = "its console ended"

    def line(self) -> bytes | None:
        """The next whole line, None while there is none."""
        line, newline, rest = self._data.partition(b"\n")
        if not newline:
            return None
        self._data = rest
        return line

    def order(self) -> dict[str, Any] | None:
        """The next order, None if the owner goes before it gives one; a cancellation that comes late is passed over."""
        while not self.gone:
            while (line := self.line()) is not None:
                if line.startswith(b"{"):
                    return dict(json.loads(line))
            self.listen()
        return None

    def _on_signal(self, number: int, _frame: object) -> None:
        self.gone = f"its guardian was told to end ({signal.Signals(number).name})"


class Guardian:
    """One probe under watch."""

    tick_s = TICK_S

    def __init__(self, order: dict[str, Any], records: Records, owner: Owner, starter: Starter | None) -> None:
        self.order = order
        self.records = records
        self.owner = owner
        self.starter = starter
        self.keep = frozenset({starter.pid} if starter else ())
        self.census = processes.Census(os.getpid(), self.keep)
        self.process: Process | None = None
        self.exit: Exit | None = None
        self.left_behind: list[dict[str, Any]] = []
        self.seconds = 0.0
        self._begin = time.monotonic()
        self._started: float | None = None
        self._ended: float | None = None
        self._next_census = 0.0
        self._next_look = 0.0

    def run(self) -> None:
        """Start the payload, watch it to its end, clear up, and tell how it ended."""
        for name in ("stdout.log", "stderr.log"):
            os.close(open_log(self.order["folder"], name))
        self.streams = self._watched()
        try:
            self.process = self._launcher().start()
        except OSError as error:
            self._finish(Ending("not-started", f"cannot start {self.order['argv'][0]}: {error.strerror}"))
            return
        self._finish(self._watch(self.process))

    def _watched(self) -> Watched:
        return Streams(self.order["folder"], self.order["stream_bytes"], self.order["stream_lines"])

    def _launcher(self) -> Launcher:
        if self.starter is not None:
            return Forked(self.starter, self.order)
        return Prefix(self.order) if self.order.get("program") else Plain(self.order)

    def _watch(self, process: Process) -> Ending:
        rules = (self._asked, self._not_started, self._exited, self._over_limit, self._flooded)
        while True:
            self.owner.listen(process.listen, self.tick_s)
            process.pump()
            self._look(process)
            for rule in rules:
                ending = rule(process)
                if ending is not None:
                    return ending

    # --- looking -----------------------------------------------------------------------------------------

    def _look(self, process: Process) -> None:
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + TICK_S
            self.streams.look()
            self.records.flush()
        if process.pid and now >= self._next_census:
            self._next_census = now + CENSUS_S
            for entry in self.census.scan():
                self._record(entry)
        if self._started is None and self.streams.started:
            self._started = now
            self.records.write("started")

    def _record(self, entry: processes.Entry) -> None:
        main = self.process is not None and entry.pid == self.process.pid
        self.records.write("process", pid=entry.pid, start=entry.start, session=entry.session, main=main)

    # --- the rules that end a probe ------------------------------------------------------------------------

    def _asked(self, _process: Process) -> Ending | None:
        line = self.owner.line()
        if line is not None and (ending := self._told(line)) is not None:
            return ending
        return Ending("interrupted", f"interrupted: {self.owner.gone}") if self.owner.gone else None

    def _told(self, line: bytes) -> Ending | None:
        """What a line of the owner asks for."""
        return Ending("cancelled", line[7:].decode("utf-8", "replace")) if line.startswith(b"cancel ") else None

    def _not_started(self, process: Process) -> Ending | None:
        failure = process.failure()
        return Ending("refused" if process.refused else "not-started", failure) if failure else None

    def _exited(self, process: Process) -> Ending | None:
        """The main process is gone, and what it started is gone too or outstayed its grace."""
        if not process.pid:  # it may be there already: nobody but `wait` may reap it
            return None
        self.exit = process.wait()
        children = processes.reap_children(self.keep if self.exit else self.keep | {process.pid})
        if self.exit is None:
            return None
        now = time.monotonic()
        self._ended = self._ended or now
        if self.exit.left_behind:
            self.left_behind += self.exit.left_behind
        elif children and now < self._ended + self.order["grace_s"]:
            return None
        elif children:
            self.left_behind += [_named(e) for e in self.census.living()]
        return Ending("left-behind" if self.left_behind else "exited", "")

    def _over_limit(self, process: Process) -> Ending | None:
        now = time.monotonic()
        if self._started is not None:
            limit = self.order["limit_s"]
            return Ending("timeout", f"no end within its limit of {limit:g} s") if now > self._started + limit else None
        limit = self.order["import_limit_s"]
        if now <= self._begin + limit:
            return None
        if self.starter is not None and not process.pid:
            self.starter.give_up(f"it had not imported torch within {limit:g} s")
        executed = process.failure() is not None
        return Ending(
            "timeout", f"{'no start (torch not imported)' if executed else 'exec gave no answer'} within {limit:g} s"
        )

    def _flooded(self, _process: Process) -> Ending | None:
        over = self.streams.over()
        return Ending("stream-limit", over) if over else None

    # --- the end -------------------------------------------------------------------------------------------

    def _finish(self, ending: Ending) -> None:
        self.seconds = time.monotonic() - self._begin
        if self.process is not None:
            self.process.kill()
        if self.starter is not None and self.starter.trouble:
            self.keep = self.census.keep = frozenset()
        left = processes.end_all(self.census.living, self._none_left, self.order["kill_s"])
        if self.process is not None:
            self.exit = self.process.wait()
            self.process.pump()
        self.streams.look()
        self.streams.close()
        if ending.ending == "exited" and (over := self.streams.over()):  # it was quicker than a look
            ending = Ending("stream-limit", over)
        for folder in self.order["remove"]:
            shutil.rmtree(folder, ignore_errors=True)
        code, number = (self.exit.code, self.exit.signal) if self.exit else (None, None)
        self.records.write(
            "end", ending=ending.ending, cause=ending.cause, exit_code=code, signal=number, seconds=self.seconds,
            left_behind=self.left_behind[:_NAMED], left_behind_count=len(self.left_behind),
            not_ended=[_named(e) for e in left[:_NAMED]], full=self.records.full or _is_full(self.order["folder"]),
            main=self._main_pid(), starter=self.starter.ready if self.starter else None,
        )  # fmt: skip
        self.records.close()

    def _none_left(self) -> bool:
        if self.process is not None:
            self.process.wait()
        return not processes.reap_children(self.keep)

    def _main_pid(self) -> int | None:
        """The main pid as its own events tell it: behind a prefix that is another one."""
        wire = getattr(self.process, "wire", None)
        if wire is not None:
            return int(wire.main) if wire.main else None
        return self.process.pid if self.process is not None else None


def _named(entry: processes.Entry) -> dict[str, Any]:
    return {"pid": entry.pid, "command": processes.command_line(entry.pid)}


def _is_full(folder: str) -> bool:
    try:
        return os.statvfs(folder).f_bavail == 0
    except OSError:
        return False


def guard(order: dict[str, Any], owner: Owner, starter: Starter | None) -> None:
    """Guard one probe to its end."""
    records = Records(os.path.join(order["folder"], "guardian.jsonl"), 1)
    me = processes.read(os.getpid())
    records.write(
        "start", pid=os.getpid(), start=me.start if me else 0, token=order["token"], argv=order["argv"],
        limit_s=order["limit_s"], boot_id=order["boot_id"],
    )  # fmt: skip
    Guardian(order, records, owner, starter).run()


def serve(order: dict[str, Any] | None, owner: Owner) -> None:
    """Guard one probe after another; the starter ends with the last."""
    starter: Starter | None = None
    while order is not None:
        starter = starter or Starter(order["starter"])
        if "folder" in order:  # else it is to be ready for what comes
            guard(order, owner, starter)
        order = owner.order()
    living = processes.Census(os.getpid()).living
    processes.end_all(living, lambda: not processes.reap_children(()))


def main() -> int:
    """Read the first order, guard its probe, and those after it if a starter serves them; 2 if there was no order."""
    owner = Owner()
    order = owner.order()
    if order is None:
        return 2
    processes.become_subreaper()
    if "starter" in order:
        serve(order, owner)
    else:
        guard(order, owner, None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
