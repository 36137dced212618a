"""A comparison as a page: likely causes first, then what differs, who lies apart, and what no probe covered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from torchdoctor.paint import BLANK, Line, Page, Span, fit, heading, join, labelled, line, wrap
from torchdoctor.signs import VERDICTS
from torchdoctor.text import safe
from torchdoctor.widgets.lazy_lines import LazyLines
from torchprobes.model import REPORT_ORDER, Verdict
from torchprobes.quantity import quantity
from torchprobes.reports.seen import CODES, CauseSeen, FigureSeen, PlatformSeen, RowSeen, Seen

MANY: Final = 8
"""Of more platforms than this each is one sign in a row, not a column of words."""

CAUSES, NAMED = 3, 6
_NAME, _CHANGE = 30, 7
_LEAST, _MOST = 12, 26
"""Cells of a column."""

CHANGES: Final = {
    "lost": "fail", "worse": "warn", "gained": "ok", "better": "ok", "other": "info", "alone": "dim", "same": "dim",
}  # fmt: skip
ABSENT: Final[Span] = ("·", "dim")


@dataclass(frozen=True, slots=True)
class Look:
    """How a comparison is looked at: all rows or those that differ, by probe or by node, from which platform on."""

    all: bool = False
    nodes: bool = False
    first: int = 0
    by_name: bool = False


@dataclass(frozen=True, slots=True)
class Columns:
    """Which platforms are on screen: `first` to `last`, each `width` cells wide, after a name of `name` cells."""

    name: int
    width: int
    first: int
    last: int

    @property
    def count(self) -> int:
        """How many are on screen at once."""
        return self.last - self.first


def columns_of(platforms: int, look: Look, width: int) -> Columns:
    """The platforms that fit, from the first one that is looked at; as many as there is room for."""
    name = min(_NAME, max(18, width // 4))
    room = max(1, width - 2 - name - _CHANGE - 3)
    wide = 1 if platforms > MANY else min(_MOST, max(_LEAST, room // max(1, platforms)))
    count = max(1, min(platforms, room // wide))
    first = max(0, min(look.first, platforms - count))
    return Columns(name, wide, first, first + count)


def matrix_page(seen: Seen, look: Look, width: int) -> Page:
    """The page: causes, what differs, the same, platforms, notes, what no probe covered."""
    made = _Made()
    made.add(BLANK, heading(f"{len(seen.platforms):,} platforms compared"))
    made.add(*(line("  ", text) for text in wrap(safe(seen.headline), max(20, width - 4))))
    _causes(made, seen, look, width)
    if look.nodes:
        _nodes(made, seen, look, width)
    else:
        _rows(made, seen, look, width)
        _apart(made, seen, width)
        if len(seen.platforms) <= MANY or look.all:
            _platforms(made, seen)
    _end(made, seen, width)
    return Page(made.lines, made.keys, frozenset(made.marks))


class _Made:
    """A page on its way."""

    def __init__(self) -> None:
        self.lines = LazyLines()
        self.keys: dict[int, str] = {}
        self.marks: set[int] = set()

    def add(self, *lines: Line, key: str = "", mark: bool = False) -> None:
        """Lines; the cursor can stand on the first of them by its key."""
        if key:
            self.keys[len(self.lines)] = key
        if mark:
            self.marks.add(len(self.lines))
        self.lines.add(*lines)


# --- causes ------------------------------------------------------------------------------------------------------


def _causes(made: _Made, seen: Seen, look: Look, width: int) -> None:
    count = len(seen.causes) + seen.more_causes
    if not count:
        made.add(BLANK, heading("likely causes"), line(("    the reports tell of nothing that differs", "dim")))
        return
    shown = seen.causes if look.all else seen.causes[:CAUSES]
    note = f"{len(shown)} of {count:,}" + ("" if look.all else ", a shows all") if count > len(shown) else ""
    made.add(BLANK, heading("likely causes", note))
    for place, cause in enumerate(shown):
        made.add(*_cause(place, cause, width), key=f"cause:{place}", mark=True)


def _cause(place: int, cause: CauseSeen, width: int) -> Iterator[Line]:
    """What differs, then what it may explain and how one knows."""
    first, *rest = wrap(safe(cause.words), max(20, width - 8))
    yield line((f"  {place + 1:>3}  ", "dim"), (first, "title"))
    yield from (line("       ", (text, "title")) for text in rest)
    if cause.explains:
        how = "evidence" if cause.sure else "by its kind"
        said = fit(f"may explain {named(cause.explains)}", max(10, width - 22)).rstrip()
        yield line("       ", said, (f"  {how}", "ok" if cause.sure else "dim"))


def named(names: Sequence[str], most: int = NAMED) -> str:
    """Names, as many as a line takes, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return safe(", ".join(names[:most])) + more


