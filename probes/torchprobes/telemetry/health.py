"""What the rules of health say of one sample: findings, how much could be checked, and the verdict line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from ..model import Finding, Frozen, Severity
from ..samples import Absent, Cell, CellState, GpuSample, Sample
from .checks import CHECKS, Check
from .past import Past

_WORST_FIRST = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)
_APPLIES_NOT = (CellState.NOT_SUPPORTED,)


class Asked(NamedTuple):
    """One check of one subject: what was seen (None: nothing), or the cells that it could not read."""

    check: Check
    where: str
    seen: str | None
    unread: tuple[tuple[str, Absent], ...] = ()


def ask(sample: Sample) -> Iterator[Asked]:
    """Ask every check of every GPU and of the node."""
    for check in CHECKS:
        if check.node is not None:
            unread = _unread(check, sample.host)
            yield Asked(check, "", None if unread else check.node(sample), unread)
        for gpu in sample.gpus if check.gpu is not None else ():
            unread = _unread(check, gpu)
            yield Asked(check, f"GPU {gpu.index}", None if unread else check.gpu(gpu), unread)  # type: ignore[misc]


def _unread(check: Check, subject: object) -> tuple[tuple[str, Absent], ...]:
    cells: Iterator[tuple[str, Cell]] = ((name, getattr(subject, name)) for name in check.reads)
    return tuple((name, cell) for name, cell in cells if isinstance(cell, Absent))


class Health(Frozen, frozen=True, kw_only=True):
    """What the rules made of one sample: findings, worst first, and the verdict in one line."""

    findings: tuple[Finding, ...] = ()
    line: str = ""


def judge(sample: Sample, past: Past | None = None) -> Health:
    """Ask every rule of this sample and of what came before it (`past` has it taken in already; None: nothing)."""
    found = _findings(sample)
    return Health(findings=found, line=_verdict_line(sample, found))


def _findings(sample: Sample) -> tuple[Finding, ...]:
    found = [_finding(asked, sample) for asked in ask(sample) if asked.seen is not None]
    return tuple(sorted(found, key=lambda finding: _WORST_FIRST.index(finding.severity)))


def _finding(asked: Asked, sample: Sample) -> Finding:
    check = asked.check
    where = f"{asked.where} {_bus_id(asked.where, sample.gpus)}: " if asked.where else ""
    return Finding(
        id=check.id,
        severity=check.severity,
        seen=f"{where}{check.title}: {asked.seen}",
        why=check.why,
        fix=check.fix,
        source=check.source,
    )


def _bus_id(where: str, gpus: tuple[GpuSample, ...]) -> str:
    return next((gpu.bus_id for gpu in gpus if where == f"GPU {gpu.index}"), "")


def _verdict_line(sample: Sample, found: tuple[Finding, ...]) -> str:
    """One line: what was found, or that nothing was, on what, and how much could not be read."""
    asked = [each for each in ask(sample) if not _applies_not(each)]
    unread = Counter(_why(each) for each in asked if each.unread)
    checked = f"{len(asked) - unread.total()} checked"
    rest = f" · {unread.total()} unreadable ({unread.most_common(1)[0][0]})" if unread else ""
    serious = [finding for finding in found if finding.severity is not Severity.INFO]
    if not serious:
        return f"no fault found on {_subject(sample)} · {checked}{rest}"
    more = f" · {len(serious) - 1} more" if len(serious) > 1 else ""
    return f"{serious[0].seen}{more} · {checked}{rest}"


def _applies_not(asked: Asked) -> bool:
    return bool(asked.unread) and all(cell.state in _APPLIES_NOT for _, cell in asked.unread)


def _why(asked: Asked) -> str:
    name, cell = asked.unread[0]
    return f"{name}: {cell.state.value}"


def _subject(sample: Sample) -> str:
    numbers = [gpu.index for gpu in sample.gpus]
    if not numbers:
        return f"the host; {sample.driver_state}"
    return f"GPU {numbers[0]}" if len(numbers) == 1 else f"GPUs {numbers[0]}-{numbers[-1]}"
