"""`results.jsonl`: one line a finished probe, one writer; nothing that was finished is ever lost or half read."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from torchprobes.catalogue import Probe
from torchprobes.model import Outcome, Result, Verdict
from torchprobes.rundir import RunDir

_AGAIN = ("interrupted", "cancelled")

FORCE = "--force uses {} all the same"
"""How a refusal ends that is due to others on the device."""

LEFT = "left the GPU: "
"""How the reason of a probe begins that made room for somebody."""


class ResultLog:
    """The writer of `results.jsonl`. What cannot be written now is kept and written with the next one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pending = b""

    def append(self, result: Result) -> str:
        """Write a line; "" or why it could not be written."""
        self._pending += msgspec.json.encode(result) + b"\n"
        return self.flush()

    def flush(self) -> str:
        """Write what is pending, all or nothing; "" or why it could not be written."""
        if not self._pending:
            return ""
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            return f"{self._path.name} cannot be written: {error.strerror}"
        try:
            return self._write(fd)
        finally:
            os.close(fd)

    def _write(self, fd: int) -> str:
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        data = b"\n" * torn + self._pending
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(fd, data[done:], size + done)
        except OSError as error:
            os.ftruncate(fd, size)
            return f"{self._path.name} cannot be written: {error.strerror}"
        self._pending = b""
        return ""


def finished(run: RunDir) -> dict[str, Result]:
    """The results that stand in `results.jsonl`, the last of each name; lines that cannot be read are passed over."""
    found: dict[str, Result] = {}
    try:
        lines = run.results.read_bytes().splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            result = msgspec.json.decode(line, type=Result)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue
        found[result.name] = result
    return found


def runs_again(result: Result) -> bool:
    """Whether a resumed run does this probe once more: it was cancelled or interrupted, not judged."""
    return result.verdict is Verdict.ERROR and result.reason.startswith(_AGAIN)


def gave_way(result: Result) -> bool:
    """Whether it was skipped because others use the device: that says nothing of what the device can do."""
    busy = FORCE.partition("{")[0] in result.reason or result.reason.startswith(LEFT)
    return result.verdict is Verdict.SKIP and busy


def unjudged(probe: Probe, device: str, verdict: Verdict, reason: str, outcome: Outcome | None = None) -> Result:
    """The result of a probe about which there is nothing to judge: skipped, cancelled, or never started."""
    return Result(
        name=probe.name,
        group=probe.group,
        tier=probe.tier,
        device=device,
        verdict=verdict,
        reason=reason,
        seconds=outcome.seconds if outcome else 0.0,
    )
