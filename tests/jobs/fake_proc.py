"""A /proc of files, as many processes as a test wants: what a scan reads of each, and nothing else."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PYTHON = "/usr/bin/python3"


class FakeProc:
    """Processes are added one by one; their pids and start times grow in that order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = 100
        self._children: dict[int, list[int]] = {}
        self.add("init", pid=1, parent=0)

    def add(
        self, command: str | tuple[str, ...], environ: Mapping[str, Any] | None = None, *, parent: int = 1,
        pid: int | None = None, state: str = "S", threads: tuple[str, ...] = (), title: str = "",
        fds: Mapping[int, str] | None = None, session: int | None = None, flags: int = 0x400000,
    ) -> int:  # fmt: skip
        """One process; its pid. With a `title` its command line and environment are as setproctitle leaves them."""
        pid = pid or self._next
        self._next = max(self._next, pid) + 1
        words = (*command.split(" "),) if isinstance(command, str) else command
        folder = self.path / str(pid)
        name = (title or os.path.basename(words[0]))[:15]
        names = threads or (name,)
        fields = [parent, pid, pid if session is None else session, 0, -1, flags, *[0] * 10, len(names), 0, 1000 + pid]
        folder.mkdir(parents=True)
        numbers = " ".join(map(str, fields))
        (folder / "stat").write_text(f"{pid} ({name}) {state} {numbers} 0 0 0\n")
        dead = state == "Z"
        variables = {} if dead or title else {"PATH": "/usr/bin", **(environ or {})}
        (folder / "environ").write_bytes(b"".join(f"{k}={v}\0".encode() for k, v in variables.items()))
        line = title.encode() + b"\0" * 8 if title else b"\0".join(w.encode() for w in words) + b"\0"
        (folder / "cmdline").write_bytes(b"" if dead else line)
        (folder / "status").write_text(f"Name:\t{name}\nUid:\t{os.getuid()}\t0\t0\t0\nNSpid:\t{pid}\n")
        for place, thread in enumerate(names):
            task = folder / "task" / str(pid + place * 100_000)
            task.mkdir(parents=True)
            (task / "comm").write_text(thread + "\n")
        (folder / "fd").mkdir()
        for number, target in (fds or {}).items():
            (folder / "fd" / str(number)).symlink_to(target)
        self._children.setdefault(parent, []).append(pid)
        mine = self.path / str(parent) / "task" / str(parent) / "children"
        if mine.parent.is_dir():
            mine.write_text(" ".join(map(str, self._children[parent])))
        return pid

    def connect(self, one: int, other: int) -> None:
        """An established connection between two processes."""
        rows = ["  sl  local_address rem_address   st"]
        for place, (pid, near, far) in enumerate(((one, "1F90", "9C40"), (other, "9C40", "1F90"))):
            inode = pid * 10
            (self.path / str(pid) / "fd" / "7").symlink_to(f"socket:[{inode}]")
            rows.append(f" {place}: 0100007F:{near} 0100007F:{far} 01 00:00 00:0 00 0 0 {inode} 1")
        for pid in (one, other):
            (self.path / str(pid) / "net").mkdir()
            (self.path / str(pid) / "net" / "tcp").write_text("\n".join(rows))


def torchrun_environ(rank: int, world: int = 2, **more: Any) -> dict[str, Any]:
    """What torchrun gives a rank of one node."""
    return {
        "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "GROUP_RANK": 0, "LOCAL_WORLD_SIZE": world,
        "MASTER_ADDR": "node7", "MASTER_PORT": 29500, "TORCHELASTIC_RUN_ID": "job1", "TORCHELASTIC_RESTART_COUNT": 0,
        **more,
    }  # fmt: skip


HOST = socket.gethostname()
