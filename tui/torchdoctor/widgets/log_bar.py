"""The row below a log: following or paused, the search, where one stands, what is marked; in order of weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.widgets import Static

from torchdoctor.text import ascii_only, safe
from torchdoctor.widgets.log_lines import LogLines
from torchdoctor.widgets.log_paint import TONES, part_style, sign
from torchprobes.compilelog.marks import Mark
from torchprobes.compilelog.search import SearchView

_PLURALS = {
    Mark.ERROR: ("error", "errors"),
    Mark.BREAK: ("graph break", "graph breaks"),
    Mark.RECOMPILE: ("recompile", "recompiles"),
    Mark.LIMIT: ("limit hit", "limits hit"),
    Mark.WARNING: ("warning", "warnings"),
}


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
        view = lines.view
        pieces = [_badge(lines)]
        if view.cause:
            pieces.append(Piece(view.cause, "warning"))
        found = lines.document.found
        if found.query is not None:
            pieces.append(_search(found.view(), found.rank(lines.cursor), found.span(lines.cursor) is not None))
        pieces.append(_position(lines))
        if view.note:
            pieces.append(Piece(view.note, "warning"))
        if not view.indexed:
            pieces.append(Piece(f"indexing {view.indexed_bytes * 100 // max(1, view.size_bytes)} %", "dim"))
        counts = dict(view.counts)
        ascii_signs = ascii_only(self.app)
        for mark, names in _PLURALS.items():
            if counts.get(mark):
                words = f"{sign(mark, ascii_signs)} {counts[mark]:,} {names[counts[mark] != 1]}"
                pieces.append(Piece(words, TONES[mark]))
        if lines.scroll_offset.x:
            pieces.append(Piece(f"column {lines.scroll_offset.x + 1}", "dim"))
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


def _search(view: SearchView, rank: int, on_hit: bool) -> Piece:
    if view.query is None:
        return Piece("")
    words = f"{'regex' if view.query.regex else 'text'} /{view.query.words}"
    if view.cause:
        return Piece(f"{words}: {view.cause}", "error")
    if not view.count:
        return Piece(f"{words}: {'not found' if view.at_end else 'searching'}", "warning")
    place = f"{rank:,} of {view.count:,}" if on_hit else f"{view.count:,}"
    return Piece(f"{words}: {place}{'' if view.at_end else '+'}", "mark")


def _position(lines: LogLines) -> Piece:
    total = lines.lines
    if not total:
        return Piece("")
    return Piece(f"line {lines.cursor + 1:,} of {total:,}", "dim")
