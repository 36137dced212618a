"""What a watcher writes into its node's folder, by a thread of its own: a disk that waits delays no exit edge.

Records are appended to `watch.jsonl`, evidence goes to `evidence/NNN.json` of which the newest are kept, and the newest
view replaces `view.json`; a view that a newer one overtakes is never written.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

import msgspec

from ...distributed import JobView
from ...rank_evidence import NodeEvidence
from ...rundir import RunDir, RunError, write_atomically
from ..node import NodeFolder

KEPT_EVIDENCE: Final = 20
MOST_WAITING: Final = 2000
"""Records that wait for a disk that does not answer; more are counted and dropped."""

MOST_WATCH_BYTES: Final = 64 << 20


class Keeper:
    """All methods return at once, but for `close`. `why_not` says what could not be written last, "" if all was."""

    def __init__(self, node: NodeFolder) -> None:
        self.node = node
        self.why_not = ""
        self.dropped = 0
        self._records: deque[bytes] = deque()
        self._evidence: deque[tuple[int, NodeEvidence]] = deque(maxlen=KEPT_EVIDENCE)
        self._view: JobView | None = None
        self._number = _last_number(node)
        self._changed = threading.Condition()
        self._closed = False
        self._run_to_close: Path | None = None
        self._begin = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()

    def record(self, ev: str, **fields: Any) -> None:
        """Append one record to `watch.jsonl`."""
        head = {"ev": ev, "t_ns": time.time_ns(), "m_ns": time.monotonic_ns()}
        with self._changed:
            if len(self._records) >= MOST_WAITING:
                self.dropped += 1
                return
            self._records.append(json.dumps(head | fields).encode("utf-8", "backslashreplace") + b"\n")
            self._changed.notify()

    def view(self, view: JobView) -> None:
        """Replace `view.json`."""
        with self._changed:
            self._view = view
            self._changed.notify()

    def evidence(self, evidence: NodeEvidence) -> str:
        """Keep a document; its path within the node's folder."""
        with self._changed:
            self._number += 1
            self._evidence.append((self._number, evidence))
            self._changed.notify()
            return f"evidence/{self._number:03d}.json"

    def close_run(self, run: Path) -> None:
        """Say in `run.json` that the run is finished: a watcher beside a foreign job owns it."""
        with self._changed:
            self._run_to_close = run
            self._changed.notify()

    def close(self, limit_s: float = 1.5) -> bool:
        """Write what is left, at most for so long; whether all of it was handed to the disk."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(limit_s)
        return not self._thread.is_alive()

    # --- the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._view or self._records or self._evidence)
                records, view, documents = b"".join(self._records), self._view, list(self._evidence)
                self._records.clear()
                self._evidence.clear()
                self._view = None
            if not (records or view or documents):
                break  # closed, and nothing is left
            self._write(view, records, documents)
        if self._run_to_close is not None:
            self._finish(RunDir(self._run_to_close))

    def _finish(self, run: RunDir) -> None:
        finished = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        seconds = time.monotonic() - self._begin
        with contextlib.suppress(OSError, RunError):
            run.change(finished=finished, seconds=seconds)

    def _write(self, view: JobView | None, records: bytes, documents: list[tuple[int, NodeEvidence]]) -> None:
        """The records come first: a successor must know what a view already shows."""
        try:
            if records:
                _append(self.node.watch, records)
            if view is not None:
                write_atomically(self.node.view, msgspec.json.encode(view))
            for number, evidence in documents:
                self.node.evidence.mkdir(exist_ok=True, mode=0o700)
                write_atomically(self.node.evidence / f"{number:03d}.json", msgspec.json.encode(evidence))
            if documents:
                _thin(self.node)
            self.why_not = ""
        except OSError as error:  # a full disk, a stale handle: told in the next view, and tried again with it
            self.why_not = f"the watcher cannot write: {(error.strerror or str(error)).lower()}"


def _append(path: os.PathLike[str], data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.fstat(handle).st_size < MOST_WATCH_BYTES:
            os.write(handle, data)
    finally:
        os.close(handle)


def _numbers(node: NodeFolder) -> list[int]:
    try:
        names = os.listdir(node.evidence)
    except OSError:
        return []
    return sorted(int(stem) for stem, _, ending in (n.partition(".") for n in names) if stem.isdigit() and ending)


def _last_number(node: NodeFolder) -> int:
    return max(_numbers(node), default=0)


def _thin(node: NodeFolder) -> None:
    for number in _numbers(node)[:-KEPT_EVIDENCE]:
        with contextlib.suppress(OSError):
            (node.evidence / f"{number:03d}.json").unlink()
