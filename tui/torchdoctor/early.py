"""The sampler child, started before anything else is imported: while we import, it opens the driver.

Standard library only. Starting it can take as long as the file system of our own interpreter wants, so a thread does
it, and whoever wants the child waits in a thread too.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from .command_table import COMMANDS

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

RATE_HZ: Final = 1.0
"""How often telemetry is sampled when nobody says how often."""

SPAWN_S: Final = 0.05
"""So long the start of the child may hold us up; a file system that needs longer does not."""

_ONE_LOOK: Final = ("gpus", "status", "snapshot")
_NOT_OURS: Final = ("-h", "--help", "--version")


class Early:
    """A child on its way, for so many samples a second, or (None) for one."""

    def __init__(self, rate_hz: float | None) -> None:
        self.rate_hz = rate_hz
        self.line = b""
        """The first line that it said; it is still in the pipe, for whoever reads the child."""
        self._process: subprocess.Popen[bytes] | None = None
        self._spawned, self._looked = threading.Event(), threading.Event()
        threading.Thread(target=self._run, name="torchdoctor-early", daemon=True).start()
        self._spawned.wait(SPAWN_S)  # two threads that import are slower than one after the other

    def _run(self) -> None:
        try:
            from torchprobes import child

            self._process = child.Piped(list(child.sampler_command(self.rate_hz)), roomy=True, apart=True)
            self._spawned.set()
            self._look(self._process.stdout)
        except OSError:
            pass  # whoever wanted it starts one, and says what comes of that
        finally:
            self._spawned.set()
            self._looked.set()

    def _look(self, pipe: Any) -> None:
        """Look at the first line without taking it. Nobody else may read meanwhile: CPython would lose what we saw."""
        with contextlib.suppress(ValueError):  # it was closed meanwhile
            line, end, _ = pipe.peek(1).partition(b"\n")
            self.line = line if end else b""

    def wait(self) -> subprocess.Popen[bytes] | None:
        """The child, None if it could not be started; waits until it said something, as its reader would."""
        self._looked.wait()
        return self._process

    def drop(self) -> None:
        """Nobody wants it: it ends when its stdin closes."""
        process = self.wait()
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
            process.wait()


_early: Early | None = None
"""The child that nobody took yet."""

_seen: Early | None = None


def begin(arguments: Sequence[str], environ: Mapping[str, str] = os.environ) -> None:
    """Start the child that this command line will want, if it will."""
    global _early, _seen
    wanted = wanted_by(arguments, environ, screen=has_screen(environ))
    _early = _seen = Early(wanted or None) if wanted is not None else None


def wanted_by(arguments: Sequence[str], environ: Mapping[str, str], *, screen: bool) -> float | None:
    """The rate that a command line will want, 0 for one sample, None for no sampler. A guess: it need not be taken."""
    if any(word in _NOT_OURS for word in arguments):
        return None
    command = next((word for word in arguments if word in COMMANDS), "")
    if command in _ONE_LOOK or (not command and not screen):
        return 0.0
    return _rate(arguments, environ) if not command or command == "logs" else None


def _rate(arguments: Sequence[str], environ: Mapping[str, str]) -> float:
    """What the settings will come to, `config.toml` apart; the default where it is no number."""
    following = [arguments[place + 1] for place, word in enumerate(arguments[:-1]) if word == "--rate"]
    joined = [word.partition("=")[2] for word in arguments if word.startswith("--rate=")]
    for text in (*following, *joined, environ.get("TORCHDOCTOR_RATE", "")):
        with contextlib.suppress(ValueError):
            rate = float(text)
            return rate if 0.1 <= rate <= 10 else RATE_HZ
    return RATE_HZ


def first_line() -> bytes:
    """What the child said first, b"" as long as it said nothing; also after it was taken."""
    return _seen.line if _seen is not None else b""


def take(rate_hz: float | None) -> Callable[[], subprocess.Popen[bytes] | None]:
    """What gives the child if it was started for this rate; else it is let go, and there is none."""
    global _early
    early, _early = _early, None
    if early is None:
        return lambda: None
    if early.rate_hz != rate_hz:
        threading.Thread(target=early.drop, name="torchdoctor-early", daemon=True).start()
        return lambda: None
    return early.wait


def has_screen(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the console can be shown: a terminal on all three streams, and one that can be drawn on."""
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(stream.isatty() for stream in streams) and environ.get("TERM", "dumb") not in ("dumb", "")
