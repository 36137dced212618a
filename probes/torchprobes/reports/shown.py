"""A comparison for a console: read, masked, compared, and told in pieces that a screen can take."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from torchprobes.model import REPORT_ORDER, Report
from torchprobes.quantity import quantity
from torchprobes.rundir import RunError

from . import keeping
from .comparison import compared, platforms, timeline, words
from .comparison.model import Cause, Cell, Comparison, Outlier, Platform, Row, Said
from .gather import gather, uncollected
from .seen import (
    CODE_OF,
    CauseSeen,
    CauseValues,
    CellSeen,
    FigureSeen,
    PlatformSeen,
    RowCells,
    RowSeen,
    Seen,
    SpanSeen,
    TimelineSeen,
)

MOST_CAUSES: Final = 200
MOST_NOTES: Final = 200
MOST_APART: Final = 5

_NUMBERS = itertools.count(1)


class Shown:
    """One comparison, held for as long as somebody looks at it."""

    def __init__(self, paths: Sequence[str], level: str) -> None:
        self.key = str(next(_NUMBERS))
        self.paths, self.level = tuple(paths), level
        mask = keeping.redactor(level)
        with uncollected():
            reports, refused = _read(paths)
            if not reports:
                raise RunError(refused[0] if refused else "nothing to compare: mark two runs or more")
            self.comparison = compared(_columns(mask, reports))
        self.masked = str(mask.masked)
        self._refused = tuple(mask.text(line) for line in refused)

    def at(self, level: str) -> Shown:
        """The same, masked at another level: what is masked is masked before it is compared."""
        return self if level == self.level else Shown(self.paths, level)

    def head(self) -> Seen:
        """What can be told at once."""
        made = self.comparison
        apart, odd = _apart(made.outliers), _odd(made)
        columns = (_platform(p, at, apart.get(p.label, ()), odd[at]) for at, p in enumerate(made.platforms))
        few = len(made.platforms) <= words.MANY
        return Seen(
            key=self.key,
            platforms=tuple(columns),
            headline=words.headline(made),
            rows=tuple(_row(row, figures=few) for row in made.rows),
            causes=tuple(_cause(cause) for cause in made.causes[:MOST_CAUSES]),
            more_causes=max(0, len(made.causes) - MOST_CAUSES),
            uncovered=made.uncovered,
            notes=(*self._refused, *made.notes)[:MOST_NOTES],
            masked=self.masked,
        )

    def cells(self, name: str, first: int, count: int) -> RowCells:
        """The cells of a row for the platforms from `first` on, and each of its figures over all platforms."""
        row = next((row for row in self.comparison.rows if row.name == name), None)
        if row is None:
            raise RunError(f"no probe {name!r} was compared")
        cells = tuple(_cell(cell) for cell in row.cells[first : first + count])
        return RowCells(row=name, first=first, cells=cells, spans=tuple(_spans(row, self.comparison.platforms)))

    def cause(self, place: int) -> CauseValues:
        """Which platforms have what of the cause at that place."""
        cause = self.comparison.causes[place]
        groups: dict[str | None, list[str]] = {}
        for platform, value in zip(self.comparison.platforms, cause.values, strict=False):
            groups.setdefault(value, []).append(platform.label)
        commonest = sorted(groups.items(), key=lambda group: -len(group[1]))
        return CauseValues(place=place, values=tuple((value, tuple(labels)) for value, labels in commonest))


def _read(paths: Sequence[str]) -> tuple[list[tuple[str, Report]], list[str]]:
    """(the reports with where each is from, why others could not be read)."""
    found = gather(paths, _no_place)
    return list(found.reports), list(found.refused)


def _columns(mask: Any, reports: Sequence[tuple[str, Report]]) -> tuple[Platform, ...]:
    """Masked together, so that none names a host that only another one tells of; where each is from stays."""
    masked = mask.reports(report for _, report in reports)
    return platforms([(where, report) for (where, _), report in zip(reports, masked, strict=True)])


def _no_place() -> Path:
    raise RunError("it is no path of a report")


def time_line(paths: Sequence[str], level: str) -> TimelineSeen:
    """Reports of the same nodes, by time.

    Raises:
        RunError: if none of them can be read.
    """
    mask = keeping.redactor(level)
    with uncollected():
        reports, refused = _read(paths)
        if not reports:
            raise RunError(refused[0] if refused else "no report to put on a time line")
        made = timeline(_columns(mask, reports))
    told = {**msgspec.to_builtins(made), "notes": [mask.text(line) for line in refused], "masked": str(mask.masked)}
    return msgspec.convert(told, TimelineSeen)


# --- pieces ------------------------------------------------------------------------------------------------------


def _platform(platform: Platform, at: int, apart: tuple[str, ...], odd: int) -> PlatformSeen:
    report = platform.report
    found = Counter(result.verdict for result in report.results)
    return PlatformSeen(
        label=platform.label or f"#{at + 1}", where=platform.where, host=report.machine.host, started=report.started,
        torch=report.target.torch, device=platform.device, kind=platform.kind, verdict=report.verdict,
        counts={v.value: found[v] for v in REPORT_ORDER if found[v]}, differs=odd, apart=apart[:MOST_APART],
    )  # fmt: skip


def _apart(outliers: Sequence[Outlier]) -> dict[str, tuple[str, ...]]:
    """Label -> where it lies apart, furthest first."""
    found: dict[str, list[str]] = {}
    for each in sorted(outliers, key=lambda each: -abs(each.z)):
        if len(found.setdefault(each.platform, [])) < MOST_APART:
            value, median = quantity(each.value, each.unit), quantity(each.median, each.unit)
            found[each.platform].append(f"{each.row} {words.key_words(each.key)}: {value}, the {each.of} have {median}")
    return {label: tuple(said) for label, said in found.items()}


def _odd(made: Comparison) -> list[int]:
    """In how many rows each platform came to another verdict than most."""
    counts = [0] * len(made.platforms)
    for row in made.differing:
        codes = [cell.verdict for cell in row.cells]
        usual = Counter(codes).most_common(1)[0][0] if codes else None
        for at, verdict in enumerate(codes):
            counts[at] += verdict is not usual
    return counts


def _row(row: Row, *, figures: bool) -> RowSeen:
    return RowSeen(
        name=row.name, group=row.group, verdicts="".join(CODE_OF[cell.verdict] for cell in row.cells),
        change=row.change, words=row.words,
        figures=tuple(_figure(row, key) for key in words.telling(row)) if figures else (),
    )  # fmt: skip


def _figure(row: Row, key: str) -> FigureSeen:
    said = [words.said_of(cell, key) for cell in row.cells]
    return FigureSeen(
        key=words.key_words(key),
        texts=tuple("" if one is None else quantity(one.value, one.unit) for one in said),
        shares=tuple(None if one is None else one.share for one in said),
        of=next((one.of for one in said if one is not None and one.of), ""),
    )


def _cause(cause: Cause) -> CauseSeen:
    return CauseSeen(
        kind=cause.kind, name=cause.name, words=cause.words, explains=cause.explains, why=cause.why, sure=cause.sure
    )


def _cell(cell: Cell) -> CellSeen:
    return CellSeen(
        verdict=cell.verdict, reason=cell.reason, ways=cell.ways, findings=cell.findings,
        figures=tuple((words.key_words(said.key), _figure_text(said)) for said in cell.figures),
    )  # fmt: skip


def _figure_text(said: Said) -> str:
    spread = "" if said.spread is None else f" ± {quantity(said.spread, said.unit)}"
    return f"{quantity(said.value, said.unit)}{spread}" + (f", n {said.n}" if said.n > 1 else "")


def _spans(row: Row, platforms: Sequence[Platform]) -> Iterator[SpanSeen]:
    """Every figure that two platforms or more have, in the row's order."""
    held: dict[str, list[tuple[float, str, str]]] = {}
    for platform, cell in zip(platforms, row.cells, strict=True):
        for said in cell.figures:
            held.setdefault(said.key, []).append((said.value, platform.label, said.unit))
    for key, found in held.items():
        if len(found) > 1:
            low, high, unit = min(found), max(found), found[0][2]
            yield SpanSeen(
                key=words.key_words(key), n=len(found), low=quantity(low[0], unit), low_at=low[1],
                middle=quantity(statistics.median(value for value, _, _ in found), unit),
                high=quantity(high[0], unit), high_at=high[1],
            )  # fmt: skip
