"""The runs that are kept, as rows for a person and as a document."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torchprobes import rundir
from torchprobes.model import SCHEMA
from torchprobes.reports.read import read_run
from torchprobes.reports.text import mask, plain
from torchprobes.rundir import RunDir, RunError, RunInfo

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGE: Final = re.compile(r"(\d{1,6})([smhdw])")


@dataclass(frozen=True, slots=True)
class Kept:
    """One run: what its run.json says (None where it cannot be read: `why`), its state or verdict, and its size."""

    run: RunDir
    info: RunInfo | None
    state: str
    why: str
    size: int

    @property
    def title(self) -> str:
        """What a person calls it, as safe text; "" without a title."""
        return plain(mask(self.info.title), rundir.TITLE_LENGTH) if self.info else ""


def kept(place: Path) -> tuple[Kept, ...]:
    """All runs below `place`, newest first."""
    sizes = rundir.held_bytes(place)
    return tuple(_kept(RunDir(place / name), size) for name, size in sizes.items())


def _kept(run: RunDir, size: int) -> Kept:
    try:
        return Kept(run, run.info, _state(run), "", size)
    except RunError as error:
        return Kept(run, _info(run), "unreadable", str(error), size)


def _info(run: RunDir) -> RunInfo | None:
    try:
        return run.info
    except RunError:
        return None


def _state(run: RunDir) -> str:
    info = run.info
    if info.kind == "job":
        from torchprobes.jobs.listing import state_of  # deferred: jobs, which no other row needs

        return state_of(run)
    if run.alive() and info.finished is None:
        return "running"
    return _capture_state(run) if info.kind == "capture" else read_run(run).verdict.value


def _capture_state(run: RunDir) -> str:
    """How a captured command ended; one whose end nobody wrote was cut off."""
    from torchprobes.runner.capture import end_of  # deferred: the runner, which no other row needs

    end = end_of(run)
    return "cut off" if end is None else end.words


# --- told --------------------------------------------------------------------------------------------------------


def lines(place: Path, rows: Sequence[Kept]) -> list[str]:
    """A line a run, and how much all of them hold of what they may, and of what is there."""
    told = [
        f"{plain(row.run.name)}  {plain(row.state):11}  {size_words(row.size):>9}  {row.title}".rstrip() for row in rows
    ]
    free = rundir.free_bytes(place)
    left = "" if free is None else f"; {size_words(free)} free there"
    held = size_words(sum(row.size for row in rows))
    return [*told, f"{len(rows)} runs, {held} of {size_words(rundir.QUOTA_BYTES)}, in {place}{left}"]


def document(place: Path, rows: Sequence[Kept]) -> dict[str, Any]:
    """`runs list --json`. What cannot be read of a run is null; `why` says so."""
    return {
        "schema": SCHEMA,
        "place": str(place),
        "quota_bytes": rundir.QUOTA_BYTES,
        "held_bytes": sum(row.size for row in rows),
        "free_bytes": rundir.free_bytes(place),
        "runs": [_row(row) for row in rows],
    }


_FROM_INFO: Final = ("kind", "host", "started", "finished", "seconds", "tier", "device")


def _row(row: Kept) -> dict[str, Any]:
    told = {name: getattr(row.info, name, None) for name in _FROM_INFO}
    return {
        "name": row.run.name,
        "title": mask(row.info.title) if row.info else None,
        "state": row.state,
        "why": row.why or None,
        "bytes": row.size,
        "path": str(row.run.path),
        **told,
    }


def size_words(count: float) -> str:
    """Bytes as people say them: `512 B`, `31 KiB`, `1.9 GiB`."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def age_of(text: str) -> float:
    """Seconds of an age as people write it: `90s`, `45m`, `12h`, `30d`, `2w`.

    Raises:
        ValueError: what it must be.
    """
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise ValueError("a number with s, m, h, d or w behind it, as 30d")
    return float(int(found[1]) * _SECONDS[found[2]])
