"""One view of a job whose ranks lie on several nodes, from what each node's watcher left in the run directory.

A node's own view knows only its own ranks: with two nodes each names a victim of the other's fault as the cause (as
torchrun's agents do). So the newest evidence of all nodes is judged together, and the rows keep what only the node
itself knows: step rate, memory, age.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from ...distributed import OVER, JobView, RankView
from ...rank_evidence import NodeEvidence
from ...rundir import RunDir, RunError, decode
from ..node import NodeFolder, nodes
from ..verdict import judge
from ..view import Setting, view_of

MOST_BYTES: Final = 32 << 20
STALE_S: Final = 30.0
"""Evidence of two nodes that lies further apart is told: the older one may no longer be true."""

MOST_KEPT: Final = 4
MOST_FILES: Final = 4096
TRIED: Final = 3
"""Documents that are tried before a node counts as one without evidence: the newest may be being written."""

_T = TypeVar("_T")
Signature = tuple[int, ...]
_kept: OrderedDict[str, Merging] = OrderedDict()
_lock = threading.Lock()


def merged_view(run: RunDir) -> JobView | None:
    """The newest view of a run, all of its nodes in one; None before the first. A broken file is passed over.

    It is asked again and again: what did not change is not read again, and not judged again.
    """
    with _lock:
        kept = _kept.setdefault(str(run.path), Merging(run))
        _kept.move_to_end(str(run.path))
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    return kept.view()


class Merging:
    """The views and the evidence of one run, read when a file was replaced."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._files: dict[Path, tuple[Signature, Any]] = {}
        self._parts: tuple[JobView | NodeEvidence | None, ...] = ()
        self._made: JobView | None = None
        self._lock = threading.Lock()

    def view(self) -> JobView | None:
        """As `merged_view`."""
        with self._lock:
            folders = nodes(self._run)
            views = [self._read(folder.view, JobView) for folder in folders]
            seen = [self._newest(folder) for folder in folders] if len(folders) > 1 else []
            parts = (*views, *seen)
            if len(parts) != len(self._parts) or any(a is not b for a, b in zip(parts, self._parts, strict=True)):
                self._parts = parts
                self._made = _merged([v for v in views if v is not None], [s for s in seen if s is not None])
            return self._made

    def _newest(self, folder: NodeFolder) -> NodeEvidence | None:
        found = (self._read(path, NodeEvidence) for path in evidence_files(folder)[:TRIED])
        return next((one for one in found if one is not None), None)

    def _read(self, path: Path, kind: type[_T]) -> _T | None:
        """The file as it is now: from before if it was not replaced meanwhile."""
        signature = _signature(path)
        kept = self._files.get(path)
        if kept is None or kept[0] != signature:
            if len(self._files) > MOST_FILES:
                self._files.clear()
            kept = self._files[path] = signature, read(path, kind) if signature else None
        value: _T | None = kept[1]
        return value


def _merged(views: Sequence[JobView], seen: Sequence[NodeEvidence]) -> JobView | None:
    if len(views) < 2:
        return views[0] if views else None
    if len(seen) < 2:
        return _side_by_side(views)
    return _with_rows(judged_view(same_clock(seen)), views)


def _signature(path: Path) -> Signature:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns


def judged_view(seen: Sequence[NodeEvidence]) -> JobView:
    """The evidence of all nodes judged together."""
    return view_of(tuple(seen), judge(tuple(seen)), Setting(run=_run(seen), ours=bool(_run(seen)), notes=_stale(seen)))


def _run(seen: Sequence[NodeEvidence]) -> str:
    return next((one.job.run for one in seen if one.job is not None and one.job.run), "")


def _stale(seen: Sequence[NodeEvidence]) -> tuple[str, ...]:
    """What lies so far apart that the older one may no longer be true."""
    stamps = {one.host: one.t_ns + one.clock_offset_ns for one in seen if one.state == "ok"}
    newest = max(stamps.values(), default=0)
    ages = {host: (newest - stamp) / 1e9 for host, stamp in stamps.items()}
    return tuple(
        f"the evidence of {host} is {age:.0f} s older than the newest" for host, age in ages.items() if age > STALE_S
    )


