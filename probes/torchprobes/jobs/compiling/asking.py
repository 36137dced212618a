"""Asks whether a process compiles, in a child that can be lost: an environment or a cache may hold its reader up."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import msgspec

from ..helper import run
from .verdict import Compiling

PROGRAM: Final = Path(__file__).parent / "program.py"
DEADLINE_S: Final = 12.0
MOST_BYTES: Final = 1 << 20
_GONE: Final = 3


def ask(pid: int, deadline_s: float = DEADLINE_S, program: Path = PROGRAM) -> Compiling | None:
    """What process `pid` compiles; None if there is no such process. A look that is lost is told as `not sure`."""
    try:
        said = run((sys.executable, "-I", "-B", str(program), str(pid)), deadline_s, MOST_BYTES)
    except OSError as error:
        return _unknown(pid, f"the look at it cannot be started: {error.strerror}")
    if said.code == _GONE:
        return None
    if said.code != 0:
        last = said.errors.splitlines()[-1:] or [f"exit code {said.code}"]
        return _unknown(pid, f"the look at it failed: {said.why or last[0][:200]}")
    try:
        return msgspec.json.decode(said.out, type=Compiling)
    except msgspec.MsgspecError as error:
        return _unknown(pid, f"the look's answer is not understood: {error}")


def _unknown(pid: int, why: str) -> Compiling:
    return Compiling(pid=pid, state="not sure", line=f"not sure: {why}", degraded=why)
