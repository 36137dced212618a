"""The real program as a process: its exit code and what it said, in an environment with nothing of the tester's."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROOTS = (ROOT / "tui", ROOT / "probes")


@dataclass(frozen=True)
class Said:
    """How a command ended. `lines` are those of stderr."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.err.splitlines()

    def one_line(self) -> str:
        """The one line that the command said before it refused; nothing else, no traceback, nothing on stdout."""
        assert self.out == ""
        (line,) = self.lines
        assert line.startswith("torchdoctor: ")
        return line


def environment(home: Path, **extra: str) -> dict[str, str]:
    """A bare environment whose home and runs are below `home`, and whose own interpreter is the target."""
    base = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(map(str, ROOTS)),
        "HOME": str(home),
        "TORCHDOCTOR_STATE": str(home / "state"),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
    }
    return {**base, **extra}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-B", "-m", "torchdoctor", *arguments]


def torchdoctor(
    home: Path, *arguments: str, stdin: str = "", environ: Mapping[str, str] | None = None, timeout: float = 120
) -> Said:
    """Run `python -m torchdoctor ARGUMENTS` to its end."""
    done = subprocess.run(
        command(*arguments),
        cwd=home,
        env=dict(environ or environment(home)),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def until(true: Callable[[], bool], what: str, deadline_s: float = 90.0) -> None:
    """Poll until something is true; a failure names what never came."""
    deadline = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
