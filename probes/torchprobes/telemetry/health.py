"""What the rules of health say of one sample: findings, how much could be checked, and the verdict line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ..model import Finding, Fix, Frozen, Scope, Severity
from ..samples import GpuSample, ProcessSample, Sample
from .asking import Asking, Gap, Gaps, GpuRules, Hit, NodeRules, questions
from .past import Past
from .rules import CHECKS, Check, conditions, limits
from .rules.fixes import INDEX

WORST_FIRST: Final = (Severity.CRITICAL, Severity.WARNING, Severity.INFO)
_RANK: Final = {severity: rank for rank, severity in enumerate(WORST_FIRST)}

NAMED: Final = 3
"""So many of those who run on a GPU are named beside a fix that would hurt them."""


class Health(Frozen, frozen=True, kw_only=True):
    """What the rules made of one sample: findings, worst first, and the verdict in one line.

    `subjects` names the GPU of each finding by UUID, "" for the node; `worst` is the severity of each GPU that has a
    finding. `checked` rules could be asked of everything that they are about; `unread` could not, for the `reasons`
    (most frequent first, with how many rules each holds up); of `later` the first reading has not come yet. What does
    not apply here is in none of them.
    """

    findings: tuple[Finding, ...] = ()
    line: str = ""
    checked: int = 0
    unread: int = 0
    later: int = 0
    reasons: tuple[tuple[str, int], ...] = ()
    subjects: tuple[str, ...] = ()
    worst: dict[str, Severity] = msgspec.field(default_factory=dict)


class Judge:
    """Judges one sample after the other, under the person's own thresholds. One thread uses it.

    The past that it is given has to time what the rules want to know: `new_past` makes such a one.
    """

    def __init__(self, thresholds: Mapping[str, float] | None = None, checks: Sequence[Check] = CHECKS) -> None:
        self._limits = limits(thresholds or {})
        rows = questions(checks, self._limits)
        self._count = len(rows)
        self._gpu_places = frozenset(row.place for row in rows if row.check.gpu is not None)
        self._gpus = GpuRules(row for row in rows if row.check.gpu is not None)
        self._node = NodeRules(row for row in rows if row.check.node is not None)
        self._counted: tuple[Sequence[Gaps], int, _Count] | None = None

    def new_past(self) -> Past:
        """A past that times what these rules ask for."""
        return Past(*conditions(self._limits))

    def judge(self, sample: Sample, past: Past) -> Health:
        """Ask every rule of this sample and of what came before it; `past` has the sample taken in already."""
        asking = Asking([], [])
        self._node.ask(sample, past, asking)
        self._gpus.ask(sample, past, asking)
        hits = sorted(asking.hits, key=lambda hit: _RANK[hit.check.severity])
        count = self._count_of(asking.gaps, len(sample.gpus))
        return Health(
            findings=tuple(_finding(hit, sample) for hit in hits),
            line=_line(sample, hits, count),
            checked=count.checked,
            unread=count.unread,
            later=count.later,
            reasons=count.reasons,
            subjects=tuple(hit.gpu.uuid if hit.gpu is not None else "" for hit in hits),
            worst={hit.gpu.uuid: hit.check.severity for hit in reversed(hits) if hit.gpu is not None},
        )

    def _count_of(self, gaps: Sequence[Gaps], gpus: int) -> _Count:
        """Counted anew only when something else can be read than before."""
        before = self._counted
        if before is not None and before[0] == gaps and before[1] == gpus:
            return before[2]
        count = _counted(self._count, self._gpu_places, gaps, gpus)
        self._counted = (gaps, gpus, count)
        return count


def judge(sample: Sample, past: Past | None = None) -> Health:
    """Judge one sample by itself; nothing is asked that needs a past, unless there is one."""
    one = Judge()
    if past is None:
        past = one.new_past()
        past.add(sample)
    return one.judge(sample, past)


# --- counting ------------------------------------------------------------------------------------------------


class _Count(Frozen, frozen=True, kw_only=True):
    checked: int
    unread: int
    later: int
    reasons: tuple[tuple[str, int], ...]


def _counted(rules: int, gpu_rules: frozenset[int], gaps: Sequence[Gaps], gpus: int) -> _Count:
    """Each rule once: it is unread if it is so of any subject, and not here if it applies to none."""
    unread: dict[int, Gap] = {}
    later: set[int] = set()
    not_here: Counter[int] = Counter()
    for place, gap in (pair for of_one in gaps for pair in of_one):
        if gap.kind == "unread":
            unread.setdefault(place, gap)
        elif gap.kind == "later":
            later.add(place)
        else:
            not_here[place] += 1
    later -= unread.keys()
    subjects = {place: gpus if place in gpu_rules else 1 for place in range(rules)}
    nowhere = {place for place, of in subjects.items() if not_here[place] >= of} - unread.keys() - later
    reasons = Counter(gap.reason for gap in unread.values()).most_common()
    checked = rules - len(unread) - len(later) - len(nowhere)
    return _Count(checked=checked, unread=len(unread), later=len(later), reasons=tuple(reasons))


# --- telling -------------------------------------------------------------------------------------------------


def _finding(hit: Hit, sample: Sample) -> Finding:
    check = hit.check
    return Finding(
        id=check.id,
        severity=check.severity,
        seen=_seen(hit) + _who_runs_there(hit, sample.processes),
        why=check.why,
        fix=_fix(check.fix, hit.gpu),
        source=check.source,
    )


def _seen(hit: Hit) -> str:
    where = f"GPU {hit.gpu.index} {hit.gpu.bus_id}: " if hit.gpu is not None else ""
    return f"{where}{hit.check.title}: {hit.seen}"


def _fix(fix: Fix | None, gpu: GpuSample | None) -> Fix | None:
    """The fix for this GPU: its bus id stands where the row says INDEX, for the driver's numbers may change."""
    if fix is None or gpu is None or INDEX not in fix.command:
        return fix
    return Fix(command=fix.command.replace(INDEX, gpu.bus_id or str(gpu.index)), scope=fix.scope, needs=fix.needs)


