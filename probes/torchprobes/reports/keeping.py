"""The runs that are kept, as rows; reports read by path and masked; runs renamed, deleted and pruned."""

from __future__ import annotations

import os
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import msgspec

from torchprobes import rundir
from torchprobes.model import Report
from torchprobes.rundir import RunDir, RunError, RunInfo

from .gather import read, report_paths
from .read import read_file, read_run
from .seen import History, RunRow

MOST_FILES: Final = 10_000
"""Reports of one folder that are shown; a folder with more of them is no fleet's."""

_SOURCES: Final = ("run.json", "results.jsonl", "report.json", "machine.json")
"""What a row is made of: while none of these was written to, the row stays as it is."""


class Keeper:
    """Lists the runs below `place`; what it has read of one is kept until its files change. Any thread may ask."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self._rows: dict[str, tuple[object, RunRow]] = {}
        self._sizes: dict[str, tuple[object, int]] = {}

    def history(self, *, sizes: bool = False) -> History:
        """All runs, newest first; with `sizes` what they hold: every one of their files is looked at for that."""
        rows = []
        for run in rundir.list_runs(self.place):
            row = self._row(run)
            rows.append(msgspec.structs.replace(row, bytes=self._size(run, row)) if sizes else row)
        total = sum(row.bytes or 0 for row in rows) if sizes else None
        return History(place=str(self.place), rows=tuple(rows), bytes=total, quota_bytes=rundir.QUOTA_BYTES)

    def _row(self, run: RunDir) -> RunRow:
        stamp = _stamp(run.path)
        kept = self._rows.get(run.name)
        if kept is None or kept[0] != stamp or kept[1].state == "running":
            kept = self._rows[run.name] = (stamp, row_of(run))
        return kept[1]

    def _size(self, run: RunDir, row: RunRow) -> int:
        stamp = _stamp(run.path)
        kept = self._sizes.get(run.name)
        if kept is None or kept[0] != stamp or row.state == "running":
            kept = self._sizes[run.name] = (stamp, rundir.size_bytes(run.path))
        return kept[1]

    def files(self, path: Path) -> History:
        """The reports that a path names: a file, a run, or a folder of them; a file that is none says why.

        Raises:
            RunError: if there is nothing there.
        """
        if not path.exists():
            raise RunError(f"{path}: there is no such file")
        rows = tuple(_file_row(each) for each in report_paths(path)[:MOST_FILES])
        if not rows:
            raise RunError(f"{path} holds no report: name a report.json, a run, or a folder of either")
        return History(place=str(path), rows=rows)

    def rename(self, path: str, title: str) -> None:
        """Give a run a title, "" takes it away.

        Raises:
            RunError: as `rundir.rename`; or if it is no run of this place.
        """
        rundir.rename(self._mine(path), title)

    def delete(self, path: str) -> None:
        """Delete a run that nobody writes any more.

        Raises:
            RunError: as `rundir.delete`; or if it is no run of this place.
        """
        rundir.delete(self._mine(path))

    def _mine(self, path: str) -> RunDir:
        """The run of that path, if it is one that this place lists: nothing else is ever renamed or deleted."""
        run = next((run for run in rundir.list_runs(self.place) if str(run.path) == path), None)
        if run is None:
            raise RunError(f"{path} is no run in {self.place}: it is left as it is")
        return run

    def prune(self, days: float | None, quota_bytes: int | None) -> list[str]:
        """Delete the runs that ended more than `days` ago, then the oldest until all fit; the newest one stays."""
        older = None if days is None else days * 86_400
        return rundir.prune(self.place, quota_bytes, keep=1, older_than_s=older)


def _stamp(path: Path) -> object:
    stamps = []
    for name in _SOURCES:
        try:
            status = os.stat(path / name)
            stamps.append((status.st_mtime_ns, status.st_size))
        except OSError:
            stamps.append((0, 0))
    return tuple(stamps)


# --- rows --------------------------------------------------------------------------------------------------------


def row_of(run: RunDir) -> RunRow:
    """One run as a row; one that cannot be read says why."""
    path = str(run.path)
    try:
        info = run.info
        row = _told(info, path, alive=run.alive() and info.finished is None)
        return _with_report(row, read_run(run)) if info.kind == "check" else row
    except RunError as error:
        return RunRow(path=path, name=run.name, started=_begun(run.name), state="unreadable", why=str(error))


def _told(info: RunInfo, path: str, *, alive: bool) -> RunRow:
    state = "running" if alive else "ended" if info.finished is not None else "cut off"
    return RunRow(
        path=path, name=info.name, kind=info.kind, title=info.title, host=info.host, started=info.started,
        tier=info.tier, state=state, torch=info.target.torch if info.target else None, device=info.device,
    )  # fmt: skip


def _with_report(row: RunRow, report: Report) -> RunRow:
    """The row with what the report says; a run that still goes on has no verdict yet."""
    return msgspec.structs.replace(
        row, host=report.machine.host or row.host, counts=dict(Counter(r.verdict.value for r in report.results)),
        torch=report.target.torch, device=device_of(report), tier=report.tier or row.tier,
        state=row.state if row.state == "running" else report.verdict.value,
    )  # fmt: skip


def device_of(report: Report) -> str:
    """What a report was made on, as short as a column is: "2 x NVIDIA H200", "CPU"."""
    names = Counter(str(gpu.get("name") or "GPU") for gpu in report.machine.gpus)
    return ", ".join(f"{count} x {name}" for name, count in names.items()) or "CPU"


def _begun(name: str) -> str:
    """When a run began, from its name: `20260102T030405Z-…`."""
    stamp = name[:16]
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}Z" if stamp else ""


def _file_row(path: Path) -> RunRow:
    if path.is_dir():
        return msgspec.structs.replace(row_of(RunDir(path)), own=False)
    try:
        report, size = read_file(path), path.stat().st_size
    except (RunError, OSError) as error:
        return RunRow(path=str(path), name=path.name, state="unreadable", why=str(error), own=False)
    kind = "snapshot" if report.tier == "snapshot" else "check"
    row = RunRow(path=str(path), name=path.name, kind=kind, started=report.started, bytes=size, own=False)
    return _with_report(row, report)


# --- reports -----------------------------------------------------------------------------------------------------


def redactor(level: str) -> Any:
    """What masks, at a level: one for all that is shown together, so that names stay what they are."""
    module = import_module("torchprobes.reports.redaction")
    return module.Redactor(module.Level(level))


def masked(path: str, level: str) -> tuple[Report, str]:
    """(the report as it may be shown at that level, what was masked in it)."""
    mask = redactor(level)
    return mask.report(read(Path(path))), str(mask.masked)
