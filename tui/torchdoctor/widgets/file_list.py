"""The files of a run as a list that grows: folders as headings, below them what each file is and how big."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from torchdoctor.text import ascii_only, safe, size_text
from torchdoctor.widgets.log_paint import TONES, part_style, sign
from torchdoctor.widgets.plain_scrollbar import use_plain_scrollbar
from torchprobes.compilelog.follow import FileView, Tree
from torchprobes.compilelog.marks import Mark

_DEBUG_RUN = re.compile(r"run_\d{4}_\d\d_\d\d_(\d\d)_(\d\d)_(\d\d)_\d+-pid_(\d+)")
_DULL = frozenset({"probes", "compile", "torch_compile_debug", "torchinductor", "torchdynamo", "logs", "tlparse"})
"""Folders whose names say nothing that their files' names do not."""

ROOMY = 40
"""From this width on every level of folders is indented by two cells."""

WHAT_FROM = 52
"""From this width on a row has room for what its file is."""


@dataclass(frozen=True, slots=True)
class Row:
    """A heading (no file), a file, or a note on files that have nothing to show (no file, `dull`)."""

    words: str
    depth: int
    file: FileView | None = None
    dull: bool = False


def rows_of(tree: Tree) -> tuple[Row, ...]:
    """The rows of a tree in its order: a heading whenever the folder changes; empty logs of a sort are one row."""
    rows: list[Row] = []
    last: tuple[str, ...] = ()
    for together in _together(tree.files):
        file = together[0]
        *folders, name = file.name.split("/")
        telling = tuple(folder for folder in folders if folder not in _DULL)
        same = 0
        while same < min(len(last), len(telling)) and last[same] == telling[same]:
            same += 1
        rows.extend(Row(_folder_words(telling[depth]), depth) for depth in range(same, len(telling)))
        last = telling
        if len(together) > 1:
            rows.append(Row(f"{len(together)} empty {file.kind.name}s", len(telling), dull=True))
        else:
            rows.append(Row(name, len(telling), file))
    return tuple(rows)


def _together(files: Iterable[FileView]) -> Iterator[list[FileView]]:
    """Each file alone, but neighbours of one folder and kind that hold nothing together."""

    def key(file: FileView) -> tuple[str, ...]:
        empty = file.size_bytes == 0 and not file.cause and file.kind.grows
        return (file.name.rpartition("/")[0], file.kind.name) if empty else (file.path,)

    for _, group in itertools.groupby(files, key):
        yield list(group)


def _folder_words(folder: str) -> str:
    run = _DEBUG_RUN.fullmatch(folder)
    return f"pid {run[4]} at {run[1]}:{run[2]}:{run[3]}" if run else folder


