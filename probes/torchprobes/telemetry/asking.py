"""How the rules are asked: all of them at every sample, and cheaply, for nearly nothing changes between two samples.

The cells of a GPU that its slow lanes bring are compared as one tuple; as long as they are the same, so are the answers
of the rules that go by nothing else, and the list of those that cannot be asked. Rules on counters, durations and the
kernel's log are asked only once a counter has moved, a condition has held, or something was told of that GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from ..cells import UNREAD, Absent, CellState
from ..samples import LANES, GpuSample, Sample
from .past import Past, getter
from .rules import Check, Limits, Look, On

KERNEL_LOG: Final = "kernel log"


class Gap(NamedTuple):
    """Why a check could not be asked. `kind` is unread (it should be there), later (its turn comes) or not-here."""

    kind: str
    reason: str


NOT_HERE: Final = Gap("not-here", "")
LATER: Final = Gap("later", "")


class Hit(NamedTuple):
    """A check that found something, of a GPU or (None) of the node."""

    check: Check
    gpu: GpuSample | None
    seen: str


@dataclass(frozen=True, slots=True)
class Question:
    """A check with its place among all and its limits."""

    place: int
    check: Check
    limits: Limits


Gaps = tuple[tuple[int, Gap], ...]
"""Places of checks that could not be asked of one subject, and why."""


class Asking(NamedTuple):
    """What one sample came to: hits, and the gaps of each subject."""

    hits: list[Hit]
    gaps: list[Gaps]


def questions(checks: Sequence[Check], limits: dict[str, Limits]) -> tuple[Question, ...]:
    """The checks as questions, in their order."""
    return tuple(Question(place, check, limits[check.id]) for place, check in enumerate(checks))


def log_gap(sample: Sample) -> Gap | None:
    """Why the kernel's log cannot tell of anything, None if it can."""
    cell = sample.kernel_log
    if not isinstance(cell, Absent):
        return None
    return LATER if cell == UNREAD else Gap("unread", f"{KERNEL_LOG}: {cell.why or cell.state.value}")


# --- of a GPU ------------------------------------------------------------------------------------------------


class _Plan(NamedTuple):
    """Which questions can be asked of a GPU, by what they go by, and the gaps of the others."""

    gaps: Gaps
    slow: tuple[Question, ...]
    fast: tuple[tuple[Callable[[GpuSample], object], tuple[Question, ...]], ...]
    on: dict[On, tuple[Question, ...]]


Answers = list[tuple[Check, str]]


class _Known:
    """What was last asked of one GPU: the cells by which it was asked, and the answers."""

    __slots__ = ("fast", "fast_answers", "plan", "slow", "slow_answers", "why")

    def __init__(self, plan: _Plan, slow: object, why: tuple[object, ...]) -> None:
        self.plan, self.slow, self.why = plan, slow, why
        self.slow_answers: Answers = []
        self.fast: list[object] = [None] * len(plan.fast)
        self.fast_answers: list[Answers] = [[] for _ in plan.fast]


class GpuRules:
    """Asks the rules on GPUs. One thread uses it."""

    def __init__(self, rules: Iterable[Question]) -> None:
        self._rules = tuple(rules)
        self._needs = sorted({rule.check.needs_s for rule in self._rules})
        cells = {cell for rule in self._rules for cell in _cells(rule.check)}
        self._fast = {cell for cell in cells if LANES.get(cell) == "fast"}
        self._slow_cells = getter(("state", "vendor", *sorted(cells - self._fast - {"state"})))
        self._fast_cells = getter(sorted(self._fast))
        self._told = tuple(rule.place for rule in self._rules if rule.check.on is On.TOLD)
        self._known: dict[str, _Known] = {}

    def ask(self, sample: Sample, past: Past, asking: Asking) -> None:
        """Ask all of them of every GPU of a sample."""
        gap = log_gap(sample)
        silent: Gaps = tuple((place, gap) for place in self._told) if gap is not None else ()
        stage, look = sum(need <= past.seconds for need in self._needs), Look(sample, past, {})
        for gpu in sample.gpus:
            known = self._of_cells(gpu, look, stage)
            found = self._of_past(gpu, look, known.plan)
            asking.hits.extend(Hit(check, gpu, seen) for check, seen in known.slow_answers)
            for answers in known.fast_answers:
                asking.hits.extend(Hit(check, gpu, seen) for check, seen in answers)
            asking.hits.extend(Hit(check, gpu, seen) for check, seen in found)
            asking.gaps.append(known.plan.gaps)
            if silent:
                asking.gaps.append(silent)
        if len(self._known) > 2 * len(sample.gpus) + 16:
            self._known = {gpu.uuid: self._known[gpu.uuid] for gpu in sample.gpus}

    def _of_cells(self, gpu: GpuSample, look: Look, stage: int) -> _Known:
        """Answers that follow from cells alone: those that have changed are asked again."""
        slow, fast = self._slow_cells(gpu), self._fast_cells(gpu)
        known = self._known.get(gpu.uuid)
        why = (stage, [cell.state for cell in fast if isinstance(cell, Absent)])
        if known is None or slow != known.slow or why != known.why[0]:
            known = self._renewed(gpu, look, known, slow, why)
        for place, (cells, rules) in enumerate(known.plan.fast):
            values = cells(gpu)
            if values != known.fast[place]:
                known.fast[place] = values
                known.fast_answers[place] = _answers(rules, gpu, look)
        return known

    def _renewed(self, gpu: GpuSample, look: Look, known: _Known | None, slow: Any, why: object) -> _Known:
        """After a slow lane was read: what cannot be asked only changes with what is absent."""
        absent = [(place, cell.state) for place, cell in enumerate(slow) if isinstance(cell, Absent)]
        reasons = (why, absent, gpu.state)
        if known is None or known.why != reasons:
            known = self._known[gpu.uuid] = _Known(self._plan(gpu, look.past), slow, reasons)
        known.slow, known.slow_answers = slow, _answers(known.plan.slow, gpu, look)
        return known

    def _of_past(self, gpu: GpuSample, look: Look, plan: _Plan) -> Answers:
        """Answers that go by what came before, or by the rest of the sample."""
        found = _answers(plan.on[On.SAMPLE], gpu, look)
        if look.past.has_moved(gpu.uuid):
            found += _answers(plan.on[On.COUNTERS], gpu, look)
        if look.past.has_timed:
            found += _answers(plan.on[On.TIMED], gpu, look)
        if look.past.told.of_gpu(gpu):
            found += _answers(plan.on[On.TOLD], gpu, look)
        return found

    def _plan(self, gpu: GpuSample, past: Past) -> _Plan:
        seconds = past.seconds
        gaps = {rule.place: gap for rule in self._rules if (gap := _gpu_gap(rule.check, gpu, seconds)) is not None}
        rest = [rule for rule in self._rules if rule.place not in gaps]
        on = {kind: tuple(rule for rule in rest if rule.check.on is kind) for kind in On}
        by_cells: dict[tuple[str, ...], list[Question]] = {}
        for rule in on[On.CELLS]:
            by_cells.setdefault(tuple(sorted(_cells(rule.check))), []).append(rule)
        slow = [rule for cells, rules in by_cells.items() if self._fast.isdisjoint(cells) for rule in rules]
        fast = [(getter(cells), tuple(rules)) for cells, rules in by_cells.items() if not self._fast.isdisjoint(cells)]
        return _Plan(tuple(gaps.items()), tuple(slow), tuple(fast), on)


