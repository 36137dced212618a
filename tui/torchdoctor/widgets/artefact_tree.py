"""The left side of the Logs pane: a tree that one walks; what the cursor stands on is shown beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from .lines import Lines
from .tree_rows import OVERVIEW, TreeRow, tree_page, tree_rows

if TYPE_CHECKING:
    from torchprobes.compilelog.engine import LogsView


class ArtefactTree(Lines):
    """A cursor over the rows; what it stands on is shown beside it."""

    DEFAULT_CSS = """
    ArtefactTree { background: $surface; }
    """
    BINDING_GROUP_TITLE = "Tree"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Read", id="tree.open", tooltip="Open or close a row; read a file or an artefact"),
        Binding("right", "fold(True)", "Open", show=False, id="tree.unfold", tooltip="Show what is below this row"),
        Binding("left", "fold(False)", "Close", show=False, id="tree.fold", tooltip="Hide it, or go to the row above"),
        Binding("m", "mark", "Mark", show=False, id="tree.mark",
                tooltip="Mark this log for M, which shows the marked ones as one by their time"),
        Binding("j", "move(1)", "Down", show=False, id="tree.down", tooltip="The next row"),
        Binding("k", "move(-1)", "Up", show=False, id="tree.up", tooltip="The previous row"),
    ]  # fmt: skip

    class Chosen(Message):
        """The cursor stands on another row, or `enter` was pressed on it (`read`)."""

        def __init__(self, row: TreeRow, read: bool) -> None:
            super().__init__()
            self.row = row
            self.read = read

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.cursor = OVERVIEW
        self.rows: list[TreeRow] = []
        self.flipped: frozenset[str] = frozenset()
        self.marked: frozenset[str] = frozenset()
        """Paths of the logs that are to be merged."""
        self._made: tuple[object, ...] = ()
        self._again: Callable[[], None] | None = None

    @property
    def row(self) -> TreeRow | None:
        """The row under the cursor."""
        return self.row_of(self.cursor)

    def row_of(self, key: str | None) -> TreeRow | None:
        """The row of a key, None if it is not shown."""
        return next((row for row in self.rows if row.key == key), None)

    def tell(self, view: LogsView, hits: Mapping[str, int] | None = None) -> None:
        """Show another state of the run; what did not change costs nothing."""
        made = (view.tree, view.groups, view.explanation.compiles, hits, self.flipped, self.marked, self.size.width)
        if made == self._made:  # the parts of a view that did not change are the same objects
            return
        self._made, self._again = made, lambda: self.tell(view, hits)
        self.rows = tree_rows(view, self.flipped, hits, self.marked)
        self.show_anchored(tree_page(self.rows, max(20, self.size.width - 1)))

    def action_open(self) -> None:
        """Open or close the row, and show it."""
        row = self.row
        if row is None:
            return
        if row.open is not None and row.compile is None:
            self._flip(row)
        elif row.open is False:
            self._flip(row)
            self.post_message(self.Chosen(row, read=False))
        else:
            self.post_message(self.Chosen(row, read=True))

    def action_mark(self) -> None:
        """Mark the log, or take its mark away."""
        if self._may_mark() and self.row is not None and self.row.file is not None:
            self.marked ^= {self.row.file.path}
            if self._again is not None:
                self._again()

    def _may_mark(self) -> bool:
        file = self.row.file if self.row is not None else None
        return file is not None and file.kind.language == "log" and file.kind.name != "trace"

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what would do something."""
        return self._may_mark() if action == "mark" else super().check_action(action, parameters)

    def action_fold(self, wanted: bool) -> None:
        """Open or close; on a row without anything below it, go in or up."""
        row = self.row
        if row is None:
            return
        if row.open is not None and row.open is not wanted:
            self._flip(row)
        elif wanted and row.open is None:
            self.post_message(self.Chosen(row, read=True))
        elif not wanted:
            at = self.rows.index(row)
            above = next((one for one in self.rows[at::-1] if one.depth < row.depth and one.live), None)
            if above is not None:
                self.select(above.key)

    def _flip(self, row: TreeRow) -> None:
        self.flipped ^= {row.key}
        if self._again is not None:
            self._again()
        self.refresh_bindings()

    def step(self, by: int) -> None:
        """The next file or artefact that is shown."""
        rows = [row for row in self.rows if row.file is not None or row.piece is not None]
        if not rows:
            return
        keys = [row.key for row in rows]
        if self.cursor in keys:
            at = min(len(keys) - 1, max(0, keys.index(self.cursor) + by))
        else:
            at = 0 if by > 0 else len(keys) - 1
        self.select(keys[at])

    def on_lines_selected(self, event: Lines.Selected) -> None:
        """The row is shown."""
        event.stop()
        row = self.row_of(event.key)
        self.refresh_bindings()
        if row is not None:
            self.post_message(self.Chosen(row, read=False))

    def on_lines_opened(self, event: Lines.Opened) -> None:
        """As enter."""
        event.stop()
        self.action_open()