def same_clock(seen: Sequence[NodeEvidence]) -> list[NodeEvidence]:
    """Evidence that nobody measured clocks for: nodes of one boot share a clock, exactly; of another it is unknown.

    The first node's clock is the one that all are held against.
    """
    reference = seen[0].boot_id if seen else ""
    return [
        msgspec.structs.replace(
            one, clock_offset_ns=0, clock_error_ns=0 if place == 0 or (reference and one.boot_id == reference) else None
        )
        for place, one in enumerate(seen)
    ]


def newest_evidence(folder: NodeFolder, until_ns: int | None = None) -> NodeEvidence | None:
    """What was collected last on a node (`until_ns`: last until then); None if nothing was, or it cannot be read."""
    found = (read(path, NodeEvidence) for path in evidence_files(folder))
    return next((one for one in found if one is not None and (until_ns is None or one.t_ns <= until_ns)), None)


def evidence_files(folder: NodeFolder) -> list[Path]:
    """The documents of a node, the newest first: they are numbered."""
    try:
        names = [path for path in folder.evidence.iterdir() if path.suffix == ".json"]
    except OSError:
        return []
    return sorted(names, key=lambda path: (len(path.name), path.name), reverse=True)


def read(path: Path, kind: type[_T]) -> _T | None:
    """A document of ours, None if it is missing, too large, broken, or of a later schema."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        return decode(path.read_bytes(), kind, str(path))
    except (OSError, RunError):
        return None


# --- rows and words ------------------------------------------------------------------------------------------------


def _side_by_side(views: Sequence[JobView]) -> JobView:
    """Views that no common evidence joins yet: all rows; the verdict of the node that has one, never a sure one."""
    base = next((view for view in views if view.verdict.cause != "none"), views[0])
    rows = _rows(views)
    verdict = msgspec.structs.replace(base.verdict, sure=base.verdict.sure and base.verdict.cause == "none")
    return msgspec.structs.replace(
        base, ranks=tuple(rows[rank] for rank in sorted(rows)), verdict=verdict, nodes=_names(views)
    )


def _with_rows(view: JobView, views: Sequence[JobView]) -> JobView:
    """A judged view whose rows carry what their own node's view knows beside the state."""
    own = _rows(views)
    rows = {row.rank: row for row in view.ranks}
    joined = [_joined(own.get(rank), rows.get(rank)) for rank in sorted({*own, *rows})]
    run = next((one.run for one in views if one.run), view.run)
    newest = max((one.t_ns for one in views), default=view.t_ns)
    return msgspec.structs.replace(
        view,
        ranks=tuple(row for row in joined if row is not None),
        nodes=_names(views),
        run=run,
        t_ns=max(newest, view.t_ns),
        ours=any(one.ours for one in views),
        notes=tuple(dict.fromkeys([*view.notes, *(note for one in views for note in one.notes)])),
    )


def _joined(own: RankView | None, judged: RankView | None) -> RankView | None:
    """The node's own row, with the state that all evidence together gives it; an end that was seen stays an end."""
    if own is None or judged is None:
        return own or judged
    if own.state in OVER or own.attempt > judged.attempt:
        return msgspec.structs.replace(own, why=own.why or judged.why)
    return msgspec.structs.replace(own, state=judged.state, why=judged.why or own.why)


def _rows(views: Sequence[JobView]) -> dict[int, RankView]:
    """One row a rank: of the newest attempt; an elastic restart can move a rank to another node."""
    best: dict[int, RankView] = {}
    for row in (row for view in views for row in view.ranks):
        other = best.get(row.rank)
        if other is None or other.attempt <= row.attempt:
            best[row.rank] = row
    return best


def _names(views: Sequence[JobView]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for view in views for name in (view.nodes or (view.host,)) if name))
