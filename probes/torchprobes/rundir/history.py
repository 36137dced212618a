"""Earlier runs: found by name or title, renamed, deleted, pruned by age and size, and what they hold on the disk."""

from __future__ import annotations

import calendar
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .run import RunDir, RunError, list_runs

QUOTA_BYTES = 2 << 30
"""All runs together; the oldest finished ones go first, and a person is told before it is full."""

TITLE_LENGTH = 80
"""Characters of a title: it stands in a row of a list."""


def open_run(place: Path | None, name: str) -> RunDir:
    """The run that `name` names: a path, the name (or an unambiguous beginning of it) below `place`, or a title.

    Raises:
        RunError: if there is none, or more than one.
    """
    direct = Path(name)
    if (direct / "run.json").is_file():
        return RunDir(direct)
    runs = [] if place is None else list_runs(place)
    found = [run for run in runs if run.name.startswith(name)] or [run for run in runs if title_of(run) == name]
    if len(found) != 1 or not name:
        what = "no run" if not found else f"{len(found)} runs are"
        raise RunError(f"{what} named {name!r}: `torchdoctor runs` lists them")
    return found[0]


# --- titles --------------------------------------------------------------------------------------------------


def title_of(run: RunDir) -> str:
    """What a person calls the run, as it was written there; "" without a title, or without a readable run.json."""
    try:
        return run.info.title
    except RunError:
        return ""


def rename(run: RunDir, title: str) -> None:
    """Give a run a title, "" takes it away; its folder and its name stay what they are.

    A run that is still going can be renamed, too.

    Raises:
        RunError: if the title is too long or no plain line of text, or if it cannot be written.
    """
    words = " ".join(title.split())
    if len(words) > TITLE_LENGTH:
        raise RunError(f"a title has at most {TITLE_LENGTH} characters, this one {len(words)}")
    if not words.isprintable():
        raise RunError("a title is one line of text, without control characters")
    try:
        run.change(title=words)
    except OSError as error:
        raise RunError(f"cannot rename {run.path}: {error.strerror}") from None


# --- disk use --------------------------------------------------------------------------------------------------


def size_bytes(path: Path) -> int:
    """Bytes of all files below `path`, links not followed."""
    return sum(_file_sizes(path))


def _file_sizes(path: Path) -> Iterator[int]:
    for folder, _, files in os.walk(path):
        for file in files:
            try:
                yield os.lstat(os.path.join(folder, file)).st_size
            except OSError:
                continue


def held_bytes(place: Path) -> dict[str, int]:
    """What each run below `place` holds, newest first. Every file is looked at: not for a screen's own thread."""
    return {run.name: size_bytes(run.path) for run in list_runs(place)}


def free_bytes(place: Path) -> int | None:
    """What the file system of `place` has left for this user; None if it does not say."""
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return None


# --- deleted and pruned ------------------------------------------------------------------------------------------


def delete(run: RunDir) -> None:
    """Remove a run directory.

    Raises:
        RunError: if its owner still lives, or it cannot be removed.
    """
    spared(run)
    try:
        shutil.rmtree(run.path)
    except OSError as error:
        raise RunError(f"cannot delete {run.path}: {error.strerror}") from None


def spared(run: RunDir) -> None:
    """Go on only if the run may be deleted.

    Raises:
        RunError: if its owner still lives.
    """
    if _owned(run):
        raise RunError(f"run {run.name} is still running: stop it first")


def _owned(run: RunDir) -> bool:
    try:
        return run.alive()
    except RunError:  # a broken run.json names no owner
        return False


def age_s(run: RunDir, now: float | None = None) -> float:
    """Seconds since the run ended; since it began, where nobody wrote its end."""
    begun = _stamp(run.name[:16], "%Y%m%dT%H%M%SZ") or 0.0
    try:
        ended = _stamp(run.info.finished or "", "%Y-%m-%dT%H:%M:%SZ")
    except RunError:
        ended = None
    return (time.time() if now is None else now) - (begun if ended is None else ended)


def _stamp(text: str, form: str) -> float | None:
    try:
        return calendar.timegm(time.strptime(text, form))
    except (ValueError, OverflowError):
        return None


def prune(
    place: Path,
    quota_bytes: int | None = QUOTA_BYTES,
    keep: int = 1,
    older_than_s: float | None = None,
    remove: Callable[[RunDir], None] = delete,
) -> list[str]:
    """Delete the runs that ended more than `older_than_s` ago, then the oldest until all fit into `quota_bytes`.

    None means: not by this. Runs that somebody still owns stay, and so do the newest `keep`. `remove` deletes; with
    `spared` in its place nothing is, and the names are those that would go.

    Returns:
        The names of the runs that were deleted, oldest first.
    """
    runs = list_runs(place)
    sizes = {run.name: size_bytes(run.path) for run in runs} if quota_bytes is not None else {}
    total, gone, now = sum(sizes.values()), [], time.time()
    oldest_first = runs[keep:][::-1]
    aged = [run for run in oldest_first if older_than_s is not None and age_s(run, now) > older_than_s]
    for run in (*aged, *(run for run in oldest_first if run not in aged)):
        if run not in aged and (quota_bytes is None or total <= quota_bytes):
            break
        try:
            remove(run)
        except RunError:
            continue
        total -= sizes.get(run.name, 0)
        gone.append(run.name)
    return gone
