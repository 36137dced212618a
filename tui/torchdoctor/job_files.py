"""The run directory of an opened job, as the console uses it: its views, a key press for evidence, an export.

Called in threads. The directory lies in our own state directory; a job of several nodes is judged by the desk.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import msgspec

from torchprobes.distributed import JOB_OVER, JobView
from torchprobes.jobs.looking import Looking
from torchprobes.rundir import RunError, decode, write_atomically

if TYPE_CHECKING:
    from .interfaces import DeskLike

VIEW: Final = "view.json"
ASKED: Final = "diagnose"
"""The file of a node whose touch is a person's wish for evidence now (`torchprobes.jobs.watch`)."""

MOST_BYTES: Final = 64 << 20
MERGE_S: Final = 5.0
DEAR_S: Final = 0.005
PAUSE: Final = 10.0
"""After a view that cost more than that, of hundreds of ranks, none is read for this many times its cost: the reader
shares the interpreter with the screen."""

_Stamp = tuple[str, int, int, int]


class RunViews:
    """The newest view of a run. A look costs a stat for each node; what did not change is not read again.

    `merge` makes one view of a run of several nodes.
    """

    def __init__(self, run: str, merge: Callable[[str], JobView | None]) -> None:
        self._run, self._merge = run, merge
        self._stamps: tuple[_Stamp, ...] = ()
        self._view: JobView | None = None
        self._next = 0.0

    def read(self) -> JobView | None:
        """The view as it stands, the same object while no file changed; None before the first.

        Raises:
            RunError: if it is of a later schema, or broken.
        """
        if time.monotonic() < self._next:
            return self._view
        stamps = tuple(_stamps(self._run))
        if stamps != self._stamps:
            begin = time.thread_time()
            self._view = self._merge(self._run) if len(stamps) > 1 else _read(stamps[0][0]) if stamps else self._view
            self._stamps = stamps
            cost = time.thread_time() - begin
            self._next = time.monotonic() + (PAUSE * cost if cost > DEAR_S else 0.0)
        return self._view


def _stamps(run: str) -> list[_Stamp]:
    """(path, inode, size, mtime) of the view of each node that has one."""
    found = []
    for folder in node_folders(run):
        path = os.path.join(folder, VIEW)
        try:
            now = os.stat(path)
        except OSError:
            continue
        found.append((path, now.st_ino, now.st_size, now.st_mtime_ns))
    return found


def node_folders(run: str) -> list[str]:
    """The folders of the nodes of a run, by name."""
    place = os.path.join(run, "nodes")
    try:
        return sorted(entry.path for entry in os.scandir(place) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _read(path: str) -> JobView:
    try:
        with open(path, "rb") as file:
            raw = file.read(MOST_BYTES)
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from None
    return decode(raw, JobView, path)


def views(run: str, desk: DeskLike) -> Callable[[], JobView | None]:
    """A reader of the newest view of a run; while it is read, the watchers of the job know that somebody looks."""

    def merged(path: str) -> JobView | None:
        document = desk.ask("view", {"run": path}, MERGE_S)
        return None if document is None else msgspec.convert(document, JobView)

    files, looking = RunViews(run, merged), Looking(run)

    def read() -> JobView | None:
        view = files.read()
        if view is None or view.state not in JOB_OVER:
            looking.keep_up()
        return view

    return read


def ranks(folder: str, local: bool) -> Callable[[], JobView]:
    """A reader of the ranks of a probe's folder, as a job; `local` if their processes may still live here."""
    module = import_module("torchprobes.jobs.ranks")
    table = module.Ranks(Path(folder) / "events", socket.gethostname() if local else "", local)
    return lambda: cast("JobView", module.as_view(table.poll(), folder))


def diagnose(run: str) -> str:
    """Ask the watchers of all nodes for evidence now; what was asked, in words."""
    folders = node_folders(run)
    for folder in folders:
        Path(folder, ASKED).touch(mode=0o600)
    return "collecting evidence now" if folders else "nobody watches this job yet"


def export(view: JobView, run: str) -> str:
    """Write the job document into the run directory; its path.

    Raises:
        OSError: if it cannot be written.
    """
    path = Path(run) / "job.json"
    write_atomically(path, msgspec.json.format(msgspec.json.encode(view), indent=2) + b"\n")
    return str(path)
