"""A search, and the marks, as the screen asks for them: everything in rows."""

from __future__ import annotations

from collections.abc import Sequence

from .marks import Mark, Marks, Places
from .rows import Rows
from .search import Query, Search, SearchView


class Found:
    """What a search found among the rows; without a search `query` is None."""

    def __init__(self, search: Search | None, rows: Rows) -> None:
        self._search, self._rows = search, rows
        self.query: Query | None = search.query if search else None
        self._counted: tuple[tuple[int, ...], int] = ((), 0)

    def view(self) -> SearchView:
        """The newest view."""
        if self._search is None:
            return SearchView()
        view = self._search.view
        return SearchView(self.query, self._count(), view.scanned_bytes, view.at_end, view.cause, view.ones)

    def _count(self) -> int:
        """Hits among the rows; counted again only when there is something new."""
        assert self._search is not None
        kept = [self._rows.kept(source) for source in range(self._rows.sources)]
        if None in kept:
            return self._search.view.ones
        lines = (self._search.view.lines, *(bits.lines for bits in kept if bits is not None))
        if lines != self._counted[0]:
            self._counted = (lines, self._before(self._rows.count))
        return self._counted[1]

    def _before(self, row: int) -> int:
        """Hits before `row`."""
        assert self._search is not None
        count = 0
        for source, track in enumerate(self._search.tracks):
            line, kept = self._rows.first_line(row, source), self._rows.kept(source)
            count += track.bits.rank(line) if kept is None else track.bits.rank_both(line, kept)
        return count

    def next(self, row: int) -> int | None:
        """The first row after `row` that is a hit."""
        if self._search is None:
            return None
        found = []
        for source, track in enumerate(self._search.tracks):
            line = track.bits.next(self._rows.first_line(row + 1, source) - 1, self._rows.kept(source))
            if line is not None and (at := self._rows.row(source, line)) is not None:
                found.append(at)
        return min(found, default=None)

    def previous(self, row: int) -> int | None:
        """The last row before `row` that is a hit."""
        if self._search is None:
            return None
        found = []
        for source, track in enumerate(self._search.tracks):
            line = track.bits.previous(self._rows.first_line(row, source), self._rows.kept(source))
            if line is not None and (at := self._rows.row(source, line)) is not None:
                found.append(at)
        return max(found, default=None)

    def rank(self, row: int) -> int:
        """How many hits there are up to and with `row`."""
        return self._before(row + 1) if self._search is not None else 0

    def hit(self, row: int) -> bool:
        """Whether `row` is a hit."""
        place = self._rows.place(row)
        return self._search is not None and place is not None and place[1] in self._search.tracks[place[0]].bits

    def span(self, row: int) -> tuple[int, int] | None:
        """Where `row` matches first, in bytes; None if it is no hit, or one of more than are kept."""
        place = self._rows.place(row)
        return self._search.span(place[1], place[0]) if self._search is not None and place is not None else None


class MarkedRows:
    """The marks of a document's files among its rows."""

    def __init__(self, marks: Sequence[Marks], rows: Rows) -> None:
        self._marks, self._rows = marks, rows
        filtered = any(rows.kept(source) is not None for source in range(rows.sources))
        self._kept = [Places() for _ in marks] if filtered else None
        """With a filter, the marked lines that it keeps."""
        self._seen = [dict.fromkeys(Mark, 0) for _ in marks]

    @property
    def counts(self) -> dict[Mark, int]:
        """How many there are of each, whether they are rows or not."""
        return {mark: sum(marks.counts[mark] for marks in self._marks) for mark in Mark}

    @property
    def _places(self) -> Sequence[Places]:
        return self._marks if self._kept is None else self._kept

    def sift(self) -> None:
        """Take the places that came since among the rows; for the document's thread."""
        for source, places in enumerate(self._kept or ()):
            kept, seen = self._rows.kept(source), self._seen[source]
            assert kept is not None
            for mark, lines in self._marks[source].lines.items():
                for line in lines[seen[mark] :]:
                    if line >= kept.lines:
                        break
                    seen[mark] += 1
                    if line in kept:
                        places.lines[mark].append(line)

    def next(self, marks: Sequence[Mark], row: int) -> int | None:
        """The first row after `row` that has one of `marks`, None if no such place is kept."""
        found = []
        for source, places in enumerate(self._places):
            line = places.next(tuple(marks), self._rows.first_line(row + 1, source) - 1)
            if line is not None and (at := self._rows.row(source, line)) is not None:
                found.append(at)
        return min(found, default=None)

    def previous(self, marks: Sequence[Mark], row: int) -> int | None:
        """The last row before `row` that has one of `marks`."""
        found = []
        for source, places in enumerate(self._places):
            line = places.previous(tuple(marks), self._rows.first_line(row, source))
            if line is not None and (at := self._rows.row(source, line)) is not None:
                found.append(at)
        return max(found, default=None)

    def on(self, first: int, count: int) -> dict[int, Mark]:
        """The marked rows among [first, first + count)."""
        found: dict[int, Mark] = {}
        for source, places in enumerate(self._places):
            start, stop = self._rows.first_line(first, source), self._rows.first_line(first + count, source)
            for line, mark in places.on(start, stop - start).items():
                row = self._rows.row(source, line)
                if row is not None:
                    found[row] = mark
        return found
