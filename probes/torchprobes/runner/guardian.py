"""The guardian of one probe: starts the payload, watches it, and leaves nothing of it behind.

Run as `python -I -S -B guardian.py`, in a session of its own, standard library only. Its stdin is the lifeline:
the first line is the order (JSON, made by `order.py`), a later line `cancel <why>` ends the probe, and the end of
the file, like SIGTERM, means that the owner is gone: everything that descends from the guardian is killed, nothing
else ever is, and the guardian exits. What it sees goes to `guardian.jsonl` and to stdout.
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
from torchprobes.runner.launchers import Exit, Process, launcher, open_log
from torchprobes.runner.records import Records
from torchprobes.runner.streams import Streams

TICK_S = 0.05
CENSUS_S = 0.1
_NAMED = 20


class Ending(NamedTuple):
    """Why the probe is over: the outcome's `ending`, and the cause in words."""

    ending: str
    cause: str


class Guardian:
    """One probe under watch."""

    def __init__(self, order: dict[str, Any], records: Records, commands: bytes = b"") -> None:
        self.order = order
        self.records = records
        self.census = processes.Census(os.getpid())
        self.process: Process | None = None
        self.exit: Exit | None = None
        self.left_behind: list[dict[str, Any]] = []
        self._begin = time.monotonic()
        self._started: float | None = None
        self._ended: float | None = None
        self._next_census = 0.0
        self._next_look = 0.0
        self._commands = commands
        self._owner_gone = ""
        signal.signal(signal.SIGTERM, self._on_signal)

    def run(self) -> None:
        """Start the payload, watch it to its end, clear up, and tell how it ended."""
        for name in ("stdout.log", "stderr.log"):
            os.close(open_log(self.order["folder"], name))
        self.streams = Streams(self.order["folder"], self.order["stream_bytes"], self.order["stream_lines"])
        try:
            self.process = launcher(self.order).start()
        except OSError as error:
            self._finish(Ending("not-started", f"cannot start {self.order['argv'][0]}: {error.strerror}"))
            return
        self._finish(self._watch(self.process))

    def _watch(self, process: Process) -> Ending:
        rules = (self._asked, self._not_started, self._exited, self._over_limit, self._flooded)
        while True:
            self._listen(process)
            process.pump()
            self._look()
            for rule in rules:
                ending = rule(process)
                if ending is not None:
                    return ending

    # --- looking -----------------------------------------------------------------------------------------

    def _listen(self, process: Process) -> None:
        ready, _, _ = select.select([0, *process.listen], [], [], TICK_S)
        if 0 in ready and not self._owner_gone:
            data = os.read(0, 4096)
            self._commands += data
            if not data:
                self._owner_gone = "its console ended"

    def _look(self) -> None:
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + TICK_S
            self.streams.look()
            self.records.flush()
        if now >= self._next_census:
            self._next_census = now + CENSUS_S
            for entry in self.census.scan():
                self._record(entry)
        if self._started is None and self.streams.events.started:
            self._started = now
            self.records.write("started")

    def _record(self, entry: processes.Entry) -> None:
        main = self.process is not None and entry.pid == self.process.pid
        self.records.write("process", pid=entry.pid, start=entry.start, session=entry.session, main=main)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._owner_gone = f"its guardian was told to end ({signal.Signals(number).name})"

    # --- the rules that end a probe ------------------------------------------------------------------------

    def _asked(self, _process: Process) -> Ending | None:
        line, newline, _ = self._commands.partition(b"\n")
        if newline and line.startswith(b"cancel "):
            return Ending("cancelled", line[7:].decode("utf-8", "replace"))
        return Ending("interrupted", f"interrupted: {self._owner_gone}") if self._owner_gone else None

    def _not_started(self, process: Process) -> Ending | None:
        failure = process.failure()
        return Ending("not-started", failure) if failure else None

    def _exited(self, process: Process) -> Ending | None:
        """The main process is gone, and what it started is gone too or outstayed its grace."""
        self.exit = process.wait()
        children = processes.reap_all(but=0 if self.exit else process.pid)
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
        what = "exec gave no answer" if process.failure() is None else "no start (torch not imported)"
        return Ending("timeout", f"{what} within {limit:g} s")

    def _flooded(self, _process: Process) -> Ending | None:
        over = self.streams.over()
        return Ending("stream-limit", over) if over else None

    # --- the end -------------------------------------------------------------------------------------------

    def _finish(self, ending: Ending) -> None:
        seconds = time.monotonic() - self._begin
        if self.process is not None:
            self.process.kill()
        left = processes.end_all(self.census.living, self._none_left, self.order["kill_s"])
        if self.process is not None:
            self.exit = self.process.wait()
            self.process.pump()
        self.streams.look()
        if ending.ending == "exited" and (over := self.streams.over()):  # it was quicker than a look
            ending = Ending("stream-limit", over)
        for folder in self.order["remove"]:
            shutil.rmtree(folder, ignore_errors=True)
        code, number = (self.exit.code, self.exit.signal) if self.exit else (None, None)
        self.records.write(
            "end", ending=ending.ending, cause=ending.cause, exit_code=code, signal=number, seconds=seconds,
            left_behind=self.left_behind[:_NAMED], left_behind_count=len(self.left_behind),
            not_ended=[_named(e) for e in left[:_NAMED]], full=self.records.full or _is_full(self.order["folder"]),
            main=self._main_pid(),
        )  # fmt: skip
        self.records.close()

    def _none_left(self) -> bool:
        if self.process is not None:
            self.process.wait()
        return not processes.reap_all()

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


def _read_order() -> tuple[dict[str, Any] | None, bytes]:
    """The order, None if none came, and what came after it."""
    data = b""
    while b"\n" not in data:
        chunk = os.read(0, 1 << 16)
        if not chunk:
            return None, b""
        data += chunk
    line, _, rest = data.partition(b"\n")
    return json.loads(line), rest


def main() -> int:
    """Read the order, guard the probe; 0 if an end was told, 2 if there was no order."""
    order, commands = _read_order()
    if order is None:
        return 2
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    processes.become_subreaper()
    records = Records(os.path.join(order["folder"], "guardian.jsonl"), 1)
    me = processes.read(os.getpid())
    records.write(
        "start", pid=os.getpid(), start=me.start if me else 0, token=order["token"], argv=order["argv"],
        limit_s=order["limit_s"], boot_id=order["boot_id"],
    )  # fmt: skip
    Guardian(order, records, commands).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
