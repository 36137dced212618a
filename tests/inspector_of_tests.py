"""The real inspector with questions of our own: ones that block, fail, die, and talk nonsense. Run by path."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "probes"))

from torchprobes.environment import inspector


def block(pid_file: str = "") -> None:
    """Never answer, not even to a polite signal."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    if pid_file:
        helper = subprocess.Popen(["sleep", "600"])
        Path(pid_file + ".new").write_text(f"{os.getpid()} {helper.pid}")
        os.rename(pid_file + ".new", pid_file)
    threading.Event().wait()


def echo(**arguments: Any) -> Any:
    """What was asked."""
    return arguments


def fail() -> None:
    """Fail with many lines."""
    raise ValueError("the first line\n  and a second\x1b[2J")


def refuse() -> None:
    """Fail as the kernel does."""
    raise PermissionError(13, "Permission denied", "/secret/place")


def die(number: int = 0) -> None:
    """End without a word, or by a signal."""
    if number:
        os.kill(os.getpid(), number)
    os._exit(3)


def babble(text: str = "", times: int = 1) -> str:
    """Say things that are no answer, then answer."""
    os.write(1, text.encode() * times)
    return "in the end"


def each() -> dict[str, Callable[[], Any]]:
    """One that answers, one that fails, one that blocks."""
    return {"good": lambda: 1, "bad": fail, "blocked": threading.Event().wait}


def each_and_die() -> dict[str, Callable[[], Any]]:
    """One that answers, and one that kills the child after it."""
    answered = threading.Event()

    def good() -> str:
        threading.Timer(0.2, answered.set).start()
        return "here"

    def fatal() -> None:
        answered.wait()
        os._exit(3)

    return {"good": good, "fatal": fatal}


ANSWERS: dict[str, Callable[..., Any]] = {
    "block": block, "echo": echo, "fail": fail, "refuse": refuse, "die": die, "babble": babble, "each": each,
    "each and die": each_and_die, "unserialisable": object,
}  # fmt: skip

if __name__ == "__main__":
    module = types.ModuleType("torchprobes.environment.of_tests")
    vars(module)["ANSWERS"] = ANSWERS
    sys.modules[module.__name__] = module
    inspector.QUESTIONS = dict.fromkeys(ANSWERS, "of_tests")
    inspector.main()
