"""Rules of `env.identity` on how long Python and PyTorch take to start, and on what they wait for."""

from __future__ import annotations

from ...model import Readings, Severity, Verdict
from ...quantity import quantity
from ..reading import line, number, text
from ..rules import Rule

_ALL = ("env.identity",)

WAITED_S = 5.0
"""An import that waits this long, without CPU time and time in the run queue, is told. Warm, all of it is 1.3 s."""

START_WAITED_S = 2.0
"""The same for Python's own start, which takes 0.02 s."""

NETWORK = (
    "nfs", "nfs4", "lustre", "gpfs", "beegfs", "cifs", "smb3", "ceph", "9p", "afs", "pvfs2", "wekafs", "glusterfs",
    "panfs", "orangefs", "virtiofs", "juicefs", "fuse",
)  # fmt: skip
"""Types of file systems whose files come over a network, or through a daemon (`fuse.sshfs`)."""


def _waited(readings: Readings) -> float | None:
    waited = number(readings, "import_waited_s")
    return waited if waited is not None and waited >= WAITED_S else None


def _over_network(readings: Readings) -> bool:
    kind = text(readings, "torch.filesystem")
    return kind in NETWORK or kind.partition(".")[0] == "fuse"


def _said(readings: Readings, waited: float) -> str:
    """Seconds, what was waited, files and bytes, and the file system with its mount."""
    took = quantity(number(readings, "import_s") or waited, "s")
    parts = [f"`import torch` took {took}, {quantity(waited, 's')} of it waiting"]
    for name, unit, words in (
        ("import_block_io_s", "s", "on block devices, as the kernel counts it"),
        ("import_modules", "modules", "imported"),
        ("import_read_bytes", "B", "read"),
        ("import_disk_bytes", "B", "from a disk"),
    ):
        value = number(readings, name)
        parts += [f"{quantity(value, unit)} {words}"] if value else []
    kind = readings.fact("torch.filesystem")
    parts += [f"PyTorch lies on {kind.value} ({kind.evidence})"] if kind is not None else []
    return line("; ".join(parts))


def _network(readings: Readings) -> str | None:
    waited = _waited(readings)
    return _said(readings, waited) if waited is not None and _over_network(readings) else None


def _elsewhere(readings: Readings) -> str | None:
    waited = _waited(readings)
    return _said(readings, waited) if waited is not None and not _over_network(readings) else None


def _start(readings: Readings) -> str | None:
    seconds, waited = number(readings, "python_start_s"), number(readings, "python_start_waited_s")
    if seconds is None or waited is None or waited < START_WAITED_S:
        return None
    return f"Python took {quantity(seconds, 's')} before its first line ran, {quantity(waited, 's')} of it waiting"


RULES: tuple[Rule, ...] = (
    Rule("TD-ENV-064", _ALL, Verdict.DEGRADED, Severity.WARNING, _network),
    Rule("TD-ENV-065", _ALL, Verdict.DEGRADED, Severity.WARNING, _elsewhere),
    Rule("TD-ENV-066", _ALL, Verdict.DEGRADED, Severity.WARNING, _start),
)