class FileList(ScrollView, can_focus=True, inherit_bindings=False):
    """A cursor over the files of a tree."""

    DEFAULT_CSS = """
    FileList {
        background: $surface;
        color: $foreground;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 0;
        scrollbar-color: $panel-lighten-2;
        scrollbar-background: $surface;
        overflow-x: hidden;
    }
    FileList > .files--folder { color: $text-primary; text-style: bold; }
    FileList > .files--dim { color: $text-muted; }
    FileList > .files--error { color: $text-error; text-style: bold; }
    FileList > .files--warning { color: $text-warning; }
    FileList > .files--mark { color: $text-accent; text-style: bold; }
    FileList > .files--cursor { background: $surface-lighten-2; text-style: bold; }
    FileList:focus > .files--cursor { background: $primary-muted; text-style: bold; }
    FileList:ansi > .files--cursor { text-style: bold reverse; }
    FileList:nocolor > .files--cursor { text-style: bold reverse; }
    FileList:ansi > .files--dim, FileList:nocolor > .files--dim { color: $foreground; text-style: dim; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"files--{part}" for part in ("folder", "dim", "error", "warning", "mark", "cursor")
    }
    BINDING_GROUP_TITLE = "Files"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "Down", show=False, id="files.down", tooltip="The next file"),
        Binding("k,up", "move(-1)", "Up", show=False, id="files.up", tooltip="The previous file"),
        Binding("g,home", "move(-100000)", "First", show=False, id="files.first", tooltip="The first file"),
        Binding("G,end", "move(100000)", "Last", show=False, id="files.last", tooltip="The last file"),
        Binding("pagedown,ctrl+d", "move(10)", "Ten down", show=False, id="files.page.down", tooltip="Ten files on"),
        Binding("pageup,ctrl+u", "move(-10)", "Ten up", show=False, id="files.page.up", tooltip="Ten files back"),
        Binding("enter", "open", "Read", id="files.open", tooltip="Go to the lines of this file"),
        Binding("right", "open", "Read", show=False, id="files.open.right", tooltip="Go to the lines of this file"),
    ]

    class Chosen(Message):
        """The cursor stands on another file, or `enter` was pressed on it (`read`)."""

        def __init__(self, file: FileView, read: bool) -> None:
            super().__init__()
            self.file = file
            self.read = read

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._rows: tuple[Row, ...] = ()
        self._at = -1
        self._cause = ""

    def on_mount(self) -> None:
        """Where signs are ASCII, so is the scroll bar."""
        use_plain_scrollbar(self)

    @property
    def file(self) -> FileView | None:
        """The file under the cursor."""
        return self._rows[self._at].file if 0 <= self._at < len(self._rows) else None

    def show(self, tree: Tree) -> None:
        """Show another state of the tree; the cursor stays on its file, and starts on what is best read first."""
        standing = self.file
        self._rows, self._cause = rows_of(tree), tree.cause
        self._at = self._row_of(standing.path) if standing else -1
        if self._at < 0:
            self._choose(self._first())
        self.virtual_size = Size(self.size.width, len(self._rows))
        self.refresh()

    def _row_of(self, path: str) -> int:
        return next((i for i, row in enumerate(self._rows) if row.file and row.file.path == path), -1)

    def _first(self) -> int:
        """The stderr that has something to say, else the file that comes first."""
        files = [(i, row.file) for i, row in enumerate(self._rows) if row.file is not None]
        filled = [i for i, file in files if file.kind.name == "stderr" and file.size_bytes]
        return next(iter(filled + [i for i, _ in files]), -1)

    def action_move(self, delta: int) -> None:
        """Move by files; headings are passed over."""
        files = [i for i, row in enumerate(self._rows) if row.file is not None]
        if files:
            at = files.index(self._at) if self._at in files else 0
            self._choose(files[max(0, min(len(files) - 1, at + delta))])

    def _choose(self, at: int) -> None:
        if at == self._at or at < 0:
            return
        self._at = at
        top, height = self.scroll_offset.y, max(1, self.size.height)
        if not top <= at < top + height:
            self.scroll_to(y=at if at < top else at - height + 1, animate=False, immediate=True, force=True)
        self.refresh()
        self._say(read=False)

    def _say(self, *, read: bool) -> None:
        if self.file is not None:
            self.post_message(self.Chosen(self.file, read))

    def action_open(self) -> None:
        """Read the file."""
        self._say(read=True)

    def on_click(self, event: Click) -> None:
        """A click chooses; on what is chosen it opens."""
        at = event.y + self.scroll_offset.y
        if 0 <= at < len(self._rows) and self._rows[at].file is not None:
            if at == self._at:
                self.action_open()
            else:
                self._choose(at)

    # --- rows -------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """Row `y` of the window."""
        at, width = self.scroll_offset.y + y, self.size.width
        if not self._rows and y == 0:
            return self._strip(Text().append(f" {self._cause or 'no files yet'}", self._style("dim")), width)
        if at >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        row = self._rows[at]
        text = self._folder(row) if row.file is None else self._file(row, row.file, width)
        return self._strip(text, width, self._style("cursor") if at == self._at else None)

    def _strip(self, text: Text, width: int, ground: Style | None = None) -> Strip:
        text.no_wrap = True
        text.end = ""
        strip = Strip(text.render(self.app.console)).crop_extend(0, width, None)
        return (strip if ground is None else strip.apply_style(ground)).apply_style(self.rich_style)

    def _folder(self, row: Row) -> Text:
        words = self._indent(row) + self._safe(row.words)
        return Text().append(words, self._style("dim" if row.dull else "folder"))

    def _file(self, row: Row, file: FileView, width: int) -> Text:
        ascii_signs = ascii_only(self.app)
        name = Text(self._indent(row) + self._safe(row.words))
        size = Text().append(f"{'gone' if file.gone else size_text(file.size_bytes):>7} ", self._style("dim"))
        tail = self._marks(file, width - name.cell_len - size.cell_len).append_text(size)
        room = max(4, width - tail.cell_len)
        if file.gone or (file.size_bytes == 0 and not file.cause):
            name.stylize(self._style("dim"))
        if width >= WHAT_FROM:
            name.append(f"  {file.kind.what}", self._style("dim"))
        name.truncate(room, overflow="crop" if ascii_signs else "ellipsis", pad=True)
        return name.append_text(tail)

    def _marks(self, file: FileView, room: int) -> Text:
        """The marks in a file, the gravest first, as many as there is room for; never at the cost of its name."""
        text = Text()
        for mark, count in file.counts:
            words = f" {sign(mark, ascii_only(self.app))}{count}"
            if mark is not Mark.WARNING and text.cell_len + Text(words).cell_len <= room:
                text.append(words, self._style(TONES[mark]))
        return text

    def _indent(self, row: Row) -> str:
        return " " * (row.depth * (2 if self.size.width >= ROOMY else 1) + 1)

    def _safe(self, words: str) -> str:
        return safe(words, ascii_only=ascii_only(self.app))

    def _style(self, part: str) -> Style:
        return part_style(self, f"files--{part}", ground=part == "cursor")
