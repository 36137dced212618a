"""How a probe ended, from what its guardian and its processes said: the facts of an end, before any judgement."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torchprobes.model import Ending, Event, Outcome

_LAST_BYTES = 1 << 14
_LAST_LINES = 20
_LINE_LENGTH = 500

DISK_FULL = "the file system of the run directory is full: free space, or choose another place with --out"

_SIGNALS = {
    "SIGSEGV": "a segmentation fault",
    "SIGBUS": "a bus error: often a full /dev/shm or a truncated mapped file",
    "SIGILL": "an illegal instruction: a binary built for another CPU",
    "SIGABRT": "an abort: a failed assertion in native code, see stderr",
    "SIGFPE": "an arithmetic fault",
    "SIGKILL": "killed from outside: the OOM killer, or a person",
}


def outcome(end: Mapping[str, Any], events: Sequence[Event], folder: Path, *, ranks: int, broken: int) -> Outcome:
    """The outcome told by the guardian's `end` record and the events of the probe in `folder`."""
    ends = _ends(events, end.get("main"), ranks)
    ending, cause = _ending(end, ends, ranks)
    if ending != "ended":
        cause = "; ".join(
            filter(None, [cause, _left_behind(end), _not_ended(end), DISK_FULL if end.get("full") else ""])
        )
    return Outcome(
        ending=ending,
        cause=cause,
        exit_code=end.get("exit_code"),
        signal=end.get("signal"),
        seconds=float(end.get("seconds", 0.0)),
        import_seconds=max((e.import_s for e in events if e.ev == "start" and e.import_s is not None), default=None),
        broken_lines=broken,
        last_lines=last_lines(folder),
        skip=next((e.skip for e in ends if e.skip), None) if ending == "ended" else None,
    )


def _ends(events: Iterable[Event], main: int | None, ranks: int) -> list[Event]:
    """The ends that count: the main process's last one, or each rank's of its last attempt."""
    said = [e for e in events if e.ev == "end"]
    if not ranks:
        return [e for e in said if e.pid == main][-1:]
    by_rank: dict[int, Event] = {}
    for event in sorted((e for e in said if e.rank is not None), key=lambda e: e.attempt or 0):
        by_rank[event.rank or 0] = event
    return sorted(by_rank.values(), key=lambda e: e.t_ns)


def _ending(end: Mapping[str, Any], ends: Sequence[Event], ranks: int) -> tuple[Ending, str]:
    told: Ending = end["ending"]
    if told not in ("exited", "left-behind"):
        return told, str(end["cause"])
    if failed := next((e for e in ends if not e.ok), None):
        who = "" if failed.rank is None else f"rank {failed.rank}: "
        return "raised", who + (failed.error or "raised without a text")
    after = "said its end, then " if ends else ""
    if name := end.get("signal"):
        return "signal", f"{after}{name}: {_SIGNALS.get(name, 'ended by a signal')}"
    if len(ends) < max(1, ranks) or end.get("exit_code") != 0:
        missing = "" if ends and not ranks else _unsaid(len(ends), ranks)
        return "exited", f"{after}exited with {end.get('exit_code')}{missing}"
    return ("left-behind", "") if told == "left-behind" else ("ended", "")


def _unsaid(said: int, ranks: int) -> str:
    return f"; {said} of {ranks} ranks said their end" if ranks else " without saying its end"


def _left_behind(end: Mapping[str, Any]) -> str:
    left = end.get("left_behind") or []
    if not left:
        return ""
    named = ", ".join(f"{p.get('pid')} {p.get('command')}" for p in left[:3])
    count = end.get("left_behind_count", len(left))
    return f"{count} process{'es' if count > 1 else ''} outlived the probe and had to be killed: {named}"


def _not_ended(end: Mapping[str, Any]) -> str:
    left = end.get("not_ended") or []
    named = ", ".join(f"{p.get('pid')} {p.get('command')}" for p in left[:3])
    return f"could not be killed (uninterruptible, or another user's): {named}" if left else ""


def last_lines(folder: Path) -> tuple[str, ...]:
    """The last lines of stderr, else of stdout, at most 20 and each cut at 500 characters."""
    for name in ("stderr.log", "stdout.log"):
        lines = [line for line in _tail(folder / name).splitlines() if line.strip()]
        if lines:
            return tuple(line[:_LINE_LENGTH] for line in lines[-_LAST_LINES:])
    return ()


def log_path(folder: Path, run: Path) -> str:
    """The log to open first, relative to the run directory: stderr if it says anything, else stdout."""
    name = next((n for n in ("stderr.log", "stdout.log") if _size(folder / n)), "stderr.log")
    return str((folder / name).relative_to(run))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, _size(path) - _LAST_BYTES), os.SEEK_SET)
            return file.read(_LAST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
