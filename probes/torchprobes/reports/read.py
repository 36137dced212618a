"""A report read back: from a run directory or a file, whoever wrote it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import msgspec

from torchprobes.model import Report, worst
from torchprobes.rundir import RunDir, RunError, decode

from .write import collect

MAX_BYTES = 64 << 20
"""A report of every probe is a few hundred KiB; what is larger was not written by torchdoctor."""


def read_file(path: Path) -> Report:
    """The report in a file; of what `snapshot --json` wrote, the report that it makes.

    Raises:
        RunError: one line: it is missing, no regular file, too large, not a report, or of a later schema.
    """
    raw = _bytes(path)
    try:
        report = decode(raw, Report, str(path))
    except RunError:
        if not _is_snapshot(raw):
            raise
        report = _snapshot(raw, str(path))
    said = worst([result.verdict for result in report.results])
    if report.verdict is not said:
        raise RunError(
            f"{path} contradicts itself: its verdict is {report.verdict.value}, its results say {said.value}"
        )
    return report


class _Head(msgspec.Struct):
    """What tells a snapshot from a report, whatever else is in them."""

    sample: msgspec.Raw = msgspec.Raw()
    results: msgspec.Raw = msgspec.Raw()


def _is_snapshot(raw: bytes) -> bool:
    try:
        head = msgspec.json.decode(raw, type=_Head)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False  # decoding it as a report says what it is
    return bool(head.sample) and not head.results


def _snapshot(raw: bytes, where: str) -> Report:
    from .fleet.snapshot_report import report_of  # deferred: samples and their rules, which no report needs

    try:
        return report_of(msgspec.json.decode(raw, type=dict[str, Any]))
    except RunError as error:
        raise RunError(f"{where}: {error}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RunError(f"{where} cannot be read: {error}") from None


def read_run(run: RunDir) -> Report:
    """The report of a run as it stands: made from its results, so that it is right while the run goes on, too.

    Raises:
        RunError: if it cannot be read.
    """
    if run.report.exists() and not run.results.exists():
        return read_file(run.report)
    return collect(run)


def _bytes(path: Path) -> bytes:
    try:
        # Not blocking: the name may be a pipe that nobody writes to.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise RunError(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise RunError(f"{path} is no regular file: name a run or a report.json")
        if status.st_size > MAX_BYTES:
            raise RunError(f"{path} has {status.st_size} bytes, a report at most {MAX_BYTES}: it is none")
        return _whole(handle)
    finally:
        os.close(handle)


def _whole(handle: int) -> bytes:
    with os.fdopen(handle, "rb", closefd=False) as file:
        return file.read(MAX_BYTES + 1)
