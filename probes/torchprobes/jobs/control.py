"""A job of ours that runs: whether it lives, how it ended, and an end for it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..rundir import RunDir, RunError, boot_id
from ..runner import processes, recovery
from ..runner.processes import Entry
from .node import NodeFolder, nodes

_POLL_S = 0.05
_TAIL_BYTES = 64 << 10
_TOKEN_LIMIT_S = 2.0
"""For reading environments, which wait for a memory lock that a stuck process may hold."""


def records(node: NodeFolder) -> list[dict[str, Any]]:
    """What the supervisor of a node recorded; lines that cannot be read are passed over."""
    try:
        lines = node.supervisor.read_bytes().splitlines()
    except OSError:
        return []
    return [record for record in map(recovery.decode, lines) if record is not None]


def ending(node: NodeFolder) -> dict[str, Any] | None:
    """The record of the end of a node's part: `exit_code` and `signal` of the agent, `stopped`, `not_ended` …

    None while it is not over; `{"ev": "lost"}` where the supervisor itself was killed.
    """
    try:
        with node.supervisor.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            lines = file.read(_TAIL_BYTES).splitlines()
    except OSError:
        return None
    told = [record for record in map(recovery.decode, reversed(lines)) if record is not None]
    return next((record for record in told if record.get("ev") in ("end", "lost")), None)


def supervisor(node: NodeFolder) -> Entry | None:
    """The living supervisor of a node's part, None if it has ended or belongs to another boot or host."""
    start = next((r for r in _head(node) if r.get("ev") == "start"), None)
    if start is None or start.get("boot_id") != boot_id() or not isinstance(start.get("pid"), int):
        return None
    entry = processes.read(start["pid"])
    return entry if entry is not None and entry.start == start.get("start") and not entry.dead else None


def _head(node: NodeFolder) -> list[dict[str, Any]]:
    """The first records: the supervisor's own start is among them."""
    try:
        with node.supervisor.open("rb") as file:
            lines = file.read(256 << 10).splitlines()[:4]
    except OSError:
        return []
    return [record for record in map(recovery.decode, lines) if record is not None]


def is_alive(run: RunDir) -> bool:
    """Whether a supervisor of this run lives on this host and boot."""
    return any(supervisor(node) is not None for node in nodes(run))


def stop(run: RunDir, wait_s: float = 40.0) -> str:
    """Ask for the end of a job and wait for it, at most `wait_s`; what came of it, in words.

    The supervisor of this host is told by SIGTERM, those of other hosts by a file in the run directory. Asked a second
    time they hurry.

    Raises:
        RunError: if this run was no job, or the request cannot be written.
    """
    folders = nodes(run)
    if not folders:
        raise RunError(f"{run.name} has no job: nothing was launched in it")
    open_ones = [node for node in folders if ending(node) is None]
    if not open_ones:
        return "it has ended already"
    here = {node.host: entry for node in open_ones if (entry := supervisor(node)) is not None}
    for node in open_ones:
        if node.host not in here or not processes.send(here[node.host], signal.SIGTERM):
            _ask_by_file(node)
    deadline = time.monotonic() + wait_s
    while (left := [n for n in open_ones if not _over(n, here.get(n.host))]) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return _words(open_ones, left, wait_s)


def _ask_by_file(node: NodeFolder) -> None:
    try:
        with node.stop.open("ab") as file:
            file.write(b"\n")
    except OSError as error:
        raise RunError(f"{node.host} cannot be asked to stop: {node.stop}: {error.strerror}") from None


def _over(node: NodeFolder, entry: Entry | None) -> bool:
    """Whether a node's part has ended: it says so, and where it is ours to see, its supervisor is gone."""
    if entry is None:
        return ending(node) is not None
    now = processes.read(entry.pid)
    return now is None or now.start != entry.start or now.dead


def _words(asked: Iterable[NodeFolder], left: list[NodeFolder], wait_s: float) -> str:
    if left:
        names = ", ".join(node.host for node in left)
        return f"asked to stop; no end on {names} within {wait_s:g} s: ask again and it hurries"
    stuck = [process for node in asked for process in (ending(node) or {}).get("not_ended", [])]
    if stuck:
        names = "; ".join(f"pid {p.get('pid')} ({p.get('command')})" for p in stuck)
        return f"stopped, but the kernel cannot end {names}: uninterruptible sleep"
    return "stopped; nothing is left of it"


# --- what a dead supervisor left -------------------------------------------------------------------------------------


def end_leftovers(node: NodeFolder) -> int:
    """End what a node's supervisor started and did not live to end; how many processes were found alive.

    They are known by pid and start time as the supervisor recorded them, by descent from those, and by the token in
    their environment, which a process has that was forked a moment before the end. The watcher calls this when its
    lifeline closes without an end; it and what descends from it are left alone, and nothing is done on another boot.
    """
    told = records(node)
    start = next((r for r in told if r.get("ev") == "start"), None)
    if start is None or start.get("boot_id") != boot_id() or any(r.get("ev") == "end" for r in told):
        return 0
    entry = supervisor(node)
    if entry is not None:
        return 0
    known = {(r.get("pid"), r.get("start")) for r in told if r.get("ev") in ("process", "agent")}
    found = _kill_at_once(known)
    _end(lambda: _recorded(known), found)
    token = start.get("token")
    if isinstance(token, str) and token:
        mark = f"{processes.TOKEN}={token}".encode()
        marked = threading.Thread(target=lambda: _end(lambda: _marked(mark), found), daemon=True)
        marked.start()
        marked.join(_TOKEN_LIMIT_S)
    return len(found)


def _kill_at_once(known: set[tuple[Any, Any]]) -> set[tuple[int, int]]:
    """SIGKILL to every recorded process that is there still; what they forked meanwhile is looked for afterwards."""
    there = set(processes.pids())
    entries = [e for pid, _ in known if pid in there and (e := processes.read(pid)) is not None]
    return {e.key for e in entries if e.key in known and not e.dead and processes.send(e, signal.SIGKILL)}


def _end(living: Any, found: set[tuple[int, int]]) -> None:
    def look() -> list[Entry]:
        ours: list[Entry] = living()
        found.update(entry.key for entry in ours)
        return ours

    processes.end_all(look, lambda: not look())


def _entries() -> dict[int, Entry]:
    """All living processes but this one and what descends from it."""
    found = {e.pid: e for e in map(processes.read, processes.pids()) if e is not None and not e.dead}
    mine = _with_descendants({os.getpid()}, found)
    return {pid: entry for pid, entry in found.items() if pid not in mine}


def _with_descendants(pids: set[int], entries: dict[int, Entry]) -> set[int]:
    grown = True
    while grown:
        more = {e.pid for e in entries.values() if e.parent in pids} - pids
        pids = pids | more
        grown = bool(more)
    return pids


def _recorded(known: set[tuple[Any, Any]]) -> list[Entry]:
    entries = _entries()
    ours = _with_descendants({e.pid for e in entries.values() if e.key in known}, entries)
    return [entries[pid] for pid in ours if pid in entries]


def _marked(mark: bytes) -> list[Entry]:
    """Processes of ours that bear the token."""
    return [entry for entry in _entries().values() if _bears(entry.pid, mark)]


def _bears(pid: int, mark: bytes) -> bool:
    try:
        if os.stat(f"/proc/{pid}").st_uid != os.geteuid():
            return False
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
