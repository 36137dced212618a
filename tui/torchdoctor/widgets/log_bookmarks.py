"""Lines that the person marked, of every file that was shown; they are kept while the console runs."""

from __future__ import annotations

from bisect import bisect_right

from torchdoctor.widgets.log_lines import LogLines

MOST = 1000
"""Of one file: what they say is kept with them, up to 4 KiB each, so that it can be copied at once."""


class Bookmarks:
    """The bookmarks of the file that is shown, and those of others until they are shown again."""

    def __init__(self) -> None:
        self._path = ""
        self._content = 0
        self._of_file: dict[str, dict[int, bytes]] = {}

    @property
    def _here(self) -> dict[int, bytes]:
        """Line -> its text."""
        return self._of_file.setdefault(self._path, {}) if self._path else {}

    @property
    def texts(self) -> list[bytes]:
        """What the marked lines of this file say, in their order."""
        return [raw for _, raw in sorted(self._here.items())]

    def show(self, path: str, lines: LogLines) -> None:
        """Another file is shown; "" for none."""
        self._path, self._content = path, 0
        self.keep(lines)

    def keep(self, lines: LogLines) -> None:
        """Give the lines their marks; where the file's content became another, they mean nothing any more."""
        content = lines.view.content
        if self._content and content > self._content:
            self._here.clear()
        self._content = content
        if lines.bookmarks != self._here.keys():
            lines.bookmarks = frozenset(self._here)
            lines.refresh()

    def toggle(self, lines: LogLines) -> str:
        """Mark the line under the cursor, or take its mark away; why that cannot be, or ""."""
        line = lines.pages.line(lines.cursor)
        if line is None or line.number < 0:
            return "the number of this line is not known yet"
        if line.number in self._here:
            del self._here[line.number]
        elif len(self._here) >= MOST:
            return f"{MOST:,} lines are marked already"
        else:
            self._here[line.number] = line.raw
        self.keep(lines)
        return ""

    def next(self, lines: LogLines) -> int | None:
        """The row of the next marked line below the cursor that is shown, around the end; None if there is none."""
        if lines.document is None:
            return None
        rows = sorted(row for number in self._here if (row := lines.document.row_of(number)) is not None)
        return rows[bisect_right(rows, lines.cursor) % len(rows)] if rows else None