# --- rows --------------------------------------------------------------------------------------------------------


def _rows(made: _Made, seen: Seen, look: Look, width: int) -> None:
    columns = columns_of(len(seen.platforms), look, width)
    differ = [row for row in seen.rows if row.change != "same"]
    same = [row for row in seen.rows if row.change == "same"]
    made.add(BLANK, heading("what differs", f"{len(differ)} of {len(seen.rows)} probes" + _where(columns, seen)))
    for row in differ:
        made.add(*_row(row, columns, len(seen.platforms), width), key=f"row:{row.name}", mark=True)
    if not same:
        return
    made.add(BLANK, heading("the same on all", str(len(same)) + ("" if look.all else ", a shows them")))
    if look.all:
        for row in same:
            made.add(*_row(row, columns, len(seen.platforms), width), key=f"row:{row.name}")
    else:
        made.add(*(line(("    " + text, "dim")) for text in wrap(", ".join(safe(r.name) for r in same), width - 6)))


def _where(columns: Columns, seen: Seen) -> str:
    """Which of the platforms are on screen, where that is not all of them."""
    if columns.count == len(seen.platforms):
        return ""
    return f" · platforms {columns.first + 1:,}–{columns.last:,} of {len(seen.platforms):,}, ← → go on"


def head_line(platforms: Sequence[PlatformSeen], columns: Columns) -> Line:
    """The labels of the columns; where a column is one sign, those of the first and the last on screen."""
    lead = " " * (2 + columns.name + _CHANGE + 2)
    shown = platforms[columns.first : columns.last]
    if columns.width > 1:
        return line(lead, *((fit(safe(p.label), columns.width - 1) + " ", "title") for p in shown))
    first, last = safe(shown[0].label), safe(shown[-1].label)
    between = max(1, columns.count - len(first) - len(last))
    return line(lead, (fit(first + " " * between + last, columns.count), "dim"))


def _row(row: RowSeen, columns: Columns, count: int, width: int) -> Iterator[Line]:
    head = ("  ", ""), (fit(safe(row.name), columns.name) + " ", "title" if row.change != "same" else "")
    change: Span = (fit(row.change if row.change != "same" else "", _CHANGE) + " ", CHANGES.get(row.change, ""))
    codes = row.verdicts[columns.first : columns.last]
    yield (*head, change, *_cells(codes, columns.width))
    for figure in row.figures:
        yield line((fit("    " + safe(figure.key), columns.name + _CHANGE + 3) + " ", "dim"),
                   *_figures(figure, columns))  # fmt: skip
    if row.change != "same":
        said = row.words[:2] if count <= MANY else row.words[:1]
        yield from (line(("      " + text, "dim")) for each in said for text in wrap(safe(each), max(20, width - 8)))


def _cells(codes: str, width: int) -> Iterator[Span]:
    """A sign and a word for each verdict, or the sign alone; neighbours of one colour are one span."""
    if width > 1:
        yield from (_cell(CODES.get(code), width) for code in codes)
        return
    run, colour = "", ""
    for code in codes:
        sign, role = _sign(CODES.get(code))
        if role != colour and run:
            yield run, colour
            run = ""
        run, colour = run + sign, role
    yield run, colour


def _sign(verdict: Verdict | None) -> Span:
    return ABSENT if verdict is None else VERDICTS[verdict]


def _cell(verdict: Verdict | None, width: int) -> Span:
    sign, role = _sign(verdict)
    return fit(f"{sign} {'not asked' if verdict is None else verdict.value}", width - 1) + " ", role


