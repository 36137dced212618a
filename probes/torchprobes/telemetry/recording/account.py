"""What a recording says of one moment: what was there, what the rules make of it, what happened and what got worse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from ...cells import Absent, Cell, CellState
from ...model import Frozen
from ...samples import GpuSample, KernelEvent, Sample
from ..health import Health, Judge
from ..past import COUNTERS, Past
from .timeline import GAP_NS, Note, Timeline, open_timeline

WARM_S: Final = 600.0
"""At least so much before the moment is read, for rules that need a past."""


class Change(Frozen, frozen=True, kw_only=True):
    """A reading that was worse at the moment than a window before: whose, which, and both values."""

    where: str
    cell: str
    before: Cell
    after: Cell


class Account(Frozen, frozen=True, kw_only=True):
    """What is known of a moment. `gap` says in words why it is not known, "" where a sample is from then.

    `sample` is the last one before it, however old; `began_ns` and `ended_ns` are where the recording begins and ends.
    """

    recording: str
    host: str
    asked_ns: int
    window_s: float
    began_ns: int
    ended_ns: int
    gap: str
    sample: Sample | None
    health: Health
    events: tuple[KernelEvent, ...]
    changes: tuple[Change, ...]
    notes: tuple[Note, ...]
    broken: int


def give_account(path: Path, at_ns: int, window_s: float, thresholds: Mapping[str, float] | None = None) -> Account:
    """Read the recording around a moment.

    Raises:
        RecordingError: if nothing of it can be read.
    """
    window = int(window_s * 1e9)
    before = max(window, int(WARM_S * 1e9))
    return account_of(open_timeline(path, at_ns - before, at_ns + window), str(path), at_ns, window_s, thresholds)


def account_of(
    timeline: Timeline, name: str, at_ns: int, window_s: float, thresholds: Mapping[str, float] | None = None
) -> Account:
    """The same of a recording that was opened."""
    window = int(window_s * 1e9)
    seen = _Seen(timeline, at_ns, window, Judge(thresholds))
    return Account(
        recording=name,
        host=timeline.header.host,
        asked_ns=at_ns,
        window_s=window_s,
        began_ns=timeline.began_ns,
        ended_ns=timeline.ended_ns,
        gap=_gap(timeline, at_ns),
        sample=seen.last,
        health=seen.judge.judge(seen.last, seen.past) if seen.last is not None else Health(),
        events=_events(timeline, at_ns, window),
        changes=tuple(worse(seen.first, seen.last)) if seen.first and seen.last else (),
        notes=tuple(note for note in timeline.notes if abs(note.t_ns - at_ns) <= window),
        broken=timeline.broken,
    )


class _Seen:
    """The samples up to a moment: the last, the first inside the window before it, and what came before."""

    def __init__(self, timeline: Timeline, at_ns: int, window: int, judge: Judge) -> None:
        self.judge, self.past = judge, judge.new_past()
        self.first: Sample | None = None
        self.last: Sample | None = None
        if at_ns < timeline.began_ns:
            return
        end = timeline.number_at(at_ns)
        begin = timeline.number_at(timeline.time_ns(end) - max(window, int(WARM_S * 1e9)))
        earlier = timeline.earlier_events(begin)
        for number, sample in timeline.samples(begin, end + 1):
            if self.last is None and earlier:
                sample = msgspec.structs.replace(sample, events=(*earlier, *sample.events))
            self.past.add(sample)
            self.last = sample
            if self.first is None and timeline.time_ns(number) >= at_ns - window:
                self.first = sample


def _gap(timeline: Timeline, at_ns: int) -> str:
    """Why nothing is known of a moment, "" if a sample is from then."""
    if at_ns < timeline.began_ns:
        return f"the recording begins only {_span(timeline.began_ns - at_ns)} later"
    number = timeline.number_at(at_ns)
    since = at_ns - timeline.time_ns(number)
    step = int(10e9 / max(timeline.header.rate_hz, 1e-3))
    if since <= max(GAP_NS, step):
        return ""
    if number + 1 >= timeline.count:
        return f"the recording ends {_span(since)} before"
    gap = timeline.time_ns(number + 1) - timeline.time_ns(number)
    return f"nothing was recorded for {_span(gap)} around it: the sample before it is {_span(since)} older"


def _span(nanoseconds: int) -> str:
    seconds = nanoseconds / 1e9
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def _events(timeline: Timeline, at_ns: int, window: int) -> tuple[KernelEvent, ...]:
    """What happened in the window around a moment, each event once, told with all that any source knew of it."""
    past = Past()
    template = next((sample for _, sample in timeline.samples(0, 1)), None)
    told = tuple(event for chunk in timeline.chunks for _, event in chunk.events if abs(event.t_ns - at_ns) <= window)
    if template is not None:
        past.add(msgspec.structs.replace(template, events=tuple(dict.fromkeys(told)), gpus=(), processes=()))
    return tuple(sorted(past.events, key=lambda event: event.t_ns))


# --- what got worse --------------------------------------------------------------------------------------------

_Worse = Callable[[float, float], bool]
_HOLDS_BACK: Final = 0x8 | 0x20 | 0x40 | 0x80
"""Throttle reasons that are no everyday matter: hardware slowdown, thermal, power brake."""

_GONE: Final = (CellState.LOST, CellState.RESET, CellState.HUNG, CellState.ERROR)


def _rose(before: float, after: float) -> bool:
    return after > before


def _fell(before: float, after: float) -> bool:
    return after < before


_RULES: Final[dict[str, _Worse]] = {
    **dict.fromkeys((name for name in COUNTERS if not name.startswith("remap_banks_")), _rose),
    **dict.fromkeys(
        (
            "remap_pending",
            "remap_failure",
            "retired_pending",
            "unrepairable_memory",
            "repair_pending",
            "recovery_action",
        ),
        _rose,
    ),
    "remap_banks_max": _fell,
    "pcie_width": _fell,
    "nvlinks_active": _fell,
    "temperature_c": lambda before, after: after >= before + 15,
    "memory_temperature_c": lambda before, after: after >= before + 15,
    "throttle_reasons": lambda before, after: bool(int(after) & ~int(before) & _HOLDS_BACK),
}
"""Cell of a GPU -> whether it is worse now. A PCIe generation and clocks fall with every pause of a job."""

_HOST_RULES: Final[dict[str, _Worse]] = {
    "oom_kills": _rose,
    "uninterruptible": lambda before, after: after >= before + 2,
    "zombies": lambda before, after: after >= before + 10,
    "swap_used_bytes": lambda before, after: after >= before + (1 << 30),
    "memory_full_pressure_percent": lambda before, after: after >= before + 10,
}


def worse(before: Sample, after: Sample) -> Iterator[Change]:
    """The readings that are worse in the second sample."""
    then = {gpu.uuid: gpu for gpu in before.gpus}
    for gpu in after.gpus:
        if gpu.uuid in then:
            yield from _worse_gpu(then.pop(gpu.uuid), gpu)
    for gpu in then.values():
        yield Change(where=_name(gpu), cell="state", before=gpu.state, after="not listed any more")
    if before.driver_state != after.driver_state and after.driver_state != "ok":
        yield Change(where="driver", cell="driver_state", before=before.driver_state, after=after.driver_state)
    yield from _worse_cells("host", _HOST_RULES, before.host, after.host)


def _worse_gpu(before: GpuSample, after: GpuSample) -> Iterator[Change]:
    if after.state != before.state and after.state != "ok":
        yield Change(where=_name(after), cell="state", before=before.state, after=after.state)
    yield from _worse_cells(_name(after), _RULES, before, after)


def _worse_cells(where: str, rules: dict[str, _Worse], before: object, after: object) -> Iterator[Change]:
    for cell, is_worse in rules.items():
        then, now = getattr(before, cell), getattr(after, cell)
        if _is_gone(then, now) or _is_worse(is_worse, then, now):
            yield Change(where=where, cell=cell, before=then, after=now)


def _is_gone(then: Cell, now: Cell) -> bool:
    return isinstance(now, Absent) and now.state in _GONE and not isinstance(then, Absent)


def _is_worse(rule: _Worse, then: Cell, now: Cell) -> bool:
    return isinstance(then, (int, float)) and isinstance(now, (int, float)) and rule(then, now)


def _name(gpu: GpuSample) -> str:
    return f"GPU {gpu.index} {gpu.bus_id}".rstrip()
