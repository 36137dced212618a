"""A comparison as text for a terminal: causes in the first lines, then what differs, what does not, what nobody asked.

Lines are at most `width` wide. A line that names a cause is cut there, never wrapped: the first three lines are the
three likeliest causes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torchprobes.model import Verdict
from torchprobes.quantity import quantity
from torchprobes.reports.comparison import words
from torchprobes.reports.comparison.model import Cause, Comparison, Line, Moment, Outlier, Platform, Row, Timeline
from torchprobes.reports.signs import ASCII_SIGNS, SIGNS
from torchprobes.reports.text import plain

from ._table import hanging

CAUSES = 10
FIRST = 3
ROWS = 30
OUTLIERS = 12
NOTES = 8
WORDS = 4
NARROWEST = 60
COLUMN = 22


class _Paper:
    """How wide, with which signs, and whether all of it is wanted."""

    def __init__(self, *, signs: bool, width: int, everything: bool) -> None:
        self.signs = SIGNS if signs else ASCII_SIGNS
        self.ascii = not signs
        self.width = max(NARROWEST, width)
        self.everything = everything

    def most(self, few: int, count: int) -> int:
        """How many of `count` are told."""
        return count if self.everything else min(few, count)

    def text(self, line: object, width: int | None = None) -> str:
        """One harmless line, in ASCII where that is all there is."""
        said = str(line).translate(_ASCII) if self.ascii else str(line)
        return plain(said, self.width if width is None else width)

    def verdict(self, verdict: Verdict | None) -> str:
        """A sign and a word."""
        return words.NOT_ASKED if verdict is None else f"{self.signs[verdict]} {verdict.value}"

    def hang(self, head: str, line: object, indent: int) -> list[str]:
        """A line that may be wrapped."""
        return hanging(head, self.text(line, 1 << 14), self.width, indent)


_ASCII = str.maketrans(
    {"×": "x", "→": ">", "±": "+-", "µ": "u", "·": "-", "…": "...", "–": "-", "°": "", "“": '"', "”": '"'}
)
"""Signs of ours that a terminal in ASCII has otherwise; what else it lacks becomes an escape."""


def comparison_text(
    comparison: Comparison, masked: str = "", *, signs: bool, width: int, everything: bool = False
) -> str:
    """All of it, with a newline at its end; `everything` leaves no row, cause or outlier out."""
    paper = _Paper(signs=signs, width=width, everything=everything)
    return "\n".join(_lines(comparison, masked, paper)) + "\n"


def _lines(comparison: Comparison, masked: str, paper: _Paper) -> Iterator[str]:
    yield from _causes(comparison, paper)
    yield ""
    yield paper.text(words.headline(comparison))
    yield from _rows(comparison, paper)
    yield from _outliers(comparison.outliers, paper)
    yield from _same(comparison, paper)
    yield from _listed("limits of this comparison:", comparison.notes, NOTES, paper)
    if masked:
        yield from ("", *paper.hang("redaction: ", masked, 2))
    # At the end, whatever else there is: a green matrix must not lie.
    yield from _listed("what no probe covered:", comparison.uncovered, len(comparison.uncovered), paper)


# --- causes --------------------------------------------------------------------------------------------------------


def _causes(comparison: Comparison, paper: _Paper) -> Iterator[str]:
    told = comparison.causes[: paper.most(CAUSES, len(comparison.causes))]
    if not told:
        yield paper.text("no likely cause: the reports say of nothing else that differs")
    for number, cause in enumerate(told, 1):
        end = f" → {words.explains(cause, 2)}" if cause.explains else ""
        yield paper.text(f"{number}. {cause.words}{end}")
    yield from _left("causes", len(comparison.causes) - len(told), paper)
    whys = [(number, cause) for number, cause in enumerate(told, 1) if cause.why]
    if whys:
        yield ""
    for number, cause in whys[: paper.most(FIRST, len(whys))]:
        yield from paper.hang(f"why {number}{_certainty(cause)}: ", cause.why, 7)


def _certainty(cause: Cause) -> str:
    return " (evidence in the reports)" if cause.sure else " (likely, no evidence ties it)"


# --- rows ----------------------------------------------------------------------------------------------------------


def _rows(comparison: Comparison, paper: _Paper) -> Iterator[str]:
    differing = [row for row in comparison.differing if row.change != "alone"]
    rows = comparison.rows if paper.everything else differing[:ROWS]
    columns = _columns(comparison.platforms, rows, paper)
    if columns and rows:
        yield _head(comparison.platforms, columns, paper)
    for row in rows:
        yield from _in_columns(row, columns, paper) if columns else _in_words(row, comparison.platforms, paper)
        for line in row.words[: paper.most(WORDS, len(row.words))]:
            yield from paper.hang("    ", line, 6)
    if not paper.everything:
        yield from _left("rows that differ", len(differing) - len(rows), paper)
        yield from _alone(comparison, paper)


def _alone(comparison: Comparison, paper: _Paper) -> Iterator[str]:
    """Probes that one platform alone was asked, a line a platform."""
    alone = [row for row in comparison.rows if row.change == "alone"]
    for at, platform in enumerate(comparison.platforms):
        said = [f"{row.name} {verdict.value}" for row in alone if (verdict := row.cells[at].verdict) is not None]
        if said:
            yield from paper.hang(f"asked on {paper.text(platform.label)} alone ({len(said)}): ", ", ".join(said), 4)


def _columns(platforms: Sequence[Platform], rows: Sequence[Row], paper: _Paper) -> tuple[int, ...]:
    """The widths of the name and of each platform's column; () where the terminal is too narrow for a matrix."""
    name = max((len(row.name) for row in rows), default=0) + 1
    each = [min(COLUMN, max(12, len(platform.label) + 2)) for platform in platforms]
    return (name, *each) if name + sum(each) + 6 <= paper.width else ()