def _figures(figure: FigureSeen, columns: Columns) -> Iterator[Span]:
    for at in range(columns.first, columns.last):
        text, share = figure.texts[at], figure.shares[at]
        part = "" if share is None else quantity(share, "share")
        both = join((text, part), "  ")
        yield fit(both if len(both) < columns.width else text, columns.width - 1) + " ", ""


# --- who lies apart ------------------------------------------------------------------------------------------------


def _apart(made: _Made, seen: Seen, width: int) -> None:
    apart = [(p, said) for p in seen.platforms for said in p.apart[:1]]
    if not apart:
        return
    shown = apart[:NAMED]
    note = f"{len(apart)} of {len(seen.platforms)}" + (", v shows the nodes" if len(apart) > len(shown) else "")
    made.add(BLANK, heading("apart from the others of their kind", note))
    for platform, said in shown:
        at = min(28, max(12, width // 4))
        made.add(*labelled(fit(safe(platform.label), at - 6).rstrip(), safe(said), width, at=at, indent=4), mark=True)


def _nodes(made: _Made, seen: Seen, look: Look, width: int) -> None:
    """A line a node: what it came to, in how many probes it is unlike most, and where it lies apart."""
    order = sorted(range(len(seen.platforms)), key=(lambda at: seen.platforms[at].label) if look.by_name else
                   lambda at: _oddness(seen.platforms[at]))  # fmt: skip
    made.add(BLANK, heading("nodes", "by name, s sorts by what is odd" if look.by_name else "oddest first, s by name"))
    label = min(30, max(14, width // 4))
    for place, at in enumerate(order):
        made.keys[len(made.lines) + place] = f"node:{at}"
    made.lines.later(len(order), lambda place: _node(seen.platforms[order[place]], label))


def _oddness(platform: PlatformSeen) -> tuple[int, int, int]:
    return REPORT_ORDER.index(platform.verdict), -len(platform.apart), -platform.differs


def _node(platform: PlatformSeen, label: int) -> Line:
    sign, role = VERDICTS[platform.verdict]
    odd = f"unlike most in {platform.differs}" if platform.differs else ""
    counts = join((f"{n} {word}" for word, n in platform.counts.items() if word not in ("pass", "skip")), ", ")
    said = join((counts, odd, *(safe(each) for each in platform.apart[:2])))
    return line("  ", (f"{sign} {fit(platform.verdict.value, 9)}", role), fit(safe(platform.label), label) + "  ",
                (said or "as the others", "" if said else "dim"))  # fmt: skip


# --- the end -----------------------------------------------------------------------------------------------------


def _platforms(made: _Made, seen: Seen) -> None:
    made.add(BLANK, heading("platforms"))
    label = max((len(safe(p.label)) for p in seen.platforms), default=0)
    for at, platform in enumerate(seen.platforms):
        made.add(_platform(platform, min(label, 30)), key=f"node:{at}")


def _platform(platform: PlatformSeen, label: int) -> Line:
    sign, role = VERDICTS[platform.verdict]
    torch = "no torch" if platform.torch is None else f"torch {safe(platform.torch)}"
    said = join((safe(platform.device), torch, f"{safe(platform.started)[:16].replace('T', ' ')}Z",
                 "snapshot" if platform.kind == "snapshot" else ""))  # fmt: skip
    return line("  ", (f"{sign} {fit(platform.verdict.value, 9)}", role), fit(safe(platform.label), label), "  ",
                (said, "dim"))  # fmt: skip


def _end(made: _Made, seen: Seen, width: int) -> None:
    _list(made, "what limits this comparison", seen.notes, width)
    _list(made, "what no probe covered", seen.uncovered, width)
    if seen.masked:
        made.add(BLANK, *labelled("masked", safe(seen.masked), width, at=10))


def _list(made: _Made, title: str, said: Iterable[str], width: int) -> None:
    rows = [text for each in said for text in _bullet(safe(each), width)]
    if rows:
        made.add(BLANK, heading(title), *(line((text, "dim")) for text in rows))


def _bullet(text: str, width: int) -> Iterator[str]:
    first, *rest = wrap(text, max(20, width - 8))
    yield f"    – {first}"
    yield from (f"      {more}" for more in rest)
