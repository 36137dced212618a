"""The guardian of a capture: a person's own command under watch, its output kept, nothing of it ended for our limits.

Run and ordered as `guardian.py`, standard library only. It differs in four ways. The command has no time limit. Its
output comes over pipes and is written here, so that a full disk or a limit on the kept text costs text and never the
command. `signal N` on the lifeline is handed on to the command, which may end in its own way. How it ended goes to
`end.json`, replaced in one step.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

sys.path.append(str(Path(__file__).resolve().parents[2]))

from torchprobes.runner import processes
from torchprobes.runner.capture_pipes import Piped, PipedProcess
from torchprobes.runner.guardian import Ending, Guardian, Owner
from torchprobes.runner.launchers import Process
from torchprobes.runner.records import Records

PAUSE_S: Final = 0.005
"""Between two looks at the pipes: a command that prints line by line wakes nobody for each of them."""

HELPERS: Final = ("compile_worker", "multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""In the command lines of processes that PyTorch and Python start beside a program."""

_NAMED: Final = 8


class Unlimited:
    """Streams that nobody counts: they have no limit that would end anything."""

    started = False

    def look(self) -> None:
        """Nothing to count."""

    def close(self) -> None:
        """Nothing is held."""

    def over(self) -> str:
        """Never."""
        return ""


class CaptureGuardian(Guardian):
    """One command under watch."""

    tick_s = 0.2  # its output, its end and its owner wake us; nothing else has to be seen at once

    def _watched(self) -> Unlimited:
        return Unlimited()

    def _launcher(self) -> Piped:
        return Piped(self.order)

    def _look(self, process: Process) -> None:
        super()._look(process)
        if isinstance(process, PipedProcess) and not process.busy:
            time.sleep(PAUSE_S)

    def _over_limit(self, process: Process) -> Ending | None:
        return None

    def _told(self, line: bytes) -> Ending | None:
        if line.startswith(b"signal ") and line[7:].isdigit():
            self._hand_on(int(line[7:]))
            return None
        return super()._told(line)

    def _hand_on(self, number: int) -> None:
        """To the command's process group, as a terminal does; ranks in sessions of their own hear their launcher."""
        if self.process is not None and self.process.pid and self.exit is None:  # not reaped: the pid is still its own
            with contextlib.suppress(OSError):
                os.killpg(self.process.pid, number)

    def _finish(self, ending: Ending) -> None:
        super()._finish(ending)
        logs = self.process.finish() if isinstance(self.process, PipedProcess) else ()
        write_end(self.order["folder"], {
            "exit_code": self.exit.code if self.exit else None,
            "signal": self.exit.signal if self.exit else None,
            "seconds": round(self.seconds, 3),
            "ending": ending.ending,
            "cause": ending.cause,
            "left_behind": [left["command"] for left in self.left_behind if not _is_helper(left["command"])][:_NAMED],
            "lost_bytes": sum(log.lost for log in logs),
            "turns": sum(log.turns for log in logs),
        })  # fmt: skip


def _is_helper(command: str) -> bool:
    """Whether it ends by itself a moment after the program that it serves: no fault of the program's."""
    return any(name in command for name in HELPERS)


def write_end(folder: str, end: dict[str, Any]) -> None:
    """Replace `end.json` in one step; a disk that is full leaves none."""
    path = os.path.join(folder, "end.json")
    with contextlib.suppress(OSError):
        with open(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            json.dump(end, file)
        os.replace(f"{path}.new", path)


def main() -> int:
    """Read the order and guard its command; 2 if there was no order."""
    owner = Owner()
    order = owner.order()
    if order is None:
        return 2
    processes.become_subreaper()
    records = Records(os.path.join(order["folder"], "guardian.jsonl"), 1)
    me = processes.read(os.getpid())
    records.write(
        "start", pid=os.getpid(), start=me.start if me else 0, token=order["token"], boot_id=order["boot_id"],
    )  # fmt: skip
    CaptureGuardian(order, records, owner, None).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