def _head(platforms: Sequence[Platform], columns: tuple[int, ...], paper: _Paper) -> str:
    cells = (f"{paper.text(p.label, w - 2):{w}}" for p, w in zip(platforms, columns[1:], strict=True))
    return f"{'':{columns[0]}}{''.join(cells)}".rstrip()


def _in_columns(row: Row, columns: tuple[int, ...], paper: _Paper) -> Iterator[str]:
    cells = (f"{paper.verdict(cell.verdict):{w}}" for cell, w in zip(row.cells, columns[1:], strict=True))
    yield paper.text(f"{row.name:{columns[0]}}{''.join(cells)}{row.change}")


def _in_words(row: Row, platforms: Sequence[Platform], paper: _Paper) -> Iterator[str]:
    """How many came to what, and who, where they are few."""
    said = (
        f"{count:,} {verdict.value if verdict else words.NOT_ASKED}" + (f" ({who})" if who else "")
        for verdict, count, who in words.tally(row, platforms)
    )
    yield from paper.hang(f"{paper.text(row.name)} {row.change}: ", ", ".join(said), 4)


# --- the rest ------------------------------------------------------------------------------------------------------


def _outliers(outliers: Sequence[Outlier], paper: _Paper) -> Iterator[str]:
    if not outliers:
        return
    yield from ("", "outliers among devices of the same kind (robust z-score):")
    told = outliers[: paper.most(OUTLIERS, len(outliers))]
    for one in told:
        value, median = quantity(one.value, one.unit), quantity(one.median, one.unit)
        line = (
            f"{one.platform}: {one.row} {words.key_words(one.key)} {value}, median {median} of {one.of}, z {one.z:+.1f}"
        )
        yield from paper.hang("  ", line, 4)
    yield from _left("outliers", len(outliers) - len(told), paper)


def _same(comparison: Comparison, paper: _Paper) -> Iterator[str]:
    same = words.alike(comparison.rows)
    if same and not paper.everything:
        yield ""
        yield paper.text(f"the same everywhere ({len(same)}): {', '.join(row.name for row in same)}")


def _listed(title: str, lines: Sequence[str], most: int, paper: _Paper) -> Iterator[str]:
    if not lines:
        return
    yield from ("", title)
    told = lines[: paper.most(most, len(lines))]
    for line in told:
        yield from paper.hang("  ", line, 4)
    yield from _left("lines", len(lines) - len(told), paper)


def _left(what: str, count: int, paper: _Paper) -> Iterator[str]:
    if count > 0:
        yield paper.text(f"  {count:,} more {what}: --all shows them")


# --- time line -----------------------------------------------------------------------------------------------------


def timeline_text(found: Timeline, masked: str = "", *, signs: bool, width: int, everything: bool = False) -> str:
    """Each node over time: what changed against its report before, what else differs there, and what drifts."""
    paper = _Paper(signs=signs, width=width, everything=everything)
    lines = [text for line in found.lines for text in _line(line, paper)]
    if found.alone:
        lines += paper.hang("one report only: ", ", ".join(found.alone), 2)
    if masked:
        lines += ["", *paper.hang("redaction: ", masked, 2)]
    return "\n".join(lines or ["no node has two reports or more: a time line needs them"]) + "\n"


def _line(line: Line, paper: _Paper) -> Iterator[str]:
    yield paper.text(f"{line.host or 'host not known'}: {len(line.moments)} reports")
    for moment in line.moments:
        yield from _moment(moment, paper)
    for track in line.tracks[: paper.most(OUTLIERS, len(line.tracks))]:
        values = " ".join("-" if v is None else quantity(v, track.unit).replace(" ", "") for v in track.values)
        yield from paper.hang("  ", f"{track.row} {words.key_words(track.key)}: {values}", 4)
    yield ""


def _moment(moment: Moment, paper: _Paper) -> Iterator[str]:
    yield paper.text(f"  {moment.started}  {paper.verdict(moment.verdict)}")
    for title, lines in (("", moment.changes), ("differs: ", moment.causes)):
        told = lines[: paper.most(WORDS, len(lines))]
        for each in told:
            yield from paper.hang("      ", f"{title}{each}", 8)
        yield from (f"    {left}" for left in _left("lines", len(lines) - len(told), paper))