def _who_runs_there(hit: Hit, processes: Sequence[ProcessSample]) -> str:
    """Whose work a fix would end: beside one that needs the GPU or the node drained."""
    fix, gpu = hit.check.fix, hit.gpu
    if fix is None or "drained" not in fix.needs:
        return ""
    of_gpu = fix.scope is Scope.GPU and gpu is not None
    found = {p.pid: p for p in processes if not of_gpu or (gpu is not None and p.gpu_uuid == gpu.uuid)}
    if not found:
        return ""
    named = ", ".join(_who(process) for process in list(found.values())[:NAMED])
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return f" · runs {'there' if of_gpu else 'on this node'}: {named}{more}"


def _who(process: ProcessSample) -> str:
    cells = (process.user, process.job)
    user, job = (cell if isinstance(cell, str) else "" for cell in cells)
    told = " ".join(part for part in (user[:32], f"job {job[:60]}" if job else "") if part)
    return f"pid {process.pid} ({told})" if told else f"pid {process.pid}"


def _line(sample: Sample, hits: Sequence[Hit], count: _Count) -> str:
    """One line: the worst that was found, or that nothing was, on what, and how much could not be read."""
    serious = [hit for hit in hits if hit.check.severity is not Severity.INFO]
    more = f" · {len(serious) - 1} more" if len(serious) > 1 else ""
    told = f"{_seen(serious[0])}{more}" if serious else f"no fault found on {_subject(sample)}"
    unread = f" · {count.unread} unreadable ({count.reasons[0][0]})" if count.unread else ""
    later = f" · {count.later} not read yet" if count.later else ""
    return f"{told} · {count.checked} checked{unread}{later}"


def _subject(sample: Sample) -> str:
    numbers = sorted(gpu.index for gpu in sample.gpus)
    if not numbers:
        return f"the host; {sample.driver_state}"
    starts = [n for n in numbers if n - 1 not in numbers]
    ends = [n for n in numbers if n + 1 not in numbers]
    spans = [str(a) if a == b else f"{a}–{b}" for a, b in zip(starts, ends, strict=True)]
    return f"{'GPU' if len(numbers) == 1 else 'GPUs'} {', '.join(spans)}"
