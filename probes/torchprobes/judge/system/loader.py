"""Rules of `data.loader`: order, telling of dead workers, what is left behind, and the limits around it."""

from __future__ import annotations

import re
from collections.abc import Callable

from ...model import Readings, Severity, Verdict
from ...quantity import quantity
from ..reading import facts, figure, is_true, line, number, raised, text
from ..rules import Positive, Rule

_ALL = ("data.loader",)

SMALL_SHM_BYTES = 1 << 30
"""Below this, workers that hand over batches run out of it: containers start with 64 MiB. Above it, what two batches
of pictures for every worker and every prefetched one take counts (`shm_needed`)."""

LEAST_FILES = 64
"""A loader of three workers fails with 24 and works with 256 (measured); the worker that fails does not say why."""

FEW_FILES = 1024
"""A tensor that is shared by descriptor holds one in every process that sees it."""


def _wrong_order(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "dataloader.", ".order") if f.value == "wrong"]
    return line("; ".join(f"{_case(f.name)}: {f.evidence}" for f in told)) or None


def _case(name: str) -> str:
    return name.split(".")[1]


def _raised(readings: Readings) -> str | None:
    told = facts(readings, "dataloader.", ".raised")
    return line("; ".join(f"{_case(f.name)}: {raised(readings, f.name)}" for f in told)) or None


def _silent(readings: Readings) -> str | None:
    told = [readings.fact(n) for n in ("dataloader.killed", "dataloader.exception")]
    seen = [f"{_case(f.name)}: {f.evidence}" for f in told if f is not None and f.value == "silent"]
    return line("; ".join(seen)) or None


def _badly_told(readings: Readings) -> str | None:
    told = [
        (readings.fact(n), bad) for n, bad in (("dataloader.killed", "other error"), ("dataloader.exception", "mute"))
    ]
    seen = [f"{_case(f.name)}: {f.evidence}" for f, bad in told if f is not None and f.value == bad]
    return line("; ".join(seen)) or None


def _left(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "dataloader.left.") if isinstance(f.value, int) and f.value > 0]
    return line("; ".join(f"{f.name.split('.', 2)[2]}: {f.evidence}" for f in told)) or None


def _not_kept(readings: Readings) -> str | None:
    told = [f for f in facts(readings, "dataloader.", ".kept") if f.value is False]
    return line("; ".join(f"{_case(f.name)}: the second epoch started other workers" for f in told)) or None


def _pinned(readings: Readings) -> str | None:
    fact = readings.fact("dataloader.pinned")
    return fact.evidence if fact is not None and fact.value == "wrong" else None


def _ran_out(words: str) -> Callable[[Readings], str]:
    """The line in which a loader said that this ran out, "" if it did not: the last of a worker's whole traceback."""

    def told(readings: Readings) -> str:
        said = [text(readings, f"{f.name}.message") for f in facts(readings, "dataloader.", ".raised")]
        lines = [row for message in said for row in message.splitlines() if re.search(words, row)]
        return line(lines[0]) if lines else ""

    return told


_of_files = _ran_out(r"Too many open files|Errno 24\b")
_of_memory = _ran_out(r"shared memory|/dev/shm|/torch_\d+_|Bus error|No space left")


def _no_files(readings: Readings) -> str | None:
    """It ran out of open files: what it raised, and what it left behind then, have this cause."""
    limit = _limit(readings, "limit.open_files")
    seen = _of_files(readings) or (_raised(readings) if limit is not None and 0 <= limit < LEAST_FILES else None)
    return line(f"ulimit -n is {'unread' if limit is None else limit}; {seen}") if seen else None


def _limit(readings: Readings, name: str) -> int | None:
    fact = readings.fact(name)
    return fact.value if fact is not None and isinstance(fact.value, int) else None


def _long_path(readings: Readings) -> str | None:
    """The folder of temporary files is too long for sockets, and workers that pass tensors through them failed."""
    fact, room, seen = readings.fact("limit.socket_path"), _limit(readings, "limit.socket_path"), _raised(readings)
    return (
        line(f"{fact.evidence}, {-room} too many; {seen}") if fact and room is not None and room < 0 and seen else None
    )


