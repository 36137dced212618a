"""A traceback that the program itself writes: the last one, with nothing after it, is what ended the program."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..events import Source, Uncaught
from .traceback import BEGINS, EXCEPTION, raised

_GOES_ON = re.compile(
    r"(?:from user code:|Set TORCH|You can suppress|Use tlparse|Found (?:from|in)|While executing|Original traceback|"
    r"Original Traceback|CUDA kernel errors|CUDA error|For debugging consider|Compile with `TORCH|Device-side|"
    r"Search for `cuda|Exception raised from|frame #\d|Python frames|Backtrace|The above exception was the dir|"
    r"During handling of the above exception|target: |args\[|kwargs|-- Process \d+ terminated|Command:|Output:|"
    r"Caught \w+ in |Process \w+-\d+:|The full traceback|Stack[ _]trace|GET_LOCK|\(Triggered internally)"
)
"""How lines of an exception's own words begin, where they are not indented."""
_NOISE = re.compile(
    r"(?:\[?[WEIF]\d{4} |\[rank\d+\]:\[[WE]|/\S.*: \w*Warning: |Exception ignored |terminate called |Aborted|Killed|"
    r"Segmentation fault|Fatal Python error|Thread 0x|Current thread|Extension modules:|srun: |slurmstepd: |make: |"
    r"={10,}|-{10,}|\*{10,}|wandb: |mpirun|\S+: line \d+: |sys:1: |Error in atexit|Exception in thread|<sys>:|"
    r"Root Cause|Failures:|\S+ FAILED|\[\d+\]:|ERROR conda|libc\+\+abi|corrupted |free\(\))"
)
"""What is written after the end: by atexit, by C++, by launchers and shells."""
_LAST_WORDS = re.compile(r"(?:Set TORCHDYNAMO_VERBOSE=1|You can suppress this exception and fall back to eager)")
"""The end of what torch.compile says in an exception."""
_TOLERANT = re.compile(
    r"torch\._(?:dynamo|inductor|functorch)\.|torch\.fx\.|.*(?:BackendCompilerFailed|CppCompileError)"
)
"""Exceptions whose words may go on in any way (a compiler's output) until torch's last words."""
_CHAINS = ("The above exception was the direct cause", "During handling of the above exception", "-- Process ")
_KEPT = 3_000


@dataclass(slots=True)
class Crash:
    """A traceback, and whether it was the end."""

    source: Source
    lines: list[str]
    exception: str = ""
    """Its type, once the line that names it was there."""
    told: bool = False
    _closing: bool = False
    _within: bool = False

    def takes(self, line: str) -> bool:
        """Whether `line` belongs to it, or is what may be written after the end; False: the program went on."""
        if not line or line[0] in " \t":
            return self._keep(line)
        if not self.exception:
            return self._ends_frames(line)
        if BEGINS.match(line):
            if self.chained:
                self.exception, self._closing = "", False
            else:  # a worker's, quoted
                self._within = True
            return self._keep(line)
        if self._within and EXCEPTION.match(line):
            self._within = False
            return self._keep(line)
        if _LAST_WORDS.match(line):
            self._closing = True
            return self._keep(line)
        if _GOES_ON.match(line):
            return self._keep(line)
        if _NOISE.match(line):
            return True
        return not self._closing and _TOLERANT.match(self.exception) is not None and self._keep(line)

    def _ends_frames(self, line: str) -> bool:
        match = EXCEPTION.match(line)
        if not match:
            return False
        self.exception = match[1]
        return self._keep(line)

    def _keep(self, line: str) -> bool:
        if len(self.lines) < _KEPT:
            self.lines.append(line[:4096])
        return True

    @property
    def chained(self) -> bool:
        """Whether its last words say that another traceback follows, of the exception that came of it."""
        return any(line.startswith(_CHAINS) for line in self.lines[-3:])

    @property
    def launchers(self) -> bool:
        """Torchrun's own, which tells of its workers' ends: it is none of theirs."""
        return self.exception.endswith(("ChildFailedError", "ProcessExitedException", "SignalException"))

    def event(self, *, withdrawn: bool = False) -> Uncaught | None:
        """What it says; None while it has no end."""
        if not self.exception or self.launchers:
            return None
        told = raised(self.lines)
        return Uncaught(self.source, told.type, told.words, told.stack, withdrawn, told.user) if told else None
