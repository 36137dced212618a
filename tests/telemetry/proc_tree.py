"""A /proc of our own making: processes that are what a test says, appear, change and end when it says so."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


class ProcTree:
    """The tree; `dev` beside it holds the device files."""

    def __init__(self, root: Path, kernel: bool = True) -> None:
        self.proc, self.dev = root / "proc", root / "dev"
        self.proc.mkdir()
        self.dev.mkdir()
        self.process(1, "init")
        if kernel:
            self.process(2, "kthreadd")

    def process(
        self,
        pid: int,
        name: str = "python3",
        *,
        command: bytes = b"python3\0train.py\0",
        cgroup: str = "0::/user.slice\n",
        environment: bytes = b"HOME=/root\0",
        uid: int = 0,
        started: int = 1000,
        state: str = "S",
        ticks: int = 0,
        pages: int = 10,
        opens: tuple[str, ...] = (),
    ) -> Path:
        folder = self.proc / str(pid)
        (folder / "fd").mkdir(parents=True, exist_ok=True)
        fields = [state, "1", *["0"] * 9, str(ticks), "0", *["0"] * 6, str(started), "0", str(pages), *["0"] * 28]
        (folder / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")
        (folder / "status").write_text(f"Name:\t{name}\nUid:\t{uid}\t0\t0\t0\n")
        (folder / "cgroup").write_text(cgroup)
        (folder / "cmdline").write_bytes(command)
        (folder / "environ").write_bytes(environment)
        for number, target in enumerate(opens):
            os.symlink(target, folder / "fd" / str(number))
        return folder

    def end(self, pid: int) -> None:
        shutil.rmtree(self.proc / str(pid))