def _cells(check: Check) -> set[str]:
    return {*check.reads, *check.also}


def _answers(rules: Sequence[Question], gpu: GpuSample, look: Look) -> Answers:
    found = []
    for rule in rules:
        ask = rule.check.gpu
        seen = ask(gpu, Look(look.sample, look.past, rule.limits) if rule.limits else look) if ask else None
        if seen is not None:
            found.append((rule.check, seen))
    return found


def _gpu_gap(check: Check, gpu: GpuSample, seconds: float) -> Gap | None:
    """Why a check cannot be asked of a GPU; what no row reads on another vendor's part is not there on it."""
    if check.needs_s > seconds:
        return NOT_HERE
    gap = _gap(check.reads, [getattr(gpu, name) for name in check.reads])
    if gap is None or gap is NOT_HERE:
        return gap
    if gap is LATER:
        return gap if gpu.vendor == "nvidia" else NOT_HERE
    return gap if gpu.state == "ok" else Gap("unread", f"GPU {gpu.index} is {gpu.state}")


# --- of the node ---------------------------------------------------------------------------------------------


class _Asked:
    """One question on the node, and what was last answered."""

    __slots__ = ("cells", "gap", "question", "seen", "values")

    def __init__(self, question: Question) -> None:
        self.question = question
        reads = question.check.reads
        self.cells = getter(reads) if reads else None
        self.values: object = None
        self.gap: Gap | None = None
        self.seen: str | None = None


class NodeRules:
    """Asks the rules on the node; those that go by cells alone once for the same cells. One thread uses it."""

    def __init__(self, rules: Iterable[Question]) -> None:
        self._rules = tuple(_Asked(rule) for rule in rules)

    def ask(self, sample: Sample, past: Past, asking: Asking) -> None:
        """Ask all of them."""
        silent, gaps, seconds = log_gap(sample), [], past.seconds
        for rule in self._rules:
            place, check = rule.question.place, rule.question.check
            gap = NOT_HERE if check.needs_s > seconds else self._one(rule, Look(sample, past, rule.question.limits))
            if gap is None and rule.seen is not None:
                asking.hits.append(Hit(check, None, rule.seen))
            elif gap is None and check.on is On.TOLD:
                gap = silent
            if gap is not None:
                gaps.append((place, gap))
        asking.gaps.append(tuple(gaps))

    def _one(self, rule: _Asked, look: Look) -> Gap | None:
        """Bring an answer up to date; why there is none."""
        check = rule.question.check
        if rule.cells is not None:
            values = rule.cells(look.sample)
            if values == rule.values:
                if check.on is On.CELLS:
                    return rule.gap
            else:
                rule.values = values
                rule.gap = _gap(check.reads, values)
        rule.seen = check.node(look.sample, look) if rule.gap is None and check.node is not None else None
        return rule.gap


def _gap(reads: Sequence[str], cells: Sequence[object]) -> Gap | None:
    """The worst of what lacks: a cell that is not supported makes the check one that does not apply."""
    worst: Gap | None = None
    for name, cell in zip(reads, cells, strict=True):
        if not isinstance(cell, Absent):
            continue
        if cell.state is CellState.NOT_SUPPORTED:
            return NOT_HERE
        if cell == UNREAD:
            worst = worst or LATER
        elif worst is None or worst is LATER:
            worst = Gap("unread", f"{name.rsplit('.', 1)[-1]}: {cell.state.value}")
    return worst