def _full_shm(readings: Readings) -> str | None:
    """It ran out of a /dev/shm that is small."""
    small, seen = _shm(readings), _of_memory(readings)
    return line(f"{small}; {seen}") if small and seen else None


def _small_shm(readings: Readings) -> str | None:
    return None if _full_shm(readings) else _shm(readings)


def _shm(readings: Readings) -> str | None:
    fact, needed = readings.fact("shm.total_bytes"), figure(readings, "shm_needed")
    limit = max(SMALL_SHM_BYTES, 0 if needed is None else needed.value)
    if fact is None or not isinstance(fact.value, int) or fact.value >= limit:
        return None
    words = f"shared memory (/dev/shm) has {quantity(fact.value, 'B')} (limit {quantity(limit, 'B')}"
    if needed is None or needed.value <= SMALL_SHM_BYTES:
        return words + ")"
    return words + f": 2 batches of 64 pictures x {needed.labels.get('workers')} workers x 2 prefetched)"


def _no_shm(readings: Readings) -> str | None:
    fact = readings.fact("shm.total_bytes")
    return fact.evidence if fact is not None and fact.value is None else None


def _few_files(readings: Readings) -> str | None:
    fact = readings.fact("limit.open_files")
    shared = text(readings, "dataloader.sharing") == "file_descriptor"
    if fact is None or not isinstance(fact.value, int) or not shared or not 0 <= fact.value < FEW_FILES:
        return None
    if _no_files(readings):
        return None
    return f"ulimit -n is {fact.value} (limit {FEW_FILES})"


_CONSEQUENCES = ("TD-DTL-002", "TD-DTL-004", "TD-DTL-005")

RULES: tuple[Rule, ...] = (
    Rule("TD-DTL-001", _ALL, Verdict.FAIL, Severity.CRITICAL, _wrong_order),
    Rule("TD-DTL-002", _ALL, Verdict.FAIL, Severity.CRITICAL, _raised),
    Rule("TD-DTL-003", _ALL, Verdict.FAIL, Severity.CRITICAL, _silent),
    Rule("TD-DTL-004", _ALL, Verdict.DEGRADED, Severity.WARNING, _badly_told),
    Rule("TD-DTL-005", _ALL, Verdict.DEGRADED, Severity.WARNING, _left),
    Rule("TD-DTL-006", _ALL, Verdict.FAIL, Severity.CRITICAL, _full_shm, _CONSEQUENCES),
    Rule("TD-DTL-006", (*_ALL, "system.disk"), Verdict.DEGRADED, Severity.WARNING, _small_shm),
    Rule("TD-DTL-007", _ALL, Verdict.DEGRADED, Severity.WARNING, _no_shm),
    Rule("TD-DTL-008", _ALL, Verdict.DEGRADED, Severity.WARNING, _not_kept),
    Rule("TD-DTL-009", _ALL, Verdict.FAIL, Severity.CRITICAL, _pinned),
    Rule("TD-DTL-011", _ALL, Verdict.FAIL, Severity.CRITICAL, _long_path, _CONSEQUENCES),
    Rule("TD-DTL-010", _ALL, Verdict.FAIL, Severity.CRITICAL, _no_files, _CONSEQUENCES),
    Rule("TD-DTL-010", _ALL, Verdict.DEGRADED, Severity.WARNING, _few_files),
)


def _worked(readings: Readings) -> str | None:
    """Batches came in order with and without workers, a killed one was told, and what is left was looked at."""
    orders = [f for f in facts(readings, "dataloader.workers-", ".order") if f.value == "exact"]
    told, left = readings.fact("dataloader.killed"), facts(readings, "dataloader.left.")
    kept = is_true(readings, "dataloader.persistent.kept")
    if len(orders) < 3 or told is None or told.value != "told" or len(left) < 8 or not kept:
        return None
    seconds = number(readings, "killed_told_s")
    after = "" if seconds is None else f" after {seconds:.2f} s"
    counts = ", ".join(sorted(f.name.split(".")[1].partition("-")[2] for f in orders))
    return f"order exact with {counts} workers, a killed worker was told{after}, nothing left behind"


POSITIVE: Positive = {"data.loader": _worked}
