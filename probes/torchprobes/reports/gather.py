"""Many reports read at once: from files, runs, and folders of either, whoever wrote them."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from torchprobes import rundir
from torchprobes.model import Report
from torchprobes.rundir import RunDir, RunError

from .read import read_file, read_run

READERS: Final = 8
"""Files read at once: a thousand files on NFS are a thousand waits."""

MOST_REPORTS: Final = 10_000
"""Of one comparison; a folder with more of them is no fleet's."""

MOST_BYTES: Final = 1 << 30
"""Of all files together: what is read is held in memory."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What was read, with where it is from, in the order in which it was named; and a line for each that was not."""

    reports: tuple[tuple[str, Report], ...]
    refused: tuple[str, ...] = ()


@contextmanager
def uncollected() -> Iterator[None]:
    """Without Python's cycle collector: a thousand reports are millions of objects and no cycle, and each of its runs
    walks over all of them (a third of the seconds of reading and comparing them).
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def gather(names: Sequence[str], place: Callable[[], Path]) -> Gathered:
    """The reports that `names` name: files (a report, a snapshot), runs by folder or by name, folders of either.

    `place` says where runs are kept; it is asked only for a name that is no path. One that cannot be read is a line
    in `refused`, and the others are read all the same.
    """
    paths: list[Path] = []
    refused: list[str] = []
    for name in names:
        try:
            paths += _paths(name, place)
        except (RunError, OSError, ValueError) as error:
            refused.append(_line(name, error))
    allowed = _within_bounds(paths, refused)
    with ThreadPoolExecutor(READERS) as readers:
        found = list(zip(allowed, readers.map(_read, allowed), strict=True))
    refused += [each for _, each in found if isinstance(each, str)]
    return Gathered(tuple((str(path), each) for path, each in found if isinstance(each, Report)), tuple(refused))


def _paths(name: str, place: Callable[[], Path]) -> Sequence[Path]:
    path = Path(name)
    if not path.exists() and os.sep not in name and not name.endswith(".json"):
        return (rundir.open_run(place(), name).path,)
    found = report_paths(path)
    if not found:
        raise RunError(f"{name} holds no report: name a report.json, a run, or a folder of either")
    return found


def report_paths(path: Path) -> Sequence[Path]:
    """Files and runs that may hold a report: the path itself, or what lies directly in a folder, by name.

    Raises:
        OSError: if the folder cannot be read.
    """
    if not path.is_dir() or (path / "run.json").is_file():
        return (path,)
    return tuple(_inside(path))


def _inside(folder: Path) -> Iterator[Path]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir(follow_symlinks=False):
            if os.path.isfile(os.path.join(entry.path, "run.json")):
                yield Path(entry.path)
        elif entry.name.endswith(".json"):
            yield Path(entry.path)


def _within_bounds(paths: Sequence[Path], refused: list[str]) -> list[Path]:
    """The paths whose reports fit into memory together; a line in `refused` says how many are left out."""
    kept: list[Path] = []
    held = 0
    for path in paths[:MOST_REPORTS]:
        held += _size(path)
        if held > MOST_BYTES:
            break
        kept.append(path)
    if len(kept) < len(paths):
        limits = f"at most {MOST_REPORTS:,} reports of {MOST_BYTES >> 20:,} MiB together are compared"
        refused.append(f"{len(paths) - len(kept):,} of {len(paths):,} reports are left out: {limits}")
    return kept


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # reading it will say why


def _read(path: Path) -> Report | str:
    try:
        return read(path)
    except (RunError, OSError, ValueError) as error:
        return _line(str(path), error)


def read(path: Path) -> Report:
    """The report of a run's folder or of a file.

    Raises:
        RunError: one line: there is none, or it cannot be read.
    """
    if not path.is_dir():
        return read_file(path)
    run = RunDir(path)
    if run.info.kind != "check":
        raise RunError(f"{run.name} is a {run.info.kind}, which has no report")
    return read_run(run)


def _line(name: str, error: Exception) -> str:
    said = str(getattr(error, "strerror", None) or error)
    return said if isinstance(error, RunError) else f"{name} cannot be read: {said}"
