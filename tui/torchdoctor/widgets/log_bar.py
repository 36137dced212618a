"""The row below a log: following or paused, the search, where one stands, what is marked; in order of weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.widgets import Static

from torchdoctor.paint import fit
from torchdoctor.text import ascii_only, safe
from torchdoctor.widgets.log_lines import LogLines
from torchdoctor.widgets.log_paint import TONES, part_style, sign
from torchprobes.compilelog.document import DocumentView
from torchprobes.compilelog.filter import FilterView
from torchprobes.compilelog.found import Found
from torchprobes.compilelog.marks import Mark

_PLURALS = {
    Mark.ERROR: ("error", "errors"),
    Mark.BREAK: ("graph break", "graph breaks"),
    Mark.RECOMPILE: ("recompile", "recompiles"),
    Mark.LIMIT: ("limit hit", "limits hit"),
    Mark.WARNING: ("warning", "warnings"),
}

FILTER_CELLS = 32
"""Of a filter's text that are shown; its counts say more than its end."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the bar: its words and the style name for them."""

    words: str
    part: str = ""


class LogBar(Static):
    """Says how a `LogLines` stands."""

    DEFAULT_CSS = """
    LogBar { height: 1; text-wrap: nowrap; text-overflow: clip; background: $panel; color: $foreground; padding: 0 1; }
    LogBar > .bar--follow { color: $text-success; text-style: bold; }
    LogBar > .bar--paused { color: $text-warning; text-style: bold reverse; }
    LogBar > .bar--new { color: $text-accent; text-style: bold; }
    LogBar > .bar--error { color: $text-error; text-style: bold; }
    LogBar > .bar--warning { color: $text-warning; }
    LogBar > .bar--mark { color: $text-accent; }
    LogBar > .bar--dim { color: $text-muted; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"bar--{part}" for part in ("follow", "paused", "new", "error", "warning", "mark", "dim")
    }

    def __init__(self) -> None:
        super().__init__("", markup=False)
        self.filter_text = ""
        """The filter that is on, as it was typed."""
        self._said: tuple[Piece, ...] = ()

    def show(self, lines: LogLines) -> None:
        """Say it anew, if it differs."""
        pieces = tuple(self._pieces(lines))
        said = self._fitting(pieces)
        if said != self._said:
            self._said = said
            self.update(self._text(said), layout=False)

    def _pieces(self, lines: LogLines) -> list[Piece]:
        if lines.document is None:
            return []
        view, ascii_signs = lines.view, ascii_only(self.app)
        pieces = [
            _badge(lines),
            Piece(view.cause, "warning"),
            _search(lines.document.found, lines.cursor),
            _filter(self.filter_text, lines.document.filtered, view),
            _position(lines),
            Piece(view.note, "warning"),
            _indexing(view),
            *_counts(dict(view.counts), ascii_signs),
            _sideways(lines),
        ]
        return [Piece(safe(piece.words, ascii_only=ascii_signs), piece.part) for piece in pieces if piece.words]

    def _fitting(self, pieces: tuple[Piece, ...]) -> tuple[Piece, ...]:
        """The first pieces that fit side by side."""
        room, fitting = self.size.width or 80, []
        for piece in pieces:
            room -= Text(piece.words).cell_len + 2
            if room < -2:
                break
            fitting.append(piece)
        return tuple(fitting or pieces[:1])

    def _text(self, pieces: tuple[Piece, ...]) -> Text:
        text = Text()
        for piece in pieces:
            style = part_style(self, f"bar--{piece.part}") if piece.part else ""
            text.append("  " if text else "").append(piece.words, style)
        return text


def _badge(lines: LogLines) -> Piece:
    if lines.paused:
        return Piece(f" PAUSED +{lines.new_lines:,} new " if lines.new_lines else " PAUSED ", "paused")
    if lines.follow:
        return Piece("FOLLOW", "follow")
    return Piece(f"+{lines.new_lines:,} new" if lines.new_lines else "", "new")


def _search(found: Found, cursor: int) -> Piece:
    view = found.view()
    if view.query is None:
        return Piece("")
    words = f"{'regex' if view.query.regex else 'text'} /{view.query.words}"
    if view.cause:
        return Piece(f"{words}: {view.cause}", "error")
    if not view.count:
        return Piece(f"{words}: {'not found' if view.at_end else 'searching'}", "warning")
    place = f"{found.rank(cursor):,} of {view.count:,}" if found.hit(cursor) else f"{view.count:,}"
    return Piece(f"{words}: {place}{'' if view.at_end else '+'}", "mark")


def _filter(text: str, filtered: FilterView, view: DocumentView) -> Piece:
    if not text:
        return Piece("")
    words = f"filter: {fit(text, min(len(text), FILTER_CELLS))}"
    if filtered.cause:
        return Piece(f"{words} {filtered.cause}", "error")
    part = "" if filtered.at_end else f", {filtered.scanned_bytes * 100 // max(1, view.size_bytes)} %"
    return Piece(f"{words}  {view.rows:,} of {view.lines:,} lines{part}", "mark")


def _position(lines: LogLines) -> Piece:
    """The cursor's line, by its number in the file where a filter is on."""
    if not lines.lines or lines.pages.tail:
        return Piece("")
    line = lines.pages.line(lines.cursor)
    if line is not None and line.number != lines.cursor:
        return Piece(f"line {line.number + 1:,}", "dim")
    return Piece(f"line {lines.cursor + 1:,} of {lines.lines:,}", "dim")


def _indexing(view: DocumentView) -> Piece:
    if view.indexed:
        return Piece("")
    return Piece(f"indexing {view.indexed_bytes * 100 // max(1, view.size_bytes)} %", "dim")


def _counts(counts: dict[Mark, int], ascii_signs: bool) -> list[Piece]:
    return [
        Piece(f"{sign(mark, ascii_signs)} {counts[mark]:,} {names[counts[mark] != 1]}", TONES[mark])
        for mark, names in _PLURALS.items()
        if counts.get(mark)
    ]


def _sideways(lines: LogLines) -> Piece:
    """Where in long lines the window stands."""
    if lines.wrap:
        return Piece("wrapped", "dim")
    return Piece(f"column {lines.scroll_offset.x + 1}" if lines.scroll_offset.x else "", "dim")
