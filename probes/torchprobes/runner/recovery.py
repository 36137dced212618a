"""Ends what a dead guardian left: what it had recorded, what descends from that, and what bears the probe's token."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torchprobes.rundir import RunDir, boot_id

from . import processes
from .processes import Entry

_LIMIT_S = 8.0


def read_records(folder: Path) -> list[dict[str, Any]]:
    """The records of `guardian.jsonl`; lines that cannot be read are passed over."""
    try:
        lines = (folder / "guardian.jsonl").read_bytes().splitlines()
    except OSError:
        return []
    return [record for record in map(decode, lines) if record is not None]


def decode(line: bytes) -> dict[str, Any] | None:
    """One record, None if it is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def end_of(records: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The record of the end, None if the guardian did not get to it."""
    return next((r for r in records if r.get("ev") == "end"), None)


def end_leftovers(records: Iterable[dict[str, Any]]) -> int:
    """Kill what the records tell of, by pid and start time; how many processes were found alive."""
    known = {(r.get("pid"), r.get("start")) for r in records if r.get("ev") == "process"}
    token = next((r["token"] for r in records if r.get("ev") == "start" and isinstance(r.get("token"), str)), "")
    mark = f"{processes.TOKEN}={token}".encode() if token else b""
    found: set[tuple[int, int]] = set()

    def living() -> list[Entry]:
        ours = _ours(known, mark)
        found.update(e.key for e in ours)
        return ours

    processes.end_all(living, lambda: not living())
    return len(found)


def _ours(known: set[tuple[Any, Any]], mark: bytes) -> list[Entry]:
    """Living processes that were recorded or bear the token, and all that descend from those."""
    entries = {e.pid: e for e in map(processes.read, processes.pids()) if e is not None and e.pid != os.getpid()}
    ours = {e.pid for e in entries.values() if e.key in known or (mark and mark in _environ(e.pid))}
    grown = True
    while grown:
        more = {e.pid for e in entries.values() if e.parent in ours} - ours
        ours |= more
        grown = bool(more)
    return [entries[pid] for pid in ours if not entries[pid].dead]


def _environ(pid: int) -> set[bytes]:
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    except OSError:
        return set()


def recover(run: RunDir, names: Iterable[str]) -> int:
    """Before a run is resumed: end what is left of its unfinished probes; how many processes that were."""
    return sum(recover_probe(run.probe(name)) for name in names)


def recover_probe(folder: Path) -> int:
    """End what an earlier start of a probe left; how many processes that were.

    Records of another boot are of no use: their pids and start times mean other processes now. A guardian that is
    still at it is waited for, then ended as well: it is ours.
    """
    records = read_records(folder)
    start = next((r for r in records if r.get("ev") == "start"), None)
    if start is None or end_of(records) is not None or start.get("boot_id") != boot_id():
        return 0
    _await_guardian(start)
    return end_leftovers(records)


def _await_guardian(start: dict[str, Any]) -> None:
    pid, ticks = start.get("pid"), start.get("start")
    if not isinstance(pid, int) or not isinstance(ticks, int):
        return
    guardian = Entry(pid, ticks, 0)
    deadline = time.monotonic() + _LIMIT_S
    while (now := processes.read(pid)) is not None and now.start == ticks and not now.dead:
        if time.monotonic() > deadline:
            processes.send(guardian, signal.SIGKILL)
            return
        time.sleep(0.02)
